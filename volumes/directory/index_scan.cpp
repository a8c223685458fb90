#include "volumes/directory/index_scan.hpp"

#include "base/hex.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/directory/list_dir.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <functional>

namespace keepstore::volumes::directory {
namespace {

constexpr unsigned first_batches = 4;

constexpr unsigned clock_every = 8;  // Files between two looks at the clock.

// Fills in size and time. \returns 0 or errno; EISDIR for whatever is no regular file.
int look_at(directory_core& core, int dir, const char* file, block_info& into) {
    if (!core.lacking.lacks(feature::statx)) {
        struct statx s{};
        if (::statx(dir, file, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_SIZE | STATX_MTIME, &s) == 0) {
            into.size = s.stx_size;
            into.mtime = to_block_time(s.stx_mtime.tv_sec, s.stx_mtime.tv_nsec);
            return S_ISREG(s.stx_mode) ? 0 : EISDIR;
        }
        if (errno != EPERM && !is_unsupported(errno)) return errno;
        core.lacking.found(feature::statx);
    }
    struct stat s{};
    if (::fstatat(dir, file, &s, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) return errno;
    into.size = static_cast<std::uint64_t>(s.st_size);
    into.mtime = mtime_of(s);
    return S_ISREG(s.st_mode) ? 0 : EISDIR;
}

bool is_of_keepstore(std::string_view name) {
    return parse_trash_name(name) || parse_temp_name(name);
}

bool is_prefix_of_other(std::string_view a, std::string_view b) {
    return a.starts_with(b) || b.starts_with(a);
}

}  // namespace

result<std::vector<block_info>> index_scan::step() {
    const auto end = deadline::in(limits::scan_step_time);
    std::vector<block_info> batch;
    KS_TRY(const bool listed, list_root(end));
    if (!listed) return batch;
    std::size_t batch_max = limits::index_batch_blocks;
    {
        const std::lock_guard lock(mutex_);
        if (batches_++ < first_batches) batch_max = limits::index_first_batch_blocks;
    }
    batch.reserve(batch_max);
    do {
        auto from = next_folder();
        if (!from) break;
        if (!from->fd) {
            KS_TRY(const bool there, open_folder(*from));
            if (!there) continue;
        }
        if (!from->read) KS_CHECK(read_names(*from, end));
        auto& names = from->names;
        for (unsigned n = 1; from->read && !names.empty() && batch.size() < batch_max; ++n) {
            KS_CHECK(list_block(*from, names.back(), batch));
            names.pop_back();
            if (n % clock_every == 0 && end.passed()) break;
        }
        if (!from->read || !names.empty()) {
            const std::lock_guard lock(mutex_);
            unfinished_.push_back(std::move(from));
        }
    } while (batch.size() < batch_max && !end.passed());
    return batch;
}

bool index_scan::nothing_left() {
    const std::lock_guard lock(mutex_);
    return listed_ && folders_.empty() && unfinished_.empty();
}

result<bool> index_scan::list_root(deadline end) {
    const std::lock_guard one_at_a_time(root_mutex_);
    {
        const std::lock_guard lock(mutex_);
        if (listed_) return true;
    }
    if (!root_) root_ = unique_fd(::openat(core_->root.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root_) return std::unexpected(core_->stats.failed(op::open, errno, "open"));
    if (in_one_folder()) {
        root_folders_.push_back(*parse_block_dir(std::string_view(prefix_).substr(0, 3)));
    } else {
        const bool has_first_folders = prefix_.find_first_not_of('0') == std::string::npos;
        const auto entry = [&](std::string_view name, entry_type type) {
            const auto index = parse_block_dir(name);
            if (has_first_folders && type == DT_REG && name != probe_name) ++root_foreign_;
            if (index && type != DT_DIR && type != DT_UNKNOWN) return core_->warn_unexpected_entry();
            if (index && is_prefix_of_other(name, prefix_)) return root_folders_.push_back(*index);
            if (!index && is_lower_hex(name) && type != DT_DIR) core_->warn_unexpected_entry();
        };
        const auto restart = [&] {
            root_folders_.clear();
            root_foreign_ = 0;
        };
        KS_TRY(const bool complete, root_pass_.step(core_->stats, root_.get(), entry, restart, end));
        if (!complete) return false;
        foreign_ += root_foreign_;
        std::ranges::sort(root_folders_, std::greater<>());  // Taken from the back: ascending, as inodes mostly are.
    }
    const std::lock_guard lock(mutex_);
    folders_ = std::move(root_folders_);
    listed_ = true;
    return true;
}

std::unique_ptr<index_scan::folder> index_scan::next_folder() {
    const std::lock_guard lock(mutex_);
    if (!unfinished_.empty()) {
        auto out = std::move(unfinished_.back());
        unfinished_.pop_back();
        return out;
    }
    if (folders_.empty()) return nullptr;
    auto out = std::make_unique<folder>();
    out->index = folders_.back();
    folders_.pop_back();
    return out;
}

result<bool> index_scan::open_folder(folder& from) {
    const std::string dir = fmt::format("{:03x}", from.index);
    core_->stats.tick(op::open);
    from.fd = unique_fd(open_beneath(root_.get(), dir.c_str(), O_RDONLY | O_DIRECTORY));
    if (from.fd) return true;
    if (errno == ENOENT) return false;  // Removed since root was listed.
    if (errno == ENOTDIR || errno == ELOOP) {
        core_->warn_unexpected_entry();
        return false;
    }
    return std::unexpected(core_->stats.failed(op::open, errno, "open"));
}

result<void> index_scan::read_names(folder& from, deadline end) {
    const auto entry = [&](std::string_view name, entry_type type) {
        const bool wanted = is_prefix_of_other(name, prefix_);
        const auto digest = md5_digest::parse(name);
        if (!digest || !wanted) {
            const bool of_another_part =
                !wanted && (prefix_.size() > 3 || (digest && block_dir_index(*digest) == from.index));
            if (!of_another_part && !is_of_keepstore(name)) ++from.foreign;
            return;
        }
        // A block in the wrong folder cannot be opened, so it must not be listed.
        if ((type != DT_REG && type != DT_UNKNOWN) || block_dir_index(*digest) != from.index) {
            ++from.foreign;
            return core_->warn_unexpected_entry();
        }
        from.names.push_back(*digest);
    };
    const auto restart = [&] {
        from.names.clear();
        from.foreign = 0;
    };
    KS_TRY(from.read, from.pass.step(core_->stats, from.fd.get(), entry, restart, end));
    if (from.read) foreign_ += from.foreign;
    if (from.read) std::ranges::reverse(from.names);  // Taken from the back: in the directory's order.
    return success();
}

result<void> index_scan::list_block(folder& from, const md5_digest& name, std::vector<block_info>& into) {
    const block_path path(name);
    for (unsigned attempt = 1;; ++attempt) {
        block_info block{.name = name, .size = 0, .mtime = {}};
        if (const int number = look_at(*core_, from.fd.get(), path.file.data(), block); number == 0) {
            into.push_back(block);
            return success();
        } else if (number == EISDIR) {
            ++foreign_;
            core_->warn_unexpected_entry();
            return success();
        } else if (number == ENOENT) {
            return success();  // Trashed since its name was read.
        } else if (number != ESTALE || attempt == limits::directory_read_attempts) {
            return std::unexpected(core_->stats.failed(op::stat, number, "stat"));
        }
    }
}

}  // namespace keepstore::volumes::directory
