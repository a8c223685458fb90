/// The block files that are open for reading: readers of the same file share one descriptor, so that thousands of
/// clients of a few blocks need few. Holds weak references only: a file is closed and forgotten with its last reader.
///
/// Safe to use from any thread; nothing blocks.
#pragma once

#include "base/md5_digest.hpp"
#include "base/unique_fd.hpp"

#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace keepstore::volumes::directory {

/// An open file; the descriptor is closed with the last reference. Use only calls that take their own offset, and
/// change neither flags nor advice, since others use the same descriptor.
using shared_fd = std::shared_ptr<const unique_fd>;

class open_files {
  public:
    open_files() : table_(std::make_shared<table>()) {}

    /// Returns the descriptor that readers of this block's file share: `opened` itself, unless there is one already;
    /// then `opened` is closed. `status` is that of `opened`: the path was just resolved, so that no stale descriptor
    /// is returned.
    [[nodiscard]] shared_fd share(const md5_digest& name, unique_fd opened, const struct stat& status);

    /// Returns the number of open files.
    [[nodiscard]] std::size_t count() const;

  private:
    /// On a local file system device and inode identify an open file. On a network file system the inode may belong to
    /// another file by now, when the first was removed elsewhere: size or time then differ. Some FUSE file systems give
    /// files equal inode numbers: the names differ.
    struct identity {
        md5_digest name;
        std::uint64_t device = 0;
        std::uint64_t inode = 0;
        std::int64_t size = 0;
        std::int64_t seconds = 0;
        std::int64_t nanoseconds = 0;
        auto operator<=>(const identity&) const = default;
    };
    struct entry;
    struct table {
        struct alignas(64) shard {
            std::mutex mutex;
            std::map<identity, std::weak_ptr<entry>> files;  // Guarded by mutex.
        };
        std::array<shard, 16> shards;
        [[nodiscard]] shard& shard_of(const identity& id) noexcept { return shards[id.inode % shards.size()]; }
    };
    // Files may outlive the volume, in calls that hang.
    const std::shared_ptr<table> table_;
};

}  // namespace keepstore::volumes::directory
