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
