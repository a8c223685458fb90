/// fsync of directories, shared: calls that arrive while a directory is being synced wait for the next sync of it, and
/// one sync serves all who wait. (A sync that had already begun when the entry was made proves nothing about it.)
/// Blocks; call from threads of the volume. Safe to call from any thread.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <unordered_map>

namespace keepstore::volumes::directory {

class fsync_group_commit {
  public:
    static constexpr unsigned root_key = 4096;  // Block folders use their index, 0 to 4095.

    /// Syncs directory `key`, open as `fd` at least until this returns. \returns 0 or errno. An error is final for all
    /// who shared the call: the kernel reports a lost write once, so asking again would hear of success.
    [[nodiscard]] int sync(unsigned key, int fd);

    /// fsync calls so far, for tests and figures.
    [[nodiscard]] unsigned long calls() const;

  private:
    struct batch {
        bool done = false;
        int error = 0;
    };
    struct directory {
        bool running = false;
        unsigned users = 0;  // Removed with the last one.
        std::condition_variable changed;
        std::shared_ptr<batch> next;  // Who arrives now belongs to this one.
    };

    mutable std::mutex mutex_;
    // Guarded by mutex_.
    std::unordered_map<unsigned, directory> directories_;
    unsigned long calls_ = 0;
};

}  // namespace keepstore::volumes::directory
