#include "pool/buffer_pool.hpp"
#include "base/limits.hpp"
#include "pool/limits.hpp"

#include "tests/support/run.hpp"
#include "tests/support/soon.hpp"

#include <sys/mman.h>
#include <catch2/catch.hpp>

#include <cerrno>
#include <cstdint>

#include <atomic>
#include <thread>
#include <vector>

using namespace keepstore;
using keepstore::pool::buffer_pool;
using keepstore::test::run;
using keepstore::test::soon;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t chunk = limits::chunk_size_bytes;

// Maps memory unless the test has switched it off.
std::atomic<bool> no_memory = false;
void* map_if_allowed(std::size_t bytes) {
    if (no_memory) return nullptr;
    void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
}

awaitable<result<mutable_slice>> take(buffer_pool& pool) {
    co_return co_await pool.acquire(soon());
}

}  // namespace

TEST_CASE("the pool hands out its budget and no more", "[pool]") {
    buffer_pool pool(3 * chunk);
    std::vector<mutable_slice> held;
    for (int i = 0; i < 3; ++i) {
        auto slice = pool.try_acquire();
        REQUIRE(slice);
        CHECK(slice->size() == chunk);
        held.push_back(std::move(*slice));
    }
    CHECK_FALSE(pool.try_acquire());
    CHECK(pool.snapshot().in_use_bytes == 3 * chunk);
    held.pop_back();
    CHECK(pool.try_acquire());
}

TEST_CASE("memory is allocated when it is first acquired, and kept", "[pool]") {
    buffer_pool pool(GiB);
    CHECK(pool.snapshot().allocated_bytes == 0);
    {
        const auto slice = pool.try_acquire();
    }
    CHECK(pool.snapshot().allocated_bytes == limits::slab_size_bytes);
    CHECK(pool.snapshot().in_use_bytes == 0);
}

TEST_CASE("chunks start on 512-byte boundaries of different colours and do not overlap", "[pool]") {
    buffer_pool pool(16 * chunk);
    std::vector<mutable_slice> held;
    for (int i = 0; i < 16; ++i) held.push_back(*pool.try_acquire());
    std::vector<std::uintptr_t> starts;
    std::array<int, 8> per_colour{};
    for (const auto& slice : held) {
        starts.push_back(reinterpret_cast<std::uintptr_t>(slice.bytes.data()));
        CHECK(starts.back() % 512 == 0);
        ++per_colour[starts.back() % 4096 / 512];
        std::ranges::fill(slice.bytes, std::byte{1});
    }
    for (const int count : per_colour) CHECK(count == 2);
    std::ranges::sort(starts);
    for (std::size_t i = 1; i < starts.size(); ++i) CHECK(starts[i] - starts[i - 1] >= chunk);
}

TEST_CASE("waiters are served first come, first served", "[pool]") {
    buffer_pool pool(chunk);
    asio::io_context context(1);
    auto held = pool.try_acquire();
    std::vector<int> order;
    auto waiter = [](buffer_pool& p, std::vector<int>& o, int number) -> awaitable<void> {
        const auto slice = co_await p.acquire(soon());
        if (slice) o.push_back(number);
    };
    for (int i = 0; i < 4; ++i) spawn(context.get_executor(), waiter(pool, order, i));
    while (pool.snapshot().waiters < 4) context.run_one_for(1s);
    CHECK_FALSE(pool.try_acquire());
    held.reset();
    context.run_for(5s);
    CHECK(order == std::vector<int>{0, 1, 2, 3});
    CHECK(pool.snapshot().waits_total == 4);
    CHECK(pool.snapshot().in_use_bytes == 0);
}

TEST_CASE("a cancelled waiter takes nothing and delays no other one", "[pool][cancel]") {
    buffer_pool pool(chunk);
    asio::io_context context(1);
    auto held = pool.try_acquire();
    asio::cancellation_signal signal;
    std::optional<errc> outcome;
    bool second_served = false;
    auto first = [](buffer_pool& p, std::optional<errc>& o) -> awaitable<void> {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        const auto slice = co_await p.acquire(soon());
        if (!slice) o = slice.error().code;
    };
    auto second = [](buffer_pool& p, bool& served) -> awaitable<void> {
        const auto slice = co_await p.acquire(soon());
        served = slice.has_value();
    };
    spawn(context.get_executor(), first(pool, outcome), signal.slot(), [](std::exception_ptr e) {
        if (e) std::rethrow_exception(e);
    });
    spawn(context.get_executor(), second(pool, second_served));
    while (pool.snapshot().waiters < 2) context.run_one_for(1s);
    signal.emit(asio::cancellation_type::total);
    while (!outcome && context.run_one_for(5s) > 0) {
    }
    held.reset();
    context.run_for(5s);
    REQUIRE(outcome.has_value());
    CHECK(*outcome == errc::cancelled);
    CHECK(second_served);
    CHECK(pool.snapshot().in_use_bytes == 0);
    CHECK(pool.snapshot().waiters == 0);
}

