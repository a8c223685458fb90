// What a shared download does for its readers when memory is short, with a service that sends a block as far as the
// test says.
#include "base/limits.hpp"
#include "tests/volumes/s3/paced_service.hpp"
#include "volumes/cloud/limits.hpp"

#include <catch2/catch.hpp>

#include <ctime>
#include <thread>

namespace keepstore::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using volumes::cloud::shared_download;

std::chrono::nanoseconds cpu_time() {
    timespec t{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
}

/// Reads from `at` to the end, or until that is outside the window. \returns where it stopped.
std::size_t read_on(shared_download& f, unsigned reader, const bytes& content, std::size_t at) {
    while (at < content.size()) {
        const auto piece = run(f.read(reader, at, limits::chunk_size_bytes, soon()));
        if (!piece || piece->outside_window) return at;
        const auto got = piece->bytes.bytes;
        const auto expected = std::span(content).subspan(at, got.size());
        if (!std::ranges::equal(got, expected)) throw std::runtime_error("wrong bytes");
        at += got.size();
    }
    return at;
}

/// A read on a loop that the test turns by hand.
class held_read {
  public:
    held_read(shared_download& f, unsigned reader, std::uint64_t offset) {
        test::start_work(context_, work(f, reader, offset), signal_.slot(),
                         [this](result<shared_download::piece> r) { outcome.emplace(std::move(r)); });
    }
    /// Until it has ended; for that long.
    bool turn(std::chrono::nanoseconds limit) {
        context_.restart();
        context_.run_for(limit);
        return outcome.has_value();
    }
    /// The next event only.
    void step() {
        context_.restart();
        context_.poll_one();
    }
    void cancel() { signal_.emit(asio::cancellation_type::total); }

    std::optional<result<shared_download::piece>> outcome;

  private:
    static awaitable<result<shared_download::piece>> work(shared_download& f, unsigned reader, std::uint64_t offset) {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
        co_await asio::this_coro::throw_if_cancelled(false);
        co_return co_await f.read(reader, offset, limits::chunk_size_bytes, deadline::never());
    }

    asio::io_context& context_ = new_context();
    asio::cancellation_signal signal_;
};

/// Whether the process does nothing for a while.
bool rests() {
    std::this_thread::sleep_for(milliseconds(50));  // For pending work.
    const auto before = cpu_time();
    std::this_thread::sleep_for(milliseconds(500));
    return cpu_time() - before < milliseconds(50);
}

}  // namespace

TEST_CASE("a shared download does nothing for a read that was given up, and continues for its readers",
          "[volumes][s3][sharing][stub]") {
    const auto content = random_bytes(4 * MiB);
    paced_service service(content);
    const bare_core core(service, 2 * limits::chunk_size_bytes);
    const auto f = core.make_download();
    const auto slow = f->start();
    REQUIRE(run(f->opened(soon())).has_value());
    const auto quick = f->join();
    REQUIRE(quick.has_value());
    // Further than memory reaches when the slow one holds all of it.
    const auto ahead = limits::cloud_skip_bytes_max;
    SECTION("for want of time") {
        CHECK(is_error(run(f->read(*quick, ahead, 1000, deadline::in(milliseconds(20)))), errc::timeout));
    }
    SECTION("cancelled") {
        held_read read(*f, *quick, ahead);
        REQUIRE_FALSE(read.turn(milliseconds(20)));
        read.cancel();
        REQUIRE(read.turn(seconds(30)));
        CHECK(is_error(*read.outcome, errc::cancelled));
    }
    f->leave(*quick);
    service.send_upto(content.size());
    REQUIRE(until([&] { return core.held_bytes() == 2 * limits::chunk_size_bytes; }));
    CHECK(rests());
    CHECK(read_on(*f, slow, content, 0) == content.size());
    f->leave(slow);
}

