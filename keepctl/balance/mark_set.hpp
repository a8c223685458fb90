/// A set of small numbers that is emptied at no cost: a number is in it if it bears the current mark, and emptying
/// takes the next mark. For sets that millions of blocks need anew. A value type; belongs to one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace keepstore::keepctl::balance {

class mark_set {
  public:
    /// Of numbers below `size`.
    explicit mark_set(std::size_t size) : marks_(size) {}

    void clear() noexcept {
        if (++mark_ != 0) return;
        std::ranges::fill(marks_, 0U);
        mark_ = 1;
    }
    [[nodiscard]] bool contains(std::size_t number) const noexcept { return marks_[number] == mark_; }
    void insert(std::size_t number) noexcept { marks_[number] = mark_; }

  private:
    std::vector<std::uint32_t> marks_;
    std::uint32_t mark_ = 1;
};

}  // namespace keepstore::keepctl::balance
