/// The syntax of Go's flag package (docs/interface.md 1.3): one or two dashes, `-f v` or `-f=v`, booleans only `-f` or
/// `-f=bool`, flags before anything else. Pure: prints and exits nothing.
#pragma once

#include <cstddef>
#include <expected>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace keepstore::cluster_config {

struct flag {
    std::string_view name;
    bool boolean;
    std::string_view help;
};

struct flags_read {
    bool help = false;     ///< -h or -help was found; reading ended there.
    std::size_t rest = 0;  ///< Index of the first argument that is no flag.
};

/// Calls `set` for each flag; the value of a boolean is "true" or "false". `set` may refuse a value with what was
/// expected.
/// \returns the text of a usage error.
[[nodiscard]] std::expected<flags_read, std::string> read_flags(
    std::span<const flag> known, std::span<const std::string> arguments,
    const std::function<std::expected<void, std::string>(std::string_view name, std::string_view value)>& set);

/// The "Options:" part of a help text.
[[nodiscard]] std::string describe_flags(std::span<const flag> known);

}  // namespace keepstore::cluster_config
