/// A condition variable for coroutines: wait until another coroutine or thread has changed what a mutex guards. Safe to
/// use from any thread; a waiter resumes on its own executor.
///
///     while (true) {
///         async_condition::ticket ticket;
///         {
///             const std::lock_guard lock(mutex_);
///             if (has_room()) break;
///             ticket = room_.enlist();
///         }
///         KS_CO_CHECK(co_await room_.wait(ticket, until));
///     }
///
/// The ticket is taken in the same critical section as the check, so no notification is lost in between. After a wait
/// the condition is checked again, since another waiter may have been faster.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/wait_until.hpp"

#include <deque>
#include <mutex>
#include <string>
#include <utility>
#include <variant>

namespace keepstore {

class async_condition {
  public:
    /// `mutex` guards the state that is waited for, and outlives the condition.
    explicit async_condition(std::mutex& mutex) noexcept : mutex_(mutex) {}
    async_condition(const async_condition&) = delete;
    async_condition& operator=(const async_condition&) = delete;

    using ticket = one_shot<std::monostate>;

    /// Joins the waiters. With the mutex held.
    [[nodiscard]] ticket enlist() {
        ticket mine;
        waiters_.push_back(mine);
        return mine;
    }

    /// Suspends until the ticket is notified. Without the mutex. Awaited in place.
    /// \returns errc::timeout with `text` at the deadline, errc::cancelled; the ticket has left the waiters then.
    [[nodiscard]] awaitable<result<void>> wait(ticket mine, deadline until, std::string text = {}) {
        auto woken = co_await wait_until(mine, until, std::move(text));
        if (woken) co_return success();
        {
            const std::lock_guard lock(mutex_);
            std::erase_if(waiters_, [&](const ticket& t) { return t.same_as(mine); });
        }
        co_return std::unexpected(std::move(woken).error());
    }

    /// Wakes the waiter that enlisted first and still waits. With the mutex held. \returns whether there was one.
    bool notify_one() {
        while (!waiters_.empty()) {
            const ticket first = std::move(waiters_.front());
            waiters_.pop_front();
            if (first.set(std::monostate{})) return true;
        }
        return false;
    }

    /// Wakes all waiters. With the mutex held.
    void notify_all() {
        while (notify_one()) {
        }
    }

    /// Ends all waits with this error: their owner is closed. With the mutex held.
    void fail_all(const error& why) {
        for (const ticket& t : std::exchange(waiters_, {})) t.set(std::unexpected(why));
    }

    /// With the mutex held.
    [[nodiscard]] std::size_t waiters() const noexcept { return waiters_.size(); }

  private:
    std::mutex& mutex_;
    std::deque<ticket> waiters_;  // Guarded by mutex_.
};

}  // namespace keepstore
