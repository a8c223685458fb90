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
/// A file system call that has not returned after this long counts as hung, whatever the request's own deadline: the
/// request continues on another volume. Well under the 20 s in which a Go client wants its whole block
/// (docs/interface.md 7.2).
inline constexpr seconds volume_call_timeout{10};

// --- Directory volumes -----------------------------------------------------------------------------------------------
/// Blocks up to this size stay in memory until commit, which then is a single call on one thread: for small blocks the
/// hand-overs between threads would cost more than the writes. One chunk, so that no writer holds more than it must.
inline constexpr std::size_t write_at_once_bytes_max = chunk_size_bytes;

}  // namespace keepstore::limits
