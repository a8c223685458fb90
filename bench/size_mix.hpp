/// The block sizes of a run: one size ("64m"), a list ("4k,64k,1m", chosen evenly, or "4k:9,64m:1",
/// nine to one), or a range ("4k..64m", log-uniform).
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
        auto ticket = random % tickets_;
        std::size_t i = 0;
        while (ticket >= weights_[i]) ticket -= weights_[i++];
        return sizes_[i];
    }
    /// Ascending, without duplicates.
    [[nodiscard]] const std::vector<std::uint64_t>& sizes() const { return sizes_; }

  private:
    static constexpr int range_steps = 96;

    void add(std::uint64_t size, std::uint64_t weight);

    std::vector<std::uint64_t> sizes_;
    std::vector<std::uint64_t> weights_;  ///< parallel to sizes_
    std::uint64_t tickets_ = 0;           ///< sum of the weights
};

}  // namespace keepstore::bench
