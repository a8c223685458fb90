/// Memory for downloads: pieces of at most a chunk, with a budget per volume and a reserve beyond it, in which each
/// piece counts as a chunk. A piece is reference-counted and comes back when its last slice is destroyed. Safe to use
/// from any thread.
#pragma once

#include "base/async.hpp"
#include "base/async_semaphore.hpp"
#include "base/buffer.hpp"
#include "base/deadline.hpp"
#include "base/limits.hpp"
#include "volumes/cloud/limits.hpp"

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace keepstore::volumes::cloud {

class chunk_memory : public std::enable_shared_from_this<chunk_memory> {
  public:
    explicit chunk_memory(std::size_t budget_bytes, std::size_t reserve_bytes = limits::cloud_fetch_reserve_bytes)
        : budget_(budget_bytes), reserve_(reserve_bytes / limits::chunk_size_bytes) {
        spare_.reserve(budget_bytes / limits::chunk_size_bytes + 1);  // So that give_back() cannot fail.
    }

    /// Takes a piece. nullopt if that would exceed the budget.
    [[nodiscard]] std::optional<mutable_slice> try_take(std::size_t size);
    /// Takes a piece of the reserve; waits for one, first come, first served. Awaited in place by a coroutine that
    /// holds the memory. To be kept only until a read that waits has had it. \returns errc::cancelled, errc::timeout.
    [[nodiscard]] awaitable<result<mutable_slice>> take_reserved(std::size_t size, deadline until);

    [[nodiscard]] std::size_t held_bytes() const;
    /// Whether pieces of the reserve may be in use.
    [[nodiscard]] bool is_spent() const { return held_bytes() > budget_; }

  private:
    using block = std::unique_ptr<std::byte[]>;
    class piece;

    [[nodiscard]] mutable_slice make(std::size_t size, block memory, async_semaphore::permit reserved);
    [[nodiscard]] block take_spare(std::size_t size);  // With the mutex held.
    void give_back(std::size_t size, block memory) noexcept;

    const std::size_t budget_;
    async_semaphore reserve_;
    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::size_t held_ = 0;
    std::vector<block> spare_;  ///< Whole chunks that were used before: their pages are mapped.
};

}  // namespace keepstore::volumes::cloud
