"""The TLS listener: versions, suites, plain HTTP by mistake, reloading of the certificate."""

import os
import signal
import socket
import ssl
import subprocess

from support.case import KeepstoreCase, main
from support.certificate import certificate, context
from support.client import build_request
from support.daemon import ACTIVE_TOKEN
from support.locator import md5, plain
from support.wait import PATIENCE, until


class Tls(KeepstoreCase):
    def start_tls(self, kind="ec", prefix="", **sections):
        self.cert, self.key = certificate(self.dir.path, "server", 1001, kind)
        daemon = self.start(url="https://127.0.0.1:0/", TLS={"Certificate": prefix + self.cert, "Key": prefix + self.key}, **sections)
        daemon.tls = context()
        return daemon

    def serial(self, daemon):
        """Serial number of the certificate that a new connection sees."""
        pem = ssl.get_server_certificate(daemon.address)
        path = os.path.join(self.dir.path, "seen.crt")
        with open(path, "w", encoding="ascii") as file:
            file.write(pem)
        text = subprocess.run(["openssl", "x509", "-noout", "-serial", "-in", path], check=True, capture_output=True,
                              text=True, timeout=30).stdout
        return int(text.strip().split("=")[1], 16)

    def test_blocks_over_tls(self):
        for kind, prefix in (("ec", ""), ("rsa", "file://")):
            with self.subTest(kind):
                self.dir.make(kind)
                daemon = self.start_tls(kind, prefix)
                for size in (0, 5, 100_000, 5 << 20):
                    data = os.urandom(size)
                    self.assert_reply(daemon.put(data), 200)
                    self.assertTrue(daemon.get(plain(data)).body == data)
                self.assertEqual(daemon.url.scheme, "https")

    def test_a_reader_that_stops_holds_no_memory_and_gets_the_right_bytes(self):
        daemon = self.start_tls(Keepstore={"MinTransferRate": 0})
        data = os.urandom(24 << 20)
        self.assert_reply(daemon.put(data), 200)
        with daemon.connect(window=65536) as connection:
            connection.send(build_request("GET", "/" + daemon.sign(plain(data)), {"Authorization": f"Bearer {ACTIVE_TOKEN}"}))
            response = connection.read_head()
            self.assertEqual(response.status, 200)
            until(lambda: daemon.metric("arvados_keepstore_bufferpool_inuse_buffers") == 0, 10, "no memory for the silent reader")
            daemon.wait_active(1)
            got = bytearray()
            steps = (1, 7, 1000, 16385, 99_991, 40_000)
            while len(got) < len(data):
                part = connection.receive_some(steps[len(got) % len(steps)])
                self.assertTrue(part, "cut off")
                got += part
            self.assertTrue(bytes(got) == data)
            self.assertEqual(connection.request("OPTIONS", "/").status, 200)

    def test_versions(self):
        daemon = self.start_tls()
        for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
            with daemon.connect(tls=context(version, version)) as connection:
                self.assertEqual(connection.socket.version(), name)
                self.assertEqual(connection.request("OPTIONS", "/").status, 200)
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with self.subTest(version), self.assertRaises((ssl.SSLError, ConnectionError)):
                daemon.connect(tls=context(version, version, "ALL:@SECLEVEL=0"))

    def test_suites(self):
        daemon = self.start_tls()
        two = ssl.TLSVersion.TLSv1_2
        for suite in ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305"):
            with self.subTest(suite), daemon.connect(tls=context(two, two, suite)) as connection:
                self.assertEqual(connection.socket.cipher()[0], suite)
        for suite in ("ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA384", "AES128-SHA", "AES128-GCM-SHA256",
                      "ECDHE-RSA-AES128-GCM-SHA256"):
            with self.subTest(suite), self.assertRaises((ssl.SSLError, ConnectionError)):
                daemon.connect(tls=context(two, two, suite + ":@SECLEVEL=0"))

    def test_plain_http_by_mistake(self):
        daemon = self.start_tls()
        daemon.tls = None
        with daemon.connect() as connection:
            connection.send(build_request("GET", "/"))
            text = connection.rest(10)
        self.assertTrue(text == b"" or text.startswith(b"HTTP/1.0 400 Bad Request\r\n"), text[:200])
        daemon.tls = context()
        self.assertEqual(daemon.put(b"foo").status, 200)

    def test_a_silent_handshake_is_cut_off(self):
        daemon = self.start_tls(Keepstore={"HeaderTimeout": "3s"})
        with socket.create_connection(daemon.address, timeout=10 * PATIENCE) as silent:
            self.assertEqual(daemon.put(b"foo").status, 200)
            self.assertEqual(silent.recv(1), b"")

    def test_reload_on_sighup(self):
        daemon = self.start_tls()
        self.assertEqual(self.serial(daemon), 1001)
        with daemon.connect() as old:
            self.assertEqual(old.request("OPTIONS", "/").status, 200)
            new_cert, new_key = certificate(self.dir.path, "new", 2002)
            os.replace(new_key, self.key)
            os.replace(new_cert, self.cert)
            self.assertEqual(self.serial(daemon), 1001, "nothing changes before the signal")
            daemon.signal(signal.SIGHUP)
            until(lambda: self.serial(daemon) == 2002, 10, "new connections see the new certificate", interval=0.05)
            data = b"on the old connection"
            self.assertEqual(old.request("PUT", "/" + md5(data), {"Authorization": f"Bearer {ACTIVE_TOKEN}"}, data).status, 200)

    def test_a_failed_reload_keeps_the_old_certificate(self):
        daemon = self.start_tls()
        for breakage in ("garbage", "missing", "other key"):
            with self.subTest(breakage):
                saved = open(self.key, "rb").read()
                before = len(daemon.log.entries(level="warning"))
                if breakage == "garbage":
                    with open(self.key, "w", encoding="ascii") as file:
                        file.write("garbage")
                elif breakage == "missing":
                    os.unlink(self.key)
                else:
                    os.replace(certificate(self.dir.path, "other", 3)[1], self.key)
                daemon.signal(signal.SIGHUP)
                until(lambda n=before: len(daemon.log.entries(level="warning")) > n, 10, "a warning")
                self.assertEqual(self.serial(daemon), 1001)
                with open(self.key, "wb") as file:
                    file.write(saved)

    def test_a_bad_certificate_at_the_start(self):
        cert, key = certificate(self.dir.path, "server", 1)
        for what, tls in (("missing", {"Certificate": "/nonexistent", "Key": key}), ("swapped", {"Certificate": key, "Key": cert}),
                          ("empty", {"Certificate": "", "Key": ""})):
            with self.subTest(what):
                daemon = self.start(url="https://127.0.0.1:0/", TLS=tls, daemon_options={"wait": False})
                self.assertEqual(daemon.wait_exit(10), 1)


if __name__ == "__main__":
    main()
