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

// Below it a comparison sort is as fast.
constexpr std::size_t distributed_min = 256;
// Entries of a bucket, if names are as uniform as MD5s; and buckets at most, so that their bounds stay in the cache.
constexpr std::size_t bucket_entries = 8;
constexpr unsigned bucket_bits_max = 14;

unsigned bits_of(std::uint64_t value) noexcept {
    return static_cast<unsigned>(std::bit_width(value));
}

/// Sorts by distribution: names are uniform, so that a bucket for each few entries comes out nearly even, and one pass
/// in place ("American flag sort", McIlroy, Bostic, McIlroy 1993) leaves little to compare. Names that are not uniform
/// cost a comparison sort.
void distribute(std::span<entry> entries) {
    std::uint64_t least = ~std::uint64_t{0};
    std::uint64_t most = 0;
    for (const auto& e : entries) {
        least = std::min(least, head_of(e));
        most = std::max(most, head_of(e));
    }
    const auto bits = std::min(bucket_bits_max, bits_of(entries.size() / bucket_entries));
    const auto width = bits_of(most - least);
    const auto shift = width > bits ? width - bits : 0;
    const auto bucket_of = [&](const entry& e) { return static_cast<std::size_t>((head_of(e) - least) >> shift); };

    std::vector<std::size_t> ends(std::size_t{1} << bits);
    for (const auto& e : entries) ++ends[bucket_of(e)];
    std::size_t sum = 0;
    std::vector<std::size_t> next(ends.size());
    for (std::size_t i = 0; i < ends.size(); ++i) {
        next[i] = sum;
        sum = ends[i] += sum;
    }
    for (std::size_t bucket = 0; bucket < ends.size(); ++bucket) {
        const auto begin = bucket == 0 ? 0 : ends[bucket - 1];
        while (next[bucket] < ends[bucket]) {
            auto& here = entries[next[bucket]];
            const auto home = bucket_of(here);
            if (home == bucket)
                ++next[bucket];
            else
                std::swap(here, entries[next[home]++]);
        }
        std::ranges::sort(entries.subspan(begin, ends[bucket] - begin), comes_before);
    }
}

}  // namespace

void sort_entries(std::vector<entry>& entries) {
    if (!std::ranges::is_sorted(entries, comes_before)) {
        if (entries.size() < distributed_min)
            std::ranges::sort(entries, comes_before);
        else
            distribute(entries);
    }
    const auto rest = std::ranges::unique(entries, {}, [](const entry& e) { return std::tie(e.block, e.mount); });
    entries.erase(rest.begin(), rest.end());
}

std::span<const entry> first_block(std::span<const entry> sorted) {
    std::size_t n = 0;
    while (n < sorted.size() && sorted[n].block == sorted.front().block) ++n;
    return sorted.first(n);
}

}  // namespace keepstore::keepctl
