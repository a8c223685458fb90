"""keepctl against what may answer at a server's address: proxies, other services, broken indexes, slow and endless responses."""

import concurrent.futures
import json
import os
import shutil
import subprocess
import threading
import time
import unittest

from support import keepctl
from support.case import main
from support.daemon import SYSTEM_ROOT_TOKEN
from support.keepctl_case import KeepctlCase
from support.locator import md5, plain
from support.raw_server import RawServer, response
from support.wait import PATIENCE, port_open, stable_port, until

FOO = md5(b"foo")
MOUNT = "zzzzz-nyw5e-000000000000000"
MOUNTS = json.dumps([{"uuid": MOUNT, "device_id": "a", "allow_write": True, "allow_trash": True, "replication": 1,
                      "storage_classes": {"default": True}}]).encode()
LINE = f"{FOO}+3 1767225600123456789\n".encode()
UNTOLD = "DoNotTellThis"


def keepstore(index, mounts=response(MOUNTS), others=response(b"Bad Request\n", "400 Bad Request")):
    """The answers of a server with one mount; `index(prefix)` returns its response."""
    def answer(_, target):
        if target == "/mounts":
            return mounts
        if target.startswith((f"/mounts/{MOUNT}/blocks?prefix=", "/index/")):
            return index(target.split("=" if "=" in target else "/index/")[1])
        return others
    return answer


def index_of(*lines):
    """A complete index of these blocks."""
    return lambda prefix: response(b"".join(x for x in lines if x.startswith(prefix.encode())) + b"\n")


class Case(KeepctlCase):
    def serve(self, answer):
        server = RawServer(answer)
        self.addCleanup(server.close)
        return server

    def side_by_side(self, *calls):
        """Commands that mostly wait, at the same time."""
        with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
            return [f.result() for f in [pool.submit(c) for c in calls]]


