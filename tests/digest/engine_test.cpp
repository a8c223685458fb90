#include "digest/engine.hpp"

#include "base/units.hpp"
#include "digest/md5_lanes.hpp"
#include "tests/digest/evp_md5.hpp"
#include "tests/digest/random_bytes.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/detached.hpp>
#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace keepstore::digest {
namespace {

using bytes = std::vector<std::byte>;

// test::run() on a context that the caller keeps. An engine's worker may still be inside post(),
// signalling, when the coroutine that it woke is through: contexts must outlive the engine, so they
// are declared before it.
template <class T>
T run_on(asio::io_context& context, awaitable<T> work) {
    std::optional<T> value;
    std::exception_ptr thrown;
    asio::co_spawn(context, std::move(work), [&](std::exception_ptr e, T v) {
        thrown = e;
        value.emplace(std::move(v));
    });
    context.restart();
    context.run_for(std::chrono::seconds(60));
    if (!value) throw std::runtime_error("timed out");
    if (thrown) std::rethrow_exception(thrown);
    return std::move(*value);
}

// Bytes that tell when the last share is gone.
class counted_buffer final : public buffer_owner {
  public:
    counted_buffer(bytes b, std::atomic<int>& alive) : content(std::move(b)), alive_(alive) { ++alive_; }
    const bytes content;

  private:
    void recycle() noexcept override {
        --alive_;
        delete this;
    }
    std::atomic<int>& alive_;
};

const_slice counted_slice(std::size_t size, std::atomic<int>& alive) {
    auto* const buffer = new counted_buffer(bytes(size), alive);
    return {buffer->content, buffer_ref(buffer)};
}

// A kernel that stands still at a gate, so that a test decides when a pass ends. The gate is open
// at first.
class gate {
  public:
    void close() {
        const std::lock_guard lock(mutex_);
        open_ = false;
    }
    void open() {
        {
            const std::lock_guard lock(mutex_);
            open_ = true;
        }
        changed_.notify_all();
    }
    void pass() {
        std::unique_lock lock(mutex_);
        waiting_ += 1;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
        waiting_ -= 1;
    }
    void await_arrival() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return waiting_ > 0; });
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = true;
    int waiting_ = 0;
};

gate test_gate;

void gated_compress(std::span<const md5_lane> lanes, std::size_t blocks) {
    test_gate.pass();
    md5_kernels().back().compress(lanes, blocks);
}

const md5_kernel gated_kernel{"gated", 4, gated_compress};

struct hashed {
    md5_digest digest;
    std::vector<md5_state> waypoints;
};

awaitable<hashed> hash_in_pieces(engine& e, const bytes& data, std::size_t piece_max, std::uint64_t seed,
                                 md5_stream::options options) {
    std::mt19937_64 random(seed);
    md5_stream stream(e, options);
    for (std::size_t at = 0; at < data.size();) {
        const std::size_t size = std::min(data.size() - at, 1 + test::random_below(random, piece_max));
        const auto updated = co_await stream.update(copy_to_heap_slice(std::span(data).subspan(at, size)));
        if (!updated) throw std::runtime_error("update failed");
        at += size;
        if (random() % 16 == 0) {
            const auto drained = co_await stream.drain();
            if (!drained) throw std::runtime_error("drain failed");
        }
    }
    const auto digest = co_await stream.finish();
    if (!digest) throw std::runtime_error("finish failed");
    if (stream.length() != data.size()) throw std::runtime_error("wrong length");
    co_return hashed{*digest, stream.waypoints()};
}

TEST_CASE("a stream of nothing has the digest of nothing", "[digest][engine]") {
    asio::io_context context(1);
    engine e(1);
    CHECK(run_on(context, hash_in_pieces(e, {}, 1, 1, {})).digest == md5_of_nothing);
}

