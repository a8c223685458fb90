/// The volume's root directory, held open. Blocks are opened relative to it, so that the length of its path costs
/// nothing and a rename above it changes nothing. The descriptor is compared with the path within a second:
///
///   - the path is the directory of the start, on the same file system: it is used. If that was mounted again, or the
///     descriptor became stale (ESTALE, ENOTCONN), the path is opened again;
///   - the path is another directory (removed and made again, or what is below an unmounted file system), or nothing:
///     the volume is gone. Its calls fail, and nothing is created, until the directory of the start is back. Where that
///     can be told by numbers that are never used again the descriptor is released meanwhile: it would keep a file
///     system that was unmounted (umount -l) alive, so that it could neither be repaired nor mounted afresh.
///
/// The same directory: equal inode number, and time of birth where there is one; and the same file system: equal id,
/// which the file system has from its UUID; where there is none, equal device while the descriptor is open, equal UUID
/// in /dev/disk, or equal type and source in /proc/self/mountinfo.
///
/// The descriptor keeps its number for life (dup3 puts a new root in its place, or, while it is released, what is no
/// directory: ENOTDIR), so it can be used without a lock. Safe to call from any thread. Everything but fd(), fresh()
/// and gone() may block.
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
    /// Returns whether the last comparison found another directory than at the start, or none.
    [[nodiscard]] bool gone() const noexcept { return gone_.load(std::memory_order_relaxed); }

    /// Compares the descriptor with the path, and opens the path again if the same directory is there under another
    /// mount. \returns whether it did that. errc::not_found: gone. Other errors: the path cannot be examined.
    [[nodiscard]] result<bool> check();
    /// Does that unless it was done within the last second. errc::unavailable: gone.
    [[nodiscard]] result<void> ensure();

    /// Returns whether open and cached reads never wait for a network: true for known local file systems only.
    [[nodiscard]] bool inline_calls_allowed() const noexcept { return local_.load(std::memory_order_relaxed); }

    /// Returns whether the entry of block folder `index` in the root is known to be durable.
    [[nodiscard]] bool dir_is_durable(unsigned index) const noexcept;
    void set_dir_durable(unsigned index, bool durable) noexcept;

  private:
    /// What tells the directory from others.
    struct identity {
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        std::int64_t type = 0;  // Of the file system.
        std::uint64_t id = 0;   // Of the file system, where it survives a mount; otherwise 0.
        std::int64_t born = 0;  // Nanoseconds; 0: not known.

        // Whether no other directory will ever have these numbers, also after this one was deleted.
        [[nodiscard]] bool unique() const noexcept { return id != 0 && born != 0; }
    };
    [[nodiscard]] static result<identity> identify(int fd);
    [[nodiscard]] bool is_original(const identity& found) const;
    [[nodiscard]] bool path_is_held() const;
    [[nodiscard]] error gone_error(std::string text);
    void release() noexcept;
    [[nodiscard]] result<void> replace_root(unique_fd opened);

    const std::string path_;
    identity original_;   // Constant after open(), but for the device: that of what is held open now.
    std::string uuid_;    // The file system's, or empty.
    std::string source_;  // Of the mount: type, source and the part that is mounted.
    std::atomic<bool> gone_{false};
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
