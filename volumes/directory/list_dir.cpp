#include "volumes/directory/list_dir.hpp"

#include "volumes/directory/limits.hpp"

#include <dirent.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

namespace keepstore::volumes::directory {
namespace {

constexpr int errno_bad_cookie = 523;  // EBADCOOKIE, internal to the kernel's NFS client, but it does reach programs.
constexpr std::size_t buffer_bytes = 256 * KiB;

// struct linux_dirent64 of getdents64(2), in bytes: inode 8, offset 8, record length 2, type 1, name with its zero.
constexpr std::size_t length_at = 16;
constexpr std::size_t type_at = 18;
constexpr std::size_t name_at = 19;

}  // namespace

result<bool> dir_pass::step(op_stats& stats, int dir, const std::function<void(std::string_view, entry_type)>& entry,
                            const std::function<void()>& restart, deadline end) {
    thread_local std::vector<char> buffer(buffer_bytes);
    if (attempt_ == 0) stats.tick(op::readdir);
    for (bool rewind = attempt_ == 0;; rewind = true) {
        if (rewind) {
            ++attempt_;
            if (::lseek(dir, 0, SEEK_SET) < 0) return std::unexpected(stats.failed(op::readdir, errno, "seek"));
        }
        long n = 0;
        while ((n = ::syscall(SYS_getdents64, dir, buffer.data(), buffer.size())) > 0) {
            const char* const last = buffer.data() + n;
            for (const char* at = buffer.data(); at < last;) {
                std::uint16_t length = 0;
                std::memcpy(&length, at + length_at, sizeof length);
                const std::string_view name(at + name_at);
                const auto type = static_cast<entry_type>(at[type_at]);
                at += length;
                if (name != "." && name != "..") entry(name, type);
            }
            if (end.passed()) return false;
        }
        if (n == 0) return true;
        const int number = errno;
        if (number == ENOENT) return true;  // The directory was removed while we hold it open.
        if ((number != ESTALE && number != errno_bad_cookie) || attempt_ == limits::directory_read_attempts) {
            return std::unexpected(stats.failed(op::readdir, number, "readdir"));
        }
        restart();
    }
}

result<void> list_dir(op_stats& stats, int dir, const std::function<void(std::string_view, entry_type)>& entry,
                      const std::function<void()>& restart) {
    dir_pass pass;
    KS_CHECK(pass.step(stats, dir, entry, restart, deadline::never()));
    return success();
}

}  // namespace keepstore::volumes::directory
