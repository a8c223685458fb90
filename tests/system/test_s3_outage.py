"""The S3 service dies, or hangs, under load. With a server of its own.

KEEPSTORE_TEST_ROUNDS: the number of outages of each kind (1, at most 20).
"""

import collections
import os
import random
import sys
import threading
import time
import unittest

from support.case import main, rounds, seed
from support.daemon import TempDir, directory_volume
from support.radosgw import Radosgw, missing
from support.s3_volumes import Book, S3VolumeCase, first_on
from support.wait import until

MIB = 1 << 20
# The time to detect an outage. Dead: three refused connections with the waits between. Silent: 1.5 s without a byte, 0.4 s
# between checks, 1.5 s for each of two probes (base/limits.hpp). Plus some for two busy cores.
KNOWN_SECONDS = {"kill": 2.0, "pause": 5.9}
REFUSED_SECONDS = 0.5
OUTAGES = min(rounds(1), 20)
RECOVERY_SECONDS = 2.0

Request = collections.namedtuple("Request", "kind began seconds ok what")


def setUpModule():
    if missing():
        return
    folder = TempDir()
    unittest.addModuleCleanup(folder.remove)
    OwnServerCase.gateway = Radosgw(folder.path)
    unittest.addModuleCleanup(OwnServerCase.gateway.stop)
    OwnServerCase.gateway.start(owner=os.getpid())


class OwnServerCase(S3VolumeCase):
    gateway = None

    def find_server(self):
        if missing():
            self.skipTest(missing())
        return self.gateway.info

    def _remove_bucket(self, bucket):
        """It goes with its server. A gateway waits for the killed one to agree, for half a minute."""


class Load:
    """PUTs and GETs, of the bucket and of the directory, from several threads, with all outcomes."""

    KINDS = {"s3 put": ("bucket", 4_000), "s3 put large": ("bucket", 4 * MIB), "s3 get": ("bucket", 300_000),
             "directory put": ("default", 300_000), "directory get": ("default", 300_000)}

    def __init__(self, case, daemon, generator):
        self.case = case
        self.daemon = daemon
        self.requests = []
        self.wrong = []
        self.books = {"bucket": Book(), "default": Book()}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(kind, random.Random(generator.getrandbits(64))))
                         for kind in self.KINDS for _ in range(2)]
        for thread in self._threads:
            thread.start()

    def _run(self, kind, generator):
        storage_class, size = self.KINDS[kind]
        headers = {"X-Keep-Storage-Classes": storage_class}
        known = None
        while not self._stop.is_set():
            put = known is None or "put" in kind
            data = generator.randbytes(size) if put else known
            began = time.monotonic()
            outcome = self.case.put(self.daemon, data, headers=headers) if put else self.case.get(self.daemon, data)
            with self._lock:
                self.requests.append(Request(kind, began, outcome.seconds, outcome.ok, repr(outcome)))
                if outcome.ok and not put and outcome.body != data:
                    self.wrong.append(repr(outcome))
                if not outcome.ok and (outcome.status != 503 and (put or outcome.complete) or outcome.status is None):
                    self.wrong.append(repr(outcome))
            if outcome.ok and put:
                self.books[storage_class].add(data)
                known = data
            # Not more blocks than can be checked afterwards in reasonable time.
            self._stop.wait(0.3 if size > MIB else 0.08 if put else 0.02)

    def of(self, *kinds, since=0.0, until=float("inf")):
        """Those of these kinds that began then."""
        with self._lock:
            return [r for r in self.requests if r.kind.startswith(kinds) and since <= r.began < until]

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


class Machine:
    """Measures what the machine itself takes for a small write with a sync, all the time: a pause of its processors or of its
    disk is no fault of the daemon."""

    def __init__(self, folder):
        self._path = os.path.join(folder, "measured")
        self._taken = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        with open(self._path, "wb", buffering=0) as file:
            while not self._stop.is_set():
                began = time.monotonic()
                file.write(bytes(4096))
                os.fsync(file.fileno())
                self._stop.wait(0.02)
                self._taken.append(time.monotonic() - began)

    def stop(self):
        """Returns the longest time in seconds."""
        self._stop.set()
        self._thread.join(60)
        return max(self._taken, default=0.0)


def high(values, share=0.95):
    return sorted(values)[int(len(values) * share)] if values else 0.0


