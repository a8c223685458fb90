#include "keepctl/cluster/server_health.hpp"

#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace std::chrono_literals;

namespace {

const auto start = server_health::clock::time_point(1h);

void fail_until_paused(server_health& server, server_health::clock::time_point now) {
    for (unsigned i = 1; i < limits::place_failures_max; ++i) REQUIRE_FALSE(server.failed(errc::unavailable, now));
    REQUIRE(server.failed(errc::unavailable, now));
}

}  // namespace

TEST_CASE("a server is paused after failures in a row, and each change of state is told once", "[keepctl][health]") {
    server_health server("http://keep0");
    for (unsigned round = 0; round < 3; ++round) {
        for (unsigned i = 1; i < limits::place_failures_max; ++i) CHECK_FALSE(server.failed(errc::timeout, start));
        CHECK_FALSE(server.paused());
        CHECK(server.admit(start) == 0s);
        CHECK_FALSE(server.succeeded());  // Not in a row.
    }
    fail_until_paused(server, start);
    CHECK(server.paused());
    CHECK_FALSE(server.full());
    CHECK_FALSE(server.failed({errc::timeout, "later"}, start + 1s));
    CHECK(server.why().text == "later");
    CHECK(server.since() == start);
    CHECK(server.succeeded());
    CHECK_FALSE(server.succeeded());
    CHECK_FALSE(server.paused());
}

TEST_CASE("one call each two seconds probes a paused server", "[keepctl][health]") {
    server_health server("http://keep0");
    fail_until_paused(server, start);
    CHECK(server.admit(start) == limits::place_pause);
    CHECK(server.wait(start + 1s) == limits::place_pause - 1s);
    const auto first = start + limits::place_pause;
    CHECK(server.wait(first) == 0s);
    CHECK(server.admit(first) == 0s);
    CHECK(server.admit(first) == limits::place_pause);
    CHECK(server.admit(first + limits::place_pause + 1h) == 0s);
    CHECK(server.since() == start);
}

TEST_CASE("a full server is paused at once, and probed less often", "[keepctl][health]") {
    server_health server("http://keep0");
    CHECK(server.refused_as_full({errc::no_space, "full"}, start));
    CHECK_FALSE(server.refused_as_full({errc::no_space, "full"}, start + 1s));
    CHECK(server.full());
    CHECK(server.admit(start + limits::full_pause - 1s) == 1s);
    CHECK(server.admit(start + limits::full_pause) == 0s);
    // It goes away while it is full: it has been paused since then.
    fail_until_paused(server, start + 40s);
    CHECK_FALSE(server.full());
    CHECK(server.since() == start);
    CHECK(server.succeeded());
    CHECK(server.refused_as_full({errc::no_space, "full"}, start + 100s));
    CHECK(server.since() == start + 100s);
}
