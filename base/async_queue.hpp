/// A bounded first-in, first-out queue between coroutines. Safe to use from any thread; a waiter resumes on its own
/// executor.
#pragma once

#include "base/async.hpp"
#include "base/async_condition.hpp"
#include "base/deadline.hpp"

#include <cstddef>
#include <deque>
#include <limits>
#include <mutex>
#include <optional>
#include <utility>

namespace keepstore {

template <class T>
class async_queue {
  public:
    /// Holds at most `capacity` items; push() waits while it is full.
    explicit async_queue(std::size_t capacity) : capacity_(capacity) {}

    /// Appends an item if there is room. Never suspends. \returns whether there was, and the queue is open.
    [[nodiscard]] bool try_push(T item) {
        const std::lock_guard lock(mutex_);
        if (closed_ || items_.size() >= capacity_) return false;
        items_.push_back(std::move(item));
        pushed_.notify_one();
        return true;
    }

    /// Appends an item, waiting for room. Awaited in place. \returns errc::timeout, cancelled (also after close()).
    [[nodiscard]] awaitable<result<void>> push(T item, deadline until) {
        while (true) {
            async_condition::ticket ticket;
            {
                const std::lock_guard lock(mutex_);
                if (closed_) co_return fail(errc::cancelled);
                if (items_.size() < capacity_) {
                    items_.push_back(std::move(item));
                    pushed_.notify_one();
                    co_return success();
                }
                ticket = popped_.enlist();
            }
            KS_CO_CHECK(co_await popped_.wait(std::move(ticket), until));
        }
    }

    /// Takes the oldest item, waiting for one. Awaited in place.
    /// \returns errc::timeout, cancelled (the caller was, or the queue is closed and empty).
    [[nodiscard]] awaitable<result<T>> pop(deadline until) {
        while (true) {
            async_condition::ticket ticket;
            {
                const std::lock_guard lock(mutex_);
                if (!items_.empty()) co_return take();
                if (closed_) co_return fail(errc::cancelled);
                ticket = pushed_.enlist();
            }
            KS_CO_CHECK(co_await pushed_.wait(std::move(ticket), until));
        }
    }

    /// The oldest item, if there is one. Never suspends.
    [[nodiscard]] std::optional<T> try_pop() {
        const std::lock_guard lock(mutex_);
        if (items_.empty()) return std::nullopt;
        return take();
    }

    /// Puts these in the place of all that is queued, whatever the capacity. The old ones are destroyed before it
    /// returns, outside the lock.
    void replace(std::deque<T> items) {
        const std::lock_guard lock(mutex_);
        if (closed_) return;
        items_.swap(items);
        for (std::size_t i = 0; i < items_.size() && pushed_.notify_one(); ++i) {
        }
        popped_.notify_all();
    }

    /// No more items are accepted, and waits end; what is queued can still be taken.
    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        pushed_.fail_all(errc::cancelled);
        popped_.fail_all(errc::cancelled);
    }

    [[nodiscard]] std::size_t size() const {
        const std::lock_guard lock(mutex_);
        return items_.size();
    }

  private:
    T take() {
        T item = std::move(items_.front());
        items_.pop_front();
        popped_.notify_one();
        return item;
    }

    const std::size_t capacity_;
    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::deque<T> items_;
    bool closed_ = false;
    async_condition pushed_{mutex_};
    async_condition popped_{mutex_};
};

}  // namespace keepstore
