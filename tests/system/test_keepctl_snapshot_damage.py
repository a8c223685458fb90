"""keepctl snapshot with parts that are damaged or vanish while they are read, a file system without locks, a mount that lists
far fewer blocks, and restores that are killed."""

import errno
import json
import os
import shutil
import signal
import time

from support import keepctl
from support.case import main, rounds
from support.shim import Shim
from support.snapshot_case import SnapshotCase
from support.wait import until


class Case(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.root = self.dir.make("repository")
        self.repository = f"file://{self.root}"
        self.init()

    def path(self, name):
        return os.path.join(self.dir.path, name)

    def object(self, snapshot, name):
        return os.path.join(self.root, "snapshots", snapshot, name)


class Damage(Case):
    """Two snapshots of 60 blocks; a part of the second one has a flipped bit, which only its digest shows."""

    def setUp(self):
        super().setUp()
        self.data = self.fill(self.blocks, 60)
        self.good = self.create("--digits", "1")
        self.bad = self.create("--digits", "1")
        self.name = max(self.data)
        self.part = f"index-{self.name[0]}.kinv"
        path = self.object(self.bad, self.part)
        with open(path, "r+b") as file:
            file.seek(70)
            byte = file.read(1)
            file.seek(70)
            file.write(bytes([byte[0] ^ 1]))

    def fails(self, command, *arguments, code=1):
        """It names the snapshot and the part."""
        done = self.snapshot(command, *arguments, code=code)
        self.assertIn(self.part, done.stderr)
        self.assertIn(self.bad, done.stderr)
        return done

    def test_check(self):
        done = self.snapshot("check", "--read", code=1)
        problems = {s["id"]: s["problem"] for s in done.rows("snapshot")}
        self.assertIn(self.part, problems[self.bad])
        self.assertIsNone(problems[self.good])

    def test_show(self):
        done = self.fails("show", self.bad, "--blocks")
        # What comes before it is right.
        shown = [b["block"].split("+")[0] for b in done.rows("block")]
        self.assertEqual(shown, sorted(n for n in self.data if n[0] < self.name[0]))

    def test_diff(self):
        for pair in ((self.good, self.bad), (self.bad, self.good)):
            done = self.fails("diff", *pair)
            # Nothing is called gone or new for what could not be read.
            self.assertEqual(done.rows("block"), [])

    def test_find(self):
        done = self.fails("find", self.name)
        self.assertEqual([s["id"] for s in done.rows("snapshot")], [self.good])
        self.assertEqual((done.summary["found"], done.summary["damaged"]), (1, 1))
        # A block of another part is found in both.
        other = next(n for n in self.data if n[0] != self.name[0])
        self.assertEqual(self.snapshot("find", other).summary["found"], 2)

    def test_verify(self):
        done = self.fails("verify", self.bad, f"dir:{self.blocks}")
        self.assertEqual(done.rows("block"), [])
        self.assertEqual(self.snapshot("verify", self.good, f"dir:{self.blocks}").summary["there"], 60)

    def test_restore(self):
        os.unlink(os.path.join(self.blocks, self.name[:3], self.name))
        source = self.dir.make("source")
        keepctl.store(source, self.data[self.name])
        done = self.fails("restore", self.bad, f"dir:{self.blocks}", "--from", f"dir:{source}", code=4)
        self.assertIn(self.good, done.stderr)
        self.assertNotIn(self.name, keepctl.stored(self.blocks))
        self.snapshot("restore", self.good, f"dir:{self.blocks}", "--from", f"dir:{source}")
        self.assertEqual(keepctl.stored(self.blocks), self.data)

    def test_adopt(self):
        latest = os.path.join(self.root, "latest.json")
        with open(latest, encoding="utf-8") as file:
            listed = json.load(file)
        listed["snapshots"] = [s for s in listed["snapshots"] if s["id"] != self.bad]
        with open(latest, "w", encoding="utf-8") as file:
            file.write(json.dumps(listed, separators=(",", ":")) + "\n")
        self.fails("adopt", self.bad)
        self.assertEqual(self.listed(), [self.good])

    def test_a_create_does_not_mind(self):
        self.create()
        self.assertEqual(len(self.listed()), 3)

    def test_a_snapshot_that_was_pruned(self):
        self.snapshot("prune", "--keep-last", "1", "--grace", "0s")
        self.snapshot("prune", "--keep-last", "1", "--grace", "0s")
        for command, arguments in (("show", (self.good, "--blocks")), ("diff", (self.good, self.bad)),
                                   ("verify", (self.good, f"dir:{self.blocks}")),
                                   ("restore", (self.good, f"dir:{self.blocks}"))):
            done = self.snapshot(command, *arguments, code=1)
            self.assertIn(self.good, done.stderr)


class Shrinking(Case):
    def test_a_mount_that_lists_far_fewer_blocks(self):
        blocks = sorted(self.fill(self.blocks, 400))
        self.create()
        for name in blocks[:250]:
            os.unlink(os.path.join(self.blocks, name[:3], name))
        text = self.create_fails(6)
        self.assertIn("lists 150 blocks where it had 400", text)
        self.assertIn(f"--allow-missing dir:{self.blocks}", text)
        self.assertEqual(len(self.listed()), 1)
        self.assertEqual(len(os.listdir(os.path.join(self.root, "snapshots"))), 1)
        self.create("--allow-missing", f"dir:{self.blocks}")
        # That is the one to compare with now.
        self.create()


class Configured(Case):
    def test_init_takes_the_cluster_from_the_configuration(self):
        config = self.path("config.yml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"Clusters": {"xyzzy": {"Services": {"Keepstore": {"InternalURLs": {"http://keep0:25107/": {}}}},
                                              "Collections": {"BlobSigningKey": "x" * 40}}}}, file)
        for number, (arguments, env, cluster) in enumerate(((("--config", config), {}, "xyzzy"),
                                                            ((), {"ARVADOS_CONFIG": config}, "xyzzy"),
                                                            (("--server", "http://keep0:25107"), {"ARVADOS_CONFIG": config}, ""))):
            root = self.dir.make(f"other{number}")
            done = keepctl.run(self.dir.path, "snapshot", "init", "--json", f"file://{root}", *arguments, env=env)
            self.assertEqual((done.code, done.summary["cluster"]), (0, cluster), done)
        # A repository of one cluster takes none of another.
        done = keepctl.run(self.dir.path, "snapshot", "init", "--json", f"file://{self.path('other0')}")
        self.assertEqual(done.summary["cluster"], "xyzzy", done)


