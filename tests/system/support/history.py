"""Writers that record acknowledged blocks, and the check that none of these is missing."""

import os
import random
import threading
import time

from .client import Closed, Connection, ProtocolError, build_request
from .daemon import ACTIVE_TOKEN
from .locator import md5


class Writers:
    """Threads that PUT random blocks until stopped or until the daemon is gone. `acknowledged` maps names to sizes."""

    def __init__(self, daemon, count, generator, sizes=(100, 4096, 70_000, 300_000)):
        self.daemon = daemon
        self.acknowledged = {}
        self.problems = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(random.Random(generator.getrandbits(64)), sizes))
                         for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, generator, sizes):
        try:
            connection = Connection(self.daemon.address, timeout=30)
        except OSError:
            return
        with connection:
            while not self._stop.is_set():
                data = generator.randbytes(generator.choice(sizes))
                name = md5(data)
                try:
                    connection.send(build_request("PUT", "/" + name, body=data))
                    response = connection.read_response()
                except (OSError, Closed, ProtocolError):
                    return  # Unknown outcome: maybe stored, never required.
                if response.status == 200 and response.complete:
                    with self._lock:
                        self.acknowledged[name] = len(data)
                elif response.status not in (500, 503):  # 507 would mean that the test ran out of space.
                    with self._lock:
                        self.problems.append(repr(response))

    def wait(self, count, timeout=30):
        end = time.monotonic() + timeout
        while len(self.acknowledged) < count and time.monotonic() < end and any(t.is_alive() for t in self._threads):
            time.sleep(0.005)

    def snapshot(self):
        """The acknowledged blocks so far, in order."""
        with self._lock:
            return dict(self.acknowledged)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


def verify(daemon, acknowledged):
    """GETs every acknowledged block; returns the errors. A GET that is 200 has the right MD5 (checked here too)."""
    wrong = []
    with daemon.connect() as connection:
        for name, size in acknowledged.items():
            headers = {"Authorization": f"Bearer {ACTIVE_TOKEN}"}
            response = connection.request("GET", "/" + daemon.sign(f"{name}+{size}"), headers)
            if response.status != 200 or md5(response.body) != name:
                wrong.append((name, size, repr(response)))
    return wrong


def damaged_names(roots):
    """Files with a block's name and another content: torn or empty blocks that became visible."""
    found = []
    for root in roots:
        for folder, _, names in os.walk(root):
            for name in names:
                if len(name) == 32 and not name.startswith("tmp"):
                    with open(os.path.join(folder, name), "rb") as file:
                        data = file.read()
                    if md5(data) != name:
                        found.append((name, len(data)))
    return found


