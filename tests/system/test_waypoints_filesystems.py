"""Waypoints without room or permission to store them: everything works, and the log is not flooded."""

import os
import random
import subprocess

from support import waypoints
from support.case import KeepstoreCase, main, seed
from support.client import Closed
from support.daemon import block_path, directory_volume, store
from support.locator import md5, plain
from support.mounts import LoopMount, Mount, Tmpfs, require_root
from support.wait import until
from support.waypoints import MiB, identity


class FileSystem(KeepstoreCase):
    """Everything works without waypoints, and the log is not flooded."""

    def read_all(self, daemon, root, attribute_fits, put=True):
        """PUT, GET, HEAD, ranges, damage. `attribute_fits(size)`: whether a block of this size can have waypoints."""
        rng = random.Random(seed())
        for size in (1000, 300_000, 5 * MiB):
            fits = size > waypoints.WITHOUT and attribute_fits(size)
            for how in ("PUT", "file") if put else ("file",):
                with self.subTest(size=size, how=how):
                    data = rng.randbytes(size)
                    if how == "PUT":
                        self.assert_reply(daemon.put(data), 200)
                        self.assert_reply(daemon.put(data), 200)
                    else:
                        store(root, md5(data), data)
                    for _ in range(2):
                        response = daemon.get(plain(data))
                        self.assertTrue(response.complete and response.status == 200 and response.body == data, response)
                        response = daemon.get(plain(data), headers={"Range": "bytes=500-70000"})
                        self.assertEqual(response.status, 206)
                        self.assertTrue(response.complete and response.body == data[500:70001])
                        self.assert_reply(daemon.get(plain(data), method="HEAD"), 200, b"")
                    path = block_path(root, md5(data))
                    if fits:
                        until(lambda: waypoints.load(path), 5, "waypoints")
                    until(lambda: not daemon.inspect(), what="no request under way")
                    self.assertEqual(waypoints.load(path) is not None, fits)
                    with open(path, "r+b") as file:
                        file.seek(size - 1)
                        file.write(bytes([data[-1] ^ 1]))
                    try:
                        response = daemon.get(plain(data))
                        self.assertFalse(response.status == 200 and response.complete)
                    except Closed:
                        pass
                    self.assertEqual(daemon.get(plain(data), method="HEAD").status, 502)
                    os.unlink(path)
        daemon.assert_nothing_held()
        noise = [e for e in daemon.log.entries() if "attribute" in str(e).lower() or "xattr" in str(e).lower()]
        self.assertLessEqual(len(noise), 1, noise)

    def no_volume_errors(self, daemon):
        """An attribute that cannot be stored is no failure of the disk."""
        errors = {key: v for key, v in daemon.metrics().items() if key[0] == "arvados_keepstore_volume_errors" and v}
        self.assertEqual(errors, {})

    def mounted(self, mount):
        self.addCleanup(mount.close)
        return mount

    def test_tmpfs(self):
        root = self.mounted(Tmpfs(self.dir.make("tmpfs"), "size=200m")).path
        supported = waypoints.supported(root)
        print(f"tmpfs with user attributes: {supported}", flush=True)
        daemon = self.start([root])
        self.read_all(daemon, root, lambda size: supported)
        self.no_volume_errors(daemon)

    def test_none_at_all(self):
        """ramfs has no attributes on any kernel."""
        require_root()
        path = self.dir.make("ramfs")
        if subprocess.run(["mount", "-t", "ramfs", "ramfs", path], capture_output=True, timeout=60).returncode:
            self.skipTest("cannot mount ramfs here")
        root = self.mounted(Mount(path)).path
        self.assertFalse(waypoints.supported(root))
        daemon = self.start([root])
        # It reports no free space, so only files of other programs are in it.
        self.read_all(daemon, root, lambda size: False, put=daemon.put(b"is there space").status == 200)
        self.no_volume_errors(daemon)

    def formatted(self, kind, *options, mount="defaults"):
        """A loop-mounted file system made with these options."""
        require_root()
        made = Mount(self.dir.make(kind))
        image = os.path.join(self.dir.path, kind + ".img")
        with open(image, "wb") as file:
            file.truncate(200 << 20)
        try:
            for command in (["mkfs." + kind, "-q", *options, image],
                            ["mount", "-o", "loop," + mount, image, made.path]):
                subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        except FileNotFoundError:
            self.skipTest(f"mkfs.{kind} is not installed")
        except subprocess.CalledProcessError as e:
            self.skipTest(f"{' '.join(e.cmd[:3])}: {(e.stderr.strip().splitlines() or ['failed'])[0]}")
        return self.mounted(made).path

    def test_a_mount_option_forbids_them(self):
        root = self.formatted("ext4", "-F", mount="nouser_xattr")
        self.assertFalse(waypoints.supported(root))
        daemon = self.start([root])
        self.read_all(daemon, root, lambda size: False)
        self.no_volume_errors(daemon)

    def test_a_too_small_attribute_space(self):
        """ext4 with blocks of 1 KiB has room for those of small blocks only."""
        root = self.formatted("ext4", "-F", "-b", "1024", "-I", "128")
        self.assertFalse(waypoints.supported(root))
        daemon = self.start([root])
        self.read_all(daemon, root, lambda size: True)
        data = os.urandom(4 * MiB)  # 64 segments, 1,024 bytes of waypoints.
        self.assert_reply(daemon.put(data), 200)
        self.assertTrue(daemon.get(plain(data)).body == data)
        until(lambda: not daemon.inspect(), what="no request under way")
        self.assertIsNone(waypoints.load(block_path(root, md5(data))))
        self.no_volume_errors(daemon)

    def test_a_full_attribute_space(self):
        root = self.formatted("ext4", "-F")
        daemon = self.start([root])
        data = os.urandom(5 * MiB)
        path = store(root, md5(data), data)
        fillers = 0
        with self.assertRaises(OSError):
            while fillers < 1000:
                os.setxattr(path, f"user.filler{fillers}", bytes(200))
                fillers += 1
        before = identity(path)
        for _ in range(3):
            self.assertTrue(daemon.get(plain(data)).body == data)
            self.assert_reply(daemon.get(plain(data), method="HEAD"), 200, b"")
        until(lambda: not daemon.inspect(), what="no request under way")
        self.assertIsNone(waypoints.load(path))
        self.assertEqual(identity(path), before)
        self.no_volume_errors(daemon)
        # When there is room again they are written.
        for i in range(fillers):
            os.removexattr(path, f"user.filler{i}")
        self.assertTrue(daemon.get(plain(data)).body == data)
        until(lambda: waypoints.load(path), 5, "waypoints when there is room again")

    def test_read_only_volumes(self):
        """Configured or mounted read-only: nothing is written, reads work."""
        root = self.dir.make("vol0")
        data = os.urandom(600_000)
        path = store(root, md5(data), data)
        before = os.stat(path)
        daemon = self.start([directory_volume(root, ReadOnly=True)])
        self.reads(daemon, data)
        self.assertIsNone(waypoints.load(path))
        self.assertEqual(os.stat(path).st_ctime_ns, before.st_ctime_ns)
        # Wrong ones stay wrong, without harm.
        if waypoints.supported(root):
            waypoints.save(path, waypoints.seal(bytes(72), data))
            self.reads(daemon, data)
            self.assertEqual(waypoints.load(path), waypoints.seal(bytes(72), data))
        self.no_volume_errors(daemon)

    def reads(self, daemon, data):
        for _ in range(2):
            self.assertTrue(daemon.get(plain(data)).body == data)
            self.assertTrue(daemon.get(plain(data), headers={"Range": "bytes=70000-"}).body == data[70000:])
            self.assert_reply(daemon.get(plain(data), method="HEAD"), 200, b"")
        until(lambda: not daemon.inspect(), what="no request under way")

    def assert_quiet(self, daemon):
        """One warning at most; a start that waits for a busy machine says so in another one."""
        noise = [e for e in daemon.log.entries()
                 if e["level"] in ("error", "warning") and not e["msg"].startswith("the start waits")]
        self.assertLessEqual(len(noise), 1, noise)

    def test_a_file_system_that_became_read_only(self):
        root = self.formatted("ext4", "-F")
        data = os.urandom(600_000)
        path = store(root, md5(data), data)
        daemon = self.start([root])
        subprocess.run(["mount", "-o", "remount,ro", root], check=True, capture_output=True, timeout=60)
        self.reads(daemon, data)
        self.assertIsNone(waypoints.load(path))
        self.assert_quiet(daemon)

    def test_a_file_that_must_not_be_changed(self):
        """chattr +i, as some administrators protect an archive."""
        root = self.formatted("ext4", "-F")
        data = os.urandom(600_000)
        path = store(root, md5(data), data)
        try:
            subprocess.run(["chattr", "+i", path], check=True, capture_output=True, timeout=60)
        except (FileNotFoundError, subprocess.CalledProcessError):
            self.skipTest("chattr does not work here")
        self.addCleanup(subprocess.run, ["chattr", "-i", path], capture_output=True, timeout=60)
        daemon = self.start([root])
        self.reads(daemon, data)
        self.assertIsNone(waypoints.load(path))
        self.assert_quiet(daemon)

    def test_xfs(self):
        root = self.mounted(LoopMount("xfs", self.dir.path)).root
        daemon = self.start([root])
        self.read_all(daemon, root, lambda size: True)
        self.no_volume_errors(daemon)


if __name__ == "__main__":
    main()
