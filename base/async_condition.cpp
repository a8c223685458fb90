#include "base/async_condition.hpp"

#include <utility>

namespace keepstore {

awaitable<result<void>> async_condition::wait(std::unique_lock<std::mutex>& lock, deadline until, const char* text) {
    const ticket mine = enlist();
    lock.unlock();
    auto woken = co_await mine.wait(until, text);
    lock.lock();
    if (woken) co_return success();
    leave(mine);
    co_return std::unexpected(std::move(woken).error());
}

async_condition::ticket async_condition::enlist() {
    ticket mine;
    waiters_.push_back(mine);
    return mine;
}

awaitable<result<void>> async_condition::wait(ticket mine, deadline until, const char* text) {
    auto woken = co_await mine.wait(until, text);
    if (woken) co_return success();
    {
        const std::lock_guard lock(mutex_);
        leave(mine);
    }
    co_return std::unexpected(std::move(woken).error());
}

bool async_condition::notify_one() {
    while (!waiters_.empty()) {
        const ticket first = std::move(waiters_.front());
        waiters_.pop_front();
        // False for a waiter that was cancelled or timed out and has not left yet: the next one is woken instead.
        if (first.set(std::monostate{})) return true;
    }
    return false;
}

void async_condition::notify_all() {
    while (notify_one()) {
    }
}

void async_condition::fail_all(const error& why) {
    for (const ticket& t : std::exchange(waiters_, {})) t.set(std::unexpected(why));
}

void async_condition::leave(const ticket& mine) {
    std::erase_if(waiters_, [&](const ticket& t) { return t.same_as(mine); });
}

}  // namespace keepstore
