#include "base/run_on_loop.hpp"

#include "base/event_loop_group.hpp"
#include "tests/support/run.hpp"

#include <boost/asio/steady_timer.hpp>
#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>

using namespace keepstore;
using keepstore::test::loop_thread;
using keepstore::test::run;
using keepstore::test::run_and_cancel;
using namespace std::chrono_literals;

namespace {

awaitable<result<std::thread::id>> own_thread() {
    co_return std::this_thread::get_id();
}

awaitable<result<int>> fails() {
    co_return fail(errc::io_error, "no");
}

awaitable<result<int>> throws() {
    throw std::runtime_error("thrown");
    co_return 0;
}

/// Writes to its caller's frame until it is cancelled.
awaitable<result<int>> count_until_cancelled(int& into, std::atomic<bool>& begun, std::atomic<bool>& ended) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    while (true) {
        ++into;
        begun = true;
        timer.expires_after(100us);
        if (const auto [failed] = co_await timer.async_wait(use_tuple); failed) break;
    }
    std::this_thread::sleep_for(5ms);  // The caller would be gone by now if it did not wait.
    ++into;
    ended = true;
    co_return fail(errc::cancelled);
}

awaitable<result<bool>> run_and_compare(asio::any_io_executor where) {
    const auto before = std::this_thread::get_id();
    KS_CO_TRY(const auto there, co_await run_on_loop(where, own_thread()));
    co_return there != before&& std::this_thread::get_id() == before;
}

awaitable<result<int>> counts(asio::any_io_executor where, std::atomic<bool>& begun, std::atomic<bool>& ended) {
    int count = 0;
    auto end = co_await run_on_loop(where, count_until_cancelled(count, begun, ended));
    if (!ended) co_return -1;
    if (!end && end.error() != errc::cancelled) co_return -2;
    co_return count;
}

}  // namespace

TEST_CASE("work runs on the other loop, and its caller goes on on its own", "[base][run_on_loop]") {
    loop_thread other;
    const auto right = run(run_and_compare(other.executor()));
    REQUIRE(right);
    CHECK(*right);
}

TEST_CASE("errors and exceptions come back", "[base][run_on_loop]") {
    loop_thread other;
    const auto failed = run(run_on_loop(other.executor(), fails()));
    REQUIRE_FALSE(failed);
    CHECK(failed.error().text == "no");
    CHECK_THROWS_WITH(run(run_on_loop(other.executor(), throws())), "thrown");
}

TEST_CASE("cancelling the caller cancels the work, and waits for its end", "[base][run_on_loop]") {
    loop_thread other;
    std::atomic<bool> begun{false};
    std::atomic<bool> ended{false};
    const auto end = run_and_cancel(counts(other.executor(), begun, ended), [&] { return begun.load(); });
    REQUIRE(end);
    CHECK(*end >= 2);
}

TEST_CASE("many callers share a few loops", "[base][run_on_loop][stress]") {
    event_loop_group group("other", 2);
    group.start();
    int right = 0;
    for (int i = 0; i < 500; ++i) {
        const auto one = run([](event_loop_group& loops) -> awaitable<result<bool>> {
            co_return co_await run_and_compare(loops.next_executor());
        }(group));
        right += one && *one ? 1 : 0;
    }
    CHECK(right == 500);
}