class NoKeepstore(Case):
    """The server is no keepstore, or does not respond as one: said so, and not waited for longer than its limit."""

    def test_other_services(self):
        elsewhere = self.serve(lambda *_: response(MOUNTS))
        html = f"<html><title>Welcome</title>{UNTOLD}</html>".encode()
        for what, reply in (
                ("a web page", response(html, headers=["Content-Type: text/html"])),
                ("a redirect", response(status="302 Found", headers=[f"Location: {elsewhere.url}/mounts"])),
                ("not found", response(b"404 page not found\n", "404 Not Found")),
                ("a proxy's error", response(b"<html>502</html>", "502 Bad Gateway")),
                ("another JSON", response(b'{"mounts": []}')),
                ("a list of something else", response(b'[{"uuid": "../../etc"}]')),
                ("text after the list", response(MOUNTS + b"x")),
                ("no HTTP", b"SSH-2.0-OpenSSH_9.2p1\r\n"),
                ("nothing", b""),
                ("less than it announced", response(MOUNTS, length=len(MOUNTS) + 1)),
                ("less JSON than there is", response(MOUNTS, length=len(MOUNTS) - 1)),
                ("two lengths", response(MOUNTS, headers=["Content-Length: 7"])),
                ("endless headers", (b"HTTP/1.1 200 OK\r\n" if i == 0 else b"X-Header: " + bytes(60_000).replace(b"\0", b"a") + b"\r\n"
                                     for i in range(10_000))),
                ("an endless body", (response(b"[", length=1 << 40) if i == 0 else bytes(1 << 20) for i in range(10_000)))):
            with self.subTest(what):
                # Pieces are used up by the first request.
                once = reply if isinstance(reply, bytes) else None
                pieces = None if once is not None else list(next(reply) for _ in range(2))

                def answer(*_, once=once, pieces=pieces):
                    if once is not None:
                        return once
                    return (pieces[0] if i == 0 else pieces[1] for i in range(10_000))
                server = self.serve(answer)
                begun = time.monotonic()
                done = self.run_with([server.url], "ls", "--json")
                self.assertLess(time.monotonic() - begun, 5 * PATIENCE, what)
                self.assertEqual(done.code, 3, done)
                self.assertEqual(done.summary["exit_code"], 3)
                self.assertIn(server.url, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1, done)
                self.assertLess(len(done.stderr), 400)
                self.assertEqual(done.rows("block"), [])
        self.assertEqual(elsewhere.requests, [])

    def test_what_is_said(self):
        server = self.serve(lambda *_: response(b"<html>\x1b[31m\xff" + b"x" * 10_000))
        done = self.run_with([server.url], "ls")
        self.assertIn(f"{server.url}: unexpected response, not of a keepstore", done.stderr)
        self.assertNotIn("\x1b", done.stderr)
        done = self.run_with([server.url], "status", "--json")
        self.assertEqual((done.code, done.rows("server")[0]["state"]), (3, "unreachable"), done)

    def test_a_wrong_token_ends_at_once(self):
        for status in ("401 Unauthorized", "403 Forbidden"):
            server = self.serve(lambda *_, s=status: response(b"no\n", s))
            done = self.run_with([server.url], "ls")
            self.assertEqual(done.code, 3, done)
            self.assertIn(self.path("token"), done.stderr)
            self.assertNotIn(SYSTEM_ROOT_TOKEN, done.stderr)
            self.assertEqual(server.targets(), ["/mounts"])
        # The token is taken for mounts, and not for the index: nothing else is asked, nothing is repeated.
        server = self.serve(keepstore(lambda _: response(b"no\n", "403 Forbidden")))
        done = self.run_with([server.url], "ls")
        self.assertEqual(done.code, 3, done)
        self.assertEqual(len(server.targets()), 2)
        done = self.run_with([], "compare", f"keep:{server.url}", f"dir:{self.dir.make('empty')}")
        self.assertEqual(done.code, 3, done)

    def test_responses_that_dribble(self):
        def dribble(begin, byte):
            yield begin
            while not servers[0].over.wait(0.2):
                yield byte
        servers = [self.serve(lambda *_: dribble(b"", b"H")), self.serve(lambda *_: dribble(b"HTTP/1.1 200 OK\r\nX: ", b"a")),
                   self.serve(lambda *_: dribble(response(b"[", length=100_000), b" ")),
                   self.serve(keepstore(lambda _: dribble(response(b"", length=100_000), b"0")))]
        begun = time.monotonic()
        *dripping, listing = self.side_by_side(
            *(lambda s=s: self.run_with([s.url], "status", "--json") for s in servers[:3]),
            lambda: self.run_with([servers[3].url], "ls", "--json", "--timeout", "3s"))
        self.assertLess(time.monotonic() - begun, 8 * PATIENCE)
        for done in dripping:
            self.assertEqual((done.code, done.rows("server")[0]["state"]), (3, "unreachable"), done)
        self.assertEqual((listing.code, listing.summary["exit_code"]), (6, 6), listing)
        self.assertIn("--timeout", listing.stderr)


