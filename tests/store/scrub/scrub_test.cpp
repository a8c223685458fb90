/// The scrub over volumes in memory: every kind of damage is found, repaired where a good copy exists, left untouched
/// and listed where none does; nothing is deleted or brought back.

#include "base/limits.hpp"
#include "tests/store/scrub/scrub_fixture.hpp"

#include <catch2/catch.hpp>

#include <utility>

using namespace keepstore;
using namespace keepstore::store;
using namespace keepstore::test;
using namespace keepstore::test::scrubbing;
using namespace std::chrono_literals;
using fixture = keepstore::test::scrubbing::scrub_fixture;

TEST_CASE("a scrub finds every kind of damage and leaves the only copy as it is", "[store][scrub]") {
    for (const std::size_t size : sizes) {
        for (const bool with_waypoints : {false, true}) {
            fixture f({{}});
            std::map<md5_digest, std::string> planted;
            unsigned seed = 0;
            const auto kinds = damaged(make_content(size)).size();
            for (std::size_t k = 0; k < kinds; ++k) {
                const std::string good = make_content(size, ++seed);
                const auto name = name_of(good);
                const std::string bad = damaged(good)[k].bytes;
                f.volumes[0]->inner.plant(name, bad);
                if (with_waypoints && has_waypoints(size)) f.volumes[0]->attributes[name] = waypoints_of(good, size);
                planted[name] = bad;
            }
            const std::string fine = make_content(size, 1000);
            f.volumes[0]->inner.plant(name_of(fine), fine);
            const auto s = f.pass();
            CAPTURE(size, with_waypoints);
            CHECK(s.state == scrub_state::finished);
            CHECK(s.pass.blocks == kinds + 1);
            CHECK(s.pass.bad == kinds);
            CHECK(s.pass.irreparable == kinds);
            CHECK(s.pass.repaired == 0);
            REQUIRE(s.irreparable.size() == kinds);
            for (const auto& copy : s.irreparable) {
                REQUIRE(planted.contains(copy.block));
                CHECK(copy.size == planted[copy.block].size());
                CHECK_THAT(copy.problem, Catch::Contains("wrong content") && Catch::Contains("no other volume"));
            }
            for (const auto& [name, bad] : planted) CHECK(f.volumes[0]->content(name) == bad);
            CHECK(f.store.counters().bad_copies.value() == kinds);
        }
    }
}

TEST_CASE("a bad copy is replaced by the good one of another volume, with waypoints", "[store][scrub]") {
    for (const std::size_t size : sizes) {
        fixture f;
        std::vector<std::string> goods;
        const auto kinds = damaged(make_content(size)).size();
        for (std::size_t k = 0; k < kinds; ++k) {
            goods.push_back(make_content(size, static_cast<unsigned>(k) + 1));
            f.volumes[0]->inner.plant(name_of(goods[k]), damaged(goods[k])[k].bytes);
            f.volumes[1]->inner.plant(name_of(goods[k]), goods[k]);
        }
        const auto s = f.pass(0);
        CAPTURE(size);
        CHECK(s.state == scrub_state::finished);
        CHECK(s.pass.bad == kinds);
        CHECK(s.pass.repaired == kinds);
        CHECK(s.pass.irreparable == 0);
        CHECK(s.irreparable.empty());
        CHECK(f.store.counters().repaired_copies.value() == kinds);
        for (const auto& good : goods) {
            const auto name = name_of(good);
            CHECK(f.volumes[0]->content(name) == good);
            CHECK(f.volumes[1]->content(name) == good);
            if (has_waypoints(size)) {
                CHECK(f.volumes[0]->attributes[name] == waypoints_of(good, size));
            } else {
                CHECK_FALSE(f.volumes[0]->attributes.contains(name));
            }
        }
        const auto again = f.pass(0);
        CHECK(again.pass.bad == 0);
        CHECK(again.pass.blocks == kinds);
    }
}

TEST_CASE("copies that are damaged on both volumes are listed and left byte by byte", "[store][scrub]") {
    fixture f;
    for (const std::size_t size : sizes) {
        const std::string good = make_content(size);
        const auto name = name_of(good);
        f.volumes[0]->inner.plant(name, damaged(good)[0].bytes);
        f.volumes[1]->inner.plant(name, damaged(good)[2].bytes);
    }
    for (const std::size_t task : {0u, 1u}) {
        const auto s = f.pass(task);
        CHECK(s.pass.bad == sizes.size());
        CHECK(s.pass.repaired == 0);
        REQUIRE(s.irreparable.size() == sizes.size());
        CHECK_THAT(s.irreparable[0].problem, Catch::Contains("bad, too"));
        CHECK(s.irreparable[0].first_seen.time_since_epoch() > 0s);
    }
    for (const std::size_t size : sizes) {
        const std::string good = make_content(size);
        CHECK(f.volumes[0]->content(name_of(good)) == damaged(good)[0].bytes);
        CHECK(f.volumes[1]->content(name_of(good)) == damaged(good)[2].bytes);
    }
}

