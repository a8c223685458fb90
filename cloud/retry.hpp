/// Decides whether a failed request is retried, and when, as AWS's "standard" mode does. A token bucket shared by all
/// requests of a client stops retries when most requests fail: an outage then costs one attempt, not five, and the next
/// request notices its end. Waits are random between zero and an exponentially growing limit ("full jitter"), so that
/// clients that failed together do not retry together. No retry begins after the caller's deadline.
///
/// The caller decides whether a body can be sent again (cloud/call_runner.cpp).
#pragma once

#include "base/deadline.hpp"
#include "cloud/error.hpp"
#include "cloud/limits.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>

namespace keepstore::cloud {

struct retry_options {
    unsigned attempts_max = limits::cloud_attempts_max;
    std::chrono::milliseconds transient_base = limits::cloud_retry_transient_base;
    std::chrono::milliseconds throttled_base = limits::cloud_retry_throttled_base;
    std::chrono::milliseconds wait_max = limits::cloud_retry_wait_max;
    /// Uniform in [0, 1). Injected by tests; by default a generator of the thread.
    std::function<double()> random;
};

/// Shared by all requests to one bucket or container. Safe to call from any thread.
class retry_policy {
  public:
    explicit retry_policy(retry_options = {});

    [[nodiscard]] int tokens() const noexcept { return tokens_.load(std::memory_order_relaxed); }
    [[nodiscard]] const retry_options& options() const noexcept { return options_; }

  private:
    friend class retry_session;

    [[nodiscard]] bool take(int cost) noexcept;
    void give(int amount) noexcept;

    const retry_options options_;
    std::atomic<int> tokens_{limits::cloud_retry_tokens_max};
};

/// One request with all its attempts. The policy must outlive it. Use from one coroutine at a time.
class retry_session {
  public:
    using clock = deadline::clock;

    retry_session(retry_policy& policy, deadline until) : policy_(policy), until_(until) {}

    /// Records a failed attempt. \returns how long to wait before the next one, or nullopt to give up (the failure is
    /// permanent, attempts or tokens are spent, or the wait would end after the deadline).
    /// \param at_least the service's Retry-After, capped by wait_max.
    [[nodiscard]] std::optional<clock::duration> next_wait(error_kind kind, clock::time_point now,
                                                           clock::duration at_least = {});
    /// Records the attempt that succeeded, and gives tokens back.
    void succeeded() noexcept;

    /// Resets the failure count: data is arriving, if in several attempts.
    void note_progress() noexcept { failures_ = 0; }

    /// Returns the number of failed attempts since the start or the last progress.
    [[nodiscard]] unsigned failures() const noexcept { return failures_; }

  private:
    retry_policy& policy_;
    deadline until_;
    unsigned failures_ = 0;
    int last_cost_ = 0;
};

}  // namespace keepstore::cloud
