/// Ends a call early when the volume stalls and its caller has an alternative (deadline::ending_at_stall).
#pragma once

#include "base/async.hpp"
#include "volumes/cloud/circuit_breaker.hpp"

#include <memory>
#include <optional>
#include <utility>

namespace keepstore::volumes::cloud {

/// Runs `work`, cancels it when the breaker's calls stall, and waits for it. Rethrows what it throws. Awaited in place.
/// \returns whether they stalled while the caller was not cancelled.
[[nodiscard]] awaitable<bool> cancel_at_stall(std::shared_ptr<circuit_breaker> breaker, awaitable<void> work);

[[nodiscard]] error stall_error(const circuit_breaker& breaker);

template <class T>
[[nodiscard]] awaitable<void> store_outcome(awaitable<result<T>> work, std::shared_ptr<std::optional<result<T>>> into) {
    into->emplace(co_await std::move(work));
}

/// Runs `work`, which may refer to the caller's frame: it is cancelled and waited for when the breaker's calls stall.
/// Awaited in place. \returns its outcome; errc::unavailable at a stall.
template <class T>
[[nodiscard]] awaitable<result<T>> unless_stalled(std::shared_ptr<circuit_breaker> breaker, deadline until,
                                                  awaitable<result<T>> work) {
    if (!until.ends_at_stall()) co_return co_await std::move(work);
    if (breaker->volume_health() == volume_state::stalled) co_return std::unexpected(stall_error(*breaker));
    const auto outcome = std::make_shared<std::optional<result<T>>>();
    const bool stalled = co_await cancel_at_stall(breaker, store_outcome(std::move(work), outcome));
    if (stalled && !**outcome && (*outcome)->error() == errc::cancelled) {
        co_return std::unexpected(stall_error(*breaker));
    }
    co_return std::move(**outcome);
}

}  // namespace keepstore::volumes::cloud
