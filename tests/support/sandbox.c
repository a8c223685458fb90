/* Runs a program under restrictions like those of packaging/keepstore.service, without systemd. Needs root.
 *
 *     sandbox SYSCALLS WRITABLE[:WRITABLE...] PROGRAM ARGUMENT...
 *
 * SYSCALLS is a file with the names of the allowed system calls, one a line; any other gives EPERM. The file system is
 * read-only but for the WRITABLE folders, /proc shows only this process's own view, there are no capabilities, and no new
 * privileges can be had.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <unistd.h>

static void die(const char *what) {
    fprintf(stderr, "sandbox: %s: %s\n", what, strerror(errno));
    exit(125);
}

static void allow_listed(const char *path) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    FILE *list = fopen(path, "r");
    char name[128];
    if (!filter || !list) die(path);
    while (fscanf(list, "%127s", name) == 1) {
        /* Names of other architectures resolve to negative pseudo numbers. */
        const int number = seccomp_syscall_resolve_name(name);
        if (number >= 0 && seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 0) != 0) die(name);
    }
    fclose(list);
    if (seccomp_load(filter) != 0) die("seccomp_load");
    seccomp_release(filter);
}

static void make_read_only(char *writable) {
    if (unshare(CLONE_NEWNS) != 0) die("unshare");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) die("private mounts");
    for (char *folder = strtok(writable, ":"); folder; folder = strtok(NULL, ":")) {
        if (mount(folder, folder, NULL, MS_BIND | MS_REC, NULL) != 0) die(folder);
    }
    if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0) die("read-only root");
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2,subset=pid") != 0) die("/proc");
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fputs("usage: sandbox SYSCALLS WRITABLE[:WRITABLE...] PROGRAM ARGUMENT...\n", stderr);
        return 125;
    }
    make_read_only(argv[2]);
    for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) continue;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) die("no_new_privs");
    allow_listed(argv[1]);
    execvp(argv[3], argv + 3);
    die(argv[3]);
}
