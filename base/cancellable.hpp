/// Coroutines that are started, and can be cancelled from outside: how they begin, and a handle that cancels them until
/// they end. Compiled once, as far as possible: what Asio makes of each co_spawn is large.
#pragma once

#include "base/async.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/this_coro.hpp>

#include <atomic>
#include <exception>
#include <functional>
#include <memory>
#include <utility>

namespace keepstore {

/// Returns whether the calling coroutine was cancelled.
[[nodiscard]] awaitable<bool> is_cancelled();

/// Called on the executor with what the coroutine threw; nullptr: nothing.
using ended_callback = std::move_only_function<void(std::exception_ptr)>;

/// Starts `work` on the executor. Any thread.
void spawn(const asio::any_io_executor& executor, awaitable<void> work, ended_callback ended = {});
/// The same, with a slot that cancels it: see run_cancellable().
void spawn(const asio::any_io_executor& executor, awaitable<void> work, asio::cancellation_slot slot,
           ended_callback ended);

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
    void cancel();
    /// Ends that: the coroutine has ended.
    void end() noexcept { ended_.store(true, std::memory_order_release); }

    [[nodiscard]] const asio::any_io_executor& executor() const noexcept { return executor_; }
    /// For the coroutine, on the executor.
    [[nodiscard]] asio::cancellation_slot slot() noexcept { return signal_.slot(); }

  private:
    static awaitable<void> keep_cancelling(std::shared_ptr<cancellable_task> self);

    const asio::any_io_executor executor_;
    asio::cancellation_signal signal_;  // Emitted on the executor only.
    std::atomic<bool> ended_{false};
    std::atomic<bool> cancelling_{false};
};

}  // namespace keepstore
