/// How many requests to have under way at a time. Begins low, doubles while the rate grows, and then looks every few
/// seconds whether some more would help; each report of a throttled request halves it. Pure: the caller tells the time.
#pragma once

#include "keepctl/clone/limits.hpp"

#include <chrono>
#include <cstdint>

namespace keepstore::keepctl {

class adaptive_limit {
  public:
    using clock = std::chrono::steady_clock;

    adaptive_limit(unsigned most, clock::time_point now);

    [[nodiscard]] unsigned limit() const noexcept { return limit_; }
    /// Changes the most that it goes up to.
    void set_most(unsigned most) noexcept;

    /// A request has ended; `waiting`: others waited for their turn meanwhile.
    void completed(bool waiting, clock::time_point now);
    /// The service asked for fewer.
    void throttled(clock::time_point now);

  private:
    void begin_window(clock::time_point now) noexcept;

    unsigned most_;
    unsigned limit_;
    unsigned before_;  // The limit of the window before, to go back to.
    bool doubling_ = true;
    bool doubted_ = false;    // The window before this one showed no gain.
    bool grew_ = false;       // At the beginning of this window.
    double rate_before_ = 0;  // Requests per second.
    std::uint64_t done_ = 0;  // In this window.
    bool wanted_more_ = false;
    clock::time_point window_began_;
    clock::time_point cut_at_{};
};

}  // namespace keepstore::keepctl
