"""keepctl replicate to servers: they compute the MD5 of what comes, and what they refuse is bad at the source or was damaged on the way."""

import http.server
import json
import threading

from support import keepctl
from support.case import main
from support.locator import md5
from support.replicate_case import ReplicateServerCase, rank
from support.s3_fault_proxy import FaultProxy

MOUNTS = json.dumps([{"uuid": "zzzzz-nyw5e-000000000000000", "device_id": "x", "allow_write": True}]).encode()


class ProvenByServers(ReplicateServerCase):
    def proxy(self, daemon, *rules):
        proxy = FaultProxy(*daemon.address)
        self.addCleanup(proxy.close)
        proxy.rules(*rules)
        return proxy

    def pair(self):
        return [self.start([self.dir.make(name)], check_log=False) for name in ("source", "target")]

    def failures(self):
        with open(self.path("failures"), encoding="utf-8") as file:
            return {f["hash"]: f for f in map(json.loads, file)}

    def gets(self, proxy, name):
        return sum(r["method"] == "GET" and name in r["target"] for r in proxy.requests())

    def test_rotten_copies_of_a_directory(self):
        _, target = self.pair()
        a, root = self.dir.make("a"), target.roots()[0]
        blocks = self.fill(a, 9, 300_000)
        flipped, cut, longer, *good = self.spoil(a, blocks)
        before = keepctl.stored(a)
        done = self.replicate(f"dir:{a}", self.place(target), "--failures", self.path("failures"), *self.secrets)
        self.assert_counts(done, 1, copied=len(good), bad_source=3, failed=0)
        self.assertEqual(keepctl.stored(root), {n: blocks[n] for n in good})
        self.assertEqual(keepctl.stored(a), before)
        self.assert_no_leftovers(root)
        found = self.failures()
        self.assertEqual(set(found), {flipped, cut, longer})
        self.assertEqual({(f["class"], f["server"]) for f in found.values()}, {("bad_source", f"dir:{a}")})

    def test_copies_of_a_server_that_are_bad_are_replaced_and_good_ones_are_not(self):
        _, target = self.pair()
        a, root = self.dir.make("a"), target.roots()[0]
        blocks = self.fill(a, 5, 300_000)
        cut, longer, rotten_on_both, rotten_at_the_source, _ = sorted(blocks)
        keepctl.store(root, blocks[cut][:-1], cut)
        keepctl.store(root, blocks[longer] + b"x", longer)
        keepctl.store(a, b"rotten", rotten_on_both)
        keepctl.store(root, b"rotten, too", rotten_on_both)
        keepctl.store(a, b"rotten", rotten_at_the_source)
        keepctl.store(root, blocks[rotten_at_the_source])
        done = self.replicate(f"dir:{a}", self.place(target), *self.secrets)
        self.assert_counts(done, 1, replaced=2, copied=1, bad_source=2, failed=0)
        self.assertEqual(keepctl.stored(root), blocks | {rotten_on_both: b"rotten, too"})

    def test_a_source_that_sends_other_bytes(self):
        """All of them, without an error: only the MD5 shows it."""
        source, target = self.pair()
        blocks = self.fill(source.roots()[0], 8)
        rotten = max(blocks, key=lambda n: len(blocks[n]))
        proxy = self.proxy(source, {"fault": "flip", "method": "GET", "path": rotten, "at": 500_000})
        done = self.replicate(f"keep:{proxy.endpoint}", self.place(target), "--failures", self.path("failures"), *self.secrets)
        self.assert_counts(done, 1, copied=len(blocks) - 1, bad_source=1, failed=0)
        good = {n: d for n, d in blocks.items() if n != rotten}
        self.assertEqual(keepctl.stored(target.roots()[0]), good)
        self.assertEqual(keepctl.stored(source.roots()[0]), blocks)
        failure = self.failures()[rotten]
        self.assertEqual((failure["class"], failure["server"]), ("bad_source", proxy.endpoint))
        self.assertIn("does not match", failure["reason"])
        # It is read a second time to find out what is wrong; no other block is.
        self.assertEqual([self.gets(proxy, n) for n in (rotten, *good)], [2] + [1] * len(good))

    def test_a_proof_that_breaks_off(self):
        """The destination refuses what has come, and the GET that is to tell why is cut: the server itself is asked, and its
        judgement is the end of it."""
        source, target = self.pair()
        name, = self.fill(source.roots()[0], 1, 1_000_000)
        proxy = self.proxy(source, {"fault": "flip", "method": "GET", "path": name, "at": 500_000, "count": 1},
                           {"fault": "truncate", "method": "GET", "path": name, "after": 600_000},
                           {"fault": "status", "status": 502, "method": "HEAD", "path": name})
        done = self.replicate(f"keep:{proxy.endpoint}", self.place(target), *self.secrets)
        self.assert_counts(done, 1, copied=0, bad_source=1, failed=0)
        self.assertEqual(proxy.fired(), [1, 1, 1])
        self.assertEqual(keepctl.stored(target.roots()[0]), {})

    def test_the_next_source_after_a_bad_one(self):
        daemons = [self.start([self.dir.make(f"v{i}")], check_log=False) for i in range(2)]
        target = self.start([self.dir.make("target")], check_log=False)
        blocks = self.fill(daemons[0].roots()[0], 8, 100_000)
        for data in blocks.values():
            keepctl.store(daemons[1].roots()[0], data)
        proxy = self.proxy(daemons[0], {"fault": "flip", "method": "GET", "path": "/[0-9a-f]{32}"})
        words = ["--server", proxy.endpoint, *self.servers(daemons[1:]), *self.secrets]
        done = self.replicate("cluster", self.place(target), *words)
        self.assert_counts(done, copied=len(blocks), bad_source=0, failed=0)
        self.assertEqual(keepctl.stored(target.roots()[0]), blocks)
        self.assertGreater(proxy.fired()[0], 0)

    def test_bytes_that_are_damaged_on_the_way(self):
        source, target = self.pair()
        blocks = self.fill(source.roots()[0], 6, 300_000)
        proxy = self.proxy(target, {"fault": "flip_request", "method": "PUT", "at": 299_999, "count": 3})
        done = self.replicate(self.place(source), f"keep:{proxy.endpoint}", *self.secrets)
        self.assert_counts(done, copied=len(blocks), bad_source=0, failed=0)
        self.assertEqual(proxy.fired(), [3])
        self.assertEqual(keepctl.stored(target.roots()[0]), blocks)

    def test_bytes_that_are_damaged_whenever_they_are_sent(self):
        source, target = self.pair()
        blocks = self.fill(source.roots()[0], 4, 300_000)
        unlucky = max(blocks)
        proxy = self.proxy(target, {"fault": "flip_request", "method": "PUT", "path": unlucky, "at": 100})
        done = self.replicate(self.place(source), f"keep:{proxy.endpoint}", "--failures", self.path("failures"), *self.secrets)
        self.assert_counts(done, 1, copied=len(blocks) - 1, bad_source=0, failed=1)
        self.assertEqual(proxy.fired(), [10])  # Five attempts, and five after all other blocks.
        failure = self.failures()[unlucky]
        self.assertEqual((failure["class"], failure["server"]), ("failed", proxy.endpoint))
        self.assertIn("damaged on the way", failure["reason"])
        self.assertNotIn("paused", done.stderr)
        self.assertEqual(keepctl.stored(target.roots()[0]), {n: d for n, d in blocks.items() if n != unlucky})

    def test_damage_on_the_way_to_one_server_of_two(self):
        daemons = [self.start([self.dir.make(f"v{i}")], check_log=False) for i in range(2)]
        a = self.dir.make("a")
        blocks = self.fill(a, 4, 600_000)
        proxy = self.proxy(daemons[0], {"fault": "flip_request", "method": "PUT", "at": 5, "count": 2})
        done = self.replicate(f"dir:{a}", "cluster", "--replication", "2", "--server", proxy.endpoint,
                              *self.servers(daemons[1:]), *self.secrets)
        self.assert_counts(done, copied=len(blocks), bad_source=0, failed=0)
        for daemon in daemons:
            self.assertEqual(keepctl.stored(daemon.roots()[0]), blocks)
        # What the other server has got is not sent there again.
        self.assertEqual(daemons[1].metric("keepstore_block_duration_seconds_count", method="put"), len(blocks))

    def test_the_next_server_after_one_whose_copy_is_rotten(self):
        sources = [self.start([self.dir.make(f"s{i}")], check_log=False) for i in range(2)]
        target = self.start([self.dir.make("target")], check_log=False)
        blocks = self.fill(self.dir.make("a"), 3, 300_000)
        for name, data in blocks.items():
            first, second = rank(name, sources)
            keepctl.store(first.roots()[0], data[:-1] + bytes([data[-1] ^ 1]), name)
            keepctl.store(second.roots()[0], data)
        done = self.replicate("cluster", self.place(target), *self.servers(sources), *self.secrets)
        self.assert_counts(done, copied=len(blocks), bad_source=0, failed=0)
        self.assertEqual(keepctl.stored(target.roots()[0]), blocks)


