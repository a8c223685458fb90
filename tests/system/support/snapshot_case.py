"""The base of tests of keepctl snapshot: a directory of blocks, and a repository in a directory or a bucket."""

import json
import os
import random
import signal

from . import keepctl
from .case import KeepstoreCase, seed
from .wait import until


class SnapshotCase(KeepstoreCase):
    """`repository` is that of the command line; `env` is given to every command."""

    repository = None
    env = None

    def setUp(self):
        super().setUp()
        self.random = random.Random(seed())
        self.blocks = self.dir.make("blocks")

    def fill(self, root, count, size=10):
        """Writes `count` blocks to a directory. Returns {hash: bytes}."""
        return {keepctl.store(root, data): data for data in (self.random.randbytes(size) for _ in range(count))}

    def snapshot(self, command, *arguments, code=0, **options):
        """Runs it; `code` None: whatever the exit code is."""
        done = keepctl.run(self.dir.path, "snapshot", command, "--json", self.repository, *arguments, env=self.env, **options)
        if code is not None:
            self.assertEqual(done.code, code, done)
        self.assertEqual((done.summary["command"], done.summary["exit_code"]), (f"snapshot {command}", done.code), done)
        return done

    def init(self):
        return self.snapshot("init")

    def create(self, *arguments, **options):
        """Returns the id of the new snapshot."""
        return self.snapshot("create", f"dir:{self.blocks}", *arguments, **options).summary["id"]

    def create_fails(self, code, *arguments):
        """Returns what it prints."""
        return self.snapshot("create", f"dir:{self.blocks}", *arguments, code=code).stderr

    def listed(self):
        return [s["id"] for s in self.snapshot("list").rows("snapshot")]

    def assert_whole(self):
        """Every listed snapshot can be read."""
        self.snapshot("check", "--read")

    def start(self, number, command, *arguments):
        """A process with a state folder of its own, as on another host."""
        state = {"STATE_DIRECTORY": os.path.join(self.dir.path, f"host{number}")}
        return keepctl.start(self.dir.path, "snapshot", command, "--json", self.repository, *arguments,
                             env=(self.env or {}) | state)

    def assert_refused_meanwhile(self, first, *words, host):
        """While `first` has the lock of its host, and stands still with it, another command is refused there."""
        until(lambda: first.poll() is not None or holds_lock(first.pid), what="the first has its lock", interval=0.001)
        self.assertIsNone(first.poll(), "it ended too early: the test proves nothing")
        first.send_signal(signal.SIGSTOP)
        try:
            until(lambda: os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT), what="it stands still")
            # Not if it was about to end.
            self.assertTrue(holds_lock(first.pid), "it ended too early: the test proves nothing")
            code, _, stderr = self.finish(self.start(host, *words))
        finally:
            first.send_signal(signal.SIGCONT)
        self.assertEqual(code, 5, stderr)
        self.assertEqual(self.finish(first)[0], 0)

    def finish(self, process):
        """Returns the exit code, the summary and stderr."""
        stdout, stderr = process.communicate(timeout=240)
        lines = stdout.decode().splitlines()
        return process.returncode, json.loads(lines[-1]) if lines else {}, stderr.decode()


def holds_lock(pid):
    """Whether a process holds a lock of a file (flock)."""
    with open("/proc/locks", encoding="ascii") as file:
        return any(words[1:2] == ["FLOCK"] and str(pid) in words for words in map(str.split, file))
