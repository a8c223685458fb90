/// A counting semaphore for coroutines, first come, first served. Safe to use from any thread; a waiter resumes on its
/// own executor. Outlives its permits and every wait for one.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/wait_until.hpp"

#include <cstddef>
#include <deque>
#include <mutex>
#include <string>
#include <utility>

namespace keepstore {

class async_semaphore {
  public:
    explicit async_semaphore(std::size_t permits) noexcept : free_(permits) {}
    async_semaphore(const async_semaphore&) = delete;
    async_semaphore& operator=(const async_semaphore&) = delete;

    /// Returns itself on destruction: to the coroutine that has waited longest, if one waits.
    class permit {
      public:
        permit() = default;
        permit(permit&& other) noexcept : home_(std::exchange(other.home_, nullptr)) {}
        permit& operator=(permit&& other) noexcept {
            permit taken(std::move(other));
            std::swap(home_, taken.home_);
            return *this;
        }
        ~permit() {
            if (home_) home_->release();
        }
        [[nodiscard]] explicit operator bool() const noexcept { return home_ != nullptr; }

      private:
        friend class async_semaphore;
        explicit permit(async_semaphore& home) noexcept : home_(&home) {}
        async_semaphore* home_ = nullptr;
    };

    /// Takes a permit, waiting for one after those that wait already. Awaited in place.
    /// \returns errc::timeout with `text` at the deadline, errc::cancelled.
    [[nodiscard]] awaitable<result<permit>> acquire(deadline until, std::string text = {}) {
        std::unique_lock lock(mutex_);
        if (free_ > 0) {
            --free_;
            co_return permit(*this);
        }
        const one_shot<permit> turn;
        waiters_.push_back(turn);
        lock.unlock();
        auto got = co_await wait_until(turn, until, std::move(text));
        if (!got) {
            lock.lock();
            std::erase_if(waiters_, [&](const auto& w) { return w.same_as(turn); });
        }
        co_return got;
    }

    /// Coroutines that wait: for statistics, out of date when it is returned.
    [[nodiscard]] std::size_t waiters() const {
        const std::lock_guard lock(mutex_);
        return waiters_.size();
    }

  private:
    void release() noexcept {
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

    mutable std::mutex mutex_;
    // Guarded by mutex_. Permits are free only while none waits: free_ == 0 || waiters_.empty().
    std::size_t free_;
    std::deque<one_shot<permit>> waiters_;
};

}  // namespace keepstore
