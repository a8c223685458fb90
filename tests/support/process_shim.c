/* LD_PRELOAD: a system that withholds threads, name lookups or files, as the folder KEEPSTORE_SHIM says.
 *
 *   FOLDER/no-threads   exists: pthread_create fails with EAGAIN. Its content, if any, is the number of threads that are
 *                       still made.
 *   FOLDER/no-names     exists: getaddrinfo waits until it is gone, and creates FOLDER/asked.
 *   FOLDER/hold         contains a path: opening it, or anything below it, waits until the file is gone.
 *   FOLDER/hold-reads   contains an offset and a path: reading from there on, of a file below the path, waits until the
 *                       file is gone. FOLDER/held shows that something waits.
 *   FOLDER/no-locks     exists: flock fails with its content, the number of an error, as on a file system without locks.
 *                       Only below the path that follows it, if there is one.
 *   FOLDER/slow-lists   contains a number of milliseconds: each read of a directory takes so long.
 *   FOLDER/clock        contains a number of seconds: the clock of the system is ahead by so many. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Content of a control file in `text`. Returns its length, or -1 if there is none. */
static long control(const char* name, char* text, size_t size) {
    const char* folder = getenv("KEEPSTORE_SHIM");
    if (!folder) return -1;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
    if (fd < 0) return -1;
    const long n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? n : 0;
}

static void show(const char* name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", getenv("KEEPSTORE_SHIM"), name);
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
}

static void pause_briefly(void) {
    const struct timespec t = {0, 10 * 1000 * 1000};
    nanosleep(&t, 0);
}

int flock(int fd, int operation) {
    static int (*real)(int, int);
    if (!real) *(void**)&real = dlsym(RTLD_NEXT, "flock");
    char text[4096];
    if (control("no-locks", text, sizeof text) >= 0) {
        char* below = strchr(text, ' ');
        char link[64];
        char path[4096];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        const long n = readlink(link, path, sizeof path - 1);
        path[n > 0 ? n : 0] = 0;
        if (!below || !strncmp(path, below + 1, strlen(below + 1))) {
            errno = atoi(text);
            return -1;
        }
    }
    return real(fd, operation);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
    static int (*real)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    static atomic_long made;
    if (!real) *(void**)&real = dlsym(RTLD_NEXT, "pthread_create");
    char text[32];
    if (control("no-threads", text, sizeof text) >= 0 && atomic_load(&made) >= atol(text)) return EAGAIN;
    atomic_fetch_add(&made, 1);
    return real(thread, attributes, run, argument);
}

int clock_gettime(clockid_t clock, struct timespec* now) {
    const int outcome = (int)syscall(SYS_clock_gettime, clock, now);
    char text[32];
    if (clock == CLOCK_REALTIME && control("clock", text, sizeof text) > 0) now->tv_sec += atol(text);
    return outcome;
}

int getaddrinfo(const char* host, const char* service, const struct addrinfo* hints, struct addrinfo** found) {
    static int (*real)(const char*, const char*, const struct addrinfo*, struct addrinfo**);
    if (!real) *(void**)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    char text[8];
    while (control("no-names", text, sizeof text) >= 0) {
        show("asked");
        pause_briefly();
    }
    return real(host, service, hints, found);
}

static void hold(const char* path) {
    char held[4096];
    while (control("hold", held, sizeof held) > 0 && strncmp(path, held, strlen(held)) == 0) pause_briefly();
}

static int is_held(int fd, off_t offset) {
    char held[4096], link[64], path[4096];
    if (control("hold-reads", held, sizeof held) <= 0) return 0;
    char* below = 0;
    if (offset < strtol(held, &below, 10) || *below != ' ') return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = 0;
    return strncmp(path, below + 1, strlen(below + 1)) == 0;
}

ssize_t pread(int fd, void* into, size_t size, off_t offset) {
    while (is_held(fd, offset)) {
        show("held");
        pause_briefly();
    }
    return syscall(SYS_pread64, fd, into, size, offset);
}
/* Of cached bytes, without waiting: there are none. */
ssize_t preadv2(int fd, const struct iovec* into, int count, off_t offset, int flags) {
    if (is_held(fd, offset)) {
        errno = EAGAIN;
        return -1;
    }
    return syscall(SYS_preadv2, fd, into, count, (long)offset, 0L, flags);
}

/* The daemon reads directories by this. */
long syscall(long number, ...) {
    static long (*real)(long, ...);
    if (!real) *(void**)&real = dlsym(RTLD_NEXT, "syscall");
    long a[6];
    va_list more;
    va_start(more, number);
    for (int i = 0; i < 6; ++i) a[i] = va_arg(more, long);
    va_end(more);
    char text[32];
    if (number == SYS_getdents64 && control("slow-lists", text, sizeof text) > 0) {
        const long ms = atol(text);
        const struct timespec t = {ms / 1000, ms % 1000 * 1000 * 1000};
        nanosleep(&t, 0);
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* The mode of an open that may create a file. */
#define MODE(flags)                                \
    mode_t mode = 0;                               \
    if ((flags) & (O_CREAT | O_TMPFILE)) {         \
        va_list more;                              \
        va_start(more, flags);                     \
        mode = (mode_t)va_arg(more, unsigned int); \
        va_end(more);                              \
    }

int open(const char* path, int flags, ...) {
    MODE(flags)
    hold(path);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
int open64(const char* path, int flags, ...) {
    MODE(flags)
    hold(path);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char* path, int flags, ...) {
    MODE(flags)
    hold(path);
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}
int openat64(int folder, const char* path, int flags, ...) {
    MODE(flags)
    hold(path);
    return (int)syscall(SYS_openat, folder, path, flags, mode);
}
