/// Measures the cost of a step: wall time and the CPU time of one thread or of all, per byte or per
/// operation.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::bench {

struct cost {
    double bytes = 0;
    double operations = 0;
    double wall_seconds = 0;
    double cpu_seconds = 0;

    [[nodiscard]] double cpu_seconds_per_gib() const { return bytes > 0 ? cpu_seconds * (1UL << 30) / bytes : 0; }
    [[nodiscard]] double mb_per_second() const { return wall_seconds > 0 ? bytes / 1e6 / wall_seconds : 0; }
    [[nodiscard]] double operations_per_second() const { return wall_seconds > 0 ? operations / wall_seconds : 0; }
    [[nodiscard]] double cpu_us_per_operation() const { return operations > 0 ? cpu_seconds * 1e6 / operations : 0; }
};

/// CPU time is taken of the calling thread (CLOCK_THREAD_CPUTIME_ID) or of all threads
/// (CLOCK_PROCESS_CPUTIME_ID).
class cost_meter {
  public:
    explicit cost_meter(clockid_t clock) : clock_(clock), wall_(now(CLOCK_MONOTONIC)), cpu_(now(clock)) {}

    [[nodiscard]] double wall_seconds() const { return now(CLOCK_MONOTONIC) - wall_; }
    [[nodiscard]] cost finish(double bytes, double operations = 0) const {
        return {.bytes = bytes,
                .operations = operations,
                .wall_seconds = wall_seconds(),
                .cpu_seconds = now(clock_) - cpu_};
    }

  private:
    static double now(clockid_t clock) {
        timespec t{};
        ::clock_gettime(clock, &t);
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
    }

    clockid_t clock_;
    double wall_;
    double cpu_;
};

/// A step and all its rounds. A round may be missing (no direct I/O here).
struct step_costs {
    std::string name;
    std::string what;
    std::vector<cost> rounds;

    /// The round in the middle by wall time per byte (or per operation); the first round, which
    /// warms up, does not count when there are others.
    [[nodiscard]] std::optional<cost> median() const {
        auto counted = rounds;
        if (counted.size() > 1) counted.erase(counted.begin());
        if (counted.empty()) return std::nullopt;
        const auto middle = counted.begin() + static_cast<std::ptrdiff_t>(counted.size() / 2);
        const auto key = [](const cost& c) {
            return c.bytes > 0 ? c.wall_seconds / c.bytes : c.wall_seconds / c.operations;
        };
        std::nth_element(counted.begin(), middle, counted.end(),
                         [&](const cost& a, const cost& b) { return key(a) < key(b); });
        return *middle;
    }
};

}  // namespace keepstore::bench
