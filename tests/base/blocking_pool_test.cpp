#include "base/blocking_pool.hpp"

#include "tests/support/run.hpp"

#include <dlfcn.h>
#include <pthread.h>
#include <catch2/catch.hpp>

#include <cerrno>
#include <latch>
#include <semaphore>
#include <thread>
#include <vector>

using namespace keepstore;
using keepstore::test::run;
using namespace std::chrono_literals;
using work = blocking_pool::work;

namespace {

deadline far() {
    return deadline::in(60s);
}

/// Waits for an effect of the pool's monitor.
template <class Condition>
bool comes(Condition condition) {
    const auto until = far();
    while (!condition()) {
        if (until.passed()) return false;
        std::this_thread::sleep_for(1ms);
    }
    return true;
}

awaitable<result<int>> value_of(one_shot<int> shot) {
    co_return co_await shot.wait();
}

/// A pool and calls that hang until the end of the test.
struct hanging_pool {
    explicit hanging_pool(blocking_pool::options o = {.name = "t", .threads_max = 4, .queue_max = 100})
        : pool(std::move(o)) {}
    ~hanging_pool() { release.release(100); }

    one_shot<int> hang(deadline until, work kind) {
        ++hung;
        return pool.start(
            [this]() -> result<int> {
                release.acquire();
                return 1;
            },
            until, kind);
    }
    bool stalls(work kind) {
        return comes([&] { return pool.activity_of(kind).stalled(); });
    }

    std::counting_semaphore<> release{0};
    int hung = 0;
    blocking_pool pool;
};

}  // namespace

TEST_CASE("calls with an alternative end when their kind makes no progress, others wait", "[base][blocking][stall]") {
    hanging_pool t;
    const auto waits = t.hang(far(), work::commit);
    const auto leaves = t.hang(far().ending_at_stall(), work::commit);
    CHECK(run(value_of(leaves)).error() == errc::unavailable);
    CHECK(t.pool.activity_of(work::commit).stalled());
    CHECK_FALSE(waits.ready());
    // New calls are refused at once, or queued.
    const auto refused = t.hang(far().ending_at_stall(), work::write);
    CHECK(refused.ready());
    CHECK(run(value_of(refused)).error() == errc::unavailable);
    CHECK_FALSE(t.pool.activity_of(work::read).stalled());
    t.release.release(100);
    CHECK(run(value_of(waits)).value() == 1);
    CHECK(comes([&] { return !t.pool.activity_of(work::commit).stalled(); }));
}

TEST_CASE("a call that reports progress does not stall", "[base][blocking][stall]") {
    hanging_pool t;
    std::atomic<bool> stop{false};
    const auto moves = t.pool.start(
        [&]() -> result<int> {
            while (!stop) {
                blocking_pool::note_progress();
                std::this_thread::sleep_for(10ms);
            }
            return 2;
        },
        far().ending_at_stall(), work::write);
    CHECK(comes([&] { return t.pool.activity_of(work::write).slow; }));
    CHECK_FALSE(t.pool.activity_of(work::write).stalled());
    CHECK_FALSE(moves.ready());
    stop = true;
    CHECK(run(value_of(moves)).value() == 2);
}

TEST_CASE("progress of one kind does not hide the silence of another", "[base][blocking][stall]") {
    hanging_pool t;
    static_cast<void>(t.hang(far(), work::commit));
    CHECK(comes([&] {
        static_cast<void>(run(value_of(t.pool.start([]() -> result<int> { return 1; }, far(), work::write))));
        return t.pool.activity_of(work::write).stalled();
    }));
}

TEST_CASE("a silence of reads is one of writes, unless writes end", "[base][blocking][stall]") {
    hanging_pool t;
    static_cast<void>(t.hang(far(), work::read));
    REQUIRE(t.stalls(work::read));
    CHECK(t.stalls(work::write));
    CHECK(comes([&] {
        static_cast<void>(run(value_of(t.pool.start([]() -> result<int> { return 1; }, far(), work::write))));
        return !t.pool.activity_of(work::write).stalled();
    }));
    CHECK(t.pool.activity_of(work::read).stalled());
}

TEST_CASE("calls that were excused are no sign of a stall, later ones are", "[base][blocking][stall]") {
    hanging_pool t;
    static_cast<void>(t.hang(far(), work::read));
    REQUIRE(t.stalls(work::read));
    t.pool.excuse(work::read);
    CHECK_FALSE(t.pool.activity_of(work::read).stalled());
    CHECK(comes([&] { return t.pool.activity_of(work::read).slow; }));
    CHECK_FALSE(t.pool.activity_of(work::read).stalled());
    static_cast<void>(t.hang(far(), work::read));
    CHECK(t.stalls(work::read));
}