class Indexes(Case):
    """A listing is complete, or an error: of a broken one not a single block is shown."""

    broken = {
        "without its end": lambda p: response(LINE if FOO.startswith(p) else b""),
        "cut within a line": lambda p: response(LINE[:-9]),
        "cut by the connection": lambda p: response(LINE + b"\n", length=1000),
        "text after its end": lambda p: response(LINE + b"\n" + LINE),
        "two ends": lambda p: response(b"\n\n"),
        "another prefix": lambda p: response(f"{md5(b'bar')}+3 1767225600123456789\n\n".encode()),
        "an error text": lambda p: response(LINE + b"read error: input/output error\n\n"),
        "a web page": lambda p: response(b"<html></html>\n\n"),
        "a size missing": lambda p: response(f"{p:0<32} 1767225600123456789\n\n".encode()),
        "a negative size": lambda p: response(f"{p:0<32}+-3 1767225600123456789\n\n".encode()),
        "capitals": lambda p: response(f"{p.upper():A<32}+3 1767225600123456789\n\n".encode()),
        "an endless line": lambda p: response(b"0" * 100_000 + b"\n\n"),
        "an error": lambda p: response(b"oops\n", "500 Internal Server Error"),
    }

    def test_the_line_that_is_wrong_is_shown_with_v(self):
        text = b"read error:\x07 input/output error of the disk that holds it"
        server = self.serve(keepstore(lambda p: response(f"{p:0<32}+3 1767225600123456789\n".encode() + text + b"\n\n")))
        quiet, talking = self.side_by_side(*(lambda v=v: self.run_with([server.url], "ls", *v) for v in ([], ["-v"])))
        self.assertEqual((quiet.code, talking.code), (6, 6), talking)
        self.assertIn("line 2 ", quiet.stderr)
        self.assertNotIn("read error", quiet.stderr)
        self.assertIn("read error:? input/output error of the d", talking.stderr)
        self.assertNotIn("of the di", talking.stderr)

    def test_broken_indexes(self):
        """All at the same time: each is tried three times, with pauses."""
        servers = [self.serve(keepstore(index)) for index in self.broken.values()]
        begun = time.monotonic()
        outcomes = self.side_by_side(*(lambda s=s: self.run_with([s.url], "ls", "--json") for s in servers))
        self.assertLess(time.monotonic() - begun, 20 * PATIENCE)
        for what, server, done in zip(self.broken, servers, outcomes):
            with self.subTest(what):
                self.assertEqual((done.code, done.summary["exit_code"], done.rows("block")), (6, 6, []), done)
                self.assertIn(server.url, done.stderr)
                self.assertEqual(len(server.targets()), 1 + 3)
                self.assertLess(len(done.stderr), 300)

    def test_a_listing_that_fails_later(self):
        """What was shown before is right, and the end is an error; compare looks at the other parts."""
        names = sorted(md5(str(i).encode()) for i in range(600))
        lines = [f"{n}+3 1767225600123456789\n".encode() for n in names]
        good = index_of(*lines)
        server = self.serve(keepstore(lambda p: response(LINE) if p == "a" else good(p)))
        listed, compared = self.side_by_side(
            lambda: self.run_with([server.url], "ls", "--json"),
            lambda: self.run_with([], "compare", f"keep:{server.url}", f"dir:{self.dir.make('empty')}", "--json"))
        self.assertEqual(listed.code, 6, listed)
        self.assertEqual([b["block"] for b in listed.rows("block")], [f"{n}+3" for n in names if n < "a"])
        self.assertEqual(compared.code, 6, compared)
        self.assertEqual(compared.summary["missing"], sum(not n.startswith("a") for n in names))
        self.assertIn("blocks a... could not be listed", compared.stderr)

    def test_a_failure_that_passes(self):
        """compare lists a part again at its end: by then the server is back."""
        failures = [0]

        def index(prefix):
            if prefix == "a" and failures[0] < 3:
                failures[0] += 1
                return response(LINE)
            return index_of(LINE)(prefix)
        server = self.serve(keepstore(index))
        done = self.run_with([], "compare", f"keep:{server.url}", f"dir:{self.dir.make('empty')}", "--json")
        self.assertEqual((done.code, done.summary["missing"]), (1, 1), done)
        self.assertEqual(failures, [3])

    def test_entries_that_are_no_blocks(self):
        large = f"{md5(b'large')}+67108865 1767225600123456789\n".encode()
        server = self.serve(keepstore(index_of(LINE, large)))
        done = self.run_with([server.url], "ls", "--json")
        self.assertEqual(done.code, 0, done)
        self.assertEqual([b["block"] for b in done.rows("block")], [f"{FOO}+3"])
        self.assertEqual((done.summary["blocks"], done.summary["too_large"]), (1, 1))
        self.assertIn("1 entry over 64 MiB", done.stderr)

    def test_sizes_that_differ_and_blocks_on_two_mounts(self):
        second = MOUNT[:-1] + "1"
        mounts = json.loads(MOUNTS) + [{"uuid": second, "device_id": "b"}]

        def answer(_, target):
            if target == "/mounts":
                return response(json.dumps(mounts).encode())
            size = 4 if second in target else 3
            return index_of(f"{FOO}+{size} 1767225600123456789\n".encode(), f"{md5(b'bar')}+3 1\n".encode())(target.split("=")[1])
        server = self.serve(answer)
        done = self.run_with([server.url], "ls", "--long", "--json")
        self.assertEqual(done.code, 0, done)
        bar, foo = done.rows("block")
        self.assertEqual((bar["block"], bar["copies"], bar["note"]), (f"{md5(b'bar')}+3", 2, None))
        self.assertEqual((foo["copies"], foo["mounts"], foo["note"]), (2, [MOUNT, second], "sizes differ"))
        self.assertEqual(done.summary["size_conflicts"], 1)
        self.assertEqual(self.run_with([server.url], "ls", FOO).stderr.splitlines()[0], "keepctl: 1 block, 2 copies")


