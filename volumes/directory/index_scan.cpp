#include "volumes/directory/index_scan.hpp"

#include "base/hex.hpp"
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

bool agree(std::string_view a, std::string_view b) {
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
            if (auto r = list_root(); !r) return std::unexpected(r.error());
            listed_ = true;
        }
        if (batches_++ < first_batches) batch_max = limits::index_first_batch_blocks;
    }
    batch.reserve(batch_max);
    // An empty batch would say "finished", so go on until there is one block at least. Folders without a matching block
    // are small, and a long run of them is still bounded by their number, 4096.
    while (batch.size() < batch_max && (batch.empty() || !end.passed())) {
        auto from = next_folder();
        if (!from) return std::unexpected(from.error());
        if (!*from) break;
        auto& names = (*from)->names;
        for (unsigned n = 1; !names.empty() && batch.size() < batch_max; ++n) {
            if (auto r = look_at(**from, names.back(), batch); !r) return std::unexpected(r.error());
            names.pop_back();
            if (n % 64 == 0 && !batch.empty() && end.passed()) break;  // The clock costs, too.
        }
        if (!names.empty()) {
            const std::lock_guard lock(mutex_);
            unfinished_.push_back(std::move(*from));
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
        // All of it is in one folder, which is looked for by its name.
        folders_.push_back(*parse_block_dir(std::string_view(prefix_).substr(0, 3)));
        return {};
    }
    const unique_fd root(::openat(core_->root.fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!root) return std::unexpected(core_->stats.failed(op::open, errno, "open"));
    const auto entry = [&](std::string_view name, entry_type type) {
        const auto index = parse_block_dir(name);
        if (index && type != DT_DIR && type != DT_UNKNOWN) return core_->warn_unexpected_entry();
        if (index && agree(name, prefix_)) return folders_.push_back(*index);
        if (!index && is_lower_hex(name) && type != DT_DIR) core_->warn_unexpected_entry();
    };
    if (auto r = list_dir(core_->stats, root.get(), entry, [&] { folders_.clear(); }); !r) return r;
    std::ranges::sort(folders_, std::greater<>());  // From the back: ascending, as inodes mostly are.
    return {};
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
        if (errno == ENOENT) return nullptr;  // Removed meanwhile.
        if (errno == ENOTDIR || errno == ELOOP) {
            core_->warn_unexpected_entry();
            return nullptr;
        }
        return std::unexpected(core_->stats.failed(op::open, errno, "open"));
    }
    const auto entry = [&](std::string_view name, entry_type type) {
        if (!agree(name, prefix_)) return;
        const auto digest = md5_digest::parse(name);
        if (!digest) return;
        // A block in the wrong folder cannot be read, so it must not be listed.
        if ((type != DT_REG && type != DT_UNKNOWN) || block_dir_index(*digest) != index) {
            return core_->warn_unexpected_entry();
        }
        out->names.push_back(*digest);
    };
    if (auto r = list_dir(core_->stats, out->fd.get(), entry, [&] { out->names.clear(); }); !r) {
        return std::unexpected(r.error());
    }
    std::ranges::reverse(out->names);  // They are taken from the back: in the directory's order.
    return out;
}

result<void> index_scan::look_at(folder& from, const md5_digest& name, std::vector<block_info>& into) {
    const block_path path(name);
    for (unsigned attempt = 1;; ++attempt) {
        struct statx s{};
        if (::statx(from.fd.get(), path.file.data(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
                    STATX_TYPE | STATX_SIZE | STATX_MTIME, &s) == 0) {
            if (!S_ISREG(s.stx_mode)) {
                core_->warn_unexpected_entry();
                return {};
            }
            into.push_back(
                {name, s.stx_size,
                 block_time(std::chrono::seconds(s.stx_mtime.tv_sec) + std::chrono::nanoseconds(s.stx_mtime.tv_nsec))});
            return {};
        }
        if (errno == ENOENT) return {};  // Trashed since its name was read.
        if (errno != ESTALE || attempt == limits::directory_read_attempts) {
            return std::unexpected(core_->stats.failed(op::stat, errno, "stat"));
        }
    }
}

}  // namespace keepstore::volumes::directory
