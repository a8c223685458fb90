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
    std::vector<std::size_t> expected{chunk, chunk};
    // Slow, and then a chunk in small pieces without a wait.
    const auto small = limits::slow_stream_piece_bytes;
    expected.insert(expected.end(), slow - 1 + chunk / small, small);
    std::size_t left = content.size();
    for (const std::size_t size : expected) left -= size;
    for (; left > chunk; left -= chunk) expected.push_back(chunk);
    expected.push_back(left);

    // A busy machine may make the client slow once more.
    std::vector<std::size_t> pieces;
    for (int attempt = 0; pieces != expected && attempt < 20; ++attempt) {
        slow_sink sink({1, 1 + slow});
        REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
        REQUIRE(sink.text == content);
        pieces = sink.pieces;
        f.memory[0]->set_attribute(name_of(content), key, std::nullopt);
    }
    CHECK(pieces == expected);
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

TEST_CASE("a piece of a stream waits for memory, and is read again only if that was lost meanwhile",
          "[store][waypoints][memory]") {
    const auto content = make_content(6 * chunk + 5, 28);
    waypoint_fixture f(1, chunk);
    f.store_everywhere(content);
    fault_volume& volume = *f.faulty[0];
    volume.plan.streams = true;
    f.memory[0]->set_attribute(name_of(content), key, std::nullopt);
    slow_sink sink({1, 3});
    const bool meanwhile = GENERATE(false, true);
    bool waited = false;
    std::optional<mutable_slice> held;
    std::jthread other_request;
    const auto limit = deadline::in(std::chrono::seconds(10));
    // What was sent before may still be being hashed.
    const auto take_all = [&] {
        while (!held && !limit.passed()) held = f.pool.try_acquire();
    };
    const auto give_when_waited_for = [&] {
        other_request = std::jthread([&] {
            while (f.pool.snapshot().waiters == 0 && !limit.passed()) std::this_thread::yield();
            // Others may have all chunks until they get the stream's memory.
            waited = f.pool.snapshot().waiters == 1 && volume.stream_memory.snapshot().in_use_bytes == 0;
            held.reset();
        });
    };
    sink.at_wait = [&](int number) {
        if (number != 4) return;
        take_all();
        if (meanwhile) {
            held.reset();
            volume.plan.stalls_reads = true;
        } else {
            give_when_waited_for();
        }
    };
    volume.while_stalled = [&] {
        take_all();
        give_when_waited_for();
        return false;
    };
    REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
    other_request.join();
    CHECK(waited);
    CHECK(sink.text == content);
    CHECK(static_cast<std::size_t>(volume.reads) == sink.pieces.size() + (meanwhile ? 1 : 0));
}

TEST_CASE("a stream without pieces is read into chunks, one that ends early is a bad copy", "[store][waypoints]") {
    const auto content = make_content(3 * chunk + 5, 29);
    waypoint_fixture f(1);
    f.store_everywhere(content);
    auto& plan = f.faulty[0]->plan;
    plan.streams = true;
    f.memory[0]->set_attribute(name_of(content), key, std::nullopt);
    slow_sink sink({0, 0});
    SECTION("without pieces") {
        plan.pieces = false;
        REQUIRE(f.get(name_of(content), content.size(), sink).has_value());
        CHECK(sink.text == content);
    }
    SECTION("ends early") {
        plan.empty_piece_at = 2 * chunk;
        CHECK_FALSE(f.get(name_of(content), content.size(), sink).has_value());
        CHECK(content.starts_with(sink.text));
        CHECK(sink.text.size() < content.size());
    }
}
