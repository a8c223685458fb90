/// When a bucket or container was last known to exist: a 404 without a reason then means that the object is missing.
/// Safe to use from any thread.
#pragma once

#include "base/deadline.hpp"

#include <atomic>
#include <cstdint>

namespace keepstore::cloud {

class presence {
    using clock = deadline::clock;

  public:
    void note() noexcept { seen_.store(clock::now().time_since_epoch().count(), std::memory_order_relaxed); }
    void forget() noexcept { seen_.store(0, std::memory_order_relaxed); }
    [[nodiscard]] bool noted_within(clock::duration limit) const noexcept {
        const auto seen = clock::time_point(clock::duration(seen_.load(std::memory_order_relaxed)));
        return seen.time_since_epoch().count() != 0 && clock::now() - seen < limit;
    }

  private:
    std::atomic<std::int64_t> seen_{0};  ///< In ticks of the steady clock; 0: never.
};

}  // namespace keepstore::cloud
