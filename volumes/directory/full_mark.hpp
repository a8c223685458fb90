/// Tracks whether the volume is full, and maintains the mark by which daemons tell each other: a symbolic link
/// Root/full to the time (in seconds) at which one of them found less than a block's worth of space
/// (docs/interface.md 4.2, 8.5). The Go daemon believes a mark for an hour. We honour a new one for a few seconds and
/// then check the free space ourselves, so that a volume takes blocks again within five seconds of getting space, and
/// we remove our own mark.
///
/// Safe to call from any thread.
#pragma once

#include "volumes/directory/root_handle.hpp"
#include "volumes/volume.hpp"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>

namespace keepstore::volumes::directory {

class full_mark {
  public:
    /// The volume counts as full when fewer bytes than `free_bytes_min` are free.
    full_mark(const root_handle& root, std::uint64_t free_bytes_min) : root_(root), free_bytes_min_(free_bytes_min) {}

    /// Never blocks.
    [[nodiscard]] bool full() const noexcept { return full_.load(std::memory_order_relaxed); }
    /// Returns true to one caller per interval, which then has to call refresh(). Never blocks.
    [[nodiscard]] bool claim_refresh() noexcept;
    /// Reads the mark and the free space. Blocks.
    void refresh();
    /// Sets the mark, after a write failed for lack of space. Blocks.
    void found_full();

    /// Reads size and free space of the file system, for space(). \returns false, with errno, if that fails. Blocks.
    [[nodiscard]] bool measure() noexcept;
    /// Returns what was last measured; zeros before. Never blocks.
    [[nodiscard]] volume_stats::space_info space() const noexcept;

  private:
    [[nodiscard]] bool has_space();
    void set_mark();

    const root_handle& root_;
    const std::uint64_t free_bytes_min_;
    std::atomic<bool> full_{false};
    std::atomic<std::int64_t> next_refresh_{0};  // Steady clock, nanoseconds.
    std::atomic<std::uint64_t> size_{0};         // In bytes, like the next one.
    std::atomic<std::uint64_t> available_{0};

    std::mutex mutex_;
    // Guarded by mutex_.
    std::string ours_;            // Target of the mark that we set, or empty.
    std::string honoured_;        // The foreign mark last seen,
    std::int64_t honoured_at_{};  // when it was first seen (steady clock, nanoseconds).
};

}  // namespace keepstore::volumes::directory
