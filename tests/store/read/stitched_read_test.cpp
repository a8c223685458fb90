/// Reads of blocks whose copies are all damaged in different segments: stitched together they give the block.

#include "store/limits.hpp"
#include "tests/store/waypoint_fixture.hpp"

#include <string>
#include <utility>
#include <vector>

using namespace keepstore;
using namespace keepstore::store;
using namespace keepstore::test;

namespace {

// Of blocks of 17 to 32 MiB; a read looks 16 of them ahead.
constexpr std::size_t seg = 512 * KiB;

// One bit in each of these places.
std::string flipped_at(std::string content, const std::vector<std::size_t>& places) {
    for (const std::size_t at : places) content = flipped(std::move(content), at);
    return content;
}

// The first byte of every `step`th segment, from segment `first`.
std::vector<std::size_t> every(std::size_t step, std::size_t first, const std::string& content) {
    const std::size_t stride = digest::waypoints::stride_for(content.size());
    std::vector<std::size_t> places;
    for (std::size_t at = first * stride; at < content.size(); at += step * stride) places.push_back(at);
    return places;
}

struct damaged_fixture : waypoint_fixture {
    // A copy on each volume with damage in its places; all of them have the block's waypoints.
    damaged_fixture(const std::string& block, const std::vector<std::vector<std::size_t>>& damage)
        : waypoint_fixture(damage.size()), content(block), name(name_of(block)) {
        store_everywhere(content);
        for (std::size_t i = 0; i < damage.size(); ++i) memory[i]->rot(name, flipped_at(content, damage[i]));
    }
    void forge(std::size_t volume, const std::string& of) {
        memory[volume]->set_attribute(name, key, right_points(of).encode(name));
    }
    void forget(std::size_t volume) { memory[volume]->set_attribute(name, key, std::nullopt); }
    result<std::uint64_t> read(string_sink& sink, std::optional<byte_range_spec> range = {}, bool head = false) {
        auto got = get(name, content.size(), sink, head, range);
        CHECK(store.read_window_bytes() == 0);
        return got;
    }

    const std::string content;
    const md5_digest name;
};

}  // namespace