class NoLocks(Case):
    def test_a_file_system_without_flock(self):
        self.fill(self.blocks, 5)
        first = self.create()
        shim = Shim(self.dir.make("shim"))
        before = sorted(os.listdir(self.root))
        with open(os.path.join(self.root, "latest.json"), "rb") as file:
            latest = file.read()
        for number in errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP:
            shim.set("no-locks", f"{number} {self.root}")
            for command, arguments in (("create", (f"dir:{self.blocks}",)), ("prune", ("--keep-last", "1")),
                                       ("adopt", (first,)), ("init", ())):
                done = self.snapshot(command, *arguments, code=2, env=shim.env)
                self.assertIn("flock", done.stderr)
            # Reading needs none.
            self.snapshot("check", "--read", env=shim.env)
            self.assertEqual(self.snapshot("list", env=shim.env).rows("snapshot")[0]["id"], first)
        self.assertEqual(sorted(os.listdir(self.root)), before)
        with open(os.path.join(self.root, "latest.json"), "rb") as file:
            self.assertEqual(file.read(), latest)
        self.assertEqual(os.listdir(os.path.join(self.root, "snapshots")), [first])
        shim.clear("no-locks")
        self.snapshot("create", f"dir:{self.blocks}", env=shim.env)

    def snapshot(self, command, *arguments, env=None, **options):
        saved, self.env = self.env, env
        try:
            return super().snapshot(command, *arguments, **options)
        finally:
            self.env = saved


class KilledRestores(Case):
    def setUp(self):
        super().setUp()
        self.data = self.fill(self.blocks, 120, 3000)
        self.create("--digits", "2")
        self.source = self.dir.make("source")
        for name, data in self.data.items():
            keepctl.store(self.source, data)
        self.lose()

    def lose(self):
        shutil.rmtree(self.blocks)
        os.makedirs(self.blocks)

    def restore(self, *more):
        return ("restore", "latest", f"dir:{self.blocks}", "--from", f"dir:{self.source}", *more)

    def test_at_random_moments(self):
        """No partial block is ever visible, and the next run goes on and finishes."""
        resumed = 0
        for _ in range(rounds(12)):
            process = self.start(0, *self.restore())
            time.sleep(self.random.uniform(0, 0.4))  # The moment is what is random.
            process.send_signal(signal.SIGKILL)
            process.communicate()
            for name, data in keepctl.stored(self.blocks).items():
                self.assertEqual(data, self.data[name])
            if self.random.random() < 0.5:
                code, summary, stderr = self.finish(self.start(0, *self.restore()))
                self.assertEqual(code, 0, stderr)
                resumed += "going on with the run" in stderr
                self.assertEqual(keepctl.stored(self.blocks), self.data)
                self.assertEqual(summary["failed"] + summary["not_found"], 0)
                self.lose()
        code, _, stderr = self.finish(self.start(0, *self.restore("--fresh")))
        self.assertEqual((code, keepctl.stored(self.blocks)), (0, self.data), stderr)

    def test_it_goes_on_where_it_was(self):
        process = self.start(0, *self.restore("--jobs", "1", "--progress", "none"))
        runs = os.path.join(self.dir.path, "host0", "runs")
        until(lambda: process.poll() is not None or os.path.isdir(runs) and any(n.endswith(".json") for n in os.listdir(runs)),
              what="a checkpoint", interval=0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if not any(n.endswith(".json") for n in os.listdir(runs)):
            self.skipTest("it was faster than its first checkpoint")
        code, summary, stderr = self.finish(self.start(0, *self.restore()))
        self.assertEqual(code, 0, stderr)
        self.assertIn("going on with the run", stderr)
        self.assertIn("other shards were looked at", stderr)
        self.assertLess(summary["looked_at"], 120)
        self.assertEqual(keepctl.stored(self.blocks), self.data)
        self.assertFalse([n for n in os.listdir(runs) if n.endswith(".json")])

    def test_two_at_once(self):
        process = self.start(0, *self.restore("--jobs", "1"))
        self.assert_refused_meanwhile(process, *self.restore("--jobs", "1"), host=0)


if __name__ == "__main__":
    main()
