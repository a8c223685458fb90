#include "daemon/standard_descriptors.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace keepstore::daemon {

void open_standard_descriptors() {
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
        if (::fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        // The lowest free number, which is `fd`, since those below are open. Without O_CLOEXEC, as stderr of a child.
        if (::open("/dev/null", O_RDWR) < 0) return;
    }
}

}  // namespace keepstore::daemon
