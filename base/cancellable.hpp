/// Coroutines that can be cancelled from outside: how they begin, and a handle that cancels them until they end.
#pragma once

#include "base/async.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <utility>

namespace keepstore {

/// Returns whether the calling coroutine was cancelled.
[[nodiscard]] inline awaitable<bool> is_cancelled() {
    const auto state = co_await asio::this_coro::cancellation_state;
    co_return state.cancelled() != asio::cancellation_type::none;
}

/// Wraps `work` to be spawned with a cancellation slot: total cancellation ends it, by errors of the operations that it
/// awaits instead of exceptions.
template <class T>
[[nodiscard]] awaitable<T> run_cancellable(awaitable<T> work) {
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    co_await asio::this_coro::throw_if_cancelled(false);
    co_return co_await std::move(work);
}

/// Cancels the coroutine that was spawned with its slot. Held by shared_ptr; safe to use from any thread, but for the
/// slot.
class cancellable_task : public std::enable_shared_from_this<cancellable_task> {
  public:
    explicit cancellable_task(asio::any_io_executor executor) : executor_(std::move(executor)) {}

    /// Cancels it repeatedly until it has ended: a cancellation that arrives just when an operation has completed finds
    /// nothing to cancel, and the next operation would wait.
    void cancel() {
        if (ended_.load(std::memory_order_acquire) || cancelling_.exchange(true)) return;
        asio::co_spawn(executor_, keep_cancelling(shared_from_this()), asio::detached);
    }
    /// Ends that: the coroutine has ended.
    void end() noexcept { ended_.store(true, std::memory_order_release); }

    [[nodiscard]] const asio::any_io_executor& executor() const noexcept { return executor_; }
    /// For the coroutine, on the executor.
    [[nodiscard]] asio::cancellation_slot slot() noexcept { return signal_.slot(); }

  private:
    // How soon a cancellation that found nothing to cancel is repeated.
    static constexpr std::chrono::milliseconds again_after{10};

    static awaitable<void> keep_cancelling(std::shared_ptr<cancellable_task> self) {
        asio::steady_timer timer(self->executor_);
        while (!self->ended_.load(std::memory_order_acquire)) {
            self->signal_.emit(asio::cancellation_type::total);
            timer.expires_after(again_after);
            const auto [failed] = co_await timer.async_wait(use_tuple);
            if (failed) co_return;
        }
    }

    const asio::any_io_executor executor_;
    asio::cancellation_signal signal_;  // Emitted on the executor only.
    std::atomic<bool> ended_{false};
    std::atomic<bool> cancelling_{false};
};

}  // namespace keepstore
