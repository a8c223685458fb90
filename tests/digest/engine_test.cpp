#include "digest/engine.hpp"

#include "base/units.hpp"
#include "digest/md5_lanes.hpp"
#include "tests/digest/engine_fixture.hpp"
#include "tests/digest/evp_md5.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch.hpp>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

namespace keepstore::digest {
namespace {

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
                spawn(contexts[c]->get_executor(), hash_many(e, data, i, random(), wrong),
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
        test::start_work(context, update_suspends(e, 100'000, over ? 99'999 : 100'000, returned),
                         [&](bool g) { good = g; });
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

/// Cancels `task` while its first pass is held up and `pieces` pieces exist. The gate stays closed.
void cancel_in_a_pass(asio::io_context& context, awaitable<errc> task, const std::atomic<int>& alive, int pieces) {
    test_gate.close();
    asio::cancellation_signal cancel;
    std::optional<errc> ended;
    test::start_work(context, std::move(task), cancel.slot(), [&](errc code) { ended = code; });
    context.poll();
    test_gate.await_arrival();
    CHECK(alive == pieces);
    CHECK(!ended.has_value());
    cancel.emit(asio::cancellation_type::terminal);
    context.restart();
    context.run_for(std::chrono::seconds(60));
    REQUIRE(ended.has_value());
    CHECK(*ended == errc::cancelled);
}

TEST_CASE("a cancelled update ends at once, and dropping the stream gives its pieces back", "[digest][engine]") {
    asio::io_context context(1);
    engine e(1, gated_kernel);
    std::atomic<int> alive = 0;
    cancel_in_a_pass(context, update_until_cancelled(e, 5, alive), alive, 6);
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
    std::atomic<int> alive = 0;
    cancel_in_a_pass(context, compress_until_cancelled(e, 10, alive), alive, 10);
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
    test::start_work(context, cancelled_drain_then_finish(e, data, cancelled), cancel.slot(),
                     [&](bool g) { good = g; });
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

TEST_CASE("streams beyond the lanes of one worker wake the next, fewer do not", "[digest][engine]") {
    for (const int streams : {4, 5}) {
        CAPTURE(streams);
        asio::io_context context(1);
        engine e(2, gated_kernel);
        std::atomic<int> good = 0;
        while (e.snapshot().workers_asleep != 2) std::this_thread::yield();
        const auto before = e.snapshot().wakeups_total;
        test_gate.close();
        for (int i = 0; i < streams; ++i) {
            spawn(context.get_executor(), hash_one(e, 100'000, good));
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

}  // namespace
}  // namespace keepstore::digest
