#include "base/async_semaphore.hpp"

namespace keepstore {

awaitable<result<async_semaphore::permit>> async_semaphore::acquire(deadline until, const char* text) {
    std::unique_lock lock(mutex_);
    if (free_ > 0) {
        --free_;
        co_return permit(*this);
    }
    const one_shot<permit> turn;
    waiters_.push_back(turn);
    lock.unlock();
    auto got = co_await turn.wait(until, text);
    if (!got) {
        lock.lock();
        std::erase_if(waiters_, [&](const auto& w) { return w.same_as(turn); });
    }
    co_return got;
}

std::size_t async_semaphore::waiters() const {
    const std::lock_guard lock(mutex_);
    return waiters_.size();
}

void async_semaphore::release() noexcept {
    result<permit> mine = permit(*this);
    const std::lock_guard lock(mutex_);
    while (!waiters_.empty()) {
        const one_shot<permit> next = std::move(waiters_.front());
        waiters_.pop_front();
        // A waiter that was cancelled or timed out, and has not resumed yet, leaves the permit for the next one.
        if (next.try_set(std::move(mine))) return;
    }
    mine->home_ = nullptr;
    ++free_;
}

}  // namespace keepstore
