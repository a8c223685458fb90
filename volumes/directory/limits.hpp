/// Limits of Directory volumes, with their reasons; see base/limits.hpp.
#pragma once

#include "base/units.hpp"

#include <chrono>
#include <cstddef>

namespace keepstore::limits {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// --- HTTP transport --------------------------------------------------------------------------------------------------
/// When descriptors do run out, this is logged at most this often, whatever the number of requests that fail.
inline constexpr seconds descriptor_warning_interval{60};

// --- Directory volumes -----------------------------------------------------------------------------------------------
/// From this size on, synced writes bypass the page cache (where the volume leaves it to us): a twentieth of the CPU
/// time and four times the speed for 64 MiB blocks (docs/performance.md).
inline constexpr std::size_t direct_io_bytes_min = 1 * MiB;
/// Time from the last change of a folder to a sync after which the folder counts as synced until it changes again. The
/// clock that file systems take its time from moves in steps of up to 10 ms.
inline constexpr milliseconds folder_time_step{100};
/// Buffer of one volume thread for direct reads of small blocks and of the ends of others.
inline constexpr std::size_t direct_read_bytes_max = 64 * KiB;
/// One write call takes at most this much; larger ones bring nothing more. All threads of a volume that write so much
/// at once, on a disk of 24 MB/s, still show progress within stall_after.
inline constexpr std::size_t write_batch_bytes_max = 1 * MiB;
/// A writing job gives its thread back after this much, so that many writers share few threads fairly.
inline constexpr std::size_t write_job_bytes_max = 8 * MiB;
/// Buffered writes are started towards the disk in ranges of this much, of which two are under way for each block. So
/// 16 blocks have 32 MiB left for their last syncs, which a disk of 60 MB/s writes in half a second.
inline constexpr std::size_t sync_behind_bytes = 1 * MiB;
/// Index, emptying of trash and the sweep of temp files run in steps of at most this long, so that they never count as
/// hung calls, and share the threads with requests.
inline constexpr milliseconds scan_step_time{200};
/// Blocks in one batch of an index: 128 KiB of memory, and thousands of hand-overs saved per million blocks.
inline constexpr std::size_t index_batch_blocks = 4096;
/// The first batches are smaller, so that the client gets its first bytes soon.
inline constexpr std::size_t index_first_batch_blocks = 256;
/// Directories read at a time by one index. Two keep both a disk and two cores busy (docs/performance.md).
inline constexpr unsigned index_workers = 2;
/// How often a file is opened by its name before ESTALE is an error.
inline constexpr unsigned stale_file_attempts = 5;
/// How often a directory is read again after NFS lost the position in it (ESTALE, EBADCOOKIE).
inline constexpr unsigned directory_read_attempts = 5;
/// How long the mark of a full volume is honoured (docs/interface.md 4.2: an hour, as the Go daemon does).
inline constexpr minutes full_mark_lifetime{60};
/// Another daemon's mark counts for this long; then the free space does. With full_mark_refresh below 5 s, within which
/// a volume must take blocks again after it got space.
inline constexpr seconds full_mark_honoured{3};
/// How often write requests check the mark and the free space.
inline constexpr seconds full_mark_refresh{1};
static_assert(full_mark_honoured + full_mark_refresh < seconds{5});
/// A left-over temp file of another program (the Go daemon) is removed when it is older than this; it takes no lock on
/// files being written, so only their age tells. Far above any request's duration.
inline constexpr minutes foreign_temp_age_min{24 * 60};

}  // namespace keepstore::limits
