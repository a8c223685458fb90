/// Writes a configuration as YAML with a comment on each key: the text of conf/keepstore.full.yml.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::cluster_config {

struct driver_section;
struct url;

class reference_writer {
  public:
    /// Writes DriverParameters of a volume: drivers are not known here.
    using parameters_writer = std::function<void(reference_writer&, const driver_section&)>;
    explicit reference_writer(parameters_writer parameters) : parameters_(std::move(parameters)) {}

    /// Begins a map. `comment` goes above it. A map that stays empty becomes `{}`.
    void begin(std::string_view key, std::string_view comment);
    void end();
    /// Writes `key: value`. A value other than `plain`, the default, is marked as an example. The comment goes next to
    /// it if there is room, else above.
    void value(std::string_view key, std::string_view value, std::string_view plain, std::string_view comment);
    void parameters(const driver_section& of) { parameters_(*this, of); }
    /// Separates the entries of a map whose names the operator chooses.
    void between_entries();
    void comment(std::string_view text);

    /// Without comments, and without values that are the default: for the second entry of a map and those after it.
    void set_brief(bool brief) noexcept { brief_ = brief; }
    [[nodiscard]] bool brief() const noexcept { return brief_; }

    [[nodiscard]] std::string take() { return std::move(text_); }

  private:
    struct open_map {
        std::size_t colon_end;  ///< Where `{}` would go.
        bool empty = true;
    };

    void begin_line();

    parameters_writer parameters_;
    std::string text_;
    std::vector<open_map> maps_;
    bool brief_ = false;
};

/// A text as a YAML scalar or key, in quotes where it would be something else without.
[[nodiscard]] std::string yaml_text(std::string_view);
[[nodiscard]] std::string yaml_url(const url&);
/// 64 MiB as "64MiB".
[[nodiscard]] std::string yaml_size(std::uint64_t bytes);

}  // namespace keepstore::cluster_config
