#include "volumes/directory/root_handle.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#include <algorithm>
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

// mkdir -p; each new entry is synced from the outermost inwards.
result<void> make_dirs(const std::string& path, bool sync) {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        const std::string dir = path.substr(0, end);
        if (::mkdir(dir.c_str(), 0755) == 0) {
            if (sync) {
                const auto slash = dir.rfind('/');
                const unique_fd parent(
                    ::open(slash == 0 ? "/" : dir.substr(0, slash).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
                if (!parent || ::fsync(parent.get()) != 0) return std::unexpected(error_from_errno(errno, "fsync"));
            }
        } else if (errno != EEXIST) {
            return std::unexpected(error_from_errno(errno, "mkdir"));
        }
        if (end == std::string::npos) return success();
    }
}

}  // namespace

result<void> root_handle::open() {
    fd_ = unique_fd(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd_) return std::unexpected(error_from_errno(errno, "open"));
    local_ = is_local(fd());
    checked_at_ = now_ticks();
    return success();
}

bool root_handle::fresh() const noexcept {
    const auto age = now_ticks() - checked_at_.load(std::memory_order_relaxed);
    return age < std::chrono::nanoseconds(freshness).count();
}

bool root_handle::revalidate() {
    const std::lock_guard lock(mutex_);
    struct stat held{};
    struct stat named{};
    if (::stat(path_.c_str(), &named) != 0 || ::fstat(fd(), &held) != 0) return false;
    checked_at_ = now_ticks();
    if (held.st_dev == named.st_dev && held.st_ino == named.st_ino) return false;
    unique_fd opened(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return opened && replace_root(std::move(opened)).has_value();
}

result<void> root_handle::recreate(bool sync) {
    KS_CHECK(make_dirs(path_, sync));
    const std::lock_guard lock(mutex_);
    unique_fd opened(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!opened) return std::unexpected(error_from_errno(errno, "open"));
    return replace_root(std::move(opened));
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
