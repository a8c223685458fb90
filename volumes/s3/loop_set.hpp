/// The event loops of a volume: one io_context with one thread each, from construction to stop(). Work is spawned on them
/// in turn, from any thread, and can be cancelled from any thread.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

namespace keepstore::volumes::s3 {

/// A coroutine that runs on a loop of the volume. Safe to use from any thread.
class loop_task : public std::enable_shared_from_this<loop_task> {
  public:
    explicit loop_task(asio::any_io_executor executor) : executor_(std::move(executor)) {}

    /// Cancels it, again and again until it has ended: a cancellation that comes just when an operation has completed
    /// finds nothing to cancel, and the next operation would wait.
    void cancel();

    [[nodiscard]] const asio::any_io_executor& executor() const noexcept { return executor_; }
    /// Whether it was the volume that cancelled it, because the service is down.
    [[nodiscard]] bool aborted() const noexcept { return aborted_.load(std::memory_order_acquire); }

  private:
    friend class loop_set;
    static awaitable<void> keep_cancelling(std::shared_ptr<loop_task> self);

    const asio::any_io_executor executor_;
    asio::cancellation_signal signal_;  // Emitted on the executor only.
    std::atomic<bool> ended_{false};
    std::atomic<bool> cancelling_{false};
    std::atomic<bool> aborted_{false};
};

class loop_set {
  public:
    /// `count` loops; 0: one per processor, within limits::s3_volume_loops_max.
    explicit loop_set(unsigned count);
    ~loop_set() { stop(); }
    loop_set(const loop_set&) = delete;
    loop_set& operator=(const loop_set&) = delete;

    /// Cancels what runs, waits for its end (for a while; then abandons it) and ends the threads. Not from a loop.
    void stop();

    /// Starts `work`; `done` gets its outcome, on the loop. An exception becomes errc::io_error.
    /// \param abortable whether abort_all() ends it.
    template <class T, class Done>
    std::shared_ptr<loop_task> spawn(awaitable<result<T>> work, Done done, bool abortable = true) {
        auto task = std::make_shared<loop_task>(next_executor());
        if (!remember(task, abortable)) {
            task->ended_ = true;
            done(result<T>(fail(errc::unavailable, "the volume is closed")));
            return task;
        }
        auto ended = [this, task, done = std::move(done)](std::exception_ptr thrown, result<T> outcome) mutable {
            task->ended_.store(true, std::memory_order_release);
            forget(task);
            if (thrown) outcome = fail(errc::io_error, "internal error");
            if (!outcome && task->aborted()) outcome = fail(errc::unavailable, "the S3 service does not respond");
            done(std::move(outcome));
        };
        asio::co_spawn(task->executor(), run_cancellable(std::move(work)),
                       asio::bind_cancellation_slot(task->signal_.slot(), std::move(ended)));
        return task;
    }

    /// Runs `work` on a loop for the calling coroutine, whose cancellation ends it.
    template <class T>
    [[nodiscard]] awaitable<result<T>> run(awaitable<result<T>> work) {
        one_shot<T> outcome;
        const auto task = spawn<T>(std::move(work), [outcome](result<T> got) { outcome.set(std::move(got)); });
        auto got = co_await outcome.wait();
        if (!got && got.error() == errc::cancelled) task->cancel();
        co_return got;
    }

    /// Cancels all tasks that may be aborted; their outcome is errc::unavailable.
    void abort_all() { cancel_all(false); }

    [[nodiscard]] std::size_t size() const noexcept { return loops_.size(); }

  private:
    struct loop {
        asio::io_context context{1};
        asio::executor_work_guard<asio::io_context::executor_type> work{context.get_executor()};
        std::thread thread;
    };

    template <class T>
    static awaitable<result<T>> run_cancellable(awaitable<result<T>> work) {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        co_return co_await std::move(work);
    }

    [[nodiscard]] asio::any_io_executor next_executor();
    [[nodiscard]] bool remember(const std::shared_ptr<loop_task>& task, bool abortable);
    void forget(const std::shared_ptr<loop_task>& task);
    void cancel_all(bool also_unabortable);

    std::vector<std::unique_ptr<loop>> loops_;  // Constant after construction.
    std::atomic<unsigned> next_{0};

    std::mutex mutex_;
    // Guarded by mutex_.
    std::unordered_map<std::shared_ptr<loop_task>, bool> tasks_;  ///< With whether they may be aborted.
    bool stopping_ = false;
    std::condition_variable all_ended_;
};

/// Waits for the value at most until then: errc::timeout.
template <class T>
[[nodiscard]] awaitable<result<T>> wait_until(one_shot<T> value, deadline until) {
    if (until.is_never() || value.ready()) co_return co_await value.wait();
    const auto executor = co_await asio::this_coro::executor;
    asio::steady_timer timer(executor, until.at());
    timer.async_wait([value](const boost::system::error_code& stopped) {
        if (!stopped) value.set(fail(errc::timeout));
    });
    co_return co_await value.wait();
}

}  // namespace keepstore::volumes::s3
