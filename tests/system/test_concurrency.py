"""PUT, TOUCH, DELETE, trash lists and untrash racing on a few blocks: an acknowledged block stays for its BlobSigningTTL."""

import json
import os
import random
import threading
import time
import unittest

from support.case import KeepstoreCase, main, seed
from support.daemon import SYSTEM_ROOT_TOKEN, block_path
from support.history import damaged_names
from support.locator import md5, plain
from support.wait import until

TTL = 2.0


class History:
    """For each block: the time until which the latest acknowledgement protects it."""

    def __init__(self, blocks):
        self.lock = threading.Lock()
        # (acknowledged at, protected until); only the acknowledgement with the latest end matters to a read.
        self.events = {data: [] for data in blocks}
        # Requests under way whose acknowledgement would protect the block.
        self.protecting = {data: 0 for data in blocks}

    def begin(self, data):
        with self.lock:
            self.protecting[data] += 1

    def end(self, data):
        with self.lock:
            self.protecting[data] -= 1

    def acknowledged(self, data, begun):
        # The mtime that protects it was taken after the request began, by a clock that ticks every 10 ms at least: begun +
        # TTL, less such a tick, is the guaranteed minimum.
        with self.lock:
            self.events[data].append((time.monotonic(), begun + TTL - 0.01))

    def must_exist(self, data, begun, ended):
        """Whether some acknowledgement was complete before `begun` and its promise lasts beyond `ended`."""
        with self.lock:
            return any(done < begun and until > ended for done, until in self.events[data][-50:])


class Racing(KeepstoreCase):
    def test_no_acknowledged_block_is_missing_within_its_time(self):
        for count, kind in ((1, "one volume"), (2, "two volumes")):
            with self.subTest(kind):
                self.race(count, 5.0)

    def race(self, volumes, seconds):
        value = seed()
        daemon = self.start([self.dir.make(f"{volumes}-{i}") for i in range(volumes)],
                            Collections={"BlobSigning": False, "BlobSigningKey": "", "BlobSigningTTL": f"{TTL:.0f}s",
                                         "BlobTrashLifetime": "1h", "BlobTrashCheckInterval": "0s"})
        blocks = [(b"%d " % i) * (10 if i % 2 else 20_000) for i in range(6)]
        history = History(blocks)
        problems, counts = [], {}
        stop = threading.Event()
        admin = {"Authorization": f"Bearer {SYSTEM_ROOT_TOKEN}"}

        def work(number):
            generator = random.Random(value + number)
            connection = daemon.connect()
            with connection:
                while not stop.is_set():
                    data = generator.choice(blocks)
                    what = generator.choice(["put", "put", "touch", "delete", "delete", "list", "untrash", "get", "get", "head", "age"])
                    name = md5(data)
                    if what == "age":
                        self.make_old(daemon, name, history, data)
                        continue
                    if what in ("put", "touch", "untrash"):
                        history.begin(data)
                    begun = time.monotonic()
                    if what == "put":
                        response = connection.request("PUT", "/" + name, {}, data)
                    elif what == "touch":
                        response = connection.request("TOUCH", "/" + name, admin)
                    elif what == "delete":
                        response = connection.request("DELETE", "/" + name, admin)
                    elif what == "untrash":
                        response = connection.request("PUT", "/untrash/" + name, admin)
                    elif what == "list":
                        items = []
                        for root in daemon.roots():
                            try:
                                items.append({"locator": plain(data), "block_mtime": os.stat(block_path(root, name)).st_mtime_ns})
                            except FileNotFoundError:
                                pass
                        response = connection.request("PUT", "/trash", admin, json.dumps(items).encode())
                    else:
                        response = connection.request(what.upper(), "/" + plain(data))
                    ended = time.monotonic()
                    counts[what, response.status] = counts.get((what, response.status), 0) + 1
                    if what in ("put", "touch", "untrash"):
                        if response.status == 200:
                            history.acknowledged(data, begun)
                        history.end(data)
                    allowed = {"put": (200,), "list": (200,)}.get(what, (200, 404))
                    if response.status not in allowed:
                        problems.append(f"{what}: {response}")
                    if what == "get" and response.status == 200 and response.body != data:
                        problems.append("wrong bytes")
                    if what in ("get", "head", "touch") and response.status == 404 and history.must_exist(data, begun, ended):
                        problems.append(f"{what}: acknowledged and within its time, yet missing: {name}")

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        try:
            time.sleep(seconds)  # The length of the run, not a synchronisation.
            until(lambda: min(counts.get((what, 200), 0) for what in ("put", "delete")) > 20, 15, "enough of a race")
        finally:
            stop.set()
            for t in threads:
                t.join(60)
        self.assertEqual(problems[:5], [], f"{len(problems)} violations; {counts}")
        self.assertEqual(damaged_names(daemon.roots()), [])
        daemon.assert_nothing_held()

    def make_old(self, daemon, name, history, data):
        """Makes unprotected copies old, so that there is something to trash (as if a TTL had passed)."""
        now = time.monotonic()
        # With the lock: no request may renew a copy between the check of its age and its change.
        with history.lock:
            if history.protecting[data] or history.events[data] and max(u for _, u in history.events[data]) > now:
                return
            for root in daemon.roots():
                path = block_path(root, name)
                try:
                    if time.time() - os.stat(path).st_mtime > TTL:
                        past = time.time() - 1000
                        os.utime(path, (past, past))
                except FileNotFoundError:
                    pass

    def test_same_block_to_many_and_read_while_written(self):
        daemon = self.start()
        data = os.urandom(2 << 20)
        statuses = []
        stop = threading.Event()

        def read():
            while not stop.is_set():
                response = daemon.get(plain(data))
                if response.status == 200:
                    statuses.append(response.body == data)
                else:
                    statuses.append(response.status == 404)

        def write():
            for _ in range(10):
                statuses.append(daemon.put(data).status == 200)

        readers, writers = [threading.Thread(target=read) for _ in range(2)], [threading.Thread(target=write) for _ in range(3)]
        for t in readers + writers:
            t.start()
        for t in writers:
            t.join(60)
        stop.set()
        for t in readers:
            t.join(60)
        self.assertTrue(all(statuses) and len(statuses) > 30)

    def test_two_daemons_share_a_volume(self):
        root = self.dir.make("shared")
        daemons = [self.start([root]) for _ in range(2)]
        statuses = []

        def work(number):
            generator = random.Random(number)
            for _ in range(40):
                data = b"%d" % generator.randrange(10) * 5000
                a, b = generator.sample(daemons, 2)
                statuses.append(a.put(data).status)
                response = b.get(plain(data))
                statuses.append(response.status if response.body == data else -1)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        self.assertEqual(set(statuses), {200})
        self.assertEqual(damaged_names([root]), [])


if __name__ == "__main__":
    main()
