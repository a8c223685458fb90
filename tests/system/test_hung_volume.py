"""One of two volumes hangs, fails or is gone: requests that can use the other one lose at most 2 s, once, and the volume is
used again when it works again."""

import json
import os
import shutil
import threading
import time

from support.case import KeepstoreCase, main
from support.client import build_request
from support.daemon import block_path, volume_uuid
from support.fuse import FuseMount
from support.locator import md5, plain
from support.mounts import LoopMount, Tmpfs
from support.wait import PATIENCE, until

from test_failing_volumes import first_on

MiB = 1 << 20
# For the first request that meets the hang, in addition to its usual time (PATIENCE is for slow machines).
LOSS = 2.0
TIMEOUT = 3 * PATIENCE


class TwoVolumes(KeepstoreCase):
    def start_with(self, root):
        self.root = root
        self.other = self.dir.make("other")
        self.daemon = self.start([root, self.other], API={"RequestTimeout": f"{TIMEOUT}s"})
        return self.daemon

    def timed(self, call, *args):
        begun = time.monotonic()
        response = call(*args)
        return response, time.monotonic() - begun

    def state(self, number, operation):
        return next(dict(labels)["state"] for (name, labels), value in self.daemon.metrics().items()
                    if name == "keepstore_volume_state" and value == 1 and dict(labels)["mount"] == volume_uuid(number)
                    and dict(labels)["operation"] == operation)

    def healthy(self, number):
        return self.daemon.metric("keepstore_volume_healthy", mount=volume_uuid(number))

    def ready(self):
        response = self.daemon.request("GET", "/_health/ready")
        return response.status, json.loads(response.text).get("reasons", [])

    def wait_healthy(self):
        until(lambda: self.healthy(0) == 1 and self.state(0, "read") == self.state(0, "write") == "healthy", 5, "healthy")

    def on_both(self, size, text):
        """A block that is read from volume 0 first, with a copy on the other one."""
        data = first_on(0, 2, text * (size // len(text)))
        self.assertEqual(self.daemon.put(data).status, 200)
        path = block_path(self.root, md5(data))
        self.assertTrue(os.path.exists(path))
        copy = block_path(self.other, md5(data))
        os.makedirs(os.path.dirname(copy), exist_ok=True)
        shutil.copyfile(path, copy)
        return data

    def get(self, data):
        response = self.daemon.get(plain(data))
        self.assertEqual(response.status, 200)
        self.assertTrue(response.body == data)

    def put(self, data):
        self.assertEqual(self.daemon.put(data).status, 200)
        self.assertTrue(os.path.exists(block_path(self.other, md5(data))))


class Hung(TwoVolumes):
    def setUp(self):
        super().setUp()
        back, point = self.dir.make("back"), self.dir.make("fuse")
        self.mount = FuseMount(back, point)
        self.addCleanup(self.mount.close)
        self.start_with(point)
        self.addCleanup(self.mount.resume)  # Before the daemon is stopped.

    def first_and_later(self, first, later):
        """Each of these meets the hang first: at most LOSS. Afterwards the hang does not show."""
        for call, data in first:
            self.mount.stop()
            _, took = self.timed(call, data)
            self.assertLess(took, LOSS * PATIENCE, f"{call.__name__} of {len(data)} bytes")
            for call, data in later:
                _, took = self.timed(call, data)
                self.assertLess(took, 0.5 * PATIENCE, f"later {call.__name__} of {len(data)} bytes")
            self.mount.resume()
            self.wait_healthy()

    def test_requests_that_can_use_the_other_volume(self):
        kept = [self.on_both(size, f"kept {size}") for size in (1000, 3 * MiB)]
        fresh = iter(first_on(0, 2, f"fresh {i} " * (size // 10)) for i in range(100) for size in (1000, 3 * MiB))
        gets = [(self.get, data) for data in kept]
        for _ in range(2):
            self.first_and_later(gets, gets + [(self.put, next(fresh)) for _ in range(4)])
            self.first_and_later([(self.put, next(fresh)), (self.put, next(fresh))], gets)
        data = first_on(0, 2, "after")
        self.assertEqual(self.daemon.put(data).status, 200)
        self.assertTrue(os.path.exists(block_path(self.root, md5(data))), "the volume is used again")
        self.daemon.assert_nothing_held()

    def test_many_at_once(self):
        kept = self.on_both(1000, "kept")
        self.mount.stop()
        failed = []

        def work(number):
            for i in range(10):
                data = first_on(0, 2, f"{number} {i} " * 1000)
                try:
                    self.put(data)
                    self.get(kept)
                except AssertionError as error:
                    failed.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
        begun = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failed, [])
        self.assertLess(time.monotonic() - begun, 10 * PATIENCE)
        self.mount.resume()
        self.wait_healthy()
        self.daemon.assert_nothing_held()

    def test_it_is_reported(self):
        self.assertEqual(self.ready(), (200, []))
        self.mount.stop()
        # Also without a request: a probe meets it.
        until(lambda: self.state(0, "read") == self.state(0, "write") == "stalled", 5, "stalled")
        self.assertEqual(self.healthy(0), 0)
        self.assertEqual(self.healthy(1), 1)
        status, reasons = self.ready()
        self.assertEqual(status, 200)
        self.assertEqual(len(reasons), 1)
        self.assertIn(volume_uuid(0), reasons[0])
        line = self.daemon.log.wait(msg="the state of a volume has changed", to="stalled", operation="read")
        self.assertEqual((line["mount"], line["from"]), (volume_uuid(0), "healthy"))
        self.assertIn("do not respond", line["reason"])
        self.mount.resume()
        self.wait_healthy()
        self.daemon.log.wait(msg="the state of a volume has changed", to="healthy", operation="read", mount=volume_uuid(0))
        self.assertEqual(self.ready(), (200, []))

    def test_in_the_middle_of_a_block(self):
        """What only the hung volume has is lost with it; the client's next attempt succeeds."""
        data = first_on(0, 2, "in the middle" * 500_000)
        with self.daemon.connect() as connection:
            connection.send(build_request("PUT", "/" + md5(data), {"Content-Length": str(len(data))}) + data[:5 * MiB])
            until(lambda: any(names for _, _, names in os.walk(os.path.join(self.mount.back))), 10, "it is being written")
            self.mount.stop()
            begun = time.monotonic()
            connection.send_tolerant(data[5 * MiB:])
            self.assertIn(connection.read_response().status, (200, 503))
        self.assertLess(time.monotonic() - begun, 2.5 * PATIENCE)
        _, took = self.timed(self.put, data)
        self.assertLess(took, PATIENCE)
        self.mount.resume()
        self.wait_healthy()
        self.daemon.assert_nothing_held()

    def test_the_only_copy_is_waited_for(self):
        data = first_on(0, 2, "only copy")
        self.assertEqual(self.daemon.put(data).status, 200)
        self.mount.stop()
        until(lambda: self.state(0, "read") == "stalled", 5, "stalled")
        got = []
        reader = threading.Thread(target=lambda: got.append(self.daemon.get(plain(data))))
        reader.start()
        self.daemon.wait_active(1)
        self.mount.resume()
        reader.join()
        self.assertEqual((got[0].status, got[0].body), (200, data))


class HungSync(TwoVolumes):
    """A frozen file system serves reads; every write to it hangs."""

    def setUp(self):
        super().setUp()
        self.mount = LoopMount("ext4", self.dir.path, 200)
        self.addCleanup(self.mount.close)
        self.start_with(self.mount.root)
        self.addCleanup(self.mount.thaw)

    def test_writes_go_elsewhere_and_reads_stay(self):
        kept = first_on(0, 2, "kept")
        self.assertEqual(self.daemon.put(kept).status, 200)
        for size in (1000, 3 * MiB):
            self.mount.freeze()
            _, took = self.timed(self.put, first_on(0, 2, f"first {size}" * (size // 10)))
            self.assertLess(took, LOSS * PATIENCE)
            for i in range(5):
                _, took = self.timed(self.put, first_on(0, 2, f"later {i} {size}" * (size // 10)))
                self.assertLess(took, 0.5 * PATIENCE)
            self.assertEqual((self.state(0, "read"), self.state(0, "write")), ("healthy", "stalled"))
            _, took = self.timed(self.get, kept)
            self.assertLess(took, 0.5 * PATIENCE)
            # Its copy cannot be touched there: another one is stored.
            self.put(kept)
            os.unlink(block_path(self.other, md5(kept)))
            self.mount.thaw()
            self.wait_healthy()
        self.daemon.assert_nothing_held()


class Gone(TwoVolumes):
    def check_gone(self, lost):
        until(lambda: self.state(0, "read") == self.state(0, "write") == "gone", 5, "gone")
        status, reasons = self.ready()
        self.assertEqual((status, len(reasons)), (200, 1))
        self.assertIn(volume_uuid(0), reasons[0])
        index = self.daemon.admin("GET", f"/mounts/{volume_uuid(0)}/blocks")
        self.assertFalse(index.status == 200 and index.complete, index)
        whole = self.daemon.admin("GET", "/index")
        self.assertFalse(whole.status == 200 and whole.complete, whole)
        self.assert_reply(self.daemon.get(plain(lost)), 503)
        self.put(first_on(0, 2, f"elsewhere {time.monotonic()}"))

    def test_a_root_that_is_removed(self):
        self.start_with(self.dir.make("root"))
        data = first_on(0, 2, "lost")
        self.assertEqual(self.daemon.put(data).status, 200)
        shutil.rmtree(self.root)
        self.check_gone(data)
        self.assertFalse(os.path.exists(self.root), "it is not made again")

    def test_an_only_volume_that_is_gone(self):
        root = self.dir.make("root")
        self.daemon = self.start([root])
        shutil.rmtree(root)
        self.assert_reply(self.daemon.put(b"nowhere"), 503)
        until(lambda: self.ready()[0] == 503, 5, "not ready")
        self.assertFalse(os.path.exists(root))

    def test_unmounted_and_mounted_again(self):
        mount = LoopMount("ext4", self.dir.path, 200)
        self.addCleanup(mount.close)
        self.start_with(mount.root)
        data = first_on(0, 2, "kept")
        self.assertEqual(self.daemon.put(data).status, 200)
        os.system(f"umount -l {mount.path}")
        os.makedirs(mount.root)  # On the file system below.
        self.check_gone(data)
        self.assertEqual(os.listdir(mount.root), [])
        os.system(f"mount {mount.device} {mount.path}")
        begun = time.monotonic()
        self.wait_healthy()
        self.assertLess(time.monotonic() - begun, 2 * PATIENCE)
        self.get(data)

    def test_a_server_that_dies_and_comes_back(self):
        back, point = self.dir.make("back"), self.dir.make("fuse")
        mount = FuseMount(back, point)
        self.addCleanup(mount.close)
        self.start_with(point)
        data = first_on(0, 2, "kept")
        self.assertEqual(self.daemon.put(data).status, 200)
        mount.die()
        self.assertEqual(self.daemon.get(plain(data)).status, 503)
        self.check_gone(data)
        mount.unmount()
        mount.mount()
        begun = time.monotonic()
        self.wait_healthy()
        self.assertLess(time.monotonic() - begun, 2 * PATIENCE)
        self.get(data)
        again = first_on(0, 2, "again")
        self.assertEqual(self.daemon.put(again).status, 200)
        self.assertTrue(os.path.exists(block_path(back, md5(again))))


class Failing(TwoVolumes):
    def test_writes_that_fail(self):
        root = self.dir.make("tmpfs")
        mount = Tmpfs(root, "size=200m")
        self.addCleanup(mount.close)
        self.start_with(root)
        mount.remount_options("ro")
        for i in range(5):
            self.put(first_on(0, 2, f"elsewhere {i}"))
        until(lambda: self.state(0, "write") == "failing", 5, "failing")
        self.assertEqual(self.state(0, "read"), "healthy")
        self.assertEqual(self.healthy(0), 0)
        for i in range(5):
            self.put(first_on(0, 2, f"not asked {i}"))
        mount.remount_options("rw")
        self.wait_healthy()
        data = first_on(0, 2, "again")
        self.assertEqual(self.daemon.put(data).status, 200)
        self.assertTrue(os.path.exists(block_path(root, md5(data))))


if __name__ == "__main__":
    main()
