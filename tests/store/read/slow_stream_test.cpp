/// Slow clients of a copy that can only be read as a stream: what they get at a time.
#include "store/limits.hpp"
#include "tests/store/waypoint_fixture.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

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

    awaitable<result<void>> begin(std::uint64_t, byte_range) override { co_return result<void>{}; }
    awaitable<result<void>> wait_ready() override {
        if (waits_ >= slow_.first && waits_ < slow_.second) {
            asio::steady_timer timer(co_await asio::this_coro::executor, 2 * limits::slow_reader_wait);
            static_cast<void>(co_await timer.async_wait(use_tuple));
        }
        ++waits_;
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
