#include "store/lists/work_queue.hpp"

#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <vector>

using namespace keepstore;
using namespace keepstore::test;

namespace {

using queue = store::work_queue<int>;

awaitable<void> take(queue& from, std::vector<queue::claim>& into) {
    if (auto got = co_await from.next()) into.push_back(std::move(*got));
}

awaitable<std::optional<int>> take_one(queue& from) {
    auto got = co_await from.next();
    co_return got ? std::optional(got->item) : std::nullopt;
}

}  // namespace

TEST_CASE("a new list takes the place of the pending items, not of those in progress", "[store][lists]") {
    queue q;
    q.replace({1, 2, 3});
    std::vector<queue::claim> claims;
    run(take(q, claims));
    REQUIRE(claims.size() == 1);
    CHECK(claims[0].item == 1);
    CHECK(q.in_progress() == 1);
    CHECK(q.pending() == 2);

    q.replace({7});
    CHECK(q.in_progress() == 1);
    CHECK(q.pending() == 1);
    CHECK(run(take_one(q)) == 7);
    CHECK(q.pending() == 0);
    CHECK(q.in_progress() == 1);
    claims.clear();
    CHECK(q.in_progress() == 0);

    q.replace({8, 9});
    q.replace({});
    CHECK(q.pending() == 0);
}

TEST_CASE("a new list wakes as many waiting workers as it has items", "[store][lists]") {
    asio::io_context& context = new_context();
    queue q;
    std::vector<queue::claim> claims;
    for (int i = 0; i < 3; ++i) spawn(context.get_executor(), take(q, claims));
    context.poll();  // All of them wait.
    q.replace({1, 2});
    CHECK(turn_until(context, [&] { return claims.size() == 2; }));
    q.replace({3});
    CHECK(turn_until(context, [&] { return claims.size() == 3; }));
    CHECK(claims[2].item == 3);
}