TEST_CASE("a chunk passes over many waiters that were cancelled together", "[pool][cancel]") {
    // None of them has resumed when the chunk comes back: it is offered to each in turn, without recursion.
    constexpr std::size_t many = 20'000;
    buffer_pool pool(chunk);
    auto held = pool.try_acquire();
    asio::io_context& context = test::new_context();
    std::vector<asio::cancellation_signal> signals(many);
    std::size_t cancelled = 0;
    for (auto& signal : signals) {
        test::start_work(context, run_cancellable(pool.acquire(soon())), signal.slot(),
                         [&](result<mutable_slice> slice) {
                             if (!slice) ++cancelled;
                         });
    }
    std::optional<result<mutable_slice>> last;
    test::start_work(context, pool.acquire(soon()),
                     [&](result<mutable_slice> slice) { last.emplace(std::move(slice)); });
    REQUIRE(test::turn_until(context, [&] { return pool.snapshot().waiters == many + 1; }));
    asio::post(context, [&] {  // On the loop, where cancellations take effect at once.
        for (auto& signal : signals) signal.emit(asio::cancellation_type::total);
        held.reset();
    });
    REQUIRE(test::turn_until(context, [&] { return cancelled == many && last; }));
    CHECK(last->has_value());
    last.reset();
    CHECK(pool.snapshot().waiters == 0);
    CHECK(pool.snapshot().in_use_bytes == 0);
}

TEST_CASE("a waiter that is cancelled after it was given a chunk has it", "[pool][cancel]") {
    buffer_pool pool(chunk);
    auto held = pool.try_acquire();
    {
        const auto slice = test::run_and_cancel(take(pool), [&] {
            if (pool.snapshot().waiters == 0) return false;
            held.reset();
            return true;
        });
        CHECK(slice.has_value());
        CHECK(pool.snapshot().in_use_bytes == chunk);
    }
    CHECK(pool.snapshot().in_use_bytes == 0);
}

TEST_CASE("chunks may be used and released by many threads", "[pool][threads]") {
    buffer_pool pool(4 * chunk);
    std::vector<std::thread> threads;
    std::atomic<int> served = 0;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i) {
                const auto slice = run(take(pool));
                if (slice) ++served;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(served == 200);
    CHECK(pool.snapshot().in_use_bytes == 0);
}

TEST_CASE("on_exhausted runs before a waiter blocks, and the chunks it releases serve that waiter", "[pool]") {
    buffer_pool pool(chunk);
    auto kept = pool.try_acquire();
    int asked = 0;
    pool.on_exhausted([&] {
        ++asked;
        kept.reset();
    });
    CHECK(run(take(pool)).has_value());
    CHECK(asked == 1);
    CHECK(run(take(pool)).has_value());
    CHECK(asked == 1);
}

TEST_CASE("a request's queue shrinks to one chunk as the pool is spent", "[pool]") {
    buffer_pool pool(64 * chunk);
    CHECK(pool.queue_bytes() == limits::request_queue_bytes_max);
    std::vector<mutable_slice> held;
    for (int i = 0; i < 60; ++i) held.push_back(*pool.try_acquire());
    CHECK(pool.queue_bytes() == limits::request_queue_bytes_min);
}

TEST_CASE("a wait for a chunk ends at its deadline and takes nothing", "[pool]") {
    buffer_pool pool(chunk);
    const auto held = pool.try_acquire();
    const auto slice = run(pool.acquire(deadline::in(20ms)));
    REQUIRE_FALSE(slice.has_value());
    CHECK(slice.error() == errc::timeout);
    CHECK(pool.snapshot().waiters == 0);
}

TEST_CASE("without memory from the system a request fails at once, and the next one gets it when it is back",
          "[pool][memory]") {
    buffer_pool pool(4 * chunk, map_if_allowed);
    no_memory = true;
    const auto none = run(take(pool));
    no_memory = false;
    REQUIRE_FALSE(none.has_value());
    CHECK(none.error() == errc::unavailable);
    CHECK(run(take(pool)).has_value());
}

TEST_CASE("a pool that could not grow grows for those that wait when memory is back", "[pool][memory]") {
    constexpr std::size_t slab = limits::slab_size_bytes / chunk;
    buffer_pool pool((slab + 2) * chunk, map_if_allowed);
    std::vector<mutable_slice> held;
    for (std::size_t i = 0; i < slab; ++i) held.push_back(*pool.try_acquire());
    no_memory = true;
    asio::io_context& context = test::new_context();
    bool first = false;
    test::start_work(context, pool.acquire(soon()), [&](result<mutable_slice> slice) { first = slice.has_value(); });
    REQUIRE(test::turn_until(context, [&] { return pool.snapshot().waiters == 1; }));
    no_memory = false;
    CHECK(run(take(pool)).has_value());
    CHECK(test::turn_until(context, [&] { return first; }));
}

TEST_CASE("chunks may be in use when the pool is destroyed", "[pool]") {
    auto pool = std::make_unique<buffer_pool>(2 * chunk);
    auto first = pool->try_acquire();
    auto second = pool->try_acquire();
    REQUIRE(first);
    REQUIRE(second);
    std::ranges::fill(second->bytes, std::byte{2});
    pool.reset();
    std::ranges::fill(first->bytes, std::byte{1});
    first.reset();
    CHECK(std::ranges::count(second->bytes, std::byte{2}) == static_cast<std::ptrdiff_t>(chunk));
    const auto page = reinterpret_cast<std::uintptr_t>(second->bytes.data()) / 4096 * 4096;
    second.reset();
    // The memory is the system's again.
    unsigned char resident = 0;
    CHECK(::mincore(reinterpret_cast<void*>(page), 4096, &resident) == -1);
    CHECK(errno == ENOMEM);
}
