#include "protocol/proven_stream.hpp"

#include "digest/md5.hpp"
#include "pool/buffer_pool.hpp"
#include "tests/support/run.hpp"

#include <catch2/catch.hpp>

#include <algorithm>

using namespace keepstore;
using protocol::proven_stream;
using protocol::unproven_stream;

namespace {

class memory_source final : public protocol::block_source {
  public:
    explicit memory_source(std::vector<std::byte> content) : content_(std::move(content)), size_(content_.size()) {}
    memory_source(std::vector<std::byte> content, std::uint64_t size) : content_(std::move(content)), size_(size) {}

    [[nodiscard]] std::string where() const override { return "memory"; }
    [[nodiscard]] std::uint64_t size() const noexcept override { return size_; }
    [[nodiscard]] awaitable<result<void>> read(mutable_slice into, deadline) override {
        if (offset_ + into.size() > content_.size()) co_return fail(errc::checksum_mismatch, "memory: ends early");
        std::copy_n(content_.begin() + static_cast<std::ptrdiff_t>(offset_), into.size(), into.bytes.begin());
        offset_ += into.size();
        co_return success();
    }
    [[nodiscard]] awaitable<result<void>> expect_end(deadline) override {
        co_return offset_ == content_.size() ? success() : fail(errc::checksum_mismatch, "memory: longer");
    }

  private:
    const std::vector<std::byte> content_;
    const std::uint64_t size_;
    std::size_t offset_ = 0;
};

std::vector<std::byte> content_of(std::size_t size) {
    std::vector<std::byte> out(size);
    for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<std::byte>(i * 131 + i / 251);
    return out;
}

struct received {
    std::vector<std::byte> bytes;
    std::optional<error> failure;
    bool of_source = false;
    std::optional<std::vector<std::byte>> waypoints;
};

awaitable<received> receive_all(protocol::block_stream& from) {
    received out;
    while (true) {
        auto piece = co_await from.next(deadline::in(std::chrono::seconds(30)));
        if (!piece) {
            out.failure = std::move(piece.error());
            out.of_source = from.source_failed();
            break;
        }
        if (piece->size() == 0) break;
        out.bytes.insert(out.bytes.end(), piece->bytes.begin(), piece->bytes.end());
    }
    out.waypoints = from.waypoints();
    co_return out;
}

received receive(memory_source from, const md5_digest& name) {
    digest::engine engine(1);
    // One chunk: no more is ever needed at a time.
    pool::buffer_pool memory(limits::chunk_size_bytes);
    proven_stream bytes(from, name, engine, memory, {.queue_bytes = limits::chunk_size_bytes});
    return test::run(receive_all(bytes));
}

received receive_unproven(memory_source from) {
    pool::buffer_pool memory(limits::chunk_size_bytes);
    unproven_stream bytes(from, memory);
    return test::run(receive_all(bytes));
}

}  // namespace

TEST_CASE("a proven stream gives all bytes of a block, and its waypoints", "[protocol][proven]") {
    constexpr std::size_t chunk = limits::chunk_size_bytes;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, chunk - 1, chunk, chunk + 1, 5 * chunk + 77}) {
        INFO(size);
        const auto content = content_of(size);
        const auto name = digest::md5_of(content);
        const auto got = receive(memory_source(content), name);
        CHECK_FALSE(got.failure);
        CHECK(got.bytes == content);
        REQUIRE(got.waypoints.has_value() == digest::has_waypoints(size));
        if (got.waypoints) CHECK(digest::waypoints::decode(*got.waypoints, size, name));
    }
}

