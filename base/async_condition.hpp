/// A condition variable for coroutines: wait until another coroutine or thread has changed state that a mutex guards.
/// Safe to use from any thread; a waiter resumes on its own executor.
///
///     std::unique_lock lock(mutex_);
///     while (!has_room()) KS_CO_CHECK(co_await room_.wait(lock, until));
///
/// As with std::condition_variable, the wait unlocks the mutex and locks it again, no notification is lost in between,
/// and the condition is checked again afterwards, since another coroutine may have been faster. The mutex must be
/// unlocked before anything else is awaited.
///
/// Outlives every wait: a waiter that resumes still locks the mutex, also after fail_all().
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"

#include <cstddef>
#include <deque>
#include <mutex>
#include <variant>

namespace keepstore {

class async_condition {
  public:
    /// `mutex` guards the state that is waited for, and outlives the condition.
    explicit async_condition(std::mutex& mutex) noexcept : mutex_(mutex) {}
    async_condition(const async_condition&) = delete;
    async_condition& operator=(const async_condition&) = delete;

    /// Unlocks the mutex, suspends until a notification, and locks the mutex again, whatever the outcome. `lock` holds
    /// the mutex. Awaited in place.
    /// \returns errc::timeout with `text`, a literal, at the deadline, errc::cancelled, the error of fail_all(). A
    /// waiter that got an error took no notification from another one.
    [[nodiscard]] awaitable<result<void>> wait(std::unique_lock<std::mutex>& lock, deadline until,
                                               const char* text = "");

    using ticket = one_shot<std::monostate>;

    /// Joins the waiters, for a coroutine that holds the mutex by other means than a unique_lock. With the mutex held.
    [[nodiscard]] ticket enlist();

    /// As the other wait(), with a ticket that was taken in the critical section in which the condition was checked.
    /// Without the mutex. Each ticket is waited for, or it swallows a notification. Awaited in place.
    [[nodiscard]] awaitable<result<void>> wait(ticket mine, deadline until, const char* text = "");

    /// Wakes the coroutine that has waited longest. With the mutex held. \returns whether there was one.
    bool notify_one();

    /// Wakes all waiters. With the mutex held.
    void notify_all();

    /// Ends all waits with this error. With the mutex held.
    void fail_all(const error& why);

    /// Number of waiters, including those that were cancelled and have not resumed yet. With the mutex held.
    [[nodiscard]] std::size_t waiters() const noexcept { return waiters_.size(); }

  private:
    void leave(const ticket& mine);

    std::mutex& mutex_;
    std::deque<ticket> waiters_;  // Guarded by mutex_.
};

}  // namespace keepstore
