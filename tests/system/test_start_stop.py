"""The process ends within DrainTimeout and a second, whatever it waits for; what the start waits for is in the log."""

import fcntl
import json
import os
import signal
import subprocess
import time
import unittest

from support.case import KeepstoreCase, main
from support.certificate import certificate, context
from support.client import build_request
from support.daemon import CLUSTER, Log, binary, block_path, cluster_config, temp_files
from support.locator import md5, plain
from support.shim import Shim
from support.wait import PATIENCE, port_open, stable_port, until


def fill(descriptor):
    """Writes to a pipe until it takes no more."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    for size in (4096, 1):
        try:
            while True:
                os.write(descriptor, b"." * size)
        except BlockingIOError:
            pass
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


class StartStop(KeepstoreCase):
    def launch(self, *arguments, env=None, **options):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ARVADOS_")}
        environment.update(env or {})
        process = subprocess.Popen([binary(), *arguments], stdout=subprocess.DEVNULL, env=environment, **options)
        self.addCleanup(process.wait, 30)
        self.addCleanup(process.kill)
        return process

    def launch_logged(self, *arguments, **options):
        """The process, and its log."""
        process = self.launch(*arguments, stderr=subprocess.PIPE, text=True, **options)
        self.addCleanup(process.stderr.close)
        return process, Log(process.stderr)

    def config_file(self, **sections):
        path = os.path.join(self.dir.path, "config.json")
        volumes = sections.pop("volumes", [self.dir.make("vol0")])
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"Clusters": {CLUSTER: cluster_config(volumes, **sections)}}, file)
        return path

    def assert_ends(self, process, seconds=1.0, signals=1):
        begun = time.monotonic()
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(10 * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError("SIGTERM does not end the process") from None
        self.assertLess(time.monotonic() - begun, seconds * PATIENCE)
        self.assertEqual(code, 0)

    def assert_waits(self, process, log, text):
        """The start says in the log that it waits for `text`; SIGTERM ends it."""
        entry = log.wait(condition=lambda e: e["msg"].startswith("the start waits: "), timeout=5, what="what the start waits for")
        self.assertIn(text, entry["msg"])
        self.assertEqual(entry["level"], "warning")
        self.assertIsNone(process.poll())
        self.assert_ends(process)

    # --- the start ---

    def test_configuration_from_a_fifo(self):
        path = os.path.join(self.dir.path, "fifo")
        os.mkfifo(path)
        process, log = self.launch_logged("-config", path)
        self.assert_waits(process, log, f"reading the configuration from {path}")

    def test_configuration_from_a_silent_stdin(self):
        process, log = self.launch_logged("-config=-", stdin=subprocess.PIPE)
        self.addCleanup(process.stdin.close)
        self.assert_waits(process, log, "reading the configuration from standard input")

    def test_check_of_a_silent_stdin_ends(self):
        process = self.launch("-check", "-config=-", stdin=subprocess.PIPE)
        self.addCleanup(process.stdin.close)
        until(lambda: "S" in self.state(process), 5, "the process waits")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(10 * PATIENCE), -signal.SIGTERM)

    def state(self, process):
        with open(f"/proc/{process.pid}/stat", encoding="ascii") as file:
            name, rest = file.read().rsplit(")", 1)
        return rest.split()[0] if "keepstore" in name else ""

    def test_key_from_a_fifo(self):
        cert, _ = certificate(self.dir.path, "server", 1)
        key = os.path.join(self.dir.path, "fifo")
        os.mkfifo(key)
        config = self.config_file(url="https://127.0.0.1:0/", TLS={"Certificate": cert, "Key": key})
        process, log = self.launch_logged("-config", config)
        self.assert_waits(process, log, "reading the TLS certificate and key")

    def test_silent_volume(self):
        shim = Shim(self.dir.make("shim"))
        root = self.dir.make("vol0")
        shim.set("hold", root)
        process, log = self.launch_logged("-config", self.config_file(volumes=[root]), env=shim.env)
        self.assert_waits(process, log, "checking volume zzzzz-nyw5e-000000000000000")

    def test_key_with_a_passphrase(self):
        cert, key = certificate(self.dir.path, "server", 1)
        locked = os.path.join(self.dir.path, "locked.key")
        for options in (["-aes256"], ["-traditional", "-aes128"]):
            with self.subTest(options):
                subprocess.run(["openssl", "pkey", "-in", key, "-out", locked, "-passout", "pass:secret", *options], check=True,
                               capture_output=True, timeout=60)
                config = self.config_file(url="https://127.0.0.1:0/", TLS={"Certificate": cert, "Key": locked})
                # In a session of its own there is no terminal to ask.
                process, log = self.launch_logged("-config", config, stdin=subprocess.DEVNULL, start_new_session=True)
                entry = log.wait(msg="exiting", timeout=5)
                self.assertIn("passphrases are not supported", entry["error"])
                self.assertEqual(process.wait(10 * PATIENCE), 1)

    def test_closed_standard_descriptors(self):
        """A file that is opened next must not get their numbers: log lines would be written into it."""
        port = stable_port()
        config = self.config_file(url=f"http://127.0.0.1:{port}/")
        process = self.launch("-config", config, preexec_fn=lambda: [os.close(n) for n in (0, 1, 2)])
        until(lambda: port_open(port), 10, "the port is open")
        for n in range(3):
            self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{n}"), "/dev/null")
        self.assert_ends(process)

    # --- the end ---

    def test_a_log_that_is_not_read(self):
        for signals in (1, 2):
            with self.subTest(signals):
                port = stable_port()
                config = self.config_file(url=f"http://127.0.0.1:{port}/", Keepstore={"DrainTimeout": "0s"})
                reader, writer = os.pipe()
                self.addCleanup(os.close, reader)
                fill(writer)
                process = self.launch("-config", config, stderr=writer)
                os.close(writer)
                until(lambda p=port: port_open(p), 10, "the port is open")
                self.assert_ends(process, signals=signals)

    def test_a_start_that_fails_with_a_log_that_is_not_read(self):
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        fill(writer)
        process = self.launch("-config", os.path.join(self.dir.path, "missing"), stderr=writer)
        os.close(writer)
        self.assertEqual(process.wait(5 * PATIENCE), 1)

    def test_silent_name_servers(self):
        shim = Shim(self.dir.make("shim"))
        daemon = self.start(env=shim.env, Keepstore={"DrainTimeout": "0s"})
        shim.set("no-names")
        wanted = [{"locator": plain(b"foo"), "servers": ["http://silent.example:25107"], "mount_uuid": ""}]
        self.assertEqual(daemon.admin("PUT", "/pull", json.dumps(wanted).encode()).status, 200)
        until(lambda: os.path.exists(shim.path("asked")), 10, "the name is looked up")
        self.assert_ends(daemon.process)

    def test_a_certificate_that_is_read_for_ever(self):
        cert, key = certificate(self.dir.path, "server", 1)
        daemon = self.start(url="https://127.0.0.1:0/", TLS={"Certificate": cert, "Key": key}, Keepstore={"DrainTimeout": "0s"})
        daemon.tls = context()
        self.assertEqual(daemon.put(b"foo").status, 200)
        os.unlink(key)
        os.mkfifo(key)
        daemon.signal(signal.SIGHUP)

        def writer():
            """The other end of the FIFO, if the daemon has opened it: it reads until this is closed."""
            try:
                return os.open(key, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                return None

        self.addCleanup(os.close, until(writer, 5, "the daemon reads the FIFO"))
        self.assert_ends(daemon.process)

    def test_a_hung_call_that_holds_memory(self):
        """Of the pool for copies: it reads a stored copy that differs from the body, to find out which of them is right."""
        shim = Shim(self.dir.make("shim"))
        root = self.dir.make("vol0")
        daemon = self.start([root], env=shim.env, Keepstore={"DrainTimeout": "1s"})
        data = os.urandom(8 << 20)
        self.assertEqual(daemon.put(data).status, 200)
        path = block_path(root, md5(data))
        with open(path, "r+b") as file:
            file.write(bytes([data[0] ^ 1]))
        shim.set("hold-reads", f"{4 << 20} {root}")
        with daemon.connect() as client:
            client.send(build_request("PUT", "/" + md5(data), {"Content-Length": str(len(data))}) + data)
            until(lambda: os.path.exists(shim.path("held")), 10, "the read hangs")
            self.assertGreater(daemon.metric("keepstore_pool_in_use_bytes", pool="copy"), 0)
            self.assert_ends(daemon.process, seconds=2)
        with open(path, "rb") as file:
            self.assertTrue(file.read() == bytes([data[0] ^ 1]) + data[1:], "nothing has touched the copy")
        again = self.start([root])
        self.assertEqual(temp_files([root]), [])
        self.assertEqual(again.put(data).status, 200)
        self.assertTrue(again.get(plain(data)).body == data)


if __name__ == "__main__":
    main()
