/// A counting semaphore for coroutines, first come, first served. Safe to use from any thread; a waiter resumes on its
/// own executor. Outlives its permits and every wait for one.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"

#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
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
    /// \returns errc::timeout with `text`, a literal, at the deadline, errc::cancelled.
    [[nodiscard]] awaitable<result<permit>> acquire(deadline until, const char* text = "");

    /// Takes a permit if one is free. Never waits.
    [[nodiscard]] std::optional<permit> try_acquire() {
        const std::lock_guard lock(mutex_);
        if (free_ == 0) return std::nullopt;
        --free_;
        return permit(*this);
    }

    /// Coroutines that wait: for statistics, out of date when it is returned.
    [[nodiscard]] std::size_t waiters() const;

  private:
    void release() noexcept;

    mutable std::mutex mutex_;
    // Guarded by mutex_. Permits are free only while none waits: free_ == 0 || waiters_.empty().
    std::size_t free_;
    std::deque<one_shot<permit>> waiters_;
};

}  // namespace keepstore
