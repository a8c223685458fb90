/// The block sizes of a run: one size ("64m"), a list ("4k,64k,1m", chosen evenly), or a range
/// ("4k..64m", log-uniform).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace keepstore::bench {

/// "64m" -> 67108864; suffixes k, m, g are powers of 1024. Throws std::invalid_argument.
std::uint64_t parse_size(std::string_view text);

class size_mix {
  public:
    /// A range becomes `range_steps` fixed sizes spaced evenly in the logarithm, none of them
    /// round: a content source keeps a hash state for each distinct size, and round sizes would
    /// hide the cost of unaligned ends.
    static size_mix parse(std::string_view text);

    /// \returns the size for a uniformly distributed random number.
    [[nodiscard]] std::uint64_t pick(std::uint64_t random) const {
        return sizes_[random % sizes_.size()];
    }
    /// Ascending, without duplicates.
    [[nodiscard]] const std::vector<std::uint64_t>& sizes() const { return sizes_; }

  private:
    static constexpr int range_steps = 96;

    std::vector<std::uint64_t> sizes_;
};

}  // namespace keepstore::bench
