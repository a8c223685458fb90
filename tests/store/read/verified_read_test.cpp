/// Reads of blocks that have waypoints: only proven bytes are sent, whatever is damaged.

#include "store/limits.hpp"
#include "tests/store/waypoint_fixture.hpp"

using namespace keepstore;
using namespace keepstore::store;
using namespace keepstore::test;

namespace {

const std::size_t sizes[] = {chunk + 1, 2 * chunk, 3 * MiB + 7, 5 * MiB, 17 * MiB + 64, 33 * MiB + 1};

}  // namespace

TEST_CASE("a PUT stores the waypoints of a large block with it, and a GET is verified by them", "[store][waypoints]") {
    waypoint_fixture f(1);
    for (const std::size_t size : sizes) {
        CAPTURE(size);
        const auto content = make_content(size, 3);
        REQUIRE(f.put(content).has_value());
        CHECK(f.points_of(0, content) == right_points(content));
        string_sink sink;
        REQUIRE(f.get(name_of(content), size, sink).has_value());
        CHECK(sink.text == content);
        CHECK(f.get(name_of(content), size, sink, true).has_value());
    }
    const auto small = make_content(chunk);
    REQUIRE(f.put(small).has_value());
    CHECK_FALSE(f.memory[0]->attribute(name_of(small), key));
    CHECK(f.store.counters().waypoints_added.value() == 0);
}

TEST_CASE("the first read of a block without waypoints adds them", "[store][waypoints]") {
    waypoint_fixture f(1);
    for (const std::string how : {"GET", "HEAD", "range", "slow GET"}) {
        CAPTURE(how);
        const auto content = make_content(3 * MiB + 100, 5);
        f.memory[0]->plant(name_of(content), content);
        string_sink sink;
        if (how == "slow GET") sink.takes_at_once = 100'000;
        const auto range = how == "range" ? std::optional<byte_range_spec>({1 * MiB, 2 * MiB}) : std::nullopt;
        REQUIRE(f.get(name_of(content), content.size(), sink, how == "HEAD", range).has_value());
        if (how == "range")
            CHECK(sink.text == content.substr(1 * MiB, 1 * MiB + 1));
        else if (how != "HEAD")
            CHECK(sink.text == content);
        CHECK(f.points_of(0, content) == right_points(content));
    }
}