TEST_CASE("a reader at the end of the window gets more when a read that blocked it has ended",
          "[volumes][s3][sharing][stub]") {
    const auto chunk = limits::chunk_size_bytes;
    const auto content = random_bytes(4 * MiB);
    paced_service service(content);
    const bare_core core(service, 2 * chunk);
    const auto f = core.make_download();
    const auto slow = f->start();
    REQUIRE(run(f->opened(soon())).has_value());
    const auto quick = f->join();
    REQUIRE(quick.has_value());
    // The slow one waits for the first piece; when that comes its loop is busy with something else.
    held_read first(*f, slow, 0);
    REQUIRE_FALSE(first.turn(milliseconds(20)));
    service.send_upto(content.size());
    for (const std::size_t at : {std::size_t{0}, chunk}) {
        CHECK(run(f->read(*quick, at, chunk, soon()))->bytes.size() == chunk);
    }
    held_read next(*f, *quick, 2 * chunk);
    REQUIRE_FALSE(next.turn(milliseconds(20)));  // All memory is for what the slow one is about to take.
    CHECK(rests());
    REQUIRE(first.turn(seconds(30)));
    CHECK(first.outcome->value().bytes.size() == chunk);
    first.outcome.reset();
    // The slow one reads no more, as if it sent to a slow client; the quick one does not wait for it.
    REQUIRE(next.turn(seconds(30)));
    const auto got = next.outcome->value().bytes.size();
    CHECK(got > 0);
    next.outcome.reset();
    // What it has had may be gone by now.
    CHECK(read_on(*f, *quick, content, 2 * chunk + got) == content.size());
    f->leave(*quick);
    f->leave(slow);
}

TEST_CASE("readers that pause hold no more memory together than the budget, and all of them go on",
          "[volumes][s3][sharing][memory][stub]") {
    constexpr std::size_t budget = 4 * limits::chunk_size_bytes;
    constexpr std::size_t readers = 60;
    const auto content = random_bytes(1 * MiB + 100);
    paced_service service(content);
    service.send_upto(content.size());
    const bare_core core(service, budget);
    std::vector<std::shared_ptr<shared_download>> downloads;
    std::vector<unsigned> numbers;
    for (std::size_t i = 0; i < readers; ++i) {
        downloads.push_back(core.make_download());
        numbers.push_back(downloads.back()->start());
        REQUIRE(run(downloads.back()->opened(soon())).has_value());
    }
    // Each has had its first piece, and pauses.
    for (std::size_t i = 0; i < readers; ++i) {
        const auto piece = run(downloads[i]->read(numbers[i], 0, limits::chunk_size_bytes, soon()));
        REQUIRE(piece.has_value());
        REQUIRE(piece->bytes.size() == limits::chunk_size_bytes);
    }
    CHECK(until([&] { return core.held_bytes() <= budget; }));
    // They go on from where they are.
    std::size_t whole = 0;
    for (std::size_t i = 0; i < readers; ++i) {
        if (read_on(*downloads[i], numbers[i], content, limits::chunk_size_bytes) == content.size()) ++whole;
        downloads[i]->leave(numbers[i]);
        CHECK(core.held_bytes() <= budget);
    }
    CHECK(whole == readers);
    CHECK(until([&] { return core.held_bytes() == 0; }));
}

TEST_CASE("a piece of the reserve does not outlast the read that it was for", "[volumes][s3][sharing][memory][stub]") {
    const auto content = random_bytes(1 * MiB);
    paced_service service(content);
    const bare_core core(service, 0);
    const auto f = core.make_download();
    const auto reader = f->start();
    REQUIRE(run(f->opened(soon())).has_value());
    SECTION("it was cancelled before the bytes came") {
        held_read read(*f, reader, 0);
        REQUIRE_FALSE(read.turn(milliseconds(20)));
        read.cancel();
        REQUIRE(read.turn(seconds(30)));
        service.send_upto(content.size());
    }
    SECTION("it was cancelled after they had come") {
        held_read read(*f, reader, 0);
        REQUIRE_FALSE(read.turn(milliseconds(20)));
        service.send_upto(content.size());
        REQUIRE(until([&] { return core.held_bytes() > 0; }));
        read.cancel();
        REQUIRE(read.turn(seconds(30)));
    }
    CHECK(until([&] { return core.held_bytes() == 0; }));
    f->leave(reader);
}

