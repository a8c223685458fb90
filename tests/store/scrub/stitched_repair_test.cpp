/// The scrub's repair of a block whose copies are all damaged, in different places.

#include "tests/store/scrub/scrub_fixture.hpp"

#include <catch2/catch.hpp>

#include <string>
#include <utility>

using namespace keepstore;
using namespace keepstore::store;
using namespace keepstore::test;
using namespace keepstore::test::scrubbing;

namespace {

std::string flip(std::string content, std::size_t at) {
    content[at] = static_cast<char>(content[at] ^ 0x10);
    return content;
}

}  // namespace

TEST_CASE("copies that are damaged in different segments repair each other", "[store][scrub][stitched]") {
    for (const std::size_t size : {std::size_t{300'000}, 3 * MiB + 17, 9 * MiB}) {
        const std::string good = make_content(size);
        const auto name = name_of(good);
        const std::pair<std::string, std::string> damages[] = {
            {flip(good, 0), flip(good, size - 1)},     {flip(good, size - 1), flip(good, size / 2)},
            {good.substr(0, size / 2), flip(good, 5)}, {flip(good, 5), good.substr(0, size / 2)},
            {flip(good, size / 2), good + "x"},
        };
        for (const auto& [first, second] : damages) {
            for (const std::size_t with_waypoints : {0U, 1U, 2U}) {
                CAPTURE(size, first.size(), second.size(), with_waypoints);
                scrub_fixture f;
                f.volumes[0]->inner.plant(name, first);
                f.volumes[1]->inner.plant(name, second);
                for (const std::size_t i : {0U, 1U}) {
                    if (with_waypoints == 2 || with_waypoints == i)
                        f.volumes[i]->attributes[name] = waypoints_of(good, size);
                }
                const auto s = f.pass(0);
                CHECK(s.pass.repaired == 1);
                CHECK(s.irreparable.empty());
                CHECK(f.volumes[0]->content(name) == good);
                CHECK(f.volumes[0]->attributes[name] == waypoints_of(good, size));
                CHECK(f.volumes[1]->content(name) == second);
                CHECK(f.pass(1).pass.repaired == 1);
                CHECK(f.volumes[1]->content(name) == good);
                CHECK(f.store.counters().repaired_copies.value() == 2);
            }
        }
    }
}

TEST_CASE("what no copy has, or no true waypoints vouch for, is not repaired", "[store][scrub][stitched]") {
    const std::size_t size = 3 * MiB + 17;
    const std::string good = make_content(size);
    const auto name = name_of(good);
    std::string first = flip(good, 0);
    std::string second = flip(good, size - 1);
    scrub_fixture f;
    SECTION("the same segment") {
        first = flip(first, size / 2);
        second = flip(second, size / 2 + 1);
        f.volumes[0]->attributes[name] = waypoints_of(good, size);
    }
    SECTION("no waypoints") {}
    SECTION("forged waypoints") {
        f.volumes[0]->attributes[name] = waypoints_of(first, size, name);
    }
    const auto attributes = f.volumes[0]->attributes;
    f.volumes[0]->inner.plant(name, first);
    f.volumes[1]->inner.plant(name, second);
    for (const std::size_t task : {0U, 1U}) {
        const auto s = f.pass(task);
        CHECK(s.pass.repaired == 0);
        REQUIRE(s.irreparable.size() == 1);
        CHECK_THAT(s.irreparable[0].problem, Catch::Contains("bad, too"));
    }
    CHECK(f.volumes[0]->content(name) == first);
    CHECK(f.volumes[1]->content(name) == second);
    CHECK(f.volumes[0]->attributes == attributes);
}
