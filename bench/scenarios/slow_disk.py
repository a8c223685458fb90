"""A disk that writes no faster than a limit: a file system in a file, on a loop device whose writes the kernel throttles
(cgroups: blkio of version 1, or io.max of version 2). Direct I/O, which durable blocks of 1 MiB and more use, is throttled
in the process that writes. Needs root."""

import os
import shutil
import subprocess
import tempfile

from bench.scenarios.registry import Skip

V1 = "/sys/fs/cgroup/blkio"
V2 = "/sys/fs/cgroup"


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise Skip(f"{command[0]}: {done.stdout.strip()}")
    return done.stdout.strip()


class SlowDisk:
    """Use with `with`; `root` is an empty folder on it, and `throttle` puts a process under the limit."""

    def __init__(self, bench, bytes_max, bytes_per_second):
        self.bench = bench
        self.bytes_max = bytes_max
        self.rate = bytes_per_second
        self.folder = self.device = self.group = None
        self.mounted = False

    def __enter__(self):
        if os.geteuid() != 0:
            raise Skip("throttling a disk needs root")
        try:
            self._make()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _make(self):
        self.folder = tempfile.mkdtemp(prefix="slow-disk-", dir=self.bench.folder)
        image = os.path.join(self.folder, "image")
        with open(image, "wb") as file:
            file.truncate(self.bytes_max)
        run("mkfs.ext4", "-q", image)
        self.device = run("losetup", "--find", "--show", image)
        mount = os.path.join(self.folder, "mount")
        os.mkdir(mount)
        run("mount", self.device, mount)
        self.mounted = True
        self.root = os.path.join(mount, "blocks")
        os.mkdir(self.root)
        with open(f"/sys/block/{os.path.basename(self.device)}/dev") as file:
            number = file.read().strip()
        name = f"keepstore-bench-{os.getpid()}"
        try:
            if os.path.isdir(V1):
                self.group = os.path.join(V1, name)
                os.mkdir(self.group)
                self._write("blkio.throttle.write_bps_device", f"{number} {self.rate}")
            else:
                with open(os.path.join(V2, "cgroup.subtree_control"), "w") as file:
                    file.write("+io")
                self.group = os.path.join(V2, name)
                os.mkdir(self.group)
                self._write("io.max", f"{number} wbps={self.rate}")
        except OSError as e:
            raise Skip(f"no cgroup that throttles disks: {e}") from e

    def _write(self, file, text):
        with open(os.path.join(self.group, file), "w") as out:
            out.write(text)

    def throttle(self, pid):
        self._write("cgroup.procs", str(pid))

    def __exit__(self, *unused):
        if self.mounted:
            subprocess.run(["umount", os.path.join(self.folder, "mount")], check=False)
        if self.device:
            subprocess.run(["losetup", "--detach", self.device], check=False)
        if self.group and os.path.isdir(self.group):
            os.rmdir(self.group)
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
