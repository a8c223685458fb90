#include "volumes/cloud/stall_guard.hpp"

#include "base/cancellable.hpp"
#include "base/limits.hpp"

#include <boost/asio/this_coro.hpp>

#include <exception>
#include <variant>

namespace keepstore::volumes::cloud {

error stall_error(const circuit_breaker& breaker) {
    return {errc::unavailable, breaker.where().service + " does not respond"};
}

awaitable<bool> cancel_at_stall(std::shared_ptr<circuit_breaker> breaker, awaitable<void> work) {
    struct state {
        bool over = false;
        std::exception_ptr thrown;
        one_shot<std::monostate> ended;
    };
    const auto shared = std::make_shared<state>();
    const auto task = std::make_shared<cancellable_task>(co_await asio::this_coro::executor);
    spawn(task->executor(), run_cancellable(std::move(work)), task->slot(), [shared, task](std::exception_ptr thrown) {
        task->end();
        shared->over = true;
        shared->thrown = std::move(thrown);
        shared->ended.set(std::monostate{});
    });
    bool stalled = false;
    while (!shared->over) {
        const auto woken = co_await shared->ended.wait(deadline::in(limits::hang_check_interval), "");
        if (shared->over) break;
        // A wait that was cancelled or timed out is over for that one-shot.
        shared->ended = {};
        stalled = stalled || breaker->volume_health() == volume_state::stalled;
        if (stalled || woken.error() == errc::cancelled) task->cancel();
    }
    if (shared->thrown) std::rethrow_exception(shared->thrown);
    const bool cancelled = co_await is_cancelled();
    co_return stalled && !cancelled;
}

}  // namespace keepstore::volumes::cloud
