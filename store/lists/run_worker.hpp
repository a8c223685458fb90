/// What a worker of a list does.
#pragma once

#include "base/cancellable.hpp"
#include "store/lists/work_queue.hpp"

#include <exception>
#include <utility>

namespace keepstore::store {

/// Takes items from the queue, one after the other, until it is closed or the coroutine cancelled; to be spawned.
/// \param execute  Item -> awaitable<void>; starts the work, and is no coroutine itself.
/// \param failed  gets what an item has thrown: one that needs more memory than there is must not end the worker for
/// good.
template <class Item, class Execute, class Failed>
awaitable<void> work_off(work_queue<Item>& queue, Execute execute, Failed failed) {
    co_await accept_cancellation();
    while (true) {
        auto item = co_await queue.next();
        if (!item) co_return;
        {
            const typename work_queue<Item>::in_hand mark(queue);
            try {
                co_await execute(std::move(*item));
            } catch (const std::exception& e) {
                failed(e);
            }
        }
        if (co_await is_cancelled()) co_return;
    }
}

}  // namespace keepstore::store
