"""A file system that shows a folder through /dev/fuse, served by a process of its own: it can be stopped (every call to the
file system hangs), continued, killed (calls fail with ENOTCONN) and mounted again; and it can be slow. Needs root."""

import ctypes
import errno
import itertools
import os
import signal
import stat
import struct
import threading
import time
import unittest

from .mounts import require_root

_libc = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2
_HEADER = struct.Struct("<IIQQIIII")
_numbers = itertools.count(1 << 40)


def _time(ns):
    return ns // 10**9, ns % 10**9


class _Server:
    """Answers the kernel's requests. The protocol: include/uapi/linux/fuse.h."""

    def __init__(self, back, device, sync_seconds, sync_seconds_per_mib, new_inodes):
        self.back = back
        self.new_inodes = new_inodes
        self.sync_seconds = sync_seconds
        self.sync_seconds_per_mib = sync_seconds_per_mib
        self.unsynced = {}  # By handle, in bytes.
        self.disk = threading.Lock()  # One sync after the other; other calls go on meanwhile.
        self.device = device
        self.paths = {1: ""}
        self.nodes = {"": 1}
        self.operations = {
            1: self.lookup, 3: self.getattr, 4: self.setattr, 5: self.readlink, 6: self.symlink, 9: self.mkdir, 10: self.remove,
            11: self.remove, 12: self.rename, 14: self.open, 15: self.read, 16: self.write, 17: self.statfs, 18: self.release,
             25: self.nothing, 26: self.init, 27: self.open, 28: self.readdir, 29: self.release,
            30: self.nothing, 35: self.create, 45: self.rename2}

    def serve(self):
        while True:
            try:
                request = os.read(self.device, 1 << 20)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return
            length, operation, unique, node = _HEADER.unpack_from(request)[:4]
            if operation in (2, 36, 42):  # FORGET, INTERRUPT, BATCH_FORGET: without a reply.
                continue
            try:
                if operation == 20:
                    self.fsync(unique, request[_HEADER.size:length])
                    continue
                if operation not in self.operations:
                    raise OSError(errno.ENOSYS, "not served")
                self.reply(unique, self.operations[operation](node, request[_HEADER.size:length]))
            except OSError as error:
                self.reply(unique, error=error.errno or errno.EIO)
            except KeyError:
                self.reply(unique, error=errno.ESTALE)

    def reply(self, unique, data=b"", error=0):
        try:
            os.write(self.device, struct.pack("<IiQ", 16 + len(data), -error, unique) + data)
        except OSError:
            pass  # The caller was interrupted.

    def path(self, node, name=b""):
        return os.path.join(self.back, self.relative(node, name))

    def relative(self, node, name=b""):
        return os.path.join(self.paths[node], os.fsdecode(name)) if name else self.paths[node]

    def attributes(self, path):
        s = os.lstat(path)
        (a, an), (m, mn), (c, cn) = _time(s.st_atime_ns), _time(s.st_mtime_ns), _time(s.st_ctime_ns)
        number = next(_numbers) if self.new_inodes and stat.S_ISREG(s.st_mode) else s.st_ino
        return struct.pack("<QQQqqqIIIIIIIIII", number, s.st_size, s.st_blocks, a, m, c, an, mn, cn, s.st_mode, s.st_nlink,
                           s.st_uid, s.st_gid, 0, 4096, 0)

    def entry(self, relative):
        attributes = self.attributes(os.path.join(self.back, relative))
        if relative not in self.nodes:
            self.nodes[relative] = len(self.paths) + 1
            self.paths[self.nodes[relative]] = relative
        return struct.pack("<QQQQII", self.nodes[relative], 0, 0, 0, 0, 0) + attributes

    def init(self, _, body):
        _, _, read_ahead, flags = struct.unpack_from("<IIII", body)
        return struct.pack("<IIIIHHIIHHI", 7, 31, read_ahead, flags & (1 << 5), 16, 12, 1 << 17, 1, 32, 0, 0) + bytes(28)

    def nothing(self, *_):
        return b""

    def lookup(self, node, body):
        return self.entry(self.relative(node, body.rstrip(b"\0")))

    def getattr(self, node, _):
        return struct.pack("<QII", 0, 0, 0) + self.attributes(self.path(node))

    def setattr(self, node, body):
        valid, _, _, size, _, at, mt, _, atn, mtn, _, mode = struct.unpack_from("<IIQQQqqqIIII", body)
        path = self.path(node)
        if valid & 1:
            os.chmod(path, stat.S_IMODE(mode))
        if valid & 8:
            os.truncate(path, size)
        if valid & (16 | 32):
            os.utime(path, ns=(at * 10**9 + atn, mt * 10**9 + mtn))
        return self.getattr(node, b"")

    def readlink(self, node, _):
        return os.fsencode(os.readlink(self.path(node)))

    def symlink(self, node, body):
        name, target = body.split(b"\0")[:2]
        os.symlink(target, os.fsencode(self.path(node, name)))
        return self.entry(self.relative(node, name))

    def mkdir(self, node, body):
        mode, umask = struct.unpack_from("<II", body)
        name = body[8:].rstrip(b"\0")
        os.mkdir(self.path(node, name), mode & ~umask)
        return self.entry(self.relative(node, name))

    def remove(self, node, body):
        path = self.path(node, body.rstrip(b"\0"))
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)
        self.drop(self.relative(node, body.rstrip(b"\0")))
        return b""

    def rename(self, node, body, skip=8, flags=0):
        target, = struct.unpack_from("<Q", body)
        old, new = body[skip:].split(b"\0")[:2]
        source, into = self.relative(node, old), self.relative(target, new)
        if flags & 1 and os.path.lexists(os.path.join(self.back, into)):  # RENAME_NOREPLACE
            raise FileExistsError(errno.EEXIST, into)
        os.rename(os.path.join(self.back, source), os.path.join(self.back, into))
        self.drop(into)
        if source in self.nodes:
            number = self.nodes.pop(source)
            self.nodes[into], self.paths[number] = number, into
        return b""

    def rename2(self, node, body):
        return self.rename(node, body, 16, struct.unpack_from("<QI", body)[1])

    def drop(self, relative):
        self.nodes.pop(relative, None)

    def opened(self, path, flags, mode=0):
        return struct.pack("<QII", os.open(path, flags & ~(os.O_NOFOLLOW | os.O_DIRECT) | os.O_CLOEXEC, mode), 0, 0)

    def open(self, node, body):
        return self.opened(self.path(node), struct.unpack_from("<I", body)[0] & ~(os.O_CREAT | os.O_EXCL))

    def create(self, node, body):
        flags, mode, umask, _ = struct.unpack_from("<IIII", body)
        name = body[16:].rstrip(b"\0")
        handle = self.opened(self.path(node, name), flags | os.O_CREAT, mode & ~umask)
        return self.entry(self.relative(node, name)) + handle

    def read(self, _, body):
        handle, offset, size = struct.unpack_from("<QQI", body)
        return os.pread(handle, size, offset)

    def write(self, _, body):
        handle, offset, size = struct.unpack_from("<QQI", body)
        self.unsynced[handle] = self.unsynced.get(handle, 0) + size
        return struct.pack("<II", os.pwrite(handle, body[40:40 + size], offset), 0)

    def fsync(self, unique, body):
        unsynced = self.unsynced.pop(struct.unpack_from("<Q", body)[0], 0)
        seconds = self.sync_seconds + unsynced / (1 << 20) * self.sync_seconds_per_mib

        def work():
            with self.disk:
                time.sleep(seconds)
            self.reply(unique)

        threading.Thread(target=work).start()

    def release(self, _, body):
        os.close(struct.unpack_from("<Q", body)[0])
        return b""

    def statfs(self, *_):
        s = os.statvfs(self.back)
        return struct.pack("<QQQQQIIII", s.f_blocks, s.f_bfree, s.f_bavail, s.f_files, s.f_ffree, s.f_bsize, 255, s.f_frsize,
                           0) + bytes(24)

    def readdir(self, node, body):
        _, offset, size = struct.unpack_from("<QQI", body)
        out = b""
        for i, name in enumerate([".", "..", *sorted(os.listdir(self.path(node)))][offset:], offset + 1):
            try:
                s = os.lstat(os.path.join(self.path(node), name))
            except OSError:
                continue
            raw = os.fsencode(name)
            entry = struct.pack("<QQII", s.st_ino, i, len(raw), stat.S_IFMT(s.st_mode) >> 12) + raw
            entry += bytes(-len(entry) % 8)
            if len(out) + len(entry) > size:
                break
            out += entry
        return out


