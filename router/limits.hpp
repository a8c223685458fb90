/// Limits of the router, with their reasons; see base/limits.hpp.
#pragma once

#include <cstddef>

namespace keepstore::limits {

/// Bytes of the body of an error response that go into the log (docs/interface.md 2.3).
inline constexpr std::size_t logged_body_bytes_max = 1024;
/// Threads for what would keep an event loop for long: a list of a million items takes seconds to parse. Two, so that
/// a list of requests does not wait for that.
inline constexpr unsigned slow_call_threads = 2;
/// Calls that wait for these threads: there is one pull list and one trash list at a time, and an operator who looks.
inline constexpr std::size_t slow_calls_queued_max = 64;

}  // namespace keepstore::limits
