/// How fast a scrub may read: a bucket that fills at a rate and may be overdrawn by one read. Reads are served in the
/// order in which they came, so that no block is left behind. Works on times that the caller gives. Belongs to one
/// thread; only the rate may be changed and asked for from any.
#pragma once

#include "base/limits.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>

namespace keepstore::store {

class scrub_pace {
  public:
    using clock = std::chrono::steady_clock;

    /// Bytes per second; 0: no limit.
    explicit scrub_pace(std::uint64_t rate) noexcept : rate_(rate) {}

    void set_rate(std::uint64_t rate) noexcept { rate_.store(rate, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t rate() const noexcept { return rate_.load(std::memory_order_relaxed); }

    /// A read that waits for its turn; gives up its place when destroyed.
    class place {
      public:
        place(scrub_pace& pace, std::uint64_t bytes) : pace_(pace), at_(pace.queue_.insert(pace.queue_.end(), bytes)) {}
        ~place() { pace_.queue_.erase(at_); }
        place(const place&) = delete;
        place& operator=(const place&) = delete;

        /// Takes the bytes if they may be read now. \returns zero then, or how long to wait before asking again.
        [[nodiscard]] clock::duration take(clock::time_point now) { return pace_.take(at_, now); }

      private:
        scrub_pace& pace_;
        const std::list<std::uint64_t>::iterator at_;
    };

    static constexpr std::chrono::seconds longest_wait{1};        // The rate may change.
    static constexpr std::chrono::milliseconds shortest_wait{1};  // Nobody asks in a loop.

  private:
    [[nodiscard]] clock::duration take(std::list<std::uint64_t>::const_iterator at, clock::time_point now) {
        const auto rate = static_cast<double>(this->rate());
        if (rate <= 0) {
            level_ = 0;
            filled_at_ = now;
            return {};
        }
        const double seconds =
            std::chrono::duration<double>(std::max(now - filled_at_, clock::duration::zero())).count();
        const double most = rate * std::chrono::duration<double>(limits::scrub_burst).count();
        level_ = std::min(level_ + rate * seconds, most);
        filled_at_ = now;
        double before = 0;  // What those who came earlier will take.
        for (auto i = queue_.cbegin(); i != at; ++i) before += static_cast<double>(*i);
        if (before == 0 && level_ >= 0) {
            level_ -= static_cast<double>(*at);
            return {};
        }
        const std::chrono::duration<double> wait((before - level_) / rate);
        if (wait > longest_wait) return longest_wait;
        return std::max<clock::duration>(std::chrono::duration_cast<clock::duration>(wait), shortest_wait);
    }

    std::atomic<std::uint64_t> rate_;
    std::list<std::uint64_t> queue_;  // The bytes of those who wait, a few dozen at most.
    double level_ = 0;                // Bytes that may be read at once; negative: read in advance.
    clock::time_point filled_at_{};
};

}  // namespace keepstore::store
