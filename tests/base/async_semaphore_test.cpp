#include "base/async_semaphore.hpp"

#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <vector>

using namespace keepstore;
using keepstore::test::run;
using keepstore::test::run_and_cancel;
using namespace std::chrono_literals;

namespace {

awaitable<void> acquire_into(async_semaphore& s, std::vector<async_semaphore::permit>& held) {
    if (auto permit = co_await s.acquire(deadline::never())) held.push_back(std::move(*permit));
}

// Without waiting.
result<async_semaphore::permit> take(async_semaphore& s) {
    return run(s.acquire(deadline::in(0s)));
}

std::size_t free_permits(async_semaphore& s) {
    std::vector<async_semaphore::permit> taken;
    while (auto permit = take(s)) taken.push_back(std::move(*permit));
    return taken.size();
}

// Holds a permit across a suspension, many times, and notes how many others do so at that moment.
awaitable<void> use_many_times(async_semaphore& s, int times, std::atomic<int>& inside, std::atomic<int>& most,
                               std::atomic<int>& uses) {
    for (int i = 0; i < times; ++i) {
        const auto permit = co_await s.acquire(deadline::in(60s));
        if (!permit) co_return;
        const int now = ++inside;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
        }
        co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable);
        --inside;
        ++uses;
    }
}

// Gives up almost at once, again and again.
awaitable<void> give_up_many_times(async_semaphore& s, int times) {
    for (int i = 0; i < times; ++i) (void)co_await s.acquire(deadline::in(20us));
}

}  // namespace

TEST_CASE("a permit is taken without waiting, or not at all", "[base][semaphore]") {
    async_semaphore s(1);
    auto only = s.try_acquire();
    REQUIRE(only);
    CHECK(*only);
    CHECK_FALSE(s.try_acquire());
    CHECK(s.waiters() == 0);
    only.reset();
    CHECK(free_permits(s) == 1);
}

TEST_CASE("a semaphore gives as many permits as it has, and takes them back", "[base][semaphore]") {
    async_semaphore s(2);
    auto first = take(s);
    auto second = run(s.acquire(deadline::never()));
    REQUIRE(first);
    REQUIRE(second);
    CHECK(free_permits(s) == 0);
    CHECK_FALSE(take(s));
    first = async_semaphore::permit();
    CHECK(free_permits(s) == 1);
}

TEST_CASE("assigning to a permit returns the one it held", "[base][semaphore]") {
    async_semaphore s(2);
    auto first = take(s).value();
    auto second = take(s).value();
    first = std::move(second);
    CHECK(free_permits(s) == 1);
    CHECK(first);
    CHECK_FALSE(second);
    first = async_semaphore::permit();
    CHECK(free_permits(s) == 2);
}

TEST_CASE("permits go to waiters in the order in which they came", "[base][semaphore]") {
    async_semaphore s(1);
    auto held = take(s);
    asio::io_context& context = test::new_context();
    std::vector<async_semaphore::permit> a, b;
    spawn(context.get_executor(), acquire_into(s, a));
    REQUIRE(test::turn_until(context, [&] { return s.waiters() == 1; }));
    spawn(context.get_executor(), acquire_into(s, b));
    REQUIRE(test::turn_until(context, [&] { return s.waiters() == 2; }));
    held = async_semaphore::permit();
    CHECK_FALSE(take(s));  // It belongs to the first waiter already.
    REQUIRE(test::turn_until(context, [&] { return a.size() == 1; }));
    CHECK(b.empty());
    a.clear();
    REQUIRE(test::turn_until(context, [&] { return b.size() == 1; }));
    b.clear();
    CHECK(free_permits(s) == 1);
}

TEST_CASE("a wait for a permit ends at its deadline with its text", "[base][semaphore][timeout]") {
    async_semaphore s(1);
    const auto held = take(s);
    const auto got = run(s.acquire(deadline::in(1ms), "too many scrubs"));
    REQUIRE_FALSE(got);
    CHECK(got.error() == errc::timeout);
    CHECK(got.error().text == "too many scrubs");
    CHECK(s.waiters() == 0);
}

TEST_CASE("a cancelled wait takes no permit", "[base][semaphore][cancel]") {
    async_semaphore s(1);
    auto held = take(s);
    CHECK(run_and_cancel(s.acquire(deadline::never()), [&] { return s.waiters() == 1; }).error() == errc::cancelled);
    CHECK(s.waiters() == 0);
    held = async_semaphore::permit();
    CHECK(free_permits(s) == 1);
}

TEST_CASE("a waiter that is cancelled after it was given a permit has it", "[base][semaphore][cancel]") {
    async_semaphore s(1);
    auto held = take(s);
    {
        const auto got = run_and_cancel(s.acquire(deadline::never()), [&] {
            if (s.waiters() == 0) return false;
            held = async_semaphore::permit();
            return true;
        });
        CHECK(got);
        CHECK(free_permits(s) == 0);
    }
    CHECK(free_permits(s) == 1);
}

TEST_CASE("a permit passes over many waiters that were cancelled together", "[base][semaphore][cancel]") {
    // None of them has resumed when the permit comes back: it is offered to each in turn, without recursion.
    constexpr std::size_t many = 20'000;
    async_semaphore s(1);
    auto held = take(s);
    asio::io_context& context = test::new_context();
    std::vector<asio::cancellation_signal> signals(many);
    std::size_t cancelled = 0;
    for (auto& signal : signals) {
        const auto ended = [&](const result<async_semaphore::permit>& got) {
            if (!got) ++cancelled;
        };
        test::start_work(context, run_cancellable(s.acquire(deadline::never())), signal.slot(), ended);
    }
    std::vector<async_semaphore::permit> last;
    spawn(context.get_executor(), acquire_into(s, last));
    REQUIRE(test::turn_until(context, [&] { return s.waiters() == many + 1; }));
    asio::post(context, [&] {  // On the loop, where cancellations take effect at once.
        for (auto& signal : signals) signal.emit(asio::cancellation_type::total);
        held = async_semaphore::permit();
    });
    REQUIRE(test::turn_until(context, [&] { return cancelled == many && last.size() == 1; }));
    CHECK(s.waiters() == 0);
    last.clear();
    CHECK(free_permits(s) == 1);
}

TEST_CASE("coroutines of several loops share the permits and lose none", "[base][semaphore][threads]") {
    constexpr int loops = 4;
    constexpr int times = 300;
    async_semaphore s(2);
    std::atomic<int> inside = 0, most = 0, uses = 0;
    {
        std::vector<std::unique_ptr<test::loop_thread>> threads;
        for (int i = 0; i < loops; ++i) {
            threads.push_back(std::make_unique<test::loop_thread>());
            const auto executor = threads.back()->executor();
            spawn(executor, use_many_times(s, times, inside, most, uses));
            spawn(executor, give_up_many_times(s, times));
        }
    }
    CHECK(uses == loops * times);
    CHECK(most <= 2);
    CHECK(free_permits(s) == 2);
    CHECK(s.waiters() == 0);
}
