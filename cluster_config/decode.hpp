/// Turns a cluster's section, cleaned by apply_schema, into typed values and checks the rules that
/// go beyond types (docs/interface.md 1.4, 1.6 to 1.10). An implementation detail of the loader.
#pragma once

#include "cluster_config/config.hpp"
#include "cluster_config/schema.hpp"

namespace keepstore::cluster_config {

/// \throws config_error
[[nodiscard]] cluster_settings decode_cluster(const config_value& section, const std::string& id, config_context&);

/// DriverParameters of one volume. Never throws: what is wrong comes back as a driver_problem,
/// because it matters only on hosts that serve the volume. `parameters` may be nullptr (none
/// given).
[[nodiscard]] driver_parameters decode_driver(const std::string& driver, const config_value* parameters,
                                              const std::string& volume_path, config_context&);

/// Warnings about combinations that are allowed and probably not meant (docs/interface.md 1.11).
void warn_about_sanity(const config_value& section, const cluster_settings&, config_context&);

/// Typed access to the entries of one map. Absent entries give the default.
class config_reader {
  public:
    config_reader(const config_value* map, std::string path, config_context& context)
        : map_(map), path_(std::move(path)), context_(context) {}

    [[nodiscard]] const config_value* find(std::string_view key) const { return map_ ? map_->find(key) : nullptr; }
    [[nodiscard]] config_reader section(std::string_view key) const { return {find(key), path(key), context_}; }
    [[nodiscard]] std::string path(std::string_view key) const { return path_ + "." + std::string(key); }

    void read(std::string_view key, std::string& out) const;
    void read(std::string_view key, bool& out) const;
    void read(std::string_view key, std::int64_t& out) const;
    void read(std::string_view key, nanoseconds& out) const;
    void read(std::string_view key, url& out) const;
    /// A set: the keys of a map, or a list of texts.
    void read_names(std::string_view key, std::vector<std::string>& out) const;
    void read_size(std::string_view key, std::uint64_t& out) const;
    /// \throws config_error naming the key.
    [[noreturn]] void fail(std::string_view key, std::string_view text) const;
    void warn(std::string_view key, std::string_view text) const;

  private:
    const config_value* map_;
    std::string path_;
    config_context& context_;
};

}  // namespace keepstore::cluster_config
