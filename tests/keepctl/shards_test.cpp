#include "keepctl/cluster/shards.hpp"

#include <catch2/catch.hpp>

#include <set>

using namespace keepstore::keepctl;

TEST_CASE("shards are all prefixes of their length, in order", "[keepctl][shards]") {
    for (unsigned digits = 0; digits <= 3; ++digits) {
        std::set<std::string> all;
        std::string before;
        for (std::size_t shard = 0; shard < shard_count(digits); ++shard) {
            const auto prefix = shard_prefix(digits, shard);
            CHECK(prefix.size() == digits);
            CHECK((shard == 0 || before < prefix));
            before = prefix;
            all.insert(prefix);
        }
        CHECK(all.size() == shard_count(digits));
    }
    CHECK(shard_prefix(3, 10) == "00a");
}

TEST_CASE("a shard has at most so many expected entries", "[keepctl][shards]") {
    CHECK(shard_digits(0) == 0);
    CHECK(shard_digits(99'999) == 0);
    CHECK(shard_digits(100'000) == 1);
    CHECK(shard_digits(1'599'999) == 1);
    CHECK(shard_digits(1'600'000) == 2);
    CHECK(shard_digits(25'600'000) == 3);
    // Beyond the last step shards grow.
    CHECK(shard_digits(1'000'000'000'000) == 3);
}

TEST_CASE("a set of shards is written as bits, and read back", "[keepctl][shards]") {
    shard_set some(1);
    some.insert(0);
    some.insert(15);
    CHECK(some.to_hex() == "8001");
    for (unsigned digits = 0; digits <= 3; ++digits) {
        shard_set out(digits);
        for (std::size_t shard = 0; shard < out.capacity(); shard += 3) out.insert(shard);
        shard_set back(digits);
        REQUIRE(back.assign(out.to_hex()));
        for (std::size_t shard = 0; shard < out.capacity(); ++shard) CHECK(back.contains(shard) == (shard % 3 == 0));
        CHECK(back.size() == out.size());
        CHECK_FALSE(back.assign(out.to_hex() + "0"));
        CHECK_FALSE(back.assign(""));
    }
    CHECK_FALSE(some.assign("80G1"));
}
