#include "volumes/directory/lifecycle.hpp"

#include "base/limits.hpp"
#include "digest/md5.hpp"
#include "volumes/directory/list_dir.hpp"
#include "volumes/trash_rule.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>

namespace keepstore::volumes::directory {
namespace {

// Copies of one block that can be trashed within the same second.
constexpr int trash_name_attempts = 60;

// How long a block that is being deleted could be restored, until it is known to have been the right file.
constexpr std::chrono::hours restorable_for{1};
constexpr std::size_t hash_bytes = 256 * KiB;  // One read of a copy that is hashed.

result<void> touch_named(directory_core& core, const md5_digest& block_name, int dir, const char* file,
                         deadline until) {
    while (true) {
        KS_TRY(const auto block, open_locked(core, dir, file, until));
        KS_CHECK(core.renew_mtime(block.fd.get(), block.status.st_mtim));
        // The new time protects the block already; a write that replaces it need not wait for the sync.
        ::flock(block.fd.get(), LOCK_UN);
        KS_CHECK(core.sync_file(block.fd.get()));
        // Another program may have made the name, and not synced it.
        KS_CHECK(core.sync_dir_if_changed(block_name, dir));
        // Programs that take no lock, and all of them where there are none, may have replaced or trashed the file.
        struct stat named{};
        core.stats.tick(op::stat);
        if (::fstatat(dir, file, &named, AT_SYMLINK_NOFOLLOW) != 0) {
            return std::unexpected(core.stats.failed(op::stat, errno, "stat"));
        }
        if (core.is_same_file(named, block.status)) return success();
        if (until.passed()) return fail(errc::timeout, "block keeps being replaced");
    }
}

result<void> touch_in(directory_core& core, const md5_digest& name, int dir, const char* file, deadline until) {
    return again_if_stale([&] { return touch_named(core, name, dir, file, until); });
}

// Returns the names of the trash copies, those that would be deleted last first.
result<std::vector<std::string>> trash_copies(directory_core& core, int dir, const md5_digest& name) {
    std::vector<std::pair<std::int64_t, std::string>> found;  // Not made from the number, which has lost leading zeros.
    const auto entry = [&](std::string_view file, entry_type type) {
        const auto trash = parse_trash_name(file);
        if (trash && (type == DT_REG || type == DT_UNKNOWN) && trash->name == name)
            found.emplace_back(trash->deadline, file);
    };
    KS_CHECK(list_dir(core.stats, dir, entry, [&] { found.clear(); }));
    std::ranges::sort(found, std::greater<>());
    std::vector<std::string> out;
    out.reserve(found.size());
    for (auto& copy : found) out.push_back(std::move(copy.second));
    return out;
}

// A file that was hashed.
struct examined_file {
    struct stat status{};
    bool good = false;  // Its content has the block's MD5. False also if it cannot be read.
};

result<examined_file> examine(directory_core& core, int dir, const char* file, const md5_digest& name, deadline until) {
    examined_file out;
    core.stats.tick(op::open);
    const unique_fd fd(::openat(dir, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd) return std::unexpected(core.stats.failed(op::open, errno, "open"));
    if (::fstat(fd.get(), &out.status) != 0) return std::unexpected(core.stats.failed(op::stat, errno, "stat"));
    if (!S_ISREG(out.status.st_mode)) return fail(errc::io_error, "the block's name is taken by something else");
    if (static_cast<std::uint64_t>(out.status.st_size) > limits::block_size_bytes_max) return out;
    ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
    std::vector<std::byte> buffer(hash_bytes);
    digest::md5 hash;
    while (true) {
        if (until.passed()) return fail(errc::timeout, "a copy of the block cannot be read in time");
        const auto n = core.read_fully(fd.get(), hash.length(), buffer);
        if (!n) return out;
        blocking_pool::note_progress();
        hash.update(std::span(buffer).first(*n));
        if (*n < buffer.size() || hash.length() > limits::block_size_bytes_max) break;
    }
    out.good = hash.finish() == name;
    return out;
}

// Renames `from` to `to` unless that name is taken. \returns 0 or errno; nullopt where that is not supported.
std::optional<int> rename_noreplace(directory_core& core, int dir, const char* from, const char* to) {
    if (core.lacking.lacks(feature::rename_noreplace)) return std::nullopt;
    if (::renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0) return 0;
    if (!is_unsupported(errno)) return errno;
    core.lacking.found(feature::rename_noreplace);
    return std::nullopt;
}

// Does so in two steps, between which another program may take the name; its file is then replaced.
int look_and_rename(int dir, const char* from, const char* to) {
    struct stat taken{};
    if (::fstatat(dir, to, &taken, AT_SYMLINK_NOFOLLOW) == 0) return EEXIST;
    return ::renameat(dir, from, dir, to) == 0 ? 0 : errno;
}

// Gives the block's file a trash name unless that is taken. \returns 0 or errno. Never by link and unlink: the unlink
// would delete what another program puts under the block's name in between.
int rename_to_trash(directory_core& core, int dir, const char* file, const char* trash) {
    core.stats.tick(op::rename);
    if (const auto number = rename_noreplace(core, dir, file, trash)) return *number;
    return look_and_rename(dir, file, trash);
}

// Gives a trash copy the block's name unless that is taken. \returns 0 or errno.
int rename_from_trash(directory_core& core, int dir, const char* trash, const char* file) {
    core.stats.tick(op::rename);
    if (const auto number = rename_noreplace(core, dir, trash, file)) return *number;
    if (!core.lacking.lacks(feature::hard_links)) {
        if (::linkat(dir, trash, dir, file, 0) == 0) {
            ::unlinkat(dir, trash, 0);
            return 0;
        }
        if (!is_unsupported(errno) && errno != EPERM) return errno;
        core.lacking.found(feature::hard_links);
    }
    return look_and_rename(dir, trash, file);
}

// Moves the block's file to a trash name from `due` on. \returns the name; an empty one, with the file back in its
// place, if it was not `expected` or was touched: a program that takes no lock (a write of the Go daemon) was faster.
result<std::string> move_to_trash(directory_core& core, int dir, const md5_digest& name, const struct stat& expected,
                                  std::int64_t due) {
    const block_path path(name);
    // Never onto an earlier copy: an untrash may be restoring that one at this moment, and would restore ours instead,
    // with its old mtime. Keeping a copy a few seconds longer does no harm.
    int number = EEXIST;
    std::string to;
    for (int later = 0; number == EEXIST && later < trash_name_attempts; ++later) {
        to = trash_name(name, due + later);
        number = rename_to_trash(core, dir, path.file.data(), to.c_str());
    }
    if (number != 0) return std::unexpected(core.stats.failed(op::rename, number, "rename"));
    struct stat moved{};
    // Gone: restored by an untrash already.
    if (::fstatat(dir, to.c_str(), &moved, AT_SYMLINK_NOFOLLOW) != 0 || core.is_unchanged(moved, expected)) return to;
    number = rename_from_trash(core, dir, to.c_str(), path.file.data());
    // EEXIST: there is a newer copy already.
    if (number != 0 && number != EEXIST && number != ENOENT) {
        return std::unexpected(core.stats.failed(op::rename, number, "rename"));
    }
    // The block may have been acknowledged: a power cut must not undo the way back only.
    KS_CHECK(core.sync_dir(name, dir));
    return std::string();
}

// Puts a trash copy in the place of a corrupt block. \returns false if either changed meanwhile.
result<bool> replace_by_copy(directory_core& core, int dir, const md5_digest& name, const examined_file& corrupt,
                             const std::string& trash, const examined_file& good, deadline until) {
    const block_path path(name);
    const auto gone = [](const result<locked_file>& file) { return !file && file.error() == errc::not_found; };
    // In the order in which trash_block and the writes of a block take their only lock, so that nothing waits in a
    // ring.
    const auto old = open_locked(core, dir, path.file.data(), until);
    if (gone(old)) return false;
    if (!old) return std::unexpected(old.error());
    const auto copy = open_locked(core, dir, trash.c_str(), until);
    if (gone(copy)) return false;
    if (!copy) return std::unexpected(copy.error());
    if (!core.is_unchanged(old->status, corrupt.status) || !core.is_unchanged(copy->status, good.status)) return false;
    const auto& latest = is_earlier(old->status.st_mtim, copy->status.st_mtim) ? copy->status : old->status;
    KS_CHECK(core.renew_mtime(copy->fd.get(), latest.st_mtim));
    KS_CHECK(core.sync_file(copy->fd.get()));
    core.stats.tick(op::rename);
    if (::renameat(dir, trash.c_str(), dir, path.file.data()) != 0) {
        return std::unexpected(core.stats.failed(op::rename, errno, "rename"));
    }
    KS_CHECK(core.sync_dir(name, dir));
    log::warning("untrash replaced a stored copy that does not match its MD5", {{"block", name.hex()}});
    return true;
}

// Restores a trash copy where there is no block. \returns false if that has changed meanwhile.
result<bool> restore_copy(directory_core& core, int dir, const md5_digest& name, const std::string& trash,
                          deadline until) {
    const block_path path(name);
    auto copy = open_locked(core, dir, trash.c_str(), until);
    if (!copy && copy.error() == errc::not_found) return false;
    if (!copy) return std::unexpected(copy.error());
    // The new mtime first: once it has its name back the block must not look old.
    KS_CHECK(core.renew_mtime(copy->fd.get(), copy->status.st_mtim));
    KS_CHECK(core.sync_file(copy->fd.get()));
    const int number = rename_from_trash(core, dir, trash.c_str(), path.file.data());
    if (number == EEXIST || number == ENOENT) return false;
    if (number != 0) return std::unexpected(core.stats.failed(op::rename, number, "rename"));
    // The Go daemon may have put another copy under the trash name after we locked ours.
    struct stat status{};
    const bool ours =
        ::fstatat(dir, path.file.data(), &status, AT_SYMLINK_NOFOLLOW) == 0 && core.is_same_file(status, copy->status);
    copy->fd.reset();
    if (!ours) KS_CHECK(touch_in(core, name, dir, path.file.data(), until));
    KS_CHECK(core.sync_dir(name, dir));
    return true;
}

}  // namespace

result<void> touch_block(directory_core& core, const md5_digest& name, deadline until) {
    const block_path path(name);
    KS_TRY(const auto dir, core.open_dir(path));
    return touch_in(core, name, dir.get(), path.file.data(), until);
}

result<block_time> mtime_of_block(directory_core& core, const md5_digest& name) {
    const block_path path(name);
    KS_TRY(const auto dir, core.open_dir(path));
    struct stat status{};
    core.stats.tick(op::stat);
    if (::fstatat(dir.get(), path.file.data(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        return std::unexpected(core.stats.failed(op::stat, errno, "stat"));
    }
    if (!S_ISREG(status.st_mode)) {
        core.warn_unexpected_entry();
        return fail(errc::not_found);
    }
    return mtime_of(status);
}

result<trash_outcome> trash_block(directory_core& core, const md5_digest& name, const trash_options& options,
                                  deadline until) {
    const block_path path(name);
    KS_TRY(const auto dir, core.open_dir(path));
    while (true) {
        // Touches, commits and other trash calls take the same lock, so that the check and the move are one step for
        // them.
        KS_TRY(const auto block, open_locked(core, dir.get(), path.file.data(), until));
        const auto written = mtime_of(block.status);
        const auto now = wall_clock_now();
        if (!trash_rule::has_expected_mtime(options.only_if_mtime, written)) return trash_outcome::changed;
        if (!trash_rule::may_trash(written, now, options.protect_for)) return trash_outcome::too_new;
        const bool for_good = trash_rule::deletes_at_once(options.lifetime);
        const auto due = trash_rule::deletion_second(now, for_good ? restorable_for : options.lifetime);
        // No sync: if a power cut undoes the move the block is back, and will be trashed again.
        KS_TRY(const auto copy, move_to_trash(core, dir.get(), name, block.status, due));
        if (!copy.empty() && !for_good) return trash_outcome::trashed;
        if (!copy.empty()) {
            core.stats.tick(op::unlink);
            if (::unlinkat(dir.get(), copy.c_str(), 0) != 0 && errno != ENOENT) {
                return std::unexpected(core.stats.failed(op::unlink, errno, "unlink"));
            }
            return trash_outcome::trashed;
        }
        if (until.passed()) return fail(errc::timeout, "block keeps being replaced");
    }
}

result<void> untrash_block(directory_core& core, const md5_digest& name, deadline until) {
    const block_path path(name);
    KS_TRY(const auto dir, core.open_dir(path));
    const auto examine_trash = [&](const std::string& file) {
        return examine(core, dir.get(), file.c_str(), name, until);
    };
    while (true) {
        KS_TRY(const auto copies, trash_copies(core, dir.get(), name));
        if (copies.empty()) return fail(errc::not_found);
        const auto there = examine(core, dir.get(), path.file.data(), name, until);
        if (!there && there.error() != errc::not_found) return std::unexpected(there.error());
        if (there && there->good) {
            const auto touched = touch_in(core, name, dir.get(), path.file.data(), until);
            if (touched || touched.error() != errc::not_found) return touched;
            continue;
        }
        std::string chosen;
        examined_file good;
        for (const auto& copy : copies) {
            const auto examined = examine_trash(copy);
            if (!examined && examined.error() == errc::not_found) continue;  // Deleted or restored meanwhile.
            if (!examined) return std::unexpected(examined.error());
            if (!examined->good) continue;
            chosen = copy;
            good = *examined;
            break;
        }
        bool done = false;
        if (there) {
            if (chosen.empty()) return fail(errc::checksum_mismatch, "neither the block nor its trash copies are good");
            KS_TRY(done, replace_by_copy(core, dir.get(), name, *there, chosen, good, until));
        } else {
            // Without a good copy the latest one: parts of it may still be of use to repair the block.
            KS_TRY(done, restore_copy(core, dir.get(), name, chosen.empty() ? copies.front() : chosen, until));
        }
        if (done && chosen.empty()) {
            return fail(errc::checksum_mismatch, "the copy that was brought back is bad");
        }
        if (done) return success();
        if (until.passed()) return fail(errc::timeout);
    }
}

}  // namespace keepstore::volumes::directory
