/// Low-speed check: whether a client transfers fast enough. Only time in which the request waited for the client
/// counts, so that a slow disk never makes a client look slow; the average is over several seconds, so that bursts do
/// no harm.
#pragma once

#include "net/limits.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>

namespace keepstore::net {

class min_throughput {
  public:
    struct options {
        std::size_t bytes_per_second_min = limits::transfer_rate_bytes_min;  ///< 0: no limit.
        std::chrono::milliseconds window = limits::transfer_rate_window;
        std::chrono::milliseconds grace = limits::transfer_rate_grace;
    };

    void reset(std::uint64_t progress) noexcept {
        *this = min_throughput();
        last_ = progress;
    }

    /// Adds `waited` to the time of waiting. `progress` returns all bytes moved so far; called a few times per window.
    /// \returns false if the client is too slow.
    [[nodiscard]] bool add(const options& limit, std::chrono::steady_clock::duration waited, auto progress) {
        if (limit.bytes_per_second_min == 0) return true;
        total_ += waited;
        slot_time_ += waited;
        if (slot_time_ < limit.window / static_cast<int>(slots_.size())) return true;
        const std::uint64_t now = progress();
        slots_[slot_++ % slots_.size()] = now - last_;
        last_ = now;
        slot_time_ = {};
        if (total_ < limit.grace + limit.window) return true;
        const auto moved = std::accumulate(slots_.begin(), slots_.end(), std::uint64_t{0});
        const auto seconds = std::chrono::duration<double>(limit.window).count();
        return static_cast<double>(moved) >= static_cast<double>(limit.bytes_per_second_min) * seconds;
    }

  private:
    std::array<std::uint64_t, 4> slots_{};  ///< Bytes moved in each quarter of the window.
    std::size_t slot_ = 0;
    std::uint64_t last_ = 0;
    std::chrono::steady_clock::duration slot_time_{};
    std::chrono::steady_clock::duration total_{};
};

}  // namespace keepstore::net
