/// What the volume's file system turned out not to support. The driver then does without, as the Go daemon does; the
/// first use of each feature leaves one warning that says what is weaker.
///
/// Safe to use from any thread; nothing blocks but the log.
#pragma once

#include <atomic>
#include <string>

namespace keepstore::volumes::directory {

enum class feature : unsigned {
    rename_noreplace,  ///< renameat2(RENAME_NOREPLACE). Not on NFS.
    hard_links,        ///< link(2), where the former is missing, too.
    file_locks,        ///< flock(2). Not on NFS without a lock manager, nor on some FUSE file systems.
    directory_sync,    ///< fsync(2) of a directory.
    statx,             ///< statx(2). Refused by the seccomp filters of some containers.
    lasting_inodes,    ///< A file keeps its inode number while it is open. Not on some FUSE file systems.
};

/// Returns whether this errno says that the call itself is not supported, rather than that it failed.
[[nodiscard]] bool is_unsupported(int number) noexcept;

class missing_features {
  public:
    explicit missing_features(std::string root) : root_(std::move(root)) {}

    [[nodiscard]] bool lacks(feature f) const noexcept {
        return (found_.load(std::memory_order_relaxed) & bit(f)) != 0;
    }
    /// Records that the file system lacks it.
    void found(feature f);

  private:
    static constexpr unsigned bit(feature f) noexcept { return 1U << static_cast<unsigned>(f); }

    const std::string root_;
    std::atomic<unsigned> found_{0};
};

}  // namespace keepstore::volumes::directory
