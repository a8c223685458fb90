/// Readers of a volume on a real service: shared downloads, ranges, memory.
#include "tests/volumes/s3/read_helpers.hpp"
#include "tests/volumes/s3/s3_fixture.hpp"
#include "tests/volumes/s3/tcp_relay.hpp"
#include "volumes/cloud/attribute.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <catch2/catch.hpp>

namespace keepstore::test {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

awaitable<result<bytes>> open_and_read(volumes::volume& v, md5_digest name) {
    auto reader = co_await v.open(name, soon());
    if (!reader) co_return std::unexpected(reader.error());
    auto got = co_await read_in_order(**reader, 256 * KiB);
    co_return got;
}

}  // namespace

TEST_CASE("readers of one block on several loops share one GET", "[volumes][s3][sharing]") {
    auto f = make_fixture();
    const auto content = random_bytes(16 * MiB);
    const auto name = md5_name(content);
    REQUIRE(put(*f.volume, name, content).has_value());
    constexpr int loops = 4;
    constexpr int readers = 32;
    std::vector<std::unique_ptr<volumes::block_reader>> open;
    for (int i = 0; i < readers; ++i) {
        auto reader = run(f.volume->open(name, soon()));
        REQUIRE(reader.has_value());
        open.push_back(std::move(*reader));
    }
    std::atomic<int> good = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < loops; ++t) {
        threads.emplace_back([&, t] {
            asio::io_context context(1);
            for (int i = t; i < readers; i += loops) {
                test::start_work(context, read_in_order(*open[static_cast<std::size_t>(i)], 256 * KiB),
                                 [&](const result<bytes>& r) { good += r && *r == content; });
            }
            context.run_for(seconds(60));
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(good == readers);
    CHECK(f.requests("get") == 1);
    CHECK(f.volume->stats().bytes_in == content.size());
}

TEST_CASE("a reader that falls behind gets its own GET, and does not block the others", "[volumes][s3][sharing]") {
    s3_fixture f([](volumes::s3_options& o) { o.fetch_memory_bytes = 4 * MiB; });
    const auto content = random_bytes(64 * MiB);
    const auto name = md5_name(content);
    REQUIRE(put(*f.volume, name, content).has_value());
    auto slow = run(f.volume->open(name, soon()));
    auto quick = run(f.volume->open(name, soon()));
    REQUIRE(slow.has_value());
    REQUIRE(quick.has_value());
    const auto first = make_heap_slice(256 * KiB);
    REQUIRE(run((*slow)->read_at(0, first, soon())).value() == first.size());
    CHECK(run(read_in_order(**quick, 256 * KiB)).value() == content);
    CHECK(f.requests("get") == 1);
    quick->reset();
    bytes rest;
    for (std::size_t at = first.size(); at < content.size(); at += first.size()) {
        const auto into = make_heap_slice(first.size());
        REQUIRE(run((*slow)->read_at(at, into, soon())).value() == into.size());
        REQUIRE(std::equal(into.bytes.begin(), into.bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(at)));
    }
    CHECK(f.requests("get") == 2);
}

TEST_CASE("a reader joins a download under way, as long as memory lasts", "[volumes][s3][sharing]") {
    auto f = make_fixture();
    const auto content = random_bytes(64 * MiB);
    const auto name = md5_name(content);
    REQUIRE(put(*f.volume, name, content).has_value());
    auto first = run(f.volume->open(name, soon()));
    REQUIRE(first.has_value());
    const auto into = make_heap_slice(60 * MiB);
    REQUIRE(run((*first)->read_at(0, into, soon())).value() == into.size());
    CHECK(run(open_and_read(*f.volume, name)).value() == content);
    CHECK(f.requests("get") == 1);
    // Other blocks need the memory: then it costs a GET of its own.
    const auto other = random_bytes(64 * MiB);
    REQUIRE(put(*f.volume, md5_name(other), other).has_value());
    CHECK(run(open_and_read(*f.volume, md5_name(other))).value() == other);
    CHECK(run(open_and_read(*f.volume, name)).value() == content);
    CHECK(f.requests("get") == 3);
    const auto rest = make_heap_slice(4 * MiB);
    REQUIRE(run((*first)->read_at(60 * MiB, rest, soon())).value() == rest.size());
    CHECK(std::equal(rest.bytes.begin(), rest.bytes.end(), content.begin() + 60 * MiB));
}

TEST_CASE("many readers of many blocks make progress when memory is short", "[volumes][s3][memory]") {
    s3_fixture f([](volumes::s3_options& o) { o.fetch_memory_bytes = 1 * MiB; });
    constexpr std::size_t count = 24;
    std::vector<bytes> contents;
    std::vector<std::unique_ptr<volumes::block_reader>> readers;
    for (std::size_t i = 0; i < count; ++i) {
        contents.push_back(random_bytes(2 * MiB));
        REQUIRE(put(*f.volume, md5_name(contents[i]), contents[i]).has_value());
    }
    for (const auto& content : contents) {
        auto reader = run(f.volume->open(md5_name(content), soon()));
        REQUIRE(reader.has_value());
        readers.push_back(std::move(*reader));
    }
    asio::io_context context(1);
    std::size_t good = 0;
    for (std::size_t i = 0; i < count; ++i) {
        test::start_work(context, read_in_order(*readers[i], 100'000),
                         [&, i](const result<bytes>& r) { good += r && *r == contents[i]; });
    }
    context.run_for(seconds(60));
    CHECK(good == count);
}

TEST_CASE("reads out of order are ranged GETs of the same object", "[volumes][s3]") {
    auto f = make_fixture();
    const auto content = random_bytes(20 * MiB);
    const auto name = md5_name(content);
    REQUIRE(put(*f.volume, name, content).has_value());
    auto reader = run(f.volume->open(name, soon()));
    REQUIRE(reader.has_value());
    const auto expect = [&](std::size_t at, std::size_t size) {
        const auto into = make_heap_slice(size);
        REQUIRE(run((*reader)->read_at(at, into, soon())).value() == size);
        REQUIRE(std::equal(into.bytes.begin(), into.bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(at)));
    };
    expect(15 * MiB, 256 * KiB);
    expect(15 * MiB + 256 * KiB, 256 * KiB);
    CHECK(f.requests("get") == 2);
    // A short gap is skipped.
    expect(15 * MiB + 700 * KiB, 100 * KiB);
    CHECK(f.requests("get") == 2);
    expect(2 * MiB + 17, 3 * MiB);
    expect(0, 1);
    expect(content.size() - 1, 1);
    for (int i = 0; i < 20; ++i) {
        const std::size_t at = test_random()() % content.size();
        expect(at, 1 + test_random()() % std::min<std::size_t>(content.size() - at, 600'000));
    }
    // An object that has changed is not mixed with the one that was opened.
    f.put_object(name.hex(), random_bytes(content.size()));
    const auto into = make_heap_slice(1000);
    const auto after = run((*reader)->read_at(10 * MiB, into, soon()));
    if (after)
        CHECK(std::equal(into.bytes.begin(), into.bytes.end(), content.begin() + 10 * MiB));
    else
        CHECK(after.error() == errc::unavailable);
}

TEST_CASE("the wanted part is requested at once, concurrently with the marker", "[volumes][s3]") {
    const auto content = random_bytes(20 * MiB);
    const auto name = md5_name(content);
    struct example {
        std::uint64_t size;
        std::pair<std::uint64_t, std::uint64_t> part;
        unsigned gets;
        std::uint64_t fetched_max;  // Whole segments, of 512 KiB here.
    };
    const std::uint64_t all = content.size();
    for (const auto& [size, part, gets, fetched_max] : {
             example{all, {10 * MiB + 5, 100'000}, 1, 512 * KiB},
             example{all, {10 * MiB - 5, 10}, 1, 1 * MiB},
             example{all, {0, 1}, 1, 512 * KiB},
             example{all, {all - 1, 1}, 1, 512 * KiB},
             example{all, {0, all}, 1, all},
             // Wrong hints, too large and too small: then each part is requested when it is read.
             example{2 * all, {all + 1 * MiB, 1 * MiB}, 3, 2 * all},
             example{3 * MiB, {1 * MiB, 1 * MiB}, 2, all},
         }) {
        CAPTURE(size, part.first, part.second);
        auto f = make_fixture();  // Of the GET of another example something might still arrive.
        REQUIRE(put(*f.volume, name, content).has_value());
        const auto asked = f.requests("get");
        const auto heads = f.requests("head");
        const auto before = f.volume->stats().bytes_in;
        auto reader = run(f.volume->open_for(name, {.size = size, .part = part}, soon()));
        REQUIRE(reader.has_value());
        CHECK((*reader)->size() == all);
        // A hint that is wrong about what will be read costs a request and no more.
        const auto at = size == all ? part.first : 19 * MiB;
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(part.second, all - at));
        const auto into = make_heap_slice(count);
        REQUIRE(run((*reader)->read_at(at, into, soon())).value() == count);
        CHECK(std::equal(into.bytes.begin(), into.bytes.end(), content.begin() + static_cast<std::ptrdiff_t>(at)));
        CHECK_FALSE(run((*reader)->read_attribute("none", soon())).has_value());
        CHECK(f.requests("get") == asked + gets);
        // For each GET that was begun without knowing that it would be in vain.
        CHECK(f.requests("head") == heads + (part.first > all ? 2 : 1));
        CHECK(f.volume->stats().bytes_in - before <= fetched_max);
    }
}

TEST_CASE("a block that is trashed while it is read is read to its end", "[volumes][s3]") {
    auto f = make_fixture();
    const auto content = random_bytes(64 * MiB);
    const auto name = md5_name(content);
    REQUIRE(put(*f.volume, name, content).has_value());
    auto reader = run(f.volume->open(name, soon()));
    REQUIRE(reader.has_value());
    REQUIRE(run(f.volume->trash(name, trash_at_once(hours(1)), soon())).has_value());
    const auto into = make_heap_slice(256 * KiB);
    REQUIRE(run((*reader)->read_at(48 * MiB, into, soon())).value() == into.size());
    CHECK(std::equal(into.bytes.begin(), into.bytes.end(), content.begin() + 48 * MiB));
    CHECK(f.head_object("trash/" + name.hex()).has_value());
}

TEST_CASE("a caller that is cancelled ends no other call and leaks nothing", "[volumes][s3][cancellation]") {
    auto f = make_fixture();
    const auto content = random_bytes(8 * MiB);
    const auto name = md5_name(content);
    REQUIRE(put(*f.volume, name, content).has_value());
    const auto other = random_bytes(8 * MiB);
    const auto other_name = md5_name(other);
    // Cancelled after any number of handlers, from the first on.
    for (std::size_t steps = 1; steps < 60; ++steps) {
        CAPTURE(steps);
        asio::io_context context(1);
        asio::cancellation_signal stop_reading;
        asio::cancellation_signal stop_writing;
        int ended = 0;
        std::optional<result<void>> written;
        const auto cancellable = [](auto work) -> awaitable<typename decltype(work)::value_type> {
            co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
            co_await asio::this_coro::throw_if_cancelled(false);
            co_return co_await std::move(work);
        };
        test::start_work(context, cancellable(open_and_read(*f.volume, name)), stop_reading.slot(),
                         [&](const result<bytes>&) { ++ended; });
        test::start_work(context, cancellable(write_block(*f.volume, other_name, other, other.size(), 256 * KiB)),
                         stop_writing.slot(), [&](result<void> r) {
                             ++ended;
                             written = std::move(r);
                         });
        for (std::size_t i = 0; i < steps && ended < 2; ++i) context.run_one_for(milliseconds(100));
        while (ended < 2) {
            stop_reading.emit(asio::cancellation_type::total);
            stop_writing.emit(asio::cancellation_type::total);
            context.run_one_for(milliseconds(10));
        }
        // A block that was not acknowledged may be there, but only whole.
        const auto there = get(*f.volume, other_name);
        if (written && *written) REQUIRE(there.value() == other);
        if (there) {
            REQUIRE(*there == other);
            REQUIRE(run(f.objects().del(other_name.hex(), soon())).has_value());
        }
    }
    CHECK(get(*f.volume, name).value() == content);
}

}  // namespace keepstore::test
