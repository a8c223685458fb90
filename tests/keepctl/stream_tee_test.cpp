#include "keepctl/replicate/stream_tee.hpp"

#include "base/when_all.hpp"
#include "keepctl/cluster/limits.hpp"
#include "tests/support/run.hpp"

#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>

#include <array>
#include <string>

using namespace keepstore;
using namespace keepstore::keepctl;

namespace {

constexpr std::size_t queued_max = limits::keepctl_queue_bytes / limits::chunk_size_bytes;

deadline soon_enough() {
    return deadline::in(std::chrono::seconds(30));
}

/// A block of pieces "0", "1", ..., each of which is a string; fails in place of one of them, if that is so wanted.
class numbered_pieces final : public protocol::block_stream {
  public:
    explicit numbered_pieces(std::size_t pieces, std::optional<std::size_t> fails_at = {})
        : pieces_(pieces), fails_at_(fails_at) {}

    [[nodiscard]] std::uint64_t size() const noexcept override { return pieces_; }
    [[nodiscard]] awaitable<result<const_slice>> next(deadline) override {
        co_await asio::post(co_await asio::this_coro::executor, use_tuple);
        failed_ = fails_at_ == taken;
        if (failed_) co_return fail(errc::checksum_mismatch, "wrong bytes");
        if (taken == pieces_) co_return const_slice{};
        const std::string text = std::to_string(taken++);
        co_return copy_to_heap_slice(std::as_bytes(std::span(text)));
    }
    [[nodiscard]] bool source_failed() const noexcept override { return failed_; }
    [[nodiscard]] std::optional<std::vector<std::byte>> waypoints() const override {
        return std::vector(3, std::byte{7});
    }

    std::size_t taken = 0;

  private:
    const std::size_t pieces_;
    const std::optional<std::size_t> fails_at_;
    bool failed_ = false;
};

struct received {
    std::string text;
    std::optional<errc> failure;
    bool over = false;
};

/// Takes pieces until the end, or `most` of them, and closes the branch.
awaitable<void> receive(stream_tee::branch& from, received& into, std::size_t most = 1000) {
    for (std::size_t i = 0; i < most; ++i) {
        const auto piece = co_await from.next(soon_enough());
        if (!piece) {
            into.failure = piece.error().code;
            break;
        }
        into.over = piece->size() == 0;
        if (into.over) break;
        into.text.append(reinterpret_cast<const char*>(piece->bytes.data()), piece->size());
    }
    from.close();
}

/// Gives all others their turn, many times.
awaitable<void> let_others_run() {
    for (int i = 0; i < 1000; ++i) co_await asio::post(co_await asio::this_coro::executor, use_tuple);
}

template <class... Members>
void run_all(Members... members) {
    std::vector<awaitable<void>> all;
    (all.push_back(std::move(members)), ...);
    CHECK_FALSE(test::run(when_all(std::move(all))));
}

}  // namespace

TEST_CASE("a tee gives every piece to every branch, and takes it once", "[keepctl][tee]") {
    for (const std::size_t pieces : {std::size_t{0}, std::size_t{1}, std::size_t{10}}) {
        INFO(pieces);
        numbered_pieces from(pieces);
        stream_tee tee(from, 3);
        std::array<received, 3> got;
        run_all(tee.run(soon_enough()), receive(tee.at(0), got[0]), receive(tee.at(1), got[1]),
                receive(tee.at(2), got[2]));
        for (std::size_t i = 0; i < got.size(); ++i) {
            CHECK(got[i].over);
            CHECK(got[i].text == std::string("0123456789").substr(0, pieces));
            CHECK(tee.at(i).size() == pieces);
            CHECK_FALSE(tee.at(i).source_failed());
            CHECK(tee.at(i).waypoints() == from.waypoints());
        }
        CHECK(from.taken == pieces);
    }
}

TEST_CASE("a branch that is closed holds up no other", "[keepctl][tee]") {
    numbered_pieces from(10);
    stream_tee tee(from, 3);
    std::array<received, 3> got;
    run_all(tee.run(soon_enough()), receive(tee.at(0), got[0], 1), receive(tee.at(1), got[1]),
            receive(tee.at(2), got[2], 0));
    CHECK(got[0].text == "0");
    CHECK(got[1].text == "0123456789");
    CHECK_FALSE(tee.at(0).source_failed());

    // With the last one it ends.
    numbered_pieces unwanted(1'000'000);
    stream_tee other(unwanted, 2);
    run_all(other.run(soon_enough()), receive(other.at(0), got[0], 1), receive(other.at(1), got[1], 3));
    CHECK(unwanted.taken < 100);
}

TEST_CASE("the slowest branch sets the pace", "[keepctl][tee]") {
    numbered_pieces from(10);
    stream_tee tee(from, 2);
    std::array<received, 2> got;
    std::size_t ahead = 0;
    const auto late = [](auto& of, auto& branch, auto& into, auto& read_ahead) -> awaitable<void> {
        co_await let_others_run();
        read_ahead = of.taken;
        co_await receive(branch, into);
    };
    run_all(tee.run(soon_enough()), receive(tee.at(0), got[0]), late(from, tee.at(1), got[1], ahead));
    // What waits in its queue, and one piece on the way there.
    CHECK(ahead == queued_max + 1);
    CHECK(got[0].text == "0123456789");
    CHECK(got[1].text == "0123456789");
}

TEST_CASE("every branch gets the error of the source, after the pieces before it", "[keepctl][tee]") {
    numbered_pieces from(10, 2);
    stream_tee tee(from, 2);
    std::array<received, 2> got;
    run_all(tee.run(soon_enough()), receive(tee.at(0), got[0]), receive(tee.at(1), got[1]));
    for (std::size_t i = 0; i < got.size(); ++i) {
        CHECK(got[i].text == "01");
        CHECK(got[i].failure == errc::checksum_mismatch);
        CHECK(tee.at(i).source_failed());
    }
}

TEST_CASE("a branch that does not take a piece in time lacks all later ones", "[keepctl][tee]") {
    numbered_pieces from(20);
    stream_tee tee(from, 2);
    std::array<received, 2> got;
    const auto stuck = [](auto& branch, auto& into) -> awaitable<void> {
        asio::steady_timer timer(co_await asio::this_coro::executor, std::chrono::milliseconds(100));
        co_await timer.async_wait(use_tuple);
        co_await receive(branch, into);
    };
    run_all(tee.run(deadline::in(std::chrono::milliseconds(20))), receive(tee.at(0), got[0]), stuck(tee.at(1), got[1]));
    CHECK(got[1].text == "0123");
    CHECK(got[1].failure == errc::timeout);
    CHECK_FALSE(tee.at(1).source_failed());
}

TEST_CASE("a branch whose target ended before the source failed says nothing of the source", "[keepctl][tee]") {
    numbered_pieces from(10, 2);
    stream_tee tee(from, 2);
    std::array<received, 2> got;
    run_all(tee.run(soon_enough()), receive(tee.at(0), got[0], 1), receive(tee.at(1), got[1]));
    CHECK(tee.at(1).source_failed());
    CHECK_FALSE(tee.at(0).source_failed());
}
