/// Typed access to the entries of one map of the configuration. An implementation detail of cluster_config/key.hpp and
/// of the rules about several keys.
#pragma once

#include "cluster_config/schema.hpp"
#include "cluster_config/url.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::cluster_config {

/// Reads the entries of a map whose types apply_schema has checked.
class config_reader {
  public:
    /// `map` may be nullptr: then all entries are absent. `path` is its path without a dot at the end.
    config_reader(const config_value* map, std::string path, config_context& context)
        : map_(map), path_(std::move(path)), context_(context) {}

    [[nodiscard]] const config_value* find(std::string_view key) const { return map_ ? map_->find(key) : nullptr; }
    [[nodiscard]] config_reader section(std::string_view key) const { return {find(key), path(key), context_}; }
    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] std::string path(std::string_view key) const { return path_ + "." + std::string(key); }
    [[nodiscard]] const std::string& file() const noexcept { return context_.file; }

    /// Decodes `from`, the entry `key`, into an `out` that is empty.
    void read(std::string_view key, const config_value& from, std::string& out) const;
    void read(std::string_view key, const config_value& from, bool& out) const;
    void read(std::string_view key, const config_value& from, std::int64_t& out) const;
    void read(std::string_view key, const config_value& from, std::chrono::nanoseconds& out) const;
    void read(std::string_view key, const config_value& from, url& out) const;
    /// Reads a size in bytes.
    void read(std::string_view key, const config_value& from, std::uint64_t& out) const;
    /// Reads a set of names: the keys of a map, or a list of texts.
    void read(std::string_view key, const config_value& from, std::vector<std::string>& out) const;

    /// Parses a key of this map that must be a URL. \throws config_error
    [[nodiscard]] url key_url(const std::string& key) const;

    /// \throws config_error: "FILE:LINE: PATH: TEXT", without the line if there is no such entry.
    [[noreturn]] void fail(std::string_view key, std::string_view text) const;
    /// Adds the warning "PATH: TEXT", without file and line.
    void warn(std::string_view key, std::string_view text) const;
    void warn(std::string line) const { context_.warnings.push_back(std::move(line)); }

  private:
    const config_value* map_;
    std::string path_;
    config_context& context_;
};

}  // namespace keepstore::cluster_config
