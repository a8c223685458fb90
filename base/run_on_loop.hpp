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

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

namespace keepstore {

/// Awaited in place. `where` runs on one thread, and goes on until the work has ended. Exceptions of the work are
/// rethrown.
template <class T>
[[nodiscard]] awaitable<result<T>> run_on_loop(asio::any_io_executor where, awaitable<result<T>> work) {
    struct state {
        std::optional<result<T>> value;
        std::exception_ptr thrown;
        one_shot<std::monostate> ended;
        one_shot<std::monostate> ended_after_cancellation;  // A one-shot whose wait was cancelled is of no more use.
    };
    auto shared = std::make_shared<state>();
    auto task = std::make_shared<cancellable_task>(where);
    asio::post(where, [shared, task, where, work = std::move(work)]() mutable {
        asio::co_spawn(where, run_cancellable(std::move(work)),
                       asio::bind_cancellation_slot(task->slot(), [shared, task](std::exception_ptr e, result<T> got) {
                           task->end();
                           shared->thrown = e;
                           shared->value.emplace(std::move(got));
                           shared->ended.set(std::monostate{});
                           shared->ended_after_cancellation.set(std::monostate{});
                       }));
    });
    if (!co_await shared->ended.wait()) {
        task->cancel();
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        (void)co_await shared->ended_after_cancellation.wait();
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    }
    if (shared->thrown) std::rethrow_exception(shared->thrown);
    co_return std::move(*shared->value);
}

}  // namespace keepstore
