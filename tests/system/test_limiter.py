"""MaxConcurrentRequests and MaxQueuedRequests: waiting, overflow, priorities, release of places."""

import threading
import unittest

from support.case import KeepstoreCase, main
from support.client import build_request
from support.daemon import ACTIVE_TOKEN, MANAGEMENT_TOKEN
from support.held import Held
from support.locator import md5
from support.wait import until


class Limiter(KeepstoreCase):
    """Requests of support/held.py occupy the places; the daemon counts the waiting ones, since a request is listed as running
    before it waits."""

    def start(self, *args, **sections):
        self.held = Held(self)
        return super().start(*args, **self.held.sections, **sections)

    def connect(self, daemon, method, target, mark, headers=()):
        """A request whose response can be read later."""
        connection = daemon.connect()
        self.addCleanup(connection.close)
        connection.send(build_request(method, target, [("X-Request-Id", mark), *headers]))
        return connection

    def queue(self, daemon, mark):
        """A request that has to wait, and gets its response at once when it runs."""
        return self.connect(daemon, "GET", "/queued", mark)

    def wait_queued(self, daemon, count):
        until(lambda: daemon.metric("arvados_queued_requests", queue="api") == count, 10, f"{count} requests queued")

    def listed(self, daemon):
        return [r["RequestID"] for r in daemon.inspect()]

    def test_wait_then_served_in_order(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 6})
        holder = self.held.start(daemon)
        waiting, blocks = [], [b"in turn %d" % i for i in range(5)]
        for i, data in enumerate(blocks):
            waiting.append(self.held.request(daemon, data))
            self.wait_queued(daemon, i + 1)
        last = b"sent when asked for"
        put = self.connect(daemon, "PUT", "/" + md5(last), "req-put", [("Expect", "100-continue"), ("Content-Length", len(last))])
        self.wait_queued(daemon, 6)
        self.assertEqual(daemon.metric("arvados_concurrent_requests", queue="api"), 1)
        self.assertTrue(all(c.is_quiet() for c in (*waiting, put)))
        self.assertEqual(self.held.arrived(), [b"held"])
        self.assertEqual(holder.finish().status, 200)
        for i, connection in enumerate(waiting):
            until(lambda i=i: blocks[i] in self.held.arrived(), 10, "the next one runs")
            self.assertEqual(self.held.arrived(), [b"held", *blocks[:i + 1]], "a later one runs already")
            self.assertTrue(all(c.is_quiet() for c in (*waiting[i:], put)))
            self.assertEqual(connection.finish().status, 200)
        self.assertEqual(put.read_head().status, 100)
        put.send(last)
        self.assertEqual(put.read_response().status, 200)
        daemon.assert_nothing_held()

    def test_overflow_is_a_bare_503(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 1})
        holder = self.held.start(daemon)
        waiting = self.queue(daemon, "req-waiting")
        self.wait_queued(daemon, 1)
        response = daemon.request("GET", "/overflow", headers={"X-Request-Id": "req-overflow"})
        self.assert_reply(response, 503, b"", cors=False)
        self.assertIsNone(response.header("Retry-After"))
        self.assertEqual(response.header("X-Request-Id"), "req-overflow")
        self.assertEqual(daemon.log.wait(msg="response", RequestID="req-overflow")["respStatusCode"], 503)
        self.assertEqual(holder.finish().status, 200)
        self.assertEqual(waiting.read_response().status, 400)

    def test_overflow_of_a_put_does_not_wait_for_its_body(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 0})
        self.held.start(daemon)
        with daemon.connect() as connection:
            connection.send(build_request("PUT", "/" + "a" * 32, {"Content-Length": "1000000"}) + b"x")
            self.assertEqual(connection.read_response().status, 503)

    def test_browsers_have_priority_and_evict_others(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 2})
        holder = self.held.start(daemon)
        low = []
        for i in range(2):
            low.append(self.queue(daemon, f"req-low{i}"))
            self.wait_queued(daemon, i + 1)
        browser = self.held.request(daemon, b"for a browser", [("Origin", "https://workbench.example"),
                                                               ("X-Request-Id", "req-browser")])
        until(lambda: "req-browser" in self.listed(daemon), 5, "queued")
        # One of the two was evicted, with 503.
        until(lambda: len(self.listed(daemon)) == 3, 5, "one was pushed out")
        self.assertEqual(holder.finish().status, 200)
        until(lambda: b"for a browser" in self.held.arrived(), 10, "the browser's request runs")
        # A request that ran before it would have got its response before it. The first one leaves the list after its response.
        until(lambda: len(self.listed(daemon)) == 2, 5, "the browser's request and one that waits")
        self.assertEqual(sum(c.is_quiet() for c in low), 1)
        self.assertEqual(browser.finish().status, 200)
        self.assertEqual(sorted(c.read_response().status for c in low), [400, 503])
        self.assertEqual(daemon.log.wait(msg="response", RequestID="req-browser")["priority"], 1)

    def test_a_waiting_client_that_disconnects_releases_its_place(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 1})
        holder = self.held.start(daemon)
        leaver = self.queue(daemon, "req-leaver")
        self.wait_queued(daemon, 1)
        leaver.reset()
        until(lambda: "req-leaver" not in self.listed(daemon), 5, "no longer listed")
        after = self.queue(daemon, "req-after")
        self.wait_queued(daemon, 1)
        self.assertEqual(holder.finish().status, 200)
        self.assertEqual(after.read_response().status, 400)

    def test_a_waiting_request_ends_at_its_deadline(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 1, "RequestTimeout": "700ms"})
        self.held.start(daemon)
        waiting = self.queue(daemon, "req-late")
        self.assertIn(waiting.read_response().status, (503, 400))
        daemon.assert_nothing_held()

    def test_a_slow_client_keeps_no_place(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 1})
        data = b"held up by its client"
        with daemon.connect() as slow:
            slow.send(build_request("PUT", "/" + md5(data), {"Content-Length": str(len(data))}) + data[:-1])
            until(lambda: daemon.metric("keepstore_stalled_requests") == 1, 10, "its place is free")
            self.assertEqual(daemon.put(b"of another client").status, 200)
            slow.send(data[-1:])
            self.assertEqual(slow.read_response().status, 200)

    def test_zero_is_unlimited(self):
        daemon = self.start(API={"MaxConcurrentRequests": 0, "MaxQueuedRequests": 0})
        # As many as the daemon accepts connections, and some more that hold their places for a moment only.
        blocks = [b"unlimited %d" % i for i in range(60)]
        holders = [self.held.request(daemon, data) for data in blocks]
        until(lambda: len(self.held.arrived()) == len(holders), 10, "all of them run")
        puts = [self.connect(daemon, "PUT", "/" + md5(b"unlimited"), f"req-{i}", {"Content-Length": "9"}.items()) for i in range(90)]
        daemon.wait_active(150)
        for put in puts:
            put.send(b"unlimited")
        self.assertEqual({c.read_response().status for c in puts}, {200})
        self.assertEqual({c.finish().status for c in holders}, {200})

    def test_a_burst_within_the_queue_is_all_served(self):
        daemon = self.start(API={"MaxConcurrentRequests": 2, "MaxQueuedRequests": 100})
        statuses = []

        def work(i):
            data = b"burst %d" % i * 1000
            statuses.append(daemon.put(data).status)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(60)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(30)
        self.assertEqual(statuses, [200] * 60)
        self.assertGreaterEqual(daemon.metric("arvados_queue_delay_seconds_count", queue="api"), 60)

    def test_clients_that_only_connect_take_no_place(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 0})
        silent = [daemon.connect() for _ in range(20)]
        half = daemon.connect()
        half.send(b"GET / HTTP/1.1\r\nHo")
        self.assertEqual(daemon.put(b"foo").status, 200)
        for connection in (*silent, half):
            connection.close()

    def test_health_is_not_limited(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 0})
        self.held.start(daemon)
        for _ in range(3):
            self.assertEqual(daemon.request("GET", "/_health/ping", MANAGEMENT_TOKEN).status, 200)
        self.assertEqual(daemon.put(b"foo", ACTIVE_TOKEN).status, 503)


if __name__ == "__main__":
    main()
