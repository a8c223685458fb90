/// The coroutine vocabulary of the program: `awaitable<T>`, `use_tuple`, and `one_shot<T>`, the single way in which
/// anything but an Asio operation (a blocking call, a digest, a buffer pool) resumes a coroutine.
///
/// Coroutines run on the executor of their session (an io_context with one thread). Cancellation is Asio's: a cancelled
/// operation ends at once with errc::cancelled; code runs with `throw_if_cancelled(false)`, so nothing throws.
#pragma once

#include "base/error.hpp"

#include <boost/asio/any_completion_handler.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <memory>
#include <mutex>
#include <optional>
#include <utility>

namespace keepstore {

namespace asio = boost::asio;

template <class T>
using awaitable = asio::awaitable<T>;

/// For I/O where an error is an ordinary outcome: `auto [ec, n] = co_await socket.async_read_some(b, use_tuple);`
inline constexpr auto use_tuple = asio::as_tuple(asio::use_awaitable);

/// A value that one thread sets once and one coroutine awaits once. Setting never blocks and may happen on any thread,
/// before or after the wait began, or after the waiter was cancelled and left (the value is dropped then).
template <class T>
class one_shot {
    using handler_type = asio::any_completion_handler<void(result<T>)>;

    struct state {
        // Takes the waiter out, if there is one. Call with the mutex held.
        std::optional<handler_type> take_waiter() {
            std::optional<handler_type> out;
            if (waiter) out.emplace(std::move(*waiter));
            waiter.reset();
            return out;
        }

        std::mutex mutex;
        // Guarded by mutex.
        bool done = false;
        std::optional<result<T>> value;
        // Constructed in place and moved from, never assigned: assignment recurses without end in Boost 1.81.
        std::optional<handler_type> waiter;
        asio::any_io_executor executor;  // The waiter's.
    };

  public:
    one_shot() : state_(std::make_shared<state>()) {}

    /// Gives the value and wakes the waiter on its own executor. Only the first call counts.
    /// \returns whether this call was the first.
    bool set(result<T> value) const { return try_set(std::move(value)); }

    /// The same, but leaves `value` as it is if this call was not the first: it can be given to another waiter.
    bool try_set(result<T>&& value) const {
        std::optional<handler_type> waiter;
        asio::any_io_executor executor;
        {
            const std::lock_guard lock(state_->mutex);
            if (state_->done) return false;
            state_->done = true;
            auto taken = state_->take_waiter();
            if (!taken) {
                state_->value.emplace(std::move(value));
                return true;
            }
            waiter.emplace(std::move(*taken));
            executor = state_->executor;
        }
        complete(executor, std::move(*waiter), std::move(value));
        return true;
    }

    /// Whether both are the same one-shot (copies share their state).
    [[nodiscard]] bool same_as(const one_shot& other) const noexcept { return state_ == other.state_; }

    [[nodiscard]] bool ready() const {
        const std::lock_guard lock(state_->mutex);
        return state_->value.has_value();
    }

    /// Suspends until the value is set or the caller is cancelled (errc::cancelled). Does not suspend if the value is
    /// there already. A value that was set first wins over a cancellation: it is never lost.
    [[nodiscard]] awaitable<result<T>> wait() const {
        {
            const std::lock_guard lock(state_->mutex);
            if (state_->value) co_return std::move(*state_->value);
        }
        auto initiate = [s = state_](auto handler) {
            auto slot = asio::get_associated_cancellation_slot(handler);
            asio::any_io_executor executor = asio::get_associated_executor(handler);
            std::optional<result<T>> now;
            {
                const std::lock_guard lock(s->mutex);
                if (s->value) {
                    now.emplace(std::move(*s->value));
                } else if (!s->done) {
                    s->waiter.emplace(std::move(handler));
                    s->executor = executor;
                } else {
                    now.emplace(fail(errc::cancelled));
                }
            }
            if (now) {
                complete(executor, handler_type(std::move(handler)), std::move(*now));
                return;
            }
            if (slot.is_connected()) {
                slot.assign([weak = std::weak_ptr<state>(s)](asio::cancellation_type) {
                    const auto self = weak.lock();
                    if (!self) return;
                    std::optional<handler_type> waiter;
                    {
                        const std::lock_guard lock(self->mutex);
                        self->done = true;
                        if (auto taken = self->take_waiter()) waiter.emplace(std::move(*taken));
                    }
                    if (waiter) complete(self->executor, std::move(*waiter), fail(errc::cancelled));
                });
            }
        };
        co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(result<T>)>(std::move(initiate),
                                                                                                asio::use_awaitable);
    }

  private:
    static void complete(const asio::any_io_executor& executor, handler_type handler, result<T> value) {
        asio::post(executor, [h = std::move(handler), v = std::move(value)]() mutable { std::move(h)(std::move(v)); });
    }

    std::shared_ptr<state> state_;
};

}  // namespace keepstore
