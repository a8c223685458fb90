#include "base/run_on_loop.hpp"

#include <boost/asio/this_coro.hpp>

#include <exception>
#include <memory>
#include <variant>

namespace keepstore {

awaitable<void> run_on_loop(asio::any_io_executor where, awaitable<void> work) {
    struct state {
        std::exception_ptr thrown;
        one_shot<std::monostate> ended;
        one_shot<std::monostate> ended_after_cancellation;  // A one-shot whose wait was cancelled is of no more use.
    };
    auto shared = std::make_shared<state>();
    auto task = std::make_shared<cancellable_task>(where);
    run_later(where, [shared, task, where, work = std::move(work)]() mutable {
        spawn(where, std::move(work), task->slot(), [shared, task](std::exception_ptr e) {
            task->end();
            shared->thrown = std::move(e);
            shared->ended.set(std::monostate{});
            shared->ended_after_cancellation.set(std::monostate{});
        });
    });
    if (!co_await shared->ended.wait()) {
        task->cancel();
        co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
        (void)co_await shared->ended_after_cancellation.wait();
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    }
    if (shared->thrown) std::rethrow_exception(shared->thrown);
}

}  // namespace keepstore
