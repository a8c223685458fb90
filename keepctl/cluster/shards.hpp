/// Work is cut by the first hex digits of block names: with d digits shard i has the blocks whose names begin with i
/// written in d digits. Names are MD5s, so shards are of nearly equal size. Pure.
#pragma once

#include "keepctl/cluster/limits.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace keepstore::keepctl {

[[nodiscard]] constexpr std::size_t shard_count(unsigned digits) noexcept {
    return std::size_t{1} << (4 * digits);
}

/// "00a" is shard 10 of 3 digits; "" is the only one of 0 digits.
[[nodiscard]] std::string shard_prefix(unsigned digits, std::size_t shard);

/// The part of a shard that lies within `wanted`, as a prefix; nothing if there is none.
[[nodiscard]] std::optional<std::string> narrowed(std::string shard, const std::string& wanted);

/// The smallest number of digits with which a shard has at most `entries_max` of `entries`.
[[nodiscard]] unsigned shard_digits(std::uint64_t entries, std::uint64_t entries_max = limits::shard_entries_max);

/// Which shards are done: written as 16^digits bits, the first one is the highest bit of the first hex digit.
class shard_set {
  public:
    explicit shard_set(unsigned digits) : done_(shard_count(digits)) {}
    [[nodiscard]] bool contains(std::size_t shard) const { return done_[shard]; }
    void insert(std::size_t shard) { done_[shard] = true; }
    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] std::size_t capacity() const noexcept { return done_.size(); }

    [[nodiscard]] std::string to_hex() const;
    /// \returns whether the text is a set of this capacity.
    [[nodiscard]] bool assign(std::string_view hex);

  private:
    std::vector<bool> done_;
};

}  // namespace keepstore::keepctl
