/// The digest engine: any number of MD5 streams submit pieces, worker threads hash them. A worker
/// takes all pieces that are ready (at most as many as it has SIMD lanes) and hashes them in
/// passes, run length by the shortest piece with a cap; a stream that is alone is hashed by OpenSSL.
/// There is no timer. A reader that reads ahead, and does not wait for the digest yet, makes its
/// stream deferrable: it is hashed when half of the lanes would have work, when a worker runs anyway,
/// or when a coroutine waits for it, whichever comes first.
///
/// One worker fills its lanes before another is woken: sixteen lanes cost a core hardly more than
/// two, so that lanes, not threads, are the cheap way to be fast.
///
/// The engine is safe to use from any thread. A stream is used by one coroutine at a time.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "digest/md5.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace keepstore::digest {

struct hash_job;
struct md5_kernel;

/// A run of whole blocks to be hashed from a known state: one segment of a block with waypoints.
struct md5_segment {
    md5_state state;     ///< In: before the bytes; out: after them.
    const_slice blocks;  ///< A multiple of 64 bytes.
};

class engine {
  public:
    /// `threads` workers; one for each core is right. The kernel is default_md5_kernel().
    explicit engine(unsigned threads);
    engine(unsigned threads, const md5_kernel& kernel);
    /// Streams and calls have ended before; the io_contexts of their coroutines outlive the engine: a
    /// worker may still be inside the post() that resumed one.
    ~engine();
    engine(const engine&) = delete;
    engine& operator=(const engine&) = delete;

    /// Hashes one segment and returns the state after it. Two or more segments known at the same time:
    /// compress_all. \returns errc::cancelled; a share in the bytes may then be held until the current
    /// pass (some 100 microseconds) is over.
    [[nodiscard]] awaitable<result<md5_state>> compress(md5_state from, const_slice whole_blocks);

    /// Hashes all segments in parallel lanes, and suspends once. Awaited in place; the caller keeps
    /// `segments`. On error (errc::cancelled) the states are unchanged.
    [[nodiscard]] awaitable<result<void>> compress_all(std::span<md5_segment> segments);

    struct stats {
        std::uint64_t bytes_total;         ///< Hashed, in lanes or not.
        std::uint64_t bytes_single_total;  ///< Of these, hashed as a lone stream by OpenSSL.
        std::uint64_t passes_total;        ///< SIMD passes.
        std::uint64_t lanes_used_total;    ///< Occupied lanes, all passes; / passes = average occupancy.
        std::uint64_t wakeups_total;       ///< Times that a sleeping worker was woken.
        std::size_t workers_asleep;        ///< Now, of all workers.
    };
    [[nodiscard]] stats snapshot() const;

    /// Hashes everything queued now without waiting for more lanes: its buffers are needed elsewhere.
    void flush();

    /// Instruction set in use and its number of lanes, for the log and metrics.
    [[nodiscard]] std::string_view target() const noexcept;
    [[nodiscard]] std::size_t lanes() const noexcept;

    struct core;
    [[nodiscard]] core& get_core() noexcept { return *core_; }

  private:
    std::unique_ptr<core> core_;
};

/// One MD5 over a sequence of pieces.
class md5_stream {
  public:
    struct options {
        /// update() suspends while more than this is queued.
        std::size_t queue_bytes = 512 * 1024;
        /// Keeps the chaining state at each multiple of this many bytes (a multiple of 64); 0: keeps
        /// none.
        std::size_t waypoint_stride = 0;
        /// Begins in the middle of a block: at `offset` (a multiple of 64), where the state is `from`.
        md5_state from = {};
        std::uint64_t offset = 0;
        /// May wait for more streams to be hashed with, until the first flush(), drain() or finish(), or an
        /// update() that suspends.
        bool deferrable = false;
        /// Returns to that whenever at most half of queue_bytes is queued. For streams of which only the
        /// final digest is awaited. Ignored while no other such stream exists: there is nothing to batch
        /// with.
        bool batching = false;
    };

    md5_stream(engine&, options);
    /// Drops pieces still queued; one being hashed keeps its bytes alive until its pass is over.
    ~md5_stream();
    md5_stream(md5_stream&&) noexcept;
    md5_stream& operator=(md5_stream&&) noexcept;

    /// Adds a piece. Takes a share in its bytes until they are hashed; they must not change until
    /// then. Small pieces on an idle stream are hashed at once, on the calling thread.
    /// errc::cancelled: the piece has been added nevertheless.
    [[nodiscard]] awaitable<result<void>> update(const_slice piece);

    void set_queue_bytes(std::size_t) noexcept;

    /// Hashes what is queued without waiting for more lanes. Returns at once.
    void flush();

    /// Hashes it at once, and keeps streams that are deferred from being hashed together with it: a lane is slower than
    /// a lone stream. Before the first piece.
    void keep_alone() noexcept;

    /// Whether pieces wait to be hashed, or are being hashed.
    [[nodiscard]] bool busy() const noexcept;

    /// Waits until everything added is hashed. errc::cancelled; may be called again then.
    [[nodiscard]] awaitable<result<void>> drain();

    /// Waits until everything added is hashed, and ends the stream.
    [[nodiscard]] awaitable<result<md5_digest>> finish();

    /// Bytes added so far, those before options::offset included.
    [[nodiscard]] std::uint64_t length() const noexcept;

    /// The states at each multiple of the stride reached so far, past the offset. Only after drain() or finish().
    [[nodiscard]] std::vector<md5_state> waypoints() const;

    /// The chaining state now; length() must be a multiple of 64. Only after drain().
    [[nodiscard]] md5_state state() const;

  private:
    std::size_t queue_bytes_;
    std::uint64_t length_ = 0;
    std::shared_ptr<hash_job> job_;
};

}  // namespace keepstore::digest
