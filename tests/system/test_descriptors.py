"""The limit on open files: raised at the start, shared with connections, and what happens when it is reached."""

import os
import resource

from support.case import KeepstoreCase, main
from support.client import build_request
from support.daemon import ACTIVE_TOKEN, store
from support.locator import md5, plain
from support.wait import until


def limited(soft, hard=None):
    """A wrapper that starts the daemon with these limits."""
    command = f"ulimit -S -n {soft}; " + (f"ulimit -H -n {hard}; " if hard else "") + 'exec "$@"'
    return {"wrapper": ("sh", "-c", command, "sh")}


class Descriptors(KeepstoreCase):
    def test_the_soft_limit_is_raised_to_the_hard_one(self):
        daemon = self.start(daemon_options=limited(100, 900), Keepstore={"MaxConnections": 500})
        self.assertEqual(resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE), (900, 900))
        self.assertEqual(daemon.metric("keepstore_connections_max"), 500)
        self.assertEqual([e for e in daemon.log.entries(level="warning") if "open files" in e["msg"]], [])

    def test_connections_leave_descriptors_for_blocks(self):
        daemon = self.start(daemon_options=limited(400, 400))
        self.assertEqual(daemon.metric("keepstore_connections_max"), 300)
        warning = daemon.log.wait(lambda e: "open files" in e["msg"], level="warning")
        self.assertIn("MaxConnections", warning["msg"])
        self.assertEqual(warning["possible"], 300)
        # Connections beyond that number wait, and the block is still served.
        data = os.urandom(100_000)
        store(daemon.roots()[0], md5(data), data)
        silent = [daemon.connect() for _ in range(350)]
        for connection in silent:
            self.addCleanup(connection.close)
        for connection in silent[:3]:
            connection.send(b"GET / HTTP/1.1\r\nHost: x\r\n")  # Not idle, so not closed for others.
        self.assertEqual(daemon.get(plain(data)).body, data)

    def test_no_descriptor_left_is_503_and_one_log_line(self):
        daemon = self.start()
        blocks = [os.urandom(1000 + i) for i in range(30)]
        for data in blocks:
            store(daemon.roots()[0], md5(data), data)
        _, hard = resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE)
        with daemon.connect() as connection:
            connection.send(build_request("GET", "/" + md5(b"none") + "+4", {}))
            connection.read_response()  # Accepted.
            # UndefinedBehaviorSanitizer checks with a pipe whether the memory of an object can be read, when it sees a class
            # for the first time. Without a descriptor for that it reports good objects.
            first = os.urandom(500)
            self.assertEqual(connection.request("PUT", "/" + md5(first), {}, first).status, 200)
            headers = {"Authorization": f"Bearer {ACTIVE_TOKEN}"}
            self.assertEqual(connection.request("GET", "/" + daemon.sign(plain(first)), headers).body, first)
            until(lambda: not daemon.open_block_files(), 5, "no block file open")
            # Below every number that may be free: one that a probe of the volume has at this moment, for example.
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (3, hard))
            for data in blocks:
                response = connection.request("GET", "/" + daemon.sign(plain(data)), headers)
                self.assert_reply(response, 503, "too many open files\n")
            self.assert_reply(connection.request("PUT", "/" + md5(b"new"), headers, b"new"), 503)
            resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (hard, hard))
            for data in blocks:
                response = connection.request("GET", "/" + daemon.sign(plain(data)), headers)
                self.assertEqual((response.status, response.body), (200, data))
        daemon.assert_nothing_held()
        told = [e for e in daemon.log.entries() if e["msg"].startswith("too many open files")]
        self.assertEqual(len(told), 1, told)

    def test_many_readers_of_a_block_share_one_descriptor(self):
        daemon = self.start(Keepstore={"MinTransferRate": 0})
        data = os.urandom(16 << 20)
        store(daemon.roots()[0], md5(data), data)
        slow = []
        for _ in range(60):
            connection = daemon.connect(window=16384)
            self.addCleanup(connection.close)
            connection.send(build_request("GET", "/" + daemon.sign(plain(data)), {"Authorization": f"Bearer {ACTIVE_TOKEN}"}))
            slow.append(connection)
        for connection in slow:
            self.assertEqual(connection.read_head().status, 200)
        until(lambda: len(daemon.open_block_files()) == 1, 10, "one descriptor for all")
        for connection in slow:
            connection.close()
        daemon.assert_nothing_held(timeout=30)


if __name__ == "__main__":
    main()
