/// Counts requests and their times by method and status, and the times of GETs and PUTs of blocks in histograms.
///
/// The series of all responses that the daemon gives by itself exist from the start, with 0: the rate of a series that
/// appears with its first event misses that event, and an alert on it is silent (docs/metrics.md).
///
/// Safe to use from any thread. Counting takes one lock, sharded by thread.
#pragma once

#include <prometheus/metric_family.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

namespace keepstore::router {

/// Times in fixed buckets: upper bounds, both ends included, from a small block in the page cache to a minute.
class latency_histogram {
  public:
    static constexpr std::array<double, 16> bounds_seconds{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
                                                           0.2,    0.5,   1,     2,     5,    10,   20,   60};

    void observe(std::chrono::steady_clock::duration) noexcept;
    void add(const latency_histogram&) noexcept;
    [[nodiscard]] std::uint64_t count() const noexcept;
    /// Writes the buckets as Prometheus counts them: each contains those before it.
    void write(prometheus::ClientMetric& out) const;

  private:
    std::array<std::uint64_t, bounds_seconds.size() + 1> counts_{};  // The last one: above all bounds.
    double sum_seconds_ = 0;
};

class request_metrics {
  public:
    struct request {
        std::string_view method;
        unsigned status = 0;
        bool block = false;  ///< A block was read or written; else something else was asked for.
    };

    struct durations {
        std::chrono::steady_clock::duration to_status{};
        std::chrono::steady_clock::duration to_end{};
    };

    /// Adds a request that is logged, to request_duration_seconds and time_to_status_seconds.
    void count_logged(const request&, const durations&) noexcept;
    /// Adds one that is not, and does not read metrics either, to request_duration_seconds alone.
    void count(const request&, std::chrono::steady_clock::duration to_end) noexcept;

    void collect(std::vector<prometheus::MetricFamily>&) const;

  private:
    struct sum {
        std::uint64_t count = 0;
        double seconds = 0;
    };
    using sums = std::map<std::pair<unsigned, unsigned>, sum>;  // By (method index, status).
    using histograms = std::array<latency_histogram, 2>;        // Of GET and PUT.
    struct times {
        sums all;
        histograms blocks;
    };
    struct alignas(64) shard {
        mutable std::mutex mutex;
        // Guarded by mutex.
        times duration;
        times to_status;
    };

    static void add(times&, unsigned method, const request&, std::chrono::steady_clock::duration);
    [[nodiscard]] shard& my_shard() noexcept;

    std::array<shard, 16> shards_;
};

}  // namespace keepstore::router
