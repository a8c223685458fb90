/// Ends a call early when the volume stalls and its caller has an alternative (deadline::ending_at_stall).
#pragma once

#include "base/cancellable.hpp"
#include "base/limits.hpp"
#include "base/wait_until.hpp"
#include "volumes/cloud/circuit_breaker.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>

#include <exception>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

namespace keepstore::volumes::cloud {

/// Runs `work`, which may refer to the caller's frame: it is cancelled and waited for when the breaker's calls stall.
/// Awaited in place. \returns its outcome; errc::unavailable at a stall.
template <class T>
[[nodiscard]] awaitable<result<T>> unless_stalled(std::shared_ptr<circuit_breaker> breaker, deadline until,
                                                  awaitable<result<T>> work) {
    if (!until.ends_at_stall()) co_return co_await std::move(work);
    const auto stalls = [&breaker] { return breaker->volume_health() == volume_state::stalled; };
    const auto hung = [&breaker] { return fail(errc::unavailable, breaker->where().service + " does not respond"); };
    if (stalls()) co_return hung();
    struct state {
        std::optional<result<T>> outcome;
        std::exception_ptr thrown;
        one_shot<std::monostate> ended;
    };
    const auto shared = std::make_shared<state>();
    const auto task = std::make_shared<cancellable_task>(co_await asio::this_coro::executor);
    auto ended = [shared, task](std::exception_ptr thrown, result<T> outcome) {
        task->end();
        shared->thrown = thrown;
        shared->outcome.emplace(std::move(outcome));
        shared->ended.set(std::monostate{});
    };
    asio::co_spawn(task->executor(), run_cancellable(std::move(work)),
                   asio::bind_cancellation_slot(task->slot(), std::move(ended)));
    bool stalled = false;
    while (!shared->outcome) {
        const auto woken = co_await wait_until(shared->ended, deadline::in(limits::hang_check_interval));
        if (shared->outcome) break;
        // A wait that was cancelled or timed out is over for that one-shot.
        shared->ended = {};
        stalled = stalled || stalls();
        if (stalled || woken.error() == errc::cancelled) task->cancel();
    }
    if (shared->thrown) std::rethrow_exception(shared->thrown);
    if (stalled && !*shared->outcome && shared->outcome->error() == errc::cancelled && !co_await is_cancelled()) {
        co_return hung();
    }
    co_return std::move(*shared->outcome);
}

}  // namespace keepstore::volumes::cloud