TEST_CASE("a read-only mount is checked and reported, and nothing is written to it", "[store][scrub]") {
    fixture f({{.writable = false}, {}});
    const std::string bad = make_content(300'000);
    const std::string fine = make_content(400'000);
    f.volumes[0]->inner.plant(name_of(bad), damaged(bad)[1].bytes);
    f.volumes[0]->inner.plant(name_of(fine), fine);
    f.volumes[1]->inner.plant(name_of(bad), bad);
    const auto s = f.pass();
    CHECK_FALSE(s.repairs);
    CHECK(s.pass.blocks == 2);
    REQUIRE(s.irreparable.size() == 1);
    CHECK_THAT(s.irreparable[0].problem, Catch::Contains("read-only"));
    CHECK(f.volumes[0]->content(name_of(bad)) == damaged(bad)[1].bytes);
    CHECK(f.volumes[0]->attributes.empty());
    CHECK(f.volumes[0]->notes_saved == 0);
    CHECK(s.pass.waypoints_written == 0);
}

TEST_CASE("an unreadable copy is repaired, or listed", "[store][scrub]") {
    fixture f;
    const std::string there = make_content(300'000);
    const std::string alone = make_content(500'000);
    for (const auto& c : {there, alone}) {
        f.volumes[0]->inner.plant(name_of(c), c);
        f.volumes[0]->unreadable.insert(name_of(c));
    }
    f.volumes[1]->inner.plant(name_of(there), there);
    const auto s = f.pass();
    CHECK(s.state == scrub_state::finished);
    CHECK(s.pass.unreadable == 2);
    CHECK(s.pass.bad == 0);
    CHECK(s.pass.repaired == 1);
    REQUIRE(s.irreparable.size() == 1);
    CHECK(s.irreparable[0].block == name_of(alone));
    CHECK_THAT(s.irreparable[0].problem, Catch::Contains("cannot be read"));
    CHECK_FALSE(f.volumes[0]->unreadable.contains(name_of(there)));
}

TEST_CASE("a file over the block size limit is bad without being read", "[store][scrub]") {
    fixture f({{}});
    const auto name = name_of("sparse");
    f.volumes[0]->inner.plant(name, std::string(limits::block_size_bytes_max + 1, '\0'));
    const auto s = f.pass();
    CHECK(s.pass.bad == 1);
    CHECK(s.pass.bytes == 0);
    REQUIRE(s.irreparable.size() == 1);
    CHECK_THAT(s.irreparable[0].problem, Catch::Contains("over the block size limit"));
}

TEST_CASE("a block that is trashed while it is being scrubbed is no error and stays away", "[store][scrub]") {
    fixture f;
    const std::string good = make_content(300'000);
    const auto name = name_of(good);
    auto& v = *f.volumes[0];
    SECTION("before it is opened") {
        v.inner.plant(name, damaged(good)[0].bytes);
        v.on_open = [&](const md5_digest& n) { v.vanish(n); };
    }
    SECTION("while it is read") {
        v.inner.plant(name, damaged(good)[0].bytes);
        v.on_read = [&](const md5_digest& n) { v.vanish(n); };
    }
    SECTION("while the good copy is being read for its repair") {
        v.inner.plant(name, damaged(good)[0].bytes);
        f.volumes[1]->inner.plant(name, good);
        f.volumes[1]->on_read = [&](const md5_digest& n) { v.vanish(n); };
    }
    const auto s = f.pass();
    CHECK(s.state == scrub_state::finished);
    CHECK(s.pass.vanished == 1);
    CHECK(s.pass.irreparable == 0);
    CHECK(s.pass.repaired == 0);
    CHECK(s.irreparable.empty());
    CHECK(v.content(name) == std::nullopt);
}

TEST_CASE("a copy that is replaced while it is being scrubbed is judged by what is there now", "[store][scrub]") {
    fixture f;
    const std::string good = make_content(300'000);
    const auto name = name_of(good);
    auto& v = *f.volumes[0];
    v.inner.plant(name, damaged(good)[0].bytes, memory_volume::now() - 1h);
    bool replaced = false;
    const auto replace = [&](const md5_digest& n) {
        if (!std::exchange(replaced, true)) v.inner.plant(n, good);
    };
    SECTION("while it is read") {
        v.on_read = replace;
    }
    SECTION("while the good copy is being read for its repair") {
        f.volumes[1]->inner.plant(name, good);
        f.volumes[1]->on_read = replace;
    }
    const auto s = f.pass();
    REQUIRE(replaced);
    CHECK(s.pass.blocks == 1);
    CHECK(s.pass.bad == 0);
    CHECK(s.pass.repaired == 0);
    CHECK(s.irreparable.empty());
    CHECK(v.content(name) == good);
}

TEST_CASE("a good copy elsewhere does not help a volume that takes no blocks", "[store][scrub]") {
    fixture f;
    const std::string good = make_content(300'000);
    const auto name = name_of(good);
    f.volumes[0]->inner.plant(name, damaged(good)[0].bytes);
    f.volumes[1]->inner.plant(name, good);
    SECTION("full") {
        f.volumes[0]->create_error = error(errc::no_space, "volume is full");
    }
    SECTION("failing at the end") {
        f.volumes[0]->commit_error = error(errc::io_error, "fsync: Input/output error");
    }
    const auto s = f.pass();
    REQUIRE(s.irreparable.size() == 1);
    CHECK_THAT(s.irreparable[0].problem, Catch::Contains("cannot be replaced"));
    CHECK(f.volumes[0]->content(name) == damaged(good)[0].bytes);
    // Once there is room the next pass repairs it, and it leaves the list.
    f.volumes[0]->create_error.reset();
    f.volumes[0]->commit_error.reset();
    const auto again = f.pass();
    CHECK(again.pass.repaired == 1);
    CHECK(again.irreparable.empty());
    CHECK(f.volumes[0]->content(name) == good);
}

TEST_CASE("missing and wrong waypoints of good blocks are written", "[store][scrub]") {
    fixture f({{}});
    const std::string lacking = make_content(600'000, 1);
    const std::string wrong = make_content(600'000, 2);
    const std::string right = make_content(600'000, 3);
    const std::string small = make_content(2000, 4);
    const std::string others = make_content(600'000, 5);
    for (const auto& c : {lacking, wrong, right, small, others}) f.volumes[0]->inner.plant(name_of(c), c);
    auto& attributes = f.volumes[0]->attributes;
    attributes[name_of(wrong)] = waypoints_of(right, right.size(), name_of(wrong));
    attributes[name_of(others)] = waypoints_of(right, right.size());
    attributes[name_of(right)] = waypoints_of(right, right.size());
    const auto s = f.pass();
    CHECK(s.pass.bad == 0);
    CHECK(s.pass.blocks == 5);
    CHECK(s.pass.waypoints_written == 3);
    CHECK(f.store.counters().false_alarms.value() == 1);
    for (const auto& c : {lacking, wrong, right, others}) CHECK(attributes[name_of(c)] == waypoints_of(c, c.size()));
    CHECK_FALSE(attributes.contains(name_of(small)));
    CHECK(f.volumes[0]->uncached_readers >= 4);
}

TEST_CASE("large blocks with waypoints are checked to the last byte, whatever their length", "[store][scrub]") {
    // Strides from 64 KiB to 1 MiB; lengths around segments, groups of lanes and MD5 blocks.
    for (const std::size_t size : {256 * KiB + 1, 1 * MiB, 4 * MiB - 1, 4 * MiB, 4 * MiB + 64, 9 * MiB + 63,
                                   17 * MiB + 1, 40 * MiB, limits::block_size_bytes_max}) {
        fixture f({{}});
        std::vector<std::string> goods;
        for (unsigned i = 0; i < 2; ++i) goods.push_back(make_content(size, i + 1));
        for (const auto& g : goods) f.volumes[0]->attributes[name_of(g)] = waypoints_of(g, size);
        const std::size_t at = size - 1 - (size % 7) * 1000;
        std::string bad = goods[1];
        bad[at] = static_cast<char>(bad[at] ^ 1);
        f.volumes[0]->inner.plant(name_of(goods[0]), goods[0]);
        f.volumes[0]->inner.plant(name_of(goods[1]), bad);
        const auto s = f.pass();
        CAPTURE(size);
        CHECK(s.state == scrub_state::finished);
        CHECK(s.pass.blocks == 2);
        CHECK(s.pass.bad == 1);
        CHECK(s.pass.waypoints_written == 0);
        REQUIRE(s.irreparable.size() == 1);
        CHECK(s.irreparable[0].block == name_of(goods[1]));
        CHECK(s.irreparable[0].offset <= at);
        CHECK(s.irreparable[0].offset + digest::waypoints::stride_for(size) * 4 > at);
        // The good one was read once.
        CHECK(f.volumes[0]->opens[name_of(goods[0])] == 1);
    }
}
