"""MaxConcurrentRequests and MaxQueuedRequests: waiting, overflow, priorities, places given back."""

import threading
import unittest

from support.case import KeepstoreCase, main
from support.client import build_request
from support.daemon import ACTIVE_TOKEN, MANAGEMENT_TOKEN
from support.locator import md5
from support.wait import until


class Limiter(KeepstoreCase):
    def hold(self, daemon, data=b"held by a slow body"):
        """A PUT that occupies a place until finish() sends its last byte."""
        connection = daemon.connect()
        self.addCleanup(connection.close)
        connection.send(build_request("PUT", "/" + md5(data), {"Content-Length": str(len(data))}) + data[:-1])
        connection.finish = lambda: (connection.send(data[-1:]), connection.read_response())[1]
        return connection

    def queue(self, daemon, mark, headers=()):
        """A request that has to wait; its reply can be read later."""
        connection = daemon.connect()
        self.addCleanup(connection.close)
        connection.send(build_request("GET", "/queued", [("X-Request-Id", mark), *headers]))
        return connection

    def queue_put(self, daemon, mark, data, headers=()):
        """A PUT that has to wait; "100 Continue" tells when it runs, and it runs until finish()."""
        connection = daemon.connect()
        self.addCleanup(connection.close)
        connection.send(build_request("PUT", "/" + md5(data), [("X-Request-Id", mark), ("Expect", "100-continue"),
                                                              ("Content-Length", str(len(data))), *headers]))
        connection.finish = lambda: (connection.send(data), connection.read_response())[1]
        return connection

    def listed(self, daemon):
        return [r["RequestID"] for r in daemon.inspect()]

    def test_wait_then_served_in_order(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 5})
        holder = self.hold(daemon)
        daemon.wait_active(1)
        waiting = []
        for i in range(5):
            waiting.append(self.queue_put(daemon, f"req-{i}", b"in turn %d" % i))
            until(lambda i=i: f"req-{i}" in self.listed(daemon), 5, "queued")
        until(lambda: daemon.metric("arvados_queued_requests", queue="api") == 5, 5, "metric shows the queue")
        self.assertEqual(daemon.metric("arvados_concurrent_requests", queue="api"), 1)
        self.assertTrue(all(c.is_quiet() for c in waiting))
        self.assertEqual(holder.finish().status, 200)
        for i, connection in enumerate(waiting):
            self.assertEqual(connection.read_head().status, 100)
            self.assertTrue(all(c.is_quiet() for c in waiting[i + 1:]), "a later one runs already")
            self.assertEqual(connection.finish().status, 200)
        daemon.assert_nothing_held()

    def test_overflow_is_503_with_nothing_around_it(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 1})
        holder = self.hold(daemon)
        daemon.wait_active(1)
        waiting = self.queue(daemon, "req-waiting")
        until(lambda: "req-waiting" in self.listed(daemon), 5, "queued")
        response = daemon.request("GET", "/overflow", headers={"X-Request-Id": "req-overflow"})
        self.assert_reply(response, 503, b"", cors=False)
        self.assertIsNone(response.header("Retry-After"))
        self.assertEqual(response.header("X-Request-Id"), "req-overflow")
        self.assertEqual(daemon.log.wait(msg="response", RequestID="req-overflow")["respStatusCode"], 503)
        self.assertEqual(holder.finish().status, 200)
        self.assertEqual(waiting.read_response().status, 400)

    def test_overflow_of_a_put_does_not_wait_for_its_body(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 0})
        self.hold(daemon)
        daemon.wait_active(1)
        with daemon.connect() as connection:
            connection.send(build_request("PUT", "/" + "a" * 32, {"Content-Length": "1000000"}) + b"x")
            self.assertEqual(connection.read_response().status, 503)

    def test_browsers_go_first_and_push_others_out(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 2})
        holder = self.hold(daemon)
        daemon.wait_active(1)
        low = []
        for i in range(2):
            low.append(self.queue(daemon, f"req-low{i}"))
            until(lambda i=i: f"req-low{i}" in self.listed(daemon), 5, "queued")
        browser = self.queue_put(daemon, "req-browser", b"from a browser", [("Origin", "https://workbench.example")])
        until(lambda: "req-browser" in self.listed(daemon), 5, "queued")
        # One of the two had to leave, with 503.
        until(lambda: len(self.listed(daemon)) == 3, 5, "one was pushed out")
        self.assertEqual(holder.finish().status, 200)
        self.assertEqual(browser.read_head().status, 100)
        # It runs now, and whoever runs before it would have been answered before it.
        self.assertEqual(len(self.listed(daemon)), 2)
        self.assertEqual(sum(c.is_quiet() for c in low), 1)
        self.assertEqual(browser.finish().status, 200)
        self.assertEqual(sorted(c.read_response().status for c in low), [400, 503])
        self.assertEqual(daemon.log.wait(msg="response", RequestID="req-browser")["priority"], 1)

    def test_a_waiting_client_that_leaves_gives_its_place_back(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 1})
        holder = self.hold(daemon)
        daemon.wait_active(1)
        leaver = self.queue(daemon, "req-leaver")
        until(lambda: "req-leaver" in self.listed(daemon), 5, "queued")
        leaver.reset()
        until(lambda: "req-leaver" not in self.listed(daemon), 5, "no longer listed")
        after = self.queue(daemon, "req-after")
        until(lambda: "req-after" in self.listed(daemon), 5, "its place was free")
        self.assertEqual(holder.finish().status, 200)
        self.assertEqual(after.read_response().status, 400)

    def test_a_waiting_request_ends_at_its_deadline(self):
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 1, "RequestTimeout": "700ms"})
        self.hold(daemon)
        daemon.wait_active(1)
        waiting = self.queue(daemon, "req-late")
        self.assertIn(waiting.read_response().status, (503, 400))
        daemon.assert_nothing_held()

    def test_zero_is_unlimited(self):
        daemon = self.start(API={"MaxConcurrentRequests": 0, "MaxQueuedRequests": 0})
        holders = [self.hold(daemon, b"unlimited %d" % i) for i in range(150)]
        daemon.wait_active(150)
        self.assertEqual({h.finish().status for h in holders}, {200})

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
        self.hold(daemon)
        daemon.wait_active(1)
        for _ in range(3):
            self.assertEqual(daemon.request("GET", "/_health/ping", MANAGEMENT_TOKEN).status, 200)
        self.assertEqual(daemon.put(b"foo", ACTIVE_TOKEN).status, 503)


if __name__ == "__main__":
    main()
