/// A bounded first-in, first-out queue between coroutines. Safe to use from any thread; a waiter resumes on its own
/// executor. Waiters are woken in the order in which they came, and a call that arrives between the wake-up and the
/// resumption of a waiter may be faster: then that waiter waits again, last in the line. Outlives every wait, also
/// after close().
#pragma once

#include "base/async.hpp"
#include "base/async_condition.hpp"
#include "base/deadline.hpp"

#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace keepstore {

template <class T>
class async_queue {
  public:
    /// Holds at most `capacity` items; push() waits while it is full.
    explicit async_queue(std::size_t capacity) : capacity_(capacity) {}

    /// Appends an item, waiting for room. Awaited in place. \returns errc::timeout, cancelled (also after close()).
    [[nodiscard]] awaitable<result<void>> push(T item, deadline until) {
        std::unique_lock lock(mutex_);
        while (!closed_ && items_.size() >= capacity_) KS_CO_CHECK(co_await popped_.wait(lock, until));
        if (closed_) co_return fail(errc::cancelled);
        items_.push_back(std::move(item));
        pushed_.notify_one();
        co_return success();
    }

    /// Takes the oldest item, waiting for one. Awaited in place.
    /// \returns errc::timeout, cancelled (the caller was, or the queue is closed and empty).
    [[nodiscard]] awaitable<result<T>> pop(deadline until) {
        std::unique_lock lock(mutex_);
        while (!closed_ && items_.empty()) KS_CO_CHECK(co_await pushed_.wait(lock, until));
        if (items_.empty()) co_return fail(errc::cancelled);
        co_return take();
    }

    /// Takes the oldest item, if there is one. Never suspends.
    [[nodiscard]] std::optional<T> try_pop() {
        const std::lock_guard lock(mutex_);
        if (items_.empty()) return std::nullopt;
        return take();
    }

    /// Accepts no more items and ends all waits with errc::cancelled; queued items can still be taken.
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
    // Takes the oldest item out. With the mutex held.
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
