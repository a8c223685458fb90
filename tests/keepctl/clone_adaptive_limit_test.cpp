#include "keepctl/clone/adaptive_limit.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace std::chrono;

namespace {

/// A service that does at most `capacity` requests per second, each in 20 ms, and a client that always has more to do.
struct simulation {
    adaptive_limit limit;
    adaptive_limit::clock::time_point now;
    double capacity;

    simulation(unsigned most, double per_second)
        : limit(most, adaptive_limit::clock::time_point(hours(1))), now(hours(1)), capacity(per_second) {}

    void run(seconds length, bool waiting = true) {
        const auto end = now + length;
        while (now < end) {
            const double rate = std::min(capacity, limit.limit() / 0.02);
            now += duration_cast<nanoseconds>(duration<double>(1 / rate));
            limit.completed(waiting, now);
        }
    }
};

/// Ends requests one by one, evenly, for so long.
void complete(simulation& s, unsigned requests, milliseconds length) {
    for (unsigned i = 0; i < requests; ++i) {
        s.now += nanoseconds(length) / requests;
        s.limit.completed(true, s.now);
    }
}

}  // namespace

TEST_CASE("the number of requests grows while it helps", "[keepctl][clone]") {
    simulation fast(64, 1e6);
    CHECK(fast.limit.limit() == limits::clone_requests_first);
    fast.run(seconds(3));
    CHECK(fast.limit.limit() == 64);

    simulation slow(64, 500);  // Ten at a time are all that it needs.
    slow.run(seconds(30));
    CHECK(slow.limit.limit() >= 10);
    CHECK(slow.limit.limit() <= 20);

    simulation few(4, 1e6);
    few.run(seconds(10));
    CHECK(few.limit.limit() == 4);
}

TEST_CASE("the number of requests stays where none waits for its turn", "[keepctl][clone]") {
    simulation idle(64, 1e6);
    idle.run(seconds(10), false);
    CHECK(idle.limit.limit() == limits::clone_requests_first);
}

TEST_CASE("a throttled request halves the number, once for each burst, and it recovers", "[keepctl][clone]") {
    simulation s(64, 1e6);
    s.run(seconds(3));
    s.limit.throttled(s.now);
    s.limit.throttled(s.now + milliseconds(5));
    CHECK(s.limit.limit() == 32);
    for (int i = 0; i < 20; ++i) {
        s.now += seconds(2);
        s.limit.throttled(s.now);
    }
    CHECK(s.limit.limit() == 1);
    s.run(seconds(4));
    CHECK(s.limit.limit() <= 2);
    s.run(seconds(200));
    CHECK(s.limit.limit() > 32);
    s.limit.set_most(8);
    CHECK(s.limit.limit() == 8);
}

TEST_CASE("one window without a gain is taken for noise, two take the last step back", "[keepctl][clone]") {
    simulation s(256, 1e6);
    constexpr auto window = limits::clone_growth_window;
    complete(s, 125, window);
    REQUIRE(s.limit.limit() == 16);
    complete(s, 128, window);  // Some are no gain.
    CHECK(s.limit.limit() == 16);
    complete(s, 200, window);  // It was noise.
    REQUIRE(s.limit.limit() == 32);
    complete(s, 200, window);
    CHECK(s.limit.limit() == 32);
    complete(s, 200, window);
    CHECK(s.limit.limit() == 16);
}

TEST_CASE("the number is not taken back to more than the most", "[keepctl][clone]") {
    simulation s(256, 1e6);
    complete(s, 125, limits::clone_growth_window);
    complete(s, 250, limits::clone_growth_window);
    REQUIRE(s.limit.limit() == 32);
    s.limit.set_most(8);
    for (int i = 0; i < 3; ++i) {
        complete(s, 250, limits::clone_growth_window);
        CHECK(s.limit.limit() == 8);
    }
}

TEST_CASE("a window in which not every place was used says nothing yet", "[keepctl][clone]") {
    simulation s(64, 1e6);
    complete(s, limits::clone_requests_first - 1, seconds(10));
    CHECK(s.limit.limit() == limits::clone_requests_first);
    complete(s, 1, milliseconds(1));
    CHECK(s.limit.limit() == 2 * limits::clone_requests_first);
}

TEST_CASE("after a throttled request the number no longer doubles", "[keepctl][clone]") {
    simulation s(256, 1e6);
    complete(s, 100, limits::clone_growth_window);
    complete(s, 200, limits::clone_growth_window);
    REQUIRE(s.limit.limit() == 32);
    s.limit.throttled(s.now);
    REQUIRE(s.limit.limit() == 16);
    complete(s, 400, limits::clone_growth_window);
    CHECK(s.limit.limit() == 16);
    complete(s, 400, limits::clone_steady_window);
    CHECK(s.limit.limit() == 20);
}
