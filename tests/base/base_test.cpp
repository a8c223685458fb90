#include "base/async.hpp"
#include "base/blocking_pool.hpp"
#include "base/buffer.hpp"
#include "base/log.hpp"
#include "base/md5_digest.hpp"
#include "base/when_all.hpp"
#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <future>
#include <semaphore>
#include <thread>

using namespace keepstore;
using keepstore::test::run;
using keepstore::test::run_and_cancel;
using namespace std::chrono_literals;

namespace {

awaitable<result<int>> await_value(one_shot<int> shot) {
    co_return co_await shot.wait();
}

}  // namespace

TEST_CASE("a one-shot gives the value that another thread sets while the waiter waits", "[base][async]") {
    one_shot<int> shot;
    std::thread setter([shot] { shot.set(7); });
    const auto value = run(await_value(shot));
    setter.join();
    REQUIRE(value.has_value());
    CHECK(*value == 7);
}

TEST_CASE("a one-shot that was set before gives its value without suspending", "[base][async]") {
    one_shot<int> shot;
    REQUIRE(shot.set(3));
    CHECK_FALSE(shot.set(4));
    CHECK(run(await_value(shot)).value() == 3);
}

TEST_CASE("a value that a one-shot refuses stays with its giver", "[base][async]") {
    one_shot<std::unique_ptr<int>> shot;
    result<std::unique_ptr<int>> first = std::make_unique<int>(1);
    result<std::unique_ptr<int>> second = std::make_unique<int>(2);
    CHECK(shot.try_set(std::move(first)));
    CHECK_FALSE(shot.try_set(std::move(second)));
    CHECK(*first == nullptr);
    CHECK(**second == 2);
}

TEST_CASE("a cancelled wait ends at once and the value that comes later is dropped", "[base][async][cancel]") {
    one_shot<int> shot;
    const auto value = run_and_cancel(await_value(shot), [] { return true; });
    REQUIRE_FALSE(value.has_value());
    CHECK(value.error() == errc::cancelled);
    CHECK_FALSE(shot.set(1));
}

TEST_CASE("when_all waits for every member", "[base][async]") {
    auto member = [](int& count) -> awaitable<void> {
        asio::post(co_await asio::this_coro::executor, [] {});
        ++count;
    };
    int count = 0;
    std::vector<awaitable<void>> members;
    for (int i = 0; i < 5; ++i) members.push_back(member(count));
    CHECK_FALSE(run(when_all(std::move(members))));
    CHECK(count == 5);
}

TEST_CASE("when_all passes a cancellation on and still waits for its members", "[base][async][cancel]") {
    int ended = 0;
    auto member = [](one_shot<int> never, int& count) -> awaitable<void> {
        const auto value = co_await never.wait();
        if (!value && value.error() == errc::cancelled) ++count;
    };
    auto all = [](std::vector<awaitable<void>> members) -> awaitable<result<bool>> {
        const bool cancelled = co_await when_all(std::move(members));
        co_return cancelled;
    };
    std::vector<awaitable<void>> members;
    for (int i = 0; i < 3; ++i) members.push_back(member(one_shot<int>(), ended));
    const auto cancelled = run_and_cancel(all(std::move(members)), [] { return true; });
    REQUIRE(cancelled.has_value());
    CHECK(*cancelled);
    CHECK(ended == 3);
}

TEST_CASE("a blocking call returns its value to the caller", "[base][blocking]") {
    blocking_pool pool({.name = "t", .threads_max = 2, .queue_max = 10});
    auto work = [](blocking_pool& p) -> awaitable<result<int>> {
        co_return co_await p.run([]() -> result<int> { return 5; }, deadline::in(5s));
    };
    CHECK(run(work(pool)).value() == 5);
}

