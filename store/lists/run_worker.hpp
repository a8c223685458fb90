/// The loop of a worker of a list. It lets others run on its event loop every limits::list_worker_turn, also when a
/// million items need no waiting because they are wrong.
#pragma once

#include "base/cancellable.hpp"
#include "store/limits.hpp"
#include "store/lists/work_queue.hpp"

#include <chrono>
#include <exception>
#include <utility>

namespace keepstore::store {

/// Executes items of the queue, one after the other, until the coroutine is cancelled; to be spawned by
/// run_cancellable().
/// \param execute  Item -> awaitable<void>; starts the work, and is no coroutine itself.
/// \param failed  gets the exception of an item: one that needs more memory than there is must not end the worker.
template <class Item, class Execute, class Failed>
awaitable<void> run_worker(work_queue<Item>& queue, Execute execute, Failed failed) {
    using clock = std::chrono::steady_clock;
    auto turn_ends = clock::now() + limits::list_worker_turn;
    while (true) {
        auto work = co_await queue.next();
        if (!work) co_return;
        try {
            co_await execute(std::move(work->item));
        } catch (const std::exception& e) {
            failed(e);
        }
        if (co_await is_cancelled()) co_return;
        if (clock::now() < turn_ends) continue;
        co_await yield_to_loop();
        turn_ends = clock::now() + limits::list_worker_turn;
    }
}

}  // namespace keepstore::store