TEST_CASE("the last piece of a wrong block is never given out", "[protocol][proven]") {
    constexpr std::size_t chunk = limits::chunk_size_bytes;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, chunk, 3 * chunk + 5}) {
        INFO(size);
        const auto content = content_of(size);
        const auto before_last = size == 0 ? 0 : (size - 1) / chunk * chunk;
        const auto check = [&](memory_source from, const md5_digest& name) {
            const auto got = receive(std::move(from), name);
            REQUIRE(got.failure);
            CHECK(*got.failure == errc::checksum_mismatch);
            CHECK(got.of_source);
            CHECK(got.bytes.size() <= before_last);
            CHECK_FALSE(got.waypoints);
        };
        check(memory_source(content), md5_digest{});
        auto longer = content;
        longer.push_back(std::byte{1});
        check(memory_source(longer, size), digest::md5_of(content));
        if (size == 0) continue;
        auto cut = content;
        cut.pop_back();
        check(memory_source(cut, size), digest::md5_of(content));
        auto flipped = content;
        flipped[size / 2] ^= std::byte{1};
        check(memory_source(flipped), digest::md5_of(content));
    }
}

TEST_CASE("an unproven stream gives all bytes as they are, and knows no waypoints", "[protocol][proven]") {
    constexpr std::size_t chunk = limits::chunk_size_bytes;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, chunk - 1, chunk, chunk + 1, 5 * chunk + 77}) {
        INFO(size);
        const auto got = receive_unproven(memory_source(content_of(size)));
        CHECK_FALSE(got.failure);
        CHECK(got.bytes == content_of(size));
        CHECK_FALSE(got.waypoints);
    }
}

TEST_CASE("an unproven stream never gives out the last piece of a copy that is longer or shorter than announced",
          "[protocol][proven]") {
    constexpr std::size_t chunk = limits::chunk_size_bytes;
    for (const std::size_t size : {std::size_t{0}, std::size_t{1}, chunk, 3 * chunk + 5}) {
        INFO(size);
        const auto before_last = size == 0 ? 0 : (size - 1) / chunk * chunk;
        for (const std::size_t real : {size - 1, size + 1}) {
            if (size == 0 && real != 1) continue;
            const auto got = receive_unproven(memory_source(content_of(real), size));
            REQUIRE(got.failure);
            CHECK(*got.failure == errc::checksum_mismatch);
            CHECK(got.of_source);
            CHECK(got.bytes.size() <= before_last);
        }
    }
}

TEST_CASE("memory that does not come is no failure of the source", "[protocol][proven]") {
    pool::buffer_pool memory(limits::chunk_size_bytes);
    const auto taken = memory.try_acquire();
    REQUIRE(taken);
    const auto wait = [](protocol::block_stream& bytes) -> awaitable<result<const_slice>> {
        co_return co_await bytes.next(deadline::in(std::chrono::milliseconds(10)));
    };
    memory_source from(content_of(100));
    unproven_stream unproven(from, memory);
    const auto got = test::run(wait(unproven));
    REQUIRE_FALSE(got);
    CHECK(got.error() == errc::timeout);
    CHECK_FALSE(unproven.source_failed());
    digest::engine engine(1);
    proven_stream proven(from, md5_digest{}, engine, memory, {.queue_bytes = limits::chunk_size_bytes});
    CHECK_FALSE(test::run(wait(proven)));
    CHECK_FALSE(proven.source_failed());
}

TEST_CASE("a source is too slow at the end of a window in which too few bytes came", "[protocol][proven]") {
    using namespace std::chrono_literals;
    protocol::min_throughput rate(1000, 10s);
    CHECK_FALSE(rate.is_too_slow(1, 9s));  // Within a window it may pause.
    CHECK_FALSE(rate.is_too_slow(9999, 1s));
    // Each window counts by itself: what came before is no excuse.
    CHECK_FALSE(rate.is_too_slow(1'000'000, 10s));
    CHECK(rate.is_too_slow(9999, 10s));
    CHECK_FALSE(rate.is_too_slow(10'000, 10s));
    CHECK(rate.is_too_slow(10'001, 11s));

    protocol::min_throughput any(0, 10s);
    CHECK_FALSE(any.is_too_slow(0, 100s));
}
