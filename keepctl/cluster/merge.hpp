/// Compares two sorted listings (sort_entries) block by block. Pure; neither time nor memory beyond them.
#pragma once

#include "keepctl/cluster/entry.hpp"

#include <algorithm>
#include <span>

namespace keepstore::keepctl {

/// How a block of two places compares; the characters are those of lists of differences (docs/keepctl.md).
enum class difference : char {
    same = '=',        ///< Both have it, and all copies have one size.
    missing = '+',     ///< Only the first has it.
    extra = '-',       ///< Only the second has it.
    differs = '*',     ///< Both have it: the sizes differ, or one of them has only bad copies.
    unreadable = '!',  ///< Both have it, and it could not be read everywhere.
};

/// Calls visit(block_id, difference) for each block of either, in ascending order. Of sizes that differ the block has
/// that of the first copy in `a`.
template <class Visit>
void merge_blocks(std::span<const entry> a, std::span<const entry> b, Visit visit) {
    while (!a.empty() || !b.empty()) {
        const bool in_a = !a.empty() && (b.empty() || a.front().block <= b.front().block);
        const bool in_b = !b.empty() && (a.empty() || b.front().block <= a.front().block);
        const auto left = in_a ? first_block(a) : std::span<const entry>();
        const auto right = in_b ? first_block(b) : std::span<const entry>();
        a = a.subspan(left.size());
        b = b.subspan(right.size());
        const entry& any = in_a ? left.front() : right.front();
        const auto other_size = [&](const entry& e) { return e.size != any.size; };
        const bool sizes_differ = std::ranges::any_of(left, other_size) || std::ranges::any_of(right, other_size);
        visit(block_id{any.block, any.size}, !in_b          ? difference::missing
                                             : !in_a        ? difference::extra
                                             : sizes_differ ? difference::differs
                                                            : difference::same);
    }
}

}  // namespace keepstore::keepctl
