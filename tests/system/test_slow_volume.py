"""A disk that is slow and makes progress: everything is stored, however long it takes."""

import os
import threading
import time

from support.case import KeepstoreCase, main
from support.daemon import directory_volume
from support.fuse import FuseMount
from support.locator import plain

MiB = 1 << 20


class Slow(KeepstoreCase):
    def start_on(self, **delays):
        back, point = self.dir.make("back"), self.dir.make("fuse")
        mount = FuseMount(back, point, **delays)
        self.addCleanup(mount.close)
        return self.start([directory_volume(point, DriverParameters={"DirectIO": "off"})])

    def test_many_writers(self):
        """16 blocks at 10 MB/s in all, one sync after the other: the last is stored after 25 s."""
        daemon = self.start_on(sync_seconds_per_mib=0.1)
        blocks = [os.urandom(16 * MiB) for _ in range(16)]
        statuses = [None] * len(blocks)

        def put(number):
            statuses[number] = daemon.put(blocks[number], timeout=300).status

        writers = [threading.Thread(target=put, args=(n,)) for n in range(len(blocks))]
        for w in writers:
            w.start()
        for w in writers:
            w.join()
        self.assertEqual(statuses, [200] * len(blocks))
        for data in blocks:
            self.assertTrue(daemon.get(plain(data), timeout=300).body == data)
        daemon.assert_nothing_held(30)

    def test_a_sync_that_takes_long(self):
        daemon = self.start_on(sync_seconds=10.5)
        begun = time.monotonic()
        response = daemon.put(b"slow to sync", timeout=300)
        self.assertEqual(response.status, 200)
        self.assertGreater(time.monotonic() - begun, 10)
        self.assertEqual(daemon.get(plain(b"slow to sync"), timeout=300).body, b"slow to sync")


if __name__ == "__main__":
    main()
