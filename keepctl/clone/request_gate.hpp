/// Lets as many requests begin as an adaptive_limit says. Used from one event loop.
///
///     if (!co_await gate.enter()) co_return;   // The run is to stop.
///     ...
///     gate.leave();
#pragma once

#include "base/async_condition.hpp"
#include "keepctl/clone/adaptive_limit.hpp"

#include <mutex>

namespace keepstore::keepctl {

class request_gate {
  public:
    explicit request_gate(unsigned most) : limit_(most, adaptive_limit::clock::now()) {}

    /// Waits for a turn. Awaited in place. \returns false after close(), or if the caller was cancelled.
    [[nodiscard]] awaitable<bool> enter() {
        std::unique_lock lock(mutex_);
        while (inside_ >= limit_.limit() && !closed_) {
            if (const auto woken = co_await turn_.wait(lock, deadline::never()); !woken) co_return false;
        }
        if (closed_) co_return false;
        ++inside_;
        co_return true;
    }

    /// The service asked for fewer requests.
    void slow_down() { limit_.throttled(adaptive_limit::clock::now()); }

    /// A request has ended.
    void leave() {
        const auto now = adaptive_limit::clock::now();
        const std::lock_guard lock(mutex_);
        --inside_;
        limit_.completed(turn_.waiters() > 0, now);
        for (unsigned i = inside_; i < limit_.limit() && turn_.notify_one(); ++i) {
        }
    }

    void set_most(unsigned most) { limit_.set_most(most); }
    [[nodiscard]] unsigned limit() const noexcept { return limit_.limit(); }

    /// Ends all waits.
    void close() {
        const std::lock_guard lock(mutex_);
        closed_ = true;
        turn_.notify_all();
    }

  private:
    std::mutex mutex_;  // For the condition: one thread runs it all.
    async_condition turn_{mutex_};
    adaptive_limit limit_;
    unsigned inside_ = 0;
    bool closed_ = false;
};

}  // namespace keepstore::keepctl
