#include "volumes/directory/root_handle.hpp"

#include "volumes/directory/device_id.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include <algorithm>
#include <bit>
#include <cerrno>

namespace keepstore::volumes::directory {
namespace {

using steady = std::chrono::steady_clock;

// How long the descriptor is trusted to be the directory at the path.
constexpr std::chrono::seconds freshness{1};
constexpr unsigned xfs_magic = 0x58465342;  // Not in linux/magic.h of Debian 12.

std::int64_t now_ticks() {
    return std::chrono::nanoseconds(steady::now().time_since_epoch()).count();
}

// Returns whether open() of a cached name and fstat() never talk to a server.
bool is_local(int fd) {
    struct statfs fs{};
    if (::fstatfs(fd, &fs) != 0) return false;
    constexpr std::array<unsigned, 5> known{EXT4_SUPER_MAGIC, xfs_magic, BTRFS_SUPER_MAGIC, TMPFS_MAGIC,
                                            F2FS_SUPER_MAGIC};
    return std::ranges::find(known, static_cast<unsigned>(fs.f_type)) != known.end();
}

// The file system's UUID, shortened. statfs of XFS has the device number in place of it.
std::uint64_t xfs_id(int fd) {
    // XFS_IOC_FSGEOMETRY_V1 of xfs_fs.h, which is part of xfsprogs.
    struct geometry {
        std::array<std::uint32_t, 8> sizes;
        std::array<std::uint64_t, 4> counts;
        std::array<std::uint64_t, 2> uuid;
        std::array<std::uint32_t, 8> more;
    };
    geometry g{};
    static_assert(sizeof g == 112);
    return ::ioctl(fd, _IOR('X', 100, geometry), &g) == 0 ? g.uuid[0] ^ g.uuid[1] : 0;
}

std::int64_t birth_of(int fd) {
    struct statx s{};
    if (::statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &s) != 0 || (s.stx_mask & STATX_BTIME) == 0) return 0;
    return s.stx_btime.tv_sec * std::int64_t{1'000'000'000} + s.stx_btime.tv_nsec;
}

int openat2(int dir, const char* path, int flags, unsigned mode, std::uint64_t resolve) {
    open_how how{};
    how.flags = static_cast<std::uint64_t>(static_cast<unsigned>(flags));
    how.mode = mode;
    how.resolve = resolve;
    return static_cast<int>(::syscall(SYS_openat2, dir, path, &how, sizeof how));
}

// Not in kernels before 5.6, nor in containers whose seccomp filter does not know the call.
bool has_openat2() {
    static const bool available = [] {
        const unique_fd probe(openat2(AT_FDCWD, "/", O_PATH | O_CLOEXEC, 0, 0));
        return static_cast<bool>(probe);
    }();
    return available;
}

}  // namespace

result<root_handle::identity> root_handle::identify(int fd) {
    struct stat status{};
    struct statfs fs{};
    if (::fstat(fd, &status) != 0) return std::unexpected(error_from_errno(errno, "stat"));
    if (::fstatfs(fd, &fs) != 0) return std::unexpected(error_from_errno(errno, "statfs"));
    identity out{.device = status.st_dev, .inode = status.st_ino, .type = fs.f_type, .id = 0, .born = birth_of(fd)};
    // These compute it from a UUID; others from the device number, or have none.
    constexpr std::array<unsigned, 4> lasting{EXT4_SUPER_MAGIC, BTRFS_SUPER_MAGIC, TMPFS_MAGIC, F2FS_SUPER_MAGIC};
    if (std::ranges::find(lasting, static_cast<unsigned>(fs.f_type)) != lasting.end()) {
        out.id = std::bit_cast<std::uint64_t>(fs.f_fsid);
    } else if (static_cast<unsigned>(fs.f_type) == xfs_magic) {
        out.id = xfs_id(fd);
    }
    return out;
}

result<void> root_handle::open() {
    fd_ = unique_fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd_) return std::unexpected(error_from_errno(errno, "open"));
    KS_TRY(original_, identify(fd()));
    uuid_ = filesystem_uuid(path_);
    source_ = mount_source(path_);
    local_ = is_local(fd());
    checked_at_ = now_ticks();
    return success();
}

bool root_handle::fresh() const noexcept {
    const auto age = now_ticks() - checked_at_.load(std::memory_order_relaxed);
    return age < std::chrono::nanoseconds(freshness).count();
}

