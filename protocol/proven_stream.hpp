/// The bytes of a block on their way from one place to another: read into chunks, hashed while the target writes them,
/// and proven before the last piece is given out. A target that stores only complete blocks can therefore never store
/// a wrong one.
///
///     proven_stream bytes(from, block, engine, memory);
///     while (true) {
///         KS_CO_TRY(const const_slice piece, co_await bytes.next(until));
///         if (piece.size() == 0) break;      // The end; the MD5 is the block's name.
///         KS_CO_CHECK(co_await writer.append(piece, until));
///     }
///
/// A target that computes the MD5 itself, and refuses bytes that are not the block, needs no proof before: it gets an
/// unproven_stream, which costs no digest here.
///
/// Used by one coroutine, which keeps the source.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "base/limits.hpp"
#include "base/md5_digest.hpp"
#include "digest/engine.hpp"
#include "digest/waypoints.hpp"
#include "pool/chunk_source.hpp"
#include "protocol/block_fetch.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace keepstore::protocol {

/// The bytes of one copy of a block, from its first to its last.
class block_source {
  public:
    virtual ~block_source() = default;
    /// Where it is, for messages: "http://keep1:25107".
    [[nodiscard]] virtual std::string where() const = 0;
    [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;
    /// Fills all of `into` with the next bytes, which lie within size(). errc::checksum_mismatch if the copy ends
    /// before its size.
    [[nodiscard]] virtual awaitable<result<void>> read(mutable_slice into, deadline until) = 0;
    /// After the last byte: errc::checksum_mismatch if more follow.
    [[nodiscard]] virtual awaitable<result<void>> expect_end(deadline until) = 0;
};

/// A low-speed check (curl: LOW_SPEED_LIMIT). Counts only the time of waiting for the source, not that of a slow
/// target. A rate of 0 accepts any.
class min_throughput {
  public:
    using duration = std::chrono::steady_clock::duration;
    min_throughput(std::size_t bytes_per_second, duration window) : rate_(bytes_per_second), window_(window) {}

    /// \returns true at the end of a window in which fewer bytes came than the rate demands.
    [[nodiscard]] bool is_too_slow(std::size_t bytes, duration waited);
    [[nodiscard]] std::size_t rate() const noexcept { return rate_; }

  private:
    const std::size_t rate_;
    const duration window_;
    std::uint64_t bytes_ = 0;  // Of this window.
    duration waited_{};
};

/// A block that a server sends. errc::timeout if it sends slower than `throughput` demands.
class incoming_source final : public block_source {
  public:
    incoming_source(incoming_block block, min_throughput throughput)
        : block_(std::move(block)), throughput_(throughput) {}

    [[nodiscard]] std::string where() const override { return net::to_string(block_.response.from()); }
    [[nodiscard]] std::uint64_t size() const noexcept override { return block_.size; }
    [[nodiscard]] awaitable<result<void>> read(mutable_slice into, deadline until) override;
    [[nodiscard]] awaitable<result<void>> expect_end(deadline until) override;

  private:
    incoming_block block_;
    min_throughput throughput_;
    std::uint64_t received_ = 0;
};

/// The bytes of a block on their way into a target. After the last piece the source has no more.
class block_stream {
  public:
    virtual ~block_stream() = default;
    [[nodiscard]] virtual std::uint64_t size() const noexcept = 0;
    /// Returns the next piece; an empty one at the end. After an error it must not be called again.
    [[nodiscard]] virtual awaitable<result<const_slice>> next(deadline until) = 0;
    /// Whether the error of next() is one of the source; else memory or time ran out here.
    [[nodiscard]] virtual bool source_failed() const noexcept = 0;
    /// After the end: the waypoints to be stored with the block, encoded; nothing if there are none, or they are not
    /// known.
    [[nodiscard]] virtual std::optional<std::vector<std::byte>> waypoints() const = 0;
};

/// The bytes of the source as they are, and no more or fewer of them than it announced.
class unproven_stream final : public block_stream {
  public:
    /// Both must outlive it.
    unproven_stream(block_source& from, pool::chunk_source& memory) : from_(from), memory_(memory) {}

    [[nodiscard]] std::uint64_t size() const noexcept override { return from_.size(); }
    /// Before the last piece it waits until the source has ended.
    [[nodiscard]] awaitable<result<const_slice>> next(deadline until) override;
    [[nodiscard]] bool source_failed() const noexcept override { return source_failed_; }
    [[nodiscard]] std::optional<std::vector<std::byte>> waypoints() const override { return std::nullopt; }

    /// Whether the last piece was given out; an empty block has none, and is over after the first call of next().
    [[nodiscard]] bool over() const noexcept { return over_; }

  private:
    block_source& from_;
    pool::chunk_source& memory_;
    std::uint64_t offset_ = 0;
    bool over_ = false;
    bool source_failed_ = false;
};

/// The bytes of the source, of which the last piece is proof that all of them are right.
class proven_stream final : public block_stream {
  public:
    struct options {
        /// Bytes that may wait to be hashed.
        std::size_t queue_bytes = limits::request_queue_bytes_max;
        /// See digest::md5_stream::options.
        bool batching = false;
    };

    /// All must outlive it.
    proven_stream(block_source& from, const md5_digest& name, digest::engine& engine, pool::chunk_source& memory,
                  options given);

    [[nodiscard]] std::uint64_t size() const noexcept override { return from_.size(); }

    /// Before the last piece it waits until the source has ended and the MD5 is the block's name: else
    /// errc::checksum_mismatch.
    [[nodiscard]] awaitable<result<const_slice>> next(deadline until) override;

    [[nodiscard]] bool source_failed() const noexcept override { return mismatch_ || bytes_.source_failed(); }

    [[nodiscard]] std::optional<std::vector<std::byte>> waypoints() const override;

  private:
    [[nodiscard]] awaitable<result<void>> prove();

    block_source& from_;
    const md5_digest name_;
    unproven_stream bytes_;
    digest::md5_stream hash_;
    bool proven_ = false;
    bool mismatch_ = false;
};

}  // namespace keepstore::protocol