class Outage(OwnServerCase):
    def setUp(self):
        super().setUp()
        self.generator = random.Random(seed())
        # Default timeouts.
        slow = {"DriverParameters": {"ConnectTimeout": "1m", "ReadTimeout": "10m"}}
        self.daemon = self.start([self.volume(StorageClasses={"bucket": True}, **slow),
                                  directory_volume(self.dir.make("directory"), StorageClasses={"default": True})],
                                 StorageClasses={"default": {"Default": True, "Priority": 10}, "bucket": {"Priority": 0}})

    def outage(self, how, part):
        daemon, gateway = self.daemon, self.gateway
        machine = Machine(self.dir.path)
        self.addCleanup(machine.stop)
        load = Load(self, daemon, self.generator)
        self.addCleanup(load.stop)
        began = time.monotonic()
        until(lambda: len([r for r in load.of("s3") if r.ok]) > 30 and time.monotonic() - began > 2, 30, "some load")
        down = time.monotonic()
        getattr(gateway, how)(part)
        known = KNOWN_SECONDS[how]
        lasts = known + self.generator.uniform(1, 3)
        until(lambda: time.monotonic() - down > lasts, 30)
        up = time.monotonic()
        getattr(gateway, {"kill": "revive", "pause": "resume"}[how])(part)
        back = time.monotonic()
        until(lambda: all(any(r.ok for r in load.of(kind, since=back)) for kind in ("s3 put", "s3 get")), 30, "recovery")
        until(lambda: time.monotonic() - back > 2.5, 5)
        load.stop()
        pause = machine.stop()

        self.assertEqual(load.wrong, [], "neither right nor 503")
        during = load.of("s3", since=down, until=up - 0.3)
        late = [r for r in during if r.began > down + known + pause]
        self.assertGreater(len(late), 20 if pause < 0.5 else 0, "answers while the outage lasts and is known")
        longest = max(r.seconds for r in load.of("s3", since=down - 10, until=up))
        recovered = {k: min(r.began + r.seconds for r in load.of(k, since=back) if r.ok) - back for k in ("s3 put", "s3 get")}
        before = high([r.seconds for r in load.of("directory", until=down)])
        beside = load.of("directory", since=down, until=up)
        print(f"{part} {how}: longest answer {longest:.2f} s; once known, {len(late)} refused within "
              f"{max(r.seconds for r in late):.3f} s; recovered after {max(recovered.values()):.2f} s; directory p95 "
              f"{before * 1000:.0f} ms before, {high([r.seconds for r in beside]) * 1000:.0f} ms during, longest "
              f"{max(r.seconds for r in beside) * 1000:.0f} ms; {len(load.requests)} requests; the machine paused for "
              f"{pause * 1000:.0f} ms", file=sys.stderr)
        self.assertLess(longest, known + pause, "the first to meet the outage")
        self.assertEqual([r for r in late if r.seconds > REFUSED_SECONDS + pause or r.ok], [], "when the outage is known")
        self.assertLess(max(recovered.values()), RECOVERY_SECONDS + pause)
        self.assertEqual([r for r in load.of("s3", since=back + RECOVERY_SECONDS + pause) if not r.ok], [], "after the recovery")
        self.assertEqual([r for r in load.of("directory") if not r.ok], [], "the directory knows of no outage")
        self.assertLess(high([r.seconds for r in beside]), max(3 * before, 0.1))
        self.assertLess(max(r.seconds for r in beside), 1.0 + pause)

        daemon.assert_nothing_held()
        self.s3.close()  # Its connection was to the one that was killed.
        stored = load.books["bucket"].blocks()
        self.assertGreater(len(stored), 20)
        self.assert_bucket(stored)
        self.assert_readable(daemon, stored)
        self.assert_readable(daemon, load.books["default"].blocks())

    def test_the_gateway_is_killed(self):
        for _ in range(OUTAGES):
            self.outage("kill", "gateway")

    def test_the_gateway_hangs(self):
        for _ in range(OUTAGES):
            self.outage("pause", "gateway")

    def test_the_store_of_the_gateway_hangs(self):
        if OUTAGES == 1:
            self.skipTest("for a daemon hardly different from a gateway that hangs; with KEEPSTORE_TEST_ROUNDS above 1")
        for _ in range(OUTAGES):
            self.outage("pause", "osd")

    def test_blocks_on_other_volumes_are_found_soon(self):
        """Also where the bucket is tried first."""
        second = self.dir.make("second")
        daemon = self.start([self.volume(DriverParameters={"ReadTimeout": "10m"}), directory_volume(second)])
        only_there = self.start([directory_volume(second)])
        data = first_on(0, 2, lambda i: b"elsewhere %d" % i)
        self.assertTrue(self.put(only_there, data).ok)
        self.assertTrue(self.get(daemon, data).ok)
        self.gateway.pause()
        self.addCleanup(self.gateway.resume)
        first = self.get(daemon, data)
        self.assertTrue(first.ok and first.body == data, first)
        self.assertLess(first.seconds, KNOWN_SECONDS["pause"])
        self.assertEqual(daemon.metric("keepstore_volume_healthy"), 1, "the bucket is silent")
        new = first_on(0, 2, lambda i: b"new %d" % i)
        for outcome in (self.get(daemon, data), self.put(daemon, new), self.get(daemon, new)):
            self.assertTrue(outcome.ok, outcome)
            self.assertLess(outcome.seconds, REFUSED_SECONDS)
        self.gateway.resume()
        resumed = time.monotonic()
        until(lambda: daemon.metric("keepstore_volume_healthy") == 2, 10)
        self.assertLess(time.monotonic() - resumed, RECOVERY_SECONDS)


if __name__ == "__main__":
    main()
