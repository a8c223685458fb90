"""Daemons whose volumes are buckets, and the check of a bucket's content afterwards, bypassing the daemons."""

import hashlib
import re
import threading
import time

from .client import Closed, Connection, ProtocolError, build_request
from .daemon import ACTIVE_TOKEN, merge, volume_uuid
from .locator import md5
from .s3_case import S3Case

# Errors that a client may get during the fault: a closed connection, or silence up to its own timeout.
BROKEN = (OSError, Closed, ProtocolError)
_NAME = re.compile(r"[0-9a-f]{32}")


def s3_volume(endpoint, bucket, server, **extra):
    """The configuration of a volume, with short timeouts."""
    return merge({"Driver": "S3", "Replication": 1, "DriverParameters": {
        "Endpoint": endpoint, "Region": server["region"], "Bucket": bucket, "UsePathStyle": True,
        "AccessKeyID": server["access_key"], "SecretAccessKey": server["secret_key"],
        "ConnectTimeout": "1s", "ReadTimeout": "1s"}}, extra)


def first_on(number, count, make):
    """Data from make(i) whose order of volumes begins with that one of `count`."""
    for i in range(10_000):
        data = make(i)
        if min(range(count), key=lambda v: md5((md5(data) + volume_uuid(v)[12:]).encode())) == number:
            return data
    raise AssertionError("no such data")


class Outcome:
    """The outcome of a request and its duration. `status` is None if the connection broke."""

    def __init__(self, status, body, complete, seconds, what):
        self.status = status
        self.body = body
        self.complete = complete
        self.seconds = seconds
        self.what = what

    @property
    def ok(self):
        return self.status == 200 and self.complete

    def __repr__(self):
        return f"<{self.what}: {self.status} {len(self.body)} bytes{'' if self.complete else ' INCOMPLETE'} " \
               f"after {self.seconds:.1f} s {self.body[:120] if self.status != 200 else b''!r}>"


def timed(daemon, method, target, token=ACTIVE_TOKEN, body=None, headers=(), timeout=60):
    """Sends one request on a connection of its own; a broken connection is an outcome, too."""
    began = time.monotonic()
    status, data, complete = None, b"", False
    try:
        with Connection(daemon.address, timeout=timeout) as connection:
            pairs = [*dict(headers).items(), ("Authorization", f"Bearer {token}")]
            connection.send_tolerant(build_request(method, target, pairs, body))
            response = connection.read_head()
            status = response.status
            connection.read_body(response, method)
            data, complete = response.body, response.complete
    except BROKEN as problem:
        data = data or repr(problem).encode()
    return Outcome(status, data, complete, time.monotonic() - began, f"{method} {target.split('+A')[0]}")


class Book:
    """The acknowledged blocks, recorded by any number of threads."""

    def __init__(self):
        self._lock = threading.Lock()
        self._blocks = {}

    def add(self, data):
        with self._lock:
            self._blocks[md5(data)] = len(data)

    def blocks(self):
        """Sizes by name."""
        with self._lock:
            return dict(self._blocks)


class S3VolumeCase(S3Case):
    """Daemons on buckets of the S3 server. The end of a test looks for the secret key in their logs."""

    def volume(self, endpoint=None, bucket=None, **extra):
        return s3_volume(endpoint or self.server["endpoint"], bucket or self.bucket, self.server, **extra)

    def start(self, *arguments, **sections):  # pylint: disable=signature-differs
        daemon = super().start(*arguments, **sections)
        self.addCleanup(self._assert_secret_is_kept, daemon)
        return daemon

    def _assert_secret_is_kept(self, daemon):
        self.assertNotIn(self.server["secret_key"], "\n".join(daemon.log.lines()))

    def get(self, daemon, data, method="GET", **options):
        return timed(daemon, method, "/" + daemon.sign(f"{md5(data)}+{len(data)}"), **options)

    def put(self, daemon, data, **options):
        return timed(daemon, "PUT", "/" + md5(data), body=data, **options)

    def plant(self, data, trashed=False, marker=True, bucket=None, client=None):
        """The objects of a block, as the daemon makes them."""
        client, bucket = client or self.s3, bucket or self.bucket
        client.put(bucket, ("trash/" if trashed else "") + md5(data), data)
        if marker:
            client.put(bucket, "recent/" + md5(data), b"")

    def assert_bucket(self, blocks, bucket=None, client=None):
        """Asserts that every object with a block's name is that block, and that the acknowledged ones (names with their sizes)
        exist with their marker, or in the trash."""
        client, bucket = client or self.s3, bucket or self.bucket
        keys = client.list(bucket)
        wrong = []
        for key, size in keys.items():
            name = key.removeprefix("trash/")
            if not _NAME.fullmatch(name):
                continue
            data = client.get(bucket, key)
            if hashlib.md5(data).hexdigest() != name or len(data) != size:
                wrong.append((key, size))
        self.assertEqual(wrong, [], "objects that are not what their names say")
        lost = [n for n in blocks if n not in keys and f"trash/{n}" not in keys]
        self.assertEqual(lost, [], f"lost, of {len(blocks)} acknowledged")
        self.assertEqual([n for n in blocks if f"recent/{n}" not in keys], [], "blocks without a marker")
        self.assertEqual({n: keys[n] for n in blocks if n in keys}, {n: s for n, s in blocks.items() if n in keys})

    def assert_readable(self, daemon, blocks):
        """Asserts that each of these (names with their sizes) can be read, complete and right."""
        bad = []
        with daemon.connect() as connection:
            for name, size in blocks.items():
                response = connection.request("GET", "/" + daemon.sign(f"{name}+{size}"),
                                              {"Authorization": f"Bearer {ACTIVE_TOKEN}"})
                if response.status != 200 or not response.complete or md5(response.body) != name:
                    bad.append((name, size, repr(response)))
        self.assertEqual(bad, [], f"unreadable, of {len(blocks)} acknowledged")
