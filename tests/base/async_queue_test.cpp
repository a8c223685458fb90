#include "base/async_queue.hpp"

#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <vector>

using namespace keepstore;
using keepstore::test::run;
using keepstore::test::run_and_cancel;
using namespace std::chrono_literals;

namespace {

using numbers = async_queue<int>;

// What a coroutine that was spawned came to.
template <class T>
using outcome = std::shared_ptr<std::optional<result<T>>>;

template <class T>
outcome<T> spawn(asio::io_context& context, awaitable<result<T>> work) {
    auto out = std::make_shared<std::optional<result<T>>>();
    test::start_work(context, std::move(work), [out](result<T> r) { out->emplace(std::move(r)); });
    // Until it waits or has ended: nothing else runs on this loop.
    context.restart();
    context.poll();
    return out;
}

bool ended(asio::io_context& context, const auto& out) {
    return test::turn_until(context, [&] { return out->has_value(); });
}

// Without waiting.
bool try_push(numbers& q, int item) {
    return run(q.push(item, deadline::in(0s))).has_value();
}

awaitable<void> push_range(numbers& q, int first, int count) {
    for (int i = first; i < first + count; ++i) (void)co_await q.push(i, deadline::in(60s));
}

awaitable<void> pop_all(numbers& q, std::atomic<long>& sum, std::atomic<int>& popped) {
    while (true) {
        const auto item = co_await q.pop(deadline::in(60s));
        if (!item) co_return;
        sum += *item;
        ++popped;
    }
}

// Waits for an item with deadlines that pass all the time.
awaitable<void> pop_impatiently(numbers& q, std::atomic<long>& sum, std::atomic<int>& popped) {
    while (true) {
        const auto item = co_await q.pop(deadline::in(20us));
        if (!item && item.error() == errc::cancelled) co_return;
        if (!item) continue;
        sum += *item;
        ++popped;
    }
}

}  // namespace

TEST_CASE("items come out of a queue in the order in which they went in", "[base][queue]") {
    numbers q(3);
    CHECK(try_push(q, 1));
    CHECK(run(q.push(2, deadline::never())));
    CHECK(try_push(q, 3));
    CHECK_FALSE(try_push(q, 4));
    CHECK(run(q.pop(deadline::never())) == 1);
    CHECK(q.try_pop() == 2);
    CHECK(q.try_pop() == 3);
    CHECK_FALSE(q.try_pop());
}

TEST_CASE("pop waits for an item, in order of arrival", "[base][queue]") {
    numbers q(3);
    asio::io_context& context = test::new_context();
    const auto first = spawn(context, q.pop(deadline::never()));
    const auto second = spawn(context, q.pop(deadline::never()));
    CHECK(try_push(q, 1));
    CHECK(try_push(q, 2));
    REQUIRE(ended(context, first));
    REQUIRE(ended(context, second));
    CHECK(**first == 1);
    CHECK(**second == 2);
}

TEST_CASE("push waits for room, in order of arrival", "[base][queue]") {
    numbers q(1);
    REQUIRE(try_push(q, 0));
    asio::io_context& context = test::new_context();
    const auto first = spawn(context, q.push(1, deadline::never()));
    const auto second = spawn(context, q.push(2, deadline::never()));
    CHECK(q.try_pop() == 0);
    REQUIRE(ended(context, first));
    CHECK_FALSE(second->has_value());
    CHECK(q.try_pop() == 1);
    REQUIRE(ended(context, second));
    CHECK(q.try_pop() == 2);
}

TEST_CASE("waits of a queue end at their deadline", "[base][queue][timeout]") {
    numbers q(1);
    CHECK(run(q.pop(deadline::in(1ms))).error() == errc::timeout);
    REQUIRE(try_push(q, 0));
    CHECK(run(q.push(1, deadline::in(1ms))).error() == errc::timeout);
    CHECK(q.try_pop() == 0);
    CHECK_FALSE(q.try_pop());
}

TEST_CASE("a cancelled pop takes no item, a cancelled push adds none", "[base][queue][cancel]") {
    numbers q(1);
    asio::io_context& context = test::new_context();
    CHECK(run_and_cancel(q.pop(deadline::never()), [] { return true; }).error() == errc::cancelled);
    const auto next = spawn(context, q.pop(deadline::never()));
    CHECK(try_push(q, 1));  // For the next waiter: the one that left takes no wake-up.
    REQUIRE(ended(context, next));
    CHECK(**next == 1);

    REQUIRE(try_push(q, 2));
    CHECK(run_and_cancel(q.push(3, deadline::never()), [] { return true; }).error() == errc::cancelled);
    const auto after = spawn(context, q.push(4, deadline::never()));
    CHECK(q.try_pop() == 2);
    REQUIRE(ended(context, after));
    CHECK(q.try_pop() == 4);
}

TEST_CASE("a pop that is cancelled after an item came for it takes the item", "[base][queue][cancel]") {
    numbers q(1);
    bool waits = false;  // The second turn of the loop: pop waits by then.
    const auto item =
        run_and_cancel(q.pop(deadline::never()), [&] { return std::exchange(waits, true) && try_push(q, 7); });
    CHECK(item == 7);
}

TEST_CASE("a waiter whose item was taken by another call waits for the next item", "[base][queue]") {
    numbers q(2);
    asio::io_context& context = test::new_context();
    const auto waiter = spawn(context, q.pop(deadline::never()));
    CHECK(try_push(q, 1));
    CHECK(q.try_pop() == 1);
    context.restart();
    context.poll();
    CHECK_FALSE(waiter->has_value());
    CHECK(try_push(q, 2));
    REQUIRE(ended(context, waiter));
    CHECK(**waiter == 2);
}

TEST_CASE("a closed queue accepts nothing, gives what it has, and ends all waits", "[base][queue]") {
    numbers q(1);
    asio::io_context& context = test::new_context();
    const auto popper = spawn(context, q.pop(deadline::never()));
    q.close();
    REQUIRE(ended(context, popper));
    CHECK(popper->value().error() == errc::cancelled);
    CHECK_FALSE(try_push(q, 1));
    CHECK(run(q.push(1, deadline::never())).error() == errc::cancelled);
    CHECK(run(q.pop(deadline::never())).error() == errc::cancelled);

    numbers full(1);
    REQUIRE(try_push(full, 5));
    const auto pusher = spawn(context, full.push(6, deadline::never()));
    full.close();
    REQUIRE(ended(context, pusher));
    CHECK(pusher->value().error() == errc::cancelled);
    CHECK(run(full.pop(deadline::never())) == 5);
    CHECK(run(full.pop(deadline::never())).error() == errc::cancelled);
}

TEST_CASE("every item that loops push into a small queue is popped once", "[base][queue][threads]") {
    constexpr int loops = 3;
    constexpr int items = 400;
    numbers q(2);
    std::atomic<long> sum = 0;
    std::atomic<int> popped = 0;
    {
        test::loop_thread consumer, other_consumer;
        spawn(consumer.executor(), pop_all(q, sum, popped));
        spawn(other_consumer.executor(), pop_impatiently(q, sum, popped));
        {
            std::vector<std::unique_ptr<test::loop_thread>> producers;
            for (int i = 0; i < loops; ++i) {
                producers.push_back(std::make_unique<test::loop_thread>());
                spawn(producers.back()->executor(), push_range(q, i * items, items));
            }
        }
        q.close();
    }
    CHECK(popped == loops * items);
    CHECK(sum == long{loops * items} * (loops * items - 1) / 2);
}
