/// Threads for calls that may block (file system calls). Each volume has its own pool, so a hung disk ties up only its
/// own threads: when a call has not returned by its deadline its waiter gets errc::timeout while the thread stays with
/// it, and everything the call uses is owned by the call itself. Threads start on demand and stay.
///
/// Safe to call from any thread.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"
#include "base/limits.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace keepstore {

class blocking_pool {
  public:
    struct options {
        std::string name;  ///< Shows in thread names and logs.
        unsigned threads_max = 1;
        std::size_t queue_max = 1024;  ///< Calls waiting for a thread; one more is refused with errc::unavailable.
    };

    explicit blocking_pool(options);
    /// Waits limits::blocking_stop_wait for running calls; a call that hangs is abandoned with its thread (the process
    /// is ending).
    ~blocking_pool();
    blocking_pool(const blocking_pool&) = delete;
    blocking_pool& operator=(const blocking_pool&) = delete;

    /// Runs `call` on one of the pool's threads and resumes the caller on its own executor with the result.
    /// `call` must own everything it touches: it may still run after the caller got errc::timeout or errc::cancelled.
    /// A call that has not started by then is dropped unrun.
    template <class F, class T = std::invoke_result_t<F>::value_type>
    [[nodiscard]] awaitable<result<T>> run(F call, deadline until) {
        one_shot<T> done;
        auto task = std::make_shared<typed_job<F, T>>(std::move(call), done);
        if (!submit(task, until)) co_return fail(errc::unavailable, "volume is overloaded or does not respond");
        auto value = co_await done.wait();
        if (!value && value.error() == errc::cancelled) task->abandon();
        co_return value;
    }

    /// The same without waiting, to keep several calls running: the result arrives in the one_shot, errc::timeout at
    /// `until` at the latest.
    template <class F, class T = std::invoke_result_t<F>::value_type>
    [[nodiscard]] one_shot<T> start(F call, deadline until) {
        one_shot<T> done;
        if (!submit(std::make_shared<typed_job<F, T>>(std::move(call), done), until)) {
            done.set(fail(errc::unavailable, "volume is overloaded or does not respond"));
        }
        return done;
    }

    /// Queues a call that no coroutine waits for. \returns false if the queue is full.
    bool post(std::move_only_function<void()> call);

    struct stats {
        std::size_t queued;
        std::size_t running;
        std::size_t overdue;  ///< Running calls whose waiter gave up: threads that hang.
    };
    [[nodiscard]] stats snapshot() const;

    class job {
      public:
        virtual ~job() = default;
        virtual void run() = 0;
        virtual void expire() = 0;
        void abandon() noexcept { abandoned_.store(true, std::memory_order_relaxed); }
        [[nodiscard]] bool abandoned() const noexcept { return abandoned_.load(std::memory_order_relaxed); }

      private:
        std::atomic<bool> abandoned_{false};
    };

  private:
    template <class F, class T>
    class typed_job final : public job {
      public:
        typed_job(F call, one_shot<T> done) : call_(std::move(call)), done_(std::move(done)) {}
        void run() override {
            if (abandoned()) return;
            done_.set(call_());
        }
        void expire() override { done_.set(fail(errc::timeout, "volume does not respond")); }

      private:
        F call_;
        one_shot<T> done_;
    };

    bool submit(std::shared_ptr<job>, deadline);

    struct shared;
    std::shared_ptr<shared> shared_;
};

}  // namespace keepstore
