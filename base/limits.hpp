/// Limits that an operator or a client can notice, with their reasons. Those that operators may want to change have a
/// configuration key, which is named with them; the others follow from the protocol or from the design. Constants of an
/// algorithm that only its own file uses stay there. Each room has such a file with the limits that are its own; here
/// are those that several rooms share. The sum of all memory: reports/memory_limits.hpp.
#pragma once

#include "base/units.hpp"

#include <chrono>
#include <cstddef>

namespace keepstore::limits {

using std::chrono::milliseconds;
using std::chrono::seconds;

// --- blocks ----------------------------------------------------------------------------------------------------------
/// The largest block of the Keep protocol (docs/interface.md 1.6, 2.6: buffers are 64 MiB; a larger PUT is 413).
inline constexpr std::size_t block_size_bytes_max = 64 * MiB;

// --- log -------------------------------------------------------------------------------------------------------------
/// Text queued for stderr; beyond this new lines are dropped and counted. Some 20,000 lines.
inline constexpr std::size_t log_queue_bytes_max = 8 * MiB;
/// At the end of the process, for the last lines to be written. Then they are dropped and counted: a reader of stderr
/// that has stopped reading does not delay the end.
inline constexpr milliseconds log_flush_wait{300};
/// Lines that the status page shows, of the log and of failed requests: enough for the last incident.
inline constexpr std::size_t recent_lines_max = 50;
/// Of such a line's message, and of its details: as much as is read on a screen.
inline constexpr std::size_t recent_line_text_bytes_max = 512;
/// Of its request id, which clients choose.
inline constexpr std::size_t recent_line_id_bytes_max = 128;
static_assert(recent_lines_max * (2 * recent_line_text_bytes_max + recent_line_id_bytes_max) <= 64 * KiB);

// --- memory ----------------------------------------------------------------------------------------------------------
/// Unit of the buffer pool. 256 KiB keeps 1,000 slow clients with a chunk each at 256 MiB, and is large enough that
/// system calls are noise (docs/performance.md). A multiple of every direct-I/O block size.
inline constexpr std::size_t chunk_size_bytes = 256 * KiB;
static_assert(block_size_bytes_max % chunk_size_bytes == 0);
/// Allocations outside the pool of at least this size (parts of blocks on their way to or from S3, long lists,
/// responses) are mapped, and go back to the system when they are freed. By default malloc raises this threshold to the
/// largest such piece that was freed, and keeps some hundred MiB after the first busy minute.
inline constexpr std::size_t malloc_map_bytes_min = 1 * MiB;
/// Freed memory of smaller pieces that malloc may keep, instead of returning and faulting in the same pages again and
/// again.
inline constexpr std::size_t malloc_keep_bytes = 8 * MiB;
/// Bytes that one streaming request may have queued for each of its consumers (digest, every volume) while memory is
/// plenty.
inline constexpr std::size_t request_queue_bytes_max = 2 * MiB;
/// Below this much free budget per waiting request a request works with one chunk at a time.
inline constexpr std::size_t request_queue_bytes_min = chunk_size_bytes;

// --- blocking work ---------------------------------------------------------------------------------------------------
/// How often calls are checked for their deadlines, and whether all threads of a volume hang, so that further calls are
/// refused at once. Deadlines are seconds, so a coarse scan is enough, and costs nothing.
inline constexpr milliseconds hang_check_interval{100};
/// Calls of one kind are pending, and none ended or moved for this long: the storage counts as stalled. Half of the 2 s
/// that a request may lose on a volume that hangs, when another one has or can take the block; ten checks, so that a
/// delay of the scheduler is not taken for a hang.
inline constexpr seconds stall_after{1};
/// A call that runs longer than this is slow, although others move.
inline constexpr seconds slow_call_after{2};
/// At the end of the process running calls get this long; then they are abandoned with their threads.
inline constexpr seconds blocking_stop_wait{2};

// --- HTTP transport --------------------------------------------------------------------------------------------------
/// When a reader has made one piece of a block wait this long, the memory of the rest is released until it can take
/// more: below 5 MB/s for a chunk. The tick is the resolution. Longer: slow readers hold more of the pool; shorter: a
/// scheduling delay of a reader makes the daemon read and verify bytes again.
inline constexpr milliseconds slow_reader_wait{50};

// --- scrub -----------------------------------------------------------------------------------------------------------
/// Keepstore.ScrubRate, bytes per second and volume: a third of what one spinning disk can read, so that requests find
/// it mostly free; 10 TB take less than two days.
inline constexpr std::size_t scrub_rate_default = 64 * MiB;

static_assert(request_queue_bytes_max >= request_queue_bytes_min);
static_assert(request_queue_bytes_min >= chunk_size_bytes);

}  // namespace keepstore::limits
