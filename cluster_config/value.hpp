/// A configuration file as an untyped tree, with YAML 1.1 scalars resolved as the Go loader's YAML library resolves
/// them (docs/interface.md 1.1, 1.4): yes/no/on/off/y/n are booleans, 010 is octal, 1_0 is ten, quoted scalars are
/// always text. Anchors, aliases and merge keys are expanded; of equal keys the last wins; only the first document is
/// read. Pure: no files, no environment. Safe to call from any thread.
#pragma once

#include "cluster_config/limits.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::cluster_config {

struct config_value {
    enum class kind { null, boolean, integer, real, text, list, map };

    kind type = kind::null;
    int line = 0;      ///< Counted from 1; 0 when unknown (JSON input).
    std::string text;  ///< The scalar as written, or the text's value.
    bool boolean = false;
    std::int64_t integer = 0;
    double real = 0;
    std::vector<config_value> items;
    std::map<std::string, config_value, std::less<>> entries;

    [[nodiscard]] bool is_map() const noexcept { return type == kind::map; }
    /// The entry of a map, or nullptr; also nullptr when this is no map.
    [[nodiscard]] const config_value* find(std::string_view key) const;
    /// The entry `key` of this map, which becomes a map if it is none.
    config_value& make_map(std::string_view key);
};

[[nodiscard]] config_value make_text(std::string text);

/// "the number 12", "the boolean true (written yes)", "a map": for error messages.
[[nodiscard]] std::string describe(const config_value&);
/// The same without the content, for secrets.
[[nodiscard]] std::string describe_kind(const config_value&);

/// A plain (unquoted) scalar by the rules of YAML 1.1 as the Go loader applies them.
[[nodiscard]] config_value resolve_plain_scalar(std::string_view text);

/// Reads YAML, or JSON if the text begins with { and is valid JSON. An empty text gives null.
/// \throws config_error with "line N: ..." for syntax errors, control characters, keys that are lists or maps, trees
/// nested deeper than limits::config_depth_max, and documents that expand beyond limits::config_expanded_bytes_max.
[[nodiscard]] config_value parse_config_text(std::string_view text);

}  // namespace keepstore::cluster_config
