/// Runs a coroutine on another event loop, for work that would keep the caller's one busy, and resumes the caller on
/// its own.
///
///     KS_CO_CHECK(co_await run_on_loop(loop, read_index(server, entries)));
///
/// The work may refer to the caller's frame: the caller is not resumed before the work has ended, and what the work
/// wrote is visible then. Cancelling the caller cancels the work, and its end is waited for.
#pragma once

#include "base/async.hpp"
#include "base/cancellable.hpp"

#include <optional>
#include <utility>

namespace keepstore {

/// Awaited in place. `where` runs on one thread, and goes on until the work has ended. Exceptions of the work are
/// rethrown.
[[nodiscard]] awaitable<void> run_on_loop(asio::any_io_executor where, awaitable<void> work);
/// The same, with a result.
template <class T>
[[nodiscard]] awaitable<result<T>> run_on_loop(asio::any_io_executor where, awaitable<result<T>> work) {
    std::optional<result<T>> value;
    // It may refer to this frame, too.
    const auto keep = [](awaitable<result<T>> from, std::optional<result<T>>& to) -> awaitable<void> {
        to.emplace(co_await run_cancellable(std::move(from)));
    };
    co_await run_on_loop(std::move(where), keep(std::move(work), value));
    co_return std::move(*value);
}

}  // namespace keepstore
