/// A counting semaphore for coroutines, first come, first served. Safe to use from any thread; a waiter resumes on its
/// own executor.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/wait_until.hpp"

#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace keepstore {

class async_semaphore {
  public:
    explicit async_semaphore(std::size_t permits) noexcept : free_(permits) {}
    async_semaphore(const async_semaphore&) = delete;
    async_semaphore& operator=(const async_semaphore&) = delete;

    /// Gives itself back on destruction. Must not outlive the semaphore.
    class permit {
      public:
        permit() = default;
        permit(permit&& other) noexcept : home_(std::exchange(other.home_, nullptr)) {}
        permit& operator=(permit&& other) noexcept {
            std::swap(home_, other.home_);
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

    /// A permit if there is one now and no coroutine waits for one. Never suspends.
    [[nodiscard]] std::optional<permit> try_acquire() {
        const std::lock_guard lock(mutex_);
        if (free_ == 0 || !waiters_.empty()) return std::nullopt;
        --free_;
        return permit(*this);
    }

    /// Waits for a permit. Awaited in place. \returns errc::timeout with `text` at the deadline, errc::cancelled.
    [[nodiscard]] awaitable<result<permit>> acquire(deadline until, std::string text = {}) {
        one_shot<permit> turn;
        {
            const std::lock_guard lock(mutex_);
            if (free_ > 0 && waiters_.empty()) {
                --free_;
                co_return permit(*this);
            }
            waiters_.push_back(turn);
        }
        auto got = co_await wait_until(turn, until, std::move(text));
        if (!got) {
            const std::lock_guard lock(mutex_);
            std::erase_if(waiters_, [&](const auto& w) { return w.same_as(turn); });
        }
        co_return got;
    }

    /// Permits that are free, and coroutines that wait: for statistics, out of date when they are returned.
    [[nodiscard]] std::size_t available() const {
        const std::lock_guard lock(mutex_);
        return free_;
    }
    [[nodiscard]] std::size_t waiters() const {
        const std::lock_guard lock(mutex_);
        return waiters_.size();
    }

  private:
    void release() noexcept {
        one_shot<permit> next;
        {
            const std::lock_guard lock(mutex_);
            if (waiters_.empty()) {
                ++free_;
                return;
            }
            next = std::move(waiters_.front());
            waiters_.pop_front();
        }
        // If that waiter was cancelled or ran out of time meanwhile, its permit is destroyed, which calls release()
        // again.
        next.set(permit(*this));
    }

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::size_t free_;
    std::deque<one_shot<permit>> waiters_;
};

}  // namespace keepstore
