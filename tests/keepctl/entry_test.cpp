#include "keepctl/cluster/entry.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

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
