#include "keepctl/cluster/entry.hpp"

#include <algorithm>

namespace keepstore::keepctl {

void sort_entries(std::vector<entry>& entries) {
    const auto order = [](const entry& e) { return std::tie(e.block, e.mount); };
    std::ranges::sort(entries, [&](const entry& a, const entry& b) {
        return std::tie(a.block, a.mount, b.mtime) < std::tie(b.block, b.mount, a.mtime);
    });
    const auto rest = std::ranges::unique(entries, {}, order);
    entries.erase(rest.begin(), rest.end());
}

std::span<const entry> first_block(std::span<const entry> sorted) {
    std::size_t n = 0;
    while (n < sorted.size() && sorted[n].block == sorted.front().block) ++n;
    return sorted.first(n);
}

}  // namespace keepstore::keepctl
