// The scrub's memory: many checks at a time never wait for each other (docs/memory.md).
#include "tests/store/scrub/scrub_fixture.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::store;
using namespace keepstore::test::scrubbing;

TEST_CASE("many large bad copies at once are all repaired", "[store][scrub][memory]") {
    scrub_fixture f;
    // Segments of 1 MiB: each check takes the most memory that there is for one.
    constexpr std::size_t size = 8 * MiB;
    std::vector<std::string> goods;
    for (char i = 0; i < 12; ++i) {
        std::string good(size, i);
        const auto name = name_of(good);
        std::vector<digest::md5_state> states;
        digest::md5_state state;
        for (std::size_t at = 0; at + MiB < size; at += MiB) {
            digest::md5_compress(state, std::as_bytes(std::span(good).subspan(at, MiB)));
            states.push_back(state);
        }
        const auto points = digest::waypoints::make(size, MiB, states);
        REQUIRE(points);
        std::string bad = good;
        bad[size - 1] = 'x';
        f.volumes[0]->inner.plant(name, bad);
        f.volumes[1]->inner.plant(name, good);
        for (const auto& v : f.volumes) v->attributes[name] = points->encode(name);
        goods.push_back(std::move(good));
    }
    const auto s = f.pass();
    CHECK(s.state == scrub_state::finished);
    CHECK(s.pass.bad == goods.size());
    CHECK(s.pass.repaired == goods.size());
    for (const auto& good : goods) CHECK(f.volumes[0]->content(name_of(good)) == good);
}
