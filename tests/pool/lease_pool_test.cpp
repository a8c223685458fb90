#include "pool/lease_pool.hpp"
#include "base/limits.hpp"

#include "tests/support/run.hpp"
#include "tests/support/soon.hpp"

#include <catch2/catch.hpp>

#include <optional>
#include <thread>
#include <vector>

using namespace keepstore;
using keepstore::pool::lease_pool;
using keepstore::test::run;
using keepstore::test::soon;
using keepstore::test::turn_until;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t leased_chunk = limits::chunk_size_bytes;

lease_pool::lease lease_of(lease_pool& pool, std::size_t chunks) {
    return run(pool.take(chunks, soon())).value();
}

// A coroutine that waits for a lease, and keeps it.
struct waiting_lease {
    waiting_lease(asio::io_context& context, lease_pool& pool, std::size_t chunks) {
        test::start_work(context, run_cancellable(pool.take(chunks, soon())), signal.slot(),
                         [this](auto got) { outcome.emplace(std::move(got)); });
    }
    asio::cancellation_signal signal;
    std::optional<result<lease_pool::lease>> outcome;
};

}  // namespace

TEST_CASE("a lease gives the chunks that it reserved and no more", "[pool][lease]") {
    lease_pool pool(5 * leased_chunk);
    auto one = lease_of(pool, 3);
    auto two = lease_of(pool, 2);
    std::vector<mutable_slice> held;
    for (int i = 0; i < 3; ++i) held.push_back(*one.try_acquire());
    CHECK(held.back().size() == leased_chunk);
    CHECK_FALSE(one.try_acquire());
    CHECK(two.try_acquire());
    CHECK(pool.snapshot().in_use_bytes == 3 * leased_chunk);
    held.pop_back();
    CHECK(one.try_acquire());
    const auto late = run(one.acquire(deadline::in(20ms)));
    CHECK(late.has_value());
}

TEST_CASE("an operation waits only for its own chunks, whatever others do", "[pool][lease]") {
    lease_pool pool(4 * leased_chunk);
    auto one = lease_of(pool, 2);
    auto two = lease_of(pool, 2);
    auto a = one.try_acquire();
    auto b = one.try_acquire();
    const auto none = run(one.acquire(deadline::in(20ms)));
    REQUIRE_FALSE(none.has_value());
    CHECK(none.error() == errc::timeout);
    asio::io_context& context = test::new_context();
    std::optional<result<mutable_slice>> got;
    test::start_work(context, one.acquire(soon()), [&](auto slice) { got.emplace(std::move(slice)); });
    context.run_for(5ms);
    CHECK_FALSE(got);
    std::thread elsewhere([&] { a.reset(); });
    CHECK(turn_until(context, [&] { return got.has_value(); }));
    elsewhere.join();
    CHECK(got->has_value());
}

TEST_CASE("leases are given first come, first served, and a cancelled wait takes nothing", "[pool][lease][cancel]") {
    lease_pool pool(4 * leased_chunk);
    std::optional<lease_pool::lease> held = lease_of(pool, 3);
    asio::io_context& context = test::new_context();
    waiting_lease large(context, pool, 4);
    REQUIRE(turn_until(context, [&] { return pool.snapshot().waiters == 1; }));
    waiting_lease small(context, pool, 1);  // It would fit, but comes later.
    waiting_lease last(context, pool, 3);
    REQUIRE(turn_until(context, [&] { return pool.snapshot().waiters == 3; }));
    asio::post(context, [&] {  // On the loop, where cancellations take effect at once.
        large.signal.emit(asio::cancellation_type::total);
        held.reset();
    });
    REQUIRE(turn_until(context, [&] { return large.outcome && small.outcome && last.outcome; }));
    CHECK(large.outcome->error() == errc::cancelled);
    CHECK(small.outcome->has_value());
    CHECK(last.outcome->has_value());
    CHECK(pool.snapshot().waits_total == 3);
}

TEST_CASE("a waiter that leaves makes room for a smaller one after it", "[pool][lease][cancel]") {
    lease_pool pool(4 * leased_chunk);
    auto held = lease_of(pool, 2);
    asio::io_context& context = test::new_context();
    waiting_lease large(context, pool, 4);
    REQUIRE(turn_until(context, [&] { return pool.snapshot().waiters == 1; }));
    waiting_lease small(context, pool, 2);
    REQUIRE(turn_until(context, [&] { return pool.snapshot().waiters == 2; }));
    asio::post(context, [&] { large.signal.emit(asio::cancellation_type::total); });
    REQUIRE(turn_until(context, [&] { return small.outcome.has_value(); }));
    CHECK(small.outcome->has_value());
}

TEST_CASE("a chunk that outlives its lease holds up one chunk's worth of others", "[pool][lease]") {
    lease_pool pool(4 * leased_chunk);
    std::optional<mutable_slice> hangs;
    {
        auto lease = lease_of(pool, 4);
        hangs = lease.try_acquire();
    }
    auto three = lease_of(pool, 3);
    asio::io_context& context = test::new_context();
    waiting_lease one(context, pool, 1);
    REQUIRE(turn_until(context, [&] { return pool.snapshot().waiters == 1; }));
    hangs.reset();
    CHECK(turn_until(context, [&] { return one.outcome.has_value(); }));
    CHECK(one.outcome->has_value());
}

TEST_CASE("on_exhausted runs before a wait for a lease and before one for a chunk", "[pool][lease]") {
    int asked = 0;
    std::optional<mutable_slice> kept;
    lease_pool pool(2 * leased_chunk, [&] {
        ++asked;
        kept.reset();
    });
    auto lease = lease_of(pool, 1);
    kept = lease.try_acquire();
    CHECK(run(lease.acquire(soon())).has_value());
    CHECK(asked == 1);
    const auto none = run(pool.take(2, deadline::in(10ms)));
    CHECK(none.error() == errc::timeout);
    CHECK(asked == 2);
}

TEST_CASE("a lease without memory fails at once when nothing of it is in use", "[pool][lease][memory]") {
    lease_pool pool(4 * leased_chunk, [] {}, [](std::size_t) -> void* { return nullptr; });
    auto lease = lease_of(pool, 2);
    const auto none = run(lease.acquire(soon()));
    REQUIRE_FALSE(none.has_value());
    CHECK(none.error() == errc::unavailable);
}

TEST_CASE("chunks and leases may outlive their pool", "[pool][lease]") {
    auto pool = std::make_unique<lease_pool>(4 * leased_chunk);
    std::optional<lease_pool::lease> lease = lease_of(*pool, 2);
    auto slice = lease->try_acquire();
    REQUIRE(slice);
    pool.reset();
    std::ranges::fill(slice->bytes, std::byte{1});
    auto another = lease->try_acquire();
    CHECK(another);
    another.reset();
    lease.reset();
    CHECK(std::ranges::count(slice->bytes, std::byte{1}) == static_cast<std::ptrdiff_t>(leased_chunk));
    slice.reset();
}

TEST_CASE("leases taken and returned on many threads lose nothing", "[pool][lease][threads]") {
    lease_pool pool(8 * leased_chunk);
    std::vector<std::thread> threads;
    std::atomic<int> served = 0;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 50; ++i) {
                auto lease = run(pool.take(static_cast<std::size_t>(t + 2), soon()));
                if (lease && run(lease->acquire(soon()))) ++served;
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(served == 200);
    CHECK(pool.snapshot().in_use_bytes == 0);
    CHECK(run(pool.take(8, deadline::in(10ms))).has_value());
}
