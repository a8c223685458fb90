#include "keepctl/cluster/entry.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace keepstore::keepctl {

namespace {

/// The first half of a name as a number, in the same order: names hardly ever have it in common.
std::uint64_t head_of(const entry& e) noexcept {
    std::uint64_t out;
    std::memcpy(&out, e.block.bytes.data(), sizeof out);
    static_assert(std::endian::native == std::endian::little);
    return __builtin_bswap64(out);
}

bool comes_before(const entry& a, const entry& b) noexcept {
    const auto x = head_of(a);
    const auto y = head_of(b);
    if (x != y) return x < y;
    return std::tie(a.block, a.mount, b.mtime) < std::tie(b.block, b.mount, a.mtime);
}

}  // namespace

void sort_entries(std::vector<entry>& entries) {
    std::ranges::sort(entries, comes_before);
    const auto rest = std::ranges::unique(entries, {}, [](const entry& e) { return std::tie(e.block, e.mount); });
    entries.erase(rest.begin(), rest.end());
}

std::span<const entry> first_block(std::span<const entry> sorted) {
    std::size_t n = 0;
    while (n < sorted.size() && sorted[n].block == sorted.front().block) ++n;
    return sorted.first(n);
}

}  // namespace keepstore::keepctl
