/* LD_PRELOAD: a system that withholds threads, name lookups or files, as the folder KEEPSTORE_SHIM says.
 *
 *   FOLDER/no-threads   exists: pthread_create fails with EAGAIN. Its content, if any, is the number of threads that are
 *                       still made.
 *   FOLDER/no-names     exists: getaddrinfo waits until it is gone, and creates FOLDER/asked.
 *   FOLDER/hold         contains a path: opening it, or anything below it, waits until the file is gone. */

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
#include <sys/syscall.h>
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

static void pause_briefly(void) {
    const struct timespec t = {0, 10 * 1000 * 1000};
    nanosleep(&t, 0);
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

int getaddrinfo(const char* host, const char* service, const struct addrinfo* hints, struct addrinfo** found) {
    static int (*real)(const char*, const char*, const struct addrinfo*, struct addrinfo**);
    if (!real) *(void**)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    char text[8];
    while (control("no-names", text, sizeof text) >= 0) {
        char path[4096];
        snprintf(path, sizeof path, "%s/asked", getenv("KEEPSTORE_SHIM"));
        const int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0) close(fd);
        pause_briefly();
    }
    return real(host, service, hints, found);
}

static void hold(const char* path) {
    char held[4096];
    while (control("hold", held, sizeof held) > 0 && strncmp(path, held, strlen(held)) == 0) pause_briefly();
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
