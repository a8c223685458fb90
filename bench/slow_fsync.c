// LD_PRELOAD: each fsync takes SLOW_FSYNC_MS milliseconds more, as on a disk whose flushes take that long. The sync of
// the host's own disk hides how many of them a workload needs.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int fsync(int fd) {
    static int (*next)(int);
    static long milliseconds;
    if (!next) {
        const char* const text = getenv("SLOW_FSYNC_MS");
        milliseconds = text ? atol(text) : 0;
        next = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    }
    const struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&pause, NULL);
    return next(fd);
}
