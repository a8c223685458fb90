#include "base/rate_limiter.hpp"

#include <catch2/catch.hpp>

#include <memory>

using namespace keepstore;
using namespace std::chrono_literals;

TEST_CASE("the limiter allows its rate, whatever the size of the reads", "[base][rate]") {
    const auto start = std::chrono::steady_clock::time_point(1h);
    for (const std::uint64_t step : {1'000u, 262'144u, 5'000'000u}) {
        rate_limiter limiter(1'000'000);
        auto now = start;
        std::uint64_t taken = 0;
        while (now < start + 100s) {
            const auto wait = rate_limiter::ticket(limiter, step).try_take(now);
            if (wait == 0ns) {
                taken += step;
            } else {
                CHECK(wait <= rate_limiter::wait_max);
                now += wait;
            }
        }
        CAPTURE(step);
        CHECK(taken >= 99'000'000);
        CHECK(taken <= 100'200'000 + step);
    }
    rate_limiter limiter(1);
    CHECK(rate_limiter::ticket(limiter, 1'000'000).try_take(start) == 0ns);
    CHECK(rate_limiter::ticket(limiter, 1).try_take(start) == rate_limiter::wait_max);
    limiter.set_rate(0);
    CHECK(rate_limiter::ticket(limiter, 1).try_take(start) == 0ns);
}

TEST_CASE("the limiter serves reads first come, first served", "[base][rate]") {
    const auto start = std::chrono::steady_clock::time_point(1h);
    rate_limiter limiter(1000);
    CHECK(rate_limiter::ticket(limiter, 500).try_take(start) == 0ns);
    auto first = std::make_unique<rate_limiter::ticket>(limiter, 500);
    auto second = std::make_unique<rate_limiter::ticket>(limiter, 10);
    CHECK(first->try_take(start) == 400ms);  // There was credit for 100 ms.
    CHECK(second->try_take(start) == 900ms);
    CHECK(second->try_take(start + 400ms) == 500ms);  // Not before the first.
    CHECK(first->try_take(start + 400ms) == 0ns);
    first.reset();
    CHECK(second->try_take(start + 400ms) == 500ms);
    CHECK(second->try_take(start + 900ms) == 0ns);
    // A ticket that is destroyed makes room.
    auto third = std::make_unique<rate_limiter::ticket>(limiter, 5000);
    second.reset();
    rate_limiter::ticket fourth(limiter, 5);
    CHECK(fourth.try_take(start + 2s) > 0ns);
    third.reset();
    CHECK(fourth.try_take(start + 2s) == 0ns);
}
