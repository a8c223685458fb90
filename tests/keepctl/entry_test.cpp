#include "keepctl/cluster/entry.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <utility>

using namespace keepstore;
using namespace keepstore::keepctl;

namespace {

md5_digest name_of(std::uint8_t n) {
    md5_digest out;
    out.bytes[0] = n;
    return out;
}

}  // namespace

TEST_CASE("entries are sorted by block and mount, and the later one of a copy stays", "[keepctl][entry]") {
    const std::vector<entry> sorted{{.block = name_of(1), .size = 3, .mount = 0, .mtime = 9},
                                    {.block = name_of(1), .size = 3, .mount = 2, .mtime = 1},
                                    {.block = name_of(7), .size = 5, .mount = 1, .mtime = 4}};
    std::vector<entry> all{sorted[2], sorted[0], sorted[1], sorted[0], {.block = name_of(1), .size = 3, .mtime = 2}};
    std::ranges::sort(all, {}, &entry::mtime);
    do {
        auto copy = all;
        sort_entries(copy);
        CHECK(copy == sorted);
    } while (std::ranges::next_permutation(all, {}, &entry::mtime).found);
    CHECK(first_block(sorted).size() == 2);
    CHECK(first_block(std::span(sorted).subspan(2)).size() == 1);
}

TEST_CASE("entries of any distribution are sorted as by comparison", "[keepctl][entry]") {
    std::mt19937_64 random(7);
    const auto kind = GENERATE(0, 1, 2, 3, 4, 5);
    const auto count = GENERATE(0UL, 1UL, 255UL, 256UL, 257UL, 20'000UL);
    std::vector<entry> all(count);
    for (auto& e : all) {
        for (auto& b : e.block.bytes) b = static_cast<std::uint8_t>(random());
        if (kind == 1) e.block.bytes[0] = 0xa7;                                     // A shard.
        if (kind == 2) e.block = name_of(static_cast<std::uint8_t>(random() % 3));  // Few names.
        if (kind == 3) std::fill_n(e.block.bytes.begin(), 15, std::uint8_t{1});     // The heads are the same.
        if (kind == 4) e.block.bytes[0] = random() % 100 == 0 ? 0xff : 0;           // Far apart.
        e.mount = static_cast<std::uint16_t>(random() % 3);
        e.mtime = static_cast<std::int64_t>(random() % 5);
        e.size = 1;
    }
    if (kind == 5) std::ranges::sort(all, {}, &entry::block);
    // One entry for each copy: the latest.
    std::map<std::pair<md5_digest, std::uint16_t>, std::int64_t> wanted;
    for (const auto& e : all) {
        auto& mtime = wanted.try_emplace({e.block, e.mount}, e.mtime).first->second;
        mtime = std::max(mtime, e.mtime);
    }
    // The same from listings of any number and size, of which some are empty.
    const auto listing_count = GENERATE(0UL, 1UL, 3UL, 40UL);
    std::vector<std::vector<entry>> listings(listing_count);
    for (const auto& e : all) {
        if (listing_count > 0) listings[random() % (1 + random() % listing_count)].push_back(e);
    }
    std::vector<entry> merged{{.block = name_of(3)}};
    merge_listings(listings, merged);
    sort_entries(all);
    CHECK(merged == (listing_count > 0 ? all : std::vector<entry>()));
    REQUIRE(all.size() == wanted.size());
    bool same = true;
    auto at = wanted.begin();
    for (const auto& e : all) {
        same = same && at->first == std::pair(e.block, e.mount) && at->second == e.mtime;
        ++at;
    }
    CHECK(same);
}
