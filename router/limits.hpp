/// Limits of the router, with their reasons; see base/limits.hpp.
#pragma once

#include <chrono>
#include <cstddef>

namespace keepstore::limits {

using std::chrono::seconds;

/// Bytes of the body of an error response that go into the log (docs/interface.md 2.3).
inline constexpr std::size_t logged_body_bytes_max = 1024;
// --- status page -----------------------------------------------------------------------------------------------------
/// How often counters are sampled for rates, and how many samples there are: rates cover 10 to 15 seconds, so a page
/// that is loaded every few seconds shows changes, and single large blocks make no spikes.
inline constexpr seconds status_sample_interval{5};
inline constexpr std::size_t status_samples = 3;
/// The form with the token: many times the longest token.
inline constexpr std::size_t status_form_bytes_max = 4096;
/// For its body to arrive.
inline constexpr seconds status_form_wait{10};

// --- slow calls ------------------------------------------------------------------------------------------------------
/// Threads for what would keep an event loop for long: a list of a million items takes seconds to parse. Two, so that
/// a list of requests does not wait for that.
inline constexpr unsigned slow_call_threads = 2;
/// Calls that wait for these threads: there is one pull list and one trash list at a time, and an operator who looks.
inline constexpr std::size_t slow_calls_queued_max = 64;

}  // namespace keepstore::limits
