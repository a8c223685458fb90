/// Limits of all kinds of volumes, with their reasons; see base/limits.hpp.
#pragma once

#include "base/limits.hpp"

#include <chrono>
#include <cstddef>

namespace keepstore::limits {

using std::chrono::seconds;

// --- blocking work ---------------------------------------------------------------------------------------------------
/// Threads per volume for calls that may block. Group commit of fsyncs needs about as many as there are writers
/// (16 connections: docs/performance.md); a hung disk can tie up no more than these.
inline constexpr unsigned volume_threads_max = 24;
/// Calls waiting for a volume thread; one more fails with `unavailable`.
inline constexpr std::size_t volume_queue_max = 16384;
/// One in this many of a volume's threads takes reads only: hung syncs leave these to readers.
inline constexpr unsigned volume_threads_per_reader = 4;
/// A volume that has made no progress for this long is given up also by calls that have no alternative. Disks retry a
/// bad sector for about 10 s, and the kernel gives a command 30 s before it resets the device.
inline constexpr seconds volume_silence_max{30};
/// A single call is given up after this long although others move: it hangs for reasons of its own. A call moves at
/// most 8 MiB, so that a disk may be as slow as 0.1 MB/s.
inline constexpr seconds volume_call_max{90};
/// How often each volume is probed.
inline constexpr seconds volume_probe_interval{1};
/// A probe that has not returned after this long hangs, and so does the volume. Longer than stall_after, since a probe
/// alone is weak evidence: a single call to an idle disk.
inline constexpr seconds volume_probe_hang{2};
/// This many calls in a row that fail make a probe due, whose failure makes the volume one that fails.
inline constexpr unsigned volume_failures_max = 3;

// --- Directory volumes -----------------------------------------------------------------------------------------------
/// Blocks up to this size stay in memory until commit, which then is a single call on one thread: for small blocks the
/// hand-overs between threads would cost more than the writes. One chunk, so that no writer holds more than it must.
inline constexpr std::size_t write_at_once_bytes_max = chunk_size_bytes;

// --- all drivers -----------------------------------------------------------------------------------------------------
/// While the writers of a volume have more than this queued, each of them waits until its own bytes are written. What
/// 24 threads write at a time (request_queue_bytes_max each) is 48 MiB, so a fast disk never waits for the next bytes;
/// a slower one has a backlog of a second at most.
inline constexpr std::size_t volume_queue_bytes_max = 64 * MiB;
static_assert(volume_threads_max * request_queue_bytes_max < volume_queue_bytes_max);

}  // namespace keepstore::limits
