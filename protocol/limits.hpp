/// Limits of what Keep clusters exchange, with their reasons; see base/limits.hpp.
#pragma once

#include "base/units.hpp"

#include <chrono>
#include <cstddef>

namespace keepstore::limits {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// --- requests (router) -----------------------------------------------------------------------------------------------
/// The body of a pull or trash list. A balance tool sends at most 100,000 items of about 110 bytes
/// (docs/interface.md 5.4); six times that is still parsed, more is a mistake or an attack.
inline constexpr std::size_t work_list_bytes_max = 64 * MiB;
/// Items of such a list, and servers in all its items together: ten times what a balance tool sends. An item takes 100
/// bytes of memory and two of the text "{}", so bytes alone would be no limit.
inline constexpr std::size_t work_list_items_max = 1'000'000;
/// Nesting of its JSON: real items have three levels.
inline constexpr int work_list_depth_max = 16;
/// Servers of one item: a balance tool names one.
inline constexpr std::size_t pull_item_servers_max = 100;

// --- pull lists and reads from other clusters ------------------------------------------------------------------------
/// Rounds in which all servers that may have a block are asked, as Keep clients do (docs/interface.md 7.2), and the
/// longest pause before the second round; doubled before the third. Clients themselves wait up to 2 s, but come in
/// thousands.
inline constexpr unsigned retry_rounds_max = 3;
inline constexpr milliseconds retry_pause{250};
/// The list of a remote cluster's keep services: kept this long, fetched again this long after a failure
/// (docs/interface.md 3.8).
inline constexpr minutes remote_services_lifetime{5};
inline constexpr seconds remote_services_retry_after{3};
/// An older list is served while a new one is fetched, up to this age; then readers wait for the new one. Services move
/// rarely, and a list of which no service can be reached is fetched again at once.
inline constexpr minutes remote_services_served_max = 4 * remote_services_lifetime;
/// Fetching it. The Go daemon lets its clients wait a minute; they give up after 20 s (docs/interface.md 7.2).
inline constexpr seconds remote_services_timeout{15};
inline constexpr std::size_t remote_services_bytes_max = 4 * MiB;
/// Services of one cluster that are asked for a block: hundreds exist nowhere.
inline constexpr std::size_t remote_services_max = 1000;

}  // namespace keepstore::limits
