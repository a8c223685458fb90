/// The bytes of a block between append and the temp file: slices that wait, and in direct mode the last few bytes that
/// do not fill a page yet. Makes batches for one write call each. Not thread-safe: guarded by its owner's mutex.
///
/// The block is, in this order: `written()` bytes in the file, the carry, the queued slices. A batch changes nothing
/// until `finish` says that it is in the file, so that nothing is lost for read_back when a write fails.
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
        std::vector<const_slice> shares;  // Keep the bytes alive, whatever becomes of the queue.
        std::shared_ptr<std::byte> carry;
    };

    void push(const_slice bytes) {
        queued_ += bytes.size();
        slices_.push_back(std::move(bytes));
    }

    [[nodiscard]] std::size_t queued_bytes() const noexcept { return queued_; }
    [[nodiscard]] std::uint64_t written_bytes() const noexcept { return written_; }
    [[nodiscard]] std::uint64_t total_bytes() const noexcept { return written_ + carried_ + queued_; }

    /// The next batch for a buffered file: everything, up to the limit of a batch. Empty when nothing waits.
    [[nodiscard]] batch next_buffered();

    /// The next batch for direct I/O. Empty when less than a page waits (`irregular` false: it was moved to the carry,
    /// and its slices are released), or when what waits cannot be written directly (`irregular` true).
    [[nodiscard]] batch next_direct(std::size_t memory_alignment, bool& irregular);

    void finish(const batch& done);

    /// Copies from carry and queue what lies at `offset` of the block, which must be in them. \returns bytes copied.
    [[nodiscard]] std::size_t copy_waiting(std::uint64_t offset, std::span<std::byte> into) const;

    /// Gives back all slices. The queue is good for nothing afterwards.
    [[nodiscard]] std::deque<const_slice> clear() noexcept;

  private:
    void take_front(std::span<std::byte> into);
    void drop_front(std::size_t bytes);

    std::deque<const_slice> slices_;
    std::size_t front_offset_ = 0;  // Bytes of the first slice that are done.
    std::size_t queued_ = 0;
    std::uint64_t written_ = 0;
    std::shared_ptr<std::byte> carry_;  // One page, page-aligned; made when first needed.
    std::size_t carried_ = 0;
};

}  // namespace keepstore::volumes::directory
