#include "protocol/retry_schedule.hpp"

#include "net/client/http_client.hpp"
#include "protocol/limits.hpp"
#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <vector>

using namespace keepstore;
using namespace std::chrono_literals;
using protocol::retry_schedule;
using clock_type = std::chrono::steady_clock;

namespace {

using order = std::vector<std::size_t>;

const error down(errc::unavailable, "down", net::failure::connect);
const error slow(errc::timeout, "slow");
const error missing(errc::not_found, "missing");
const error bad(errc::checksum_mismatch, "bad");

/// Asks until the schedule ends. `whys[i]` are the errors of server i, the last one for all further attempts.
awaitable<order> ask_all(retry_schedule& schedule, std::vector<std::vector<error>> whys) {
    order asked;
    std::vector<std::size_t> attempts(whys.size());
    while (true) {
        const auto next = co_await schedule.next();
        if (!next) break;
        asked.push_back(*next);
        const auto& mine = whys[*next];
        schedule.failed(*next, mine[std::min(attempts[*next]++, mine.size() - 1)]);
    }
    co_return asked;
}

order asked_of(std::vector<std::vector<error>> whys, deadline until = deadline::never()) {
    retry_schedule schedule(whys.size(), until);
    return test::run(ask_all(schedule, std::move(whys)));
}

error outcome_of(const std::vector<error>& whys) {
    retry_schedule schedule(whys.size(), deadline::never());
    for (std::size_t i = 0; i < whys.size(); ++i) schedule.failed(i, whys[i]);
    return schedule.outcome();
}

/// The pauses before the second and the third round of a schedule of one server.
awaitable<void> measure_pauses(std::vector<std::array<clock_type::duration, 2>>& out) {
    retry_schedule schedule(1, deadline::never());
    std::array<clock_type::duration, 2> pauses{};
    const auto first = co_await schedule.next();
    for (auto& pause : pauses) {
        schedule.failed(*first, down);
        const auto began = clock_type::now();
        const auto again = co_await schedule.next();
        pause = again ? clock_type::now() - began : clock_type::duration::max();
    }
    out.push_back(pauses);
}

}  // namespace

TEST_CASE("each round asks the servers that may recover, in their order", "[protocol][retry]") {
    static_assert(limits::retry_rounds_max == 3);
    CHECK(asked_of({}).empty());
    CHECK(asked_of({{down}}) == order{0, 0, 0});
    CHECK(asked_of({{down}, {slow}, {down}}) == order{0, 1, 2, 0, 1, 2, 0, 1, 2});
    CHECK(asked_of({{missing}, {missing}}) == order{0, 1});
    CHECK(asked_of({{bad}, {down}, {missing}, {slow}}) == order{0, 1, 2, 3, 1, 3, 1, 3});
    // One that has the block no more, or not yet, after all.
    CHECK(asked_of({{down, missing}, {missing}, {down}}) == order{0, 1, 2, 0, 2, 2});
    CHECK(asked_of({{down, down, missing}, {slow, bad}}) == order{0, 1, 0, 1, 0});
}

TEST_CASE("no round begins after the time is over, and cancellation ends all", "[protocol][retry]") {
    CHECK(asked_of({{down}, {down}}, deadline::in(0ms)) == order{0, 1});
    CHECK(asked_of({{down}, {error(errc::cancelled)}, {down}}) == order{0, 1});
    CHECK(outcome_of({down, error(errc::cancelled)}) == errc::cancelled);

    // In the pause, too.
    retry_schedule schedule(1, deadline::never());
    bool pausing = false;
    const auto ask = [](retry_schedule& s, bool& waits) -> awaitable<order> {
        order asked;
        while (true) {
            const auto next = co_await s.next();
            if (!next) break;
            asked.push_back(*next);
            s.failed(*next, down);
            waits = true;
        }
        co_return asked;
    };
    CHECK(test::run_and_cancel(ask(schedule, pausing), [&] { return pausing; }) == order{0});
    CHECK(schedule.outcome() == errc::cancelled);
}

TEST_CASE("the pause before the third round is longer than the one before the second", "[protocol][retry]") {
    std::vector<std::array<clock_type::duration, 2>> pauses;
    auto& context = test::new_context();
    // By chance a pause is short. Half of the second ones exceed the limit of the first ones.
    constexpr std::size_t count = 40;
    for (std::size_t i = 0; i < count; ++i) spawn(context.get_executor(), measure_pauses(pauses));
    REQUIRE(test::turn_until(context, [&] { return pauses.size() == count; }));
    const auto longest = [&](std::size_t of) {
        return std::ranges::max(pauses, {}, [of](const auto& p) { return p[of]; })[of];
    };
    CHECK(longest(0) > limits::retry_pause / 4);
    CHECK(longest(1) > limits::retry_pause);
    CHECK(longest(1) < 10s);
}

TEST_CASE("the outcome is that of the server that may still have the block, with the texts of all",
          "[protocol][retry]") {
    CHECK(outcome_of({missing, missing}) == errc::not_found);
    CHECK(outcome_of({missing, bad, missing}) == errc::checksum_mismatch);
    CHECK(outcome_of({bad, down, missing}) == errc::unavailable);
    CHECK(outcome_of({bad, slow}) == errc::timeout);
    CHECK(outcome_of({missing, bad, down}).text == "missing; bad; down");
    CHECK(outcome_of({}) == errc::not_found);
    CHECK(outcome_of({}).text == "there is no server to ask");
    // What a server said last counts.
    retry_schedule twice(1, deadline::never());
    twice.failed(0, down);
    twice.failed(0, missing);
    CHECK(twice.outcome() == errc::not_found);
    CHECK(twice.outcome().text == "missing");
}

TEST_CASE("a service excluded by policy is not reported as unreachable", "[protocol][remote]") {
    const auto unreachable = [](std::vector<error> whys) {
        retry_schedule schedule(whys.size(), deadline::never());
        for (std::size_t i = 0; i < whys.size(); ++i) schedule.failed(i, whys[i]);
        return schedule.all_unreachable();
    };
    const error refused(errc::unavailable, "excluded", net::failure::invalid_request);
    CHECK(unreachable({down, error(errc::timeout)}));
    CHECK(!unreachable({refused}));
    CHECK(!unreachable({down, refused}));
    CHECK(!unreachable({down, error(errc::not_found)}));
}
