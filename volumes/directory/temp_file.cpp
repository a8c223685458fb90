#include "volumes/directory/temp_file.hpp"

#include "base/units.hpp"
#include "volumes/directory/limits.hpp"
#include "volumes/limits.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace keepstore::volumes::directory {
namespace {

// Alignment of the pool's chunks, in bytes; a device that needs more gets buffered writes.
constexpr unsigned memory_alignment_max = 512;
constexpr int create_attempts = 100;
// A renewed time can be outrun again by others of the block, but by ever fewer of them.
constexpr int unlocked_syncs_max = 5;
// Step of read_at(): memory for it is taken and released with each call.
constexpr std::size_t read_step_bytes = 64 * KiB;

}  // namespace

result<std::unique_ptr<temp_file>> temp_file::create(std::shared_ptr<directory_core> core, const md5_digest& name,
                                                     std::optional<std::uint64_t> size) {
    std::unique_ptr<temp_file> file(new temp_file(std::move(core), name));
    KS_CHECK(file->open());
    // Reserving makes the later sync cheaper (the size changes once) and detects a full volume early. Small files are
    // written by one write anyway.
    if (size && *size > limits::write_at_once_bytes_max) {
        if (::fallocate(file->fd_.get(), 0, 0, static_cast<off_t>(*size)) == 0) {
            file->reserved_ = *size;
        } else if (errno == ENOSPC || errno == EDQUOT) {
            return std::unexpected(file->core_->stats.failed(errno, "fallocate"));
        }
    }
    file->choose_direct(size);
    return file;
}

temp_file::~temp_file() {
    unlink();
}

