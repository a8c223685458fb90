"""keepctl replicate: from directories, servers and buckets to others."""

import glob
import json
import os
import signal
import stat
import threading
import time

from support import keepctl
from support.case import main, rounds
from support.daemon import MANAGEMENT_TOKEN, directory_volume
from support.locator import EMPTY, md5
from support.replicate_case import ReplicateCase, ReplicateServerCase, count
from support.s3_case import S3Case, server as s3_server
from support.stub import Stub
from support.wait import until


class Directories(ReplicateCase):
    def test_blocks_of_all_sizes(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 40)
        few = list(blocks)[:10]
        for name in few:
            keepctl.store(b, blocks[name])
        extra = keepctl.store(b, b"only at the destination")
        size = sum(len(d) for n, d in blocks.items() if n not in few)

        done = self.replicate(f"dir:{a}", f"dir:{b}", "--dry-run")
        self.assert_counts(done, listed=len(blocks), copied=len(blocks) - 10, present=10, bytes=size)
        self.assertEqual(len(keepctl.stored(b)), 11)

        done = self.replicate(f"dir:{a}", f"dir:{b}")
        self.assert_counts(done, listed=len(blocks), copied=len(blocks) - 10, present=10, bytes=size, failed=0)
        self.assertEqual(keepctl.stored(b), blocks | {extra: b"only at the destination"})
        self.assertEqual(keepctl.stored(a), blocks)
        self.assert_no_leftovers(b)
        self.assertEqual(self.state_files(), [])

        # A block that was copied has waypoints, so that the daemon need not hash it before the first byte.
        large = max(set(blocks) - set(few), key=lambda n: len(blocks[n]))
        self.assertIn("user.keepstore.waypoints", os.listxattr(os.path.join(b, large[:3], large)))

        done = self.replicate(f"dir:{a}", f"dir:{b}", "--error-on-no-change")
        self.assert_counts(done, 9, listed=len(blocks), present=len(blocks), copied=0)

    def test_selections(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 40, 10)
        old = [n for n in blocks if n < "8"]
        for name in old:
            os.utime(os.path.join(a, name[:3], name), (0, time.time() - 7200))
        prefix = min(blocks)[:1]
        some = {n for n in blocks if n.startswith(prefix)}
        self.assert_counts(self.replicate(f"dir:{a}", f"dir:{b}", "--prefix", prefix), listed=len(some), copied=len(some))
        self.assertEqual(set(keepctl.stored(b)), some)
        long = min(blocks)[:20]
        self.assert_counts(self.replicate(f"dir:{a}", f"dir:{b}", "--prefix", long), listed=1, present=1)
        self.assert_counts(self.replicate(f"dir:{a}", f"dir:{b}", "--since", "1h"), listed=len(blocks) - len(old))
        self.assertEqual(set(keepctl.stored(b)), some | (set(blocks) - set(old)))
        two = sorted(old)[-2:]
        with open(self.path("names"), "w", encoding="ascii") as file:
            file.write(f"{two[0]}+10\n" + json.dumps({"hash": two[1]}) + "\n" + md5(b"no such block") + "\n")
        self.assert_counts(self.replicate(f"dir:{a}", f"dir:{b}", "--only", self.path("names")), listed=2)
        self.assertLessEqual(set(two), set(keepctl.stored(b)))
        for digits in "0", "1", "2", "3":
            c = self.dir.make(f"c{digits}")
            self.assert_counts(self.replicate(f"dir:{a}", f"dir:{c}", "--digits", digits), copied=len(blocks),
                               shards=16 ** int(digits), shards_done=16 ** int(digits))
            self.assertEqual(keepctl.stored(c), blocks)

    def test_rotten_sources(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 9, 300_000)
        flipped, cut, longer, *good = self.spoil(a, blocks)
        before = keepctl.stored(a)
        done = self.replicate(f"dir:{a}", f"dir:{b}", "--failures", self.path("failures"))
        self.assert_counts(done, 1, copied=6, bad_source=3, failed=0)
        self.assertEqual(keepctl.stored(b), {n: blocks[n] for n in good})
        self.assertEqual(keepctl.stored(a), before)
        self.assert_no_leftovers(b)
        with open(self.path("failures"), encoding="utf-8") as file:
            failures = [json.loads(line) for line in file]
        self.assertEqual({f["hash"] for f in failures}, {flipped, cut, longer})
        self.assertEqual({f["class"] for f in failures}, {"bad_source"})
        self.assertEqual({f["server"] for f in failures}, {f"dir:{a}"})
        self.assertIn("run again with --only " + self.path("failures"), done.stderr)
        # Each stands in the list at the end, and the first of each kind was shown when it failed.
        lines = done.stderr.splitlines()
        listed = [x for x in lines if ": bad_source: " in x and "warning" not in x]
        kinds = {x.split(": bad_source: ")[1] for x in listed}
        at_once = [x for x in lines if ": bad_source: " in x and "warning" in x]
        self.assertEqual((len(listed), len(at_once)), (3, len(kinds)), done)
        self.assertEqual({x.split(": bad_source: ")[1] for x in at_once}, kinds)
        self.assertLess(lines.index(at_once[-1]), lines.index(listed[0]))

        # Mended, they are copied by name.
        for name in flipped, cut, longer:
            keepctl.store(a, blocks[name], name)
        done = self.replicate(f"dir:{a}", f"dir:{b}", "--only", self.path("failures"))
        self.assert_counts(done, listed=3, copied=3)
        self.assertEqual(keepctl.stored(b), blocks)

    def test_bad_copies_at_the_destination_are_replaced(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 4, 300_000)
        cut, longer, rotten_on_both, _ = sorted(blocks)
        keepctl.store(b, blocks[cut][:-1], cut)
        keepctl.store(b, blocks[longer] + b"x", longer)
        keepctl.store(a, b"rotten", rotten_on_both)
        keepctl.store(b, b"rotten, too", rotten_on_both)
        done = self.replicate(f"dir:{a}", f"dir:{b}")
        self.assert_counts(done, 1, replaced=2, copied=1, bad_source=1)
        self.assertEqual(keepctl.stored(b), blocks | {rotten_on_both: b"rotten, too"})

    def test_a_good_copy_is_never_replaced_by_a_rotten_one(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(b, 2, 300_000)
        cut, longer = sorted(blocks)
        keepctl.store(a, blocks[cut][:-1], cut)
        keepctl.store(a, blocks[longer] + b"x", longer)
        done = self.replicate(f"dir:{a}", f"dir:{b}")
        self.assert_counts(done, 1, bad_source=2, failed=0, replaced=0)
        self.assertEqual(keepctl.stored(b), blocks)

    def test_files_that_are_no_blocks_are_left_alone(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 3, 10)
        name = "0123456789abcdef0123456789abcdef"
        large = os.path.join(a, name[:3], name)
        os.makedirs(os.path.dirname(large), exist_ok=True)
        with open(large, "wb") as file:
            file.truncate((64 << 20) + 1)
        for stray in ("README", "012/README", "012/" + md5(b"elsewhere")):
            os.makedirs(os.path.dirname(os.path.join(a, stray)), exist_ok=True)
            with open(os.path.join(a, stray), "wb") as file:
                file.write(b"stray")
        done = self.replicate(f"dir:{a}", f"dir:{b}")
        self.assert_counts(done, listed=3, copied=3, too_large=1, foreign=3)
        self.assertIn("3 entries of other names left out", done.stderr)
        self.assertEqual(keepctl.stored(b), blocks)
        for stray in ("README", "012/README"):
            with open(os.path.join(a, stray), "rb") as file:
                self.assertEqual(file.read(), b"stray")
        done = keepctl.run(self.dir.path, "ls", "--json", f"dir:{a}")
        self.assertEqual((done.summary["too_large"], done.summary["foreign"]), (1, 3), done)
        done = keepctl.run(self.dir.path, "compare", "--json", f"dir:{a}", f"dir:{b}")
        self.assertEqual((done.code, done.summary["too_large"], done.summary["foreign"]), (0, 1, 3), done)

    def test_an_empty_source_is_taken_for_a_mistake(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        done = self.replicate(f"dir:{a}", f"dir:{b}")
        self.assertEqual(done.code, 4, done)
        self.assertIn("--allow-empty-source", done.stderr)
        self.assertNotIn("to go on", done.stderr)
        self.assert_counts(self.replicate(f"dir:{a}", f"dir:{b}", "--allow-empty-source"), listed=0)
        # The same command, when the disk is mounted: nothing was concluded from the empty folder.
        self.assertEqual(self.replicate(f"dir:{a}", f"dir:{b}").code, 4)
        blocks = self.fill(a, 5, 10)
        self.assert_counts(self.replicate(f"dir:{a}", f"dir:{b}"), listed=len(blocks), copied=len(blocks))

    def test_a_stop_while_the_source_lists_nothing(self):
        """The disk was mounted between two runs: the second one looks at all shards."""
        b, data, mounted = self.dir.make("b"), b"some block", threading.Event()

        def answer(path, _):
            if path == "/mounts":
                return 200, b'[{"uuid": "zzzzz-nyw5e-000000000000000", "device_id": "x"}]', {}
            if "/blocks" not in path:
                return 200, data, {}
            time.sleep(0.05)  # So that the run takes a while.
            there = mounted.is_set() and md5(data).startswith(path.rsplit("=", 1)[1])
            return 200, f"{md5(data)}+{len(data)} 1600000000000000000\n\n".encode() if there else b"\n", {}

        stub = Stub(answer)
        self.addCleanup(stub.close)
        words = (f"keep:{stub.url}", f"dir:{b}", "--digits", "1", "--token-file", self.path("token"))
        with open(self.path("token"), "w", encoding="ascii") as file:
            file.write("token")
        running = keepctl.start(self.dir.path, "replicate", *words)
        until(lambda: stub.count("/blocks") > 4, what="some shards")
        running.send_signal(signal.SIGTERM)
        _, stderr = running.communicate()
        self.assertEqual(running.returncode, 143, stderr)
        mounted.set()
        self.assert_counts(self.replicate(*words), listed=1, copied=1)
        self.assertEqual(keepctl.stored(b), {md5(data): data})

    def test_metrics(self):
        a, b, file = self.dir.make("a"), self.dir.make("b"), self.path("keepctl.prom")
        blocks = self.fill(a, 9, 1000)

        def metrics():
            with open(file, encoding="utf-8") as text:
                lines = [line.rsplit(" ", 1) for line in text if not line.startswith("#")]
            found = {name: float(value) for name, value in lines}
            self.assertTrue(all('command="replicate",job="nightly"' in name for name in found), found)
            return {name.replace('command="replicate",job="nightly"', ""): value for name, value in found.items()}

        more = ["--metrics-file", file, "--job", "nightly"]
        self.assertEqual(self.replicate(f"dir:{a}", f"dir:{b}", *more).code, 0)
        first = metrics()
        self.assertEqual(first['keepctl_blocks_total{,outcome="copied"}'], len(blocks))
        self.assertEqual(first['keepctl_bytes_total{,outcome="copied"}'], 1000 * len(blocks))
        self.assertEqual(first['keepctl_shards{,state="done"}'], 16)
        self.assertEqual(first["keepctl_run_exit_code{}"], 0)
        self.assertEqual(first["keepctl_run_last_success_timestamp_seconds{}"], first["keepctl_run_completed_timestamp_seconds{}"])
        self.assertEqual(stat.S_IMODE(os.stat(file).st_mode) & 0o444, 0o444)

        # A failed run keeps the time of the last success.
        keepctl.store(a, b"rotten", md5(b"something else"))
        self.assertEqual(self.replicate(f"dir:{a}", f"dir:{b}", *more).code, 1)
        second = metrics()
        self.assertEqual(second["keepctl_run_exit_code{}"], 1)
        self.assertEqual(second['keepctl_blocks_total{,outcome="bad_source"}'], 1)
        self.assertEqual(second["keepctl_run_last_success_timestamp_seconds{}"],
                         first["keepctl_run_last_success_timestamp_seconds{}"])

    def test_a_state_folder_that_cannot_be_used(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 2, 10)
        done = self.replicate(f"dir:{a}", f"dir:{b}", env={"STATE_DIRECTORY": "/proc/nothing"})
        self.assertEqual(done.code, 2, done)
        self.assertIn("--state-dir", done.stderr)
        self.assertEqual(keepctl.stored(b), {})
        self.assert_counts(self.replicate(f"dir:{a}", f"dir:{b}", "--state-dir", self.path("x/y")), copied=len(blocks))
        self.assertEqual(stat.S_IMODE(os.stat(self.path("x/y")).st_mode), 0o700)

    def test_killed_at_any_moment(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 120, 100_000)
        self.kill_at_any_moment((f"dir:{a}", f"dir:{b}"), b, blocks, rounds(12))

    def test_a_run_goes_on_where_it_was_killed(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 200, 1000)
        running = keepctl.start(self.dir.path, "replicate", f"dir:{a}", f"dir:{b}", "--digits", "2", "--jobs", "1")
        until(lambda: self.state_files() or running.poll() is not None, what="a checkpoint")
        running.kill()
        running.communicate()
        if not self.state_files():
            self.skipTest("the run ended before its first checkpoint")
        with open(self.path("state/runs/" + self.state_files()[0]), encoding="utf-8") as file:
            saved = json.load(file)
        self.assertEqual((saved["format"], saved["command"], saved["digits"]), ("keepctl-run-1", "replicate", 2))
        shards_done = f"{int(saved['done'], 16):0256b}"
        shards = shards_done.count("1")
        self.assertGreater(shards, 0)
        left = sum(shards_done[int(name[:2], 16)] == "0" for name in blocks)
        done = self.replicate(f"dir:{a}", f"dir:{b}", "--digits", "2", "--jobs", "1")
        self.assertIn(f"{shards} of 256 shards done", done.stderr)
        self.assert_counts(done, shards_done=256)
        self.assertEqual(done.summary["listed"], left)
        self.assertEqual(keepctl.stored(b), blocks)
        self.assertEqual(self.state_files(), [])

    def test_a_run_of_another_choice_does_not_go_on(self):
        """What was done for the blocks of a day is not done for those of two days."""
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 100, 3000)
        old = {n for n in blocks if n < "8"}
        for name in old:
            os.utime(os.path.join(a, name[:3], name), (0, time.time() - 36 * 3600))
        limits = ["--digits", "2", "--jobs", "1", "--bandwidth", "256KiB"]
        running = keepctl.start(self.dir.path, "replicate", f"dir:{a}", f"dir:{b}", "--since", "24h", *limits)
        until(lambda: self.state_files() or running.poll() is not None, what="a checkpoint")
        running.kill()
        running.communicate()
        self.assertTrue(self.state_files())
        done = self.replicate(f"dir:{a}", f"dir:{b}", "--since", "48h", *limits)
        self.assertNotIn("going on with", done.stderr)
        self.assert_counts(done, listed=len(blocks))
        self.assertEqual(keepctl.stored(b), blocks)
        done = self.replicate(f"dir:{a}", f"dir:{b}", "--since", "24h", *limits)
        self.assertIn("going on with", done.stderr)
        self.assertEqual(self.state_files(), [])

    def test_stopped_by_a_signal(self):
        a = self.dir.make("a")
        blocks = self.fill(a, 120, 200_000)
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            b = self.dir.make(f"b{code}")
            running = keepctl.start(self.dir.path, "replicate", "--json", f"dir:{a}", f"dir:{b}", "--jobs", "1",
                                    "--digits", "2", "--fresh", "--job", "it's nightly")
            until(lambda: count(b) > 5 or running.poll() is not None, what="some blocks", interval=0.001)
            running.send_signal(number)
            stdout, stderr = running.communicate()
            summary = json.loads(stdout.splitlines()[-1])
            if summary["exit_code"] == 0:
                continue  # It was faster.
            self.assertEqual((running.returncode, summary["exit_code"]), (code, code), stderr)
            self.assertEqual(summary["listed"], sum(summary[k] for k in (
                "present", "copied", "replaced", "gone", "failed", "bad_source", "left")))
            self.assert_no_leftovers(b)
            self.assertEqual({n for n, d in keepctl.stored(b).items() if blocks[n] != d}, set())
            self.assertEqual(len(self.state_files()), 1)
            self.go_on(stderr)
            self.assertEqual(keepctl.stored(b), blocks)
            self.assertEqual(self.state_files(), [])


class Servers(ReplicateServerCase):
    def test_between_servers_and_directories(self):
        first, second = self.start([self.dir.make("v0")]), self.start([self.dir.make("v1")])
        blocks = self.fill(first.roots()[0], 30)
        done = self.replicate(self.place(first), self.place(second), *self.secrets)
        self.assert_counts(done, copied=len(blocks), failed=0)
        self.assertEqual(keepctl.stored(second.roots()[0]), blocks)
        b = self.dir.make("b")
        self.assert_counts(self.replicate(self.place(second), f"dir:{b}", *self.secrets), copied=len(blocks))
        self.assertEqual(keepctl.stored(b), blocks)
        more = self.fill(b, 5, 1234)
        self.assert_counts(self.replicate(f"dir:{b}", self.place(first), *self.secrets), copied=5, present=len(blocks))
        self.assertEqual(keepctl.stored(first.roots()[0]), blocks | more)
        self.assertIn(EMPTY, blocks)

    def test_killed_at_any_moment(self):
        """Servers prove what comes: half a block that is not the end of a request is none."""
        first, second = (self.start([self.dir.make(f"v{i}")], check_log=False) for i in range(2))
        root = second.roots()[0]
        blocks = self.fill(first.roots()[0], 120, 100_000)
        self.kill_at_any_moment((self.place(first), self.place(second), *self.secrets), root, blocks, rounds(12))
        until(lambda: not glob.glob(f"{root}/???/tmp*"), what="no temp file of a request that ended is left")

    def test_rot_that_shows_in_the_middle_of_a_body(self):
        """A server that cannot keep waypoints sends a large block while it hashes it, and can only end the connection."""
        read_only = directory_volume(self.dir.make("v0"), ReadOnly=True)
        first, second = self.start([read_only], check_log=False), self.start([self.dir.make("v1")], check_log=False)
        blocks = self.fill(self.dir.make("v0"), 3, 3_000_000)
        rotten = max(blocks)
        keepctl.store(self.dir.make("v0"), blocks[rotten][:-1] + bytes([blocks[rotten][-1] ^ 1]), rotten)
        good = {n: d for n, d in blocks.items() if n != rotten}
        b = self.dir.make("b")
        for target in f"dir:{b}", self.place(second):
            done = self.replicate(self.place(first), target, "--failures", self.path("failures"), *self.secrets)
            self.assert_counts(done, 1, copied=2, bad_source=1, failed=0)
            with open(self.path("failures"), encoding="utf-8") as file:
                self.assertEqual([(f["hash"], f["class"]) for f in map(json.loads, file)], [(rotten, "bad_source")])
        self.assertEqual(keepctl.stored(b), good)
        self.assertEqual(keepctl.stored(second.roots()[0]), good)
        # A good copy of another server will do.
        keepctl.store(second.roots()[0], blocks[rotten], rotten)
        done = self.replicate("cluster", f"dir:{b}", *self.servers([first, second]), *self.secrets)
        self.assert_counts(done, copied=1, bad_source=0)
        self.assertEqual(keepctl.stored(b), blocks)

    def test_one_storage_as_source_and_destination(self):
        daemon = self.start([self.dir.make("v0"), self.dir.make("v1")])
        root, second = daemon.roots()
        blocks = self.fill(root, 4, 1000)
        os.symlink(root, self.path("link"))
        mount = self.place(daemon) + "#zzzzz-nyw5e-000000000000000"
        for places, text in (((f"dir:{root}", f"dir:{root}"), "same directory"),
                             ((f"dir:{root}", f"dir:{self.path('link')}"), "same directory"),
                             ((mount, mount), "same storage"), ((f"dir:{root}", mount), "same storage")):
            for command in "replicate", "compare":
                done = keepctl.run(self.dir.path, command, *places, *self.secrets)
                self.assertEqual(done.code, 2, done)
                self.assertIn(text, done.stderr)
        # A mount of the server that has the source, and a source that is a part of the destination, are fine.
        self.assert_counts(self.replicate(mount, self.place(daemon), *self.secrets), present=len(blocks), copied=0)
        self.assert_counts(self.replicate(f"dir:{root}", self.place(daemon), *self.secrets), present=len(blocks), copied=0)
        other = self.place(daemon) + "#zzzzz-nyw5e-000000000000001"
        self.assert_counts(self.replicate(f"dir:{root}", f"dir:{second}"), copied=len(blocks))
        self.assert_counts(self.replicate(mount, other, *self.secrets), present=len(blocks))

    def test_servers_that_differ(self):
        """It is said, and nothing comes of it."""
        first = self.start([self.dir.make("v0")])
        second = self.start([self.dir.make("v1")], Collections={"BlobSigningTTL": "48h"})
        blocks = self.fill(first.roots()[0], 3, 1000)
        with open(self.path("management"), "w", encoding="ascii") as file:
            file.write(MANAGEMENT_TOKEN)
        words = (self.place(first), self.place(second), *self.secrets, "--management-token-file", self.path("management"))
        done = self.replicate(*words)
        self.assert_counts(done, copied=len(blocks))
        note = [line for line in done.stderr.splitlines() if "BlobSigningTTL" in line]
        self.assertEqual(len(note), 1, done)
        self.assertIn(f"1209600 s ({self.place(first)[5:]}), 172800 s ({self.place(second)[5:]})", note[0])
        self.assertNotIn("versions", done.stderr)
        done = keepctl.run(self.dir.path, "compare", *words)
        self.assertEqual((done.code, done.stderr.count("BlobSigningTTL")), (0, 1), done)

        def answer(path, _):
            if path == "/metrics":
                return 200, b'arvados_version_running{version="3.1.0 (go1.22)"} 1\n', {}
            if path == "/mounts":
                return 200, b'[{"uuid": "zzzzz-nyw5e-000000000000000", "device_id": "x"}]', {}
            return 200, b"\n", {}

        stub = Stub(answer)
        self.addCleanup(stub.close)
        done = keepctl.run(self.dir.path, "compare", words[0], f"keep:{stub.url}", *words[2:])
        self.assertEqual(done.code, 1, done)
        self.assertIn(f"3.1.0 (go1.22) ({stub.url})", done.stderr)
        self.assertNotIn("BlobSigningTTL", done.stderr)
        # Without the token nothing is asked.
        self.assertEqual(stub.count("/metrics"), 1)
        keepctl.run(self.dir.path, "compare", words[0], f"keep:{stub.url}", *self.secrets)
        self.assertEqual(stub.count("/metrics"), 1)

    def test_a_wrong_signing_key(self):
        daemon = self.start()
        self.fill(daemon.roots()[0], 3, 10)
        with open(self.path("key"), "w", encoding="ascii") as file:
            file.write("anotherkey")
        b = self.dir.make("b")
        # Refused is not gone.
        done = self.replicate(self.place(daemon), f"dir:{b}", *self.secrets)
        self.assert_counts(done, 3, gone=0, copied=0)
        self.assertIn("signing key", done.stderr)
        self.assertEqual(keepctl.stored(b), {})


class Buckets(S3Case, ReplicateCase):
    def s3_place(self, bucket, **more):
        info = s3_server()
        query = {"endpoint": info["endpoint"], "region": info["region"], "path-style": "1"} | more
        return f"s3://{bucket}?" + "&".join(f"{k}={v}" for k, v in query.items())

    def keys(self):
        info = s3_server()
        return {"AWS_ACCESS_KEY_ID": info["access_key"], "AWS_SECRET_ACCESS_KEY": info["secret_key"]}

    def test_a_directory_to_a_bucket_and_back(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 45)
        there = self.s3_place(self.bucket)
        done = self.replicate(f"dir:{a}", there, env=self.keys())
        self.assert_counts(done, copied=len(blocks), failed=0)
        for name, data in blocks.items():
            self.assertEqual(self.s3.get(self.bucket, name), data)
            self.assertEqual(self.s3.head(self.bucket, "recent/" + name).status, 200)
        self.s3.put(self.bucket, "0-no-block", b"stray")
        self.assert_counts(self.replicate(f"dir:{a}", there, env=self.keys()), present=len(blocks), copied=0)
        self.assert_counts(self.replicate(there, f"dir:{b}", env=self.keys()), copied=len(blocks), foreign=1)
        self.assertEqual(keepctl.stored(b), blocks)
        self.assertEqual(self.s3.get(self.bucket, "0-no-block"), b"stray")

    def test_a_bucket_that_throttles(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 20, 20_000)
        proxy = self.fault_proxy()
        there = self.s3_place(self.bucket, endpoint=proxy.endpoint)
        proxy.rules({"fault": "slow_down", "probability": 0.2})
        done = self.replicate(f"dir:{a}", there, env=self.keys())
        self.assert_counts(done, copied=len(blocks), failed=0)
        done = self.replicate(there, f"dir:{b}", env=self.keys())
        self.assert_counts(done, copied=len(blocks), failed=0)
        self.assertGreater(proxy.counters()["faults"]["slow_down"], 5)
        self.assertEqual(keepctl.stored(b), blocks)

    def test_a_bucket_that_may_not_be_written(self):
        a = self.dir.make("a")
        blocks = self.fill(a, 40, 100)
        proxy = self.fault_proxy()
        there = self.s3_place(self.bucket, endpoint=proxy.endpoint)
        for allowed, code in ((0, 3), (10, 6)):
            proxy.rules({"fault": "status", "status": 403, "code": "AccessDenied", "operation": "put", "skip": allowed})
            done = self.replicate(f"dir:{a}", there, "--jobs", "4", env=self.keys())
            self.assertEqual(done.code, code, done)
            self.assertIn("ended early", done.stderr)
            self.assertIn("AccessDenied", done.stderr)
            summary = self.summary_of(done.stdout)
            self.assertLess(summary["listed"], len(blocks))
            self.assertLessEqual(summary["failed"], 4, "not block by block")
            self.assertLessEqual(proxy.fired()[0], 8)
        proxy.rules()
        self.assertEqual(self.replicate(f"dir:{a}", there, env=self.keys()).code, 0)
        self.assertEqual({n: self.s3.get(self.bucket, n) for n in blocks}, blocks)

    def test_a_copy_that_cannot_be_read_is_not_replaced(self):
        a = self.dir.make("a")
        (name, data), = self.fill(a, 1, 1000).items()
        proxy = self.fault_proxy()
        there = self.s3_place(self.bucket, endpoint=proxy.endpoint)
        self.s3.put(self.bucket, name, data[:-1])
        proxy.rules({"fault": "internal_error", "operation": ["get", "head"], "path": name})
        self.assert_counts(self.replicate(f"dir:{a}", there, env=self.keys()), 1, failed=1, replaced=0)
        self.assertEqual(self.s3.get(self.bucket, name), data[:-1])
        proxy.rules()
        self.assert_counts(self.replicate(f"dir:{a}", there, env=self.keys()), replaced=1)

    def test_certificates_and_keys_of_either_side(self):
        info = s3_server()
        if "tls_endpoint" not in info:
            self.skipTest("the S3 server has no TLS")
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 3, 100)
        plain = self.s3_place(self.bucket)
        secure = self.s3_place(self.bucket, endpoint=info["tls_endpoint"])
        for places in (f"dir:{a}", secure), (secure, f"dir:{b}"):
            done = self.replicate(*places, env=self.keys())
            self.assertEqual(done.code, 3, done)
            self.assertIn("ertificate", done.stderr)
        for places in (f"dir:{a}", plain), (plain, f"dir:{b}"):
            done = self.replicate(*places, env=self.keys() | {"AWS_SECRET_ACCESS_KEY": "SECRETCANARY"})
            self.assertEqual(done.code, 3, done)
            self.assertNotIn("SECRETCANARY", done.stderr)
        self.assertEqual((self.s3.list(self.bucket), keepctl.stored(b)), ({}, {}))
        secure = self.s3_place(self.bucket, endpoint=info["tls_endpoint"], **{"ca-file": info["ca_file"]})
        self.assert_counts(self.replicate(f"dir:{a}", secure, env=self.keys()), copied=len(blocks))
        self.assert_counts(self.replicate(secure, f"dir:{b}", env=self.keys()), copied=len(blocks))
        self.assertEqual(keepctl.stored(b), blocks)

    def test_keys_of_two_accounts(self):
        a = self.dir.make("a")
        blocks = self.fill(a, 3, 100)
        keys = self.keys()
        with open(self.path("credentials"), "w", encoding="ascii") as file:
            file.write("[default]\naws_access_key_id = WRONG\naws_secret_access_key = WRONGCANARY\n"
                       f"[backup]\naws_access_key_id = {keys['AWS_ACCESS_KEY_ID']}\n"
                       f"aws_secret_access_key = {keys['AWS_SECRET_ACCESS_KEY']}\n")
        env = {"AWS_SHARED_CREDENTIALS_FILE": self.path("credentials")}
        done = self.replicate(f"dir:{a}", self.s3_place(self.bucket), env=env)
        self.assertEqual(done.code, 3, done)
        self.assertNotIn("WRONGCANARY", done.stderr)
        done = self.replicate(f"dir:{a}", self.s3_place(self.bucket, profile="backup"), env=env)
        self.assert_counts(done, copied=len(blocks))

    def test_a_bucket_that_is_not_there(self):
        a = self.dir.make("a")
        self.fill(a, 3, 100)
        done = self.replicate(f"dir:{a}", self.s3_place("no-such-bucket-at-all"), env=self.keys())
        self.assertEqual(done.code, 3, done)
        self.assertIn("NoSuchBucket", done.stderr)
        done = keepctl.run(self.dir.path, "probe", "--json", self.s3_place("no-such-bucket-at-all"), env=self.keys())
        self.assertEqual((done.code, done.rows("step")[-1]["step"]), (1, "bucket"), done)
        done = keepctl.run(self.dir.path, "probe", "--json", self.s3_place(self.bucket), env=self.keys())
        self.assertEqual((done.code, {s["result"] for s in done.rows("step")}), (0, {"ok"}), done)


if __name__ == "__main__":
    main()