bool root_handle::is_original(const identity& found) const {
    if (found.inode != original_.inode || found.type != original_.type || found.id != original_.id ||
        found.born != original_.born) {
        return false;
    }
    if (found.device == original_.device || found.id != 0) return true;
    return uuid_.empty() ? mount_source(path_) == source_ : filesystem_uuid(path_) == uuid_;
}

error root_handle::gone_error(std::string text) {
    gone_ = true;
    checked_at_ = now_ticks();
    release();
    return {errc::not_found, std::move(text)};
}

void root_handle::release() noexcept {
    if (!original_.unique()) return;
    // O_PATH: a sync of it is EBADF. EINVAL would stand for a file system that does not sync directories.
    const unique_fd nothing(::open("/dev/null", O_PATH | O_CLOEXEC));
    if (nothing) ::dup3(nothing.get(), fd(), O_CLOEXEC);
}

// Returns whether the path leads to the directory that the descriptor has open: as long as that is open, no other one
// has its numbers. Each PUT of a new block asks, so this takes two calls instead of the six below. Only on local file
// systems: others may respond from a cache of attributes.
bool root_handle::path_is_held() const {
    struct stat named{};
    struct stat held{};
    return local_ && ::stat(path_.c_str(), &named) == 0 && ::fstat(fd(), &held) == 0 && named.st_dev == held.st_dev &&
           named.st_ino == held.st_ino;
}

result<bool> root_handle::check() {
    const std::lock_guard lock(mutex_);
    if (path_is_held()) {
        checked_at_ = now_ticks();
        gone_ = false;
        return false;
    }
    unique_fd opened(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened) {
        const int number = errno;
        switch (number) {
            case ENOENT:
            case ENOTDIR:
            case ENOTCONN:
            case ENODEV:
                return std::unexpected(gone_error("the root directory is not there"));
            default:
                return std::unexpected(error_from_errno(number, "open"));
        }
    }
    KS_TRY(const identity named, identify(opened.get()));
    if (!is_original(named)) {
        return std::unexpected(gone_error("the root is another directory than at the start"));
    }
    const auto held = identify(fd());
    const bool same = held && held->device == named.device && held->inode == named.inode;
    if (same) {
        checked_at_ = now_ticks();
    } else {
        KS_CHECK(replace_root(std::move(opened)));
        original_.device = named.device;  // Another file system may get the number that is no longer held open.
    }
    gone_ = false;
    return !same;
}

result<void> root_handle::ensure() {
    if (!fresh()) {
        if (const auto checked = check(); !checked && checked.error() != errc::not_found) {
            return std::unexpected(checked.error());
        }
    }
    if (gone()) return fail(errc::unavailable, "volume is not there");
    return success();
}

result<void> root_handle::replace_root(unique_fd opened) {
    for (auto& bits : durable_) bits = 0;
    local_ = is_local(opened.get());
    if (::dup3(opened.get(), fd(), O_CLOEXEC) < 0) return std::unexpected(error_from_errno(errno, "dup"));
    checked_at_ = now_ticks();
    return success();
}

bool root_handle::dir_is_durable(unsigned index) const noexcept {
    return (durable_[index / 64].load(std::memory_order_acquire) >> (index % 64) & 1) != 0;
}

void root_handle::set_dir_durable(unsigned index, bool durable) noexcept {
    const std::uint64_t bit = std::uint64_t{1} << (index % 64);
    if (durable) {
        durable_[index / 64].fetch_or(bit, std::memory_order_acq_rel);
    } else {
        durable_[index / 64].fetch_and(~bit, std::memory_order_acq_rel);
    }
}

int open_beneath(int dir, const char* path, int flags, unsigned mode) noexcept {
    flags |= O_CLOEXEC | O_NOFOLLOW;
    if (has_openat2()) {
        const int fd = openat2(dir, path, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
        // EAGAIN: because of a concurrent rename the kernel could not prove "beneath".
        if (fd >= 0 || errno != EAGAIN) return fd;
    }
    return ::openat(dir, path, flags, mode);
}

int open_cached(int dir, const char* path, int flags) noexcept {
    if (!has_openat2()) {
        errno = ENOSYS;
        return -1;
    }
    const int fd =
        openat2(dir, path, flags | O_CLOEXEC | O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_CACHED);
    if (fd < 0 && errno == EINVAL) errno = ENOSYS;  // Kernels 5.6 to 5.11 have no RESOLVE_CACHED.
    return fd;
}

}  // namespace keepstore::volumes::directory
