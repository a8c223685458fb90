"""A system that withholds threads (a limit on processes): the daemon goes on with those that it has, or says that there is none."""

import json
import os
import threading
import unittest

from support.case import KeepstoreCase, main
from support.daemon import Daemon, cluster_config, store, trash_copies
from support.locator import md5, plain
from support.shim import Shim
from support.wait import PATIENCE, until


class Threads(KeepstoreCase):
    def setUp(self):
        super().setUp()
        self.shim = Shim(self.dir.make("shim"))

    def launch(self, made, **sections):
        """A daemon that may make this many threads."""
        self.shim.set("no-threads", str(made))
        daemon = Daemon(cluster_config([self.dir.make("vol0"), self.dir.make("vol1")], **sections), env=self.shim.env, wait=False)
        self.addCleanup(daemon.kill)
        return daemon

    def test_any_number_of_threads(self):
        """With too few the daemon does not start, says why, and ends orderly; with some it serves."""
        served = []
        for made in range(40):
            if len(served) == 3:
                break
            with self.subTest(made):
                daemon = self.launch(made, Keepstore={"Threads": 3, "DrainTimeout": "0s"})
                entry = daemon.log.wait(condition=lambda e: e["msg"] in ("listening", "exiting"), timeout=10)
                if entry["msg"] == "exiting":
                    self.assertIn("cannot make a thread", entry["error"])
                    self.assertEqual(daemon.wait_exit(5), 1)
                    self.assertEqual(served, [], "with fewer threads it served")
                    continue
                served.append(made)
                daemon.wait_ready()
                # Stored, or refused in time: never a hang, never the end of the process.
                self.assertIn(daemon.put(b"foo", timeout=10 * PATIENCE).status, (200, 503, 507))
                self.shim.clear("no-threads")
                until(lambda d=daemon: d.put(b"bar").status == 200, 10, "PUT works when there are threads")
                self.assertEqual(daemon.get(plain(b"bar")).body, b"bar")
                self.assertEqual(daemon.stop(), 0)
                daemon.check_log()
        self.assertTrue(served)

    def test_a_running_daemon(self):
        root = self.dir.make("vol0")
        daemon = self.start([root], env=self.shim.env, API={"MaxKeepBlobBuffers": 4})
        self.assertEqual(daemon.put(b"the first thread of the volume").status, 200)
        self.shim.set("no-threads")
        # The threads that there are do the work.
        for i in range(20):
            data = os.urandom(300_000 + i)
            self.assertEqual(daemon.put(data).status, 200)
            self.assertTrue(daemon.get(plain(data)).body == data)
        # A list with a name to be looked up, which needs a thread.
        wanted = [{"locator": plain(b"foo"), "servers": ["http://localhost:1"], "mount_uuid": ""}]
        self.assertIn(daemon.admin("PUT", "/pull", json.dumps(wanted).encode()).status, (200, 503))
        self.shim.clear("no-threads")
        old = b"trashed when there are threads"
        path = store(root, md5(old), old, age=5_000_000)
        items = [{"locator": plain(old), "block_mtime": os.stat(path).st_mtime_ns, "mount_uuid": ""}]
        self.assertEqual(daemon.admin("PUT", "/trash", json.dumps(items).encode()).status, 200)
        until(lambda: trash_copies(root, md5(old)), 10, "the block is trashed")

    def test_the_volume_gets_its_threads_later(self):
        daemon = self.start(env=self.shim.env)
        self.assertEqual(daemon.put(b"the first thread of the volume").status, 200)
        self.shim.set("no-threads")
        self.assertEqual(self.many_puts(daemon), [200] * 40)
        before = self.threads(daemon)
        self.shim.clear("no-threads")
        self.assertEqual(self.many_puts(daemon), [200] * 40)
        self.assertGreater(self.threads(daemon), before)

    def many_puts(self, daemon):
        """The statuses of 40 PUTs, eight at a time."""
        found = []

        def put():
            for _ in range(5):
                found.append(daemon.put(os.urandom(1 << 20)).status)

        clients = [threading.Thread(target=put) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        return found

    def threads(self, daemon):
        return len(os.listdir(f"/proc/{daemon.pid}/task"))


if __name__ == "__main__":
    main()
