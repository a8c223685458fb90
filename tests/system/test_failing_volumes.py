"""Full, read-only and hung volumes: clear errors, the other volume takes over, recovery without an operator."""

import errno
import os
import threading
import time
import unittest

from support.case import KeepstoreCase, main
from support.client import build_request, chunked
from support.daemon import block_path, temp_files, volume_uuid
from support.locator import md5, plain
from support.mounts import WITHOUT_PROC, LoopMount, Tmpfs, require_no_sanitizer, require_root
from support.wait import PATIENCE, until

MiB = 1 << 20
# Volumes stop taking blocks while there is still room for one block of the largest size (as the Go daemon does).
RESERVE = 64
# Of requests, which must not wait for the hung volume until then. Times are those of an idle machine (support/wait.py).
TIMEOUT = 3 * PATIENCE


def first_on(number, count, text):
    """Data whose rendezvous order begins with that volume."""
    for i in range(10_000):
        data = f"{text} {i}".encode()
        if min(range(count), key=lambda v: md5((md5(data) + volume_uuid(v)[12:]).encode())) == number:
            return data
    raise AssertionError("no such data")


class Full(KeepstoreCase):
    def tmpfs(self, options):
        path = self.dir.make("tmpfs")
        mount = Tmpfs(path, options)
        self.addCleanup(mount.close)
        return path

    def fill(self, daemon, size=MiB - 7):
        """PUTs until one is refused. Returns the blocks stored and the refusal."""
        stored = []
        for _ in range(200):
            data = os.urandom(size)
            response = daemon.put(data)
            if response.status != 200:
                return stored, response
            stored.append(data)
        raise AssertionError("never full")

    def use_up(self, root, left):
        """Takes the space of the file system until `left` bytes are free. Returns the file to delete."""
        path = os.path.join(root, "ballast")
        with open(path, "wb", buffering=0) as file:
            # The daemon may be taking space at the same time, so the last piece may not fit.
            try:
                while (found := os.statvfs(root)).f_bavail * found.f_frsize > left:
                    file.write(bytes(min(MiB, found.f_bavail * found.f_frsize - left)))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        return path

    def test_507_and_recovery_when_space_returns(self):
        root = self.tmpfs(f"size={RESERVE + 12}m")
        daemon = self.start([root])
        stored = [os.urandom(MiB) for _ in range(3)]
        for data in stored:
            self.assertEqual(daemon.put(data).status, 200)
        ballast = self.use_up(root, 2 * MiB)
        more, response = self.fill(daemon)
        self.assert_reply(response, 507)
        for data in stored + more:
            self.assertTrue(daemon.get(plain(data)).body == data)
            self.assertEqual(daemon.put(data).status, 200, "an existing block needs no space")
        daemon.assert_nothing_held()
        self.assertEqual(temp_files([root]), [])
        os.unlink(ballast)
        until(lambda: daemon.put(os.urandom(100)).status == 200, 6, "writable again")  # After 5 s.

    def test_space_that_ends_while_a_block_arrives(self):
        root = self.tmpfs(f"size={RESERVE + 20}m")
        daemon = self.start([root])
        data = os.urandom(8 * MiB)
        with daemon.connect() as connection:
            connection.send(build_request("PUT", "/" + md5(data), {"Content-Length": str(len(data))}) + data[:100_000])
            daemon.wait_active(1)
            ballast = self.use_up(root, 1 * MiB)
            connection.send_tolerant(data[100_000:])
            response = connection.read_response()
        # The space of a block may have been reserved when it began; if not, there is none.
        self.assertIn(response.status, (200, 507))
        if response.status == 200:
            self.assertTrue(daemon.get(plain(data)).body == data)
        self.assert_reply(daemon.put(os.urandom(4 * MiB)), 507)
        daemon.assert_nothing_held()
        os.unlink(ballast)
        until(lambda: daemon.put(b"small again").status == 200, 6, "writable again")

    def test_a_thin_volume_loses_nothing(self):
        """The file system promises more space than the disk below it has: only syncing shows it."""
        for second in (False, True):
            with self.subTest(second_volume=second):
                folder = self.dir.make(f"thin{second}")
                below = Tmpfs(folder, "size=40m")
                self.addCleanup(below.close)
                mount = LoopMount("ext4", folder, 300)
                self.addCleanup(mount.close)
                other = self.dir.make(f"other{second}")
                daemon = self.start([mount.root, other] if second else [mount.root], check_log=False)
                acknowledged = []
                for _ in range(45):
                    data = os.urandom(MiB)
                    response = daemon.put(data)
                    self.assertIn(response.status, (200,) if second else (200, 500, 503, 507), response)
                    if response.status == 200:
                        acknowledged.append(data)
                if not second:
                    self.assertLess(len(acknowledged), 45)
                daemon.stop()
                # What is on the disk at this moment counts. Room for the journal's replay only after the cut.
                mount.power_cut()
                below.remount_options("size=200m")
                mount.remount()
                again = self.start([mount.root, other] if second else [mount.root], check_log=False)
                got = [(again.get(plain(data)), data) for data in acknowledged]
                lost = [response for response, data in got if response.body != data]
                self.assertEqual(lost, [], f"{len(lost)} of {len(acknowledged)} acknowledged")
                again.stop()
                mount.close()
                below.close()

    def test_no_inodes(self):
        root = self.tmpfs(f"size={RESERVE + 8}m,nr_inodes=40")
        daemon = self.start([root])
        stored, response = self.fill(daemon, 100)
        self.assert_reply(response, 507)
        for data in stored:
            self.assertEqual(daemon.get(plain(data)).body, data)

    def test_the_next_volume_takes_over_in_mid_stream(self):
        root, other = self.tmpfs(f"size={RESERVE + 8}m"), self.dir.make("other")
        daemon = self.start([root, other])
        # Four blocks fill the first volume; more are stored meanwhile if it stalls, since the other one takes them.
        for i in range(100):
            data = first_on(0, 2, f"{i} " * MiB)
            self.assertEqual(daemon.put(data).status, 200)
            self.assertTrue(daemon.get(plain(data)).body == data)
            if os.path.lexists(os.path.join(root, "full")):
                break
        used = {r: sum(name != "full" for _, _, names in os.walk(r) for name in names) for r in (root, other)}
        self.assertGreater(used[root], 1)
        self.assertGreater(used[other], 0)
        daemon.assert_nothing_held()

    def test_the_rest_of_a_block_goes_to_the_next_volume(self):
        self.check_rest_goes_to_the_next_volume({})

    def test_the_rest_of_a_block_goes_to_the_next_volume_without_proc(self):
        require_root()
        require_no_sanitizer()
        self.check_rest_goes_to_the_next_volume({"wrapper": WITHOUT_PROC})

    def check_rest_goes_to_the_next_volume(self, daemon_options):
        root, other = self.tmpfs(f"size={RESERVE + 20}m"), self.dir.make("other")
        daemon = self.start([root, other], daemon_options=daemon_options)
        data = first_on(0, 2, "goes on elsewhere" * 500_000)
        with daemon.connect() as connection:
            # In chunks: the size is not known, so nothing can be reserved for it.
            framed = chunked(data, 100_000)
            connection.send(build_request("PUT", "/" + md5(data), {"Transfer-Encoding": "chunked"}) + framed[:3_000_000])
            until(lambda: temp_files([root]), 10, "it is written to the first volume")
            self.use_up(root, 0)
            connection.send(framed[3_000_000:])
            self.assertEqual(connection.read_response().status, 200)
        self.assertTrue(os.path.exists(block_path(other, md5(data))))
        self.assertTrue(daemon.get(plain(data)).body == data)
        daemon.assert_nothing_held()

    def test_the_mark_of_a_full_volume(self):
        root = self.tmpfs(f"size={RESERVE + 4}m")
        daemon = self.start([root])
        self.fill(daemon)
        # A symbolic link with the time, which other daemons on the same volume honour for an hour.
        self.assertAlmostEqual(int(os.readlink(os.path.join(root, "full"))), time.time(), delta=30)


