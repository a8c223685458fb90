#include "base/async_condition.hpp"

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

// A number that coroutines wait for and take from.
struct guarded_count {
    std::mutex mutex;
    int value = 0;  // Guarded by mutex.
    async_condition changed{mutex};

    std::size_t waiters() {
        const std::lock_guard lock(mutex);
        return changed.waiters();
    }
    // One more, for one waiter. Returns whether one was woken.
    bool add_one() {
        const std::lock_guard lock(mutex);
        ++value;
        return changed.notify_one();
    }
    awaitable<result<void>> take_one(deadline until = deadline::never(), const char* text = "") {
        std::unique_lock lock(mutex);
        while (value == 0) KS_CO_CHECK(co_await changed.wait(lock, until, text));
        --value;
        co_return success();
    }
    awaitable<result<void>> take_one_by_ticket(deadline until) {
        while (true) {
            std::optional<async_condition::ticket> ticket;
            {
                const std::lock_guard lock(mutex);
                if (value > 0) {
                    --value;
                    co_return success();
                }
                ticket = changed.enlist();
            }
            KS_CO_CHECK(co_await changed.wait(*ticket, until));
        }
    }
};

awaitable<void> take_and_note(guarded_count& c, std::vector<int>& order, int number) {
    if (co_await c.take_one()) order.push_back(number);
}

awaitable<void> take_many(guarded_count& c, int times, std::atomic<int>& taken) {
    for (int i = 0; i < times; ++i) {
        if (co_await c.take_one(deadline::in(60s))) ++taken;
    }
}

}  // namespace

TEST_CASE("a condition that holds is not waited for", "[base][condition]") {
    guarded_count c;
    c.add_one();
    CHECK(run(c.take_one()));
    CHECK(c.value == 0);
}

TEST_CASE("notify_one wakes the waiter that came first, notify_all all of them", "[base][condition]") {
    guarded_count c;
    asio::io_context& context = test::new_context();
    std::vector<int> order;
    for (int i = 0; i < 4; ++i) spawn(context.get_executor(), take_and_note(c, order, i));
    REQUIRE(test::turn_until(context, [&] { return c.waiters() == 4; }));
    CHECK(c.add_one());
    REQUIRE(test::turn_until(context, [&] { return order.size() == 1; }));
    CHECK(order == std::vector{0});
    CHECK(c.waiters() == 3);
    {
        const std::lock_guard lock(c.mutex);
        c.value = 3;
        c.changed.notify_all();
    }
    REQUIRE(test::turn_until(context, [&] { return order.size() == 4; }));
    CHECK(order == std::vector{0, 1, 2, 3});
    CHECK(c.waiters() == 0);
}

TEST_CASE("a notification without a waiter is not kept", "[base][condition]") {
    guarded_count c;
    {
        const std::lock_guard lock(c.mutex);
        CHECK_FALSE(c.changed.notify_one());
    }
    CHECK(run(c.take_one(deadline::in(1ms))).error() == errc::timeout);
}

TEST_CASE("a wait for a condition ends at its deadline with its text, and leaves no waiter",
          "[base][condition][timeout]") {
    guarded_count c;
    const auto taken = run(c.take_one(deadline::in(1ms), "no memory"));
    REQUIRE_FALSE(taken);
    CHECK(taken.error() == errc::timeout);
    CHECK(taken.error().text == "no memory");
    CHECK(c.waiters() == 0);
    CHECK(run(c.take_one_by_ticket(deadline::in(1ms))).error() == errc::timeout);
    CHECK(c.waiters() == 0);
}

TEST_CASE("a cancelled wait for a condition leaves no waiter", "[base][condition][cancel]") {
    guarded_count c;
    const auto waits = [&] { return c.waiters() == 1; };
    CHECK(run_and_cancel(c.take_one(), waits).error() == errc::cancelled);
    CHECK(c.waiters() == 0);
    CHECK(run_and_cancel(c.take_one_by_ticket(deadline::never()), waits).error() == errc::cancelled);
    CHECK(c.waiters() == 0);
}

TEST_CASE("a waiter that is cancelled or late, but still in the list, takes no notification",
          "[base][condition][cancel]") {
    guarded_count c;
    asio::io_context& context = test::new_context();
    std::vector<int> order;
    async_condition::ticket late;
    {
        const std::lock_guard lock(c.mutex);
        late = c.changed.enlist();
    }
    late.set(fail(errc::timeout));  // What its timer does; the coroutine has not resumed yet.
    spawn(context.get_executor(), take_and_note(c, order, 1));
    REQUIRE(test::turn_until(context, [&] { return c.waiters() == 2; }));
    CHECK(c.add_one());
    REQUIRE(test::turn_until(context, [&] { return order.size() == 1; }));
    CHECK(c.waiters() == 0);
}

TEST_CASE("a waiter that is cancelled after its notification uses it", "[base][condition][cancel]") {
    guarded_count c;
    // The notification comes first, in the same turn of the loop.
    const auto taken = run_and_cancel(c.take_one(), [&] { return c.waiters() == 1 && c.add_one(); });
    CHECK(taken);
    CHECK(c.value == 0);
}

TEST_CASE("fail_all ends all waits with its error", "[base][condition]") {
    guarded_count c;
    const auto taken = [&] {
        asio::io_context& context = test::new_context();
        std::optional<result<void>> out;
        test::start_work(context, c.take_one(), [&](result<void> r) { out.emplace(std::move(r)); });
        REQUIRE(test::turn_until(context, [&] { return c.waiters() == 1; }));
        {
            const std::lock_guard lock(c.mutex);
            c.changed.fail_all(errc::unavailable);
        }
        REQUIRE(test::turn_until(context, [&] { return out.has_value(); }));
        return *out;
    }();
    CHECK(taken.error() == errc::unavailable);
}

TEST_CASE("coroutines of several loops wait for one condition and lose no notification", "[base][condition][threads]") {
    constexpr int loops = 4;
    constexpr int times = 500;
    guarded_count c;
    std::atomic<int> taken = 0;
    {
        std::vector<std::unique_ptr<test::loop_thread>> threads;
        for (int i = 0; i < loops; ++i) {
            threads.push_back(std::make_unique<test::loop_thread>());
            spawn(threads.back()->executor(), take_many(c, times, taken));
        }
        for (int i = 0; i < loops * times; ++i) c.add_one();
    }
    CHECK(taken == loops * times);
    CHECK(c.value == 0);
}
