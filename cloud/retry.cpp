#include "cloud/retry.hpp"

#include "cloud/limits.hpp"

#include <algorithm>
#include <random>

namespace keepstore::cloud {
namespace {

double thread_random() {
    thread_local std::mt19937_64 generator{std::random_device{}()};
    return std::uniform_real_distribution<double>(0.0, 1.0)(generator);
}

}  // namespace

retry_policy::retry_policy(retry_options options)
    : options_([&] {
          if (!options.random) options.random = thread_random;
          return std::move(options);
      }()) {}

bool retry_policy::take(int cost) noexcept {
    int have = tokens_.load(std::memory_order_relaxed);
    while (have >= cost) {
        if (tokens_.compare_exchange_weak(have, have - cost, std::memory_order_relaxed)) return true;
    }
    return false;
}

void retry_policy::give(int amount) noexcept {
    int have = tokens_.load(std::memory_order_relaxed);
    while (have < limits::cloud_retry_tokens_max) {
        const int more = std::min(limits::cloud_retry_tokens_max, have + amount);
        if (tokens_.compare_exchange_weak(have, more, std::memory_order_relaxed)) return;
    }
}

std::optional<retry_session::clock::duration> retry_session::next_wait(error_kind kind, clock::time_point now,
                                                                       clock::duration at_least) {
    const auto& options = policy_.options_;
    const auto how = classify_retry(kind);
    ++failures_;
    if (how == retry_class::never || failures_ >= options.attempts_max) return std::nullopt;

    const bool throttled = how == retry_class::throttled;
    const auto base = throttled ? options.throttled_base : options.transient_base;
    // Capped before it could overflow: wait_max is some seconds.
    const auto grown = base * (std::int64_t{1} << std::min(failures_ - 1, 16U));
    const auto limit = std::min<std::chrono::duration<double, std::milli>>(grown, options.wait_max);
    const auto random_wait = std::chrono::duration_cast<clock::duration>(limit * options.random());
    const auto wait = std::max(random_wait, std::min<clock::duration>(at_least, options.wait_max));
    if (!until_.is_never() && now + wait >= until_.at()) return std::nullopt;

    // A throttling response is cheap for the service; a timeout or broken connection cost it more.
    const int cost = throttled ? limits::cloud_retry_cost_throttled : limits::cloud_retry_cost_transient;
    if (!policy_.take(cost)) return std::nullopt;
    last_cost_ = cost;
    return wait;
}

void retry_session::succeeded() noexcept {
    policy_.give(failures_ == 0 ? limits::cloud_retry_refund : last_cost_);
    last_cost_ = 0;
}

}  // namespace keepstore::cloud
