#include "keepctl/cluster/entry.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>

namespace keepstore::keepctl {

namespace {

/// The first half of a name as a number, in the same order: names hardly ever have it in common.
std::uint64_t head_of(const entry& e) noexcept {
    std::uint64_t out;
    std::memcpy(&out, e.block.bytes.data(), sizeof out);
    static_assert(std::endian::native == std::endian::little);
    return __builtin_bswap64(out);
}

// A type, so that sorting inlines it.
struct comes_before {
    bool operator()(const entry& a, const entry& b) const noexcept {
        const auto x = head_of(a);
        const auto y = head_of(b);
        if (x != y) return x < y;
        return std::tie(a.block, a.mount, b.mtime) < std::tie(b.block, b.mount, a.mtime);
    }
};

// Below it a comparison sort is as fast.
constexpr std::size_t distributed_min = 256;
// Entries of a bucket, if names are as uniform as MD5s; and bits for buckets: the number of ends that are written to at
// a time.
constexpr std::size_t bucket_entries = 8;
constexpr unsigned bucket_bits_max = 8;
constexpr unsigned merge_bits_max = 14;

/// Buckets of equal ranges of names.
class bucket_division {
  public:
    bucket_division(std::size_t entries, unsigned bits_max, std::uint64_t least, std::uint64_t most) noexcept
        : least_(least) {
        const auto bits = std::min(bits_max, bits_of(entries / bucket_entries));
        const auto width = bits_of(most - least);
        shift_ = width > bits ? width - bits : 0;
    }
    [[nodiscard]] std::size_t number_of(const entry& e) const noexcept {
        return static_cast<std::size_t>((head_of(e) - least_) >> shift_);
    }

  private:
    static unsigned bits_of(std::uint64_t value) noexcept { return static_cast<unsigned>(std::bit_width(value)); }

    std::uint64_t least_;
    unsigned shift_ = 0;
};

/// The range of the heads of entries; none of none.
struct head_range {
    std::uint64_t least = ~std::uint64_t{0};
    std::uint64_t most = 0;
    void add(std::span<const entry> entries) noexcept {
        for (const auto& e : entries) {
            least = std::min(least, head_of(e));
            most = std::max(most, head_of(e));
        }
    }
};

/// Sorts by distribution, in place ("American flag sort", McIlroy, Bostic, McIlroy 1993): names are uniform, so that
/// buckets come out nearly even, and a few passes leave little to compare. Each pass divides the range of names, so
/// that others end, too; names with one beginning are compared.
void distribute(std::span<entry> entries) {
    head_range range;
    if (entries.size() >= distributed_min) range.add(entries);
    if (range.least >= range.most) {
        std::ranges::sort(entries, comes_before{});
        return;
    }
    const bucket_division buckets(entries.size(), bucket_bits_max, range.least, range.most);
    std::array<std::size_t, std::size_t{1} << bucket_bits_max> ends{};
    for (const auto& e : entries) ++ends[buckets.number_of(e)];
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
            const auto home = buckets.number_of(here);
            if (home == bucket)
                ++next[bucket];
            else
                std::swap(here, entries[next[home]++]);
        }
        distribute(entries.subspan(begin, ends[bucket] - begin));
    }
}

void keep_latest(std::vector<entry>& sorted) {
    const auto rest = std::ranges::unique(sorted, [](const entry& a, const entry& b) {
        return head_of(a) == head_of(b) && a.mount == b.mount && a.block == b.block;
    });
    sorted.erase(rest.begin(), rest.end());
}

}  // namespace

void sort_entries(std::vector<entry>& entries) {
    if (!std::ranges::is_sorted(entries, comes_before{})) distribute(entries);
    keep_latest(entries);
}

// As distribute() does it, with one pass from the listings to the buckets.
void merge_listings(std::span<const std::vector<entry>> listings, std::vector<entry>& into) {
    std::size_t count = 0;
    head_range range;
    for (const auto& one : listings) {
        count += one.size();
        range.add(one);
    }
    into.resize(count);
    if (count < distributed_min || range.least == range.most) {
        auto end = into.begin();
        for (const auto& one : listings) end = std::ranges::copy(one, end).out;
        sort_entries(into);
        return;
    }
    const bucket_division buckets(count, merge_bits_max, range.least, range.most);
    std::array<std::uint32_t, (std::size_t{1} << merge_bits_max) + 1> next{};  // Begins of buckets, then their ends.
    for (const auto& one : listings) {
        for (const auto& e : one) ++next[buckets.number_of(e) + 1];
    }
    std::inclusive_scan(next.begin(), next.end(), next.begin());
    for (const auto& one : listings) {
        for (const auto& e : one) into[next[buckets.number_of(e)]++] = e;
    }
    std::size_t begin = 0;
    for (const auto end : std::span(next).first(next.size() - 1)) {
        distribute(std::span(into).subspan(begin, end - begin));
        begin = end;
    }
    keep_latest(into);
}

std::span<const entry> first_block(std::span<const entry> sorted) {
    std::size_t n = 0;
    while (n < sorted.size() && sorted[n].block == sorted.front().block) ++n;
    return sorted.first(n);
}

}  // namespace keepstore::keepctl
