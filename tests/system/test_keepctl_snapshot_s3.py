"""keepctl snapshot with a repository in a bucket: conditional writes and what services answer to them, uploads in parts, clocks."""

import hashlib
import json
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support import keepctl
from support.case import main
from support.s3_case import S3Case
from support.s3_memory import MemoryS3
from support.snapshot_case import SnapshotCase

KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
LATEST = r"/latest\.json"


class Case(SnapshotCase):
    env = KEYS

    def use(self, **options):
        """A service of its own, with these properties; the repository is in it."""
        self.s3 = MemoryS3(**options)
        self.addCleanup(self.s3.close)
        self.repository = f"s3://keep/a/b?endpoint={self.s3.endpoint}&region=us-east-1&path-style=1"

    def latest(self):
        return json.loads(self.s3.objects["keep/a/b/latest.json"][0])

    def change_latest(self, change):
        """As another writer: in the service, past all conditions."""
        latest = self.latest()
        change(latest)
        text = json.dumps(latest, separators=(",", ":")).encode() + b"\n"
        self.s3.objects["keep/a/b/latest.json"] = (text, self.s3.now())

    def folders(self):
        return sorted({k.split("/")[4] for k in self.s3.keys("keep/a/b/snapshots/")})


class Swaps(Case):
    def test_quoted_and_bare_etags(self):
        self.fill(self.blocks, 20)
        for form in "quoted", "bare":
            with self.subTest(form):
                self.use(conditions=form)
                self.init()
                one = self.create()
                two = self.create("--digits", "1")
                self.assertEqual(self.listed(), [two, one])
                self.assert_whole()
                self.assertEqual([k for k in self.s3.keys() if "/probe/" in k], [])
                self.assertEqual(self.s3.keys("keep/a/b/")[:2], ["keep/a/b/keepctl-repository.json", "keep/a/b/latest.json"])
                self.snapshot("prune", "--keep-last", "1", "--grace", "0s")
                self.assertEqual((self.listed(), self.folders()), ([two], [two]))

    def test_services_without_conditions(self):
        self.fill(self.blocks, 20)
        for how in "ignored", "if-none-match ignored", "if-match ignored", "refused", "unsupported":
            with self.subTest(how):
                self.use(conditions="quoted")
                self.init()
                self.create()
                before = self.latest()
                self.s3.conditions = how
                stderr = self.create_fails(2)
                self.assertIn("does not honour conditional writes", stderr)
                self.assertIn("--single-writer", stderr)
                self.assertEqual((self.latest(), len(self.folders())), (before, 1))
                done = self.snapshot("create", f"dir:{self.blocks}", "--single-writer")
                self.assertGreaterEqual(done.stderr.count("--single-writer"), 2)
                self.assertEqual(len(self.listed()), 2)
                self.assertEqual([k for k in self.s3.keys() if "/probe/" in k], [])

    def test_answers_after_which_the_swap_is_found_out(self):
        """Whatever comes back, the snapshot is listed once, and nothing of it is removed."""
        self.fill(self.blocks, 20)
        self.use()
        self.init()
        expected = 0
        for what, times in (("lose", 1), ("after:500", 1), ("after:503", 1), (409, 1), (412, 1), (404, 1), (500, 1), (500, 12),
                            ("lose", 3), (412, 7)):
            with self.subTest(what=what, times=times):
                self.s3.on("PUT", LATEST, what, count=times)
                self.create()
                expected += 1
                latest = self.latest()
                self.assertEqual([s["sequence"] for s in latest["snapshots"]], list(range(expected, 0, -1)))
                self.assertEqual(latest["sequence"], expected)
        self.assertEqual(len(self.folders()), expected)
        self.assert_whole()

    def test_a_repository_that_vanishes(self):
        self.fill(self.blocks, 20)
        self.use()
        self.init()
        self.create()
        self.s3.on("PUT", LATEST, lambda: self.s3.objects.pop("keep/a/b/latest.json"))
        stderr = self.create_fails(1)
        self.assertIn("damaged or removed", stderr)
        self.assertNotIn("keep/a/b/latest.json", self.s3.objects)
        # The data stay: a swap was attempted.
        self.assertEqual(len(self.folders()), 2)
        self.assertIn("left in place", stderr)

    def test_a_race_that_cannot_be_won(self):
        self.fill(self.blocks, 20)
        self.use()
        self.init()
        def other():
            self.change_latest(lambda latest: latest.update(sequence=latest["sequence"] + 1))
        self.s3.on("PUT", LATEST, other, count=8)
        stderr = self.create_fails(5)
        self.assertIn("adopt", stderr)
        (orphan,) = self.snapshot("list", "--orphans").rows("orphan")
        self.assertEqual(self.listed(), [])
        self.snapshot("adopt", orphan["id"])
        self.assertEqual(self.listed(), [orphan["id"]])
        self.assert_whole()

    def test_what_others_did_meanwhile_is_kept(self):
        self.fill(self.blocks, 20)
        self.use()
        self.init()
        self.create()
        one = self.create()
        # The prune meets the third writer itself, at its own swap.
        self.s3.on("PUT", LATEST, lambda: self.snapshot("prune", "--keep-last", "1", "--grace", "0s"))
        self.s3.on("PUT", LATEST, lambda: self.change_latest(lambda latest: latest.update(later=1)))
        two = self.create()
        self.assertEqual((self.listed(), self.latest()["later"]), ([two, one], 1))

    def test_a_prune_that_takes_the_data_before_the_swap(self):
        """A create that sleeps for a day, between its last look and its swap: it must not list what is gone."""
        self.fill(self.blocks, 20)
        self.use()
        self.init()
        kept = self.create()
        def prune():
            (name,) = [f for f in self.folders() if f != kept]
            for key in self.s3.keys(f"keep/a/b/snapshots/{name}/"):
                self.s3.objects[key] = (self.s3.objects[key][0], self.s3.now() - 100_000)
            self.snapshot("prune", "--keep-last", "9", "--grace", "0s")
        self.s3.on("PUT", LATEST, prune)
        self.assertIn("not whole", self.create_fails(1))
        self.assertEqual((self.listed(), self.folders()), ([kept], [kept]))

    def test_sixteen_creates(self):
        self.fill(self.blocks, 20)
        self.use()
        self.init()
        waiting = [self.start(i, "create", f"dir:{self.blocks}") for i in range(16)]
        made = []
        for process in waiting:
            code, summary, stderr = self.finish(process)
            self.assertIn(code, (0, 5), stderr)
            made += [summary["id"]] if code == 0 else []
        latest = self.latest()
        self.assertEqual(sorted(s["id"] for s in latest["snapshots"]), sorted(made))
        self.assertEqual([s["sequence"] for s in latest["snapshots"]], list(range(len(made), 0, -1)))
        for orphan in self.snapshot("list", "--orphans").rows("orphan"):
            self.snapshot("adopt", orphan["id"])
        self.assertEqual(len(self.listed()), 16)
        self.assert_whole()


