/// The coroutines that a volume runs on event loops of its own, from construction to stop(). Each is spawned on the
/// loop with the fewest, from any thread, and can be cancelled from any thread. Not on the loops in turn: blocks and
/// their markers are requested in turn, and all GETs would share the connections of every other loop.
#pragma once

#include "base/async.hpp"
#include "base/cancellable.hpp"
#include "base/event_loop_group.hpp"
#include "volumes/cloud/limits.hpp"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace keepstore::volumes::cloud {

/// A coroutine that runs on a loop of the volume.
class loop_task final : public cancellable_task {
  public:
    using cancellable_task::cancellable_task;

    /// Whether it was the volume that cancelled it, because the service is down.
    [[nodiscard]] bool aborted() const noexcept { return aborted_.load(std::memory_order_acquire); }

  private:
    friend class task_group;
    std::atomic<bool> aborted_{false};
};

class task_group {
  public:
    /// `loops`, or for 0 one per processor, within limits::cloud_volume_loops_max.
    [[nodiscard]] static unsigned loops_for(unsigned loops) noexcept;

    /// On loops_for(loops) loops.
    /// \param service  its name: in lower case that of the threads, and for error texts.
    task_group(unsigned loops, std::string service);
    ~task_group() { stop(); }
    task_group(const task_group&) = delete;
    task_group& operator=(const task_group&) = delete;

    /// Cancels what runs, waits for its end (for a while; then abandons it) and ends the threads. Not from a loop.
    void stop();

    /// Starts `work`; `done` gets its outcome, on the loop. An exception becomes errc::io_error.
    /// \param abortable whether abort_all() ends it.
    template <class T, class Done>
    std::shared_ptr<loop_task> spawn(awaitable<result<T>> work, Done done, bool abortable = true) {
        const auto [task, accepted] = add(abortable);
        if (!accepted) {
            task->end();
            done(result<T>(fail(errc::unavailable, "the volume is closed")));
            return task;
        }
        // Stays so if `work` throws.
        auto outcome = std::make_shared<result<T>>(fail(errc::io_error, "internal error"));
        auto work_into = [](awaitable<result<T>> w, std::shared_ptr<result<T>> into) -> awaitable<void> {
            *into = co_await std::move(w);
        };
        auto ended = [this, task, outcome, done = std::move(done)](const std::exception_ptr&) mutable {
            task->end();
            forget(task);
            if (!*outcome && task->aborted()) *outcome = fail(errc::unavailable, service_ + " does not respond");
            done(std::move(*outcome));
        };
        keepstore::spawn(task->executor(), run_cancellable(work_into(std::move(work), outcome)), task->slot(),
                         std::move(ended));
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
    /// The number of tasks on each loop, for tests.
    [[nodiscard]] std::vector<std::size_t> loads() const;

  private:
    struct running {
        std::size_t loop;
        bool abortable;
    };

    /// A task on the loop with the fewest. \returns also whether it is to run: not when the group is stopping.
    [[nodiscard]] std::pair<std::shared_ptr<loop_task>, bool> add(bool abortable);
    void forget(const std::shared_ptr<loop_task>& task);
    void cancel_all(bool also_unabortable);

    const std::string service_;
    event_loop_group loops_;
    const std::vector<asio::any_io_executor> executors_;

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::unordered_map<std::shared_ptr<loop_task>, running> tasks_;
    std::vector<std::size_t> loads_;  ///< By loop: the number of tasks.
    bool stopping_ = false;
    std::condition_variable all_ended_;
};

}  // namespace keepstore::volumes::cloud