class Blocks(Case):
    def get(self, data, *servers):
        return self.run_with(list(servers), "get", plain(data))

    def test_the_next_server_is_asked_whatever_is_wrong_with_the_first(self):
        """Not one wrong byte is written, and a good copy is found."""
        data = os.urandom(2_000_000)
        cut = 1_300_000
        daemon = self.start([self.dir.make("full")])
        self.empty = self.start([self.dir.make("empty")])
        daemon.put(data)
        for what, reply in (("the connection ends", response(data[:cut], length=len(data))),
                            ("other bytes follow", response(data[:cut] + bytes(len(data) - cut))),
                            ("other bytes", response(bytes(len(data)))),
                            ("more bytes", response(data + b"x")),
                            ("fewer bytes", response(data[:-1])),
                            ("an empty response", response(b"")),
                            ("an error", response(b"no\n", "500 Internal Server Error"))):
            with self.subTest(what):
                cut_off = what in ("the connection ends", "an error")
                # Several broken servers: whatever the order of probing, most of them are asked before the good one.
                broken = [self.serve(lambda *_, r=reply: r) for _ in range(4)]
                done = self.get(data, *(s.url for s in broken), daemon)
                self.assertEqual((done.code, done.stdout == data), (0, True), done.stderr[-2000:])
                done = self.get(data, *(s.url for s in broken))
                self.assertEqual((done.code, done.stdout), (3 if cut_off else 1, b""), done.stderr[-2000:])
                # One that is known to lack the block, and others of which nothing is known.
                done = self.get(data, *(s.url for s in broken), self.empty)
                self.assertEqual((done.code, done.stdout), (1, b""), done.stderr[-2000:])

    def test_put_needs_what_the_server_says(self):
        """A response of 200 is a stored block only with its locator, and a number of replicas."""
        replicas = "X-Keep-Replicas-Stored: 1"
        for what, reply, code in (
                ("right", response(f"{FOO}+3\n".encode(), headers=[replicas]), 0),
                ("another locator", response(f"{md5(b'bar')}+3\n".encode(), headers=[replicas]), 3),
                ("another size", response(f"{FOO}+4\n".encode(), headers=[replicas]), 3),
                ("no locator", response(b"", headers=[replicas]), 3),
                ("a web page", response(b"<html>", headers=[replicas]), 3),
                ("no replicas", response(f"{FOO}+3\n".encode()), 3),
                ("none stored", response(f"{FOO}+3\n".encode(), headers=["X-Keep-Replicas-Stored: 0"]), 3),
                ("full", response(b"full\n", "507 Insufficient Storage"), 1),
                ("a collision", response(b"hash collision\n", "500 Internal Server Error"), 1)):
            with self.subTest(what):
                server = self.serve(lambda *_, r=reply: r)
                done = self.run_with([server.url], "put", stdin=b"foo")
                self.assertEqual((done.code, done.lines), (code, [f"{FOO}+3"] if code == 0 else []), done)
                self.assertEqual(server.targets("PUT"), [f"/{FOO}"])

    def test_a_collision_is_the_failure_of_one_block(self):
        """A server that has another block with this MD5 keeps it: there is no second attempt, and other blocks are copied."""
        a = self.dir.make("a")
        names = [keepctl.store(a, data) for data in (b"foo", b"bar")]
        listed = keepstore(index_of())
        puts = {FOO: response(b"hash collision\n", "500 Internal Server Error"),
                names[1]: response(f"{names[1]}+3\n".encode(), headers=["X-Keep-Replicas-Stored: 1"])}
        server = self.serve(lambda method, target: puts[target[1:]] if method == "PUT" else listed(method, target))
        done = self.run_with([], "replicate", f"dir:{a}", f"keep:{server.url}", "--json", "--failures", self.path("failures"))
        self.assertEqual((done.code, done.summary["copied"], done.summary["failed"]), (1, 1, 1), done)
        self.assertEqual(sorted(server.targets("PUT")), sorted("/" + n for n in names))
        with open(self.path("failures"), encoding="utf-8") as file:
            (failure,) = [json.loads(line) for line in file]
        self.assertEqual((failure["hash"], failure["server"], "collision" in failure["reason"]), (FOO, server.url, True), failure)

    def test_between_servers_sixteen_blocks_are_under_way(self):
        blocks = {md5(data): data for data in (f"block {i:02}".encode() for i in range(20))}
        listed = keepstore(index_of(*(f"{n}+{len(d)} 1767225600123456789\n".encode() for n, d in sorted(blocks.items()))))
        empty = keepstore(index_of(), response(MOUNTS.replace(b'"a"', b'"b"')))
        source = self.serve(lambda method, target: response(blocks[target[1:33]]) if target[1:33] in blocks else listed(method, target))
        arrived, in_time, enough = [], [], threading.Event()

        def store(method, target):
            if method != "PUT":
                return empty(method, target)
            arrived.append(target)
            if len(arrived) == 16:
                enough.set()
            in_time.append(enough.wait(5 * PATIENCE))
            return response(f"{target[1:]}+8\n".encode(), headers=["X-Keep-Replicas-Stored: 1"])

        done = self.run_with([], "replicate", f"keep:{source.url}", f"keep:{self.serve(store).url}", "--json")
        self.assertEqual((done.code, done.summary["copied"]), (0, len(blocks)), done)
        self.assertTrue(all(in_time), "fewer at a time")

    def test_put_goes_to_the_first_servers_in_probe_order(self):
        daemons = [self.start([self.dir.make(f"vol{i}")]) for i in range(3)]
        full = self.serve(lambda *_: response(b"full\n", "507 Insufficient Storage"))
        for number in range(6):
            data = f"block {number}".encode()
            expected = sorted(daemons, key=lambda d: md5(md5(data).encode() + md5(f"{self.url(d)}/".encode())[:15].encode()),
                              reverse=True)[:2]
            done = self.run_with([*daemons, full.url], "put", "--json", "--replication", "2", stdin=data)
            self.assertEqual(done.code, 0, done)
            self.assertEqual(done.rows("stored")[0]["servers"], [self.url(d) for d in expected])
        self.assertEqual(self.run_with([*daemons, full.url], "put", "--replication", "4", stdin=b"x").code, 1)


