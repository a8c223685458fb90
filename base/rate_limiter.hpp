/// A token bucket: it fills at the rate, holds at most what comes in a tenth of a second, and may be overdrawn by one
/// read, however large. First come, first served, so that small reads do not starve a large one. It works on the times
/// that the caller gives. Belongs to one thread; only set_rate() and rate() are safe to call from any.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>

namespace keepstore {

class rate_limiter {
  public:
    using clock = std::chrono::steady_clock;

    /// Bytes per second; 0: no limit.
    explicit rate_limiter(std::uint64_t rate) noexcept : rate_(rate) {}

    void set_rate(std::uint64_t rate) noexcept { rate_.store(rate, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t rate() const noexcept { return rate_.load(std::memory_order_relaxed); }

    /// A place in the queue; left by destruction. Must not outlive the limiter.
    class ticket {
      public:
        ticket(rate_limiter& home, std::uint64_t bytes)
            : home_(home), at_(home.queue_.insert(home.queue_.end(), bytes)) {}
        ~ticket() { home_.queue_.erase(at_); }
        ticket(const ticket&) = delete;
        ticket& operator=(const ticket&) = delete;

        /// Takes the bytes if it is their turn and the bucket is not overdrawn.
        /// \returns zero if they were taken, else how long to wait before the next attempt.
        [[nodiscard]] clock::duration try_take(clock::time_point now) { return home_.try_take(at_, now); }

      private:
        rate_limiter& home_;
        const std::list<std::uint64_t>::iterator at_;
    };

    static constexpr std::chrono::milliseconds burst{100};   ///< What the rate allows at once after a pause.
    static constexpr std::chrono::seconds wait_max{1};       ///< The rate may change meanwhile.
    static constexpr std::chrono::milliseconds wait_min{1};  ///< Bounds the attempts per second.

  private:
    [[nodiscard]] clock::duration try_take(std::list<std::uint64_t>::const_iterator at, clock::time_point now) {
        const auto rate = static_cast<double>(this->rate());
        if (rate <= 0) {
            tokens_ = 0;
            filled_at_ = now;
            return {};
        }
        const double seconds =
            std::chrono::duration<double>(std::max(now - filled_at_, clock::duration::zero())).count();
        const double tokens_max = rate * std::chrono::duration<double>(burst).count();
        tokens_ = std::min(tokens_ + rate * seconds, tokens_max);
        filled_at_ = now;
        double ahead = 0;  // Bytes of the tickets before this one.
        for (auto i = queue_.cbegin(); i != at; ++i) ahead += static_cast<double>(*i);
        if (ahead == 0 && tokens_ >= 0) {
            tokens_ -= static_cast<double>(*at);
            return {};
        }
        const std::chrono::duration<double> wait((ahead - tokens_) / rate);
        if (wait > wait_max) return wait_max;
        return std::max<clock::duration>(std::chrono::duration_cast<clock::duration>(wait), wait_min);
    }

    std::atomic<std::uint64_t> rate_;
    std::list<std::uint64_t>
        queue_;          // Bytes of each ticket, a few dozen at most. A list, since tickets leave anywhere.
    double tokens_ = 0;  // Bytes; negative: overdrawn.
    clock::time_point filled_at_{};
};

}  // namespace keepstore
