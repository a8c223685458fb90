#include "volumes/directory/trash_walk.hpp"

#include "base/hex.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/directory/list_dir.hpp"
#include "volumes/trash_rule.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>

namespace keepstore::volumes::directory {

result<bool> trash_walk::step() {
    const auto end = deadline::in(limits::scan_step_time);
    directory at;
    {
        const std::lock_guard lock(mutex_);
        if (pending_.empty()) return false;
        at = std::move(pending_.back());
        pending_.pop_back();
        ++active_;
    }
    totals found;
    std::optional<error> failed;
    unique_fd dir = std::move(at.fd);
    if (!dir) {
        dir =
            unique_fd(open_beneath(core_->root.fd(), at.path.empty() ? "." : at.path.c_str(), O_RDONLY | O_DIRECTORY));
    }
    if (!dir) {
        if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
            failed = core_->stats.failed(op::open, errno, "open");
        }
        at.read = true;
        at.entries.clear();
    } else if (!at.read) {
        at.fd = std::move(dir);
        if (auto r = read(at, end); !r) failed = r.error();
        dir = std::move(at.fd);
    }
    while (at.read && !at.entries.empty() && !end.passed() && !core_->stopping.load(std::memory_order_relaxed)) {
        examine(dir.get(), at.entries.back(), found);
        at.entries.pop_back();
    }
    if (failed) {
        ++found.errors;
        log::error("cannot read a directory of the volume",
                   {{"error", failed->text}, {"DeviceRoot", core_->options.root}});
    }
    const bool is_root = at.path.empty();
    const std::lock_guard lock(mutex_);
    --active_;
    totals_.trash.blocks_deleted += found.trash.blocks_deleted;
    totals_.trash.bytes_deleted += found.trash.bytes_deleted;
    totals_.trash.blocks_in_trash += found.trash.blocks_in_trash;
    totals_.trash.bytes_in_trash += found.trash.bytes_in_trash;
    totals_.temp_files_deleted += found.temp_files_deleted;
    totals_.errors += found.errors;
    if (!at.read) at.fd = std::move(dir);
    if (!at.read || !at.entries.empty()) pending_.push_back(std::move(at));
    if (failed && is_root) return std::unexpected(*failed);
    return !pending_.empty();
}

bool trash_walk::finished() const {
    const std::lock_guard lock(mutex_);
    return pending_.empty() && active_ == 0;
}

trash_walk::totals trash_walk::result_so_far() const {
    const std::lock_guard lock(mutex_);
    return totals_;
}

result<void> trash_walk::read(directory& at, deadline end) {
    const auto entry = [&](std::string_view name, entry_type type) {
        if (is_lower_hex(name)) {
            bool is_directory = type == DT_DIR;
            if (type == DT_UNKNOWN) {
                struct stat status{};
                is_directory = ::fstatat(at.fd.get(), std::string(name).c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                               S_ISDIR(status.st_mode);
            }
            if (is_directory) {
                if (const auto index = at.path.empty() ? parse_block_dir(name) : std::nullopt) {
                    at.block_dirs.push_back(*index);
                }
                at.below.push_back(at.path.empty() ? std::string(name) : at.path + "/" + std::string(name));
            }
            return;
        }
        if (type != DT_REG && type != DT_UNKNOWN) return;
        if ((what_ == what::temp_files_and_trash && parse_trash_name(name)) ||
            (core_->options.may_write && parse_temp_name(name))) {
            at.entries.emplace_back(name);
        }
    };
    const auto restart = [&] {
        at.block_dirs.clear();
        at.below.clear();
        at.entries.clear();
    };
    const auto complete = at.pass.step(core_->stats, at.fd.get(), entry, restart, end);
    at.read = !complete || *complete;
    if (!at.read) return success();
    // One sync of the root now saves one per folder: a writer need not sync the entry of a folder that existed before.
    if (what_ == what::temp_files && core_->options.sync && !at.block_dirs.empty() && complete &&
        core_->syncs.sync(fsync_group_commit::root_key, at.fd.get()) == 0) {
        for (const unsigned index : at.block_dirs) core_->root.set_dir_durable(index, true);
    }
    {
        const std::lock_guard lock(mutex_);
        for (auto& path : at.below) pending_.push_back({.path = std::move(path)});
    }
    at.below.clear();
    at.block_dirs.clear();
    if (!complete) return std::unexpected(complete.error());
    return success();
}

void trash_walk::examine(int dir, const std::string& name, totals& into) {
    if (const auto trash = parse_trash_name(name)) {
        delete_trash(dir, name, trash->deadline, into);
    } else if (const auto origin = parse_temp_name(name)) {
        delete_temp(dir, name, *origin == temp_origin::ours, into);
    }
}

void trash_walk::delete_trash(int dir, const std::string& name, std::int64_t due, totals& into) {
    struct stat status{};
    if (::fstatat(dir, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) return;
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (!trash_rule::may_delete(due, wall_clock_now())) {
        ++into.trash.blocks_in_trash;
        into.trash.bytes_in_trash += size;
        return;
    }
    // Needs no lock: an untrash of this copy has renamed it already, or will not find it.
    core_->stats.tick(op::unlink);
    if (::unlinkat(dir, name.c_str(), 0) == 0) {
        ++into.trash.blocks_deleted;
        into.trash.bytes_deleted += size;
    } else if (errno != ENOENT) {
        ++into.errors;
        log::error("cannot delete trash", {{"error", core_->stats.failed(op::unlink, errno, "unlink").text}});
    }
}

void trash_walk::delete_temp(int dir, const std::string& name, bool ours, totals& into) {
    const unique_fd fd(::openat(dir, name.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd) return;
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) return;
    // Daemons of our kind hold the lock while they write, so a file without it was left by a process that died. The Go
    // daemon takes no lock: its files count as left over by their age.
    const bool aged = mtime_of(status) <= wall_clock_now() - limits::foreign_temp_age_min;
    if (!ours && !aged) return;
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
        if (!is_unsupported(errno) && errno != ENOLCK) return;
        core_->lacking.found(feature::file_locks);
        if (!aged) return;
    }
    struct stat named{};
    if (::fstatat(dir, name.c_str(), &named, AT_SYMLINK_NOFOLLOW) != 0 || named.st_ino != status.st_ino) return;
    core_->stats.tick(op::unlink);
    if (::unlinkat(dir, name.c_str(), 0) == 0) ++into.temp_files_deleted;
}

}  // namespace keepstore::volumes::directory
