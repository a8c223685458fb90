/// Counters as they were in the last seconds, from which the status page computes rates: three samples, taken by the
/// daemon every limits::status_sample_interval, so a rate covers the last 10 to 15 seconds, whatever page is open.
/// Safe to use from any thread.
#pragma once

#include "router/status_page/request_stats.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

namespace keepstore::router {

struct status_counters {
    struct volume {
        std::uint64_t bytes_in = 0;
        std::uint64_t bytes_out = 0;
        std::uint64_t operations = 0;
        std::uint64_t errors = 0;
    };
    std::chrono::steady_clock::time_point at;
    std::vector<volume> volumes;  ///< In the order of the mounts.
    std::array<std::uint64_t, request_stats::kind_names.size()> requests{};
    std::uint64_t digest_bytes = 0;
    std::uint64_t digest_single_bytes = 0;
    std::uint64_t digest_passes = 0;
    std::uint64_t digest_lanes = 0;
};

class rate_samples {
  public:
    void add(status_counters);
    /// The oldest sample: a rate is what has been counted since then. Zero counters at the time of construction before
    /// the first add().
    [[nodiscard]] status_counters oldest() const;

  private:
    mutable std::mutex mutex_;
    std::deque<status_counters> samples_{{.at = std::chrono::steady_clock::now()}};  // Guarded by mutex_.
};

}  // namespace keepstore::router