class OtherServers(ReplicateServerCase):
    """A destination whose responses are chosen."""

    def stub(self, answer):
        stub = PutStub(answer)
        self.addCleanup(stub.close)
        return stub

    def test_refusals_of_all_versions(self):
        """400 with this text, and 422 from older Go daemons; another 400 says nothing about the source."""
        a = self.dir.make("a")
        blocks = self.fill(a, 2, 1000)
        rotten = max(blocks)
        keepctl.store(a, b"rotten", rotten)
        for status, text, outcome in ((400, "content hash X did not match specified locator Y", "bad_source"),
                                      (422, "Hash mismatch in request", "bad_source"), (400, "Bad Request", "failed")):
            with self.subTest(f"{status} {text}"):
                def answer(name, body, status=status, text=text):
                    return (200, f"{name}+{len(body)}") if md5(body) == name else (status, text)

                stub = self.stub(answer)
                done = self.replicate(f"dir:{a}", f"keep:{stub.url}", *self.secrets)
                self.assert_counts(done, 1, copied=1, **{"bad_source": 0, "failed": 0, outcome: 1})

    def test_a_response_that_is_not_about_the_block(self):
        """Such a server may have stored anything: the block is not copied."""
        a = self.dir.make("a")
        (name, data), = self.fill(a, 1, 1000).items()
        for what, reply in (("other bytes", f"{md5(b'other')}+1000"), ("fewer bytes", f"{name}+999"), ("no size", name),
                            ("no locator", "OK"), ("nothing", "")):
            with self.subTest(what):
                stub = self.stub(lambda *_, reply=reply: (200, reply))
                done = self.replicate(f"dir:{a}", f"keep:{stub.url}", "--fresh", *self.secrets)
                self.assert_counts(done, 1, copied=0, bad_source=0, failed=1)
                self.assertIn("another locator", done.stderr)
                self.assertEqual(stub.bodies[0], (name, data))

    def test_a_destination_that_refuses_every_block(self):
        """403 ends the run, block by block would be the same."""
        a = self.dir.make("a")
        blocks = self.fill(a, 40, 1000)
        for allowed, code in ((0, 3), (5, 6)):
            with self.subTest(allowed=allowed):
                def answer(name, body, allowed=allowed):
                    return (200, f"{name}+{len(body)}") if len(stub.bodies) <= allowed else (403, "Forbidden")

                stub = self.stub(answer)
                done = self.replicate(f"dir:{a}", f"keep:{stub.url}", "--jobs", "1", *self.secrets)
                self.assertEqual((done.code, done.summary["copied"]), (code, allowed), done)
                self.assertEqual(len(stub.bodies), allowed + 1)
                self.assertLess(done.summary["listed"], len(blocks))
                self.assertIn("ended early", done.stderr)

    def test_a_source_that_breaks_off(self):
        """The destination gets neither the whole block, nor the end of the request."""
        source = self.start([self.dir.make("source")], check_log=False)
        name, = self.fill(source.roots()[0], 1, 3_000_000)
        proxy = FaultProxy(*source.address)
        self.addCleanup(proxy.close)
        for how in "close", "reset":
            with self.subTest(how):
                stub = self.stub(lambda name, body: (200, f"{name}+{len(body)}"))
                proxy.rules({"fault": "truncate", "method": "GET", "path": name, "after": 1_500_000, "how": how})
                done = self.replicate(f"keep:{proxy.endpoint}", f"keep:{stub.url}", *self.secrets)
                self.assert_counts(done, 1, copied=0, failed=1)
                self.assertEqual(stub.bodies, [])
                self.assertGreater(len(stub.broken_off), 0)
                self.assertLess(max(stub.broken_off), 1_500_001)


class PutStub:
    """A keepstore without blocks whose PUTs get `answer(name, body)`: (status, text). `bodies` has (name, bytes) of each whole one,
    `broken_off` the number of bytes of each other."""

    def __init__(self, answer):
        self.bodies, self.broken_off = [], []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self, status, body):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("X-Keep-Replicas-Stored", "1")
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                self.reply(200, MOUNTS if self.path == "/mounts" else b"\n")

            def do_PUT(self):
                size, body = int(self.headers["Content-Length"]), b""
                try:
                    while len(body) < size and (piece := self.rfile.read1(size - len(body))):
                        body += piece
                except ConnectionError:
                    pass
                if len(body) < size:
                    outer.broken_off.append(len(body))
                    self.close_connection = True
                    return
                outer.bodies.append((self.path[1:33], body))
                status, text = answer(self.path[1:33], body)
                self.reply(status, text.encode() + b"\n")

            def log_message(self, *_):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


if __name__ == "__main__":
    main()
