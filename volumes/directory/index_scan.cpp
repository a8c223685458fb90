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

bool is_prefix_of_other(std::string_view a, std::string_view b) {
    return a.starts_with(b) || b.starts_with(a);
}

}  // namespace

result<std::vector<block_info>> index_scan::step() {
    const auto end = deadline::in(limits::scan_step_time);
    std::vector<block_info> batch;
    std::size_t batch_max = limits::index_batch_blocks;
    {
        const std::lock_guard lock(mutex_);
        if (!listed_) {
            KS_CHECK(list_root());
            listed_ = true;
        }
        if (batches_++ < first_batches) batch_max = limits::index_first_batch_blocks;
    }
    batch.reserve(batch_max);
    // An empty batch means "finished", so continue until there is at least one block. Folders without a matching block
    // are small, and there are at most 4096.
    while (batch.size() < batch_max && (batch.empty() || !end.passed())) {
        KS_TRY(auto from, next_folder());
        if (!from) break;
        auto& names = from->names;
        for (unsigned n = 1; !names.empty() && batch.size() < batch_max; ++n) {
            KS_CHECK(list_block(*from, names.back(), batch));
            names.pop_back();
            if (n % 64 == 0 && !batch.empty() && end.passed()) break;  // Reading the clock costs, too.
        }
        if (!names.empty()) {
            const std::lock_guard lock(mutex_);
            unfinished_.push_back(std::move(from));
        }
    }
    return batch;
}

bool index_scan::nothing_left() {
    const std::lock_guard lock(mutex_);
    return listed_ && folders_.empty() && unfinished_.empty();
}

result<void> index_scan::list_root() {
    if (in_one_folder()) {
        folders_.push_back(*parse_block_dir(std::string_view(prefix_).substr(0, 3)));
        return success();
    }
    const unique_fd root(::openat(core_->root.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root) return std::unexpected(core_->stats.failed(op::open, errno, "open"));
    const auto entry = [&](std::string_view name, entry_type type) {
        const auto index = parse_block_dir(name);
        if (index && type != DT_DIR && type != DT_UNKNOWN) return core_->warn_unexpected_entry();
        if (index && is_prefix_of_other(name, prefix_)) return folders_.push_back(*index);
        if (!index && is_lower_hex(name) && type != DT_DIR) core_->warn_unexpected_entry();
    };
    KS_CHECK(list_dir(core_->stats, root.get(), entry, [&] { folders_.clear(); }));
    std::ranges::sort(folders_, std::greater<>());  // Taken from the back: ascending, as inodes mostly are.
    return success();
}

result<std::unique_ptr<index_scan::folder>> index_scan::next_folder() {
    while (true) {
        unsigned index = 0;
        {
            const std::lock_guard lock(mutex_);
            if (!unfinished_.empty()) {
                auto out = std::move(unfinished_.back());
                unfinished_.pop_back();
                return out;
            }
            if (folders_.empty()) return nullptr;
            index = folders_.back();
            folders_.pop_back();
        }
        auto opened = open_folder(index);
        if (!opened || *opened) return opened;
    }
}

result<std::unique_ptr<index_scan::folder>> index_scan::open_folder(unsigned index) {
    const std::string dir = fmt::format("{:03x}", index);
    auto out = std::make_unique<folder>();
    core_->stats.tick(op::open);
    out->fd = unique_fd(open_beneath(core_->root.fd(), dir.c_str(), O_RDONLY | O_DIRECTORY));
    if (!out->fd) {
        if (errno == ENOENT) return nullptr;  // Removed since root was listed.
        if (errno == ENOTDIR || errno == ELOOP) {
            core_->warn_unexpected_entry();
            return nullptr;
        }
        return std::unexpected(core_->stats.failed(op::open, errno, "open"));
    }
    const auto entry = [&](std::string_view name, entry_type type) {
        if (!is_prefix_of_other(name, prefix_)) return;
        const auto digest = md5_digest::parse(name);
        if (!digest) return;
        // A block in the wrong folder cannot be opened, so it must not be listed.
        if ((type != DT_REG && type != DT_UNKNOWN) || block_dir_index(*digest) != index) {
            return core_->warn_unexpected_entry();
        }
        out->names.push_back(*digest);
    };
    KS_CHECK(list_dir(core_->stats, out->fd.get(), entry, [&] { out->names.clear(); }));
    std::ranges::reverse(out->names);  // Taken from the back: in the directory's order.
    return out;
}

result<void> index_scan::list_block(folder& from, const md5_digest& name, std::vector<block_info>& into) {
    const block_path path(name);
    for (unsigned attempt = 1;; ++attempt) {
        struct statx s{};
        if (::statx(from.fd.get(), path.file.data(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
                    STATX_TYPE | STATX_SIZE | STATX_MTIME, &s) == 0) {
            if (!S_ISREG(s.stx_mode)) {
                core_->warn_unexpected_entry();
                return success();
            }
            into.push_back(
                {name, s.stx_size,
                 block_time(std::chrono::seconds(s.stx_mtime.tv_sec) + std::chrono::nanoseconds(s.stx_mtime.tv_nsec))});
            return success();
        }
        if (errno == ENOENT) return success();  // Trashed since its name was read.
        if (errno != ESTALE || attempt == limits::directory_read_attempts) {
            return std::unexpected(core_->stats.failed(op::stat, errno, "stat"));
        }
    }
}

}  // namespace keepstore::volumes::directory
