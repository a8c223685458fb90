/// Reads that fail since a volume does not respond, or the block was trashed, say nothing about the copy on it.

#include "store/outage.hpp"
#include "tests/store/waypoint_fixture.hpp"

using namespace keepstore;
using namespace keepstore::test;

namespace {

struct read_kind {
    std::string what;
    std::size_t size;
    bool waypoints;
    bool streams;
    bool head;
};

// One for each path of a read that can meet the failure.
const read_kind kinds[] = {{"small", 1000, false, false, false},
                           {"small HEAD", 1000, false, false, true},
                           {"without waypoints", 3 * MiB, false, false, false},
                           {"without waypoints, streamed", 3 * MiB, false, true, false},
                           {"with waypoints", 3 * MiB, true, false, false},
                           {"with waypoints, streamed", 3 * MiB, true, true, false},
                           {"HEAD", 3 * MiB, true, false, true}};

struct outage_fixture : waypoint_fixture {
    outage_fixture(const read_kind& k, std::size_t volumes) : waypoint_fixture(volumes), kind(k) {
        for (auto& v : memory) v->keep_attributes(k.waypoints);
        for (auto& v : faulty) v->plan.streams = k.streams;
        store_everywhere(content);
    }
    result<std::uint64_t> get(string_sink& sink) {
        return waypoint_fixture::get(name_of(content), content.size(), sink, kind.head);
    }

    const read_kind kind;
    const std::string content = make_content(kind.size, 41);
};

}  // namespace

TEST_CASE("a volume that does not respond while a block is read has no bad copy of it", "[store][outage]") {
    for (const auto& kind : kinds) {
        for (const errc why : {errc::timeout, errc::unavailable, errc::not_found}) {
            for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{kind.size / 2}}) {
                CAPTURE(kind.what, to_string(why), at);
                outage_fixture f(kind, 1);
                f.faulty[0]->plan.with = why;
                f.faulty[0]->plan.fail_read_at = at;
                string_sink cut;
                CHECK(f.get(cut).error() == why);
                CHECK(f.store.counters().bad_copies.value() == 0);

                // The client gets the block from there as soon as it responds again.
                f.faulty[0]->plan.fail_read_at = fault_plan::never;
                string_sink sink;
                REQUIRE(f.get(sink).has_value());
                if (!kind.head) CHECK(sink.text == f.content);
            }
        }
    }
}

TEST_CASE("a read goes on with another volume, and later begins with the one that did not respond again",
          "[store][outage]") {
    for (const auto& kind : kinds) {
        for (const bool outage : {true, false}) {
            CAPTURE(kind.what, outage);
            outage_fixture f(kind, 2);
            f.faulty[0]->plan.with = outage ? errc::unavailable : errc::io_error;
            f.faulty[0]->plan.fail_read_at = kind.size / 2;
            string_sink sink;
            REQUIRE(f.get(sink).has_value());
            if (!kind.head) CHECK(sink.text == f.content);
            CHECK(f.store.counters().bad_copies.value() == (outage ? 0 : 1));

            f.faulty[0]->plan.fail_read_at = fault_plan::never;
            const auto before = f.memory[0]->stats().bytes_in;
            string_sink again;
            REQUIRE(f.get(again).has_value());
            // A copy that is known to be bad is read last.
            CHECK((f.memory[0]->stats().bytes_in > before) == outage);
        }
    }
}

TEST_CASE("a copy that could not be compared with a PUT is replaced, and not called bad", "[store][outage]") {
    const auto content = make_content(3 * MiB, 43);
    for (const bool outage : {true, false}) {
        CAPTURE(outage);
        fixture f({{"default"}});
        REQUIRE(f.put(content).has_value());
        // What a copy in its first chunk needs to be fed from is readable.
        f.faulty[0]->plan.with = outage ? errc::timeout : errc::io_error;
        f.faulty[0]->plan.fail_read_at = 0;
        REQUIRE(f.put(content).has_value());
        CHECK(f.store.counters().bad_copies.value() == (outage ? 0 : 1));
        CHECK(f.store.counters().repaired_copies.value() == (outage ? 0 : 1));
    }
}
