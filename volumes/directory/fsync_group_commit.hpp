/// Group commit for fsync of directories: calls that arrive while a directory is being synced wait for the next fsync
/// of it, which serves them all. (The one that is running may have begun before their entry was made.) Blocks; call it
/// on threads of the volume. Safe to call from any thread.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace keepstore::volumes::directory {

class fsync_group_commit {
  public:
    static constexpr unsigned root_key = 4096;  // Block folders use their index, 0 to 4095.

    /// Syncs directory `key`, open as `fd` at least until this returns. \returns 0 or errno. An error is final for
    /// every call of the group: the kernel reports a lost write once, so that another fsync would succeed.
    [[nodiscard]] int sync(unsigned key, int fd);

    /// Returns the number of fsync calls so far, for tests and benchmarks.
    [[nodiscard]] unsigned long calls() const;
    /// Returns the number of calls for this directory that have not returned, for tests.
    [[nodiscard]] unsigned waiting(unsigned key) const;

  private:
    struct group {
        bool done = false;
        int error = 0;
    };
    struct directory {
        bool running = false;
        unsigned users = 0;  // The directory is forgotten with the last one.
        std::condition_variable changed;
        std::shared_ptr<group> next;  // Takes the calls that arrive now.
    };

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::unordered_map<unsigned, directory> directories_;
    unsigned long calls_ = 0;
};

}  // namespace keepstore::volumes::directory
