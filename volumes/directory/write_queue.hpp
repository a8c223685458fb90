/// The bytes of a block between append and the temp file: queued slices, and in direct mode the last few bytes that do
/// not fill a page yet (the carry). Makes batches for one write call each. Not thread-safe: guarded by its owner's
/// mutex.
///
/// Invariant: the block is `written_bytes()` bytes in the file, then the carry, then the queued slices. A batch changes
/// nothing until `finish` confirms that it is in the file, so that read_back loses nothing when a write fails.
#pragma once

#include "base/buffer.hpp"
#include "volumes/directory/temp_file.hpp"

#include <sys/uio.h>

#include <cstdint>
#include <cstdlib>
#include <deque>
#include <memory>
#include <vector>

namespace keepstore::volumes::directory {

class write_queue {
  public:
    struct batch {
        std::uint64_t offset = 0;
        std::size_t bytes = 0;
        std::vector<iovec> pieces;
        std::vector<const_slice> shares;  // Keep the bytes alive when the queue is cleared.
        std::shared_ptr<std::byte> carry;
    };

    void push(const_slice bytes) {
        queued_ += bytes.size();
        slices_.push_back(std::move(bytes));
    }

    [[nodiscard]] std::size_t queued_bytes() const noexcept { return queued_; }
    [[nodiscard]] std::uint64_t written_bytes() const noexcept { return written_; }
    [[nodiscard]] std::uint64_t total_bytes() const noexcept { return written_ + carried_ + queued_; }

    /// Returns the next batch for a buffered file: all bytes, up to the limit of a batch. Empty when none are queued.
    [[nodiscard]] batch next_buffered();

    /// Returns the next batch for direct I/O. Empty when less than a page is queued (`irregular` false: it was moved to
    /// the carry, and its slices are released), or when the slices cannot be written directly (`irregular` true).
    [[nodiscard]] batch next_direct(std::size_t memory_alignment, bool& irregular);

    /// Removes a batch that was written from carry and queue.
    void finish(const batch& done);

    /// Copies the bytes at `offset` of the block, which must not be below written_bytes(). \returns the bytes copied.
    [[nodiscard]] std::size_t copy_queued(std::uint64_t offset, std::span<std::byte> into) const;

    /// Returns all slices, for the caller to release. The queue must not be used afterwards.
    [[nodiscard]] std::deque<const_slice> clear() noexcept;

  private:
    void take_front(std::span<std::byte> into);
    void drop_front(std::size_t bytes);

    std::deque<const_slice> slices_;
    std::size_t front_offset_ = 0;  // Bytes of the first slice that are written or in the carry.
    std::size_t queued_ = 0;
    std::uint64_t written_ = 0;
    std::shared_ptr<std::byte> carry_;  // One page, page-aligned; made when first needed.
    std::size_t carried_ = 0;
};

}  // namespace keepstore::volumes::directory