class Clocks(Case):
    def test_the_clock_of_the_service_counts(self):
        self.fill(self.blocks, 20)
        self.use(ahead=-3 * 24 * 3600)
        self.assertIn("the clock of this host", self.init().stderr)
        one = self.create()
        self.assertEqual(self.latest()["written_at"][:10], time.strftime("%Y-%m-%d", time.gmtime(self.s3.now())))
        two = self.create()
        # An hour by the service's clock.
        self.snapshot("prune", "--keep-last", "1")
        self.s3.ahead += 3500
        self.snapshot("prune", "--keep-last", "1")
        self.assertEqual(self.folders(), sorted([one, two]))
        self.s3.ahead += 200
        self.snapshot("prune", "--keep-last", "1")
        self.assertEqual(self.folders(), [two])

    def test_a_service_without_a_date(self):
        self.use(has_date=False)
        self.assertIn("Date", self.snapshot("init", code=2).stderr)


class Index:
    """A keepstore with one mount and `count` blocks, as far as a listing needs one."""

    def __init__(self, count):
        lines = [f"{hashlib.md5(str(i).encode()).hexdigest()}+{i % 1000} 1700000000000000000\n" for i in range(count)]
        self._lines = sorted(lines)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                body = outer.answer(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.place = f"keep:http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def answer(self, path):
        if path.startswith("/mounts/"):
            prefix = path.partition("prefix=")[2]
            return "".join(line for line in self._lines if line.startswith(prefix)).encode() + b"\n"
        return json.dumps([{"uuid": "zzzzz-nyw5e-000000000000000", "device_id": "d", "allow_write": True, "replication": 1,
                            "storage_classes": {"default": True}}]).encode()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


class Parts(Case):
    COUNT = 540_000  # A little over 16 MiB, in one object.

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.index = Index(cls.COUNT)
        cls.addClassCleanup(cls.index.close)

    def setUp(self):
        super().setUp()
        self.use()
        self.init()

    def create_large(self, code=0):
        return self.snapshot("create", self.index.place, "--digits", "0", code=code)

    def test_a_large_object_goes_up_in_parts(self):
        done = self.create_large()
        self.assertEqual((done.summary["blocks"], done.summary["shards"]), (self.COUNT, 1))
        self.assertEqual(len([r for r in self.s3.requests if r[0] == "PUT" and "partNumber" in r[1]]), 3)
        self.assertEqual(self.s3.uploads, {})
        self.assert_whole()
        done = self.snapshot("verify", "latest", self.index.place)
        self.assertEqual((done.summary["there"], done.summary["missing"], done.summary["new"]), (self.COUNT, 0, 0))

    def test_an_upload_that_fails_is_aborted(self):
        for method, pattern in (("PUT", "partNumber=2"), ("POST", "uploadId=")):
            with self.subTest(method=method):
                self.s3.on(method, pattern, 403, count=99)
                self.create_large(code=6)
                self.assertEqual((self.s3.uploads, self.folders(), self.listed()), ({}, [], []))
                self.s3._actions.clear()

    def test_an_upload_that_is_interrupted_is_aborted(self):
        arrived, go_on = threading.Event(), threading.Event()
        self.addCleanup(go_on.set)
        def hold():
            arrived.set()
            go_on.wait(60)
        self.s3.on("PUT", "partNumber=2", hold)
        process = self.start(0, "create", self.index.place, "--digits", "0")
        self.assertTrue(arrived.wait(120))
        process.send_signal(signal.SIGTERM)
        code, _, stderr = self.finish(process)
        self.assertEqual(code, 143, stderr)
        go_on.set()
        self.assertEqual((self.s3.uploads, self.folders(), self.listed()), ({}, [], []))

    def test_uploads_of_creates_that_were_killed(self):
        self.s3.uploads = {"old": ("keep/a/b/snapshots/x", {}, self.s3.now() - 90_000),
                           "new": ("keep/a/b/snapshots/y", {}, self.s3.now() - 80_000),
                           "foreign": ("keep/other", {}, 0)}
        self.s3.objects["keep/a/b/probe/old"] = (b"", self.s3.now() - 90_000)
        self.s3.objects["keep/a/b/probe/new"] = (b"", self.s3.now() - 80_000)
        self.snapshot("create", f"dir:{self.blocks}", "--allow-empty-source")
        self.snapshot("prune", "--keep-last", "1")
        self.assertEqual(sorted(self.s3.uploads), ["foreign", "new"])
        self.assertEqual([k for k in self.s3.keys() if "/probe/" in k], ["keep/a/b/probe/new"])


class Refusals(Case):
    def test_nothing_is_left_of_a_create_that_could_not_write(self):
        self.fill(self.blocks, 20)
        self.use()
        self.init()
        self.s3.on("PUT", r"index-3\.kinv", 403, count=99)
        self.create_fails(6, "--digits", "1")
        self.assertEqual((self.folders(), self.listed()), ([], []))

    def test_places_and_secrets(self):
        for place, part in (("s3://keep/../x", "prefix"), ("s3://user:" + "secret@keep/x", "user info"),
                            ("s3://keep/x?prefix-length=3", "prefix-length"), ("s3://keep/x?what=1", "what")):
            done = keepctl.run(self.dir.path, "snapshot", "list", place)
            self.assertEqual(done.code, 2, done)
            self.assertIn(part, done.stderr)
            self.assertNotIn("secret@", done.stderr)


class Real(S3Case, SnapshotCase):
    """The same with a real service."""

    def setUp(self):
        super().setUp()
        info = self.server
        self.env = {"AWS_ACCESS_KEY_ID": info["access_key"], "AWS_SECRET_ACCESS_KEY": info["secret_key"]}
        self.repository = f"s3://{self.bucket}/snap?endpoint={info['endpoint']}&region={info['region']}&path-style=1"

    def test_a_repository_in_a_bucket(self):
        self.fill(self.blocks, 30)
        self.init()
        one = self.create("--digits", "1")
        waiting = [self.start(i, "create", f"dir:{self.blocks}") for i in range(3)]
        ids = [one]
        for process in waiting:
            code, summary, stderr = self.finish(process)
            self.assertEqual(code, 0, stderr)
            ids.append(summary["id"])
        self.assertEqual(sorted(self.listed()), sorted(ids))
        self.assert_whole()
        self.snapshot("prune", "--keep-last", "1", "--grace", "0s")
        self.assertEqual(len(self.listed()), 1)
        keys = [o for o in self.s3.list(self.bucket) if "/snapshots/" in str(o)]
        self.assertEqual(len(keys), 2, keys)
        self.assert_whole()


if __name__ == "__main__":
    main()
