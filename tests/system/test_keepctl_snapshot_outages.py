"""keepctl snapshot restore, when a place fails as a whole: killed, stopped, full, read-only."""

import os
import signal
import time

from support import keepctl
from support.case import main
from support.locator import md5
from support.mounts import Tmpfs
from support.replicate_case import ReplicateServerCase, count
from support.snapshot_case import SnapshotCase
from support.wait import stable_port, until

OUTCOMES = ("present", "untrashed", "copied", "not_found", "bad_source", "failed", "left")
# Runs in which something happens after some blocks: three seconds for sixty blocks, however fast the machine is.
LASTING = ("--jobs", "2", "--bandwidth", "2MiB")


class Case(ReplicateServerCase, SnapshotCase):
    """A snapshot of sixty blocks of one shard; they are in another folder, too. A shard of a place that is away cannot be listed,
    and counts as incomplete after a while; blocks wait for it."""

    def setUp(self):
        super().setUp()
        self.repository = f"file://{self.dir.make('repository')}"
        self.init()
        self.source = self.dir.make("source")
        self.data = {}
        while len(self.data) < 60:
            data = self.random.randbytes(100_000)
            if md5(data).startswith("0"):
                self.data[keepctl.store(self.source, data)] = data
        self.snapshot("create", f"dir:{self.source}")

    def start(self, *arguments, **options):
        """A daemon."""
        return super(SnapshotCase, self).start(*arguments, **options)

    def restore(self, target, source, *arguments, code=0):
        done = self.snapshot("restore", "latest", target, "--from", source, *arguments, code=code)
        self.assert_adds_up(done.summary)
        return done

    def begin(self, target, source, *arguments):
        return self.start_restore(target, source, *LASTING, *arguments)

    def start_restore(self, target, source, *arguments):
        return keepctl.start(self.dir.path, "snapshot", "restore", "--json", self.repository, "latest", target, "--from", source,
                             *arguments)

    def assert_adds_up(self, summary):
        self.assertEqual(summary["looked_at"], sum(summary[k] for k in OUTCOMES), summary)


class Servers(Case):
    def test_a_source_that_is_restarted(self):
        port, target = stable_port(), self.dir.make("target")
        daemon = self.start_at(port, self.source)
        running = self.begin(f"dir:{target}", self.place(daemon), *self.secrets)
        until(lambda: count(target) > 3, what="some blocks", interval=0.001)
        stdout = self.restart_below(running, daemon, port, self.source)
        self.assertEqual(keepctl.stored(target), self.data)
        summary = self.last(stdout)
        self.assertEqual((summary["copied"], summary["failed"]), (len(self.data), 0))

    def test_a_target_that_is_restarted(self):
        port, root = stable_port(), self.dir.make("v0")
        daemon = self.start_at(port, root)
        running = self.begin(self.place(daemon), f"dir:{self.source}", *self.secrets)
        until(lambda: count(root) > 3, what="some blocks", interval=0.001)
        stdout = self.restart_below(running, daemon, port, root)
        self.assertEqual(keepctl.stored(root), self.data)
        self.assertEqual(self.last(stdout)["failed"], 0)

    def test_a_source_that_stays_away(self):
        port, target = stable_port(), self.dir.make("target")
        daemon = self.start_at(port, self.source)
        running = self.begin(f"dir:{target}", self.place(daemon), "--give-up-after", "1s", *self.secrets)
        until(lambda: count(target) > 3, what="some blocks", interval=0.001)
        daemon.kill()
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 6, stderr)
        summary = self.last(stdout)
        self.assertGreater(summary["left"], 0)
        # A server that is away has lost nothing.
        self.assertEqual((summary["not_found"], summary["bad_source"]), (0, 0))
        self.assertEqual({n for n, d in keepctl.stored(target).items() if self.data[n] != d}, set())
        daemon = self.start_at(port, self.source)
        self.restore(f"dir:{target}", self.place(daemon), *self.secrets)
        self.assertEqual(keepctl.stored(target), self.data)

    def test_a_place_that_stands_still_and_goes_on(self):
        for stopped in "source", "target":
            with self.subTest(stopped):
                root = self.dir.make(f"v-{stopped}")
                daemons = [self.start([r], check_log=False) for r in (self.source, root)]
                running = self.begin(self.place(daemons[1]), self.place(daemons[0]), *self.secrets)
                until(lambda: count(root) > 3, what="some blocks", interval=0.001)
                which = daemons[0 if stopped == "source" else 1]
                which.signal(signal.SIGSTOP)
                have = count(root)
                time.sleep(1)  # Not for it to happen: nothing more than what was under way may come meanwhile.
                self.assertLessEqual(count(root) - have, 4)
                self.assertIsNone(running.poll())
                which.signal(signal.SIGCONT)
                stdout, stderr = running.communicate()
                self.assertEqual(running.returncode, 0, stderr)
                self.assertEqual(self.last(stdout)["failed"], 0)
                self.assertEqual(keepctl.stored(root), self.data)

    def last(self, stdout):
        summary = keepctl.Outcome((), 0, stdout, "").summary
        self.assert_adds_up(summary)
        return summary


class Targets(Case):
    def tmpfs(self, options):
        path = self.dir.make("tmpfs")
        mount = Tmpfs(path, options)
        self.addCleanup(mount.close)
        return path, mount

    def test_a_target_that_is_full(self):
        path, mount = self.tmpfs("size=40m")  # Less than volumes keep free.
        done = self.restore(f"dir:{path}", f"dir:{self.source}", "--give-up-after", "1s", code=6)
        self.assertEqual(done.summary["left"] + done.summary["failed"], done.summary["looked_at"])
        self.assertEqual(keepctl.stored(path), {})
        self.assert_no_leftovers(path)
        mount.remount_options("size=200m")
        self.restore(f"dir:{path}", f"dir:{self.source}")
        self.assertEqual(keepctl.stored(path), self.data)

    def test_a_target_that_becomes_read_only(self):
        path, mount = self.tmpfs("size=200m")
        running = self.start_restore(f"dir:{path}", f"dir:{self.source}", "--jobs", "1", "--bandwidth", "1MiB")
        until(lambda: count(path) > 1, what="some blocks", interval=0.001)
        until(lambda: mount.becomes_read_only(), what="a moment without a file that is being written", interval=0.001)
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 6, stderr)
        self.assertIn(b"ended early", stderr)
        summary = keepctl.Outcome((), 6, stdout, "").summary
        self.assert_adds_up(summary)
        self.assertEqual(summary["copied"], count(path))
        self.assertLessEqual(summary["failed"], 1, "not block by block")
        mount.remount_options("rw")
        self.assert_no_leftovers(path)
        self.restore(f"dir:{path}", f"dir:{self.source}")
        self.assertEqual(keepctl.stored(path), self.data)

    def test_a_target_that_is_read_only(self):
        path, mount = self.tmpfs("size=100m")
        mount.remount_options("ro")
        done = self.snapshot("restore", "latest", f"dir:{path}", "--from", f"dir:{self.source}", code=None)
        self.assertIn(done.code, (2, 3), done)
        self.assertIn("ead-only", done.stderr)
        self.assertEqual(os.listdir(path), [])


if __name__ == "__main__":
    main()
