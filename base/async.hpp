/// The coroutine vocabulary of the program: `awaitable<T>`, `use_tuple`, and `one_shot<T>`, the single way in which
/// anything but an Asio operation (a blocking call, a digest, a buffer pool) resumes a coroutine.
///
/// Coroutines run on the executor of their session (an io_context with one thread). Cancellation is Asio's: a cancelled
/// operation ends at once with errc::cancelled; code runs with `throw_if_cancelled(false)`, so nothing throws.
#pragma once

#include "base/deadline.hpp"
#include "base/error.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>

namespace keepstore {

namespace asio = boost::asio;

template <class T>
using awaitable = asio::awaitable<T>;

/// For I/O where an error is an ordinary outcome: `auto [ec, n] = co_await socket.async_read_some(b, use_tuple);`
inline constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);

/// `timer.async_wait(use_tuple)`, compiled once: Asio's part of a wait is large.
[[nodiscard]] awaitable<std::tuple<boost::system::error_code>> expiry(asio::steady_timer& timer);

/// Suspends for this long. \returns errc::cancelled.
[[nodiscard]] awaitable<result<void>> pause_for(asio::steady_timer::duration time);

/// Suspends until the handlers that the loop has queued have run.
[[nodiscard]] awaitable<void> yield_to_loop();

/// Queues `task` on the executor, from any thread: asio::post, compiled once.
void run_later(const asio::any_io_executor& executor, std::move_only_function<void()> task);

/// The part of a one_shot that does not depend on its type: the waiter, and how the wait ends. Compiled once.
class one_shot_core {
  public:
    enum class phase {
        open,
        ready,      ///< The value was set.
        expired,    ///< The deadline of the wait passed before.
        cancelled,  ///< The waiter was cancelled before.
    };

    one_shot_core() = default;
    one_shot_core(const one_shot_core&) = delete;
    one_shot_core& operator=(const one_shot_core&) = delete;

    /// Locks the mutex that guards the phase; the value is written with it, in phase open.
    [[nodiscard]] std::unique_lock<std::mutex> lock() { return std::unique_lock(mutex_); }
    /// With the mutex held.
    [[nodiscard]] bool open() const noexcept { return phase_ == phase::open; }
    /// Without.
    [[nodiscard]] phase phase_now() const;
    /// Enters phase `last`, unlocks the mutex, and wakes the waiter on its own executor. In phase open.
    void end(std::unique_lock<std::mutex> held, phase last);

    /// Suspends until the phase is not open, the deadline has passed, or the caller is cancelled; the latter two end
    /// phase open. \returns the phase.
    [[nodiscard]] static awaitable<phase> wait(std::shared_ptr<one_shot_core> self, deadline until);

  private:
    using handler_type = asio::any_completion_handler<void(phase)>;
    struct initiation;

    static awaitable<phase> suspend(std::shared_ptr<one_shot_core> self);
    static awaitable<phase> suspend_until(std::shared_ptr<one_shot_core> self, deadline until);

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    phase phase_ = phase::open;
    // Constructed in place and moved from, never assigned: assignment recurses without end in Boost 1.81.
    std::optional<handler_type> waiter_;
    asio::any_io_executor executor_;  // The waiter's.
};

/// A value that one thread sets once and one coroutine awaits once. Setting never blocks and may happen on any thread,
/// before or after the wait began, or after the waiter was cancelled and left (the value is dropped then).
template <class T>
class one_shot {
    struct state final : one_shot_core {
        std::optional<result<T>> value;

        // Takes the value out, for the waiter. In phase ready.
        result<T> take() {
            if (!value) return fail(errc::cancelled);  // It was taken before.
            result<T> out = std::move(*value);
            value.reset();
            return out;
        }
    };

  public:
    one_shot() : state_(std::make_shared<state>()) {}

    /// Gives the value and wakes the waiter on its own executor. Only the first call counts.
    /// \returns whether this call was the first.
    bool set(result<T> value) const { return try_set(std::move(value)); }

    /// The same, but leaves `value` as it is if this call was not the first: it can be given to another waiter.
    bool try_set(result<T>&& value) const {
        auto lock = state_->lock();
        if (!state_->open()) return false;
        state_->value.emplace(std::move(value));
        state_->end(std::move(lock), one_shot_core::phase::ready);
        return true;
    }

    /// Whether both are the same one-shot (copies share their state).
    [[nodiscard]] bool same_as(const one_shot& other) const noexcept { return state_ == other.state_; }

    /// Whether the value was set.
    [[nodiscard]] bool ready() const { return state_->phase_now() == one_shot_core::phase::ready; }

    /// Suspends until the value is set or the caller is cancelled (errc::cancelled). Does not suspend if the value is
    /// there already. A value that was set first wins over a cancellation: it is never lost.
    [[nodiscard]] awaitable<result<T>> wait() const { return wait_for(state_, deadline::never(), ""); }

    /// The same, until the deadline at the latest. \returns errc::timeout with `text`, a literal, when it has passed;
    /// the value is dropped if it comes later.
    [[nodiscard]] awaitable<result<T>> wait(deadline until, const char* text = "") const {
        return wait_for(state_, until, text);
    }

  private:
    static awaitable<result<T>> wait_for(std::shared_ptr<state> held, deadline until, const char* text) {
        auto last = held->phase_now();
        if (last != one_shot_core::phase::ready) last = co_await one_shot_core::wait(held, until);
        if (last == one_shot_core::phase::ready) co_return held->take();
        if (last == one_shot_core::phase::expired) co_return fail(errc::timeout, text);
        co_return fail(errc::cancelled);
    }

    std::shared_ptr<state> state_;
};

}  // namespace keepstore
