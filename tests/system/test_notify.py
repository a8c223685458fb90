"""sd_notify: READY when it serves, WATCHDOG while it works, STOPPING when it drains."""

import contextlib
import os
import signal
import socket
import time
import unittest

from support.case import KeepstoreCase, main
from support.certificate import certificate, context
from support.client import build_request
from support.locator import md5
from support.wait import PATIENCE, until


class Notify(KeepstoreCase):
    def listen(self, name=None):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.socket.close)
        address = name or os.path.join(self.dir.path, "notify")
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(10)
        self.seen = []
        return address

    def wait_for(self, word, timeout=10):
        """Reads messages until one has the line `word`."""
        timeout *= PATIENCE
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            self.socket.settimeout(max(end - time.monotonic(), 0.01))
            try:
                message = self.socket.recv(4096).decode()
            except TimeoutError:
                break
            self.seen += message.split("\n")
            if word in message.split("\n"):
                return
        raise AssertionError(f"no {word} within {timeout} s; seen: {self.seen}")

    def test_ready_and_stopping(self):
        daemon = self.start(env={"NOTIFY_SOCKET": self.listen()})
        self.wait_for("READY=1")
        self.assertEqual(daemon.put(b"foo").status, 200)
        with daemon.connect() as holder:
            holder.send(build_request("PUT", "/" + md5(b"bar"), {"Content-Length": "3"}) + b"ba")
            daemon.wait_active(1)
            daemon.signal(signal.SIGTERM)
            self.wait_for("STOPPING=1")  # Sent when the draining begins, not when it is over.
            self.assertTrue(daemon.running())
            holder.send(b"r")
            self.assertEqual(holder.read_response().status, 200)
        self.assertEqual(daemon.wait_exit(10), 0)
        self.assertEqual(self.seen.count("READY=1"), 1)

    def test_a_stop_that_comes_before_the_service_manager_has_been_told_finishes_requests(self):
        address = self.listen()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            other.connect(address)
            with contextlib.suppress(BlockingIOError):
                while True:
                    other.send(b"STATUS=full")  # Until READY=1 has to wait.
        daemon = self.start(env={"NOTIFY_SOCKET": address})
        with daemon.connect() as holder:
            holder.send(build_request("PUT", "/" + md5(b"bar"), {"Content-Length": "3"}) + b"ba")
            daemon.wait_active(1)
            daemon.signal(signal.SIGTERM)
            until(lambda: not daemon.pending_signals(), 10, "SIGTERM has been taken")
            self.wait_for("STOPPING=1")
            holder.send(b"r")
            self.assertEqual(holder.read_response().status, 200)
        self.assertEqual(daemon.wait_exit(10), 0)

    def test_abstract_socket(self):
        self.start(env={"NOTIFY_SOCKET": self.listen(f"@keepstore-test-{os.getpid()}")})
        self.wait_for("READY=1")

    def test_watchdog(self):
        daemon = self.start(env={"NOTIFY_SOCKET": self.listen(), "WATCHDOG_USEC": "400000"})
        self.wait_for("READY=1")
        times = []
        for _ in range(8):
            begun = time.monotonic()
            self.wait_for("WATCHDOG=1", 3)
            times.append(time.monotonic() - begun)
        # One message may be late on a busy machine; not most of them.
        self.assertLess(sorted(times)[len(times) // 2], 0.4)

    def test_watchdog_is_fed_while_draining(self):
        daemon = self.start(env={"NOTIFY_SOCKET": self.listen(), "WATCHDOG_USEC": "400000"})
        self.wait_for("READY=1")
        with daemon.connect() as holder:
            holder.send(build_request("PUT", "/" + md5(b"bar"), {"Content-Length": "3"}) + b"ba")
            daemon.wait_active(1)
            daemon.signal(signal.SIGTERM)
            self.wait_for("STOPPING=1")
            for _ in range(3):
                self.wait_for("WATCHDOG=1", 3)
            holder.send(b"r")
            self.assertEqual(holder.read_response().status, 200)
        self.assertEqual(daemon.wait_exit(10), 0)

    def test_watchdog_is_fed_while_a_certificate_cannot_be_read(self):
        """Reading the certificate again hangs, as on a file system that does not respond."""
        cert, key = certificate(self.dir.path, "server", 1)
        daemon = self.start(url="https://127.0.0.1:0/", TLS={"Certificate": cert, "Key": key},
                            env={"NOTIFY_SOCKET": self.listen(), "WATCHDOG_USEC": "400000"})
        daemon.tls = context()
        self.wait_for("READY=1")
        os.unlink(key)
        os.mkfifo(key)
        for _ in range(3):
            daemon.signal(signal.SIGHUP)
            for _ in range(3):
                self.wait_for("WATCHDOG=1", 3)
            self.assertEqual(daemon.put(b"foo").status, 200)
        daemon.log.wait(condition=lambda e: "still waits for its files" in e["msg"], what="that the third one is refused")
        with daemon.connect() as holder:
            holder.send(build_request("PUT", "/" + md5(b"bar"), {"Content-Length": "3"}) + b"ba")
            daemon.wait_active(1)
            daemon.signal(signal.SIGTERM)
            self.wait_for("STOPPING=1")
            holder.send(b"r")
            self.assertEqual(holder.read_response().status, 200)
        self.assertEqual(daemon.wait_exit(10), 0)

    def test_no_watchdog_unless_asked(self):
        self.start(env={"NOTIFY_SOCKET": self.listen()}).stop()
        self.wait_for("STOPPING=1")
        self.assertNotIn("WATCHDOG=1", self.seen)

    def test_watchdog_of_another_process_is_not_ours(self):
        self.start(env={"NOTIFY_SOCKET": self.listen(), "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}).stop()
        self.wait_for("STOPPING=1")
        self.assertNotIn("WATCHDOG=1", self.seen)

    def test_a_missing_socket_is_no_reason_to_fail(self):
        daemon = self.start(env={"NOTIFY_SOCKET": os.path.join(self.dir.path, "absent")})
        self.assertEqual(daemon.put(b"foo").status, 200)

    def test_never_ready_when_it_cannot_serve(self):
        daemon = self.start([os.path.join(self.dir.path, "missing")], env={"NOTIFY_SOCKET": self.listen()},
                            daemon_options={"wait": False})
        self.assertEqual(daemon.wait_exit(10), 1)
        self.socket.setblocking(False)
        messages = []
        try:
            while True:
                messages.append(self.socket.recv(4096))
        except BlockingIOError:
            pass
        self.assertFalse(any(b"READY=1" in m for m in messages))

    def test_watchdog_stops_with_the_loops(self):
        """A stopped process sends nothing, and resumes when it is continued."""
        daemon = self.start(env={"NOTIFY_SOCKET": self.listen(), "WATCHDOG_USEC": "400000"})
        self.wait_for("WATCHDOG=1", 3)
        daemon.signal(signal.SIGSTOP)
        try:
            # All threads: the state of the process alone does not show them.
            until(lambda: os.waitid(os.P_PID, daemon.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT), 5, "stopped")
            self.socket.setblocking(False)
            try:
                while True:
                    self.socket.recv(4096)
            except BlockingIOError:
                pass
            self.socket.settimeout(0.8)
            with self.assertRaises(TimeoutError):
                self.socket.recv(4096)
        finally:
            daemon.signal(signal.SIGCONT)
        self.wait_for("WATCHDOG=1", 5)


if __name__ == "__main__":
    main()
