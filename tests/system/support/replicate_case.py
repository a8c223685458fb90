"""Test cases about keepctl replicate: places, blocks in them, and what a run must leave behind."""

import json
import os
import random
import shlex

from . import keepctl
from .case import KeepstoreCase, seed
from .daemon import SIGNING_KEY, SYSTEM_ROOT_TOKEN
from .locator import md5
from .wait import until

SIZES = (0, 1, 3, 65_536, 262_143, 262_144, 262_145, 1_000_000, 3_000_017)


class ReplicateCase(KeepstoreCase):
    def setUp(self):
        super().setUp()
        self.random = random.Random(seed())

    def path(self, name):
        return os.path.join(self.dir.path, name)

    def fill(self, root, count, size=None):
        """Writes `count` blocks to a directory. Returns {hash: bytes}."""
        blocks = {}
        for i in range(count):
            data = self.random.randbytes(SIZES[i % len(SIZES)] if size is None else size)
            blocks[keepctl.store(root, data)] = data
        return blocks

    def spoil(self, root, blocks):
        """Makes three copies bad: one has a wrong byte, one too few, one too many. Returns these in this order, then the others."""
        flipped, cut, longer, *good = sorted(blocks)
        data = blocks[flipped]
        keepctl.store(root, data[:1000] + bytes([data[1000] ^ 1]) + data[1001:], flipped)
        keepctl.store(root, blocks[cut][:-1], cut)
        keepctl.store(root, blocks[longer] + b"x", longer)
        return flipped, cut, longer, *good

    def replicate(self, source, target, *arguments, **options):
        return keepctl.run(self.dir.path, "replicate", "--json", source, target, *arguments, **options)

    def assert_counts(self, done, code=0, **counts):
        self.assertEqual(done.code, code, done)
        found = done.summary
        self.assertEqual({k: found[k] for k in counts}, counts, done)
        self.assertEqual(found["listed"], sum(found[k] for k in (
            "present", "copied", "replaced", "gone", "failed", "bad_source", "left")), done)

    def summary_of(self, stdout):
        """The summary of a run with --json; its counts add up."""
        found = json.loads(stdout.splitlines()[-1])
        self.assertEqual(found["listed"], sum(found[k] for k in (
            "present", "copied", "replaced", "gone", "failed", "bad_source", "left")), found)
        return found

    def assert_no_leftovers(self, root):
        """Only blocks are visible, and no temp file is left in a directory."""
        for folder, _, names in os.walk(root):
            for name in names:
                self.assertNotRegex(name, r"^tmp|\.tmp", os.path.join(folder, name))

    def state_files(self):
        folder = self.path("state/runs")
        return [n for n in os.listdir(folder) if n.endswith(".json")] if os.path.isdir(folder) else []

    def kill_at_any_moment(self, words, root, blocks, rounds):
        """Runs `replicate` with these words and kills it, again and again: no wrong or partial block is ever in the directory `root` of
        the destination, and the runs after it bring what is left of `blocks`."""
        for number in range(rounds):
            running = keepctl.start(self.dir.path, "replicate", *words, "--jobs", "2", "--digits", "2", "--progress", "none")
            goal = min(len(blocks), count(root) + self.random.randrange(1, 20))
            until(lambda: running.poll() is not None or count(root) >= goal, what=f"round {number}: {goal} blocks", interval=0.001)
            running.kill()
            running.communicate()
            found = keepctl.stored(root)
            self.assertEqual({n: d for n, d in found.items() if blocks.get(n) != d}, {}, "a wrong or partial block")
            if number % 6 == 5:  # All over again.
                for name in list(found)[::2]:
                    os.unlink(os.path.join(root, name[:3], name))
                for file in self.state_files():
                    os.unlink(self.path("state/runs/" + file))
        done = self.replicate(*words, "--digits", "2")
        self.assertEqual(done.code, 0, done)
        # What was removed from shards that were done is for the run after it.
        done = self.replicate(*words)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(keepctl.stored(root), blocks)
        self.assertEqual(self.state_files(), [])

    def go_on(self, stderr):
        """Runs the command line that a run has printed at its end."""
        line = next(x for x in stderr.decode().splitlines() if "to go on: " in x).split("to go on: ", 1)[1]
        self.assertNotIn("--fresh", line)
        words = shlex.split(line)
        self.assertEqual(words[0], "keepctl")
        done = keepctl.run(self.dir.path, *words[1:])
        self.assertEqual(done.code, 0, done)
        self.assertIn("going on with", done.stderr)


class ReplicateServerCase(ReplicateCase):
    def setUp(self):
        super().setUp()
        for name, secret in (("token", SYSTEM_ROOT_TOKEN), ("key", SIGNING_KEY)):
            with open(self.path(name), "w", encoding="ascii") as file:
                file.write(secret)
        self.secrets = ["--token-file", self.path("token"), "--signing-key-file", self.path("key")]

    def place(self, daemon):
        return f"keep:http://{daemon.address[0]}:{daemon.address[1]}"

    def start_at(self, port, root):
        """A daemon that may be killed, and started again at the same address."""
        return self.start([root], url=f"http://127.0.0.1:{port}/", check_log=False)

    def read_until(self, stream, word):
        """The lines of a process up to the first one with this word."""
        seen = b""
        while word not in seen:
            line = stream.readline()
            self.assertTrue(line, seen)
            seen += line
        return seen

    def restart_below(self, running, daemon, port, root):
        """Kills a daemon below a run, starts it again when the run has noticed, and waits for the run to succeed. Returns its
        stdout."""
        daemon.kill()
        stderr = self.read_until(running.stderr, b"is paused")
        self.start_at(port, root)
        stdout, rest = running.communicate()
        self.assertEqual(running.returncode, 0, stderr + rest)
        self.assertIn(b"works again", rest)
        return stdout

    def servers(self, daemons):
        """Options that name the servers of `cluster`."""
        return [w for d in daemons for w in ("--server", self.place(d).removeprefix("keep:"))]


def rank(block, daemons):
    """The daemons in the order in which clients try them for a block (docs/interface.md 3.4)."""
    def weight(daemon):
        identity = md5(f"http://{daemon.address[0]}:{daemon.address[1]}/".encode())[:15]
        return md5((block + identity).encode())
    return sorted(daemons, key=weight, reverse=True)


def count(root):
    return sum(len([n for n in names if len(n) == 32]) for _, _, names in os.walk(root))
