/// The best items of many, for a list of bounded length: those that come first by an order; of equal ones those that
/// were offered first. A value type.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace keepstore::keepctl::balance {

/// `Before` orders items strictly: before(a, b) says that a is the better one.
template <class Item, class Before>
class limited_list {
  public:
    explicit limited_list(std::size_t most) : most_(most) {}

    void offer(Item item) {
        entry e{std::move(item), next_++};
        if (entries_.size() < most_) {
            entries_.push_back(std::move(e));
            std::ranges::push_heap(entries_, first);
            return;
        }
        ++deferred_;
        if (entries_.empty() || !first(e, entries_.front())) return;
        std::ranges::pop_heap(entries_, first);
        entries_.back() = std::move(e);
        std::ranges::push_heap(entries_, first);
    }

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    /// Items that were offered and are not in the list.
    [[nodiscard]] std::uint64_t deferred() const noexcept { return deferred_; }

    /// All items, the best one first. Empties the list.
    [[nodiscard]] std::vector<Item> take() {
        std::ranges::sort_heap(entries_, first);
        std::vector<Item> out;
        out.reserve(entries_.size());
        for (auto& e : entries_) out.push_back(std::move(e.item));
        std::vector<entry>().swap(entries_);
        return out;
    }

  private:
    struct entry {
        Item item;
        std::uint64_t number;
    };
    static bool first(const entry& a, const entry& b) {
        if (Before{}(a.item, b.item)) return true;
        if (Before{}(b.item, a.item)) return false;
        return a.number < b.number;
    }

    const std::size_t most_;
    std::uint64_t next_ = 0;
    std::uint64_t deferred_ = 0;
    std::vector<entry> entries_;  // A heap: the worst one is at the front.
};

}  // namespace keepstore::keepctl::balance
