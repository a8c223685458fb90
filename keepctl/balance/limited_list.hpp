/// The best items of many, for a list of bounded length: those that come first by an order; of equal ones those that
/// were offered first. An item costs nothing but its place until the list is full, and from then on one comparison,
/// unless it is better than the worst one. A value type.
///
/// Lists of parts of the offers can be joined, in the order of the parts, and are then the list of all of them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace keepstore::keepctl::balance {

/// `Before` orders items strictly: before(a, b) says that a is the better one.
template <class Item, class Before>
class limited_list {
  public:
    /// \param bar  the worst item of a full list that this one is joined to later: only better ones are taken.
    explicit limited_list(std::size_t most, std::optional<Item> bar = {}) : most_(most), bar_(std::move(bar)) {}

    /// Whether offer() would take the item. If not, it is counted as deferred.
    [[nodiscard]] bool wants(const Item& item) {
        const Item* const worst = full() ? (most_ == 0 ? nullptr : &entries_.front().item) : bar_ ? &*bar_ : nullptr;
        const bool wanted = most_ > 0 && (!worst || Before{}(item, *worst));
        if (!wanted) ++deferred_;
        return wanted;
    }

    void offer(Item item) {
        if (!wants(item)) return;
        entry e{std::move(item), next_++};
        if (!full()) {
            entries_.push_back(std::move(e));
            if (full()) std::ranges::make_heap(entries_, first);
            return;
        }
        ++deferred_;
        std::ranges::pop_heap(entries_, first);
        entries_.back() = std::move(e);
        std::ranges::push_heap(entries_, first);
    }

    /// Offers what another list took, and adds what it deferred. Empties it.
    void join(limited_list& part) {
        // In the order in which they were offered, unless some were replaced.
        if (part.full()) std::ranges::sort(part.entries_, {}, &entry::number);
        for (auto& e : part.entries_) offer(std::move(e.item));
        part.entries_.clear();
        deferred_ += std::exchange(part.deferred_, 0);
    }

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    /// Items that were offered and are not in the list.
    [[nodiscard]] std::uint64_t deferred() const noexcept { return deferred_; }
    /// The worst item, if the list is full.
    [[nodiscard]] std::optional<Item> worst() const {
        return full() && most_ > 0 ? std::optional(entries_.front().item) : std::nullopt;
    }

    /// All items, the best one first. Empties the list.
    [[nodiscard]] std::vector<Item> take() {
        std::ranges::sort(entries_, first);
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
    static constexpr auto first = [](const entry& a, const entry& b) {
        if (Before{}(a.item, b.item)) return true;
        if (Before{}(b.item, a.item)) return false;
        return a.number < b.number;
    };
    [[nodiscard]] bool full() const noexcept { return entries_.size() == most_; }

    std::size_t most_;
    std::optional<Item> bar_;
    std::uint64_t next_ = 0;
    std::uint64_t deferred_ = 0;
    std::vector<entry> entries_;  // In the order of the offers; once the list is full a heap, the worst one in front.
};

}  // namespace keepstore::keepctl::balance
