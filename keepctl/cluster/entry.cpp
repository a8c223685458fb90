#include "keepctl/cluster/entry.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <numeric>

namespace keepstore::keepctl {

namespace {

/// Eight bytes of a name as a number, in the same order.
std::uint64_t number_at(const std::uint8_t* bytes) noexcept {
    std::uint64_t out;
    std::memcpy(&out, bytes, sizeof out);
    static_assert(std::endian::native == std::endian::little);
    return __builtin_bswap64(out);
}
/// The first half of a name: that of another block is hardly ever the same.
std::uint64_t head_of(const entry& e) noexcept {
    return number_at(e.block.bytes.data());
}
std::uint64_t tail_of(const entry& e) noexcept {
    return number_at(e.block.bytes.data() + sizeof(std::uint64_t));
}

// A type, so that sorting inlines it.
struct comes_before {
    bool operator()(const entry& a, const entry& b) const noexcept {
        const auto x = head_of(a);
        const auto y = head_of(b);
        if (x != y) return x < y;
        const auto s = tail_of(a);  // Of copies of one block the mounts differ.
        const auto t = tail_of(b);
        if (s != t) return s < t;
        return a.mount != b.mount ? a.mount < b.mount : b.mtime < a.mtime;
    }
};

// Below it a comparison sort is as fast.
constexpr std::size_t distributed_min = 256;
// Up to it insertion is faster than that.
constexpr std::size_t inserted_max = 24;
// Entries of a bucket, if names are as uniform as MD5s; and bits for buckets: the number of ends that are written to at
// a time.
constexpr std::size_t bucket_entries = 4;
constexpr unsigned bucket_bits_max = 8;
constexpr unsigned merge_bits_max = 15;

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

/// Sorts by insertion. Most parts that are left to compare are the copies of one block, and in order.
void sort_few(std::span<entry> entries) {
    constexpr comes_before before;
    for (std::size_t i = 1; i < entries.size(); ++i) {
        if (!before(entries[i], entries[i - 1])) continue;
        const entry moved = entries[i];
        auto at = i;
        do {
            entries[at] = entries[at - 1];
            --at;
        } while (at > 0 && before(moved, entries[at - 1]));
        entries[at] = moved;
    }
}

/// Sorts by distribution, in place ("American flag sort", McIlroy, Bostic, McIlroy 1993): names are uniform, so that
/// buckets come out nearly even, and a few passes leave little to compare. Each pass divides the range of names, so
/// that others end, too; names with one beginning are compared.
void distribute(std::span<entry> entries) {
    if (entries.size() <= inserted_max) return sort_few(entries);
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

std::span<const entry> take_block(std::span<const entry>& sorted) {
    const auto out = first_block(sorted);
    sorted = sorted.subspan(out.size());
    return out;
}

std::span<const entry> take_block(std::span<const entry>& sorted, const md5_digest& name) {
    while (!sorted.empty() && sorted.front().block < name) sorted = sorted.subspan(1);
    return !sorted.empty() && sorted.front().block == name ? take_block(sorted) : std::span<const entry>();
}

}  // namespace keepstore::keepctl
