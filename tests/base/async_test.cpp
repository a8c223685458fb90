#include "base/async.hpp"

#include "base/cancellable.hpp"
#include "tests/support/run.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>

using namespace keepstore;
using keepstore::test::new_context;
using keepstore::test::run;
using namespace std::chrono_literals;

namespace {

using shared_int = std::shared_ptr<int>;

awaitable<void> wait_into(one_shot<shared_int> shot, std::optional<result<shared_int>>& out) {
    out.emplace(co_await shot.wait());
}

awaitable<void> throw_something() {
    throw std::runtime_error("something");
    co_return;
}

}  // namespace

TEST_CASE("a value that was set before its waiter is cancelled is not lost", "[base][one_shot][cancel]") {
    auto& context = new_context();
    const one_shot<shared_int> shot;
    std::optional<result<shared_int>> got;
    asio::cancellation_signal signal;
    spawn(context.get_executor(), run_cancellable(wait_into(shot, got)), signal.slot(), {});
    context.poll();
    REQUIRE_FALSE(got);
    CHECK(shot.set(std::make_shared<int>(7)));  // The waiter has not resumed.
    signal.emit(asio::cancellation_type::total);
    context.restart();
    context.run();
    REQUIRE(got);
    REQUIRE(got->has_value());
    CHECK(***got == 7);
}

TEST_CASE("after a wait has ended, values are refused and stay with their owner", "[base][one_shot][timeout]") {
    const one_shot<shared_int> shot;
    const auto late = run(shot.wait(deadline::in(1ms), "nothing came"));
    REQUIRE_FALSE(late);
    CHECK(late.error() == errc::timeout);
    CHECK(late.error().text == "nothing came");
    result<shared_int> value = std::make_shared<int>(7);
    CHECK_FALSE(shot.try_set(std::move(value)));
    CHECK(**value == 7);
    CHECK_FALSE(shot.ready());
}

TEST_CASE("a wait that began before its deadline gets a value that comes in time", "[base][one_shot][timeout]") {
    auto& context = new_context();
    const one_shot<shared_int> shot;
    std::optional<result<shared_int>> got;
    auto work = [](one_shot<shared_int> s, std::optional<result<shared_int>>& out) -> awaitable<void> {
        out.emplace(co_await s.wait(deadline::in(60s), "late"));
    };
    spawn(context.get_executor(), work(shot, got));
    context.poll();
    CHECK(shot.set(std::make_shared<int>(7)));
    const auto begin = std::chrono::steady_clock::now();
    context.restart();
    context.run();  // Ends when the timer was cancelled, too.
    CHECK(std::chrono::steady_clock::now() - begin < 30s);
    REQUIRE(got);
    CHECK(***got == 7);
}

TEST_CASE("a value is taken once, and the one-shot keeps nothing of it", "[base][one_shot]") {
    const one_shot<shared_int> shot;
    const auto value = std::make_shared<int>(7);
    CHECK(shot.set(value));
    CHECK(shot.ready());
    CHECK(run(shot.wait()).value() == value);
    CHECK(value.use_count() == 1);
    CHECK(run(shot.wait()).error() == errc::cancelled);
}

TEST_CASE("what a spawned coroutine throws is given to its callback, or dropped", "[base][spawn]") {
    auto& context = new_context();
    std::exception_ptr thrown;
    int ended = 0;
    spawn(context.get_executor(), throw_something(), [&](const std::exception_ptr& e) {
        thrown = e;
        ++ended;
    });
    spawn(context.get_executor(), throw_something());
    context.run();
    CHECK(ended == 1);
    REQUIRE(thrown);
    CHECK_THROWS_AS(std::rethrow_exception(thrown), std::runtime_error);
}
