#include "protocol/proven_stream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace keepstore::protocol {

bool min_throughput::is_too_slow(std::size_t bytes, duration waited) {
    bytes_ += bytes;
    waited_ += waited;
    if (waited_ < window_) return false;
    const double expected = static_cast<double>(rate_) * std::chrono::duration<double>(waited_).count();
    const bool slow = static_cast<double>(bytes_) < expected;
    bytes_ = 0;
    waited_ = {};
    return slow;
}

awaitable<result<void>> incoming_source::read(mutable_slice into, deadline) {
    for (std::size_t have = 0; have < into.size();) {
        const auto before = std::chrono::steady_clock::now();
        auto count = co_await block_.response.read_some(into.bytes.subspan(have));
        if (!count) co_return std::unexpected(reading_error(std::move(count.error())));
        if (*count == 0) co_return fail(errc::unavailable, where() + ": the block ends before its size");
        have += *count;
        received_ += *count;
        const bool slow = throughput_.is_too_slow(*count, std::chrono::steady_clock::now() - before);
        if (slow && received_ < block_.size)
            co_return fail(errc::timeout, fmt::format("{}: sends less than {} KiB/s; is it overloaded, or the network?",
                                                      where(), throughput_.rate() / KiB));
    }
    co_return success();
}

awaitable<result<void>> incoming_source::expect_end(deadline) {
    co_return co_await protocol::expect_end(block_);
}

awaitable<result<const_slice>> unproven_stream::next(deadline until) {
    if (over_) co_return const_slice{};
    const auto failed = [this](error why) {
        source_failed_ = true;
        return std::unexpected(std::move(why));
    };
    const_slice piece;
    if (offset_ < from_.size()) {
        KS_CO_TRY(const mutable_slice into, co_await memory_.acquire(until));
        const auto count = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), from_.size() - offset_));
        if (auto read = co_await from_.read(into.subslice(0, count), until); !read)
            co_return failed(std::move(read.error()));
        piece = into.freeze(count);
        offset_ += count;
    }
    if (offset_ == from_.size()) {
        if (auto end = co_await from_.expect_end(until); !end) co_return failed(std::move(end.error()));
        over_ = true;
    }
    co_return piece;
}

proven_stream::proven_stream(block_source& from, const md5_digest& name, digest::engine& engine,
                             pool::chunk_source& memory, options given)
    : from_(from),
      name_(name),
      bytes_(from, memory),
      hash_(engine, {.queue_bytes = given.queue_bytes,
                     .waypoint_stride = digest::waypoints::stride_bytes_min,
                     .batching = given.batching}) {}

awaitable<result<const_slice>> proven_stream::next(deadline until) {
    KS_CO_TRY(const_slice piece, co_await bytes_.next(until));
    KS_CO_CHECK(co_await hash_.update(piece));
    if (bytes_.over() && !proven_) KS_CO_CHECK(co_await prove());
    co_return piece;
}

awaitable<result<void>> proven_stream::prove() {
    KS_CO_TRY(const md5_digest digest, co_await hash_.finish());
    if (digest != name_) {
        mismatch_ = true;
        co_return fail(errc::checksum_mismatch, from_.where() + ": data does not match the block's MD5");
    }
    proven_ = true;
    co_return success();
}

std::optional<std::vector<std::byte>> proven_stream::waypoints() const {
    if (!proven_ || !digest::has_waypoints(from_.size())) return std::nullopt;
    const auto points = digest::waypoints::from_capture(static_cast<std::size_t>(from_.size()),
                                                        digest::waypoints::stride_bytes_min, hash_.waypoints());
    if (!points) return std::nullopt;
    return points->encode(name_);
}

}  // namespace keepstore::protocol
