"""Memory that is spent: requests wait for it one after the other, and never for each other."""

import time

from support.case import KeepstoreCase, main
from support.client import build_request
from support.locator import md5, plain
from support.wait import until

CHUNK = 256 * 1024
CHUNKS = 256  # Of one buffer of 64 MiB.


class Chunked(KeepstoreCase):
    def test_blocks_of_unknown_size_and_one_chunk_each_as_many_as_there_are_chunks(self):
        """Each of them fills a chunk before it is known whether it ends there."""
        daemon = self.start(API={"MaxKeepBlobBuffers": 1, "MaxConcurrentRequests": CHUNKS + 100},
                            Keepstore={"MinTransferRate": 0})
        small = b"small"
        self.assertEqual(daemon.put(small).status, 200)
        connections = []
        for i in range(CHUNKS + 20):
            data = i.to_bytes(4, "big") * (CHUNK // 4)
            connection = daemon.connect()
            self.addCleanup(connection.close)
            head = build_request("PUT", "/" + md5(data), {"Transfer-Encoding": "chunked"})
            connection.send(head + b"%x\r\n" % CHUNK + data + b"\r\n")
            connections.append(connection)
        # None of them has said yet that it ends. What they have sent is written, so their memory is free.
        begun = time.monotonic()
        self.assertEqual(daemon.get(plain(small)).body, small)
        self.assertLess(time.monotonic() - begun, 10)
        # A few may wait to be hashed with others: they are hashed when the memory is needed.
        until(lambda: daemon.metric("keepstore_pool_in_use_bytes", pool="request") < CHUNKS // 4 * CHUNK, 30,
              "chunks come back")
        for connection in connections:
            connection.send(b"0\r\n\r\n")
        for connection in connections:
            self.assertEqual(connection.read_response().status, 200)
        daemon.assert_nothing_held()


class Metrics(KeepstoreCase):
    def test_every_pool_is_shown(self):
        daemon = self.start()
        for pool in ("request", "copy", "scratch", "scrub_check", "scrub_repair", "pull"):
            with self.subTest(pool=pool):
                self.assertGreater(daemon.metric("keepstore_pool_budget_bytes", pool=pool), 0)
                self.assertEqual(daemon.metric("keepstore_pool_waiters", pool=pool), 0)
                self.assertEqual(daemon.metric("keepstore_pool_waits_total", pool=pool), 0)


if __name__ == "__main__":
    main()
