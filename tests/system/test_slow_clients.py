"""Slow headers, slow bodies, slow readers: they are cut off, and good clients are not affected."""

import os
import threading
import time
import unittest

from support.case import KeepstoreCase, main
from support.client import build_request
from support.daemon import ACTIVE_TOKEN, sanitized, store
from support.locator import md5, plain
from support.wait import PATIENCE, until

LIMITS = {"HeaderTimeout": "1s", "IdleTimeout": "1s", "MinTransferRate": 16384, "MinTransferRatePeriod": "1s"}


class Dripper:
    """Sends one byte on each of its connections periodically, until stopped."""

    def __init__(self, connections, byte=b"x", period=1.0):
        self._stop = threading.Event()
        self.connections = connections
        self._thread = threading.Thread(target=self._run, args=(byte, period), daemon=True)
        self._thread.start()

    def _run(self, byte, period):
        while not self._stop.wait(period):
            for connection in self.connections:
                try:
                    connection.socket.send(byte)
                except OSError:
                    pass

    def stop(self):
        self._stop.set()
        self._thread.join(5)


class SlowClients(KeepstoreCase):
    def closed(self, connections):
        """The number of them that the daemon has closed (their responses are read and dropped)."""
        count = 0
        for connection in connections:
            connection.socket.settimeout(0.001)
            try:
                while True:
                    if not connection.socket.recv(4096):
                        count += 1
                        break
            except TimeoutError:
                pass
            except OSError:
                count += 1
        return count

    def drip(self, connections, byte=b"x", period=1.0):
        dripper = Dripper(connections, byte, period)
        self.addCleanup(dripper.stop)
        for connection in connections:
            self.addCleanup(connection.close)
        return dripper

    def good_client(self, daemon, seconds=1.0):
        """Repeated PUT and GET, and the longest duration of one."""
        longest, n, end = 0.0, 0, time.monotonic() + seconds
        while time.monotonic() < end or n == 0:
            data = os.urandom(20_000)
            begun = time.monotonic()
            self.assertEqual(daemon.put(data).status, 200)
            self.assertTrue(daemon.get(plain(data)).body == data)
            longest = max(longest, time.monotonic() - begun)
            n += 1
        return longest

    def test_a_dribble_faster_than_the_stall_threshold(self):
        # Never silent for a quarter of a second, but it must not block others either.
        daemon = self.start(API={"MaxConcurrentRequests": 4, "MaxQueuedRequests": 4})
        slow = [daemon.connect() for _ in range(40)]
        for connection in slow:
            connection.send(build_request("PUT", "/" + md5(b"never"), {"Content-Length": "1000000"}))
        self.drip(slow, period=0.1)
        until(lambda: daemon.metric("keepstore_stalled_requests") >= 4, 10, "slow requests counted as stalled")
        self.assertLess(self.good_client(daemon, 2.0), 5.0)  # Slow ones are cut off after 15 s.

    def test_slow_headers(self):
        daemon = self.start(Keepstore=LIMITS)
        slow = [daemon.connect() for _ in range(100)]
        for connection in slow:
            connection.send(b"GET / HTTP/1.1\r\nX-A: ")
        self.drip(slow)
        self.assertLess(self.good_client(daemon), 5.0)
        until(lambda: self.closed(slow) == len(slow), 10, "slow headers are cut off")
        daemon.assert_nothing_held()

    def test_a_slow_header_gets_no_success(self):
        daemon = self.start(Keepstore=LIMITS)
        with daemon.connect() as connection:
            connection.send(b"GET / HTTP/1.1\r\nX-A: ")
            rest = connection.rest(10)
            self.assertTrue(rest == b"" or rest.startswith(b"HTTP/1.1 408"), rest[:100])

    def test_idle_connections(self):
        daemon = self.start(Keepstore=LIMITS)
        with daemon.connect() as never, daemon.connect() as once:
            self.assertEqual(once.request("OPTIONS", "/").status, 200)
            self.assertEqual(once.rest(10), b"")
            self.assertIn(never.rest(10)[:12], (b"", b"HTTP/1.1 408"))

    def assert_small(self, daemon, count, make):
        """Each of `count` idle connections takes less than 12 KiB after what `make` has done with them."""
        before = daemon.resident_bytes()
        connections = make(daemon, count)
        for connection in connections:
            self.addCleanup(connection.close)
        until(lambda: daemon.metric("keepstore_connections_idle") >= count, 10, "all connections are idle")
        until(lambda: daemon.resident_bytes() - before < 12 * 1024 * count, 10,
              f"less than 12 KiB for each of {count} idle connections")
        for connection in connections:
            connection.close()

    @unittest.skipIf(sanitized(), "a sanitizer's memory")
    def test_an_idle_connection_is_small(self):
        """Whatever its last request was: here a head of 60 KB, in headers or in the target."""
        head = build_request("OPTIONS", "/", [(f"X-{i}", "v" * 2000) for i in range(30)])

        def one_after_the_other(daemon, count, each=head):
            connections = [daemon.connect() for _ in range(count)]
            for connection in connections:
                connection.send(each)
                self.assertEqual(connection.read_response().status, 200)
            return connections

        def long_targets(daemon, count):
            return one_after_the_other(daemon, count, build_request("OPTIONS", "/" + "t" * 60_000))

        def all_at_once(daemon, count):
            """What the daemon keeps of a connection is allocated among the heads that it holds."""
            connections = []
            with daemon.connect() as other:
                for _ in range(count):
                    connections.append(daemon.connect())
                    connections[-1].send(head[:-2])
                    self.assertEqual(other.request("OPTIONS", "/").status, 200)  # It had the time to read that.
            for connection in connections:
                connection.send(head[-2:])
            for connection in connections:
                self.assertEqual(connection.read_response().status, 200)
            return connections

        for make in (one_after_the_other, long_targets, all_at_once):
            with self.subTest(make.__name__):
                daemon = self.start([self.dir.make(make.__name__)], Keepstore={"Threads": 2, "HeaderTimeout": "5m"})
                # What the daemon allocates once, such as the input buffers that each loop keeps.
                for connection in make(daemon, 200):
                    connection.close()
                self.assert_small(daemon, 800, make)

    def test_slow_bodies(self):
        daemon = self.start(Keepstore=LIMITS, API={"MaxConcurrentRequests": 300, "MaxKeepBlobBuffers": 2})
        slow = [daemon.connect() for _ in range(200)]
        for connection in slow:
            connection.send(build_request("PUT", "/" + "a" * 32, {"Content-Length": "1000000"}) + b"x")
        self.drip(slow)
        self.assertLess(self.good_client(daemon), 5.0)  # They are cut off after 6 s.
        until(lambda: self.closed(slow) == len(slow), 30, "slow bodies are cut off")
        daemon.assert_nothing_held()

    def test_bodies_that_dribble(self):
        """A byte per 20 ms, never silent: cut off as early as the silent ones, and a good client hardly notices."""
        daemon = self.start(Keepstore=LIMITS, API={"MaxConcurrentRequests": 300, "MaxKeepBlobBuffers": 1})
        slow = [daemon.connect() for _ in range(270)]
        for connection in slow:
            connection.send(build_request("PUT", "/" + "a" * 32, {"Content-Length": "1000000"}) + b"x")
        begun = time.monotonic()
        self.drip(slow, period=0.02)
        self.assertLess(self.good_client(daemon), 10.0)  # Slow ones are cut off after 6 s.
        until(lambda: self.closed(slow) == len(slow), 20, "bodies that dribble are cut off")
        self.assertLess(time.monotonic() - begun, 20 * PATIENCE)
        daemon.assert_nothing_held()

    def test_slow_bodies_cannot_hold_all_places(self):
        daemon = self.start(Keepstore=LIMITS, API={"MaxConcurrentRequests": 8, "MaxQueuedRequests": 64})
        slow = [daemon.connect() for _ in range(40)]
        for connection in slow:
            connection.send(build_request("PUT", "/" + "a" * 32, {"Content-Length": "1000000"}) + b"x")
        self.drip(slow)
        data = b"a good client among slow ones"
        for _ in range(5):
            begun = time.monotonic()
            self.assertEqual(daemon.put(data, timeout=30).status, 200)
            self.assertEqual(daemon.get(plain(data), timeout=30).body, data)
            self.assertLess(time.monotonic() - begun, 5)

    def test_slow_readers(self):
        daemon = self.start(Keepstore=LIMITS, API={"MaxConcurrentRequests": 300, "MaxKeepBlobBuffers": 2})
        data = os.urandom(8 << 20)
        store(daemon.roots()[0], md5(data), data)
        slow = []
        for _ in range(100):
            connection = daemon.connect(window=2048)
            connection.send(build_request("GET", "/" + daemon.sign(plain(data)), {"Authorization": f"Bearer {ACTIVE_TOKEN}"}))
            slow.append(connection)
            self.addCleanup(connection.close)
        self.assertLess(self.good_client(daemon), 5.0)  # As for slow bodies.
        daemon.assert_nothing_held(timeout=30)

    def test_readers_that_stop_hold_no_memory(self):
        daemon = self.start(Keepstore={"MinTransferRate": 0})
        data = os.urandom(24 << 20)
        store(daemon.roots()[0], md5(data), data)
        slow = []
        for _ in range(20):
            connection = daemon.connect(window=16384)
            self.addCleanup(connection.close)
            connection.send(build_request("GET", "/" + daemon.sign(plain(data)), {"Authorization": f"Bearer {ACTIVE_TOKEN}"}))
            slow.append(connection)
        for connection in slow:
            self.assertEqual(connection.read_head().status, 200)
        until(lambda: daemon.metric("arvados_keepstore_bufferpool_inuse_buffers") == 0, 20, "no memory for silent readers")
        daemon.wait_active(len(slow))
        for connection in slow[:3]:  # The bytes sent before and after the pause fit together.
            connection.widen()
            got = bytearray()
            while len(got) < len(data):
                part = connection.receive_some(1 + len(got) % 99_991)
                self.assertTrue(part, "cut off")
                got += part
            self.assertTrue(bytes(got) == data)

    def test_slow_readers_take_no_places(self):
        # Each takes its 64 KiB/s in bursts, which once made it count as one that keeps up.
        daemon = self.start(Keepstore={"MinTransferRate": 0}, API={"MaxConcurrentRequests": 4, "MaxQueuedRequests": 64})
        data = os.urandom(32 << 20)
        store(daemon.roots()[0], md5(data), data)
        slow = []
        for _ in range(40):
            connection = daemon.connect(window=16384)
            self.addCleanup(connection.close)
            connection.send(build_request("GET", "/" + daemon.sign(plain(data)), {"Authorization": f"Bearer {ACTIVE_TOKEN}"}))
            slow.append(connection)
        for connection in slow:
            self.assertEqual(connection.read_head().status, 200)
        stop = threading.Event()

        def read_on():
            while not stop.wait(0.25):
                for connection in slow:
                    connection.receive_some(16384)

        reader = threading.Thread(target=read_on, daemon=True)
        reader.start()
        self.addCleanup(reader.join, 10)
        self.addCleanup(stop.set)
        until(lambda: daemon.metric("keepstore_stalled_requests") == len(slow), 10, "all slow readers gave up their places")
        # Only the time that requests wait for a place, not all waits on this machine.
        waited = daemon.metric("arvados_queue_delay_seconds_sum", queue="api")
        self.good_client(daemon, 3.0)
        self.assertLess(daemon.metric("arvados_queue_delay_seconds_sum", queue="api") - waited, 1.0)
        self.assertEqual(daemon.metric("keepstore_stalled_requests"), len(slow))

    def test_a_steady_client_above_the_rate_is_served(self):
        daemon = self.start(Keepstore={**LIMITS, "MinTransferRatePeriod": "2s"})
        data = os.urandom(800_000)
        with daemon.connect() as connection:
            connection.send(build_request("PUT", "/" + md5(data), {"Content-Length": str(len(data))}))
            # 80 KB/s for ten seconds: the rate itself is tested. It is checked after seven.
            for i in range(0, len(data), 8000):
                connection.send(data[i:i + 8000])
                time.sleep(0.1)
            self.assertEqual(connection.read_response().status, 200)

    @unittest.skipIf(sanitized(), "a sanitizer needs memory of its own")
    def test_memory_stays_within_the_budget(self):
        daemon = self.start(API={"MaxConcurrentRequests": 2000, "MaxKeepBlobBuffers": 4}, Keepstore={"MinTransferRate": 0})
        base = daemon.resident_bytes()
        slow = [daemon.connect() for _ in range(400)]
        for connection in slow:
            self.addCleanup(connection.close)
            connection.send(build_request("PUT", "/" + "a" * 32, {"Content-Length": "10000000"}) + b"x" * 300_000)
        daemon.wait_active(400, 20)
        self.assertLess(daemon.resident_bytes() - base, (4 * 64 + 64) << 20)
        self.assertLess(self.good_client(daemon), 10.0)


if __name__ == "__main__":
    main()
