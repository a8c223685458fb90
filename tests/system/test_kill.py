"""kill -9 at random moments under load: every acknowledged block is whole, no half-written one is visible."""

import os
import random
import time
import unittest

from support.case import KeepstoreCase, main, rounds, seed
from support.daemon import SYSTEM_ROOT_TOKEN, block_path, store, temp_files, trash_copies
from support.history import Writers, damaged_names, verify
from support.locator import md5, plain
from support.wait import until


class Kill(KeepstoreCase):
    def test_acknowledged_blocks_survive(self):
        generator = random.Random(seed())
        root = self.dir.make("vol0")
        acknowledged = {}
        for number in range(rounds(8)):
            daemon = self.start([root], check_log=False)
            writers = Writers(daemon, 6, generator)
            writers.wait(generator.randrange(10, 150))
            daemon.kill()
            writers.stop()
            self.assertEqual(writers.problems, [])
            self.assertGreater(len(writers.acknowledged), 0)
            acknowledged.update(writers.acknowledged)
            self.assertEqual(damaged_names([root]), [], f"round {number}")
        daemon = self.start([root])
        self.assertEqual(verify(daemon, acknowledged), [])
        index = {line.split("+")[0] for line in daemon.admin("GET", "/index").text.split()[::2]}
        self.assertEqual(set(acknowledged) - index, set())
        self.assertTrue(all(len(name) == 32 for name in index))

    def test_left_over_temp_files_are_never_served_or_listed_and_go_in_time(self):
        root = self.dir.make("vol0")
        daemon = self.start([root], check_log=False)
        data = os.urandom(3_000_000)
        with daemon.connect() as connection:
            connection.send(f"PUT /{md5(data)} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:-1])
            until(lambda: daemon.metric("arvados_keepstore_bufferpool_inuse_buffers") is not None and len(daemon.inspect()) == 1, 5,
                  "the PUT is under way")
            daemon.kill()
        left = temp_files([root])
        past = time.time() - 30 * 86400
        for path in left:
            os.utime(path, (past, past))
        again = self.start([root])
        self.assertEqual(again.admin("GET", "/index").text, "\n")
        self.assertEqual(again.get(plain(data)).status, 404)
        until(lambda: not temp_files([root]), 10, "old temporary files are removed at the start")

    def test_killed_while_trashing_and_untrashing(self):
        generator = random.Random(seed())
        root = self.dir.make("vol0")
        blocks = [b"trash and kill %d" % i for i in range(200)]
        for data in blocks:
            store(root, md5(data), data, age=5000)
        for _ in range(rounds(4)):
            daemon = self.start([root], check_log=False, Collections={"BlobSigningTTL": "1s", "BlobTrashLifetime": "1h"})
            deadline = generator.randrange(20, 120)
            with daemon.connect() as connection:
                admin = {"Authorization": f"Bearer {SYSTEM_ROOT_TOKEN}"}
                for data in generator.sample(blocks, deadline):
                    path = block_path(root, md5(data))
                    if os.path.exists(path):
                        os.utime(path, (1e9, 1e9))
                    connection.request("DELETE", "/" + md5(data), admin)
                    if generator.random() < 0.5:
                        connection.request("PUT", "/untrash/" + md5(data), admin)
            daemon.kill()
            # Each block is stored or in the trash, once or more; never lost.
            for data in blocks:
                self.assertTrue(os.path.exists(block_path(root, md5(data))) or trash_copies(root, md5(data)))
            self.assertEqual(damaged_names([root]), [])

    def test_ready_again_quickly(self):
        root = self.dir.make("vol0")
        daemon = self.start([root], check_log=False)
        daemon.put(b"foo")
        times = []
        for _ in range(3):
            daemon.kill()
            begun = time.monotonic()
            daemon = self.start([root], check_log=False)
            times.append(time.monotonic() - begun)
        self.assertLess(min(times), 5.0)
        self.assertEqual(daemon.get(plain(b"foo")).body, b"foo")


if __name__ == "__main__":
    main()
