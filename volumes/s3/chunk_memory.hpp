/// Memory for downloads: pieces of at most a chunk, with a budget per volume. A piece is reference-counted and comes
/// back when its last slice is destroyed. Safe to use from any thread.
#pragma once

#include "base/buffer.hpp"
#include "base/limits.hpp"

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

namespace keepstore::volumes::s3 {

class chunk_memory : public std::enable_shared_from_this<chunk_memory> {
  public:
    explicit chunk_memory(std::size_t budget_bytes) : budget_(budget_bytes) {
        spare_.reserve(budget_bytes / limits::chunk_size_bytes + 1);  // So that give_back() cannot fail.
    }

    /// Takes a piece. nullopt if that would exceed the budget.
    [[nodiscard]] std::optional<mutable_slice> try_take(std::size_t size);
    /// The same, also beyond the budget.
    [[nodiscard]] mutable_slice take(std::size_t size);

    [[nodiscard]] std::size_t held_bytes() const;

  private:
    using block = std::unique_ptr<std::byte[]>;
    class piece;

    [[nodiscard]] mutable_slice make(std::size_t size, block memory);
    void give_back(std::size_t size, block memory) noexcept;

    const std::size_t budget_;
    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::size_t held_ = 0;
    std::vector<block> spare_;  ///< Whole chunks that were used before: their pages are mapped.
};

}  // namespace keepstore::volumes::s3
