/// Runs a coroutine to its end on an io_context of its own, with a limit, for tests.
/// Catch2's macros are used on the test's thread only: coroutines return values that the test checks.
#pragma once

#include "base/async.hpp"
#include "base/cancellable.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace keepstore::test {

/// An io_context that is never destroyed: a thread that resumed a coroutine may still be inside asio::post when that
/// coroutine, and the test, and the process's static objects have ended.
inline asio::io_context& new_context() {
    static std::mutex mutex;
    static auto& all = *new std::vector<std::unique_ptr<asio::io_context>>;
    const std::lock_guard lock(mutex);
    return *all.emplace_back(std::make_unique<asio::io_context>(1));
}

/// Runs it on a context of the caller's, for tests with so many calls that a context for each would take too many
/// descriptors. \throws as run().
template <class T>
T run_on(asio::io_context& context, awaitable<T> work, std::chrono::seconds limit = std::chrono::seconds(60)) {
    context.restart();
    std::exception_ptr thrown;
    bool finished = false;
    if constexpr (std::is_void_v<T>) {
        asio::co_spawn(context, std::move(work), [&](std::exception_ptr e) {
            thrown = e;
            finished = true;
        });
        context.run_for(limit);
        if (!finished) throw std::runtime_error("timed out");
        if (thrown) std::rethrow_exception(thrown);
    } else {
        std::optional<T> value;
        asio::co_spawn(context, std::move(work), [&](std::exception_ptr e, T v) {
            thrown = e;
            if (!e) value.emplace(std::move(v));
            finished = true;
        });
        context.run_for(limit);
        if (!finished) throw std::runtime_error("timed out");
        if (thrown) std::rethrow_exception(thrown);
        return std::move(*value);
    }
}

/// \throws std::runtime_error("timed out") when `limit` passes; whatever the coroutine throws.
template <class T>
T run(awaitable<T> work, std::chrono::seconds limit = std::chrono::seconds(60)) {
    return run_on(new_context(), std::move(work), limit);
}

/// Runs the context until the condition holds. \returns whether it does.
inline bool turn_until(asio::io_context& context, const std::function<bool()>& holds) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(40);
    while (!holds() && std::chrono::steady_clock::now() < limit) {
        context.restart();
        context.run_for(std::chrono::milliseconds(2));
    }
    return holds();
}

/// Runs `work`, and cancels it once, when `when` has returned true; it is not called again then. \throws as run().
template <class T>
T run_and_cancel(awaitable<T> work, const std::function<bool()>& when) {
    asio::io_context& context = new_context();
    asio::cancellation_signal signal;
    std::exception_ptr thrown;
    std::optional<T> out;
    asio::co_spawn(context, run_cancellable(std::move(work)),
                   asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr e, T value) {
                       thrown = e;
                       out.emplace(std::move(value));
                   }));
    bool cancelled = false;
    const auto ended = [&] {
        if (!out && !cancelled && when()) {
            cancelled = true;
            signal.emit(asio::cancellation_type::total);
        }
        return out.has_value();
    };
    if (!turn_until(context, ended)) throw std::runtime_error("timed out");
    if (thrown) std::rethrow_exception(thrown);
    return std::move(*out);
}

/// An event loop with a thread of its own, for coroutines that meet the test's on another thread.
class loop_thread {
  public:
    loop_thread() : context_(new_context()), work_(context_.get_executor()), thread_([this] { context_.run(); }) {}
    loop_thread(const loop_thread&) = delete;
    loop_thread& operator=(const loop_thread&) = delete;
    /// Waits for its coroutines to end.
    ~loop_thread() {
        work_.reset();
        thread_.join();
    }
    [[nodiscard]] asio::any_io_executor executor() { return context_.get_executor(); }

  private:
    asio::io_context& context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_;
    std::thread thread_;
};

}  // namespace keepstore::test
