#include "tests/volumes/directory/file_calls.hpp"

#include <dlfcn.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <memory>
#include <mutex>

namespace keepstore::test {
namespace {

std::mutex hook_mutex;
std::shared_ptr<const file_call_hook> current_hook;  // Guarded by hook_mutex.
thread_local bool in_hook = false;                   // The hook's own calls are not watched.

bool fails(file_call which, int fd) {
    if (in_hook) return false;
    std::shared_ptr<const file_call_hook> hook;
    {
        const std::lock_guard lock(hook_mutex);
        hook = current_hook;
    }
    if (!hook) return false;
    in_hook = true;
    const int number = (*hook)(which, fd);
    in_hook = false;
    if (number != 0) errno = number;
    return number != 0;
}

template <class F>
F* real(const char* name) {
    return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

file_call_watch::file_call_watch(file_call_hook hook) {
    const std::lock_guard lock(hook_mutex);
    current_hook = std::make_shared<const file_call_hook>(std::move(hook));
}

file_call_watch::~file_call_watch() {
    const std::lock_guard lock(hook_mutex);
    current_hook = nullptr;
}

}  // namespace keepstore::test

using keepstore::test::fails;
using keepstore::test::file_call;
using keepstore::test::real;

// NOLINTBEGIN: the C library's names and signatures.
extern "C" {

int flock(int fd, int operation) noexcept {
    static const auto next = real<int(int, int)>("flock");
    if ((operation & LOCK_EX) != 0 && fails(file_call::flock, fd)) return -1;
    return next(fd, operation);
}

int fsync(int fd) {
    static const auto next = real<int(int)>("fsync");
    return fails(file_call::fsync, fd) ? -1 : next(fd);
}

int futimens(int fd, const struct timespec times[2]) noexcept {
    static const auto next = real<int(int, const struct timespec*)>("futimens");
    return fails(file_call::futimens, fd) ? -1 : next(fd, times);
}

int linkat(int from_dir, const char* from, int to_dir, const char* to, int flags) noexcept {
    static const auto next = real<int(int, const char*, int, const char*, int)>("linkat");
    return fails(file_call::linkat, from_dir) ? -1 : next(from_dir, from, to_dir, to, flags);
}

ssize_t pread64(int fd, void* into, std::size_t size, off64_t offset) {
    static const auto next = real<ssize_t(int, void*, std::size_t, off64_t)>("pread64");
    return fails(file_call::pread, fd) ? -1 : next(fd, into, size, offset);
}

ssize_t pread(int fd, void* into, std::size_t size, off_t offset) {
    static const auto next = real<ssize_t(int, void*, std::size_t, off_t)>("pread");
    return fails(file_call::pread, fd) ? -1 : next(fd, into, size, offset);
}

ssize_t pwritev64(int fd, const iovec* pieces, int count, off64_t offset) {
    static const auto next = real<ssize_t(int, const iovec*, int, off64_t)>("pwritev64");
    return fails(file_call::pwritev, fd) ? -1 : next(fd, pieces, count, offset);
}

ssize_t pwritev(int fd, const iovec* pieces, int count, off_t offset) {
    static const auto next = real<ssize_t(int, const iovec*, int, off_t)>("pwritev");
    return fails(file_call::pwritev, fd) ? -1 : next(fd, pieces, count, offset);
}

ssize_t pwrite64(int fd, const void* from, std::size_t size, off64_t offset) {
    static const auto next = real<ssize_t(int, const void*, std::size_t, off64_t)>("pwrite64");
    return fails(file_call::pwrite, fd) ? -1 : next(fd, from, size, offset);
}

ssize_t pwrite(int fd, const void* from, std::size_t size, off_t offset) {
    static const auto next = real<ssize_t(int, const void*, std::size_t, off_t)>("pwrite");
    return fails(file_call::pwrite, fd) ? -1 : next(fd, from, size, offset);
}

int renameat(int from_dir, const char* from, int to_dir, const char* to) noexcept {
    static const auto next = real<int(int, const char*, int, const char*)>("renameat");
    return fails(file_call::renameat, from_dir) ? -1 : next(from_dir, from, to_dir, to);
}

int renameat2(int from_dir, const char* from, int to_dir, const char* to, unsigned flags) noexcept {
    static const auto next = real<int(int, const char*, int, const char*, unsigned)>("renameat2");
    return fails(file_call::renameat2, from_dir) ? -1 : next(from_dir, from, to_dir, to, flags);
}

int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags) {
    static const auto next = real<int(int, off64_t, off64_t, unsigned)>("sync_file_range");
    const bool starts = (flags & SYNC_FILE_RANGE_WRITE) != 0;
    const auto which = starts ? file_call::start_writeback : file_call::wait_for_writeback;
    return fails(which, fd) ? -1 : next(fd, offset, size, flags);
}

int statx(int dir, const char* path, int flags, unsigned mask, struct statx* out) noexcept {
    static const auto next = real<int(int, const char*, int, unsigned, struct statx*)>("statx");
    return fails(file_call::statx, dir) ? -1 : next(dir, path, flags, mask, out);
}

long syscall(long number, ...) noexcept {
    static const auto next = real<long(long, ...)>("syscall");
    va_list list;
    va_start(list, number);
    long arguments[6];
    for (long& argument : arguments) argument = va_arg(list, long);
    va_end(list);
    if (number == SYS_getdents64 && fails(file_call::getdents, static_cast<int>(arguments[0]))) return -1;
    return next(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}

}  // extern "C"
// NOLINTEND
