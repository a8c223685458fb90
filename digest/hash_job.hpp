/// What the engine schedules (private to this module): one chain of MD5 blocks with the pieces that
/// wait for it. A stream is a job for its whole life, a segment is a job with one piece.
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
    /// Everything, or everything but the front.
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
    bool patient = false;        // May wait for company; until somebody waits for it.
    bool patient_again = false;  // Constant: whenever no more than patience_bytes is queued.
    std::size_t patience_bytes = 0;
    bool urgent = false;                   // Somebody waits for what is queued; until nothing is.
    std::uint64_t hurries_before = 0;      // The engine's count of hurry_all() when it began to have some.
    std::optional<one_shot<void>> waiter;  // To be set when queued_bytes <= wake_at.
    std::size_t wake_at = 0;

    // Written under the engine's mutex. `busy`: in the ready queue or in work; the owning coroutine
    // alone sets it, so that it may read false without the mutex.
    std::atomic<bool> busy = false;
    std::atomic<bool> abandoned = false;

    /// Completes a partial block from the front of `bytes`. \returns the bytes used; 0 if there is
    /// no partial block.
    std::size_t top_up(std::span<const std::byte> bytes);
    /// How much of `available` bytes may be hashed in one go: whole blocks, not across a waypoint.
    /// Without a partial block only.
    [[nodiscard]] std::size_t run_bytes(std::size_t available) const noexcept;
    /// Counts whole blocks that were run through `state`, and keeps the waypoint if there is one
    /// here.
    void advance(std::size_t bytes);
    /// Keeps the last bytes of a piece, less than a block.
    void keep_tail(std::span<const std::byte> tail);

    /// All of that by OpenSSL, on the calling thread.
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
