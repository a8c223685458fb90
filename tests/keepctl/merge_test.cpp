// The comparison of two listings, against a model of maps.
#include "keepctl/cluster/merge.hpp"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

using namespace keepstore;
using namespace keepstore::keepctl;

namespace {

md5_digest numbered(std::size_t n) {
    md5_digest out;
    out.bytes[0] = static_cast<std::uint8_t>(n);
    out.bytes[15] = static_cast<std::uint8_t>(n * 7);
    return out;
}

std::vector<std::pair<std::string, char>> merged(const std::vector<entry>& a, const std::vector<entry>& b) {
    std::vector<std::pair<std::string, char>> out;
    merge_blocks(a, b, [&](block_id block, difference d) { out.emplace_back(block.text(), static_cast<char>(d)); });
    return out;
}

/// What a person would say: for each name the sizes that either place lists.
std::vector<std::pair<std::string, char>> expected(const std::vector<entry>& a, const std::vector<entry>& b) {
    std::map<md5_digest, std::pair<std::multiset<std::uint32_t>, std::multiset<std::uint32_t>>> sizes;
    std::map<md5_digest, std::uint32_t> shown;
    for (const auto& e : a) sizes[e.block].first.insert(e.size), shown.try_emplace(e.block, e.size);
    for (const auto& e : b) sizes[e.block].second.insert(e.size), shown.try_emplace(e.block, e.size);
    std::vector<std::pair<std::string, char>> out;
    for (const auto& [name, both] : sizes) {
        std::set<std::uint32_t> all(both.first.begin(), both.first.end());
        all.insert(both.second.begin(), both.second.end());
        const char mark = both.second.empty() ? '+' : both.first.empty() ? '-' : all.size() > 1 ? '*' : '=';
        out.emplace_back(block_id{name, shown[name]}.text(), mark);
    }
    return out;
}

}  // namespace

TEST_CASE("listings are merged block by block", "[keepctl][merge]") {
    const std::vector<entry> none;
    const std::vector<entry> one{{.block = numbered(1), .size = 3}};
    CHECK(merged(none, none).empty());
    CHECK(merged(one, none) == std::vector{std::pair(block_id{numbered(1), 3}.text(), '+')});
    CHECK(merged(none, one) == std::vector{std::pair(block_id{numbered(1), 3}.text(), '-')});
    CHECK(merged(one, one) == std::vector{std::pair(block_id{numbered(1), 3}.text(), '=')});
    // A conflict within one place is a difference, too: it cannot be said which size is that of the block.
    const std::vector<entry> two_sizes{{.block = numbered(1), .size = 3},
                                       {.block = numbered(1), .size = 4, .mount = 1}};
    CHECK(merged(two_sizes, one) == std::vector{std::pair(block_id{numbered(1), 3}.text(), '*')});
    CHECK(merged(one, two_sizes) == std::vector{std::pair(block_id{numbered(1), 3}.text(), '*')});
}

TEST_CASE("merged listings agree with sets", "[keepctl][merge]") {
    const char* const given = std::getenv("KEEPSTORE_TEST_SEED");
    const unsigned seed = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device()();
    INFO("KEEPSTORE_TEST_SEED=" << seed);
    std::mt19937 random(seed);
    for (int round = 0; round < 500; ++round) {
        std::vector<entry> places[2];
        for (auto& place : places) {
            const auto count = random() % 40;
            for (std::size_t i = 0; i < count; ++i) {
                place.push_back({.block = numbered(random() % 30),
                                 .size = static_cast<std::uint32_t>(random() % 8 == 0 ? 4 : 3),
                                 .mount = static_cast<std::uint16_t>(random() % 3)});
            }
            sort_entries(place);
        }
        REQUIRE(merged(places[0], places[1]) == expected(places[0], places[1]));
    }
}