TEST_CASE("a blocking call that hangs is given up at its deadline and the pool says so", "[base][blocking][timeout]") {
    std::binary_semaphore release(0);
    blocking_pool pool({.name = "t", .threads_max = 1, .queue_max = 10});
    auto work = [](blocking_pool& p, std::binary_semaphore& s) -> awaitable<result<int>> {
        co_return co_await p.run(
            [&s]() -> result<int> {
                s.acquire();
                return 1;
            },
            deadline::in(500ms));  // Long enough for the thread to begin, on any machine.
    };
    const auto value = run(work(pool, release));
    REQUIRE_FALSE(value.has_value());
    CHECK(value.error() == errc::timeout);
    CHECK(pool.snapshot().overdue == 1);
    // The next call queues after the hung one and expires without having run.
    std::atomic<bool> ran = false;
    auto second = [](blocking_pool& p, std::atomic<bool>& flag) -> awaitable<result<int>> {
        co_return co_await p.run(
            [&flag]() -> result<int> {
                flag = true;
                return 1;
            },
            deadline::in(50ms));
    };
    CHECK(run(second(pool, ran)).error() == errc::timeout);
    release.release();
    CHECK_FALSE(ran);
}

TEST_CASE("a blocking pool refuses calls beyond its queue", "[base][blocking]") {
    std::binary_semaphore release(0);
    blocking_pool pool({.name = "t", .threads_max = 1, .queue_max = 1});
    std::binary_semaphore started(0);
    REQUIRE(pool.post([&] {
        started.release();
        release.acquire();
    }));
    started.acquire();
    REQUIRE(pool.post([] {}));
    CHECK_FALSE(pool.post([] {}));
    release.release();
}

TEST_CASE("a slice keeps its bytes alive until the last share is gone", "[base][buffer]") {
    const_slice copy;
    {
        auto slice = make_heap_slice(8);
        slice.bytes[3] = std::byte{9};
        CHECK(slice.owner.unique());
        copy = slice.freeze(8).subslice(3, 1);
        CHECK_FALSE(slice.owner.unique());
    }
    CHECK(copy.owner.unique());
    CHECK(copy.bytes[0] == std::byte{9});
}

TEST_CASE("an MD5 name is exactly 32 lower-case hex digits", "[base][md5]") {
    CHECK(md5_digest::parse("d41d8cd98f00b204e9800998ecf8427e") == md5_of_nothing);
    CHECK(md5_of_nothing.hex() == "d41d8cd98f00b204e9800998ecf8427e");
    CHECK_FALSE(md5_digest::parse("D41D8CD98F00B204E9800998ECF8427E"));
    CHECK_FALSE(md5_digest::parse("d41d8cd98f00b204e9800998ecf8427"));
    CHECK_FALSE(md5_digest::parse("d41d8cd98f00b204e9800998ecf8427e0"));
    CHECK_FALSE(md5_digest::parse("d41d8cd98f00b204e9800998ecf8427g"));
}

TEST_CASE("log text is escaped so that each line is one JSON object", "[base][log]") {
    const auto escape = [](std::string_view text) {
        std::string out;
        log::append_json_escaped(out, text);
        return out;
    };
    CHECK(escape("plain text") == "plain text");
    CHECK(escape("a\"b\\c\n\r\t") == "a\\\"b\\\\c\\n\\r\\t");
    CHECK(escape(std::string_view("\x01\x7f\0", 3)) == "\\u0001\\u007f\\u0000");
    CHECK(escape("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80") == "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
    CHECK(escape("\xff\xc3") == "\\ufffd\\ufffd");
    CHECK(escape("\xed\xa0\x80") == "\\ufffd\\ufffd\\ufffd");  // A surrogate half is not UTF-8.
}

TEST_CASE("request targets lose their tokens and signatures", "[base][log]") {
    const std::string hash = "acbd18db4cc2f85cedef654fccc4a4d8";
    CHECK(log::redact_target("/" + hash + "+3+A89118b78732c33104a4d6231e8b5a5fa1e4301e3@7fffffff+Kzzzzz") ==
          "/" + hash + "+3+A***+Kzzzzz");
    CHECK(log::redact_target("/" + hash + "+3%2BA89118b78@7fffffff") == "/" + hash + "+3%2BA***");
    CHECK(log::redact_target("/" + hash + "+3+Rzzzzz-89118b78@7fffffff") == "/" + hash + "+3+R***");
    CHECK(log::redact_target("/index?prefix=abc&api_token=secret&x=1") == "/index?prefix=abc&api_token=***&x=1");
    CHECK(log::redact_target("/index?api%5ftoken=secret") == "/index?api%5ftoken=***");
    CHECK(log::redact_target("/mounts") == "/mounts");
    CHECK(log::redact_target("/?") == "/?");
}
