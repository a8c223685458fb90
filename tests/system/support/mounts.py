"""File systems for tests: loop-mounted ext4 and XFS with simulated power cuts, small tmpfs that can fill up.

All of them need root and a kernel that allows mounting; otherwise the tests are skipped, with the reason.
"""

import errno
import fcntl
import os
import shutil
import subprocess
import unittest

from .daemon import binary, sanitized
from .wait import until

_FIFREEZE = 0xC0045877
_FITHAW = 0xC0045878
_LOOP_MAJOR = 7


# Runs a daemon in a mount namespace of its own, with an empty /proc, as in some containers.
WITHOUT_PROC = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /proc && exec "$@"', "sh")


def require_no_sanitizer():
    if sanitized():
        raise unittest.SkipTest("a sanitizer needs /proc, for its options, too")


def _run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def require_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root to mount file systems")


def fsdown_binary():
    path = os.environ.get("KEEPSTORE_FSDOWN") or os.path.join(os.path.dirname(binary() or ""), "fsdown")
    if not os.access(path, os.X_OK):
        raise unittest.SkipTest("fsdown is not built (set KEEPSTORE_FSDOWN)")
    return path


class Mount:
    """A mounted file system at `path`; close() unmounts and removes it."""

    def __init__(self, path):
        self.path = path
        self.device = None

    def unmount(self):
        subprocess.run(["umount", self.path], check=True, capture_output=True, timeout=60)

    def remount_options(self, options):
        _run("mount", "-o", f"remount,{options}", self.path)

    def becomes_read_only(self):
        """Whether it does; not while a file is being written."""
        try:
            self.remount_options("ro")
        except subprocess.CalledProcessError:
            return False
        return True

    def close(self):
        if os.path.ismount(self.path) and subprocess.run(["umount", self.path], capture_output=True, timeout=60).returncode:
            subprocess.run(["umount", "-l", self.path], capture_output=True, timeout=60)
        if self.device:
            subprocess.run(["losetup", "-d", self.device], capture_output=True, timeout=60)


class Tmpfs(Mount):
    def __init__(self, path, options):
        require_root()
        super().__init__(path)
        try:
            _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path)
        except subprocess.CalledProcessError as e:
            raise unittest.SkipTest(f"cannot mount tmpfs here: {e.stderr.strip()}") from None


class LoopMount(Mount):
    """ext4 or XFS in a sparse file, with a power switch."""

    def __init__(self, kind, folder, size_mb=400):
        require_root()
        if not shutil.which(f"mkfs.{kind}"):
            raise unittest.SkipTest(f"mkfs.{kind} is not installed")
        path = os.path.join(folder, f"{kind}.mnt")
        os.makedirs(path)
        super().__init__(path)
        self.image = os.path.join(folder, f"{kind}.img")
        with open(self.image, "wb") as file:
            file.truncate(size_mb << 20)
        try:
            _run(f"mkfs.{kind}", "-q", *(["-F"] if kind == "ext4" else []), self.image)
            self.device = _run("losetup", "-f", "--show", self.image)
            _run("mount", self.device, path)
        except subprocess.CalledProcessError as e:
            self.close()
            raise unittest.SkipTest(f"cannot loop-mount {kind} here: {e.stderr.strip()}") from None
        self.root = os.path.join(path, "keep")
        os.mkdir(self.root)
        _run("sync", "-f", path)

    def power_cut(self, flag=2):
        """Loses everything that was not synced; all further I/O fails until remount()."""
        _run(fsdown_binary(), self.path, str(flag))

    def remount(self):
        """Unmount and mount: replays the journal, like a reboot."""
        self.unmount()
        # A mount namespace that was made meanwhile, by another test, has a copy of the mount for as long as it lives. Then the
        # device would be mounted as it is, shut down, and without a replay.
        until(self._is_free, 30, f"{self.device} is not mounted anywhere")
        _run("mount", self.device, self.path)

    def _is_free(self):
        try:
            os.close(os.open(self.device, os.O_RDONLY | os.O_EXCL))
        except OSError as e:
            if e.errno != errno.EBUSY:
                raise
            return False
        return True

    def freeze(self):
        """Makes every write to it hang, uninterruptibly, until thaw(): a simulated hung disk."""
        self._ioctl(_FIFREEZE)

    def thaw(self):
        try:
            self._ioctl(_FITHAW)
        except OSError:
            pass  # It was not frozen.

    def _ioctl(self, request):
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if os.major(os.fstat(descriptor).st_dev) != _LOOP_MAJOR:
                raise AssertionError(f"{self.path} is not on a loop device")
            fcntl.ioctl(descriptor, request, 0)
        finally:
            os.close(descriptor)
