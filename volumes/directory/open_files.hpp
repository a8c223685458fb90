/// The block files that are open for reading: readers of the same file share one descriptor, so that thousands of
/// clients of a few blocks need few. Only weak references are kept: a file is closed, and forgotten, with its last
/// reader.
///
/// Safe to use from any thread; nothing blocks.
#pragma once

#include "volumes/directory/unique_fd.hpp"

#include <sys/stat.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

namespace keepstore::volumes::directory {

/// An open file; the descriptor is closed with the last reference. Whoever shares it uses calls that take their own
/// offset, and leaves flags and advice alone that would change it for others.
using shared_fd = std::shared_ptr<const unique_fd>;

class open_files {
  public:
    open_files() : table_(std::make_shared<table>()) {}

    /// The descriptor that readers of this file share: `opened` itself, unless there is one already; then `opened` is
    /// closed. `status` is that of `opened`, so that the path was resolved anew in any case.
    [[nodiscard]] shared_fd share(unique_fd opened, const struct stat& status);

    /// Open files.
    [[nodiscard]] std::size_t count() const;

  private:
    /// While a file is open its inode is not given to another one, so device and inode would do on a local file system.
    /// A network's may be another file's by now when the first was removed elsewhere: that one's size and time differ.
    struct identity {
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
