"""keepctl replicate against faults that last longer than its limits. Each scenario waits for half a minute and takes hardly any
work, so all of them run at the same time."""

import bisect
import concurrent.futures
import contextlib
import json
import os
import re
import signal
import time

from support import keepctl
from support.case import main
from support.daemon import block_path, sanitized
from support.mounts import Tmpfs
from support.replicate_case import ReplicateServerCase, count
from support.s3_fault_proxy import FaultProxy
from support.s3_memory import MemoryS3
from support.stub import Stub
from support.wait import PATIENCE, until

MOUNTS = json.dumps([{"uuid": "zzzzz-nyw5e-000000000000000", "device_id": "x", "allow_write": True}]).encode()
MIB = 1 << 20
MEMORY_KEYS = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any"}


class Waits(ReplicateServerCase):
    def test_faults_that_outlast_the_limits(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            running = {f"{scenario.__name__} {argument}": pool.submit(scenario, argument) for scenario, argument in (
                (self.stopped, "source"), (self.stopped, "destination"), (self.full, "directory"), (self.full, "server"),
                (self.cut_listing, "source"), (self.cut_listing, "destination"), (self.cut_listing, "bucket"),
                (self.slow_destination, "server"), (self.throttled, "bucket"))}
            for name, scenario in running.items():
                with self.subTest(name):
                    scenario.result()

    def run_until(self, ready, *words, env=None):
        running = keepctl.start(self.dir.path, "replicate", "--json", *words, *self.secrets, env=env)
        self.addCleanup(running.kill)
        until(lambda: ready() or running.poll() is not None, what=f"some blocks: {words}", interval=0.001)
        self.assertIsNone(running.poll(), "it ended too early: the test proves nothing")
        return running

    def proxy(self, host, port, *rules):
        found = FaultProxy(host, port)
        self.addCleanup(found.close)
        found.rules(*rules)
        return found

    def memory_bucket(self, blocks, *rules):
        """A bucket with these blocks, behind a fault proxy. Returns the place, the proxy and the service."""
        service = MemoryS3()
        self.addCleanup(service.close)
        for name, data in blocks.items():
            service.objects[f"bucket/{name}"] = (data, time.time())
        proxy = self.proxy("127.0.0.1", int(service.endpoint.rsplit(":", 1)[1]), *rules)
        return f"s3://bucket?endpoint={proxy.endpoint}&region=r&path-style=1", proxy, service

    def stopped(self, which):
        """SIGSTOP for longer than limits::keepctl_silence_max: all requests fail, the server is paused, and works again."""
        roots = [self.dir.make(f"stopped-{which}-{i}") for i in range(2)]
        blocks = self.fill(roots[0], 300, 100_000)
        daemons = [self.start([r], check_log=False) for r in roots]
        running = self.run_until(lambda: count(roots[1]) > 3, *map(self.place, daemons), "--jobs", "8", "--bandwidth", "8MiB",
                                 "--digits", "0")
        server = daemons[0 if which == "source" else 1]
        server.signal(signal.SIGSTOP)
        begun = time.monotonic()
        try:
            stderr = self.read_until(running.stderr, b"is paused")
            self.assertGreater(time.monotonic() - begun, 15, "the silence was not what paused it")
        finally:
            server.signal(signal.SIGCONT)
        stdout, rest = running.communicate()
        self.assertEqual(running.returncode, 0, stderr + rest)
        self.assertIn(b"works again", rest)
        summary = self.summary_of(stdout)
        # One that was stored without an answer is stored again, or found.
        self.assertEqual((summary["copied"] + summary["present"], summary["failed"], summary["gone"]), (len(blocks), 0, 0))
        self.assertEqual(keepctl.stored(roots[1]), blocks)

    def full(self, kind):
        """A destination that gets room again while the run waits."""
        a, path = self.dir.make(f"full-{kind}-a"), self.dir.make(f"full-{kind}")
        blocks = self.fill(a, 12, 1_000_000)
        mount = Tmpfs(path, "size=40m")  # Less than volumes keep free.
        self.addCleanup(mount.close)
        target = f"dir:{path}" if kind == "directory" else self.place(self.start([path], check_log=False))
        running = keepctl.start(self.dir.path, "replicate", "--json", f"dir:{a}", target, *self.secrets)
        self.addCleanup(running.kill)
        stderr = self.read_until(running.stderr, b"is full, nothing is written there")
        mount.remount_options("size=200m")
        stdout, rest = running.communicate()
        self.assertEqual(running.returncode, 0, stderr + rest)
        self.assertIn(b"works again", rest)
        summary = self.summary_of(stdout)
        self.assertEqual((summary["copied"], summary["failed"]), (len(blocks), 0), stderr + rest)
        self.assertEqual(keepctl.stored(path), blocks)

    def cut_listing(self, where):
        """The listing of one shard ends early each time: nothing is concluded from it, and the others go on."""
        a, b = self.dir.make(f"cut-{where}-a"), self.dir.make(f"cut-{where}-b")
        blocks = self.fill(a, 64, 10)
        bad = {n: d for n, d in blocks.items() if n[0] == max(blocks)[0]}
        ends, env = [f"dir:{a}", f"dir:{b}"], {}
        # Of a source the text ends early; of a destination the connection, too.
        fault = {"fault": "truncate" if where == "destination" else "truncated_xml", "path": f"prefix={max(blocks)[0]}"}
        if where == "bucket":
            ends[0], proxy, _ = self.memory_bucket(blocks, fault)
            env = MEMORY_KEYS
        else:
            daemon = self.start([a if where == "source" else b], check_log=False)
            proxy = self.proxy(*daemon.address, fault)
            ends[where == "destination"] = f"keep:{proxy.endpoint}"
        done = self.replicate(*ends, "--digits", "1", *self.secrets, env=env, timeout=120)
        self.assert_counts(done, 6, copied=len(blocks) - len(bad), gone=0, failed=0, shards_done=15, shards_incomplete=1)
        self.assertIn(f"blocks {max(blocks)[0]}... could not be listed", done.stderr)
        self.assertEqual(keepctl.stored(b), {n: d for n, d in blocks.items() if n not in bad})
        proxy.rules()
        self.assert_counts(self.replicate(*ends, "--digits", "1", *self.secrets, env=env), copied=len(bad), listed=len(bad))
        self.assertEqual(keepctl.stored(b), blocks)

    def slow_destination(self, _):
        """Blocks that would take 20 s are cut off ten seconds after a signal, and nothing of them is visible."""
        a, root = self.dir.make("slow-a"), self.dir.make("slow")
        blocks = self.fill(a, 6, 1_000_000)
        daemon = self.start([root], check_log=False)
        proxy = self.proxy(*daemon.address, {"fault": "slow_request", "method": "PUT", "rate": 50_000})
        words = (f"dir:{a}", f"keep:{proxy.endpoint}", "--jobs", "2")
        running = self.run_until(lambda: proxy.fired() == [2], *words)
        begun = time.monotonic()
        running.send_signal(signal.SIGTERM)
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 143, stderr)
        took = time.monotonic() - begun
        self.assertGreater(took, 8)
        self.assertLess(took, 10 + 4 * PATIENCE)
        summary = self.summary_of(stdout)
        self.assertGreaterEqual(summary["left"], 2)
        self.assertEqual((summary["copied"], summary["failed"]), (0, 0))
        self.assertEqual(keepctl.stored(root), {})
        # Slow, and no failure.
        proxy.rules({"fault": "slow_request", "method": "PUT", "rate": 1_000_000})
        self.assert_counts(self.replicate(*words, *self.secrets), copied=len(blocks), failed=0)
        self.assertEqual(keepctl.stored(root), blocks)

    def throttled(self, _):
        """A bucket that throttles every upload for longer than the S3 client repeats one."""
        a = self.dir.make("throttled")
        blocks = self.fill(a, 30, 1000)
        place, proxy, service = self.memory_bucket({}, {"fault": "slow_down", "method": "PUT"})
        running = keepctl.start(self.dir.path, "replicate", "--json", f"dir:{a}", place, env=MEMORY_KEYS)
        self.addCleanup(running.kill)
        stderr = self.read_until(running.stderr, b"is paused")
        self.assertEqual(service.keys(), [])
        proxy.rules()
        stdout, rest = running.communicate()
        self.assertEqual(running.returncode, 0, stderr + rest)
        self.assertIn(b"works again", rest)
        self.assertEqual(self.summary_of(stdout)["copied"], len(blocks))
        self.assertEqual({n: service.objects[f"bucket/{n}"][0] for n in blocks}, blocks)


