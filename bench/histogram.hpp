/// Latency histogram with constant relative precision (better than 1.6%), for one thread; merge
/// after the run. Log-linear buckets: 64 per power of two of the value in microseconds.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace keepstore::bench {

class histogram {
  public:
    void record(std::chrono::nanoseconds value) {
        const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(value.count() / 1000, 0));
        ++buckets_[index_of(us)];
        ++count_;
        max_us_ = std::max(max_us_, us);
    }

    void merge(const histogram& other) {
        for (std::size_t i = 0; i < buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
        count_ += other.count_;
        max_us_ = std::max(max_us_, other.max_us_);
    }

    [[nodiscard]] std::uint64_t count() const { return count_; }
    [[nodiscard]] double max_ms() const { return static_cast<double>(max_us_) / 1000.0; }

    /// \returns the value in milliseconds below or at which the fraction `q` (0..1) of the samples
    /// lies; 0 when empty.
    [[nodiscard]] double quantile_ms(double q) const {
        const auto rank = static_cast<std::uint64_t>(std::ceil(q * static_cast<double>(count_)));
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < buckets_.size(); ++i) {
            seen += buckets_[i];
            if (seen >= rank && seen > 0) {
                return std::min(static_cast<double>(upper_bound_of(i)) / 1000.0, max_ms());
            }
        }
        return 0;
    }

  private:
    static constexpr unsigned precision_bits = 6;
    static constexpr std::uint64_t linear_max = 1U << (precision_bits + 1);

    /// Below 128 us one bucket per microsecond; above, the six bits after the leading one choose
    /// the bucket.
    static std::size_t index_of(std::uint64_t us) {
        if (us < linear_max) return static_cast<std::size_t>(us);
        const auto shift = static_cast<unsigned>(std::bit_width(us)) - precision_bits - 1;
        const auto index = (static_cast<std::uint64_t>(shift) << precision_bits) + (us >> shift);
        return std::min<std::size_t>(static_cast<std::size_t>(index), bucket_count - 1);
    }

    static std::uint64_t upper_bound_of(std::size_t index) {
        if (index < linear_max) return index;
        const auto shift = (index >> precision_bits) - 1;
        const auto mantissa = (index & ((1U << precision_bits) - 1)) + (1U << precision_bits);
        return ((mantissa + 1) << shift) - 1;
    }

    // Up to 2^38 us, three days: no request of a benchmark is longer.
    static constexpr std::size_t bucket_count = 33U << precision_bits;

    std::array<std::uint64_t, bucket_count> buckets_{};
    std::uint64_t count_ = 0;
    std::uint64_t max_us_ = 0;
};

}  // namespace keepstore::bench
