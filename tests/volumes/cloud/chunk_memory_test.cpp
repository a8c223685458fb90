#include "volumes/cloud/chunk_memory.hpp"

#include "tests/support/run.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch.hpp>

using namespace keepstore;
using namespace keepstore::test;
using volumes::cloud::chunk_memory;

namespace {

constexpr std::size_t chunk = limits::chunk_size_bytes;

awaitable<result<mutable_slice>> take(std::shared_ptr<chunk_memory> memory, std::size_t size, deadline until) {
    co_return co_await memory->take_reserved(size, until);
}

}  // namespace

TEST_CASE("the budget is never exceeded, and what comes back can be taken again", "[volumes][s3][memory]") {
    const auto memory = std::make_shared<chunk_memory>(2 * chunk, 0);
    auto first = memory->try_take(chunk);
    auto second = memory->try_take(chunk - 1);
    REQUIRE(first.has_value());
    REQUIRE(second.has_value());
    CHECK_FALSE(memory->try_take(2).has_value());
    CHECK(memory->try_take(1).has_value());
    CHECK(memory->held_bytes() == 2 * chunk - 1);
    first.reset();
    CHECK(memory->try_take(chunk).has_value());
    second.reset();
    CHECK(memory->held_bytes() == 0);
}

TEST_CASE("reads that find no memory wait for the reserve, in order", "[volumes][s3][memory]") {
    const auto memory = std::make_shared<chunk_memory>(chunk, 2 * chunk);
    const auto full = memory->try_take(chunk);
    REQUIRE(full.has_value());
    CHECK_FALSE(memory->is_spent());
    asio::io_context context(1);
    std::vector<std::optional<mutable_slice>> got(4);
    std::vector<std::size_t> order;
    for (std::size_t i = 0; i < got.size(); ++i) {
        test::start_work(context, take(memory, 10, deadline::never()), [&got, &order, i](result<mutable_slice> r) {
            got[i].emplace(std::move(*r));
            order.push_back(i);
        });
    }
    context.run_for(std::chrono::milliseconds(20));
    // However small they are.
    CHECK(order == std::vector<std::size_t>{0, 1});
    CHECK(memory->is_spent());
    got[1].reset();
    context.restart();
    context.run_for(std::chrono::milliseconds(20));
    CHECK(order == std::vector<std::size_t>{0, 1, 2});
    got[0].reset();
    got[2].reset();
    context.restart();
    context.run_for(std::chrono::milliseconds(20));
    CHECK(order == std::vector<std::size_t>{0, 1, 2, 3});
    got[3].reset();
    CHECK_FALSE(memory->is_spent());
    CHECK(memory->held_bytes() == chunk);
}

TEST_CASE("a wait for the reserve has an end", "[volumes][s3][memory]") {
    const auto memory = std::make_shared<chunk_memory>(chunk, 0);
    const auto got = run(take(memory, 1, deadline::in(std::chrono::milliseconds(20))));
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error() == errc::timeout);
    CHECK(memory->held_bytes() == 0);
}