TEST_CASE("a lone stream is right for any split, with every kernel", "[digest][engine]") {
    INFO("seed " << test::seed());
    std::mt19937_64 random(test::seed());
    for (const auto& kernel : md5_kernels()) {
        CAPTURE(kernel.name);
        asio::io_context context(1);
        engine e(1, kernel);
        CHECK(e.target() == kernel.name);
        std::uint64_t total = 0;
        for (const std::size_t piece_max : {1UL, 100UL, 40'000UL, 300'000UL}) {
            const bytes data = test::random_bytes(random, std::min(piece_max * 300, 3'000'000UL));
            const auto got = run_on(context, hash_in_pieces(e, data, piece_max, random(), {.queue_bytes = 200'000}));
            CHECK(got.digest == test::evp_md5(data));
            total += data.size();
        }
        CHECK(e.snapshot().bytes_total == total);
        CHECK(e.snapshot().bytes_single_total <= total);
    }
}

awaitable<void> hash_many(engine& e, const std::vector<bytes>& data, std::size_t which, std::uint64_t seed,
                          std::atomic<int>& wrong) {
    std::mt19937_64 random(seed);
    constexpr std::size_t stride = 64 * KiB;
    const bytes& mine = data[which];
    const auto got =
        co_await hash_in_pieces(e, mine, 1 + test::random_below(random, 200'000), random(),
                                {.queue_bytes = test::random_below(random, 400'000), .waypoint_stride = stride});
    if (got.digest != test::evp_md5(mine)) ++wrong;
    if (got.waypoints.size() != mine.size() / stride) ++wrong;
    md5_state state;
    for (std::size_t i = 0; i < got.waypoints.size(); ++i) {
        md5_compress(state, std::span(mine).subspan(i * stride, stride));
        if (got.waypoints[i] != state) ++wrong;
    }
}

TEST_CASE("many streams on several contexts get the right digests and waypoints", "[digest][engine]") {
    INFO("seed " << test::seed());
    std::mt19937_64 random(test::seed());
    std::vector<bytes> data;
    for (int i = 0; i < 60; ++i) data.push_back(test::random_bytes(random, test::random_below(random, 700'000)));
    data[0].resize(64 * KiB * 4);
    for (const auto& kernel : md5_kernels()) {
        CAPTURE(kernel.name);
        std::vector<std::unique_ptr<asio::io_context>> contexts;
        engine e(2, kernel);
        std::atomic<int> wrong = 0;
        std::atomic<int> finished = 0;
        for (std::size_t c = 0; c < 3; ++c) {
            contexts.push_back(std::make_unique<asio::io_context>(1));
            for (std::size_t i = c; i < data.size(); i += 3) {
                asio::co_spawn(*contexts[c], hash_many(e, data, i, random(), wrong),
                               [&](std::exception_ptr thrown) { (thrown ? wrong : finished) += 1; });
            }
        }
        std::vector<std::jthread> threads;
        for (auto& context : contexts) {
            threads.emplace_back([&context] { context->run_for(std::chrono::seconds(60)); });
        }
        threads.clear();
        CHECK(wrong == 0);
        CHECK(finished == 60);
        std::uint64_t total = 0;
        for (const auto& d : data) total += d.size();
        const auto stats = e.snapshot();
        CHECK(stats.bytes_total == total);
        CHECK(stats.passes_total > 0);
        CHECK(stats.lanes_used_total >= 2 * stats.passes_total);
    }
}

awaitable<result<void>> compress_and_compare(engine& e, const bytes& data, std::size_t stride) {
    std::vector<md5_state> expected;
    std::vector<md5_segment> segments;
    md5_state state;
    const const_slice slice = copy_to_heap_slice(data);
    for (std::size_t at = 0; at < data.size(); at += stride) {
        const auto part = slice.subslice(at, std::min(stride, data.size() - at));
        segments.push_back({state, part});
        md5_compress(state, part.bytes);
        expected.push_back(state);
    }
    segments.push_back({state, {}});  // Nothing to hash: the state stays.
    expected.push_back(state);

    KS_CO_TRY(const auto single, co_await e.compress(segments[0].state, segments[0].blocks));
    if (single != expected[0]) co_return fail(errc::checksum_mismatch);
    KS_CO_CHECK(co_await e.compress_all(segments));
    for (std::size_t i = 0; i < segments.size(); ++i) {
        if (segments[i].state != expected[i]) co_return fail(errc::checksum_mismatch);
    }
    co_return success();
}

TEST_CASE("segments are hashed side by side from their states", "[digest][engine]") {
    INFO("seed " << test::seed());
    std::mt19937_64 random(test::seed());
    for (const auto& kernel : md5_kernels()) {
        CAPTURE(kernel.name);
        asio::io_context context(1);
        engine e(2, kernel);
        for (const std::size_t stride : {64UL, 1024UL, 64 * KiB, 128 * KiB}) {
            const bytes data = test::random_bytes(random, stride * 37 + (stride > 64 ? 64 : 0));
            const auto done = run_on(context, compress_and_compare(e, data, stride));
            CHECK(done.has_value());
        }
        CHECK(e.snapshot().passes_total > 0);
    }
}

TEST_CASE("a segment that is not whole blocks is refused", "[digest][engine]") {
    asio::io_context context(1);
    engine e(1);
    const auto done = run_on(context, e.compress({}, make_heap_slice(100).freeze(100)));
    REQUIRE(!done.has_value());
    CHECK(done.error() == errc::io_error);
}

awaitable<md5_state> state_after(engine& e, const_slice piece) {
    md5_stream stream(e, {});
    const auto updated = co_await stream.update(std::move(piece));
    const auto drained = co_await stream.drain();
    if (!updated || !drained) throw std::runtime_error("failed");
    co_return stream.state();
}

TEST_CASE("a drained stream shows its state, from which another continues", "[digest][engine]") {
    INFO("seed " << test::seed());
    std::mt19937_64 random(test::seed());
    const bytes data = test::random_bytes(random, 200'003);
    constexpr std::size_t cut = 150'016;
    static_assert(cut % 64 == 0);
    asio::io_context context(1);
    engine e(1);
    const auto state = run_on(context, state_after(e, copy_to_heap_slice(std::span(data).first(cut))));
    md5 rest(state, cut);
    rest.update(std::span(data).subspan(cut));
    CHECK(rest.finish() == test::evp_md5(data));
}

awaitable<bool> update_suspends(engine& e, std::size_t size, std::size_t queue_bytes, bool& returned) {
    md5_stream stream(e, {.queue_bytes = queue_bytes});
    const auto updated = co_await stream.update(make_heap_slice(size).freeze(size));
    returned = true;
    const auto drained = co_await stream.drain();
    co_return updated.has_value() && drained.has_value();
}

TEST_CASE("update suspends only while more than queue_bytes wait", "[digest][engine]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    for (const bool over : {false, true}) {
        CAPTURE(over);
        test_gate.close();
        context.restart();
        bool returned = false;
        bool good = false;
        asio::co_spawn(context, update_suspends(e, 100'000, over ? 99'999 : 100'000, returned),
                       [&](std::exception_ptr, bool g) { good = g; });
        context.poll();
        test_gate.await_arrival();
        CHECK(returned == !over);
        test_gate.open();
        context.run_for(std::chrono::seconds(60));
        CHECK(returned);
        CHECK(good);
    }
}

// Updates with `count` pieces until cancelled, then keeps the stream until told to leave.
awaitable<errc> update_until_cancelled(engine& e, int count, std::atomic<int>& alive) {
    co_await asio::this_coro::throw_if_cancelled(false);
    md5_stream stream(e, {.queue_bytes = 10'000'000});
    for (int i = 0; i < count; ++i) {
        const auto updated = co_await stream.update(counted_slice(100'000, alive));
        if (!updated) co_return updated.error().code;
    }
    stream.set_queue_bytes(0);
    const auto updated = co_await stream.update(counted_slice(100'000, alive));
    co_return updated ? errc::io_error : updated.error().code;
}

TEST_CASE("a cancelled update ends at once, and dropping the stream gives its pieces back", "[digest][engine]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    test_gate.close();
    std::atomic<int> alive = 0;
    asio::cancellation_signal cancel;
    std::optional<errc> ended;
    asio::co_spawn(context, update_until_cancelled(e, 5, alive),
                   asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr, errc code) { ended = code; }));
    context.poll();
    test_gate.await_arrival();
    CHECK(alive == 6);
    CHECK(!ended.has_value());
    cancel.emit(asio::cancellation_type::terminal);
    context.restart();
    context.run_for(std::chrono::seconds(60));
    REQUIRE(ended.has_value());
    CHECK(*ended == errc::cancelled);
    CHECK(alive == 1);  // The one in work; its pass is still held up.
    test_gate.open();

    // The next stream is not disturbed. The single worker has let go of the old piece before it
    // is through.
    const bytes data(100'000);
    CHECK(run_on(context, hash_in_pieces(e, data, 100'000, 1, {})).digest == test::evp_md5(data));
    CHECK(alive == 0);
}

awaitable<errc> compress_until_cancelled(engine& e, std::size_t count, std::atomic<int>& alive) {
    co_await asio::this_coro::throw_if_cancelled(false);
    std::vector<md5_segment> segments;
    for (std::size_t i = 0; i < count; ++i) segments.push_back({{}, counted_slice(64 * KiB * 2, alive)});
    const auto done = co_await e.compress_all(segments);
    for (const auto& segment : segments) {
        if (segment.state != md5_state()) co_return errc::io_error;
    }
    co_return done ? errc::io_error : done.error().code;
}

TEST_CASE("a cancelled batch of segments drops those that wait", "[digest][engine]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    test_gate.close();
    std::atomic<int> alive = 0;
    asio::cancellation_signal cancel;
    std::optional<errc> ended;
    asio::co_spawn(context, compress_until_cancelled(e, 10, alive),
                   asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr, errc code) { ended = code; }));
    context.poll();
    test_gate.await_arrival();
    CHECK(alive == 10);
    cancel.emit(asio::cancellation_type::terminal);
    context.restart();
    context.run_for(std::chrono::seconds(60));
    REQUIRE(ended.has_value());
    CHECK(*ended == errc::cancelled);
    CHECK(alive == 4);  // Four lanes.
    test_gate.open();
    const bytes data(100'000);
    CHECK(run_on(context, hash_in_pieces(e, data, 100'000, 1, {})).digest == test::evp_md5(data));
    CHECK(alive == 0);
}

awaitable<bool> cancelled_drain_then_finish(engine& e, const bytes& data, std::atomic<bool>& cancelled) {
    co_await asio::this_coro::throw_if_cancelled(false);
    md5_stream stream(e, {});
    const auto updated = co_await stream.update(copy_to_heap_slice(data));
    const auto drained = co_await stream.drain();
    cancelled = !drained && drained.error() == errc::cancelled;
    test_gate.open();
    co_await asio::this_coro::reset_cancellation_state();
    const auto digest = co_await stream.finish();
    co_return updated&& digest && *digest == test::evp_md5(data);
}

TEST_CASE("a stream can be finished after a cancelled drain", "[digest][engine]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    test_gate.close();
    const bytes data(100'001);
    std::atomic<bool> cancelled = false;
    bool good = false;
    asio::cancellation_signal cancel;
    asio::co_spawn(context, cancelled_drain_then_finish(e, data, cancelled),
                   asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr, bool g) { good = g; }));
    context.poll();
    test_gate.await_arrival();
    cancel.emit(asio::cancellation_type::terminal);
    context.restart();
    context.run_for(std::chrono::seconds(60));
    CHECK(cancelled);
    CHECK(good);
}

awaitable<void> hash_one(engine& e, std::size_t size, std::atomic<int>& good) {
    const bytes data(size, std::byte{7});
    const auto got = co_await hash_in_pieces(e, data, size, 1, {});
    if (got.digest == test::evp_md5(data)) ++good;
}

TEST_CASE("streams beyond the lanes of one worker wake the next; fewer do not", "[digest][engine]") {
    for (const int streams : {4, 5}) {
        CAPTURE(streams);
        asio::io_context context(1);
        engine e(2, gated_kernel);
        std::atomic<int> good = 0;
        while (e.snapshot().workers_asleep != 2) std::this_thread::yield();
        const auto before = e.snapshot().wakeups_total;
        test_gate.close();
        for (int i = 0; i < streams; ++i) {
            asio::co_spawn(context, hash_one(e, 100'000, good), asio::detached);
        }
        context.poll();  // Every stream has submitted its piece; none can be done.
        CHECK(e.snapshot().wakeups_total - before == (streams > 4 ? 2U : 1U));
        test_gate.open();
        context.restart();
        context.run_for(std::chrono::seconds(60));
        CHECK(good == streams);
    }
}

awaitable<result<hashed>> hash_from(engine& e, std::span<const std::byte> content, std::size_t offset,
                                    const md5_state& from, std::size_t stride) {
    md5_stream stream(e, {.waypoint_stride = stride, .from = from, .offset = offset});
    for (std::size_t at = offset; at < content.size();) {
        const std::size_t size = std::min<std::size_t>(content.size() - at, 70'001);
        KS_CO_CHECK(co_await stream.update(copy_to_heap_slice(content.subspan(at, size))));
        at += size;
    }
    KS_CO_TRY(const auto digest, co_await stream.finish());
    co_return hashed{digest, stream.waypoints()};
}

TEST_CASE("a stream that begins in the middle of a block ends with the block's digest", "[digest][engine][waypoints]") {
    asio::io_context context(1);
    engine e(2);
    std::mt19937_64 random(77);
    const auto content = test::random_bytes(random, 1'000'003);
    constexpr std::size_t stride = 64 * KiB;
    std::vector<md5_state> states;
    md5 whole;
    for (std::size_t at = 0; at + stride <= content.size(); at += stride) {
        whole.update(std::span(content).subspan(at, stride));
        states.push_back(whole.state());
    }
    for (const std::size_t first : {std::size_t{0}, std::size_t{1}, std::size_t{7}, states.size()}) {
        CAPTURE(first);
        const auto got = run_on(
            context, hash_from(e, content, first * stride, first == 0 ? md5_state() : states[first - 1], stride));
        REQUIRE(got.has_value());
        CHECK(got->digest == md5_of(content));
        CHECK(std::ranges::equal(got->waypoints, std::span(states).subspan(first)));
    }
    CHECK_THROWS_AS(md5_stream(e, md5_stream::options{.offset = 63}), std::invalid_argument);
}

// Deferrable streams, each with one piece of a size of its own.
class deferrable_streams {
  public:
    explicit deferrable_streams(engine& e) : engine_(e) {}

    awaitable<void> add() {
        bytes data(100'000 + 1'000 * streams_.size(), std::byte{9});
        auto& stream = streams_.emplace_back(engine_, md5_stream::options{.deferrable = true});
        expected_.push_back(test::evp_md5(data));
        if (!co_await stream.update(copy_to_heap_slice(data))) throw std::runtime_error("update failed");
        total_ += data.size();
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
    run_on(context, [](deferrable_streams& s) -> awaitable<int> {
        co_await s.add();
        co_return 0;
    }(streams));
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
    const auto add = [](deferrable_streams& s) -> awaitable<int> {
        co_await s.add();
        co_return 0;
    };
    for (std::size_t i = 0; i < gated_kernel.lanes / 2; ++i) run_on(context, add(streams));
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
    run_on(context, [](deferrable_streams& s) -> awaitable<int> {
        co_await s.add();
        co_return 0;
    }(streams));
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
    run_on(context, [](deferrable_streams& s) -> awaitable<int> {
        co_await s.add();
        co_return 0;
    }(streams));
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
