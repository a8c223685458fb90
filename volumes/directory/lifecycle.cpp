#include "volumes/directory/lifecycle.hpp"

#include "volumes/directory/list_dir.hpp"
#include "volumes/trash_rule.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <cerrno>
#include <cstdio>

namespace keepstore::volumes::directory {
namespace {

// Copies of one block that can be trashed within the same second.
constexpr int trash_name_attempts = 60;

result<void> touch_in(directory_core& core, int dir, const char* file, deadline until) {
    KS_TRY(const auto block, open_locked(core, dir, file, until));
    KS_CHECK(core.set_mtime_now(block.fd.get()));
    return core.sync_file(block.fd.get());
}

// Returns the name of the trash copy that would be deleted last, or an empty one.
result<std::string> latest_trash(directory_core& core, int dir, const md5_digest& name) {
    std::optional<trash_entry> best;
    std::string found;  // Not made from the number, which has lost leading zeros.
    const auto entry = [&](std::string_view file, entry_type type) {
        const auto trash = parse_trash_name(file);
        if (!trash || (type != DT_REG && type != DT_UNKNOWN) || trash->name != name ||
            (best && best->deadline >= trash->deadline))
            return;
        best = trash;
        found = file;
    };
    const auto restart = [&] {
        best.reset();
        found.clear();
    };
    KS_CHECK(list_dir(core.stats, dir, entry, restart));
    return found;
}

// Renames `from` to `to` unless that name is taken. \returns 0 or errno.
int rename_if_free(directory_core& core, int dir, const char* from, const char* to) {
    core.stats.tick(op::rename);
    if (core.noreplace_works.load(std::memory_order_relaxed)) {
        if (::renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0) return 0;
        if (errno != EINVAL && errno != ENOSYS) return errno;
        core.noreplace_works = false;
    }
    // link(2) does not replace either, on every file system.
    if (::linkat(dir, from, dir, to, 0) != 0) return errno;
    ::unlinkat(dir, from, 0);
    return 0;
}

}  // namespace

result<void> touch_block(directory_core& core, const md5_digest& name, deadline until) {
    const block_path path(name);
    KS_TRY(const auto dir, core.open_dir(path));
    return touch_in(core, dir.get(), path.file.data(), until);
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
    // Touches, commits and other trash calls take the same lock, so that the check and the move are one step for them.
    KS_TRY(const auto block, open_locked(core, dir.get(), path.file.data(), until));
    const auto written = mtime_of(block.status);
    const auto now = wall_clock_now();
    if (!trash_rule::has_expected_mtime(options.only_if_mtime, written)) return trash_outcome::changed;
    if (!trash_rule::may_trash(written, now, options.protect_for)) return trash_outcome::too_new;
    // No sync: if a power cut undoes the move the block is back, and will be trashed again.
    if (trash_rule::deletes_at_once(options.lifetime)) {
        core.stats.tick(op::unlink);
        if (::unlinkat(dir.get(), path.file.data(), 0) != 0) {
            return std::unexpected(core.stats.failed(op::unlink, errno, "unlink"));
        }
        return trash_outcome::trashed;
    }
    // Never onto an earlier copy: an untrash may be restoring that one at this moment, and would restore ours instead,
    // with its old mtime. Keeping a copy a few seconds longer does no harm.
    const auto due = trash_rule::deletion_second(now, options.lifetime);
    int number = EEXIST;
    for (int later = 0; number == EEXIST && later < trash_name_attempts; ++later) {
        number = rename_if_free(core, dir.get(), path.file.data(), trash_name(name, due + later).c_str());
    }
    if (number != 0) return std::unexpected(core.stats.failed(op::rename, number, "rename"));
    return trash_outcome::trashed;
}

result<void> untrash_block(directory_core& core, const md5_digest& name, deadline until) {
    const block_path path(name);
    KS_TRY(const auto dir, core.open_dir(path));
    while (true) {
        KS_TRY(const auto trash, latest_trash(core, dir.get(), name));
        if (trash.empty()) return fail(errc::not_found);
        struct stat status{};
        if (::fstatat(dir.get(), path.file.data(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
            if (!S_ISREG(status.st_mode)) return fail(errc::io_error, "the block's name is taken by something else");
            const auto touched = touch_in(core, dir.get(), path.file.data(), until);
            if (touched || touched.error() != errc::not_found) return touched;
        }
        // The new mtime first: once it has its name back the block must not look old.
        const auto copy = open_locked(core, dir.get(), trash.c_str(), until);
        if (copy) {
            KS_CHECK(core.set_mtime_now(copy->fd.get()));
            KS_CHECK(core.sync_file(copy->fd.get()));
            const int number = rename_if_free(core, dir.get(), trash.c_str(), path.file.data());
            if (number == 0) {
                // The Go daemon may have put another copy under the trash name after we locked ours.
                const bool ours = ::fstatat(dir.get(), path.file.data(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                                  status.st_ino == copy->status.st_ino;
                if (!ours) KS_CHECK(touch_in(core, dir.get(), path.file.data(), until));
                return core.sync_dir(name, dir.get());
            }
            if (number != EEXIST && number != ENOENT) {
                return std::unexpected(core.stats.failed(op::rename, number, "rename"));
            }
        } else if (copy.error() != errc::not_found) {
            return std::unexpected(copy.error());
        }
        if (until.passed()) return fail(errc::timeout);
    }
}

}  // namespace keepstore::volumes::directory
