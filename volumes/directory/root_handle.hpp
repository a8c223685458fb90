/// The volume's root directory, held open. Blocks are opened relative to it, so that the length of its path costs
/// nothing and a rename above it changes nothing. A Root that is removed and made again, or that another file system is
/// mounted over, is still noticed: by an ENOENT, or within a second by comparing the descriptor with the path.
///
/// The descriptor keeps its number for life (dup3 puts a new root in its place), so it can be used without a lock. Safe
/// to call from any thread. Everything but fd() and fresh() may block.
#pragma once

#include "base/error.hpp"
#include "base/unique_fd.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace keepstore::volumes::directory {

class root_handle {
  public:
    explicit root_handle(std::string path) : path_(std::move(path)) {}

    /// Opens the directory. Call once, before anything else. errc::not_found.
    [[nodiscard]] result<void> open();

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    /// Returns whether the descriptor was compared with the path within the last second.
    [[nodiscard]] bool fresh() const noexcept;
    /// Compares the descriptor with the path, and opens the new root if they differ. \returns whether they did.
    bool revalidate();
    /// Makes the directory (and those above it) if it is missing; `sync` makes the new entries durable.
    [[nodiscard]] result<void> recreate(bool sync);

    /// Returns whether open and cached reads never wait for a network: true for known local file systems only.
    [[nodiscard]] bool inline_calls_allowed() const noexcept { return local_.load(std::memory_order_relaxed); }

    /// Returns whether the entry of block folder `index` in the root is known to be durable.
    [[nodiscard]] bool dir_is_durable(unsigned index) const noexcept;
    void set_dir_durable(unsigned index, bool durable) noexcept;

  private:
    [[nodiscard]] result<void> replace_root(unique_fd opened);

    const std::string path_;
    std::mutex mutex_;                         // Serialises changes of what fd_ refers to.
    unique_fd fd_;                             // The number is constant after open().
    std::atomic<std::int64_t> checked_at_{0};  // Steady clock, nanoseconds.
    std::atomic<bool> local_{false};
    std::array<std::atomic<std::uint64_t>, 64> durable_{};  // One bit per block folder.
};

/// Opens like openat, following no symbolic link in any component where the kernel supports that (openat2), or else in
/// the last one. \returns a descriptor or -1 with errno.
[[nodiscard]] int open_beneath(int dir, const char* path, int flags, unsigned mode = 0) noexcept;

/// Opens without waiting. \returns a descriptor; -1 with EAGAIN when the path is not in the kernel's cache, ENOSYS when
/// the kernel cannot tell.
[[nodiscard]] int open_cached(int dir, const char* path, int flags) noexcept;

}  // namespace keepstore::volumes::directory
