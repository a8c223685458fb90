/* fsdown MOUNTPOINT [FLAG]: a power cut for one ext4 or XFS file system (FS_IOC_SHUTDOWN).
 *
 * FLAG 2 (default): everything not yet flushed is lost, as when the power goes. 1: the log is flushed first, so that
 * metadata is newer than data. 0: everything is synced first. Afterwards all I/O on it fails until it is mounted anew.
 *
 * Refuses anything that is not on a loop device: shutting down a real file system stops the machine.
 * Exit codes: 0 done, 1 the system refused, 2 usage, 3 not a loop device. */

#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { loop_major = 7 }; /* Documentation/admin-guide/devices.txt */

/* The same number on ext4, XFS and f2fs; <linux/fs.h> only has it since 6.10. */
#define KEEPSTORE_FS_IOC_SHUTDOWN _IOR('X', 125, uint32_t)

int main(int argc, char** argv) {
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: fsdown MOUNTPOINT [0|1|2]\n");
        return 2;
    }
    uint32_t flag = 2;
    if (argc == 3) {
        char* end = NULL;
        const unsigned long value = strtoul(argv[2], &end, 10);
        if (end == argv[2] || *end != '\0' || value > 2) {
            fprintf(stderr, "fsdown: the flag is 0, 1 or 2\n");
            return 2;
        }
        flag = (uint32_t)value;
    }
    struct stat there;
    struct stat top;
    const int fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &there) != 0 || stat("/", &top) != 0) {
        perror(argv[1]);
        return 1;
    }
    if (there.st_dev == top.st_dev || major(there.st_dev) != loop_major) {
        fprintf(stderr, "fsdown: refusing, %s is not on a loop device\n", argv[1]);
        return 3;
    }
    if (ioctl(fd, KEEPSTORE_FS_IOC_SHUTDOWN, &flag) != 0) {
        perror("FS_IOC_SHUTDOWN");
        return 1;
    }
    return 0;
}
