/// Runs a coroutine to its end on an io_context of its own, with a limit, for tests.
/// Catch2's macros are used on the test's thread only: coroutines return values that the test checks.
#pragma once

#include "base/async.hpp"
#include "base/cancellable.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <chrono>
#include <functional>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

namespace keepstore::test {

/// An io_context that is never destroyed: a thread that resumed a coroutine may still be inside asio::post when that
/// coroutine, and the test, and the process's static objects have ended.
asio::io_context& new_context();

/// Awaits `work` and keeps what it returns: what differs by type of a coroutine that is spawned. The spawning itself is
/// compiled once (base/cancellable.cpp); of asio::co_spawn each type and each handler make 15 KB of code.
template <class T>
awaitable<void> keep_result(awaitable<T> work, std::optional<T>& out) {
    out.emplace(co_await std::move(work));
}

/// Runs it on the context. \throws std::runtime_error("timed out"), or what it throws.
void run_to_end(asio::io_context& context, awaitable<void> work, std::chrono::seconds limit);
/// Runs it, and cancels it when `when` has returned true for the first time. \throws as run_to_end().
void run_to_cancellation(asio::io_context& context, awaitable<void> work, const std::function<bool()>& when);

/// Runs it on a context of the caller's, for tests with so many calls that a context for each would take too many
/// descriptors. \throws as run().
template <class T>
T run_on(asio::io_context& context, awaitable<T> work, std::chrono::seconds limit = std::chrono::seconds(60)) {
    if constexpr (std::is_void_v<T>) {
        run_to_end(context, std::move(work), limit);
    } else {
        std::optional<T> value;
        run_to_end(context, keep_result(std::move(work), value), limit);
        return std::move(*value);
    }
}

/// \throws std::runtime_error("timed out") when `limit` passes; whatever the coroutine throws.
template <class T>
T run(awaitable<T> work, std::chrono::seconds limit = std::chrono::seconds(60)) {
    return run_on(new_context(), std::move(work), limit);
}

/// Runs the context until the condition holds. \returns whether it does.
bool turn_until(asio::io_context& context, const std::function<bool()>& holds);

/// Runs `work`, and cancels it once, when `when` has returned true; it is not called again then. \throws as run().
template <class T>
T run_and_cancel(awaitable<T> work, const std::function<bool()>& when) {
    std::optional<T> out;
    run_to_cancellation(new_context(), keep_result(run_cancellable(std::move(work)), out), when);
    return std::move(*out);
}

/// Passes what `work` returns to `ended`; for spawn().
template <class T, class Ended>
awaitable<void> then(awaitable<T> work, Ended ended) {
    ended(co_await std::move(work));
}

/// Starts `work` on the loop of a context or an executor. `ended` is called with what it returns, unless it throws.
template <class Context, class T, class Ended>
void start_work(Context& context, awaitable<T> work, Ended ended) {
    spawn(context.get_executor(), then(std::move(work), std::move(ended)));
}
/// The same, with a slot that cancels it: see run_cancellable().
template <class Context, class T, class Ended>
void start_work(Context& context, awaitable<T> work, asio::cancellation_slot slot, Ended ended) {
    spawn(context.get_executor(), then(std::move(work), std::move(ended)), slot, {});
}

/// An event loop with a thread of its own, for coroutines that meet the test's on another thread.
class loop_thread {
  public:
    loop_thread();
    loop_thread(const loop_thread&) = delete;
    loop_thread& operator=(const loop_thread&) = delete;
    /// Waits for its coroutines to end.
    ~loop_thread();
    [[nodiscard]] asio::any_io_executor executor() { return context_.get_executor(); }

  private:
    asio::io_context& context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::thread thread_;
};

}  // namespace keepstore::test
