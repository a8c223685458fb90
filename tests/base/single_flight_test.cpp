#include "base/single_flight.hpp"

#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <optional>
#include <vector>

using namespace keepstore;
using keepstore::test::run;
using keepstore::test::run_and_cancel;
using namespace std::chrono_literals;

namespace {

using flights = single_flight<int>;

// Starts flights and keeps them, to be landed by the test.
struct airport {
    std::vector<flights::flight> started;
    std::atomic<std::size_t> departures = 0;  // For other threads: how many are in `started`.

    auto start() {
        return [this](flights::flight f) {
            started.push_back(std::move(f));
            ++departures;
        };
    }
};

std::shared_ptr<std::optional<result<int>>> spawn(asio::io_context& context, awaitable<result<int>> work) {
    auto out = std::make_shared<std::optional<result<int>>>();
    test::start_work(context, std::move(work), [out](result<int> r) { out->emplace(std::move(r)); });
    // Until it waits or has ended: nothing else runs on this loop.
    context.restart();
    context.poll();
    return out;
}

// What a caller gets that joins the only flight, which lands then with this value.
result<int> join_and_land(flights& calls, airport& port, int value) {
    asio::io_context& context = test::new_context();
    const auto caller = spawn(context, calls.run(port.start(), deadline::never()));
    REQUIRE(port.started.size() == 1);
    port.started[0].land(value);
    REQUIRE(test::turn_until(context, [&] { return caller->has_value(); }));
    return **caller;
}

awaitable<void> call_many_times(flights& calls, int times, std::atomic<int>& next, std::atomic<int>& landed,
                                std::atomic<int>& wrong) {
    for (int i = 0; i < times; ++i) {
        const int before = landed;
        const auto start = [&](flights::flight f) {
            const int number = ++next;
            f.land(number);
            landed = number;
        };
        const auto value = co_await calls.run(start, deadline::in(60s));
        // The outcome is that of a flight that had not landed when the call began.
        if (!value || *value <= before) ++wrong;
    }
}

}  // namespace

TEST_CASE("callers of a running flight join it and share its outcome", "[base][flight]") {
    flights calls;
    airport port;
    asio::io_context& context = test::new_context();
    const auto first = spawn(context, calls.run(port.start(), deadline::never()));
    const auto second = spawn(context, calls.run(port.start(), deadline::in(60s)));
    REQUIRE(port.started.size() == 1);
    CHECK(calls.flying());
    port.started[0].land(42);
    CHECK_FALSE(calls.flying());
    REQUIRE(test::turn_until(context, [&] { return first->has_value() && second->has_value(); }));
    CHECK(**first == 42);
    CHECK(**second == 42);
}

TEST_CASE("an error is an outcome, and the next call starts a new flight", "[base][flight]") {
    flights calls;
    CHECK(run(calls.run([](flights::flight f) { f.land(fail(errc::unavailable)); }, deadline::never())).error() ==
          errc::unavailable);
    CHECK(run(calls.run([](flights::flight f) { f.land(2); }, deadline::never())) == 2);
}

TEST_CASE("a flight that is destroyed lands as cancelled", "[base][flight][cancel]") {
    flights calls;
    airport port;
    asio::io_context& context = test::new_context();
    const auto caller = spawn(context, calls.run(port.start(), deadline::never()));
    REQUIRE(port.started.size() == 1);
    port.started.clear();
    REQUIRE(test::turn_until(context, [&] { return caller->has_value(); }));
    CHECK((*caller)->error() == errc::cancelled);
    CHECK_FALSE(calls.flying());
    // One that cannot even be started, too.
    CHECK(run(calls.run([](const flights::flight&) {}, deadline::never())).error() == errc::cancelled);
    const auto throws = [](const flights::flight&) { throw std::runtime_error("no thread"); };
    CHECK_THROWS(run(calls.run(throws, deadline::never())));
    CHECK_FALSE(calls.flying());
}

