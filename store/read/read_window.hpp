/// Bounds what all reads together hold of the pool: segments that are being verified, and verified ones that wait to be
/// sent. Keeps thousands of readers that arrive at once from filling the host's memory before the slow ones are known;
/// a read that finds no room verifies without holding anything (docs/ARCHITECTURE.md, "Slow readers").
///
/// Also counts the busy reads, which share the lanes of the digest engine.
/// Safe to use from any thread.
#pragma once

#include "store/limits.hpp"

#include <algorithm>
#include <atomic>
#include <cstddef>

namespace keepstore::store {

class read_window {
  public:
    read_window(std::size_t bytes_max, std::size_t lanes) noexcept : bytes_max_(bytes_max), lanes_(lanes) {}

    [[nodiscard]] bool try_take(std::size_t bytes) noexcept {
        if (held_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= bytes_max_) return true;
        give_back(bytes);
        return false;
    }
    /// Whether anything can be taken at all. Saves preparing a segment in vain.
    [[nodiscard]] bool has_room() const noexcept { return held_bytes() < bytes_max_; }
    void give_back(std::size_t bytes) noexcept { held_.fetch_sub(bytes, std::memory_order_relaxed); }

    void enter() noexcept { readers_.fetch_add(1, std::memory_order_relaxed); }
    void leave() noexcept { readers_.fetch_sub(1, std::memory_order_relaxed); }

    /// How many segments one read should verify ahead: a single reader fills the lanes by itself; many fill them
    /// together, each with the segment that it sends and the next one.
    [[nodiscard]] std::size_t segments_per_reader() const noexcept {
        const std::size_t readers = std::max<std::size_t>(readers_.load(std::memory_order_relaxed), 1);
        return std::clamp(lanes_ / readers, limits::read_ahead_segments_min, limits::read_ahead_segments_max);
    }

    [[nodiscard]] std::size_t held_bytes() const noexcept { return held_.load(std::memory_order_relaxed); }

  private:
    const std::size_t bytes_max_;
    const std::size_t lanes_;
    std::atomic<std::size_t> held_{0};
    std::atomic<std::size_t> readers_{0};
};

}  // namespace keepstore::store