class ReadOnly(KeepstoreCase):
    def test_remounted_read_only(self):
        root, other = self.dir.make("tmpfs"), self.dir.make("other")
        mount = Tmpfs(root, f"size={2 * RESERVE}m")
        self.addCleanup(mount.close)
        daemon = self.start([root, other])
        kept = first_on(0, 2, "kept")
        self.assertEqual(daemon.put(kept).status, 200)
        self.assertTrue(os.path.exists(block_path(root, md5(kept))))
        mount.remount_options("ro")
        self.assertEqual(daemon.get(plain(kept)).body, kept)
        for i in range(20):
            data = first_on(0, 2, f"elsewhere {i}")
            self.assertEqual(daemon.put(data).status, 200)
            self.assertTrue(os.path.exists(block_path(other, md5(data))))
        # It cannot be touched there any more: a PUT is acknowledged only with a copy that is fresh.
        self.assertEqual(daemon.put(kept).status, 200)
        self.assertTrue(os.path.exists(block_path(other, md5(kept))))
        mount.remount_options("rw")
        data = first_on(0, 2, "again")
        until(lambda: daemon.put(data).status == 200 and os.path.exists(block_path(root, md5(data)))
              or os.path.exists(block_path(other, md5(data))) and os.unlink(block_path(other, md5(data))), 15, "written there again")

    def test_only_volume_read_only(self):
        root = self.dir.make("tmpfs")
        mount = Tmpfs(root, f"size={2 * RESERVE}m")
        self.addCleanup(mount.close)
        daemon = self.start([root])
        daemon.put(b"kept")
        mount.remount_options("ro")
        self.assert_reply(daemon.put(b"new"), 503)
        self.assertEqual(daemon.get(plain(b"kept")).body, b"kept")
        self.assertEqual(daemon.admin("TOUCH", "/" + md5(b"kept")).status in (200, 404), False)
        mount.remount_options("rw")
        until(lambda: daemon.put(b"new").status == 200, 10, "works again")