TEST_CASE("a piece of the reserve is dropped, however it comes while its read is being given up",
          "[volumes][s3][sharing][memory][stub]") {
    const auto content = random_bytes(1 * MiB);
    // The piece comes after each of the events of which the end of the read consists.
    bool ended_before = false;
    bool was_late = false;
    for (int events = 0; !ended_before && events < 100; ++events) {
        CAPTURE(events);
        paced_service service(content);
        const bare_core core(service, 0);
        const auto f = core.make_download();
        const auto reader = f->start();
        REQUIRE(run(f->opened(soon())).has_value());
        const auto other = f->join();
        REQUIRE(other);
        held_read read(*f, reader, 0);
        REQUIRE_FALSE(read.turn(milliseconds(20)));
        read.cancel();
        for (int i = 0; i < events; ++i) read.step();
        ended_before = read.outcome.has_value();
        service.send_upto(content.size());
        if (!ended_before) REQUIRE(until([&] { return f->try_read(*other, 0, 1).has_value(); }));
        REQUIRE((ended_before || read.turn(seconds(30))));
        was_late = was_late || (!ended_before && !read.outcome->has_value());
        read.outcome.reset();
        CHECK(until([&] { return core.held_bytes() == 0; }));
        f->leave(*other);
        f->leave(reader);
    }
    CHECK(ended_before);
    CHECK(was_late);
}

TEST_CASE("a piece of the reserve is dropped after its read, also when there is memory again",
          "[volumes][s3][sharing][memory][stub]") {
    constexpr auto one = limits::chunk_size_bytes;
    const auto content = random_bytes(one);
    paced_service service(content);
    const bare_core core(service, one);
    auto others = core.take(one);
    REQUIRE(others);
    const auto f = core.make_download();
    const auto reader = f->start();
    REQUIRE(run(f->opened(soon())).has_value());
    held_read read(*f, reader, 0);
    REQUIRE_FALSE(read.turn(milliseconds(20)));
    REQUIRE(until([&] { return core.held_bytes() == 2 * one; }));
    others.reset();
    service.send_upto(content.size());
    REQUIRE(read.turn(seconds(30)));
    REQUIRE(read.outcome->has_value());
    read.outcome.reset();
    CHECK(until([&] { return core.held_bytes() == 0; }));
    f->leave(reader);
}

TEST_CASE("a download that is not expected to be joined keeps nothing for further readers",
          "[volumes][s3][sharing][memory][stub]") {
    constexpr auto one = limits::chunk_size_bytes;
    const auto content = random_bytes(4 * one);
    paced_service service(content);
    service.send_upto(2 * one);
    const bare_core core(service, 2 * content.size());
    const auto f = core.make_download();
    const auto reader = f->start();
    REQUIRE(run(f->opened(soon())).has_value());
    for (std::size_t at = 0; at < 2 * one; at += one) REQUIRE(run(f->read(reader, at, one, soon())).has_value());
    // The next one is being received.
    CHECK(until([&] { return core.held_bytes() == 3 * one; }));
    f->expect_single_reader();
    CHECK(until([&] { return core.held_bytes() == one; }));
    service.send_upto(3 * one);
    REQUIRE(run(f->read(reader, 2 * one, one, soon())).has_value());
    service.send_upto(content.size());
    REQUIRE(run(f->read(reader, 3 * one, one, soon())).has_value());
    CHECK(until([&] { return core.held_bytes() == one; }));
    f->leave(reader);
}

}  // namespace keepstore::test
