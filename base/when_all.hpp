/// Runs several coroutines concurrently on the caller's executor and waits for all of them, also when the caller is
/// cancelled: the cancellation is passed on, and the members are waited for, since they refer to the caller's frame.
#pragma once

#include "base/async.hpp"

#include <utility>
#include <vector>

namespace keepstore {

/// Awaited in place. The first exception of a member is rethrown after all have ended.
/// \returns whether the caller was cancelled meanwhile.
[[nodiscard]] awaitable<bool> when_all(std::vector<awaitable<void>> members);

/// A member that keeps the outcome of `work` for the caller.
template <class T>
[[nodiscard]] awaitable<void> keep_outcome(awaitable<T> work, T& outcome) {
    outcome = co_await std::move(work);
}

}  // namespace keepstore
