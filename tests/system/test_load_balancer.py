"""conf/haproxy.cfg and conf/nginx.conf, run by the real programs in front of two daemons that serve the same volume."""

import os
import re
import shutil
import signal
import subprocess
import threading
import unittest

from support.case import KeepstoreCase, main
from support.client import Connection, build_request
from support.daemon import ACTIVE_TOKEN, Daemon, cluster_config
from support.locator import md5, plain
from support.wait import PATIENCE, port_open, stable_port, until

CONF = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "conf")
MiB = 1 << 20
# An exchange waits for a restart at most.
EXCHANGE = 30 * PATIENCE


def program(name):
    path = shutil.which(name, path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", ""))
    if not path:
        raise unittest.SkipTest(f"{name} is not installed")
    return path


class LoadBalancerCase(KeepstoreCase):
    def setUp(self):
        super().setUp()
        self.volume = self.dir.make("shared")
        self.ports = []
        for _ in range(3):
            self.ports.append(stable_port(avoid=self.ports))
        self.front, *self.backs = self.ports
        self.daemons = [self.start_daemon(port) for port in self.backs]

    def start_daemon(self, port):
        daemon = Daemon(cluster_config([self.volume], url=f"http://127.0.0.1:{port}/"))
        self.addCleanup(self._finish, daemon, True)
        return daemon

    def adapted(self, name):
        """The example with this test's ports."""
        with open(os.path.join(CONF, name), encoding="utf-8") as file:
            text = file.read()
        for number, port in enumerate(self.backs):
            text, count = re.subn(rf"192\.0\.2\.1{number}:25107", f"127.0.0.1:{port}", text)
            self.assertEqual(count, 1)
        for pattern in (r"(?m)^(\s*bind ):25108", r"(?m)^(\s*listen )25108"):
            text = re.sub(pattern, rf"\g<1>127.0.0.1:{self.front}", text)
        self.assertIn(f"127.0.0.1:{self.front}", text)
        path = os.path.join(self.dir.path, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def start_balancer(self, command, log):
        output = open(os.path.join(self.dir.path, log), "wb")
        self.addCleanup(output.close)
        process = subprocess.Popen(command, stdout=output, stderr=output)

        def stop():
            process.terminate()
            process.wait(10 * PATIENCE)
        self.addCleanup(stop)
        until(lambda: port_open(self.front), what="the load balancer listens")
        return process

    def exchange(self, method, target, body=None, headers=()):
        with Connection(("127.0.0.1", self.front), timeout=EXCHANGE) as connection:
            pairs = {"Authorization": "Bearer " + ACTIVE_TOKEN} | dict(headers)
            connection.send(build_request(method, target, pairs, body))
            return connection.read_response(method)

    def check_transfers(self):
        """Blocks of every size, a body after 100 Continue, a range, and the client's address in the daemon's log."""
        for size in (0, 1, 100_000, 64 * MiB):
            data = os.urandom(min(size, MiB)) * max(size // MiB, 1)
            stored = self.exchange("PUT", "/" + md5(data), data)
            self.assertEqual(stored.status, 200, stored)
            self.assertTrue(self.exchange("GET", "/" + stored.text.strip()).body == data)
        data = os.urandom(2 * MiB)
        with Connection(("127.0.0.1", self.front), timeout=EXCHANGE) as connection:
            connection.send(build_request("PUT", "/" + md5(data), {
                "Authorization": "Bearer " + ACTIVE_TOKEN, "Content-Length": str(len(data)), "Expect": "100-continue"}))
            self.assertEqual(connection.read_head().status, 100)
            connection.send(data)
            stored = connection.read_response("PUT")
            self.assertEqual(stored.status, 200)
        part = self.exchange("GET", "/" + stored.text.strip(), headers={"Range": "bytes=100-199"})
        self.assertEqual((part.status, part.body), (206, data[100:200]))
        for entry in [e for d in self.daemons for e in d.log.entries(msg="request", reqMethod="PUT")]:
            self.assertEqual(entry["reqForwardedFor"], "127.0.0.1")

    def check_rolling_restart(self):
        """One daemon after the other is restarted while clients store and read: not one request fails."""
        stop = threading.Event()
        failures = []
        done = [0]

        def client(number):
            made = 0
            while not stop.is_set():
                data = f"{number} {made} ".encode() * (20_000 if made % 3 == 0 else 100)
                made += 1
                try:
                    stored = self.exchange("PUT", "/" + md5(data), data)
                    read = self.exchange("GET", "/" + stored.text.strip()) if stored.status == 200 else stored
                    if read.status != 200 or not read.complete or read.body != data:
                        failures.append((made, stored, read))
                except Exception as problem:  # Whatever it is, it is a request that failed.
                    failures.append((made, repr(problem)))
                done[0] += 1

        clients = [threading.Thread(target=client, args=(i,)) for i in range(6)]
        for each in clients:
            each.start()
        try:
            for _ in range(2):
                for number, port in enumerate(self.backs):
                    before = done[0]
                    until(lambda: done[0] > before + 20, timeout=20, what="requests go through")
                    self.daemons[number].signal(signal.SIGTERM)
                    self.assertEqual(self.daemons[number].wait_exit(20), 0)
                    before = done[0]
                    until(lambda: done[0] > before + 20, timeout=20, what="requests go to the other daemon")
                    self.daemons[number] = self.start_daemon(port)
                    # The next one is restarted when the load balancer has seen that this one is back.
                    until(lambda: self.daemons[number].log.entries(msg="request", reqMethod="PUT"), timeout=20,
                          what="the daemon that is back gets requests")
        finally:
            stop.set()
            for each in clients:
                each.join()
        self.assertEqual(failures[:3], [])


class Haproxy(LoadBalancerCase):
    def setUp(self):
        self.program = program("haproxy")
        super().setUp()
        self.start_balancer([self.program, "-db", "-f", self.adapted("haproxy.cfg")], "haproxy.log")

    def test_transfers(self):
        self.check_transfers()

    def test_rolling_restart(self):
        self.check_rolling_restart()

    def test_a_daemon_whose_volume_is_gone_gets_no_requests(self):
        """Readiness, not only the port, decides."""
        os.rename(self.volume, self.volume + ".away")
        until(lambda: self.exchange("GET", "/" + plain(b"x")).status == 503, timeout=30, what="both are marked down")
        os.rename(self.volume + ".away", self.volume)
        until(lambda: self.exchange("PUT", "/" + md5(b"x"), b"x").status == 200, timeout=30, what="both are up again")


class Nginx(LoadBalancerCase):
    def setUp(self):
        self.program = program("nginx")
        super().setUp()
        prefix = self.dir.make("nginx")
        self.start_balancer([self.program, "-p", prefix, "-c", self.adapted("nginx.conf"), "-g",
                             f"daemon off; pid {prefix}/pid; error_log stderr;"], "nginx.log")

    def test_transfers(self):
        self.check_transfers()

    def test_rolling_restart(self):
        self.check_rolling_restart()


if __name__ == "__main__":
    main()