class Listings(ReplicateServerCase):
    """A million entries, in all shards or in few of them, next to a directory that has almost none."""

    ENTRIES = 1_000_000
    LINE = len("0" * 32 + "+1 1600000000000000000\n")

    def index(self, first_digits):
        raw = self.random.randbytes(16 * self.ENTRIES).hex()
        keep = 32 - len(first_digits)
        names = sorted(first_digits + raw[i:i + keep] for i in range(0, 32 * self.ENTRIES, 32))
        text = "".join(f"{n}+1 1600000000000000000\n" for n in names).encode()

        def answer(path, _):
            if path == "/mounts":
                return 200, MOUNTS, {}
            prefix = path.rsplit("=", 1)[1]
            begin = bisect.bisect_left(names, prefix) if prefix else 0
            end = bisect.bisect_left(names, prefix + "g") if prefix else len(names)
            return 200, text[begin * self.LINE:end * self.LINE] + b"\n", {}

        stub = Stub(answer)
        self.addCleanup(stub.close)
        return f"keep:{stub.url}", names

    def test_a_million_entries(self):
        for first_digits, peak in (("", 100 * MIB), ("7", 160 * MIB)):
            with self.subTest(first_digits):
                place, names = self.index(first_digits)
                b = self.dir.make(f"b{first_digits}")
                there = names[:: self.ENTRIES // 10]
                for name in there:
                    os.makedirs(os.path.dirname(block_path(b, name)), exist_ok=True)
                    with open(block_path(b, name), "wb") as file:
                        file.truncate(1)
                running = keepctl.start(self.dir.path, "replicate", "--json", "--dry-run", place, f"dir:{b}", *self.secrets)
                self.addCleanup(running.kill)
                highest = self.watch_memory(running)
                stdout, stderr = running.communicate()
                self.assertEqual(running.returncode, 0, stderr)
                summary = self.summary_of(stdout)
                self.assertEqual((summary["listed"], summary["present"]), (self.ENTRIES, len(there)))
                if not sanitized():  # A sanitizer keeps what was freed.
                    self.assertLess(highest, peak)

    def watch_memory(self, process):
        """Its resident peak in bytes, up to shortly before its end. What wait4() says includes the memory of this process."""
        found = 0
        while process.poll() is None:
            with contextlib.suppress(OSError, AttributeError):
                with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                    found = int(re.search(r"VmHWM:\s+(\d+) kB", file.read()).group(1)) * 1024
            time.sleep(0.005)
        return found


if __name__ == "__main__":
    main()
