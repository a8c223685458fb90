#include "router/limiter.hpp"

#include "tests/support/run.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch.hpp>

#include <atomic>
#include <cmath>
#include <string>
#include <thread>
#include <vector>

using namespace keepstore;
using router::limiter;

namespace {

// A request: enters, keeps its place, and records the outcome. Runs on a context that the test polls.
struct requester {
    std::string name;
    int priority = 0;
    limiter::place place;
    std::optional<errc> refused;
    asio::cancellation_signal cancel;
};

awaitable<void> enter(limiter& l, requester& r, std::vector<std::string>& order) {
    co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
    co_await asio::this_coro::throw_if_cancelled(false);
    auto got = co_await l.enter(r.priority);
    if (got) {
        r.place = std::move(*got);
        order.push_back(r.name);
    } else {
        r.refused = got.error().code;
    }
}

struct scene {
    explicit scene(limiter::options o) : l(o) {}
    void arrive(requester& r) {
        spawn(context.get_executor(), enter(l, r, order), r.cancel.slot(), [](std::exception_ptr e) {
            if (e) std::rethrow_exception(e);
        });
        settle();
    }
    void settle() {
        context.restart();
        context.poll();
    }
    asio::io_context context{1};
    limiter l;
    std::vector<std::string> order;
};

}  // namespace

TEST_CASE("requests beyond the limit wait and are admitted first come first served", "[router][limiter]") {
    scene s({.concurrent_max = 1, .queued_max = 10});
    requester a{.name = "a"}, b{.name = "b"}, c{.name = "c"};
    s.arrive(a);
    s.arrive(b);
    s.arrive(c);
    CHECK(s.order == std::vector<std::string>{"a"});
    CHECK(s.l.snapshot().queued[1] == 2);
    a.place = {};
    s.settle();
    CHECK(s.order == std::vector<std::string>{"a", "b"});
    CHECK(s.l.snapshot().concurrent == 1);
    b.place = {};
    s.settle();
    CHECK(s.order == std::vector<std::string>{"a", "b", "c"});
    c.place = {};
    CHECK(s.l.snapshot().concurrent == 0);
    CHECK(s.l.snapshot().delay[1].count == 3);
}

TEST_CASE("higher priority goes first", "[router][limiter]") {
    scene s({.concurrent_max = 1, .queued_max = 10});
    requester a{.name = "a"}, low{.name = "low", .priority = -1}, normal{.name = "normal"},
        high{.name = "high", .priority = 1};
    s.arrive(a);
    s.arrive(low);
    s.arrive(normal);
    s.arrive(high);
    for (requester* r : {&a, &high, &normal, &low}) {
        r->place = {};
        s.settle();
    }
    CHECK(s.order == std::vector<std::string>{"a", "high", "normal", "low"});
}

TEST_CASE("when the queue is full the last of the lowest priority is refused at once", "[router][limiter]") {
    scene s({.concurrent_max = 1, .queued_max = 2});
    requester a{.name = "a"}, n1{.name = "n1"}, n2{.name = "n2"}, n3{.name = "n3"}, high{.name = "high", .priority = 1};
    s.arrive(a);
    s.arrive(n1);
    s.arrive(n2);
    s.arrive(n3);  // No lower priority is waiting: refused itself.
    CHECK(n3.refused == errc::unavailable);
    CHECK_FALSE(n2.refused);
    s.arrive(high);  // Evicts the last of the others.
    CHECK(n2.refused == errc::unavailable);
    CHECK_FALSE(n1.refused);
    a.place = {};
    s.settle();
    CHECK(s.order == std::vector<std::string>{"a", "high"});
    CHECK(s.l.snapshot().timeout[1].count == 2);
    high.place = {};
    s.settle();
    n1.place = {};
    CHECK(s.l.snapshot().concurrent == 0);
}

