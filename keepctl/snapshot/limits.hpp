/// Limits of snapshots and their repositories, with their reasons; see base/limits.hpp.
#pragma once

#include "base/units.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace keepstore::limits {

// --- sizes -----------------------------------------------------------------------------------------------------------
/// Snapshots that latest.json lists: an hourly one for six weeks. The file is read and written whole.
inline constexpr std::size_t snapshots_max = 1'000;
/// Snapshots that wait for the deletion of their objects.
inline constexpr std::size_t removed_max = 4'000;
/// latest.json with all of these: 260 bytes for each snapshot, 90 for each removed one, and fields of later versions.
inline constexpr std::size_t latest_bytes_max = 8 * MiB;
/// snapshot.json: 4,096 objects and some thousand mounts.
inline constexpr std::size_t metadata_bytes_max = 32 * MiB;
/// Storage classes of a mount.
inline constexpr std::size_t snapshot_classes_max = 1'000;
/// Entries that are expected in an object at most: 29 MB. The expectation comes from a sample, and may be a tenth off.
inline constexpr std::uint64_t inventory_entries_wanted = 900'000;
/// create: shards in memory: one is listed, one is synced to disk, and one is written meanwhile.
inline constexpr std::size_t create_shards_max = 3;
/// An object is read whole into memory; two are held at a time.
inline constexpr std::uint64_t inventory_bytes_max = 64 * MiB;

/// create: a mount that lists fewer entries than in the last snapshot, by this many per cent, is not believed. Counted
/// in a sample of the last snapshot of this many entries, which is read for it: one object, mostly.
inline constexpr std::uint64_t shrink_percent = 10;
inline constexpr std::uint64_t shrink_sample_entries = 1'000'000;

/// Larger objects go up in parts of this size; one part is in memory. S3 wants at least 5 MiB.
inline constexpr std::uint64_t part_threshold_bytes = 16 * MiB;
inline constexpr std::size_t part_bytes = 8 * MiB;
/// Of smaller ones a piece at a time is copied out for the connection.
inline constexpr std::size_t put_piece_bytes = 256 * KiB;
/// Objects of all snapshots, also of those removed: with 4,096 each, some 1,000 of them. Each takes 100 bytes while
/// they are listed.
inline constexpr std::size_t repository_objects_max = 4'200'000;

// --- time ------------------------------------------------------------------------------------------------------------
/// A request about a small object, with its retries.
inline constexpr std::chrono::seconds repository_request_timeout{60};
/// An object of an inventory, at 1 MiB/s.
inline constexpr std::chrono::seconds inventory_transfer_timeout{120};
/// create --max-duration: below orphan_age, so that no prune takes the objects of a create that goes on.
inline constexpr std::chrono::hours create_time_default{12};
inline constexpr std::chrono::hours create_time_max{20};
/// Folders and uploads that belong to no snapshot are of a create that failed once they are older.
inline constexpr std::chrono::hours orphan_age{24};
/// prune --grace: a reader that began before the removal has this long to end.
inline constexpr std::chrono::hours prune_grace_default{1};
/// Clocks that differ by more deserve a warning.
inline constexpr std::chrono::minutes clock_difference_max{5};
/// The lock of a file:// repository is held for some milliseconds by each writer.
inline constexpr std::chrono::seconds repository_lock_timeout{30};
inline constexpr std::chrono::milliseconds repository_lock_pause{10};
/// restore: before blocks that failed are tried once more. A restart takes seconds.
inline constexpr std::chrono::seconds second_round_pause{2};
/// After the first signal objects that are already written are removed.
inline constexpr std::chrono::seconds create_cleanup_timeout{30};

// --- the swap of latest.json -----------------------------------------------------------------------------------------
/// Attempts at a swap that other writers win, and the longest random wait between them.
inline constexpr unsigned swap_attempts_max = 8;
inline constexpr std::chrono::milliseconds swap_pause_max{1000};
/// How long the outcome of a swap without a clear response is looked for.
inline constexpr std::chrono::seconds swap_unknown_max{60};

static_assert(create_time_max < orphan_age);

}  // namespace keepstore::limits
