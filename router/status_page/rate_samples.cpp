#include "router/status_page/rate_samples.hpp"

#include "router/limits.hpp"

#include <utility>

namespace keepstore::router {

void rate_samples::add(status_counters now) {
    const std::lock_guard lock(mutex_);
    samples_.push_back(std::move(now));
    if (samples_.size() > limits::status_samples) samples_.pop_front();
}

status_counters rate_samples::oldest() const {
    const std::lock_guard lock(mutex_);
    return samples_.front();
}

}  // namespace keepstore::router
