"""keepctl snapshot: repositories in a directory, with damage, races and kills."""

import hashlib
import json
import os
import shutil
import signal
import time

from support import keepctl
from support.case import main, rounds
from support.snapshot_case import SnapshotCase
from support.stub import Stub
from support.wait import until

DAY = 24 * 3600


class Case(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.root = self.dir.make("repository")
        self.repository = f"file://{self.root}"

    def path(self, *names):
        return os.path.join(self.root, *names)

    def latest(self):
        with open(self.path("latest.json"), encoding="utf-8") as file:
            return json.load(file)

    def folders(self):
        folder = self.path("snapshots")
        return sorted(os.listdir(folder)) if os.path.isdir(folder) else []

    def back_date(self, folder, seconds):
        """Makes all files below a folder older."""
        at = time.time() - seconds
        for where, _, names in os.walk(folder):
            for name in names:
                os.utime(os.path.join(where, name), (at, at))

    def forge(self, change):
        """Rewrites latest.json as another program would."""
        latest = self.latest()
        change(latest)
        with open(self.path("latest.json"), "w", encoding="utf-8") as file:
            file.write(json.dumps(latest, separators=(",", ":")) + "\n")


class Repository(Case):
    def test_a_snapshot_lists_what_there_was(self):
        blocks = self.fill(self.blocks, 40)
        self.init()
        self.assertEqual(self.listed(), [])
        done = self.snapshot("create", f"dir:{self.blocks}")
        one = done.summary["id"]
        self.assertEqual((done.summary["blocks"], done.summary["replicas"], done.summary["bytes"], done.summary["shards"]),
                         (40, 40, 400, 1))
        self.assertEqual(self.listed(), [one])
        found = self.snapshot("show", "latest", "--blocks").rows("block")
        self.assertEqual([b["block"] for b in found], [f"{name}+10" for name in sorted(blocks)])
        (mount,) = self.snapshot("show", one, "--mounts").rows("mount")
        self.assertEqual(mount["mount"], f"dir:{self.blocks}")
        (shown,) = self.snapshot("show", one).rows("snapshot")
        self.assertEqual((shown["scope"], shown["sequence"], shown["blocks"]), (f"dir:{self.blocks}", 1, 40))

        # The chain of digests that docs/snapshots.md promises, with nothing but the standard library.
        latest = self.latest()
        with open(self.path("snapshots", one, "snapshot.json"), "rb") as file:
            text = file.read()
        self.assertEqual(hashlib.sha256(text).hexdigest(), latest["snapshots"][0]["metadata_sha256"])
        (described,) = json.loads(text)["objects"]
        with open(self.path("snapshots", one, described["name"]), "rb") as file:
            data = file.read()
        self.assertEqual((len(data), hashlib.sha256(data).hexdigest(), described["records"]),
                         (described["bytes"], described["sha256"], 40))
        self.assertEqual([data[64 + 32 * i:80 + 32 * i].hex() for i in range(40)], sorted(blocks))

        more = self.fill(self.blocks, 3)
        two = self.create("--digits", "1")
        self.assertEqual(self.listed(), [two, one])
        self.assertEqual(len(os.listdir(self.path("snapshots", two))), 17)
        self.assertEqual({b["block"][:32] for b in self.snapshot("show", two, "--blocks").rows("block")}, set(blocks | more))
        self.assertEqual(len(self.snapshot("show", one, "--blocks").rows("block")), 40)
        self.assert_whole()
        self.assertEqual(sorted(os.listdir(self.root)), [".lock", "keepctl-repository.json", "latest.json", "snapshots"])

    def test_init(self):
        self.assertIn("no repository", self.snapshot("list", code=2).stderr)
        with open(self.path("other"), "w", encoding="ascii") as file:
            file.write("x")
        self.assertIn("not empty", self.snapshot("init", code=2).stderr)
        self.assertEqual(os.listdir(self.root), [".lock", "other"] if os.path.exists(self.path(".lock")) else ["other"])
        os.remove(self.path("other"))
        first = self.init().summary["repository"]
        # Once more, and after a crash between its two files.
        self.assertEqual(self.init().summary["repository"], first)
        os.remove(self.path("latest.json"))
        self.assertEqual(self.init().summary["repository"], first)
        self.assertEqual(self.latest()["sequence"], 0)
        gone = self.repository + "/absent"
        done = keepctl.run(self.dir.path, "snapshot", "init", gone)
        self.assertEqual((done.code, os.path.exists(self.path("absent"))), (2, False), done)

    def test_what_makes_no_snapshot(self):
        self.init()
        self.assertIn("--allow-empty-source", self.create_fails(4))
        self.assertEqual(self.folders(), [])
        self.create("--allow-empty-source")
        # A server whose index ends early, each time.
        mounts = json.dumps([{"uuid": "zzzzz-nyw5e-000000000000000", "device_id": "d"}]).encode()
        line = b"37b51d194a7513e45b56f6524f2d51f2+3 1700000000000000000\n"
        stub = Stub(lambda path, _: (200, mounts if path == "/mounts" else line, {}))
        self.addCleanup(stub.close)
        before = self.latest()
        done = self.snapshot("create", stub.url.replace("http", "keep:http"), "--digits", "1", code=6)
        self.assertIn("could not be listed", done.stderr)
        self.assertEqual((self.latest(), len(self.folders())), (before, 1))
        done = keepctl.run(self.dir.path, "snapshot", "create", self.repository, "dir:relative")
        self.assertEqual(done.code, 2, done)
        done = keepctl.run(self.dir.path, "snapshot", "create", "https://x", f"dir:{self.blocks}")
        self.assertIn("file:///absolute/directory", done.stderr)
        self.assertEqual(done.code, 2, done)

    def test_a_mount_that_is_gone(self):
        self.fill(self.blocks, 5)
        self.init()
        self.create()
        def rename(latest):
            one = self.path("snapshots", latest["snapshots"][0]["id"], "snapshot.json")
            with open(one, encoding="utf-8") as file:
                text = file.read().replace('"uuid":"dir:', '"uuid":"gone:')
            with open(one, "w", encoding="utf-8") as file:
                file.write(text)
            latest["snapshots"][0]["metadata_sha256"] = hashlib.sha256(text.encode()).hexdigest()
        self.forge(rename)
        self.assertIn("--allow-missing gone:", self.create_fails(6))
        self.assertEqual(len(self.folders()), 1)
        self.create("--allow-missing", f"gone:{self.blocks}")
        # The newest of this scope counts.
        self.create()

    def test_formats_of_the_future(self):
        self.fill(self.blocks, 5)
        self.init()
        self.create()
        self.forge(lambda latest: latest.update(later={"x": [1]}))
        self.create()
        self.assertEqual(self.latest()["later"], {"x": [1]})
        self.forge(lambda latest: latest.update(format="keepctl-latest-2"))
        before = self.latest()
        self.assertIn("keepctl-latest-2", self.create_fails(2))
        self.assertIn("keepctl-latest-2", self.snapshot("prune", "--keep-last", "1", code=2).stderr)
        self.assertEqual(self.latest(), before)
        # What was uploaded is removed: no swap was attempted.
        self.assertEqual(len(self.folders()), 2)

    def test_an_empty_folder_of_a_killed_process(self):
        self.fill(self.blocks, 5)
        self.init()
        self.create()
        kept = self.folders()
        os.mkdir(self.path("snapshots", "20200101T000000Z-0123456789abcdef"))
        self.snapshot("prune", "--keep-last", "1")
        self.assertEqual(self.folders(), kept)

    def test_a_repository_that_lost_its_list(self):
        self.fill(self.blocks, 5)
        self.init()
        self.create()
        os.remove(self.path("latest.json"))
        self.assertIn("damaged or removed", self.create_fails(1))
        self.assertIn("damaged or removed", self.snapshot("init", code=1).stderr)
        self.assertIn("damaged or removed", self.snapshot("prune", "--keep-last", "1", code=1).stderr)
        self.assertFalse(os.path.exists(self.path("latest.json")))
        self.assertEqual(len(self.folders()), 1)


class Checks(Case):
    def setUp(self):
        super().setUp()
        self.fill(self.blocks, 30)
        self.init()
        self.whole = self.create()
        self.fill(self.blocks, 1)
        self.bad = self.create("--digits", "1")

    def damage(self, name, how):
        path = self.path("snapshots", self.bad, name)
        with open(path, "rb") as file:
            data = file.read()
        if how == "removed":
            os.remove(path)
        else:
            data = data[:-1] if how == "cut" else data[:70] + bytes([data[70] ^ 1]) + data[71:]
            with open(path, "wb") as file:
                file.write(data)

    def test_damage_is_found_and_a_whole_one_named(self):
        for name, how, read in (("snapshot.json", "flipped", False), ("snapshot.json", "removed", False),
                                ("index-3.kinv", "cut", False), ("index-a.kinv", "removed", False),
                                ("index-3.kinv", "flipped", True)):
            with self.subTest(name=name, how=how):
                saved = self.dir.path + "/saved"
                shutil.copytree(self.path("snapshots", self.bad), saved)
                self.damage(name, how)
                done = self.snapshot("check", *["--read"] * read, code=1)
                states = {s["id"]: s["state"] for s in done.rows("snapshot")}
                self.assertEqual(states, {self.bad: "damaged", self.whole: "whole"})
                problem = [s["problem"] for s in done.rows("snapshot") if s["id"] == self.bad][0]
                self.assertIn(name, problem)
                if not read:
                    self.assertEqual(done.summary["newest_whole"], self.whole)
                    self.assertIn(self.whole, done.stderr)
                self.assertEqual(self.snapshot("check", self.whole, "--read").summary["damaged"], 0)
                if name == "index-3.kinv":
                    self.assertIn("damaged", self.snapshot("show", self.bad, "--blocks", code=1).stderr)
                shutil.rmtree(self.path("snapshots", self.bad))
                shutil.move(saved, self.path("snapshots", self.bad))
        self.assert_whole()

    def test_foreign_objects(self):
        """An object of one snapshot in the place of another's of the same size."""
        third = self.create("--digits", "1")
        shutil.copy(self.path("snapshots", self.bad, "index-3.kinv"), self.path("snapshots", third, "index-3.kinv"))
        done = self.snapshot("check", third, "--read", code=1)
        self.assertIn("index-3.kinv", done.rows("snapshot")[0]["problem"])


class Prune(Case):
    def setUp(self):
        super().setUp()
        self.fill(self.blocks, 5)
        self.init()

    def test_removal_in_two_steps(self):
        ids = [self.create() for _ in range(4)]
        self.assertIn("--keep-last", self.snapshot("prune", code=2).stderr)
        done = self.snapshot("prune", "--keep-last", "2", "--dry-run")
        self.assertEqual({s["id"]: s["kept_by"] for s in done.rows("snapshot")},
                         {ids[3]: ["last"], ids[2]: ["last"], ids[1]: [], ids[0]: []})
        self.assertEqual(self.listed(), ids[::-1])

        done = self.snapshot("prune", "--keep-last", "2")
        self.assertEqual((done.summary["removed"], done.summary["deleted"]), (2, 0))
        self.assertEqual(self.listed(), ids[:1:-1])
        self.assertEqual(self.folders(), sorted(ids))
        self.assertIn("was pruned", self.snapshot("show", ids[0], code=1).stderr)
        done = self.snapshot("prune", "--keep-last", "2")
        self.assertEqual((done.summary["waiting"], done.summary["deleted"]), (2, 0))
        done = self.snapshot("prune", "--keep-last", "2", "--grace", "0s")
        self.assertEqual((done.summary["deleted"], done.summary["objects_deleted"]), (2, 4))
        self.assertEqual((self.folders(), self.latest()["removed"]), (sorted(ids[2:]), []))
        # The sequence goes on: nothing is used twice.
        sequence = self.latest()["sequence"]
        self.create()
        self.assertEqual(self.latest()["snapshots"][0]["sequence"], sequence + 1)
        self.assert_whole()

    def test_the_newest_stays(self):
        ids = [self.create() for _ in range(2)]
        def age(latest):
            for one in latest["snapshots"]:
                one["listed_at"] = "2020-01-01T00:00:00Z"
        self.forge(age)
        self.snapshot("prune", "--keep-within", "1h", "--grace", "0s")
        self.assertEqual((self.listed(), self.folders()), (ids[1:], ids[1:]))

    def orphan(self, age):
        """A complete snapshot that is not listed."""
        one = self.create()
        self.forge(lambda latest: latest["snapshots"].pop(0))
        self.back_date(self.path("snapshots", one), age)
        return one

    def test_orphans(self):
        kept = self.create()
        young, old = self.orphan(DAY - 600), self.orphan(DAY + 600)
        os.makedirs(self.path("snapshots", "not-a-snapshot"))
        with open(self.path("snapshots", "not-a-snapshot", "file"), "wb"):
            pass
        self.assertEqual({o["id"] for o in self.snapshot("list", "--orphans").rows("orphan")}, {young, old})
        done = self.snapshot("prune", "--keep-last", "9", "--grace", "0s")
        self.assertEqual((done.summary["orphans_removed"], done.summary["orphans_young"]), (1, 1))
        self.assertEqual(self.folders(), sorted([kept, young, "not-a-snapshot"]))
        self.assertEqual(self.listed(), [kept])

    def test_adopt(self):
        self.create()
        one = self.orphan(2 * DAY)
        self.assertIn("no snapshot", self.snapshot("show", one, code=1).stderr)
        self.snapshot("adopt", one)
        self.assertEqual(self.listed()[0], one)
        self.assert_whole()
        sequence = self.latest()["sequence"]
        self.snapshot("adopt", one)
        self.assertEqual(self.latest()["sequence"], sequence)
        # One that a prune has taken is not brought back, nor is a damaged one.
        two = self.orphan(2 * DAY)
        self.snapshot("prune", "--keep-last", "9")
        self.assertIn("being removed", self.snapshot("adopt", two, code=1).stderr)
        three = self.orphan(0)
        os.remove(self.path("snapshots", three, "index.kinv"))
        self.assertIn("index.kinv", self.snapshot("adopt", three, code=1).stderr)
        self.assertNotIn(three, self.listed())

    def test_a_kill_between_the_steps(self):
        """Objects that are half deleted, and an entry that was not dropped: the next prune goes on."""
        ids = [self.create() for _ in range(2)]
        self.snapshot("prune", "--keep-last", "1")
        os.remove(self.path("snapshots", ids[0], "index.kinv"))
        self.snapshot("prune", "--keep-last", "1", "--grace", "0s")
        self.assertEqual((self.folders(), self.latest()["removed"]), ([ids[1]], []))


class Races(Case):
    def setUp(self):
        super().setUp()
        self.fill(self.blocks, 50)
        self.init()

    def test_sixteen_creates_at_once(self):
        """All are listed once, and the sequence has no gap."""
        waiting = [self.start(i, "create", f"dir:{self.blocks}", "--digits", str(i % 2)) for i in range(16)]
        made = []
        for process in waiting:
            code, summary, stderr = self.finish(process)
            self.assertIn(code, (0, 5), stderr)
            if code == 0:
                made.append(summary["id"])
            else:
                self.assertIn("adopt", stderr)
        latest = self.latest()
        self.assertEqual(sorted(s["id"] for s in latest["snapshots"]), sorted(made))
        self.assertEqual([s["sequence"] for s in latest["snapshots"]], list(range(len(made), 0, -1)))
        self.assertGreaterEqual(len(made), 2)
        # Who lost eight times has left its data: it can be listed later.
        for orphan in self.snapshot("list", "--orphans").rows("orphan"):
            self.snapshot("adopt", orphan["id"])
        self.assertEqual(len(self.listed()), 16)
        self.assert_whole()

    def test_one_create_on_a_host(self):
        slow = self.dir.make("slow")
        self.fill(slow, 3000)
        first = self.start(1, "create", f"dir:{slow}", "--digits", "3")
        self.assert_refused_meanwhile(first, "create", f"dir:{self.blocks}", host=1)

    def test_prunes_against_creates(self):
        for _ in range(3):
            self.create()
        waiting = [self.start(i, "create", f"dir:{self.blocks}") if i % 2 else
                   self.start(i, "prune", "--keep-last", "2", "--grace", "0s") for i in range(8)]
        made = set()
        for process in waiting:
            code, summary, stderr = self.finish(process)
            self.assertIn(code, (0, 5), stderr)
            if summary.get("id"):
                made.add(summary["id"])
        self.assert_whole()
        self.snapshot("prune", "--keep-last", "2", "--grace", "0s")
        listed = self.listed()
        self.assertEqual(len(listed), 2)
        # The newest are of this race, and what is gone stays gone.
        self.assertLessEqual(set(listed), made)
        self.assertEqual(set(self.folders()) - {o["id"] for o in self.snapshot("list", "--orphans").rows("orphan")},
                         set(listed))
        self.assert_whole()

    def test_kills_at_random_moments(self):
        """Nothing partial is ever listed, and what was listed stays."""
        listed = []
        for number in range(rounds(12)):
            process = self.start(0, "create", f"dir:{self.blocks}", "--digits", "1")
            time.sleep(self.random.uniform(0, 0.25))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.assert_whole()
            now = self.listed()
            self.assertEqual(now[len(now) - len(listed):], listed, number)
            listed = now
            if number % 3 == 2:
                prune = self.start(0, "prune", "--keep-last", "2", "--grace", "0s")
                time.sleep(self.random.uniform(0, 0.1))
                prune.send_signal(signal.SIGKILL)
                prune.communicate()
                self.assert_whole()
                now = self.listed()
                self.assertEqual(now[:1], listed[:1])
                listed = now
        self.create()
        self.back_date(self.root, 2 * DAY)
        self.snapshot("prune", "--keep-last", "1", "--grace", "0s")
        self.assertEqual(self.folders(), self.listed())
        self.assertEqual(len(self.folders()), 1)
        self.assertEqual(sorted(os.listdir(self.root)), [".lock", "keepctl-repository.json", "latest.json", "snapshots"])
        self.assertEqual([n for _, _, names in os.walk(self.root) for n in names if n.endswith(".tmp")], [])

    def test_a_signal_leaves_nothing(self):
        slow = self.dir.make("slow")
        self.fill(slow, 3000)
        process = self.start(1, "create", f"dir:{slow}", "--digits", "3")
        until(lambda: self.folders() and len(os.listdir(self.path("snapshots", self.folders()[0]))) > 3)
        process.send_signal(signal.SIGTERM)
        code, summary, stderr = self.finish(process)
        if "id" not in summary:
            self.assertEqual((code, self.folders(), self.listed()), (143, [], []), stderr)


if __name__ == "__main__":
    main()
