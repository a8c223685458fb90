/// The rules file of balance: what is wanted, and what is refused. YAML; all keys are optional:
///
///     desired: {default: 2, archival: 1}
///     servers:
///       - {url: "http://keep0:25107", uuid: zzzzz-bi6l4-000000000000000}
///     limits: {pull_per_server: 100000, trash_per_server: 100000, trash_percent: 10, trash_percent_mount: 25,
///              shrink_percent: 10}
///     references_max_age: 24h
///
/// Pure.
#pragma once

#include "keepctl/balance/limits.hpp"

#include <chrono>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>

namespace keepstore::keepctl::balance {

struct rules {
    std::map<std::string, std::uint32_t> desired = {};   ///< Copies, by class.
    std::map<std::string, std::string> identities = {};  ///< By URL without trailing slash.
    std::int64_t pull_per_server = limits::balance_list_default;
    std::int64_t trash_per_server = limits::balance_list_default;
    std::int64_t trash_percent = 10;        ///< Of all copies, or bytes; more are withheld.
    std::int64_t trash_percent_mount = 25;  ///< The same for a volume.
    std::int64_t shrink_percent = 10;       ///< A volume that lost more entries since the last run is not believed.
    std::chrono::nanoseconds references_max_age = std::chrono::hours(24);
};

/// Letters, digits, underscore, hyphen, dot; not empty.
[[nodiscard]] bool is_class_name(std::string_view text) noexcept;

/// Reads a rules file. What it does not name is as in `defaults`; `desired` is replaced as a whole.
/// \returns "line N: ..." for an unknown key, a value of the wrong type or out of bounds.
[[nodiscard]] std::expected<rules, std::string> parse_rules(std::string_view yaml, rules defaults);

}  // namespace keepstore::keepctl::balance
