/// Threads for calls that may block (file system calls). Each volume has its own pool, so a hung disk ties up only its
/// own threads: when a call has not returned by its deadline its waiter gets errc::timeout while the thread stays with
/// it, and everything the call uses is owned by the call itself. Threads start on demand and stay.
///
/// A slow disk is told from a hung one by progress. A kind of call is *silent* while calls of it are pending and none
/// ends, or reports progress with note_progress(). After limits::stall_after it is stalled: calls whose deadline says
/// ending_at_stall(), pending and new ones, end with errc::unavailable. After options::silence_max all of them do.
///
/// Safe to call from any thread.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/limits.hpp"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

namespace keepstore {

class blocking_pool {
  public:
    /// Kinds of calls, whose progress is measured apart: data goes to the page cache while the sync of other data
    /// hangs.
    enum class work : unsigned char {
        read,    ///< Opens, reads, lists.
        write,   ///< Writes data.
        commit,  ///< Syncs, or changes names.
    };
    using duration = deadline::clock::duration;

    struct options {
        std::string name;  ///< Shows in thread names and logs.
        unsigned threads_max = 1;
        std::size_t queue_max = 1024;  ///< Calls waiting for a thread; one more is refused with errc::unavailable.
        /// Of the threads, those that take no writes and commits, so that these can hang and reads go on.
        unsigned threads_for_reads = 0;
        duration silence_max = duration::max();  ///< All calls end when their kind is silent for this long.
        duration call_max = duration::max();     ///< One call ends after this, although others move.
        /// Called on the call's thread with the outcome of each run() and start(), before the waiter gets it: nullptr
        /// for success.
        std::function<void(work, const error*)> on_outcome = {};
    };

    explicit blocking_pool(options);
    /// Waits limits::blocking_stop_wait for running calls; a call that hangs is abandoned with its thread (the process
    /// is ending).
    ~blocking_pool();
    blocking_pool(const blocking_pool&) = delete;
    blocking_pool& operator=(const blocking_pool&) = delete;

    /// Runs `call` on one of the pool's threads and resumes the caller on its own executor with the result.
    /// `call` must own everything it touches: it may still run after the caller got errc::timeout, errc::unavailable or
    /// errc::cancelled. A call that has not started by then is dropped unrun.
    template <class F, class T = std::invoke_result_t<F>::value_type>
    [[nodiscard]] awaitable<result<T>> run(F call, deadline until, work kind = work::read) {
        const auto task = std::make_shared<awaited_call<F, T>>(std::move(call));
        KS_CO_CHECK(co_await run_job(task, until, kind));
        co_return std::move(*task->outcome);
    }

    /// The same without waiting, to keep several calls running: the result arrives in the one_shot, errc::timeout at
    /// `until` at the latest.
    template <class F, class T = std::invoke_result_t<F>::value_type>
    [[nodiscard]] one_shot<T> start(F call, deadline until, work kind = work::read) {
        one_shot<T> done;
        if (auto queued = submit(std::make_shared<started_call<F, T>>(std::move(call), done), until, kind); !queued) {
            done.set(std::unexpected(std::move(queued.error())));
        }
        return done;
    }

    /// Queues a call that no coroutine waits for, and that is never dropped. \returns false if the queue is full.
    bool post(std::move_only_function<void()> call, work kind = work::write);

    /// Call it on a thread of a pool: the call that runs there has moved.
    static void note_progress() noexcept;

    struct stats {
        std::size_t queued;
        std::size_t running;
        std::size_t overdue;  ///< Running calls whose waiter gave up: threads that hang.
    };
    [[nodiscard]] stats snapshot() const;

    struct activity {
        std::chrono::milliseconds silence{};  ///< How long calls have been pending without progress.
        bool slow = false;                    ///< A call runs for longer than limits::slow_call_after.
        [[nodiscard]] bool stalled() const noexcept { return silence >= limits::stall_after; }
    };
    /// As of the last check (limits::hang_check_interval). A silence of reads is one of writes and commits, too, unless
    /// some of these end: they need directories. Never blocks.
    [[nodiscard]] activity activity_of(work) const noexcept;
    /// Ends the silence of a kind: the storage responds, and the calls that are pending now hang for reasons of their
    /// own. They no longer count.
    void excuse(work);

    class job {
      public:
        virtual ~job() = default;
        /// Runs the call. \returns its error, or nullptr.
        virtual const error* run() = 0;
        /// Gives the result to the waiter.
        virtual void deliver() {}
        virtual void expire(error why) = 0;
        /// Whether it ends when its kind stalls, although its deadline does not say so. With the pool's mutex held.
        [[nodiscard]] virtual bool ends_at_stall() const noexcept { return false; }
        void abandon() noexcept { abandoned_.store(true, std::memory_order_relaxed); }
        [[nodiscard]] bool abandoned() const noexcept { return abandoned_.load(std::memory_order_relaxed); }

      private:
        std::atomic<bool> abandoned_{false};
    };

    /// Queues a job, as run() does. errc::unavailable: the queue is full, or the kind stalls.
    [[nodiscard]] result<void> submit(std::shared_ptr<job>, deadline, work kind);

  private:
    /// A job of run(), whose waiter takes the outcome out of it.
    class awaited_job : public job {
      public:
        void deliver() final;
        void expire(error why) final;
        one_shot<std::monostate> done;  ///< The outcome is there, or will not be waited for.

      private:
        [[nodiscard]] virtual bool has_outcome() const noexcept = 0;
    };
    template <class F, class T>
    class awaited_call final : public awaited_job {
      public:
        explicit awaited_call(F call) : call_(std::move(call)) {}
        const error* run() override {
            if (abandoned()) return nullptr;
            outcome.emplace(call_());
            return *outcome ? nullptr : &outcome->error();
        }
        std::optional<result<T>> outcome;  ///< The waiter's once `done` is set.

      private:
        [[nodiscard]] bool has_outcome() const noexcept override { return outcome.has_value(); }
        F call_;
    };
    /// A job of start().
    template <class F, class T>
    class started_call final : public job {
      public:
        started_call(F call, one_shot<T> done) : call_(std::move(call)), done_(std::move(done)) {}
        const error* run() override {
            if (abandoned()) return nullptr;
            outcome_.emplace(call_());
            return *outcome_ ? nullptr : &outcome_->error();
        }
        void deliver() override {
            if (outcome_) done_.set(std::move(*outcome_));
        }
        void expire(error why) override { done_.set(std::unexpected(std::move(why))); }

      private:
        F call_;
        one_shot<T> done_;
        std::optional<result<T>> outcome_;
    };

    [[nodiscard]] awaitable<result<void>> run_job(std::shared_ptr<awaited_job> task, deadline until, work kind);

    struct shared;
    std::shared_ptr<shared> shared_;
};

}  // namespace keepstore
