#include "keepctl/clone/each_segment.hpp"
#include "tests/support/run.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

using namespace keepstore;
using namespace keepstore::keepctl;
using namespace keepstore::test;

namespace {

/// Lets the other coroutines run.
awaitable<void> step_aside() {
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
}

}  // namespace

TEST_CASE("each segment is asked about once, in order, some at a time", "[keepctl][clone]") {
    std::vector<std::string> asked;
    std::size_t running = 0;
    std::size_t most = 0;
    const auto ask = [&](std::string digits) -> awaitable<result<void>> {
        asked.push_back(std::move(digits));
        most = std::max(most, ++running);
        co_await step_aside();
        --running;
        co_return success();
    };
    REQUIRE(run(for_each_segment(2, ask)).has_value());
    CHECK(asked.size() == 256);
    CHECK(std::ranges::is_sorted(asked));
    CHECK(std::ranges::adjacent_find(asked) == asked.end());
    CHECK(most == limits::clone_job_reads_max);

    asked.clear();
    REQUIRE(run(for_each_segment(0, ask)).has_value());
    CHECK(asked == std::vector<std::string>{""});
}

TEST_CASE("the first error about a segment is the end, and no further calls begin", "[keepctl][clone]") {
    std::vector<std::string> asked;
    const auto ask = [&](std::string digits) -> awaitable<result<void>> {
        asked.push_back(digits);
        co_await step_aside();
        if (digits == "09") co_await step_aside();
        if (digits == "05" || digits == "09") co_return fail(errc::unavailable, digits);
        co_return success();
    };
    const auto end = run(for_each_segment(2, ask));
    REQUIRE_FALSE(end.has_value());
    CHECK(end.error().text == "05");
    // Those that were under way, and one for each that ended before.
    CHECK(asked.size() == limits::clone_job_reads_max + 5);
}