TEST_CASE("hung writes leave threads for reads", "[base][blocking][stall]") {
    hanging_pool t({.name = "t", .threads_max = 4, .queue_max = 100, .threads_for_reads = 1});
    for (int i = 0; i < 8; ++i) static_cast<void>(t.hang(far(), work::write));
    REQUIRE(run(value_of(t.pool.start([]() -> result<int> { return 3; }, far(), work::read))).value() == 3);
    // The read's thread has delivered its value before it is idle.
    CHECK(comes([&] { return t.pool.snapshot().running == 3; }));
}

TEST_CASE("after a long silence all calls end, and after a long time a single one", "[base][blocking][stall]") {
    SECTION("silence") {
        hanging_pool t({.name = "t", .threads_max = 1, .queue_max = 100, .silence_max = 1500ms});
        const auto running = t.hang(far(), work::read);
        const auto queued = t.hang(far(), work::read);
        CHECK(run(value_of(running)).error() == errc::unavailable);
        CHECK(run(value_of(queued)).error() == errc::unavailable);
        CHECK(run(value_of(t.hang(far(), work::read))).error() == errc::unavailable);
    }
    SECTION("one call") {
        hanging_pool t({.name = "t", .threads_max = 1, .queue_max = 100, .call_max = 100ms});
        CHECK(run(value_of(t.hang(deadline::never(), work::read))).error() == errc::timeout);
    }
}

TEST_CASE("the outcome of each call is reported before its waiter gets it", "[base][blocking]") {
    std::vector<std::pair<work, errc>> seen;
    blocking_pool pool({.name = "t", .threads_max = 1, .on_outcome = [&](work kind, const error* why) {
                            seen.emplace_back(kind, why ? why->code : errc{});
                        }});
    CHECK(
        run(value_of(pool.start([]() -> result<int> { return fail(errc::io_error); }, far(), work::commit))).error() ==
        errc::io_error);
    CHECK(run(value_of(pool.start([]() -> result<int> { return 1; }, far()))).has_value());
    CHECK(seen == std::vector<std::pair<work, errc>>{{work::commit, errc::io_error}, {work::read, errc{}}});
}

// The sanitizers have a pthread_create of their own.
#if !defined(__SANITIZE_ADDRESS__) && !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)

namespace {

// What the system does with requests for threads: it refuses the first ones, then gives some.
std::atomic<int> threads_refused{0};
std::atomic<int> threads_left{1'000'000};

struct thread_limit {
    explicit thread_limit(int refused, int left) {
        threads_refused = refused;
        threads_left = left;
    }
    ~thread_limit() {
        threads_refused = 0;
        threads_left = 1'000'000;
    }
    thread_limit(const thread_limit&) = delete;
    thread_limit& operator=(const thread_limit&) = delete;
};

}  // namespace

// In place of the C library's.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*body)(void*),
                              void* argument) noexcept {
    using function = int(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    static auto* const next = reinterpret_cast<function*>(::dlsym(RTLD_NEXT, "pthread_create"));
    if (threads_refused > 0 && threads_refused-- > 0) return EAGAIN;
    return threads_left-- > 0 ? next(thread, attributes, body, argument) : EAGAIN;
}

TEST_CASE("a pool without threads refuses calls at once, and works when there are some", "[base][blocking][threads]") {
    blocking_pool pool({.name = "t", .threads_max = 2});
    const auto call = [] { return result<int>(1); };
    const auto refuses = [&] {
        const auto refused = pool.start(call, far());
        if (!refused.ready()) return false;
        const auto outcome = run(value_of(refused));
        return !outcome && outcome.error() == errc::unavailable;
    };
    {
        // There is none for deadlines: a worker alone is of no use.
        const thread_limit limit(1, 100);
        CHECK(refuses());
    }
    {
        const thread_limit limit(0, 1);
        CHECK(refuses());
    }
    {
        // One worker does the work of two.
        const thread_limit limit(0, 1);
        std::vector<one_shot<int>> several;
        for (int i = 0; i < 5; ++i) several.push_back(pool.start(call, far()));
        for (const auto& one : several) CHECK(run(value_of(one)).value() == 1);
    }
    CHECK(run(value_of(pool.start(call, far()))).value() == 1);
}

#endif
