/// Slow clients of a copy that can only be read as a stream: what they get at a time.
#include "store/limits.hpp"
#include "tests/store/waypoint_fixture.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

using namespace keepstore;
using namespace keepstore::test;

namespace {

// Is ready at once, apart from some waits.
class slow_sink final : public byte_sink {
  public:
    explicit slow_sink(std::pair<int, int> slow) : slow_(slow) {}
    std::string text;
    std::vector<std::size_t> pieces;
    std::function<void(int)> at_wait = [](int) {};  ///< Gets the number of the wait.

    awaitable<result<void>> begin(std::uint64_t, byte_range) override { co_return result<void>{}; }
    awaitable<result<void>> wait_ready() override {
        if (waits_ >= slow_.first && waits_ < slow_.second) {
            asio::steady_timer timer(co_await asio::this_coro::executor, 2 * limits::slow_reader_wait);
            static_cast<void>(co_await timer.async_wait(use_tuple));
        }
        at_wait(waits_++);
        co_return result<void>{};
    }
    awaitable<result<std::size_t>> write_some(const_slice bytes, when_full) override {
        KS_CO_CHECK(co_await write(bytes));
        co_return bytes.size();
    }
    awaitable<result<void>> write(const_slice bytes) override {
        text.append(reinterpret_cast<const char*>(bytes.bytes.data()), bytes.size());
        pieces.push_back(bytes.size());
        co_return result<void>{};
    }

  private:
    const std::pair<int, int> slow_;  // The first of these waits, and the one after the last.
    int waits_ = 0;
};

}  // namespace

TEST_CASE("a slow client of a stream gets small pieces until it keeps up again", "[store][waypoints]") {
    const auto content = make_content(8 * chunk + 5, 26);
    waypoint_fixture f(1);
    f.store_everywhere(content);
    f.faulty[0]->plan.streams = true;
    f.memory[0]->set_attribute(name_of(content), key, std::nullopt);
    constexpr int slow = 4;
    slow_sink sink({1, 1 + slow});
    REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
    CHECK(sink.text == content);

    std::vector<std::size_t> expected{chunk, chunk};
    // Slow, and then a chunk in small pieces without a wait.
    const auto small = limits::slow_stream_piece_bytes;
    expected.insert(expected.end(), slow - 1 + chunk / small, small);
    std::size_t left = content.size();
    for (const std::size_t size : expected) left -= size;
    for (; left > chunk; left -= chunk) expected.push_back(chunk);
    expected.push_back(left);
    CHECK(sink.pieces == expected);
}

TEST_CASE("a client of a stream holds no memory while its bytes are on their way", "[store][waypoints][memory]") {
    const auto content = make_content(8 * chunk + 5, 27);
    waypoint_fixture f(1);
    f.store_everywhere(content);
    fault_volume& volume = *f.faulty[0];
    volume.plan.streams = true;
    f.memory[0]->set_attribute(name_of(content), key, std::nullopt);
    slow_sink sink({1, 3});
    sink.at_wait = [&](int number) { volume.plan.stalls_reads = number == 5; };
    bool none_held = false;
    const auto limit = deadline::in(std::chrono::seconds(10));
    // What was sent before may still be being hashed.
    volume.while_stalled = [&] {
        none_held = f.pool.snapshot().in_use_bytes == 0;
        return !none_held && !limit.passed();
    };
    REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
    CHECK(sink.text == content);
    CHECK(volume.waits == 1);
    CHECK(none_held);
}

TEST_CASE("a piece of a stream that finds no memory waits for it and is read again", "[store][waypoints][memory]") {
    const auto content = make_content(6 * chunk + 5, 28);
    waypoint_fixture f(1, chunk);
    f.store_everywhere(content);
    f.faulty[0]->plan.streams = true;
    f.memory[0]->set_attribute(name_of(content), key, std::nullopt);
    slow_sink sink({1, 3});
    bool waited = false;
    std::jthread other_request;
    sink.at_wait = [&](int number) {
        if (number != 4) return;
        // The only chunk, until the read waits for it. What was sent before may still be being hashed.
        std::optional<mutable_slice> held;
        const auto limit = deadline::in(std::chrono::seconds(10));
        while (!held && !limit.passed()) held = f.pool.try_acquire();
        other_request = std::jthread([&, limit, held = std::move(held)]() mutable {
            while (f.pool.snapshot().waiters == 0 && !limit.passed()) std::this_thread::yield();
            waited = f.pool.snapshot().waiters == 1;
            held.reset();
        });
    };
    REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
    other_request.join();
    CHECK(waited);
    CHECK(sink.text == content);
}
