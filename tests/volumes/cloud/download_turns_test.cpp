// Which downloads have a turn, for how long, and how many there are at a time.
#include "volumes/cloud/download_turns.hpp"

#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <vector>

namespace keepstore::test {
namespace {

using volumes::cloud::download_turns;
using claim = download_turns::claim;
using namespace std::chrono_literals;

/// Without waiting.
std::optional<download_turns::turn> take(download_turns& turns) {
    auto taken = run(turns.take(claim::first, deadline::in(0s)));
    if (!taken) return std::nullopt;
    return std::move(*taken);
}

std::vector<download_turns::turn> take_all(download_turns& turns) {
    std::vector<download_turns::turn> out;
    while (auto one = take(turns)) out.push_back(std::move(*one));
    return out;
}

awaitable<void> take_into(download_turns& turns, std::vector<int>& order, int number, download_turns::turn& into,
                          claim kind = claim::first) {
    if (auto taken = co_await turns.take(kind, deadline::in(40s))) {
        into = std::move(*taken);
        order.push_back(number);
    }
}

}  // namespace

TEST_CASE("turns are given in order of arrival, so many at a time", "[volumes][cloud][turns]") {
    download_turns turns({.most = 2});
    auto held = take_all(turns);
    REQUIRE(held.size() == 2);
    std::vector<int> order;
    download_turns::turn first, second;
    asio::io_context& context = new_context();
    spawn(context.get_executor(), take_into(turns, order, 1, first));
    spawn(context.get_executor(), take_into(turns, order, 2, second));
    context.poll();
    CHECK(order.empty());
    held.pop_back();
    REQUIRE(turn_until(context, [&] { return order.size() == 1; }));
    held.pop_back();
    REQUIRE(turn_until(context, [&] { return order.size() == 2; }));
    CHECK(order == std::vector<int>{1, 2});
    CHECK_FALSE(take(turns));
    first = {};
    second = {};
    CHECK(take_all(turns).size() == 2);
}

TEST_CASE("downloads that begin come before those that continue, but for a few", "[volumes][cloud][turns]") {
    download_turns turns({.most = 1});
    std::optional held = take(turns);
    REQUIRE(held);
    std::vector<int> order;
    download_turns::turn taken[4];
    asio::io_context& context = new_context();
    const auto ask = [&](int number, claim kind) {
        spawn(context.get_executor(), take_into(turns, order, number, taken[number], kind));
        context.poll();
    };
    for (const int number : {0, 1}) ask(number, claim::again);
    for (const int number : {2, 3}) ask(number, claim::first);
    held.reset();
    for (std::size_t served = 1; served <= 4; ++served) {
        REQUIRE(turn_until(context, [&] { return order.size() == served; }));
        taken[order.back()] = {};
    }
    CHECK(order == std::vector<int>{0, 2, 3, 1});
}

TEST_CASE("a turn is over when it has lasted and another download waits", "[volumes][cloud][turns]") {
    const auto length = GENERATE(std::chrono::hours(0), std::chrono::hours(1));
    download_turns turns({.most = 1, .length = length});
    const auto mine = take(turns);
    REQUIRE(mine);
    CHECK_FALSE(turns.is_over(*mine));
    std::vector<int> order;
    download_turns::turn other;
    asio::io_context& context = new_context();
    spawn(context.get_executor(), take_into(turns, order, 1, other));
    context.poll();
    CHECK(turns.is_over(*mine) == (length == std::chrono::hours(0)));
    turns.never_pause();
    CHECK_FALSE(turns.is_over(*mine));
}

TEST_CASE("when the service throttles there are fewer turns than were in use", "[volumes][cloud][turns]") {
    std::uint64_t throttled = 0;
    download_turns turns({.most = 16,
                          .least = 4,
                          .throttles = [&] { return throttled; },
                          .fewer_interval = 0s,
                          .more_after = std::chrono::hours(1)});
    std::vector<download_turns::turn> held;
    for (int i = 0; i < 8; ++i) held.push_back(*take(turns));
    CHECK(turns.limit() == 16);
    CHECK(turns.are_many());
    ++throttled;
    CHECK_FALSE(take(turns));
    CHECK(turns.limit() == 7);
    held.pop_back();
    CHECK_FALSE(take(turns));
    held.pop_back();
    held.push_back(*take(turns));
    CHECK_FALSE(take(turns));
    // No fewer than the least, which may all be in use.
    for (int i = 0; i < 20; ++i) {
        ++throttled;
        CHECK_FALSE(take(turns));
    }
    CHECK(turns.limit() == 4);
    held.clear();
    CHECK_FALSE(turns.are_many());
    held = take_all(turns);
    CHECK(held.size() == 4);
    CHECK_FALSE(turns.are_many());
}

TEST_CASE("throttling counts once in a while, and after it there are more turns again", "[volumes][cloud][turns]") {
    std::uint64_t throttled = 0;
    const auto throttles = [&] { return throttled; };
    download_turns quick(
        {.most = 64, .least = 1, .throttles = throttles, .fewer_interval = std::chrono::hours(1), .more_after = 0s});
    auto held = take_all(quick);
    REQUIRE(held.size() == 64);
    for (int i = 0; i < 5; ++i) {
        ++throttled;
        CHECK_FALSE(take(quick));
    }
    CHECK(quick.limit() == 56);
    // In steps of a sixteenth.
    CHECK_FALSE(take(quick));
    CHECK(quick.limit() == 59);
    for (int i = 0; i < 10; ++i) CHECK_FALSE(take(quick));
    CHECK(quick.limit() == 64);
    held.clear();
    CHECK(take_all(quick).size() == 64);

    throttled = 0;
    download_turns slow(
        {.most = 64, .least = 1, .throttles = throttles, .fewer_interval = 0s, .more_after = std::chrono::hours(1)});
    held = take_all(slow);
    ++throttled;
    CHECK_FALSE(take(slow));
    CHECK_FALSE(take(slow));
    CHECK(slow.limit() == 56);
    held.clear();  // Before their home.
}

}  // namespace keepstore::test