TEST_CASE("copies damaged in different segments are one good block together", "[store][waypoints][stitched]") {
    const auto content = make_content(33 * seg + 1000, 31);
    const std::size_t last = content.size() - 1;
    const std::vector<std::vector<std::vector<std::size_t>>> damages = {
        {{0}, {1 * seg}},  // Both before the first byte is sent.
        {{1 * seg}, {0}},
        {{5 * seg}, {25 * seg}},   // One before, one in mid-stream.
        {{25 * seg}, {28 * seg}},  // Both in mid-stream.
        {{25 * seg, 29 * seg}, {24 * seg, 27 * seg}},
        {{last}, {last - 1 * seg}},
        {{last - 1 * seg}, {last}},
        {{0, last}, {16 * seg}},
        {every(2, 0, content), every(2, 1, content)},
        {every(3, 0, content), every(3, 1, content), every(1, 0, content)},
    };
    for (const auto& damage : damages) {
        for (const auto& [takes, streams] :
             {std::pair{std::string::npos, false}, {170'001, false}, {std::string::npos, true}}) {
            CAPTURE(&damage - damages.data(), takes, streams);
            damaged_fixture f(content, damage);
            for (auto& v : f.faulty) v->plan.streams = streams;
            string_sink sink;
            sink.takes_at_once = takes;
            REQUIRE(f.read(sink).has_value());
            CHECK(sink.text == content);
            string_sink again;
            REQUIRE(f.read(again).has_value());
            CHECK(again.text == content);
            CHECK(f.store.counters().stitched_reads.value() >= 1);
            string_sink head;
            CHECK(f.read(head, {}, true).error() == errc::checksum_mismatch);
        }
    }
}

TEST_CASE("neighbouring segments that are read as one may come from different copies", "[store][waypoints][stitched]") {
    const auto content = make_content(3 * MiB + 7, 33);  // Segments of 64 KiB, read four at a time.
    for (std::size_t k = 0; k < 5; ++k) {
        damaged_fixture f(content, {every(5, k, content), every(5, (k + 1) % 5, content)});
        string_sink sink;
        REQUIRE(f.read(sink).has_value());
        CHECK(sink.text == content);
        CHECK(f.store.counters().stitched_reads.value() == 1);
        CHECK(f.store.counters().bad_copies.value() == 2);
    }
}

TEST_CASE("the waypoints of one copy are enough for all", "[store][waypoints][stitched]") {
    const auto content = make_content(33 * seg + 1000, 35);
    for (const auto& [first, second] : {std::pair{5 * seg, 25 * seg}, {25 * seg, 5 * seg}, {0 * seg, 1 * seg}}) {
        for (const std::size_t without : {0U, 1U}) {
            CAPTURE(first, second, without);
            damaged_fixture f(content, {{first}, {second}});
            f.forget(without);
            string_sink sink;
            REQUIRE(f.read(sink).has_value());
            CHECK(sink.text == content);
        }
    }
    SECTION("no copy has waypoints") {
        damaged_fixture f(content, {{5 * seg}, {25 * seg}});
        f.forget(0);
        f.forget(1);
        string_sink sink;
        CHECK(f.read(sink).error() == errc::checksum_mismatch);
        CHECK_FALSE(sink.announced);
    }
}

TEST_CASE("a segment that is bad in every copy is never sent", "[store][waypoints][stitched]") {
    const auto content = make_content(33 * seg + 1000, 37);
    struct row {
        std::vector<std::size_t> first, second;
        std::size_t right;  // At most this many bytes may be sent; 0: an error status.
    };
    const std::size_t last = content.size() - 1;
    const row rows[] = {{{0}, {5}, 0},
                        {{3 * seg}, {3 * seg + 5}, 3 * seg},
                        {{0, 25 * seg}, {1 * seg, 25 * seg + 1}, 0},
                        {{0, last}, {1 * seg, last}, 0},
                        {{25 * seg}, {25 * seg + 5}, 25 * seg},
                        {{20 * seg, 25 * seg}, {22 * seg, 25 * seg + 5}, 25 * seg},
                        {{20 * seg, last}, {22 * seg, last - 1}, 33 * seg}};
    for (const row& r : rows) {
        for (const std::size_t takes : {std::string::npos, std::size_t{170'001}}) {
            CAPTURE(r.first, r.second, takes);
            damaged_fixture f(content, {r.first, r.second});
            string_sink sink;
            sink.takes_at_once = takes;
            CHECK(f.read(sink).error() == errc::checksum_mismatch);
            CHECK(sink.announced.has_value() == (r.right > 0));
            CHECK(sink.text.size() <= r.right);
            CHECK(content.starts_with(sink.text));
            CHECK(f.store.counters().stitched_reads.value() == 0);
        }
    }
}

TEST_CASE("a range is stitched, too, and sent only if it leads to the block's name",
          "[store][waypoints][stitched][range]") {
    const auto content = make_content(33 * seg + 1000, 39);
    const byte_range_spec spec{4 * seg + 10, 9 * seg + 10};
    const auto wanted = content.substr(4 * seg + 10, 5 * seg + 1);
    SECTION("from two damaged copies") {
        for (const bool reversed : {false, true}) {
            for (const std::size_t takes : {std::string::npos, std::size_t{70'001}}) {
                damaged_fixture f(content, {{(reversed ? 8 : 5) * seg}, {(reversed ? 5 : 8) * seg, 30 * seg}});
                string_sink sink;
                sink.takes_at_once = takes;
                REQUIRE(f.read(sink, spec).has_value());
                CHECK(sink.text == wanted);
                // Reversed, the second copy is good where the first one ends.
                CHECK(f.store.counters().stitched_reads.value() == (reversed ? 0 : 1));
            }
        }
    }
    SECTION("in mid-stream") {
        damaged_fixture f(content, {{25 * seg}, {28 * seg}});
        string_sink sink;
        REQUIRE(f.read(sink, byte_range_spec{1, 30 * seg}).has_value());
        CHECK(sink.text == content.substr(1, 30 * seg));
    }
    SECTION("with the waypoints of one") {
        for (const std::size_t without : {0U, 1U}) {
            damaged_fixture f(content, {{5 * seg}, {8 * seg}});
            f.forget(without);
            string_sink sink;
            REQUIRE(f.read(sink, spec).has_value());
            CHECK(sink.text == wanted);
        }
    }
    SECTION("not where both are bad in it") {
        damaged_fixture f(content, {{5 * seg, 7 * seg}, {8 * seg, 7 * seg + 1}});
        string_sink sink;
        CHECK(f.read(sink, spec).error() == errc::checksum_mismatch);
        CHECK(wanted.starts_with(sink.text));
        CHECK(sink.text.size() == 3 * seg - 10);
    }
    SECTION("not by waypoints that fit another copy's damage") {
        for (const bool other_has_some : {false, true}) {
            damaged_fixture f(content, {{5 * seg}, {5 * seg + 9}});
            f.forge(0, flipped(content, 5 * seg + 9));
            if (!other_has_some) f.forget(1);
            string_sink sink;
            CHECK(f.read(sink, spec).error() == errc::checksum_mismatch);
            CHECK(sink.text.empty());
        }
    }
}

TEST_CASE("wrong waypoints do not keep right ones from being used", "[store][waypoints][stitched]") {
    const auto content = make_content(20 * seg + 5, 41);
    for (const std::size_t forged : {0U, 1U}) {
        for (const std::string of : {"another content", "the other copy"}) {
            CAPTURE(forged, of);
            damaged_fixture f(content, {{2 * seg}, {7 * seg}});
            f.forge(forged, of == "another content" ? make_content(content.size(), 43)
                                                    : flipped(content, forged == 0 ? 7 * seg : 2 * seg));
            string_sink sink;
            REQUIRE(f.read(sink).has_value());
            CHECK(sink.text == content);
        }
    }
}

TEST_CASE("a copy of the wrong length contributes its good segments", "[store][waypoints][stitched]") {
    const auto content = make_content(20 * seg + 5, 45);
    for (const auto& [volume, what] : {std::pair{0U, "short"},
                                       {1U, "short"},
                                       {0U, "long"},
                                       {1U, "long"},
                                       {0U, "short, with the only waypoints"},
                                       {1U, "short, with the only waypoints"}}) {
        CAPTURE(volume, what);
        damaged_fixture f(content, {{7 * seg}, {7 * seg}});
        f.memory[volume]->rot(f.name, what == std::string("long") ? content + "x" : content.substr(0, 9 * seg));
        if (what == std::string("short, with the only waypoints")) f.forget(1 - volume);
        string_sink sink;
        const auto got = f.read(sink);
        // The one without waypoints may be the first that is tried.
        if (!got) CHECK(sink.text.size() < content.size());
        string_sink again;
        REQUIRE(f.read(again).has_value());
        CHECK(again.text == content);
        string_sink range;
        REQUIRE(f.read(range, byte_range_spec{{}, 14 * seg}).has_value());
        CHECK(range.text == content.substr(content.size() - 14 * seg));
    }
}

TEST_CASE("copies that change while they are read are stitched again, as long as that gets further",
          "[store][waypoints][stitched]") {
    const auto content = make_content(33 * seg + 1000, 47);
    for (const bool hopeless : {false, true}) {
        CAPTURE(hopeless);
        damaged_fixture f(content, {{1 * seg}, {5 * seg}});
        string_sink sink;
        sink.after_write = [&] {
            if (sink.text.size() < 8 * seg) return;  // It is 16 segments ahead at most.
            f.faulty[0]->plan.flip_from = 29 * seg;
            f.faulty[1]->plan.flip_from = hopeless ? 31 * seg : fault_plan::never;
        };
        const auto got = f.read(sink);
        CHECK(got.has_value() == !hopeless);
        CHECK(content.starts_with(sink.text));
        CHECK((sink.text == content) == !hopeless);
        CHECK(sink.text.size() >= 28 * seg);
    }
}

TEST_CASE("an unreadable copy contributes its readable segments, and one that times out is not tried again",
          "[store][waypoints][stitched]") {
    const auto content = make_content(33 * seg + 1000, 49);
    for (const auto code : {errc::io_error, errc::timeout}) {
        damaged_fixture f(content, {{5 * seg}, {}});
        f.faulty[1]->plan.fail_read_at = 10 * seg;
        f.faulty[1]->plan.with = error(code, "injected fault");
        string_sink sink;
        REQUIRE(f.read(sink).has_value());
        CHECK(sink.text == content);
    }
}

TEST_CASE("the cost of a block that cannot be reconstructed is bounded", "[store][waypoints][stitched]") {
    const auto content = make_content(33 * seg + 1000, 51);
    damaged_fixture f(content, {{0, 32 * seg}, {1 * seg, 32 * seg}, {2 * seg, 32 * seg}});
    for (std::size_t i = 0; i < 3; ++i) f.forge(i, make_content(content.size(), 53 + static_cast<unsigned>(i)));
    string_sink sink;
    CHECK(f.read(sink).error() == errc::checksum_mismatch);
    for (const auto& v : f.memory) {
        const auto stats = v->stats();
        CHECK(stats.operations.at("open") <= 3);  // By the PUT that made the first one; then once for each round.
        // To find that it is corrupt, and for each of the three waypoints no more than a few segments.
        CHECK(stats.bytes_in <= content.size() + 16 * seg + 3 * limits::stitched_units * seg);
    }
}
