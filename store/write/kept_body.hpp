/// The body of a PUT, kept in memory until it is stored. A volume that hangs gives a body back neither from its queue,
/// which it has written in part, nor from its file; so the PUT would fail although another volume works. Small bodies
/// are kept, while memory is plenty: `kept_bodies` bounds what all PUTs keep together. Larger ones begin again with the
/// client's next attempt.
///
/// `kept_bodies` is safe to use from any thread, `kept_body` from one coroutine at a time.
#pragma once

#include "base/buffer.hpp"

#include <atomic>
#include <cstddef>
#include <vector>

namespace keepstore::store {

class kept_bodies {
  public:
    explicit kept_bodies(std::size_t bytes_max) : left_(bytes_max) {}

    [[nodiscard]] bool take(std::size_t bytes) noexcept {
        std::size_t left = left_.load(std::memory_order_relaxed);
        while (left >= bytes) {
            if (left_.compare_exchange_weak(left, left - bytes, std::memory_order_relaxed)) return true;
        }
        return false;
    }
    void give_back(std::size_t bytes) noexcept { left_.fetch_add(bytes, std::memory_order_relaxed); }

  private:
    std::atomic<std::size_t> left_;
};

class kept_body {
  public:
    explicit kept_body(kept_bodies& home) : home_(home) {}
    ~kept_body() { drop(); }
    kept_body(const kept_body&) = delete;
    kept_body& operator=(const kept_body&) = delete;

    /// Keeps the next piece, or drops all of the body if the pieces of all PUTs are too many.
    void add(const const_slice& piece) {
        if (dropped_) return;
        if (!home_.take(piece.size())) return drop();
        taken_ += piece.size();
        pieces_.push_back(piece);
    }
    /// Keeps a body that is one chunk, at no cost to others: its PUT needs the chunk in any case.
    void set_whole(const const_slice& piece) { pieces_.assign(1, piece); }
    /// From now on nothing is kept.
    void drop() noexcept {
        dropped_ = true;
        pieces_.clear();
        home_.give_back(taken_);
        taken_ = 0;
    }

    /// The body from its beginning; empty if it is not kept.
    [[nodiscard]] const std::vector<const_slice>& pieces() const noexcept { return pieces_; }

  private:
    kept_bodies& home_;
    std::vector<const_slice> pieces_;
    std::size_t taken_ = 0;
    bool dropped_ = false;
};

}  // namespace keepstore::store
