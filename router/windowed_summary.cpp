#include "router/windowed_summary.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace keepstore::router {
namespace {

std::int64_t number_of(windowed_summary::clock::time_point t, std::chrono::minutes length) {
    return t.time_since_epoch() / length;
}

}  // namespace

void windowed_summary::observe(clock::duration value, clock::time_point now) noexcept {
    const double seconds = std::chrono::duration<double>(value).count();
    ++count_;
    sum_seconds_ += seconds;
    const std::int64_t number = number_of(now, window_length);
    window& w = windows_[static_cast<std::size_t>(number) % window_count];
    if (w.number != number) {
        w.counts.fill(0);
        w.number = number;
    }
    std::size_t bucket = 0;
    if (value >= std::chrono::microseconds(1)) {
        const double position = std::log2(seconds * 1e6) * buckets_per_octave;
        bucket = std::min(bucket_count - 1, 1 + static_cast<std::size_t>(std::max(0.0, position)));
    }
    ++w.counts[bucket];
}

windowed_summary::stats windowed_summary::snapshot(clock::time_point now) const noexcept {
    sum one;
    add_to(one, now);
    return one.result();
}

void windowed_summary::add_to(sum& s, clock::time_point now) const noexcept {
    s.count_ += count_;
    s.sum_seconds_ += sum_seconds_;
    const std::int64_t newest = number_of(now, window_length);
    for (const window& w : windows_) {
        if (w.number <= newest - static_cast<std::int64_t>(window_count) || w.number < 0) continue;
        for (std::size_t i = 0; i < bucket_count; ++i) s.recent_[i] += w.counts[i];
    }
}

windowed_summary::stats windowed_summary::sum::result() const noexcept {
    stats out;
    out.count = count_;
    out.sum_seconds = sum_seconds_;
    out.values.fill(std::numeric_limits<double>::quiet_NaN());
    const auto total = std::accumulate(recent_.begin(), recent_.end(), std::uint64_t{0});
    if (total == 0) return out;
    for (std::size_t q = 0; q < quantiles.size(); ++q) {
        const auto rank = static_cast<std::uint64_t>(std::ceil(quantiles[q] * static_cast<double>(total)));
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < bucket_count; ++i) {
            seen += recent_[i];
            if (seen < rank) continue;
            // The middle of the bucket, on the logarithmic scale.
            out.values[q] =
                i == 0 ? 0.0
                       : 1e-6 * std::exp2((static_cast<double>(i) - 0.5) / static_cast<double>(buckets_per_octave));
            break;
        }
    }
    return out;
}

}  // namespace keepstore::router