TEST_CASE("callers that run out of time leave the flight running", "[base][flight][timeout]") {
    flights calls;
    airport port;
    const auto late = run(calls.run(port.start(), deadline::in(1ms), "no credentials"));
    REQUIRE_FALSE(late);
    CHECK(late.error() == errc::timeout);
    CHECK(late.error().text == "no credentials");
    CHECK(calls.flying());
    CHECK(join_and_land(calls, port, 1) == 1);
}

TEST_CASE("a cancelled caller leaves the flight running, also the one that started it", "[base][flight][cancel]") {
    flights calls;
    airport port;
    const auto first =
        run_and_cancel(calls.run(port.start(), deadline::never()), [&] { return !port.started.empty(); });
    CHECK(first.error() == errc::cancelled);
    CHECK(calls.flying());
    CHECK(join_and_land(calls, port, 1) == 1);
}

TEST_CASE("a caller that is cancelled after the flight landed has the outcome", "[base][flight][cancel]") {
    flights calls;
    airport port;
    const auto landed = [&] {
        if (port.started.empty()) return false;
        port.started[0].land(3);
        return true;
    };
    CHECK(run_and_cancel(calls.run(port.start(), deadline::never()), landed) == 3);
}

TEST_CASE("launch starts one flight and waits for none", "[base][flight]") {
    flights calls;
    airport port;
    calls.launch(port.start());
    calls.launch(port.start());
    CHECK(join_and_land(calls, port, 9) == 9);
}

TEST_CASE("dismissed callers are cancelled and the flight goes on", "[base][flight][cancel]") {
    flights calls;
    airport port;
    asio::io_context& context = test::new_context();
    const auto caller = spawn(context, calls.run(port.start(), deadline::never()));
    calls.dismiss_callers();
    REQUIRE(test::turn_until(context, [&] { return caller->has_value(); }));
    CHECK((*caller)->error() == errc::cancelled);
    CHECK(calls.flying());
    port.started[0].land(1);
    CHECK_FALSE(calls.flying());
}

TEST_CASE("a flight and its callers outlive the single_flight", "[base][flight]") {
    airport port;
    asio::io_context& context = test::new_context();
    auto calls = std::make_unique<flights>();
    const auto caller = spawn(context, calls->run(port.start(), deadline::never()));
    const auto late = spawn(context, calls->run(port.start(), deadline::in(1ms)));
    calls.reset();
    REQUIRE(test::turn_until(context, [&] { return late->has_value(); }));
    CHECK((*late)->error() == errc::timeout);
    port.started[0].land(5);
    REQUIRE(test::turn_until(context, [&] { return caller->has_value(); }));
    CHECK(**caller == 5);
}

TEST_CASE("a caller on another loop gets the outcome on its own thread", "[base][flight][threads]") {
    flights calls;
    airport port;
    std::atomic<bool> own_thread = false;
    std::atomic<int> value = 0;
    {
        test::loop_thread other;
        const auto work = [](flights& c, airport& p, std::atomic<bool>& own, std::atomic<int>& out) -> awaitable<void> {
            const auto before = std::this_thread::get_id();
            const auto got = co_await c.run(p.start(), deadline::in(60s));
            own = std::this_thread::get_id() == before;
            out = got.value_or(-1);
        };
        spawn(other.executor(), work(calls, port, own_thread, value));
        while (port.departures == 0) std::this_thread::yield();
        CHECK(run(calls.run([](flights::flight f) { f.land(-2); }, deadline::in(1ms))).error() == errc::timeout);
        port.started[0].land(8);
    }
    CHECK(value == 8);
    CHECK(own_thread);
}

TEST_CASE("callers of several loops each get the outcome of a flight that had not landed before",
          "[base][flight][threads]") {
    flights calls;
    std::atomic<int> next = 0, landed = 0, wrong = 0;
    {
        std::vector<std::unique_ptr<test::loop_thread>> loops;
        for (int i = 0; i < 4; ++i) {
            loops.push_back(std::make_unique<test::loop_thread>());
            spawn(loops.back()->executor(), call_many_times(calls, 500, next, landed, wrong));
        }
    }
    CHECK(wrong == 0);
}
