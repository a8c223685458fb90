#include "volumes/directory/directory_core.hpp"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <ctime>
#include <thread>

namespace keepstore::volumes::directory {
namespace {

// Pauses between attempts to take another daemon's lock, which is held for microseconds.
constexpr std::chrono::microseconds lock_pause_min{200};
constexpr std::chrono::microseconds lock_pause_max{20'000};

result<void> take_lock(directory_core& core, int fd, deadline until) {
    auto pause = lock_pause_min;
    core.stats.tick(op::flock);
    // Never the blocking flock: a daemon that hangs while it holds the lock would block our thread for good.
    while (true) {
        // The caller has given up and must not find the call done later.
        if (until.passed()) return fail(errc::timeout, "block is locked by another process");
        if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return success();
        if (errno == EINTR) continue;
        // Without locks: what they exclude is looked for after the fact (touch_in and trash_block in lifecycle.cpp).
        if (is_unsupported(errno) || errno == ENOLCK) {
            core.lacking.found(feature::file_locks);
            return success();
        }
        if (errno != EWOULDBLOCK) return std::unexpected(core.stats.failed(op::flock, errno, "flock"));
        blocking_pool::note_progress();  // The file system responds.
        std::this_thread::sleep_for(pause);
        pause = std::min(pause * 2, lock_pause_max);
    }
}

result<locked_file> open_and_lock(directory_core& core, int dir, const char* file, deadline until) {
    while (true) {
        locked_file out;
        core.stats.tick(op::open);
        out.fd = unique_fd(::openat(dir, file, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
        if (!out.fd) {
            if (errno == ELOOP || errno == EISDIR || errno == ENXIO) {
                core.warn_unexpected_entry();
                return fail(errc::not_found);
            }
            return std::unexpected(core.stats.failed(op::open, errno, "open"));
        }
        if (::fstat(out.fd.get(), &out.status) != 0) {
            return std::unexpected(core.stats.failed(op::stat, errno, "stat"));
        }
        if (!S_ISREG(out.status.st_mode)) {
            core.warn_unexpected_entry();
            return fail(errc::not_found);
        }
        KS_CHECK(take_lock(core, out.fd.get(), until));
        struct stat named{};
        core.stats.tick(op::stat);
        if (::fstatat(dir, file, &named, AT_SYMLINK_NOFOLLOW) != 0) {
            return std::unexpected(core.stats.failed(op::stat, errno, "stat"));
        }
        struct stat again{};
        if (!core.is_same_file(named, out.status) && ::fstat(out.fd.get(), &again) == 0 &&
            again.st_ino != out.status.st_ino) {
            core.lacking.found(feature::lasting_inodes);
        }
        if (core.is_same_file(named, out.status)) {
            out.status = named;  // The block may have been touched while we waited for the lock.
            return out;
        }
        if (until.passed()) return fail(errc::timeout, "block keeps being replaced");
    }
}

}  // namespace

bool root_may_be_gone(int number) noexcept {
    return number == ENOENT || number == ENOTDIR || number == ESTALE || number == ENOTCONN;
}

void directory_core::defer(std::move_only_function<void()> work) {
    const std::lock_guard lock(mutex_);
    deferred_.push_back(std::move(work));
    has_deferred_.store(true, std::memory_order_release);
}

void directory_core::run_deferred() {
    if (!has_deferred_.load(std::memory_order_acquire)) return;
    std::vector<std::move_only_function<void()>> work;
    {
        const std::lock_guard lock(mutex_);
        work.swap(deferred_);
        has_deferred_.store(false, std::memory_order_release);
    }
    for (auto& w : work) w();
}

result<bool> directory_core::examine_root() {
    auto checked = root.check();
    if (checked || checked.error() != errc::not_found) return checked;
    health.found_gone(checked.error());
    return fail(errc::unavailable, "volume is not there");
}

result<unique_fd> directory_core::open_dir(const block_path& path) {
    KS_CHECK(root.ensure());
    unique_fd dir(open_beneath(root.fd(), path.dir.data(), O_RDONLY | O_DIRECTORY));
    if (!dir && root_may_be_gone(errno)) {
        const int number = errno;
        KS_TRY(const bool reopened, examine_root());
        errno = number;
        if (reopened) dir = unique_fd(open_beneath(root.fd(), path.dir.data(), O_RDONLY | O_DIRECTORY));
    }
    if (!dir) {
        const int number = errno;
        if (number == ELOOP || number == ENOTDIR) {
            warn_unexpected_entry();
            return fail(errc::not_found);
        }
        return std::unexpected(stats.failed(op::open, number, "open"));
    }
    return dir;
}

result<unique_fd> directory_core::make_dir(const md5_digest& name, const block_path& path) {
    constexpr int attempts = 3;  // Another process may remove the folder again meanwhile.
    KS_CHECK(root.ensure());
    for (int i = 0;; ++i) {
        unique_fd dir(open_beneath(root.fd(), path.dir.data(), O_RDONLY | O_DIRECTORY));
        if (dir) return dir;
        const int number = errno;
        if (!root_may_be_gone(number) || i == attempts) return std::unexpected(stats.failed(op::open, number, "open"));
        root.set_dir_durable(block_dir_index(name), false);
        if (number == ENOENT && (::mkdirat(root.fd(), path.dir.data(), 0755) == 0 || errno == EEXIST)) continue;
        if (number == ENOENT && !root_may_be_gone(errno)) return std::unexpected(stats.failed(errno, "mkdir"));
        KS_CHECK(examine_root());
    }
}

result<void> directory_core::sync_dir(const md5_digest& name, int dir) {
    if (!options.sync) return success();
    const unsigned index = block_dir_index(name);
    KS_CHECK(sync_dir_fd(index, dir));
    if (!root.dir_is_durable(index)) {
        KS_CHECK(sync_dir_fd(fsync_group_commit::root_key, root.fd()));
        root.set_dir_durable(index, true);
    }
    return success();
}

result<void> directory_core::sync_dir_if_changed(const md5_digest& name, int dir) {
    if (!options.sync) return success();
    const unsigned index = block_dir_index(name);
    // Read before the sync, which then includes all changes up to it.
    const auto seen = root.inline_calls_allowed() ? synced_folders::state_of(dir) : std::nullopt;
    if (seen && root.dir_is_durable(index) && synced_.contains(index, *seen)) return success();
    KS_CHECK(sync_dir(name, dir));
    if (seen) synced_.add(index, *seen);
    return success();
}

result<void> directory_core::sync_dir_fd(unsigned key, int fd) {
    const int number = syncs.sync(key, fd);
    if (number == 0) return success();
    if (!is_unsupported(number)) return std::unexpected(stats.failed(number, "fsync"));
    lacking.found(feature::directory_sync);
    return success();
}

result<void> directory_core::sync_file(int fd) {
    // Not fdatasync: on ext4 it does not write a changed mtime, and with it the protection from trash.
    if (options.sync && ::fsync(fd) != 0) return std::unexpected(stats.failed(errno, "fsync"));
    return success();
}

result<std::size_t> directory_core::read_fully(int fd, std::uint64_t offset, std::span<std::byte> into) {
    std::size_t done = 0;
    while (done < into.size()) {
        const auto n = ::pread(fd, into.data() + done, into.size() - done, static_cast<off_t>(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return std::unexpected(stats.failed(errno, "read"));
        if (n == 0) break;
        done += static_cast<std::size_t>(n);
        blocking_pool::note_progress();
    }
    if (done > 0) health.call_worked(traffic::reads);
    stats.read(done);
    return done;
}

result<void> directory_core::renew_mtime(int fd, const struct timespec& not_before) {
    struct timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    if (is_earlier(now, not_before)) now = not_before;
    const struct timespec times[2] = {now, now};
    stats.tick(op::utimes);
    if (::futimens(fd, times) != 0) return std::unexpected(stats.failed(op::utimes, errno, "utimes"));
    return success();
}

void directory_core::warn_unexpected_entry() {
    if (warned_.exchange(true)) return;
    log::warning(
        "ignoring entries of the volume that are named like blocks or their folders but are not "
        "(directories, links, files in the wrong place)",
        {{"DeviceRoot", options.root}});
}

result<locked_file> open_locked(directory_core& core, int dir, const char* file, deadline until) {
    return again_if_stale([&] { return open_and_lock(core, dir, file, until); });
}

}  // namespace keepstore::volumes::directory
