/// Limits of balance, with their reasons; see base/limits.hpp.
#pragma once

#include "base/units.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace keepstore::limits {

/// Storage classes of a cluster: a decision has a bit for each. Clusters have a handful.
inline constexpr std::size_t balance_classes_max = 64;
/// Mounts of all servers: a decision sorts them, and numbers them with 16 bits. Clusters have some hundred.
inline constexpr std::size_t balance_mounts_max = 4096;
/// Servers that an item of a pull list names: one that has the block, and three in case it does not respond.
inline constexpr std::size_t balance_sources_max = 4;
/// Copies that a rule or a reference may want; decisions clamp it to what the mounts can hold, and one more.
inline constexpr std::uint32_t balance_copies_max = 1000;
/// Entries expected in a shard at most: 8 MB, which each thread that plans has twice, and those that are listed once.
inline constexpr std::uint64_t balance_shard_entries_max = 250'000;
/// Shards that are listed: a server that has ended with one begins the next one, although others have not.
inline constexpr std::size_t balance_shards_listed_max = 2;
/// Threads that plan: they do more than those that parse indexes bring.
inline constexpr unsigned balance_threads_max = 4;
/// Items of a list, for a server: what keep-balance sends, and what a daemon takes (work_list_items_max) at most.
inline constexpr std::int64_t balance_list_default = 100'000;
inline constexpr std::int64_t balance_list_max = 1'000'000;
/// Lists that are encoded and on their way at a time: one has some 20 MB.
inline constexpr std::size_t balance_lists_sent_max = 4;
/// A rules file.
inline constexpr std::size_t balance_rules_bytes_max = 1 * MiB;
/// A line of a reference file that is no manifest, and a word of a manifest: names of files are at most 4 KiB, each
/// byte written as four.
inline constexpr std::size_t balance_line_bytes_max = 64 * KiB;
/// What the last run has left (last.json): some 300 bytes for each mount.
inline constexpr std::size_t balance_state_bytes_max = 16 * MiB;
/// Clocks that differ by more are not trusted with decisions about age; what they differ by less is subtracted.
inline constexpr std::chrono::minutes balance_clock_slack{5};
/// Below it a block could be trashed between its upload and the collection that names it.
inline constexpr std::chrono::hours balance_signing_ttl_min{1};
/// Items that a server trashes while its list is replaced: waited for, unless it is not known whether there are any.
inline constexpr std::chrono::seconds balance_drain_wait{60};
inline constexpr std::chrono::seconds balance_drain_blind_wait{10};
inline constexpr std::chrono::milliseconds balance_drain_poll{500};
/// Attempts at GET /mounts of a server, and the pause between them: a restart takes seconds.
inline constexpr unsigned balance_survey_attempts_max = 3;
inline constexpr std::chrono::seconds balance_survey_pause{1};
/// --wait: how often servers are asked, and after what time without a change one is reported as stuck.
inline constexpr std::chrono::seconds balance_wait_poll{5};
inline constexpr std::chrono::minutes balance_stuck_after{5};
/// Sending a list of 20 MB.
inline constexpr std::chrono::minutes balance_send_timeout{5};
/// References that are fewer than this part of the last run's, in percent, look like a file that is cut.
inline constexpr std::uint64_t balance_references_percent_min = 80;

}  // namespace keepstore::limits
