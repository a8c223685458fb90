"""Sockets that the service manager opens (LISTEN_FDS): this test plays systemd, which keeps them open during a restart."""

import os
import shutil
import socket
import subprocess
import threading
import time
import unittest

from support.case import KeepstoreCase, main
from support.client import Connection, build_request
from support.daemon import ACTIVE_TOKEN, Daemon, cluster_config
from support.locator import md5, plain
from support.wait import PATIENCE, stable_port, until

PACKAGING = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "packaging")
# Puts the socket where the protocol wants it, and names this process.
ACTIVATE = 'exec 3<&{0} {2}; (({0} <= 2 + {1})) || exec {0}<&-; LISTEN_PID=$$ LISTEN_FDS={1} exec "$0" "$@"'


class Activated(KeepstoreCase):
    def listening(self, address="127.0.0.1", family=socket.AF_INET, listen=True):
        made = socket.socket(family, socket.SOCK_STREAM)
        self.addCleanup(made.close)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, 0))
        if listen:
            made.listen(1024)
        made.settimeout(0)  # O_NONBLOCK, as systemd makes them.
        return made

    def activated(self, passed, url=None, wait=True, count=1, more=""):
        port = passed.getsockname()[1] if passed.family in (socket.AF_INET, socket.AF_INET6) else 0
        daemon = Daemon(cluster_config([self.dir.make("vol0")], url=url or f"http://127.0.0.1:{port}/"), wait=wait,
                        wrapper=("bash", "-c", ACTIVATE.format(passed.fileno(), count, more)), pass_fds=(passed.fileno(),))
        if wait:
            self.addCleanup(self._finish, daemon, True)
        else:
            self.addCleanup(daemon.kill)
        return daemon

    def refused(self, daemon, *texts):
        self.assertEqual(daemon.wait_exit(), 1)
        (line,) = daemon.log.entries(msg="exiting")
        for text in texts:
            self.assertIn(text, line["error"])

    def test_serves_on_the_socket_that_it_gets(self):
        passed = self.listening()
        daemon = self.activated(passed)
        self.assertEqual(daemon.address[1], passed.getsockname()[1])
        data = os.urandom(100_000)
        self.assertEqual(daemon.put(data).status, 200)
        self.assertEqual(daemon.get(plain(data)).body, data)
        with open(f"/proc/{daemon.pid}/environ", "rb") as file:
            self.assertIn(b"LISTEN_FDS", file.read())  # As it was started; nothing that it starts gets it.

    def test_a_socket_for_all_addresses_serves_each_of_them(self):
        passed = self.listening("0.0.0.0")
        daemon = self.activated(passed)
        self.assertEqual(daemon.request("GET", "/_health/ready").status, 200)

    def test_a_connection_made_while_no_daemon_runs_is_served_by_the_next(self):
        passed = self.listening()
        first = self.activated(passed)
        data = os.urandom(1000)
        self.assertEqual(first.put(data).status, 200)
        self.assertEqual(first.stop(), 0)
        with Connection(passed.getsockname()) as early:
            early.send(build_request("PUT", "/" + md5(data), [("Authorization", f"Bearer {ACTIVE_TOKEN}")], data))
            self.activated(passed)
            self.assertEqual(early.read_response("PUT").status, 200)

    def test_a_restart_under_load_refuses_no_connection(self):
        passed = self.listening()
        daemon = self.activated(passed)
        failures, waits = self.load_during(passed.getsockname(), daemon, lambda: self.activated(passed))
        self.assertEqual(failures, [])
        print(f"with a passed socket: {len(waits)} exchanges, none failed, the longest took {max(waits):.2f} s")

    def test_without_such_a_socket_connections_are_refused_meanwhile(self):
        port = stable_port()

        def start():
            daemon = Daemon(cluster_config([self.dir.make("vol0")], url=f"http://127.0.0.1:{port}/"))
            self.addCleanup(self._finish, daemon, True)
            return daemon

        failures, waits = self.load_during(("127.0.0.1", port), start(), start,
                                           lambda seen: until(lambda: seen, 20, "a refused connection"))
        # So the test above would notice.
        self.assertNotEqual(failures, [])
        print(f"without: {len(waits)} exchanges and {len(failures)} refused connections, the longest took {max(waits):.2f} s")

    def load_during(self, address, daemon, start_again, in_gap=lambda failures: None):
        """Exchanges on new connections, from before a restart until after it. The old daemon has ended before the new one
        starts, as systemd does it. Returns the failures and how long each exchange took."""
        data = os.urandom(20_000)
        request = build_request("PUT", "/" + md5(data), [("Authorization", f"Bearer {ACTIVE_TOKEN}"), ("Connection", "close")], data)
        enough = threading.Event()
        failures, waits = [], []

        def work():
            while not enough.is_set():
                began = time.monotonic()
                try:
                    with Connection(address, timeout=60 * PATIENCE) as connection:
                        connection.send(request)
                        status = connection.read_response("PUT").status
                        if status != 200:
                            failures.append(status)
                    waits.append(time.monotonic() - began)
                except Exception as e:  # pylint: disable=broad-except
                    failures.append(repr(e))
                    time.sleep(0.01)  # The next try of a client.

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: len(waits) > 20, 20, "load")
            self.assertEqual(daemon.stop(), 0)
            in_gap(failures)
            start_again()
            seen = len(waits)
            until(lambda: len(waits) > seen + 20, 20, "load after the restart")
        finally:
            enough.set()
            for thread in threads:
                thread.join()
        return failures, waits

    @unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze")
    def test_systemd_accepts_the_unit(self):
        run = subprocess.run(["systemd-analyze", "--man=no", "verify", os.path.join(PACKAGING, "keepstore.socket")],
                             capture_output=True, text=True)
        self.assertEqual((run.returncode, run.stderr), (0, ""))

    def test_a_socket_for_another_address_is_an_error_that_names_both(self):
        passed = self.listening()
        daemon = self.activated(passed, url="http://127.0.0.1:1/", wait=False)
        self.refused(daemon, f"127.0.0.1:{passed.getsockname()[1]}", "http://127.0.0.1:1/", "ListenStream=")

    def test_a_socket_that_does_not_listen_is_an_error(self):
        self.refused(self.activated(self.listening(listen=False), wait=False), "not a listening TCP socket", "keepstore.socket")

    def test_a_socket_of_another_kind_is_an_error(self):
        one, other = socket.socketpair()
        self.addCleanup(one.close)
        self.addCleanup(other.close)
        self.refused(self.activated(one, wait=False), "not a listening TCP socket")

    def test_more_than_one_is_an_error(self):
        self.refused(self.activated(self.listening(), wait=False, count=2, more="4<&3"), "passed 2 sockets", "one ListenStream=")

    def test_a_number_of_sockets_that_are_not_there_is_an_error(self):
        self.refused(self.activated(self.listening(), wait=False, count=9), "LISTEN_FDS", "Bad file descriptor")

    def test_sockets_of_another_process_are_left_alone(self):
        # LISTEN_PID of a parent that did not take them.
        daemon = self.start(env={"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"})
        self.assertEqual(daemon.request("GET", "/_health/ready").status, 200)


if __name__ == "__main__":
    main()