class Hung(KeepstoreCase):
    """A frozen file system: every write to it hangs in the kernel until it is thawed."""

    def frozen(self, with_other):
        mount = LoopMount("ext4", self.dir.path, 3 * RESERVE)
        self.addCleanup(mount.close)
        self.addCleanup(mount.thaw)
        other = self.dir.make("other")
        daemon = self.start([mount.root, other] if with_other else [mount.root],
                            API={"RequestTimeout": f"{TIMEOUT}s" if with_other else "3s"})
        self.addCleanup(mount.thaw)  # Before the daemon is stopped: its threads hang in the kernel.
        return mount, other, daemon

    def test_a_hung_only_volume_is_a_503_in_time(self):
        mount, _, daemon = self.frozen(False)
        kept = b"kept"
        until(lambda: daemon.put(kept).status == 200, 10, "stored")
        mount.freeze()
        begun = time.monotonic()
        response = daemon.put(b"hangs" * 1000)
        self.assert_reply(response, 503)
        self.assertLess(time.monotonic() - begun, 9)  # 3 s; the limit of calls to a volume would end it after 10.
        self.assertEqual(daemon.admin("TOUCH", "/" + md5(kept)).status, 503)
        self.assertEqual(daemon.request("OPTIONS", "/").status, 200)
        mount.thaw()
        until(lambda: daemon.put(b"hangs" * 1000).status == 200, 15, "works again")
        self.assertEqual(daemon.get(plain(kept)).body, kept)
        daemon.assert_nothing_held()

    def test_the_other_volume_is_not_affected(self):
        mount, other, daemon = self.frozen(True)
        kept = [first_on(n, 2, f"kept {n}") for n in (0, 1)]
        for data in kept:
            self.assertEqual(daemon.put(data).status, 200)
        mount.freeze()
        statuses = []
        hanging = [threading.Thread(target=lambda i=i: statuses.append(daemon.put(first_on(0, 2, f"hangs {i}")).status))
                   for i in range(8)]
        for t in hanging:
            t.start()
        # Blocks whose first volume is the hung one, too: none of them waits until its deadline.
        for i in range(25):
            for first in (0, 1):
                begun = time.monotonic()
                self.assertEqual(daemon.get(plain(kept[first])).body, kept[first])
                data = first_on(first, 2, f"fine {i}")
                self.assertEqual(daemon.put(data).status, 200)
                self.assertTrue(os.path.exists(block_path(other, md5(data))))
                self.assertLess(time.monotonic() - begun, TIMEOUT - 0.1)
        mount.thaw()
        for t in hanging:
            t.join(20)
        self.assertEqual(statuses, [200] * 8)
        daemon.assert_nothing_held(20)


if __name__ == "__main__":
    main()
