/// The state that the parts of one Directory volume share: the root, the settings, the counters. Owned by shared_ptr:
/// by the volume, its readers and writers, and every call that runs (or hangs) on one of the volume's threads.
/// Safe to call from any thread; functions that block say so.
#pragma once

#include "base/blocking_pool.hpp"
#include "base/deadline.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "volumes/directory/directory_volume.hpp"
#include "volumes/directory/file_time.hpp"
#include "volumes/directory/fsync_group_commit.hpp"
#include "volumes/directory/full_mark.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/directory/missing_features.hpp"
#include "volumes/directory/names.hpp"
#include "volumes/directory/op_stats.hpp"
#include "volumes/directory/open_files.hpp"
#include "volumes/directory/root_handle.hpp"
#include "volumes/directory/synced_folders.hpp"
#include "volumes/health.hpp"
#include "volumes/queued_bytes.hpp"

#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <vector>

namespace keepstore::volumes::directory {

class directory_core {
  public:
    explicit directory_core(directory_options o)
        : options(std::move(o)), root(options.root), full(root, options.free_bytes_min), lacking(options.root) {}
    /// Runs the deferred work that no thread of the volume has run.
    ~directory_core() { run_deferred(); }

    const directory_options options;
    root_handle root;
    op_stats stats;
    fsync_group_commit syncs;
    full_mark full;
    health_tracker health;
    open_files readers;
    missing_features lacking;
    queued_bytes queued;                   ///< Of all writers.
    std::atomic<bool> cached_reads{true};  ///< Cleared when the file system does not support RWF_NOWAIT.
    std::atomic<bool> stopping{false};

    /// Whether a missing entry says nothing about a block, because the volume is not there. errc::unavailable then.
    /// \returns true if the root was opened again, so that the call is worth another attempt. Blocks.
    [[nodiscard]] result<bool> examine_root();

    /// Queues blocking clean-up work for the next call that runs on a thread of the volume.
    void defer(std::move_only_function<void()> work);
    /// Runs the queued work. Blocks.
    void run_deferred();

    /// Opens the folder of a block. errc::not_found, errc::unavailable. Blocks.
    [[nodiscard]] result<unique_fd> open_dir(const block_path& path);
    /// Opens the folder of a block, making it where missing; never the root. Blocks.
    [[nodiscard]] result<unique_fd> make_dir(const md5_digest& name, const block_path& path);

    /// Syncs a block's folder, and its entry in the root if that is not known to be durable. Does nothing if the volume
    /// does not sync. Blocks.
    [[nodiscard]] result<void> sync_dir(const md5_digest& name, int dir);
    /// Makes the name of a block durable that any program may have made: as sync_dir, unless this process has synced
    /// the folder since it last changed. Blocks.
    [[nodiscard]] result<void> sync_dir_if_changed(const md5_digest& name, int dir);
    /// Syncs data and metadata of an open file. Does nothing if the volume does not sync. Blocks.
    [[nodiscard]] result<void> sync_file(int fd);

    /// Reads into `into` from `offset` of an open file, through the page cache. Blocks. \returns the bytes read; fewer
    /// than `into` only at the end of the file.
    [[nodiscard]] result<std::size_t> read_fully(int fd, std::uint64_t offset, std::span<std::byte> into);

    /// Sets access and modification time to now, or to `not_before` if that is later: the protection from trash that
    /// an mtime promised must not shrink when the clock is set back. "Now" is from the precise clock: the one that ext4
    /// uses by itself is up to 10 ms late, which can make a block look older than a signature made after it. Blocks.
    [[nodiscard]] result<void> renew_mtime(int fd, const struct timespec& not_before = {});

    /// Returns whether both are the same file, as far as the file system tells.
    [[nodiscard]] bool is_same_file(const struct stat& a, const struct stat& b) const noexcept {
        return a.st_dev == b.st_dev && (a.st_ino == b.st_ino || lacking.lacks(feature::lasting_inodes));
    }
    /// Returns whether both are the same file, not written or touched in between.
    [[nodiscard]] bool is_unchanged(const struct stat& a, const struct stat& b) const noexcept {
        return is_same_file(a, b) && a.st_size == b.st_size && is_same_time(a.st_mtim, b.st_mtim);
    }

    /// Warns, once per volume and process, that the volume has entries that are named like blocks but are none.
    void warn_unexpected_entry();

  private:
    [[nodiscard]] result<void> sync_dir_fd(unsigned key, int fd);

    synced_folders synced_;
    std::mutex mutex_;
    std::vector<std::move_only_function<void()>> deferred_;  // Guarded by mutex_.
    std::atomic<bool> has_deferred_{false};
    std::atomic<bool> warned_{false};
};

/// Whether an error of a call below the root may come from the root itself: a file system that was unmounted, or whose
/// server has ended.
[[nodiscard]] bool root_may_be_gone(int number) noexcept;

/// A block's file, open for reading and writing, with its flock held until closed, where the file system has locks.
struct locked_file {
    unique_fd fd;
    struct stat status{};
};

/// Calls again while a file that was opened by its name turns out to be ESTALE: another host has replaced it (NFS, some
/// FUSE).
template <class F>
std::invoke_result_t<F> again_if_stale(F call) {
    for (unsigned attempt = 1;; ++attempt) {
        auto out = call();
        if (out || out.error().cause.value() != ESTALE || attempt == limits::stale_file_attempts) return out;
    }
}

/// Opens `file` in `dir` and takes its flock, as the Go daemon does around touch and trash. Then checks that the name
/// still refers to the locked file, and starts again if not: the previous holder of the lock may have replaced or
/// trashed it, and an mtime set on the wrong inode would be lost together with the block. Blocks up to `until`.
/// errc::not_found if there is no such regular file, errc::timeout.
[[nodiscard]] result<locked_file> open_locked(directory_core& core, int dir, const char* file, deadline until);

}  // namespace keepstore::volumes::directory
