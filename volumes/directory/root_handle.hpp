/// The volume's root directory, held open. Blocks are opened relative to it, so that neither the length of the path nor
/// a rename above it costs or changes anything; and still a Root that is removed and made again, or that another file
/// system is mounted over, is noticed: by an ENOENT on the way, or within a second by comparing it with its path.
///
/// The descriptor keeps its number for life (a new root is put in its place with dup3), so it can be used without a
/// lock. Safe to call from any thread. Everything but fd() and fresh() may block.
#pragma once

#include "base/error.hpp"
#include "volumes/directory/unique_fd.hpp"

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

    /// Once, before anything else. errc::not_found.
    [[nodiscard]] result<void> open();

    [[nodiscard]] const std::string& path() const noexcept { return path_; }
    [[nodiscard]] int fd() const noexcept { return fd_.get(); }

    /// Whether the descriptor was found to be what the path names within the last second.
    [[nodiscard]] bool fresh() const noexcept;
    /// Compares the descriptor with the path. \returns whether another root was put in its place.
    bool revalidate();
    /// Makes the directory (and those above it) if it is gone; `sync` makes the new entries durable.
    [[nodiscard]] result<void> recreate(bool sync);

    /// Whether open and cached reads are known not to wait for a network: true for local file systems only.
    [[nodiscard]] bool inline_calls_allowed() const noexcept { return local_.load(std::memory_order_relaxed); }

    /// Whether the entry of block folder `index` in the root is known to be durable.
    [[nodiscard]] bool dir_is_durable(unsigned index) const noexcept;
    void set_dir_durable(unsigned index, bool durable) noexcept;

  private:
    [[nodiscard]] result<void> take(unique_fd opened);

    const std::string path_;
    std::mutex mutex_;                         // Serialises changes of what fd_ refers to.
    unique_fd fd_;                             // The number is constant after open().
    std::atomic<std::int64_t> checked_at_{0};  // Steady clock, nanoseconds.
    std::atomic<bool> local_{false};
    std::array<std::atomic<std::uint64_t>, 64> durable_{};  // One bit per block folder.
};

/// openat that follows no symbolic link in any component, where the kernel can (openat2), or else in the last one.
/// \returns a descriptor or -1 with errno.
[[nodiscard]] int open_beneath(int dir, const char* path, int flags, unsigned mode = 0) noexcept;

/// The same without waiting: -1 with EAGAIN when the path is not in the kernel's cache, ENOSYS when that cannot be
/// told.
[[nodiscard]] int open_cached(int dir, const char* path, int flags) noexcept;

}  // namespace keepstore::volumes::directory