TEST_CASE("a cancelled waiter leaves the queue and its place goes to the next", "[router][limiter][cancel]") {
    scene s({.concurrent_max = 1, .queued_max = 10});
    requester a{.name = "a"}, b{.name = "b"}, c{.name = "c"};
    s.arrive(a);
    s.arrive(b);
    s.arrive(c);
    b.cancel.emit(asio::cancellation_type::total);
    s.settle();
    CHECK(b.refused == errc::cancelled);
    CHECK(s.l.snapshot().queued[1] == 1);
    SECTION("before it was admitted") {}
    SECTION("at the same moment as it is admitted") {
        // The place is granted before the cancellation is seen.
        c.cancel.emit(asio::cancellation_type::total);
    }
    a.place = {};
    s.settle();
    c.place = {};
    CHECK(s.l.snapshot().concurrent == 0);
    CHECK(s.l.snapshot().queued[1] == 0);
}

TEST_CASE("a stalled request admits another one and resumes without waiting", "[router][limiter]") {
    scene s({.concurrent_max = 1, .queued_max = 10});
    requester slow{.name = "slow"}, b{.name = "b"}, c{.name = "c"};
    s.arrive(slow);
    s.arrive(b);
    slow.place.release_while_stalled();
    slow.place.release_while_stalled();  // Counts once.
    s.settle();
    CHECK(s.order == std::vector<std::string>{"slow", "b"});
    CHECK(s.l.snapshot().concurrent == 1);
    CHECK(s.l.snapshot().stalled == 1);
    slow.place.resume();
    CHECK(s.l.snapshot().concurrent == 2);  // Above the limit for a while.
    s.arrive(c);
    b.place = {};
    s.settle();
    CHECK(s.order.size() == 2);  // Still full.
    slow.place = {};
    s.settle();
    CHECK(s.order.size() == 3);
    // Ending while stalled is counted right too.
    c.place.release_while_stalled();
    c.place = {};
    CHECK(s.l.snapshot().stalled == 0);
    CHECK(s.l.snapshot().concurrent == 0);
}

TEST_CASE("a limit of 0 admits every request", "[router][limiter]") {
    limiter l({.concurrent_max = 0, .queued_max = 0});
    std::vector<limiter::place> places;
    for (int i = 0; i < 1000; ++i) {
        auto p = l.try_enter(0);
        REQUIRE(p);
        places.push_back(std::move(*p));
    }
    CHECK(l.snapshot().concurrent == 1000);
    places.clear();
    CHECK(l.snapshot().concurrent == 0);
}

TEST_CASE("a queue of 0 refuses at once", "[router][limiter]") {
    scene s({.concurrent_max = 1, .queued_max = 0});
    requester a{.name = "a"}, b{.name = "b"};
    s.arrive(a);
    s.arrive(b);
    CHECK(b.refused == errc::unavailable);
}

TEST_CASE("several loops share one limiter and never exceed it", "[router][limiter][threads]") {
    limiter l({.concurrent_max = 3, .queued_max = 10'000});
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    std::atomic<int> served{0};
    const auto client = [&]() -> awaitable<void> {
        for (int i = 0; i < 200; ++i) {
            auto p = co_await l.enter(i % 2);
            if (!p) co_return;
            const int now = ++inside;
            for (int seen = most; seen < now && !most.compare_exchange_weak(seen, now);) {
            }
            co_await asio::post(asio::use_awaitable);
            --inside;
            ++served;
        }
    };
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t) {
        threads.emplace_back([&] {
            asio::io_context& context = test::new_context();
            for (int i = 0; i < 8; ++i) spawn(context.get_executor(), client());
            context.run_for(std::chrono::seconds(60));
        });
    }
    for (auto& t : threads) t.join();
    CHECK(served == 3 * 8 * 200);
    CHECK(most <= 3);
    CHECK(l.snapshot().concurrent == 0);
}

TEST_CASE("quantiles of the last minutes are within five percent", "[router][limiter][metrics]") {
    router::windowed_summary summary;
    const auto start = std::chrono::steady_clock::now();
    for (int i = 1; i <= 1000; ++i) summary.observe(std::chrono::milliseconds(i), start);
    const auto s = summary.snapshot(start);
    CHECK(s.count == 1000);
    CHECK(s.sum_seconds == Approx(500.5));
    CHECK(s.values[0] == Approx(0.5).epsilon(0.05));
    CHECK(s.values[3] == Approx(0.99).epsilon(0.05));
    // Quantiles cover ten minutes; count and sum cover all.
    const auto later = summary.snapshot(start + std::chrono::minutes(11));
    CHECK(std::isnan(later.values[0]));
    CHECK(later.count == 1000);
}
