"""RequestTimeout: late requests end, with a 503 if no byte was sent, and release all resources."""

import os
import time
import unittest

from support.case import KeepstoreCase, main
from support.client import build_request, chunked
from support.daemon import ACTIVE_TOKEN, SYSTEM_ROOT_TOKEN, block_path, store
from support.locator import md5, plain
from support.wait import PATIENCE, until


class Deadlines(KeepstoreCase):
    def test_stalled_put_is_interrupted(self):
        daemon = self.start(API={"RequestTimeout": "500ms"})
        for headers in ({"Content-Length": "1000000"}, {"Transfer-Encoding": "chunked"}):
            with self.subTest(headers), daemon.connect() as connection:
                begun = time.monotonic()
                body = chunked(b"x" * 1000)[:500] if "Transfer-Encoding" in headers else b"x" * 1000
                connection.send(build_request("PUT", "/" + "a" * 32, {**headers, "X-Request-Id": "req-stalled"}) + body)
                self.assert_reply(connection.read_response(), 503)
                self.assertTrue(0.4 < time.monotonic() - begun < 20)  # The default is 300 s.
                self.assertEqual(connection.rest(10), b"")
        daemon.assert_nothing_held()
        self.assertEqual(daemon.log.wait(msg="response", RequestID="req-stalled")["respStatusCode"], 503)

    def test_stalled_list_is_interrupted(self):
        daemon = self.start(API={"RequestTimeout": "500ms"})
        with daemon.connect() as connection:
            connection.send(build_request("PUT", "/trash", {"Authorization": f"Bearer {SYSTEM_ROOT_TOKEN}",
                                                            "Content-Length": "1000"}) + b"[")
            self.assertEqual(connection.read_response().status, 503)

    def test_a_reader_that_stops_is_cut(self):
        daemon = self.start(API={"RequestTimeout": f"{PATIENCE}s"})  # Time for a slow machine to begin the response.
        data = os.urandom(16 << 20)
        store(daemon.roots()[0], md5(data), data)
        with daemon.connect(window=4096) as connection:
            connection.send(build_request("GET", "/" + daemon.sign(plain(data)), {"Authorization": f"Bearer {ACTIVE_TOKEN}",
                                                                                "X-Request-Id": "req-reader"}))
            response = connection.read_head()
            self.assertEqual(response.status, 200)
            daemon.log.wait(msg="response", RequestID="req-reader", timeout=10)
            connection.widen()
            connection.read_body(response)
            self.assertFalse(response.complete)
            self.assertTrue(data.startswith(response.body))
        daemon.assert_nothing_held()

    def test_requests_in_time_are_not_disturbed(self):
        """The deadline is the request's, not the connection's. Few requests, since a disk may pause for that long."""
        daemon = self.start(API={"RequestTimeout": "3s"})
        with daemon.connect() as connection:
            begun = time.monotonic()
            for later in (0, 1.8, 3.6):
                until(lambda later=later: time.monotonic() - begun > later, 5, "the time of the next request")
                data = b"%f" % later
                self.assertEqual(connection.request("PUT", "/" + md5(data), {}, data).status, 200)

    def test_no_deadline(self):
        daemon = self.start(API={"RequestTimeout": "0s"})
        with daemon.connect() as connection:
            connection.send(build_request("PUT", "/" + md5(b"foo"), {"Content-Length": "3"}) + b"fo")
            until(lambda: any(r["Elapsed"] > 0.3 for r in daemon.inspect()), 5, "under way for a while")
            connection.send(b"o")
            self.assertEqual(connection.read_response().status, 200)
        self.assertTrue(os.path.exists(block_path(daemon.roots()[0], md5(b"foo"))))


if __name__ == "__main__":
    main()