TEST_CASE("no byte of a bad copy without waypoints is sent", "[store][waypoints][corruption]") {
    const auto content = make_content(5 * MiB + 100, 21);
    for (const std::size_t at : {std::size_t{0}, 3 * MiB, content.size() - 1}) {
        for (const std::size_t takes : {std::string::npos, std::size_t{100'001}}) {
            CAPTURE(at, takes);
            for (const std::size_t copies : {std::size_t{1}, std::size_t{2}}) {
                waypoint_fixture f(copies);
                f.memory[0]->plant(name_of(content), flipped(content, at));
                if (copies == 2) f.memory[1]->plant(name_of(content), content);
                string_sink sink;
                sink.takes_at_once = takes;
                const auto read = f.get(name_of(content), content.size(), sink);
                CHECK(f.points_of(0, content) == std::nullopt);
                if (copies == 1) {
                    CHECK(read.error() == errc::checksum_mismatch);
                    CHECK_FALSE(sink.announced);
                } else {
                    REQUIRE(read.has_value());
                    CHECK(sink.text == content);
                    CHECK(f.points_of(1, content) == right_points(content));
                }
            }
        }
    }
}

TEST_CASE("a bad segment is never sent, and a good copy continues in its place", "[store][waypoints][corruption]") {
    const auto content = make_content(33 * MiB + 1000, 9);
    const std::size_t places[] = {0, 1 * MiB, 20 * MiB + 77, content.size() - 1};
    for (const std::size_t takes : {std::string::npos, std::size_t{70'001}}) {
        for (const std::size_t at : places) {
            CAPTURE(takes, at);
            {
                waypoint_fixture f(1);
                f.store_everywhere(content);
                f.memory[0]->rot(name_of(content), flipped(content, at));
                string_sink sink;
                sink.takes_at_once = takes;
                CHECK(f.get(name_of(content), content.size(), sink).error() == errc::checksum_mismatch);
                CHECK(sink.text == content.substr(0, sink.text.size()));
                CHECK(sink.text.size() <= at);
                CHECK(sink.announced.has_value() == (at >= 1 * MiB));  // Within the first segment: an error status.
                CHECK(f.store.counters().bad_segments.value() == 1);
            }
            {
                waypoint_fixture f(2);
                f.store_everywhere(content);
                f.memory[0]->rot(name_of(content), flipped(content, at));
                string_sink sink;
                sink.takes_at_once = takes;
                REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
                CHECK(sink.text == content);
                CHECK(f.store.counters().failovers.value() == 1);
            }
            {
                // The other copy is damaged elsewhere: stitched they give the block.
                waypoint_fixture f(2);
                f.store_everywhere(content);
                f.memory[0]->rot(name_of(content), flipped(content, at));
                const std::size_t other = (at + 10 * MiB) % content.size();
                f.memory[1]->rot(name_of(content), flipped(content, other));
                string_sink sink;
                sink.takes_at_once = takes;
                REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
                CHECK(sink.text == content);
            }
        }
    }
}

TEST_CASE("a copy without waypoints takes over from one with, and the other way round",
          "[store][waypoints][corruption]") {
    const auto content = make_content(20 * MiB + 5, 11);
    for (const std::size_t at : {std::size_t{0}, 18 * MiB + 3, content.size() - 1}) {
        CAPTURE(at);
        waypoint_fixture f(2);
        f.store_everywhere(content);
        f.memory[0]->rot(name_of(content), flipped(content, at));
        f.memory[1]->set_attribute(name_of(content), key, std::nullopt);
        string_sink sink;
        REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
        CHECK(sink.text == content);
        CHECK(f.points_of(1, content) == right_points(content));

        // Serial first: it is unreadable in the middle, the other one has waypoints.
        waypoint_fixture g(2);
        g.store_everywhere(content);
        g.memory[0]->set_attribute(name_of(content), key, std::nullopt);
        g.faulty[0]->plan.fail_read_at = at;
        string_sink second;
        REQUIRE(g.get(name_of(content), content.size(), second).has_value());
        CHECK(second.text == content);
    }
}

TEST_CASE("wrong waypoints raise a false alarm, the client gets the block, and they are right afterwards",
          "[store][waypoints][corruption]") {
    const auto content = make_content(20 * MiB + 5, 13);
    const auto name = name_of(content);
    const auto right = right_points(content).encode(name);
    const auto other = right_points(make_content(20 * MiB + 5, 14)).encode(name);
    struct row {
        std::string what;
        std::vector<std::byte> value;
        bool false_alarm;
    };
    std::vector<row> rows = {{"empty", {}, false},
                             {"of another content", other, true},
                             {"of another block", right_points(content).encode(name_of("other")), false},
                             {"of another length", right_points(make_content(20 * MiB + 6, 13)).encode(name), false},
                             {"junk", std::vector<std::byte>(1024, std::byte{0x5a}), false},
                             {"long", std::vector<std::byte>(60'000, std::byte{1}), false}};
    for (const std::size_t at : {0U, 1U, 2U, 5U, 8U, 100U}) {
        auto damaged = right;
        damaged[at] ^= std::byte{4};
        rows.push_back({"byte " + std::to_string(at), damaged, false});
    }
    {
        // One wrong state, with a checksum that is right.
        std::vector<digest::md5_state> states;
        const auto points = right_points(content);
        for (std::size_t i = 1; i < points.segment_count(); ++i) states.push_back(points.state_before(i));
        states[states.size() - 1].words[2] ^= 1;
        rows.push_back(
            {"one wrong state", digest::waypoints::make(content.size(), points.stride(), states)->encode(name), true});
    }
    for (const row& r : rows) {
        for (const std::string how : {"GET", "HEAD", "range"}) {
            CAPTURE(r.what, how);
            waypoint_fixture f(1);
            f.store_everywhere(content);
            f.memory[0]->set_attribute(name_of(content), key, r.value);
            string_sink sink;
            const auto range = how == "range" ? std::optional<byte_range_spec>({19 * MiB, {}}) : std::nullopt;
            REQUIRE(f.get(name_of(content), content.size(), sink, how == "HEAD", range).has_value());
            if (how != "HEAD") CHECK(sink.text == (range ? content.substr(19 * MiB) : content));
            CHECK(f.points_of(0, content) == right_points(content));
            CHECK(f.store.counters().false_alarms.value() == (r.false_alarm ? 1 : 0));
            CHECK(f.store.counters().bad_copies.value() == 0);
        }
    }
}

TEST_CASE("no wrong byte is sent when both copies are damaged", "[store][waypoints][corruption]") {
    const auto content = make_content(20 * MiB + 5, 15);
    const auto bad = flipped(content, 3 * MiB);
    waypoint_fixture f(1);
    f.store_everywhere(content);
    f.memory[0]->rot(name_of(content), bad);
    f.memory[0]->set_attribute(name_of(content), key,
                               right_points(bad).encode(name_of(content)));  // Agree with each other.
    string_sink sink;
    CHECK(f.get(name_of(content), content.size(), sink).error() == errc::checksum_mismatch);
    CHECK(sink.text.size() < content.size());
    string_sink head;
    CHECK(f.get(name_of(content), content.size(), head, true).error() == errc::checksum_mismatch);
}

TEST_CASE("a range reads and verifies the segments that it touches", "[store][waypoints][range]") {
    const auto content = make_content(20 * MiB + 5, 17);
    waypoint_fixture f(2);
    f.store_everywhere(content);
    const auto name = name_of(content);
    const std::uint64_t size = content.size();
    struct row {
        byte_range_spec spec;
        std::uint64_t first, length;
    };
    const row rows[] = {{{0, 0}, 0, 1},
                        {{0, size - 1}, 0, size},
                        {{5, {}}, 5, size - 5},
                        {{{}, 10}, size - 10, 10},
                        {{{}, size + 10}, 0, size},
                        {{1 * MiB - 1, 1 * MiB}, 1 * MiB - 1, 2},
                        {{7 * MiB + 3, 9 * MiB + 4}, 7 * MiB + 3, 2 * MiB + 2},
                        {{size - 1, size + 100}, size - 1, 1}};
    for (const row& r : rows) {
        for (const std::size_t takes : {std::string::npos, std::size_t{50'000}}) {
            CAPTURE(r.first, r.length, takes);
            string_sink sink;
            sink.takes_at_once = takes;
            REQUIRE(f.get(name, size, sink, false, r.spec).has_value());
            CHECK(sink.body == byte_range{r.first, r.length});
            CHECK(sink.text == content.substr(r.first, r.length));
        }
    }
    SECTION("no other bytes") {
        const auto before = f.memory[0]->stats().bytes_in;
        string_sink sink;
        REQUIRE(f.get(name, size, sink, false, byte_range_spec{7 * MiB + 3, 7 * MiB + 4}).has_value());
        CHECK(f.memory[0]->stats().bytes_in - before == digest::waypoints::stride_for(content.size()));
    }
    SECTION("past the end") {
        for (const byte_range_spec spec : {byte_range_spec{size, {}}, byte_range_spec{{}, 0}}) {
            string_sink sink;
            CHECK(f.get(name, size, sink, false, spec).error() == errc::range_not_satisfiable);
            CHECK_FALSE(sink.announced);
        }
        string_sink sink;
        CHECK(f.get(name_of("x"), 1, sink, false, byte_range_spec{5, {}}).error() == errc::not_found);
    }
    SECTION("damage elsewhere does not matter, damage inside is never sent") {
        f.memory[0]->rot(name, flipped(content, 15 * MiB));
        string_sink sink;
        REQUIRE(f.get(name, size, sink, false, byte_range_spec{2 * MiB, 3 * MiB}).has_value());
        CHECK(f.store.counters().bad_copies.value() == 0);
        string_sink touched;
        REQUIRE(f.get(name, size, touched, false, byte_range_spec{14 * MiB, 16 * MiB}).has_value());
        CHECK(touched.text == content.substr(14 * MiB, 2 * MiB + 1));
        CHECK(f.store.counters().failovers.value() == 1);
        f.memory[1]->rot(name, flipped(content, 15 * MiB + 1));
        string_sink none;
        CHECK(f.get(name, size, none, false, byte_range_spec{15 * MiB, 16 * MiB}).error() == errc::checksum_mismatch);
        CHECK_FALSE(none.announced);
        string_sink before;
        CHECK(f.get(name, size, before, false, byte_range_spec{14 * MiB, 16 * MiB}).error() == errc::checksum_mismatch);
        CHECK(before.text == content.substr(14 * MiB, 1 * MiB));
    }
    SECTION("of a small block") {
        const auto small = make_content(1000);
        REQUIRE(f.put(small).has_value());
        string_sink sink;
        REQUIRE(f.get(name_of(small), 1000, sink, false, byte_range_spec{10, 19}).has_value());
        CHECK(sink.text == small.substr(10, 10));
    }
}

TEST_CASE("a file that changes while it is sent never becomes a complete wrong response",
          "[store][waypoints][corruption]") {
    const auto content = make_content(30 * MiB + 5, 19);
    for (const std::size_t takes : {std::string::npos, std::size_t{60'000}}) {
        CAPTURE(takes);
        waypoint_fixture f(1);
        f.store_everywhere(content);
        string_sink sink;
        sink.takes_at_once = takes;
        bool changed = false;
        // Memory volumes hand out snapshots: what changes the bytes under an open reader is the fault volume.
        sink.after_write = [&] {
            if (changed || sink.text.size() < 10 * MiB) return;
            changed = true;
            f.faulty[0]->plan.flip_from = 25 * MiB;
        };
        CHECK(f.get(name_of(content), content.size(), sink).error() == errc::checksum_mismatch);
        CHECK(changed);
        CHECK(sink.text == content.substr(0, sink.text.size()));
        CHECK(sink.text.size() < content.size());
    }
}

TEST_CASE("reads that find no memory still verify everything and hold nothing", "[store][waypoints]") {
    const auto content = make_content(10 * MiB + 5, 21);
    waypoint_fixture f(1, 1);  // One chunk of budget: no room for a segment.
    f.store_everywhere(content);
    string_sink sink;
    REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
    CHECK(sink.text == content);
    CHECK(sink.largest_piece <= 64 * KiB);
    f.memory[0]->rot(name_of(content), flipped(content, 9 * MiB));
    string_sink second;
    CHECK(f.get(name_of(content), content.size(), second).error() == errc::checksum_mismatch);
    CHECK(second.text == content.substr(0, second.text.size()));
}

TEST_CASE("a client that disconnects during a verified read leaves no chunk and no part of the window",
          "[store][waypoints][cancel]") {
    const auto content = make_content(20 * MiB + 5, 23);
    waypoint_fixture f(1);
    f.store_everywhere(content);
    for (std::size_t at = 0; at < content.size(); at += 3 * MiB + 1) {
        string_sink sink;
        sink.fail_at = at;
        sink.takes_at_once = at % 2 ? 90'000 : std::string::npos;
        CHECK(f.get(name_of(content), content.size(), sink).error() == errc::cancelled);
        CHECK(f.store.read_window_bytes() == 0);
    }
}

TEST_CASE("a slow client of a stream is served in order, once, and never wrong", "[store][waypoints]") {
    const auto content = make_content(20 * MiB + 5, 25);
    for (const std::size_t takes : {std::string::npos, std::size_t{70'001}}) {
        for (const bool waypoints : {true, false}) {
            CAPTURE(takes, waypoints);
            waypoint_fixture f(2);
            f.store_everywhere(content);
            for (auto& v : f.faulty) v->plan.streams = true;
            if (!waypoints) f.memory[0]->set_attribute(name_of(content), key, std::nullopt);
            const auto before = f.memory[0]->stats().bytes_in;
            string_sink sink;
            sink.takes_at_once = takes;
            REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
            CHECK(sink.text == content);
            CHECK(f.memory[0]->stats().bytes_in - before <=
                  content.size() + 3 * MiB);  // At most the look-ahead, again.

            // Corrupt at the end: never complete; the other copy cannot overrule the digest.
            f.memory[0]->rot(name_of(content), flipped(content, content.size() - 1));
            string_sink cut;
            cut.takes_at_once = takes;
            const auto got = f.get(name_of(content), content.size(), cut);
            if (got)
                CHECK(cut.text == content);
            else
                CHECK(cut.text == content.substr(0, cut.text.size()));
            CHECK(got.has_value());  // The second copy takes over.
        }
    }
}
