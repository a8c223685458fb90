"""Clients that disconnect, at any point: the work ends, all resources are released, the log has a 499."""

import os
import random
import unittest

from support.case import KeepstoreCase, SharedDaemonCase, main, seed
from support.client import build_request
from support.daemon import ACTIVE_TOKEN, MANAGEMENT_TOKEN, block_path, sanitized, store
from support.locator import md5, plain
from support.wait import until

MiB = 1 << 20


class Leaving(SharedDaemonCase):
    number = 0

    def mark(self):
        type(self).number += 1
        return f"req-leave-{self.number}"

    def expect_499(self, mark):
        entry = self.daemon.log.wait(msg="response", RequestID=mark, timeout=10)
        self.assertEqual((entry["respStatusCode"], entry["respStatus"]), (499, ""), entry)
        return entry

    def leave(self, connection, how):
        if how == "reset":
            connection.reset()
        else:
            connection.close()

    def test_in_the_middle_of_a_put(self):
        data = os.urandom(3 * MiB)
        for sent in (0, 1, 300_000, 3 * MiB - 1):
            for how in ("close", "reset"):
                with self.subTest(sent=sent, how=how):
                    mark = self.mark()
                    connection = self.daemon.connect()
                    connection.send(build_request("PUT", "/" + md5(data), {"Content-Length": str(len(data)),
                                                                          "X-Request-Id": mark}) + data[:sent])
                    self.daemon.log.wait(msg="request", RequestID=mark)
                    self.leave(connection, how)
                    self.expect_499(mark)
                    self.daemon.assert_nothing_held()
        self.assertFalse(os.path.exists(block_path(self.roots[0], md5(data))))

    def test_half_close_in_the_middle_of_a_put(self):
        mark = self.mark()
        with self.daemon.connect() as connection:
            connection.send(build_request("PUT", "/" + "a" * 32, {"Content-Length": "100", "X-Request-Id": mark}) + b"half")
            connection.half_close()
            self.expect_499(mark)

    def test_half_close_after_a_complete_request_is_answered(self):
        for _ in range(5):
            with self.daemon.connect() as connection:
                # Answered at once: of a request that takes longer it could not be told whether the client has left.
                connection.send(build_request("GET", "/_health/ping", {"Authorization": f"Bearer {MANAGEMENT_TOKEN}"}))
                connection.half_close()
                self.assertEqual(connection.read_response().status, 200)

    def test_in_the_middle_of_a_get(self):
        data = os.urandom(16 * MiB)
        store(self.roots[0], md5(data), data)
        for how in ("close", "reset"):
            with self.subTest(how):
                mark = self.mark()
                connection = self.daemon.connect(window=4096)
                connection.send(build_request("GET", "/" + self.daemon.sign(plain(data)), {
                    "Authorization": f"Bearer {ACTIVE_TOKEN}", "X-Request-Id": mark}))
                self.assertEqual(connection.read_head().status, 200)
                connection.receive_some(1000)
                self.leave(connection, how)
                entry = self.expect_499(mark)
                self.assertLess(entry["respBytes"], len(data))
                self.assertGreater(entry["respBytes"], 0)
                self.daemon.assert_nothing_held()

    def test_sockets_are_released(self):
        before = self.daemon.sockets()
        for _ in range(50):
            connection = self.daemon.connect()
            connection.send(build_request("PUT", "/" + "a" * 32, {"Content-Length": "100"}) + b"half")
            connection.reset()
        until(lambda: self.daemon.sockets() <= before + 1, 10, "no socket left")
        self.daemon.assert_nothing_held()

    def test_disconnects_at_random_positions(self):
        generator = random.Random(seed())
        data = os.urandom(MiB)
        store(self.roots[0], md5(data), data)
        fresh = os.urandom(600_000)
        put = build_request("PUT", "/" + md5(fresh), {"Content-Length": str(len(fresh) + 1)}) + fresh
        get = build_request("GET", "/" + self.daemon.sign(plain(data)), {"Authorization": f"Bearer {ACTIVE_TOKEN}"})
        for _ in range(150):
            connection = self.daemon.connect(window=generator.choice([None, 4096]))
            if generator.random() < 0.5:
                connection.send_tolerant(put[:generator.randrange(len(put))])
            else:
                connection.send_tolerant(get)
                for _ in range(generator.randrange(4)):
                    connection.receive_some(generator.randrange(1, 100_000))
            self.leave(connection, generator.choice(["close", "reset"]))
        self.daemon.assert_nothing_held()
        self.assertTrue(self.daemon.get(plain(data)).body == data)
        self.assertFalse(os.path.exists(block_path(self.roots[0], md5(fresh))))

    @unittest.skipIf(sanitized(), "a sanitizer keeps freed memory")
    def test_nothing_grows(self):
        """Memory does not grow with the number of abandoned requests."""
        def burst():
            for _ in range(150):
                connection = self.daemon.connect()
                connection.send_tolerant(build_request("PUT", "/" + "a" * 32, {"Content-Length": "10000000"}) + b"x" * 300_000)
                connection.reset()
            self.daemon.assert_nothing_held()
            return self.daemon.resident_bytes()

        burst()
        first = burst()
        second = burst()
        self.assertLess(second, first + 24 * MiB)


class Waiting(KeepstoreCase):
    def test_waiting_for_memory(self):
        """More requests than the budget has buffers for: waiting clients disconnect, and the others finish."""
        daemon = self.start(API={"MaxKeepBlobBuffers": 1, "MaxConcurrentRequests": 0})
        data = os.urandom(2 * MiB)
        connections = []
        for _ in range(300):
            connection = daemon.connect()
            connection.send(build_request("PUT", "/" + md5(data), {"Content-Length": str(len(data))}) + data[:300_000])
            connections.append(connection)
        daemon.wait_active(300)
        for connection in connections[:-1]:
            connection.reset()
        daemon.wait_active(1)
        connections[-1].send(data[300_000:])
        self.assertEqual(connections[-1].read_response().status, 200)
        connections[-1].close()
        daemon.assert_nothing_held()


if __name__ == "__main__":
    main()
