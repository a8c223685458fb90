/// One call at a time for a result that any number of callers want: the first starts it, the others join it
/// (single-flight, request coalescing). The flight is not tied to its callers: it goes on when they leave or run out of
/// time. Safe to use from any thread; a caller resumes on its own executor. May be destroyed while callers wait and a
/// flight is running.
#pragma once

#include "base/async.hpp"
#include "base/deadline.hpp"

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace keepstore {

/// `T` is copied for each caller: make it cheap (a shared_ptr), or small.
template <class T>
class single_flight {
    struct state {
        std::mutex mutex;
        // Guarded by mutex.
        bool flying = false;
        std::vector<one_shot<T>> waiters;
    };

  public:
    /// The duty to end a flight. Held by whatever runs it; destroyed without an outcome, the flight ends with
    /// errc::cancelled. May outlive the single_flight.
    class flight {
      public:
        flight(flight&& other) noexcept = default;
        flight& operator=(flight&&) = delete;
        ~flight() {
            if (state_) land(fail(errc::cancelled));
        }
        /// Gives the outcome to every caller; the next call starts a new flight. Called at most once.
        void land(const result<T>& outcome) {
            const auto home = std::exchange(state_, nullptr);
            std::vector<one_shot<T>> waiters;
            {
                const std::lock_guard lock(home->mutex);
                home->flying = false;
                waiters.swap(home->waiters);
            }
            for (const auto& w : waiters) w.set(outcome);
        }

      private:
        friend class single_flight;
        explicit flight(std::shared_ptr<state> home) noexcept : state_(std::move(home)) {}
        std::shared_ptr<state> state_;
    };

    single_flight() : state_(std::make_shared<state>()) {}

    /// Joins the running flight, or starts one by `start(flight)`, which must not wait and may land it at once. Awaited
    /// in place. \returns the flight's outcome; errc::timeout with `text`, a literal, at the deadline, errc::cancelled.
    template <class Start>
    [[nodiscard]] awaitable<result<T>> run(Start start, deadline until, const char* text = "") {
        const auto home = state_;  // `this` may be gone after the wait.
        one_shot<T> mine;
        bool first = false;
        {
            const std::lock_guard lock(home->mutex);
            home->waiters.push_back(mine);
            first = !std::exchange(home->flying, true);
        }
        if (first) start(flight(home));
        auto outcome = co_await mine.wait(until, text);
        if (!outcome) {
            const std::lock_guard lock(home->mutex);
            std::erase_if(home->waiters, [&](const auto& w) { return w.same_as(mine); });
        }
        co_return outcome;
    }

    /// Starts a flight by `start(flight)` unless one is running, and does not wait for it.
    template <class Start>
    void launch(Start start) {
        {
            const std::lock_guard lock(state_->mutex);
            if (std::exchange(state_->flying, true)) return;
        }
        start(flight(state_));
    }

    [[nodiscard]] bool flying() const {
        const std::lock_guard lock(state_->mutex);
        return state_->flying;
    }

    /// Ends all waits with errc::cancelled, before the callers' loops end. A running flight goes on.
    void dismiss_callers() {
        std::vector<one_shot<T>> waiters;
        {
            const std::lock_guard lock(state_->mutex);
            waiters.swap(state_->waiters);
        }
        for (const auto& w : waiters) w.set(fail(errc::cancelled));
    }

  private:
    const std::shared_ptr<state> state_;
};

}  // namespace keepstore
