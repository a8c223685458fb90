/// Streams that may wait to be hashed together.

#include "tests/digest/engine_fixture.hpp"
#include "tests/digest/evp_md5.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch.hpp>

#include <thread>

namespace keepstore::digest {
namespace {

// Deferrable streams, each with one piece of a size of its own.
class deferrable_streams {
  public:
    explicit deferrable_streams(engine& e) : engine_(e) {}

    /// \returns its number, for ends_right().
    awaitable<std::size_t> add() {
        bytes data(100'000 + 1'000 * streams_.size(), std::byte{9});
        auto& stream = streams_.emplace_back(engine_, md5_stream::options{.deferrable = true});
        expected_.push_back(test::evp_md5(data));
        if (!co_await stream.update(copy_to_heap_slice(data))) throw std::runtime_error("update failed");
        total_ += data.size();
        co_return streams_.size() - 1;
    }
    awaitable<bool> ends_right(std::size_t i) {
        const auto got = co_await streams_.at(i).finish();
        co_return got && *got == expected_.at(i);
    }
    void drop(std::size_t i) { streams_.erase(streams_.begin() + static_cast<std::ptrdiff_t>(i)); }
    [[nodiscard]] std::size_t total() const noexcept { return total_; }

  private:
    engine& engine_;
    std::vector<md5_stream> streams_;
    std::vector<md5_digest> expected_;
    std::size_t total_ = 0;
};

awaitable<md5_digest> hash_at_once(engine& e, bytes data) {
    md5_stream stream(e, {});
    if (!co_await stream.update(copy_to_heap_slice(data))) throw std::runtime_error("update failed");
    const auto digest = co_await stream.finish();
    co_return digest.value();
}

awaitable<md5_digest> hash_alone(engine& e, bytes data) {
    md5_stream stream(e, {.queue_bytes = data.size(), .deferrable = true});
    stream.keep_alone();
    if (!co_await stream.update(copy_to_heap_slice(data))) throw std::runtime_error("update failed");
    const auto digest = co_await stream.finish();
    if (stream.busy()) throw std::runtime_error("it is busy at its end");
    co_return digest.value();
}

void await_sleep(engine& e) {
    while (e.snapshot().workers_asleep != 1) std::this_thread::yield();
}

TEST_CASE("a deferrable stream is hashed when its digest is awaited", "[digest][engine][batching]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    await_sleep(e);
    deferrable_streams streams(e);
    run_on(context, streams.add());
    CHECK(e.snapshot().workers_asleep == 1);
    CHECK(e.snapshot().wakeups_total == 0);
    CHECK(run_on(context, streams.ends_right(0)));
    CHECK(e.snapshot().wakeups_total == 1);
}

TEST_CASE("deferrable streams for half of the lanes are hashed at once", "[digest][engine][batching]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    await_sleep(e);
    deferrable_streams streams(e);
    for (std::size_t i = 0; i < gated_kernel.lanes / 2; ++i) run_on(context, streams.add());
    CHECK(e.snapshot().wakeups_total == 1);
    // The shorter one ends, and what is left of the other waits again.
    await_sleep(e);
    CHECK(e.snapshot().bytes_total < streams.total());
    CHECK(e.snapshot().bytes_total >= 200'000 - 2 * md5_block_bytes);
    for (std::size_t i = 0; i < gated_kernel.lanes / 2; ++i) CHECK(run_on(context, streams.ends_right(i)));
    CHECK(e.snapshot().bytes_total == streams.total());
}

TEST_CASE("a deferrable stream is hashed together with one that is not", "[digest][engine][batching]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    await_sleep(e);
    deferrable_streams streams(e);
    run_on(context, streams.add());
    CHECK(run_on(context, hash_at_once(e, bytes(150'000, std::byte{7}))) == md5_of(bytes(150'000, std::byte{7})));
    await_sleep(e);
    // The whole of it, but for what is less than an MD5 block.
    CHECK(e.snapshot().bytes_total >= 250'000 - md5_block_bytes);
    CHECK(e.snapshot().wakeups_total == 1);
    CHECK(run_on(context, streams.ends_right(0)));
}

TEST_CASE("a stream that is kept alone is hashed without the deferrable ones", "[digest][engine][batching]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    await_sleep(e);
    deferrable_streams streams(e);
    run_on(context, streams.add());
    const auto data = bytes(150'000 - 150'000 % md5_block_bytes, std::byte{7});
    CHECK(run_on(context, hash_alone(e, data)) == md5_of(data));
    await_sleep(e);
    CHECK(e.snapshot().bytes_total == data.size());
    CHECK(run_on(context, streams.ends_right(0)));
}

TEST_CASE("a deferrable stream that is dropped releases its bytes", "[digest][engine][batching]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    await_sleep(e);
    std::atomic<int> alive = 0;
    {
        md5_stream stream(e, {.deferrable = true});
        run_on(context, [](md5_stream& s, const_slice bytes) -> awaitable<int> {
            const auto added = co_await s.update(std::move(bytes));
            co_return added ? 0 : 1;
        }(stream, counted_slice(100'000, alive)));
        CHECK(alive == 1);
    }
    CHECK(alive == 0);
    CHECK(e.snapshot().wakeups_total == 0);
}

TEST_CASE("the only batching stream is not deferred", "[digest][engine][batching]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    await_sleep(e);
    {
        const md5_stream gone(e, {.batching = true});
    }
    const bytes data(200'000, std::byte{5});
    md5_stream first(e, {.queue_bytes = 1'000'000, .batching = true});
    md5_stream stream(std::move(first));  // Still one.
    const auto add = [](md5_stream& s, const_slice piece) -> awaitable<int> {
        const auto added = co_await s.update(std::move(piece));
        co_return added ? 0 : 1;
    };
    CHECK(run_on(context, add(stream, copy_to_heap_slice(data))) == 0);
    CHECK(e.snapshot().wakeups_total == 1);
    CHECK(run_on(context, stream.finish()).value() == test::evp_md5(data));
}

TEST_CASE("a batching stream is hashed when half of its queue is full, or at flush()", "[digest][engine][batching]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    await_sleep(e);
    const bytes data(500'000, std::byte{5});
    const md5_stream another(e, {.batching = true});
    md5_stream stream(e, {.queue_bytes = 400'000, .batching = true});
    const auto add = [&](std::size_t offset, std::size_t size) {
        run_on(context, [](md5_stream& s, const_slice piece) -> awaitable<int> {
            const auto added = co_await s.update(std::move(piece));
            co_return added ? 0 : 1;
        }(stream, copy_to_heap_slice(std::span(data).subspan(offset, size))));
    };
    add(0, 200'000);
    CHECK(e.snapshot().wakeups_total == 0);
    add(200'000, 100'000);
    CHECK(e.snapshot().wakeups_total == 1);
    await_sleep(e);
    // The first piece; the second one is deferred again.
    CHECK(e.snapshot().bytes_total / md5_block_bytes == 200'000 / md5_block_bytes);
    add(300'000, 100'000);
    CHECK(e.snapshot().workers_asleep == 1);
    CHECK(e.snapshot().wakeups_total == 1);
    stream.flush();
    await_sleep(e);
    CHECK(e.snapshot().bytes_total >= 400'000 - md5_block_bytes);
    add(400'000, 100'000);
    CHECK(e.snapshot().wakeups_total == 2);
    CHECK(run_on(context, stream.finish()).value() == test::evp_md5(data));
}

TEST_CASE("flush() of the engine hashes everything that is queued", "[digest][engine][batching]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    await_sleep(e);
    const md5_stream another(e, {.batching = true});
    std::atomic<int> alive = 0;
    md5_stream stream(e, {.queue_bytes = 4'000'000, .batching = true});
    const auto add = [&](std::size_t size) {
        run_on(context, [](md5_stream& s, const_slice piece) -> awaitable<int> {
            const auto added = co_await s.update(std::move(piece));
            co_return added ? 0 : 1;
        }(stream, counted_slice(size, alive)));
    };
    for (int i = 0; i < 3; ++i) add(200'000);
    CHECK(alive == 3);
    CHECK(e.snapshot().wakeups_total == 0);
    e.flush();
    await_sleep(e);
    CHECK(alive == 0);
    add(200'000);
    CHECK(alive == 1);
    CHECK(e.snapshot().wakeups_total == 1);
}

TEST_CASE("an update that suspends ends the deferral", "[digest][engine][batching]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    await_sleep(e);
    const auto got = run_on(
        context, hash_in_pieces(e, bytes(300'000, std::byte{3}), 300'000, 1, {.queue_bytes = 1, .deferrable = true}));
    CHECK(got.digest == test::evp_md5(bytes(300'000, std::byte{3})));
}

}  // namespace
}  // namespace keepstore::digest