class FuseMount:
    """Shows `back` at `path` until close(). Every sync of a file takes so long, and so much longer for what was written.
    `new_inodes`: a file has another inode number each time it is looked at."""

    def __init__(self, back, path, sync_seconds=0, sync_seconds_per_mib=0, new_inodes=False):
        require_root()
        self.habits = (sync_seconds, sync_seconds_per_mib, new_inodes)
        self.back = back
        self.path = path
        self.pid = 0
        self.mount()

    def mount(self):
        try:
            device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise unittest.SkipTest(f"cannot use /dev/fuse here: {error}") from None
        options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if _libc.mount(b"keepfuse", self.path.encode(), b"fuse", 0, options) != 0:
            os.close(device)
            raise unittest.SkipTest(f"cannot mount FUSE here: {os.strerror(ctypes.get_errno())}")
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _Server(self.back, device, *self.habits).serve()
            finally:
                os._exit(0)
        os.close(device)

    def stop(self):
        """Every call to the file system hangs until resume()."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def resume(self):
        if self.pid:
            os.kill(self.pid, signal.SIGCONT)

    def die(self):
        """The server is gone; the mount stays, and calls fail with ENOTCONN."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0

    def unmount(self):
        _libc.umount2(self.path.encode(), _MNT_DETACH)

    def close(self):
        self.die()
        self.unmount()
