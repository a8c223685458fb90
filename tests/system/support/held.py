"""Requests that run, and hold their places among MaxConcurrentRequests, for exactly as long as a test needs.

A stalled upload or download does not: after a quarter of a second it releases its place. These read blocks of another
cluster, whose keep service responds when the test tells it to.
"""

import hashlib
import hmac
import json
import threading

from .certificate import certificate
from .client import build_request
from .daemon import ACTIVE_TOKEN
from .locator import md5, plain, sign
from .stub import Stub
from .wait import until

_CLUSTER = "yyyyy"
_KEY = "remote" * 10
_UUID, _SECRET = ACTIVE_TOKEN.split("/")[1:3]
_SALTED = f"v2/{_UUID}/{hmac.new(_SECRET.encode(), _CLUSTER.encode(), hashlib.sha1).hexdigest()}"


class Held:
    """The other cluster. `case.start(**held.sections, ...)` makes a daemon that knows it; a test case has one of these."""

    def __init__(self, case):
        self._api = Stub(self._list_services, certificate(case.dir.path, "held", 77))
        case.addCleanup(self._api.close)
        self._keep = Stub(self._answer)
        case.addCleanup(self._keep.close)
        self._case = case
        self._lock = threading.Lock()
        self._blocks = {}
        self._arrived = []
        self.sections = {"RemoteClusters": {_CLUSTER: {"Host": f"127.0.0.1:{self._api.port}", "Insecure": True}}}

    def _list_services(self, _path, _headers):
        items = [{"uuid": f"{_CLUSTER}-bi6l4-000000000000000", "service_host": "127.0.0.1", "service_port": self._keep.port,
                  "service_type": "disk", "service_ssl_flag": False, "read_only": False}]
        return 200, json.dumps({"items": items, "items_available": 1}).encode(), {"Content-Type": "application/json"}

    def _answer(self, path, _headers):
        with self._lock:
            data, released = self._blocks[path[1:33]]
            self._arrived.append(data)
        released.wait(60)
        return 200, data, {}

    def request(self, daemon, data, headers=()):
        """A connection on which such a GET has been sent. finish() releases the response, and returns it."""
        released = threading.Event()
        with self._lock:
            self._blocks[md5(data)] = data, released
        connection = daemon.connect()
        self._case.addCleanup(connection.close)
        self._case.addCleanup(released.set)
        locator = sign(plain(data), _SALTED, _KEY).replace("+A", f"+R{_CLUSTER}-")
        connection.send(build_request("GET", "/" + locator, [("Authorization", f"Bearer {ACTIVE_TOKEN}"), *headers]))

        def finish():
            released.set()
            return connection.read_response()

        connection.finish = finish
        return connection

    def start(self, daemon, data=b"held", headers=()):
        """As request(), and waits until it has its place."""
        connection = self.request(daemon, data, headers)
        until(lambda: data in self.arrived(), what="the request runs")
        return connection

    def arrived(self):
        """The blocks of all requests that have run or run, in that order."""
        with self._lock:
            return list(self._arrived)
