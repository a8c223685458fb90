/// The event loops of a volume: one io_context with one thread each, from construction to stop(). Work is spawned on
/// them in turn, from any thread, and can be cancelled from any thread.
#pragma once

#include "base/async.hpp"
#include "base/cancellable.hpp"
#include "base/wait_until.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

namespace keepstore::volumes::s3 {

/// A coroutine that runs on a loop of the volume.
class loop_task final : public cancellable_task {
  public:
    using cancellable_task::cancellable_task;

    /// Whether it was the volume that cancelled it, because the service is down.
    [[nodiscard]] bool aborted() const noexcept { return aborted_.load(std::memory_order_acquire); }

  private:
    friend class loop_set;
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
            task->end();
            done(result<T>(fail(errc::unavailable, "the volume is closed")));
            return task;
        }
        auto ended = [this, task, done = std::move(done)](std::exception_ptr thrown, result<T> outcome) mutable {
            task->end();
            forget(task);
            if (thrown) outcome = fail(errc::io_error, "internal error");
            if (!outcome && task->aborted()) outcome = fail(errc::unavailable, "the S3 service does not respond");
            done(std::move(outcome));
        };
        asio::co_spawn(task->executor(), run_cancellable(std::move(work)),
                       asio::bind_cancellation_slot(task->slot(), std::move(ended)));
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

}  // namespace keepstore::volumes::s3
