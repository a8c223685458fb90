/// File system calls of this process that a test can watch, delay or fail: the test binary defines the functions
/// itself (file_calls.cpp), so that the driver's calls come here first.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>

#include <functional>

namespace keepstore::test {

enum class file_call {
    flock,
    fsync,
    futimens,
    getdents,
    linkat,
    pread,
    pwrite,
    pwritev,
    renameat,
    renameat2,
    start_writeback,     ///< sync_file_range() that starts to write a range to the disk.
    wait_for_writeback,  ///< sync_file_range() that waits for that.
    statx,
};

/// Called before the real call, on the thread that makes it; `fd` is the file, or the directory of a name.
/// \returns 0 to let the call go on, or the errno with which it fails.
using file_call_hook = std::function<int(file_call which, int fd)>;

/// Sets the hook for its lifetime. One at a time. Calls that it blocks must have returned before it ends.
class file_call_watch {
  public:
    explicit file_call_watch(file_call_hook hook);
    ~file_call_watch();
    file_call_watch(const file_call_watch&) = delete;
    file_call_watch& operator=(const file_call_watch&) = delete;
};

inline bool is_directory(int fd) {
    struct stat status{};
    return ::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

}  // namespace keepstore::test
