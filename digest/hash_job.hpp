/// The unit that the engine schedules (private to this module): one chain of MD5 blocks with its queued
/// pieces. A stream is a job for its whole life, a segment is a job with one piece.
#pragma once

#include "base/async.hpp"
#include "base/buffer.hpp"
#include "digest/engine.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace keepstore::digest {

/// First in, first out, without an allocation before the first piece: most streams of small blocks
/// never queue one.
class piece_queue {
  public:
    [[nodiscard]] bool empty() const noexcept { return first_ == pieces_.size(); }
    [[nodiscard]] const_slice& front() { return pieces_[first_]; }
    void push(const_slice piece) { pieces_.push_back(std::move(piece)); }
    const_slice pop();
    /// Takes all pieces out, or all but the front one.
    [[nodiscard]] std::vector<const_slice> take(bool keep_front);

  private:
    std::vector<const_slice> pieces_;
    std::size_t first_ = 0;
};

struct segment_batch;

struct hash_job {
    // Constant after construction.
    engine::core* owner = nullptr;
    segment_batch* batch = nullptr;  // The batch that this job is a part of, and that keeps it alive; streams: none.
    std::size_t waypoint_stride = 0;

    // Touched by the owning coroutine while not `busy`, otherwise by the worker that has the job in
    // work.
    md5_state state;
    std::uint64_t hashed = 0;                          // Bytes, those in `partial` included.
    std::array<std::byte, md5_block_bytes> partial{};  // The last hashed % 64 bytes.
    std::vector<md5_state> waypoints;

    // Guarded by the engine's mutex.
    piece_queue pieces;  // The front one is the one in work.
    std::size_t queued_bytes = 0;
    bool in_work = false;
    bool deferrable = false;  // May wait for more lanes; until a coroutine waits for it, or flush().
    bool alone = false;       // Constant: no deferred job is hashed together with it.
    bool batching = false;    // Constant: deferrable again whenever at most batching_bytes are queued.
    std::size_t batching_bytes = 0;
    bool urgent = false;                   // A coroutine waits for what is queued; until nothing is.
    std::uint64_t flushes_before = 0;      // The engine's count of flush_all() when the first piece was queued.
    std::optional<one_shot<void>> waiter;  // To be set when queued_bytes <= wake_at.
    std::size_t wake_at = 0;

    // Written under the engine's mutex. `busy`: in the ready queue or in work; the owning coroutine
    // alone sets it, so that it may read false without the mutex.
    std::atomic<bool> busy = false;
    std::atomic<bool> abandoned = false;

    /// Completes a partial block from the front of `bytes`. \returns the bytes used; 0 if there is
    /// no partial block.
    std::size_t top_up(std::span<const std::byte> bytes);
    /// Returns how much of `available` bytes may be hashed in one go: whole blocks, not across a waypoint. Only without
    /// a partial block.
    [[nodiscard]] std::size_t run_bytes(std::size_t available) const noexcept;
    /// Counts whole blocks that were run through `state`, and keeps the waypoint if there is one
    /// here.
    void advance(std::size_t bytes);
    /// Keeps the last bytes of a piece, less than a block.
    void keep_tail(std::span<const std::byte> tail);

    /// Hashes `bytes` by OpenSSL, on the calling thread.
    void absorb(std::span<const std::byte> bytes);
    [[nodiscard]] md5_digest finish() const;
};

/// The segments of one call. Workers hold shares in it through its jobs.
struct segment_batch {
    explicit segment_batch(std::size_t count) : jobs(count), unfinished(count) {}

    std::vector<hash_job> jobs;
    std::size_t unfinished;  // Guarded by the engine's mutex.
    one_shot<void> done;
};

}  // namespace keepstore::digest
