/// The difference between this machine's clock and a service's, learned from refusals. Signatures contain the time, and
/// services refuse those that are 15 minutes off: where our clock is wrong, requests are signed with the service's
/// time.
#pragma once

#include "cloud/request_failure.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string_view>

namespace keepstore::cloud {

/// Safe to use from any thread.
class learned_clock {
  public:
    /// \param service  its name, a constant, for the log.
    explicit learned_clock(std::string_view service) : service_(service) {}

    /// Returns the time to add to our clock for signatures; 0 within the tolerance.
    [[nodiscard]] std::chrono::milliseconds skew() const noexcept {
        return std::chrono::milliseconds(skew_.load(std::memory_order_relaxed));
    }
    /// Learns from a refusal that a wrong clock may have caused. `used` is the skew that its request was signed with;
    /// it becomes the new one. \returns whether that differs, so that another attempt may succeed.
    [[nodiscard]] bool learn(const request_failure& f, std::chrono::milliseconds& used);

  private:
    const std::string_view service_;
    std::atomic<std::int64_t> skew_{0};  ///< Milliseconds.
};

}  // namespace keepstore::cloud
