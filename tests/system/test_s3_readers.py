"""Many readers of blocks in S3: slow ones share the available memory, those of one block share its request."""

import os
import selectors
import sys
import threading
import time

from support.case import main
from support.client import Connection, build_request
from support.daemon import ACTIVE_TOKEN, sanitized
from support.locator import md5
from support.s3_volumes import S3VolumeCase
from support.wait import until

MIB = 1 << 20
MEMORY_MAX = 512 * MIB


class Reader:
    """A GET whose body is read step by step and compared with the expected one."""

    def __init__(self, daemon, data, window=None):
        self.data = memoryview(data)
        self.position = 0
        self.wrong = False
        self.connection = Connection(daemon.address, timeout=60, window=window)
        self.connection.send(build_request("GET", "/" + daemon.sign(f"{md5(data)}+{len(data)}"),
                                           {"Authorization": f"Bearer {ACTIVE_TOKEN}"}))

    def begin(self):
        """Reads the head. Returns the status."""
        return self.connection.read_head().status

    def take(self, count):
        """Reads at most this many more bytes. Returns whether there may be more."""
        piece = self.connection.receive_some(count)
        self.wrong = self.wrong or piece != self.data[self.position:self.position + len(piece)]
        self.position += len(piece)
        return bool(piece) and self.position < len(self.data)

    @property
    def right(self):
        return not self.wrong and self.position == len(self.data)


class Readers(S3VolumeCase):
    sections = {"API": {"MaxKeepBlobBuffers": 6, "MaxConcurrentRequests": 300}}

    def test_slow_readers_fit_into_memory(self):
        """200 at 64 KiB/s, of 25 blocks; a fast client gets its block as if they were not there."""
        count, rate, seconds = 200, 64 << 10, 8
        daemon = self.start([self.volume()], **self.sections)
        blocks = [os.urandom(16 * MIB) for _ in range(25)]
        for data in blocks:
            self.assertTrue(self.put(daemon, data).ok)
        quick = os.urandom(16 * MIB)
        self.assertTrue(self.put(daemon, quick).ok)
        self.assertTrue(self.get(daemon, quick).ok)
        alone = self.get(daemon, quick).seconds
        readers = [Reader(daemon, blocks[i % len(blocks)], window=rate) for i in range(count)]
        for reader in readers:
            self.addCleanup(reader.connection.close)
            self.assertEqual(reader.begin(), 200)
        began, resident, beside = time.monotonic(), [], []
        with selectors.DefaultSelector() as ready:
            for reader in readers:
                ready.register(reader.connection.socket, selectors.EVENT_READ, reader)
            # A busy machine may need longer for them all.
            while (elapsed := time.monotonic() - began) < seconds or (
                    elapsed < 10 * seconds and min(r.position for r in readers) <= rate * seconds // 2):
                for key, _ in ready.select(0.05):
                    reader = key.data
                    if reader.position < rate * elapsed:
                        reader.take(16 << 10)
                resident.append(daemon.resident_bytes())
                if len(beside) < elapsed / 2:
                    beside.append(self.get(daemon, quick))
                    self.assertTrue(beside[-1].ok and beside[-1].body == quick, beside[-1])
                    self.assertTrue(self.put(daemon, os.urandom(MIB)).ok)
                until(lambda: time.monotonic() - began >= elapsed + 0.02, 5)
        slowest = max(o.seconds for o in beside)
        print(f"{count} readers: at most {max(resident) // MIB} MiB resident; each had {min(r.position for r in readers) // 1024}"
              f" to {max(r.position for r in readers) // 1024} KiB; 16 MiB beside them in {slowest:.2f} s, alone {alone:.2f} s",
              file=sys.stderr)
        self.assertGreater(min(r.position for r in readers), rate * seconds // 2)
        self.assertLess(slowest, max(2.0, 10 * alone))
        # Some continue at full speed, the others disconnect.
        for reader in readers[20:]:
            reader.connection.close()
        finishing = [threading.Thread(target=lambda r=r: all(iter(lambda: r.take(MIB), False))) for r in readers[:20]]
        for thread in finishing:
            thread.start()
        for thread in finishing:
            thread.join(60)
        resident.append(daemon.resident_bytes())
        self.assertEqual([r.right for r in readers[:20]], [True] * 20)
        self.assertEqual([r.wrong for r in readers], [False] * count)
        daemon.assert_nothing_held()
        if not sanitized():
            self.assertLess(max(resident), MEMORY_MAX)

    def test_readers_of_one_block_share_its_request(self):
        proxy = self.fault_proxy()
        daemon = self.start([self.volume(proxy.endpoint)], **self.sections)
        data = os.urandom(64 * MIB)
        self.assertTrue(self.put(self.start([self.volume()]), data).ok)
        proxy.forget()
        readers = [Reader(daemon, data) for _ in range(32)]
        started = threading.Barrier(len(readers))

        def read(reader):
            started.wait(30)
            if reader.begin() == 200:
                while reader.take(MIB):
                    pass
            reader.connection.close()
        threads = [threading.Thread(target=read, args=(r,)) for r in readers]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        requests = [(r["operation"], r["target"]) for r in proxy.requests()]
        print(f"32 readers of 64 MiB in {time.monotonic() - began:.1f} s: {sorted(o for o, _ in requests)}; "
              f"{daemon.resident_bytes() // MIB} MiB resident", file=sys.stderr)
        self.assertEqual([r.right for r in readers], [True] * len(readers))
        self.assertEqual(sum(o == "get" for o, _ in requests), 1)
        self.assertLessEqual(sum(o == "head" for o, _ in requests), 1)
        daemon.assert_nothing_held()
        until(lambda: proxy.counters()["requests_open"] == 0, 5)


if __name__ == "__main__":
    main()