class Peers(Case):
    def test_a_server_without_a_management_api(self):
        """As the Go daemon: no readiness, and /metrics needs a token that is not given."""
        server = self.serve(keepstore(index_of(LINE)))
        done = self.run_with([server.url], "status", "--json")
        self.assertEqual(done.code, 0, done)
        row = done.rows("server")[0]
        self.assertEqual(row["state"], "up")
        self.assertEqual({k for k, v in row.items() if v is None}, {"version", "clock", "config", "requests", "oldest_seconds",
                                                                    "pulls_pending", "pulls_running", "trash_pending",
                                                                    "trash_running"})
        mount = done.rows("mount")[0]
        self.assertEqual((mount["health"], mount["free"], mount["scrub"], mount["classes"]), (None, None, None, ["default"]))
        done = self.run_with([server.url], "status")
        self.assertRegex(done.lines[1], r"^\S+ +up( +-){10}$")
        self.assertEqual(self.run_with([server.url], "ls", "--plain").lines, [f"{FOO}+3\t1\t-"])
        done = self.run_with([server.url], "scrub", "status")
        self.assertEqual(done.code, 3, done)
        self.assertIn("has no scrub", done.stderr)

    def test_metrics_that_are_none(self):
        for body in (b"<html></html>", b"\xff\x00", b"arvados_concurrent_requests NaN\narvados_version_running{version=\"\n",
                     b"keepstore_volume_state{mount=\"x\",state=\"odd\"} 1\n"):
            server = self.serve(lambda _, target, b=body: response(MOUNTS if target == "/mounts" else b))
            done = self.run_with([server.url], "status", "--json")
            self.assertEqual((done.code, done.rows("server")[0]["requests"]), (0, None), done)

    def test_clocks(self):
        for ahead in (-7200, -2, 0, 2, 7200):
            def answer(_, target, shift=ahead):
                date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + shift + (0.5 if shift else 0)))
                return response(MOUNTS if target == "/mounts" else b"{}", headers=[f"Date: {date}"])
            server = self.serve(answer)
            clock = self.run_with([server.url], "status", "--json").rows("server")[0]["clock"]
            if ahead == 0:
                self.assertEqual(clock, "0s")
            elif abs(ahead) > 2:
                self.assertLessEqual(abs(int(clock.rstrip("s")) - ahead), 2)
            done = self.run_with([server.url], "probe", f"keep:{server.url}", "--json")
            found = [s["result"] for s in done.rows("step") if s["step"] == "clock"]
            self.assertEqual(found, ["FAILED" if abs(ahead) > 60 else "ok"])

    def test_watch(self):
        daemon = self.start()
        process = keepctl.start(self.dir.path, "status", "--watch", "100ms", "--json", "--server", self.url(daemon), *self.secrets)
        rounds = [line for line in (json.loads(process.stdout.readline()) for _ in range(9)) if line["type"] == "round"]
        self.assertEqual(len(rounds), 3)
        daemon.stop()
        while True:
            line = json.loads(process.stdout.readline())
            if line["type"] == "server" and line["state"] == "unreachable":
                break
        process.terminate()
        rest = [json.loads(line) for line in process.communicate(timeout=20 * PATIENCE)[0].splitlines()]
        self.assertEqual((process.returncode, rest[-1]["type"], rest[-1]["exit_code"]), (143, "summary", 143))

    def test_behind_haproxy(self):
        program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", ""))
        if not program:
            raise unittest.SkipTest("haproxy is not installed")
        daemons = [self.start([self.dir.make(f"vol{i}")]) for i in range(2)]
        port = stable_port()
        config = self.path("haproxy.cfg")
        with open(config, "w", encoding="ascii") as file:
            file.write("defaults\n    mode http\n    timeout connect 5s\n    timeout client 60s\n    timeout server 60s\n"
                       f"listen keep\n    bind 127.0.0.1:{port}\n    server keep0 127.0.0.1:{daemons[0].address[1]}\n")
        process = subprocess.Popen([program, "-f", config, "-db"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(lambda: (process.terminate(), process.wait(10 * PATIENCE)))
        until(lambda: port_open(port), what="haproxy listens")
        proxied = f"http://127.0.0.1:{port}"
        blocks = {md5(d): d for d in (b"", b"foo", os.urandom(3_000_000))}
        for name, data in blocks.items():
            self.assertEqual(self.run_with([proxied], "put", stdin=data).code, 0)
            done = self.run_with([proxied], "get", f"{name}+{len(data)}")
            self.assertEqual((done.code, done.stdout == data), (0, True))
            self.assertEqual(self.run_with([proxied], "head", name).code, 0)
            self.assertEqual(self.run_with([proxied], "touch", name).code, 0)
        done = self.run_with([proxied], "ls", "--json")
        self.assertEqual([b["block"][:32] for b in done.rows("block")], sorted(blocks))
        done = self.run_with([proxied], "status", "--json")
        self.assertEqual((done.code, done.rows("server")[0]["state"], done.rows("server")[0]["clock"]), (0, "ready", "0s"), done)
        done = self.run_with([], "compare", f"keep:{proxied}", f"keep:{self.url(daemons[1])}", "--json")
        self.assertEqual((done.code, done.summary["missing"]), (1, 3), done)
        # Without its server the proxy answers by itself.
        daemons[0].stop()
        done = self.run_with([proxied], "ls")
        self.assertEqual(done.code, 3, done)
        self.assertIn("503", done.stderr)


if __name__ == "__main__":
    main()
