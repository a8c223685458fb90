"""keepctl replicate, when a place fails as a whole: killed, stopped, full, slow, or with a listing that is cut."""

import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import time

from support import keepctl
from support.case import main
from support.certificate import certificate, context
from support.locator import md5
from support.mounts import Tmpfs
from support.replicate_case import ReplicateServerCase, count
from support.stub import Stub
from support.wait import port_open, stable_port, until

CONF = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "conf")
MOUNTS = json.dumps([{"uuid": "zzzzz-nyw5e-000000000000000", "device_id": "x", "allow_write": True}])


# Runs in which something happens after some blocks: two jobs, and three seconds for sixty blocks, however fast the machine is.
LASTING = ("--jobs", "2", "--bandwidth", "2MiB")


class Faults(ReplicateServerCase):
    """What must hold when a place fails as a whole."""

    def test_a_destination_that_is_restarted(self):
        a, root, port = self.dir.make("a"), self.dir.make("v0"), stable_port()
        blocks = self.fill(a, 60, 100_000)
        daemon = self.start_at(port, root)
        running = keepctl.start(self.dir.path, "replicate", "--json", f"dir:{a}", self.place(daemon), *LASTING,
                                *self.secrets)
        until(lambda: count(root) > 3, what="some blocks", interval=0.001)
        stdout = self.restart_below(running, daemon, port, root)
        summary = json.loads(stdout.splitlines()[-1])
        self.assertEqual(summary["present"] + summary["copied"], len(blocks))
        self.assertEqual(keepctl.stored(root), blocks)

    def test_a_destination_that_stays_away(self):
        a, root, port = self.dir.make("a"), self.dir.make("v0"), stable_port()
        blocks = self.fill(a, 60, 100_000)
        daemon = self.start_at(port, root)
        running = keepctl.start(self.dir.path, "replicate", "--json", f"dir:{a}", self.place(daemon), *LASTING,
                                "--give-up-after", "1s", *self.secrets)
        until(lambda: count(root) > 3, what="some blocks", interval=0.001)
        daemon.kill()
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 6, stderr)
        summary = json.loads(stdout.splitlines()[-1])
        self.assertGreater(summary["left"], 0)
        self.assertEqual(summary["listed"], sum(summary[k] for k in (
            "present", "copied", "replaced", "gone", "failed", "bad_source", "left")))
        self.assertIn(b"to go on", stderr)
        daemon = self.start_at(port, root)
        self.assertEqual(self.replicate(f"dir:{a}", self.place(daemon), *self.secrets).code, 0)
        self.assertEqual(keepctl.stored(root), blocks)

    def test_a_source_that_goes_away(self):
        root, b, port = self.dir.make("v0"), self.dir.make("b"), stable_port()
        blocks = self.fill(root, 60, 100_000)
        daemon = self.start_at(port, root)
        running = keepctl.start(self.dir.path, "replicate", "--json", self.place(daemon), f"dir:{b}", *LASTING,
                                "--give-up-after", "1s", "--digits", "0", *self.secrets)
        until(lambda: count(b) > 3, what="some blocks", interval=0.001)
        daemon.kill()
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 6, stderr)
        summary = json.loads(stdout.splitlines()[-1])
        # A server that is away has lost nothing.
        self.assertEqual((summary["gone"], summary["bad_source"]), (0, 0))
        self.assertEqual({n: d for n, d in keepctl.stored(b).items() if blocks[n] != d}, {})

    def test_a_source_that_is_restarted(self):
        root, b, port = self.dir.make("v0"), self.dir.make("b"), stable_port()
        blocks = self.fill(root, 60, 100_000)
        daemon = self.start_at(port, root)
        running = keepctl.start(self.dir.path, "replicate", "--json", self.place(daemon), f"dir:{b}", *LASTING,
                                *self.secrets)
        until(lambda: count(b) > 3, what="some blocks", interval=0.001)
        stdout = self.restart_below(running, daemon, port, root)
        summary = self.summary_of(stdout)
        self.assertEqual((summary["copied"], summary["gone"], summary["shards_done"]), (len(blocks), 0, 16))
        self.assertEqual(keepctl.stored(b), blocks)

    def test_a_signal_while_a_place_is_paused(self):
        a, root, port = self.dir.make("a"), self.dir.make("v0"), stable_port()
        self.fill(a, 60, 100_000)
        daemon = self.start_at(port, root)
        running = keepctl.start(self.dir.path, "replicate", "--json", f"dir:{a}", self.place(daemon), *LASTING,
                                *self.secrets)
        until(lambda: count(root) > 3, what="some blocks", interval=0.001)
        daemon.kill()
        self.read_until(running.stderr, b"is paused")
        begun = time.monotonic()
        running.send_signal(signal.SIGTERM)
        stdout, stderr = running.communicate()
        # Blocks that wait for the place are not blocks under way: the ten seconds of those are not for them.
        self.assertLess(time.monotonic() - begun, 8)
        self.assertEqual(running.returncode, 143, stderr)
        self.assertEqual(self.summary_of(stdout)["failed"], 0)

    def test_places_that_are_stopped_and_go_on(self):
        """SIGSTOP: connections are accepted, and nothing comes."""
        for stopped in "source", "destination":
            with self.subTest(stopped):
                roots = [self.dir.make(f"{stopped}-{i}") for i in range(2)]
                blocks = self.fill(roots[0], 60, 100_000)
                daemons = [self.start([r], check_log=False) for r in roots]
                running = keepctl.start(self.dir.path, "replicate", "--json", *map(self.place, daemons), *LASTING,
                                        *self.secrets)
                until(lambda root=roots[1]: count(root) > 3, what="some blocks", interval=0.001)
                which = daemons[0 if stopped == "source" else 1]
                which.signal(signal.SIGSTOP)
                have = count(roots[1])
                time.sleep(1)  # Not for it to happen: nothing more than what was under way may come meanwhile.
                self.assertLessEqual(count(roots[1]) - have, 4)
                self.assertIsNone(running.poll())
                which.signal(signal.SIGCONT)
                stdout, stderr = running.communicate()
                self.assertEqual(running.returncode, 0, stderr)
                self.assertEqual(self.summary_of(stdout)["copied"], len(blocks))
                self.assertEqual(keepctl.stored(roots[1]), blocks)

    def test_many_rotten_blocks_do_not_pause_a_server(self):
        daemon = self.start([self.dir.make("v0")], check_log=False)
        root, b = daemon.roots()[0], self.dir.make("b")
        good = self.fill(root, 4, 5000)
        for i in range(30):
            keepctl.store(root, b"rotten", md5(b"%d" % i))
        done = self.replicate(self.place(daemon), f"dir:{b}", *self.secrets)
        self.assert_counts(done, 1, bad_source=30, copied=len(good), failed=0)
        self.assertNotIn("paused", done.stderr)

    def test_certificates(self):
        cert, key = certificate(self.dir.path, "server", 1)
        daemon = self.start_tls(cert, key)
        place = f"keep:https://{daemon.address[0]}:{daemon.address[1]}"
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 3, 1000)
        for places in (f"dir:{a}", place), (place, f"dir:{b}"):
            done = self.replicate(*places, *self.secrets)
            self.assertEqual(done.code, 3, done)
            self.assertIn("certificate", done.stderr)
        self.assertEqual((keepctl.stored(daemon.roots()[0]), keepctl.stored(b)), ({}, {}))
        self.assert_counts(self.replicate(f"dir:{a}", place, "--ca-file", cert, *self.secrets), copied=len(blocks))
        self.assert_counts(self.replicate(place, f"dir:{b}", "--tls-insecure", *self.secrets), copied=len(blocks))
        self.assertEqual(keepctl.stored(b), blocks)

    def start_tls(self, cert, key):
        daemon = self.start(url="https://127.0.0.1:0/", TLS={"Certificate": cert, "Key": key}, check_log=False)
        daemon.tls = context()
        return daemon

    def test_a_token_that_becomes_wrong(self):
        """403 in the middle of a run ends it, block by block would be the same."""
        served = []

        def answer(path, _):
            if path == "/mounts":
                return 200, MOUNTS.encode(), {}
            if "/blocks" in path:
                prefix = path.rsplit("=", 1)[1]
                lines = "".join(f"{md5(b'%d' % i)}+{len(b'%d' % i)} 1600000000000000000\n" for i in range(40))
                return 200, "".join(x + "\n" for x in sorted(lines.split("\n")) if x and x.startswith(prefix)).encode() + b"\n", {}
            served.append(path)
            data = next(b"%d" % i for i in range(40) if md5(b"%d" % i) in path)
            return (200, data, {}) if len(served) <= 5 else (403, b"Forbidden", {})

        stub = Stub(answer)
        self.addCleanup(stub.close)
        b = self.dir.make("b")
        done = self.replicate(f"keep:{stub.url}", f"dir:{b}", "--jobs", "1", *self.secrets)
        self.assertEqual(done.code, 6, done)
        self.summary_of(done.stdout)
        self.assertEqual((done.summary["copied"], count(b)), (5, 5))
        self.assertEqual(len(served), 6)
        self.assertIn("ended early", done.stderr)

    def test_an_index_that_does_not_fit_in_the_memory(self):
        name = md5(b"x")[3:29]
        lines = "".join(f"000{name[:24]}{i:05x}+1 1600000000000000000\n" for i in range(1_048_000)).encode() + b"\n"

        def answer(path, _):
            return 200, MOUNTS.encode() if path == "/mounts" else lines, {}

        stub = Stub(answer)
        self.addCleanup(stub.close)
        b = self.dir.make("b")
        done = self.replicate(f"keep:{stub.url}", f"dir:{b}", "--memory", "64MiB", *self.secrets)
        self.assertEqual(done.code, 2, done)
        self.assertIn("too many for --memory 64MiB", done.stderr)

    def test_behind_haproxy(self):
        haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", ""))
        if not haproxy:
            self.skipTest("haproxy is not installed")
        root, a = self.dir.make("v0"), self.dir.make("a")
        blocks = self.fill(a, 60, 100_000)
        front = stable_port()
        back = stable_port(avoid=[front])
        with open(os.path.join(CONF, "haproxy.cfg"), encoding="utf-8") as file:
            text = file.read()
        text = text.replace("192.0.2.10:25107", f"127.0.0.1:{back}").replace("bind :25108", f"bind 127.0.0.1:{front}")
        text = "".join(line + "\n" for line in text.splitlines() if "192.0.2.11" not in line)
        with open(self.path("haproxy.cfg"), "w", encoding="utf-8") as file:
            file.write(text)
        daemon = self.start_at(back, root)
        proxy = subprocess.Popen([haproxy, "-f", self.path("haproxy.cfg")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(proxy.wait)
        self.addCleanup(proxy.kill)
        until(lambda: port_open(front), what="haproxy listens")
        place = f"keep:http://127.0.0.1:{front}"
        running = keepctl.start(self.dir.path, "replicate", "--json", f"dir:{a}", place, *LASTING, *self.secrets)
        until(lambda: count(root) > 3, what="some blocks", interval=0.001)
        daemon.kill()
        stderr = self.read_until(running.stderr, b"is paused")  # The proxy responds with 503.
        self.start_at(back, root)
        stdout, rest = running.communicate()
        self.assertEqual(running.returncode, 0, stderr + rest)
        self.assertEqual(self.summary_of(stdout)["copied"], len(blocks))
        self.assertEqual(keepctl.stored(root), blocks)
        b = self.dir.make("b")
        self.assert_counts(self.replicate(place, f"dir:{b}", *self.secrets), copied=len(blocks))

    def test_a_listing_that_is_cut(self):
        a = self.dir.make("a")
        blocks = self.fill(a, 3, 10)
        lines = "".join(f"{n}+10 1600000000000000000\n" for n in sorted(blocks))
        running = []
        for name, index in (("cut", lines), ("cut in a line", lines[:-5]), ("followed by more", lines + "\n" + lines),
                            ("with an error in it", lines + "open: Permission denied\n"), ("empty", "")):
            stub = IndexStub(MOUNTS, index)
            self.addCleanup(stub.close)
            running.append((name, stub, keepctl.start(self.dir.path, "replicate", f"dir:{a}", f"keep:{stub.url}")))
        # Each takes three attempts and the pauses between them.
        for name, stub, process in running:
            with self.subTest(name):
                _, stderr = process.communicate()
                self.assertEqual(process.returncode, 3, stderr)
                self.assertIn(b"index", stderr)
                self.assertEqual([r for r in stub.requests if not r.startswith("GET ")], [])

    def test_a_destination_that_is_full(self):
        a, path = self.dir.make("a"), self.dir.make("tmpfs")
        mount = Tmpfs(path, "size=40m")  # Less than volumes keep free.
        self.addCleanup(mount.close)
        self.fill(a, 12, 1_000_000)
        done = self.replicate(f"dir:{a}", f"dir:{path}", "--give-up-after", "1s", "--state-dir", self.path("state2"))
        self.assertEqual(done.code, 6, done)
        self.assertEqual(done.summary["left"] + done.summary["failed"], done.summary["listed"])
        self.assertEqual(keepctl.stored(path), {})
        self.assert_no_leftovers(path)
        mount.remount_options("size=200m")
        done = self.replicate(f"dir:{a}", f"dir:{path}", "--state-dir", self.path("state2"))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(keepctl.stored(path), keepctl.stored(a))

    def test_a_destination_that_becomes_read_only(self):
        a, path = self.dir.make("a"), self.dir.make("tmpfs")
        mount = Tmpfs(path, "size=200m")
        self.addCleanup(mount.close)
        blocks = self.fill(a, 40, 300_000)
        running = keepctl.start(self.dir.path, "replicate", "--json", f"dir:{a}", f"dir:{path}", "--bandwidth", "2MiB", "--jobs", "1")
        until(lambda: count(path) > 1, what="some blocks", interval=0.001)
        until(lambda: mount.becomes_read_only(), what="a moment without a file that is being written", interval=0.001)
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 6, stderr)
        self.assertIn(b"ended early", stderr)
        self.assertIn(b"ead-only", stderr)
        summary = self.summary_of(stdout)
        self.assertEqual(summary["copied"], count(path))
        self.assertLessEqual(summary["failed"], 1, "not block by block")
        mount.remount_options("rw")
        self.assert_no_leftovers(path)
        self.assertEqual(self.replicate(f"dir:{a}", f"dir:{path}").code, 0)
        self.assertEqual(keepctl.stored(path), blocks)

    def test_a_destination_that_is_read_only(self):
        a, path = self.dir.make("a"), self.dir.make("tmpfs")
        mount = Tmpfs(path, "size=100m")
        self.addCleanup(mount.close)
        mount.remount_options("ro")
        self.fill(a, 3, 1000)
        done = self.replicate(f"dir:{a}", f"dir:{path}")
        self.assertIn(done.code, (2, 3), done)
        self.assertIn("ead-only", done.stderr)


class IndexStub:
    """A server that knows GET /mounts, and responds to everything else with one index. Remembers requests."""

    def __init__(self, mounts, index):
        stub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                stub.requests.append(f"GET {self.path}")
                body = (mounts if self.path == "/mounts" else index).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_PUT(self):
                stub.requests.append(f"PUT {self.path}")
                self.send_error(500)

            def log_message(self, *_):
                pass

        self.requests = []
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


if __name__ == "__main__":
    main()
