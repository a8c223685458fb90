#include "keepctl/cluster/entry.hpp"

#include <algorithm>
#include <array>
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
// Entries of a bucket, if names are as uniform as MD5s; and bits for buckets: so many ends are written to at a time.
constexpr std::size_t bucket_entries = 8;
constexpr unsigned bucket_bits_max = 8;

unsigned bits_of(std::uint64_t value) noexcept {
    return static_cast<unsigned>(std::bit_width(value));
}

/// Sorts by distribution, in place ("American flag sort", McIlroy, Bostic, McIlroy 1993): names are uniform, so that
/// buckets come out nearly even, and a few passes leave little to compare. Each pass divides the range of names, so
/// that others end, too; names with one beginning are compared.
void distribute(std::span<entry> entries) {
    std::uint64_t least = ~std::uint64_t{0};
    std::uint64_t most = 0;
    if (entries.size() >= distributed_min) {
        for (const auto& e : entries) {
            least = std::min(least, head_of(e));
            most = std::max(most, head_of(e));
        }
    }
    if (least >= most) {
        std::ranges::sort(entries, comes_before);
        return;
    }
    const auto bits = std::min(bucket_bits_max, bits_of(entries.size() / bucket_entries));
    const auto width = bits_of(most - least);
    const auto shift = width > bits ? width - bits : 0;
    const auto bucket_of = [&](const entry& e) { return static_cast<std::size_t>((head_of(e) - least) >> shift); };

    std::array<std::size_t, std::size_t{1} << bucket_bits_max> ends{};
    for (const auto& e : entries) ++ends[bucket_of(e)];
    std::size_t sum = 0;
    std::array<std::size_t, std::size_t{1} << bucket_bits_max> next{};
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
        distribute(entries.subspan(begin, ends[bucket] - begin));
    }
}

}  // namespace

void sort_entries(std::vector<entry>& entries) {
    if (!std::ranges::is_sorted(entries, comes_before)) distribute(entries);
    const auto rest = std::ranges::unique(entries, {}, [](const entry& e) { return std::tie(e.block, e.mount); });
    entries.erase(rest.begin(), rest.end());
}

std::span<const entry> first_block(std::span<const entry> sorted) {
    std::size_t n = 0;
    while (n < sorted.size() && sorted[n].block == sorted.front().block) ++n;
    return sorted.first(n);
}

}  // namespace keepstore::keepctl