result<void> temp_file::open() {
    const block_path path(block_);
    for (int i = 0; i < create_attempts; ++i) {
        KS_TRY(dir_, core_->make_dir(block_, path));
        std::string name = temp_name(block_);
        core_->stats.tick(op::create);
        fd_ = unique_fd(::openat(dir_.get(), name.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
        if (!fd_) {
            if (errno == EEXIST || errno == ENOENT) continue;  // ENOENT: the folder was just removed.
            return std::unexpected(core_->stats.failed(op::create, errno, "create"));
        }
        name_ = std::move(name);
        // Another daemon may have taken the file for a left-over one before we locked it: then it has the lock, or the
        // file is removed already.
        if (::flock(fd_.get(), LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK) {
                unlink();
                continue;
            }
            if (is_unsupported(errno) || errno == ENOLCK) core_->lacking.found(feature::file_locks);
        }
        struct stat status{};
        if (::fstat(fd_.get(), &status) != 0) return std::unexpected(core_->stats.failed(op::stat, errno, "stat"));
        if (status.st_nlink == 0) continue;
        if ((status.st_mode & 0777) != 0600) ::fchmod(fd_.get(), 0600);  // The umask masks even the owner's bits.
        return success();
    }
    return fail(errc::io_error, "create: no temp file could be made");
}

void temp_file::choose_direct(std::optional<std::uint64_t> size) noexcept {
    const auto& o = core_->options;
    const bool wanted = o.direct == direct_io::on ||
                        (o.direct == direct_io::automatic && o.sync && size && *size >= limits::direct_io_bytes_min);
    if (!wanted) return;
    struct statx s{};
    if (::statx(fd_.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &s) == 0 && (s.stx_mask & STATX_DIOALIGN) != 0) {
        if (s.stx_dio_offset_align == 0 || s.stx_dio_offset_align > direct_unit_bytes ||
            s.stx_dio_mem_align > memory_alignment_max) {
            return;
        }
        memory_alignment_ = s.stx_dio_mem_align;
    }
    direct_ = ::fcntl(fd_.get(), F_SETFL, O_DIRECT) == 0;
}

void temp_file::end_direct() noexcept {
    if (!direct_) return;
    direct_ = false;
    ::fcntl(fd_.get(), F_SETFL, 0);
}

result<void> temp_file::write(std::uint64_t offset, std::span<iovec> pieces) {
    while (!pieces.empty()) {
        const auto n = ::pwritev(fd_.get(), pieces.data(), static_cast<int>(pieces.size()), static_cast<off_t>(offset));
        if (n < 0) {
            if (errno == EINTR) continue;
            if (errno == EINVAL && direct_) {  // O_DIRECT was accepted, but these addresses are not.
                end_direct();
                continue;
            }
            return std::unexpected(core_->stats.failed(errno, "write"));
        }
        core_->stats.wrote(static_cast<std::uint64_t>(n));
        blocking_pool::note_progress();
        offset += static_cast<std::uint64_t>(n);
        auto left = static_cast<std::size_t>(n);
        while (!pieces.empty() && left >= pieces.front().iov_len) {
            left -= pieces.front().iov_len;
            pieces = pieces.subspan(1);
        }
        if (pieces.empty()) break;
        auto& first = pieces.front();
        first.iov_base = static_cast<std::byte*>(first.iov_base) + left;
        first.iov_len -= left;
        end_direct();  // The rest may not be aligned. Short writes are rare, so speed does not matter.
    }
    sync_behind(offset);
    return success();
}

// No errors: the sync of the whole file reports them. The range that is waited for is the one before the last, so that
// the disk always has a range to write.
void temp_file::sync_behind(std::uint64_t written) noexcept {
    if (direct_ || !core_->options.sync || written < sync_started_ + limits::sync_behind_bytes) return;
    const auto range = [this](std::uint64_t from, std::uint64_t to, unsigned flags) {
        ::sync_file_range(fd_.get(), static_cast<off_t>(from), static_cast<off_t>(to - from), flags);
    };
    range(sync_started_, written, SYNC_FILE_RANGE_WRITE);
    blocking_pool::note_progress();
    if (sync_started_ > 0) {
        range(0, sync_started_, SYNC_FILE_RANGE_WAIT_BEFORE);
        blocking_pool::note_progress();
    }
    sync_started_ = written;
}

result<std::size_t> temp_file::read_at(std::uint64_t offset, std::span<std::byte> into) const {
    // fd_ may have O_DIRECT set and be in use by a write, so whole units are read, into aligned memory. A descriptor
    // without O_DIRECT would need /proc, which some containers lack, or the name, which may be gone.
    struct release {
        void operator()(std::byte* p) const noexcept { std::free(p); }
    };
    const std::unique_ptr<std::byte, release> buffer(
        static_cast<std::byte*>(std::aligned_alloc(direct_unit_bytes, read_step_bytes)));
    if (!buffer) return fail(errc::unavailable, "no memory");
    std::size_t done = 0;
    while (done < into.size()) {
        const auto before = static_cast<std::size_t>((offset + done) % direct_unit_bytes);
        const std::uint64_t begin = offset + done - before;
        const std::size_t units = (before + into.size() - done + direct_unit_bytes - 1) / direct_unit_bytes;
        const std::size_t size = std::min(units * direct_unit_bytes, read_step_bytes);
        const auto n = ::pread(fd_.get(), buffer.get(), size, static_cast<off_t>(begin));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EINVAL && (::fcntl(fd_.get(), F_GETFL) & O_DIRECT) != 0) {
            ::fcntl(fd_.get(), F_SETFL, 0);  // O_DIRECT was accepted, but such reads are not. Writes need not notice.
            continue;
        }
        if (n < 0) return std::unexpected(core_->stats.failed(errno, "read"));
        const auto got = static_cast<std::size_t>(n);
        if (got <= before) break;
        const std::size_t count = std::min(got - before, into.size() - done);
        std::memcpy(into.data() + done, buffer.get() + before, count);
        done += count;
    }
    core_->stats.read(done);
    return done;
}

result<void> temp_file::seal(std::uint64_t size,
                             const std::optional<std::pair<std::string, std::vector<std::byte>>>& attribute) {
    auto& stats = core_->stats;
    if (reserved_ > size && ::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
        return std::unexpected(stats.failed(errno, "truncate"));
    }
    if (attribute) {
        // A file system without attributes, or without room for this one, stores the block all the same.
        static_cast<void>(::fsetxattr(fd_.get(), ("user." + attribute->first).c_str(), attribute->second.data(),
                                      attribute->second.size(), 0));
    }
    KS_CHECK(core_->renew_mtime(fd_.get()));
    if (core_->options.sync) {
        KS_CHECK(core_->sync_file(fd_.get()));
        core_->health.call_worked(traffic::writes);  // A touch says nothing of this kind: it writes no data.
        return success();
    }
    // Network file systems report lost writes when a descriptor is closed. Closing a copy keeps our lock.
    const int copy = ::dup(fd_.get());
    if (copy >= 0 && ::close(copy) != 0 && errno != EINTR) return std::unexpected(stats.failed(errno, "close"));
    return success();
}

result<void> temp_file::put_in_place(deadline until) {
    const block_path path(block_);
    const char* const target = path.file.data();
    KS_CHECK(rename_to(target, until));
    name_.clear();
    ::flock(fd_.get(), LOCK_UN);  // The block can be touched while its folder is being synced.
    return core_->sync_dir(block_, dir_.get());
}

result<void> temp_file::rename_to(const char* target, deadline until) {
    auto& stats = core_->stats;
    for (int syncs = 0;;) {
        if (!core_->lacking.lacks(feature::rename_noreplace)) {
            stats.tick(op::rename);
            if (::renameat2(dir_.get(), name_.c_str(), dir_.get(), target, RENAME_NOREPLACE) == 0) return success();
            if (is_unsupported(errno)) {
                core_->lacking.found(feature::rename_noreplace);
            } else if (errno != EEXIST) {
                return std::unexpected(stats.failed(op::rename, errno, "rename"));
            }
        }
        // The name is taken. The holder of the old file's lock may be about to trash it, having checked its age; after
        // our rename that would trash our file. While we hold the lock, and the name is still the old file's, no
        // process is.
        auto old = open_locked(*core_, dir_.get(), target, until);
        if (!old && old.error() != errc::not_found) {
            if (old.error().cause.value() != EACCES) return std::unexpected(old.error());
        }
        struct stat status{};
        bool there = old.has_value();
        if (there) {
            status = old->status;
        } else {
            there = ::fstatat(dir_.get(), target, &status, AT_SYMLINK_NOFOLLOW) == 0;
        }
        if (!old && old.error() == errc::not_found) {
            // Trashed meanwhile, or restored since: start again. An entry that is no regular file is replaced.
            if (there ? S_ISREG(status.st_mode) : !core_->lacking.lacks(feature::rename_noreplace)) {
                if (until.passed()) return fail(errc::timeout, "block keeps being replaced");
                continue;
            }
        }
        if (there && S_ISREG(status.st_mode)) {
            // The old file was touched after ours got its mtime, or before the clock was set back: the protection that
            // its mtime promises must hold for ours.
            struct stat own{};
            if (::fstat(fd_.get(), &own) != 0) return std::unexpected(stats.failed(op::stat, errno, "stat"));
            if (is_earlier(own.st_mtim, status.st_mtim)) {
                // Not with the lock held, at first: when many clients store a new block at once, threads would wait
                // for the syncs of all others, one after the other.
                const bool again = old && syncs < unlocked_syncs_max && !until.passed();
                if (again) old->fd.reset();
                KS_CHECK(core_->renew_mtime(fd_.get(), status.st_mtim));
                KS_CHECK(core_->sync_file(fd_.get()));
                ++syncs;
                if (again) continue;
            }
        }
        stats.tick(op::rename);
        if (::renameat(dir_.get(), name_.c_str(), dir_.get(), target) == 0) return success();
        return std::unexpected(stats.failed(op::rename, errno, "rename"));
    }
}

void temp_file::unlink() noexcept {
    if (name_.empty()) return;
    core_->stats.tick(op::unlink);
    ::unlinkat(dir_.get(), name_.c_str(), 0);
    name_.clear();
}

}  // namespace keepstore::volumes::directory
