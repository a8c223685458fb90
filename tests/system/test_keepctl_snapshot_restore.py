"""keepctl snapshot restore and verify --data: blocks out of the trash and from other places, and what is no source."""

import json
import os
import signal
import time

from support import keepctl
from support.case import main
from support.daemon import SIGNING_KEY, SYSTEM_ROOT_TOKEN
from support.raw_server import RawServer, response
from support.s3_case import S3Case
from support.s3_case import server as s3_server
from support.snapshot_case import SnapshotCase
from support.wait import until

OUTCOMES = ("present", "untrashed", "copied", "not_found", "bad_source", "failed", "left")


def at(root, name):
    return os.path.join(root, name[:3], name)


def trash(root, name):
    os.rename(at(root, name), f"{at(root, name)}.trash.{int(time.time()) + 9999}")


def rot(root, name):
    """Changes the last byte of a copy."""
    with open(at(root, name), "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))


def files(root):
    """All files below a folder, with their contents."""
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            with open(os.path.join(folder, name), "rb") as file:
                found[os.path.join(folder, name)] = file.read()
    return found


class Case(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.repository = f"file://{self.dir.make('repository')}"
        self.init()

    def path(self, name):
        return os.path.join(self.dir.path, name)

    def take(self, count=20, size=1000, *arguments):
        """Fills the blocks, and makes a snapshot of them. Returns {hash: bytes}, and the hashes in order."""
        blocks = self.fill(self.blocks, count, size)
        self.create(*arguments)
        return blocks, sorted(blocks)

    def restore(self, *arguments, code=0, place=None, **counts):
        done = self.snapshot("restore", "latest", place or f"dir:{self.blocks}", *arguments, code=code)
        found = done.summary
        self.assertEqual({k: found[k] for k in counts}, counts, done)
        self.assertEqual(found["looked_at"], sum(found[k] for k in OUTCOMES), done)
        return done


class Directories(Case):
    def test_a_trashed_block_comes_back_by_untrash(self):
        blocks, names = self.take()
        for name in names[:3]:
            trash(self.blocks, name)
        self.restore(untrashed=3, copied=0, present=17, bytes=3000)
        self.assertEqual(keepctl.stored(self.blocks), blocks)
        self.restore(present=20)

    def test_lost_blocks_are_copied_from_the_first_source_that_is_good(self):
        blocks, names = self.take()
        first, second = self.dir.make("first"), self.dir.make("second")
        for name in names[:6]:
            os.unlink(at(self.blocks, name))
        for name in names[:4]:
            keepctl.store(first, blocks[name])
        for name in names[3:6]:
            keepctl.store(second, blocks[name])
        rot(first, names[3])
        places = ("--from", f"dir:{first}", "--from", f"dir:{second}")
        before = files(first) | files(second)
        self.restore(*places, copied=6, present=14, bytes=6000)
        self.assertEqual(keepctl.stored(self.blocks), blocks)
        self.assertEqual(files(first) | files(second), before)

    def test_what_no_source_has(self):
        blocks, names = self.take()
        source = self.dir.make("source")
        for name in names[:3]:
            os.unlink(at(self.blocks, name))
        keepctl.store(source, blocks[names[0]])
        keepctl.store(source, blocks[names[1]])
        rot(source, names[1])
        done = self.restore("--from", f"dir:{source}", "--failures", self.path("failures"), code=1, copied=1, bad_source=1,
                            not_found=1, present=17)
        with open(self.path("failures"), encoding="utf-8") as file:
            failures = {f["hash"]: f["class"] for f in map(json.loads, file)}
        self.assertEqual(failures, {names[1]: "bad_source", names[2]: "not_found"})
        for name in names[1:3]:
            self.assertIn(name, done.stderr)
            self.assertFalse(os.path.exists(at(self.blocks, name)))
        # Once there is a source the list of failures says what to do.
        keepctl.store(source, blocks[names[2]])
        self.restore("--from", f"dir:{source}", "--only", self.path("failures"), code=1, looked_at=2, copied=1, bad_source=1)

    def test_a_rotten_copy_out_of_the_trash_is_replaced(self):
        blocks, names = self.take()
        source = self.dir.make("source")
        rot(self.blocks, names[0])
        trash(self.blocks, names[0])
        rot(self.blocks, names[1])
        trash(self.blocks, names[1])
        keepctl.store(source, blocks[names[0]])
        self.restore("--from", f"dir:{source}", code=1, copied=1, bad_source=1, untrashed=0)
        self.assertEqual(keepctl.stored(self.blocks)[names[0]], blocks[names[0]])

    def test_a_dry_run_changes_nothing(self):
        blocks, names = self.take()
        source = self.dir.make("source")
        trash(self.blocks, names[0])
        for name in names[1:3]:
            os.unlink(at(self.blocks, name))
        keepctl.store(source, blocks[names[1]])
        before = files(self.dir.path)
        done = self.restore("--from", f"dir:{source}", "--dry-run", code=1, copied=1, not_found=2, present=17)
        self.assertEqual([(b["block"], b["from"]) for b in done.rows("block")],
                         [(f"{names[0]}+1000", None), (f"{names[1]}+1000", f"dir:{source}"), (f"{names[2]}+1000", None)])
        self.assertEqual(files(self.dir.path), before)

    def test_only_some_blocks(self):
        blocks, names = self.take(20, 10, "--digits", "1")
        source = self.dir.make("source")
        for name in names[:4]:
            os.unlink(at(self.blocks, name))
            keepctl.store(source, blocks[name])
        with open(self.path("only"), "w", encoding="ascii") as file:
            file.write(f"{names[1]}+10\n{names[3]}\n{names[9]}\n")
        self.restore("--from", f"dir:{source}", "--only", self.path("only"), looked_at=3, copied=2, present=1)
        self.assertEqual(set(keepctl.stored(self.blocks)), set(names) - {names[0], names[2]})
        with open(self.path("only"), "w", encoding="ascii") as file:
            file.write("0" * 32 + "\n")
        done = self.restore("--only", self.path("only"), code=1, looked_at=0, not_in_snapshot=1)
        self.assertIn("the snapshot lacks 1 block of --only", done.stderr)

    def test_many_blocks_in_many_shards(self):
        blocks, names = self.take(300, 100, "--digits", "2")
        source = self.dir.make("source")
        for i, name in enumerate(names):
            if i % 3 == 0:
                trash(self.blocks, name)
            elif i % 3 == 1:
                os.unlink(at(self.blocks, name))
                keepctl.store(source, blocks[name])
        self.restore("--from", f"dir:{source}", untrashed=100, copied=100, present=100, shards=256)
        self.assertEqual(keepctl.stored(self.blocks), blocks)

    def test_a_damaged_snapshot_is_refused_and_a_whole_one_named(self):
        blocks, names = self.take()
        first = self.listed()[0]
        second = self.create("--digits", "1")
        third = self.create("--digits", "1")
        # Not the sizes: only the data of these tell. The second is no better than the third.
        for one in second, third:
            path = os.path.join(self.path("repository"), "snapshots", one, f"index-{names[5][0]}.kinv")
            with open(path, "r+b") as file:
                file.seek(70)
                byte = file.read(1)
                file.seek(70)
                file.write(bytes([byte[0] ^ 1]))
        trash(self.blocks, names[0])
        before = files(self.blocks)
        done = self.snapshot("restore", "latest", f"dir:{self.blocks}", code=4)
        self.assertIn(f"{third} is damaged", done.stderr)
        self.assertIn(f"whole is {first}", done.stderr)
        self.assertEqual(files(self.blocks), before)
        self.snapshot("restore", first, f"dir:{self.blocks}")
        self.assertEqual(keepctl.stored(self.blocks), blocks)

    def test_what_makes_no_restore(self):
        self.take()
        for arguments, text in ((("--from", f"dir:{self.blocks}"), "same directory"), (("--from", "dir:relative"), "dir:"),
                                (("--jobs", "256"), "--memory")):
            self.assertIn(text, keepctl.run(self.dir.path, "snapshot", "restore", self.repository, "latest",
                                            f"dir:{self.blocks}", *arguments).stderr)
        done = keepctl.run(self.dir.path, "snapshot", "restore", self.repository, "latest", f"dir:{self.blocks}",
                           "--from", f"dir:{self.path('absent')}")
        self.assertEqual(done.code, 2, done)

    def test_a_listing_that_ends_early(self):
        """Nothing is concluded from what it lacks: no request changes anything."""
        self.take(20, 10)
        mounts = json.dumps([{"uuid": "zzzzz-nyw5e-000000000000000", "device_id": "d", "allow_write": True,
                              "replication": 1, "storage_classes": {"default": True}}]).encode()

        def answer(_, target):
            if target == "/mounts":
                return response(mounts)
            # The sample for the estimate is whole.
            return response(b"\n" if target.endswith(("prefix=000", "prefix=0")) else b"")
        server = RawServer(answer)
        self.addCleanup(server.close)
        with open(self.path("only"), "w", encoding="ascii") as file:
            file.write(next(n for n in sorted(keepctl.stored(self.blocks)) if n[0] != "0") + "\n")
        done = self.restore("--only", self.path("only"), code=6, place=f"keep:{server.url}", looked_at=0, shards_incomplete=1)
        self.assertIn("could not be listed", done.stderr)
        self.assertEqual({method for method, _, _ in server.requests}, {"GET"})

    def test_a_signal(self):
        blocks, names = self.take(200, 50_000)
        source = self.dir.make("source")
        for name in names:
            os.unlink(at(self.blocks, name))
            keepctl.store(source, blocks[name])
        process = self.start(0, "restore", "latest", f"dir:{self.blocks}", "--from", f"dir:{source}", "--jobs", "1")
        until(lambda: keepctl.stored(self.blocks) or process.poll() is not None, what="a block", interval=0.001)
        process.send_signal(signal.SIGTERM)
        code, summary, stderr = self.finish(process)
        self.assertIn(code, (0, 143), stderr)
        self.assertEqual(summary["looked_at"], sum(summary[k] for k in OUTCOMES))
        found = keepctl.stored(self.blocks)
        self.assertEqual({n for n, d in found.items() if blocks[n] != d}, set())
        self.assertEqual(len(found), summary["copied"])
        self.restore("--from", f"dir:{source}", present=len(found))
        self.assertEqual(keepctl.stored(self.blocks), blocks)


class Servers(Case):
    def setUp(self):
        super().setUp()
        for name, secret in (("token", SYSTEM_ROOT_TOKEN), ("key", SIGNING_KEY)):
            with open(self.path(name), "w", encoding="ascii") as file:
                file.write(secret)
        self.secrets = ["--token-file", self.path("token"), "--signing-key-file", self.path("key")]

    def daemons(self, count):
        out = [self.start_daemon(f"v{i}") for i in range(count)]
        self.words = [w for d in out for w in ("--server", self.url(d))] + self.secrets
        return out, [d.roots()[0] for d in out]

    def start_daemon(self, name):
        # What it says of rotten blocks is no failure here.
        return super(SnapshotCase, self).start([self.dir.make(name)], check_log=False)

    def url(self, daemon):
        return f"http://{daemon.address[0]}:{daemon.address[1]}"

    def test_a_cluster_gets_its_blocks_back(self):
        _, (one, two) = self.daemons(2)
        blocks = self.fill(one, 12, 70_000) | self.fill(two, 8, 70_000)
        self.snapshot("create", "cluster", *self.words)
        elsewhere = self.start_daemon("elsewhere")
        mine, others = sorted(keepctl.stored(one)), sorted(keepctl.stored(two))
        # Out of the trash of either server; from another server; a rotten copy in the trash.
        trash(one, mine[0])
        trash(two, others[0])
        os.unlink(at(one, mine[1]))
        keepctl.store(elsewhere.roots()[0], blocks[mine[1]])
        rot(one, mine[2])
        trash(one, mine[2])
        keepctl.store(elsewhere.roots()[0], blocks[mine[2]])
        done = self.restore("--from", f"keep:{self.url(elsewhere)}", *self.words, place="cluster", untrashed=2, copied=2,
                            present=16)
        self.assertEqual(done.stderr.count("bad_source"), 0)
        found = keepctl.stored(one) | keepctl.stored(two)
        self.assertEqual({n for n in blocks if blocks[n] not in
                          (keepctl.stored(one).get(n), keepctl.stored(two).get(n))}, set())
        self.assertEqual(set(found), set(blocks))
        self.snapshot("verify", "latest", "cluster", "--data", *self.words)

    def test_a_server_more_is_another_run(self):
        """Shards that are done for two servers are not done for three."""
        _, (one, _) = self.daemons(2)
        blocks = self.fill(one, 200, 50_000)
        self.snapshot("create", "cluster", *self.words)
        source = self.dir.make("source")
        for name, data in blocks.items():
            os.unlink(at(one, name))
            keepctl.store(source, data)
        words = ["restore", "latest", "cluster", "--from", f"dir:{source}", "--jobs", "1", *self.words]
        process = self.start(0, *words)
        runs = os.path.join(self.dir.path, "host0", "runs")
        until(lambda: process.poll() is not None or os.path.isdir(runs) and any(n.endswith(".json") for n in os.listdir(runs)),
              what="a checkpoint", interval=0.001)
        process.kill()
        process.communicate()
        if not any(n.endswith(".json") for n in os.listdir(runs)):
            self.skipTest("it was faster than its first checkpoint")
        more = self.start_daemon("more")
        code, summary, stderr = self.finish(self.start(0, *words, "--server", self.url(more)))
        self.assertEqual((code, summary["looked_at"]), (0, len(blocks)), stderr)
        self.assertNotIn("going on with", stderr)
        code, _, stderr = self.finish(self.start(0, *words))
        self.assertEqual(code, 0, stderr)
        self.assertIn("going on with", stderr)

    def test_a_server_that_goes_away_or_refuses(self):
        (one, _), (root, _) = self.daemons(2)
        blocks = self.fill(root, 5, 100)
        self.snapshot("create", f"keep:{self.url(one)}", *self.secrets)
        trash(root, sorted(blocks)[0])
        with open(self.path("token"), "w", encoding="ascii") as file:
            file.write("another")
        self.snapshot("restore", "latest", f"keep:{self.url(one)}", *self.secrets, code=3)
        with open(self.path("token"), "w", encoding="ascii") as file:
            file.write(SYSTEM_ROOT_TOKEN)
        done = self.snapshot("restore", "latest", "cluster", "--class", "absent", *self.words, code=3)
        self.assertIn("offers absent", done.stderr)
        one.stop()
        self.snapshot("restore", "latest", f"keep:{self.url(one)}", *self.secrets, code=3)
        self.assertFalse(os.path.exists(at(root, sorted(blocks)[0])))

    def test_verify_by_data(self):
        (one, _), (root, _) = self.daemons(2)
        for place, words in ((f"dir:{root}", []), (f"keep:{self.url(one)}", self.secrets)):
            with self.subTest(place=place):
                blocks = self.fill(root, 20, 5000)
                names = sorted(blocks)
                self.snapshot("create", place, *words)
                total = len(keepctl.stored(root))
                done = self.snapshot("verify", "latest", place, "--data", *words)
                self.assertEqual((done.summary["there"], done.summary["checked"], done.summary["bad"]), (total, total, 0))
                rot(root, names[3])
                os.unlink(at(root, names[4]))
                done = self.snapshot("verify", "latest", place, *words, code=1)
                self.assertEqual((done.summary["missing"], done.summary["there"]), (1, total - 1))
                done = self.snapshot("verify", "latest", place, "--data", *words, code=1)
                self.assertEqual({b["block"][:32]: b["state"] for b in done.rows("block")},
                                 {names[3]: "bad", names[4]: "missing"})
                # Parts make the whole: each block is looked at once.
                parts = [self.snapshot("verify", "latest", place, "--data", "--subset", f"{n}/3", *words, code=None)
                         for n in (1, 2, 3)]
                self.assertEqual(sum(p.summary["checked"] for p in parts), total - 1)
                self.assertEqual(sum(p.summary["bad"] for p in parts), 1)
                self.assertEqual(sorted(p.code for p in parts)[-1], 1)
                os.unlink(at(root, names[3]))


class Buckets(S3Case, Case):
    def test_lost_blocks_come_from_a_bucket(self):
        info = s3_server()
        self.env = {"AWS_ACCESS_KEY_ID": info["access_key"], "AWS_SECRET_ACCESS_KEY": info["secret_key"]}
        blocks, names = self.take(12, 300_000)
        there = f"s3://{self.bucket}?endpoint={info['endpoint']}&region={info['region']}&path-style=1"
        self.assertEqual(keepctl.run(self.dir.path, "replicate", f"dir:{self.blocks}", there, env=self.env).code, 0)
        for name in names[:4]:
            os.unlink(at(self.blocks, name))
        self.restore("--from", there, copied=4, present=8, bytes=1_200_000)
        self.assertEqual(keepctl.stored(self.blocks), blocks)
        # And the bucket itself is a place, with its own trash.
        self.snapshot("create", there)
        for name in names[:2]:
            self.s3.delete(self.bucket, name)
        self.restore("--from", f"dir:{self.blocks}", place=there, copied=2, present=10)
        self.assertEqual(self.s3.get(self.bucket, names[0]), blocks[names[0]])


if __name__ == "__main__":
    main()
