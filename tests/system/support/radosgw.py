#!/usr/bin/env python3
"""A real S3 server for tests: Ceph's monitor, one object store in memory and its S3 gateway, on loopback only.

It needs no root, no systemd and no files outside its folder. As a command, in tests/system:
    python3 -m support.radosgw start FOLDER [--bucket NAME]... [--publish FILE] [--with-parent]
    python3 -m support.radosgw stop FOLDER [--publish FILE]
    python3 -m support.radosgw kill|revive|pause|resume FOLDER mon|osd|gateway
    python3 -m support.radosgw status FOLDER
Packages of Debian 12: radosgw, ceph-mon, ceph-osd. Exit code 77: they are not installed.

The store keeps objects in memory, so a killed osd comes back empty and is useless; pause it instead. The gateway has no
state: it can be killed and revived at any time.
"""

import argparse
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import unittest
import uuid

from .process import (PACKAGE_ROOT, STOP_SECONDS_MAX, Process, Server, ServerError, add_start_options, start_or_stop, wait_for)
from .s3_client import S3Client
from .wait import stable_port

PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "monmaptool", "radosgw", "radosgw-admin")
PATH = "/usr/bin:/bin:/usr/sbin:/sbin"  # Debian's programs, and Debian's Python for the one that is a script.
PARTS = ("gateway", "osd", "mon")  # In the order in which they stop.
REGION = "us-east-1"
# How much the store may hold, at twice its size of memory. Deleted data counts until it is collected, 10 to 20 s later.
STORE_BYTES = min(8 << 30, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 3)
_STEP_SECONDS_MAX = 60


class RadosgwError(ServerError):
    """A command of the server failed; the text has the end of the log in question."""


def missing():
    """The reason why this machine cannot run the server, or None."""
    absent = [p for p in PROGRAMS if not shutil.which(p, path=PATH)]
    return f"not installed: {' '.join(absent)} (packages radosgw ceph-mon ceph-osd)" if absent else None


class Radosgw(Server):
    """The server, with its parts."""

    def __init__(self, folder):
        super().__init__(folder)
        self._config = os.path.join(self.folder, "ceph.conf")
        self._processes = {p: Process(os.path.join(self.folder, f"{p}.pid")) for p in PARTS}

    # --- the whole ---

    def start(self, buckets=(), owner=None, store_bytes=STORE_BYTES):
        """Starts a new and empty server, after ending the processes of an earlier run in the folder. `owner`: the pid of a process
        with which the server ends at the latest. Returns the result of publish()."""
        if missing():
            raise unittest.SkipTest(missing())
        self.stop()
        for part in ("mon", "osd"):
            shutil.rmtree(os.path.join(self.folder, part), ignore_errors=True)
            os.makedirs(os.path.join(self.folder, part), mode=0o700)
        for name in os.listdir(self.folder):
            if name.endswith(".log"):
                os.unlink(os.path.join(self.folder, name))
        open(os.path.join(self.folder, "keyring"), "w", encoding="utf-8").close()
        mon_port = stable_port()
        port = stable_port({mon_port})
        tls_port = stable_port({mon_port, port})
        self.info = {"host": "127.0.0.1", "port": port, "endpoint": f"http://127.0.0.1:{port}", "region": REGION,
                     "access_key": "KeepstoreTestKey0001", "secret_key": secrets.token_urlsafe(30), "folder": self.folder,
                     "tool": [sys.executable, "-B", os.path.join(PACKAGE_ROOT, "support/s3_client.py")]}
        tls = self._certificate()
        if tls:
            self.info |= {"tls_endpoint": f"https://127.0.0.1:{tls_port}", "ca_file": tls}
        fsid = str(uuid.uuid4())
        with open(self._config, "w", encoding="utf-8") as file:
            file.write(_configuration(self.folder, fsid, mon_port, port, tls_port if tls else None, store_bytes))
        try:
            if owner is not None:
                self._start_guard(__spec__.name, owner)
            self._bring_up(fsid, mon_port)
            client = self.client()
            for bucket in buckets:
                client.make_bucket(bucket)
            client.close()
            self._save()
        except BaseException:
            self.stop()
            raise
        return self.info

    def stop_parts(self):
        # None of them has state to save.
        for part in PARTS:
            self._processes[part].end(signal.SIGKILL)
        self._forget()

    def client(self, **options):
        return S3Client(self.info["endpoint"], self.info["access_key"], self.info["secret_key"], REGION, **options)

    # --- the parts ---

    def running(self, part="gateway"):
        return self._processes[part].pid() is not None

    def pid(self, part="gateway"):
        return self._processes[part].pid()

    def kill(self, part="gateway"):
        """kill -9, and waits until it is gone."""
        self._processes[part].end(signal.SIGKILL)

    def revive(self, part="gateway"):
        """Starts a killed part on its old port and waits until it works."""
        self._spawn(part)
        if part == "gateway":
            self._wait_for_gateway()

    def pause(self, part="gateway"):
        """Pauses it: its connections stay open and silent. With a paused osd the gateway accepts requests and sends no response."""
        process = self._processes[part]
        process.send(signal.SIGSTOP)
        # Until its last thread has stopped, which may take a while on a busy machine.
        if not wait_for(process.stopped, STOP_SECONDS_MAX):
            raise RadosgwError(f"the {part} does not stop")

    def resume(self, part="gateway"):
        self._processes[part].send(signal.SIGCONT)

    # --- inside ---

    def _environment(self):
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("CEPH_", "PYTHON", "LD_"))}
        # Large buffers as mappings of their own, so that deleted objects give their memory back to the system.
        return kept | {"PATH": PATH, "HOME": self.folder, "LC_ALL": "C", "CEPH_CONF": self._config,
                       "MALLOC_MMAP_THRESHOLD_": "1048576"}

    def _run(self, *command):
        with open(self._log("setup"), "ab") as output:
            try:
                code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/",
                                      env=self._environment(), timeout=_STEP_SECONDS_MAX, check=False).returncode
            except subprocess.TimeoutExpired:
                code = "a timeout"
        if code:
            raise RadosgwError(f"{' '.join(command)} ended with {code}:\n{self._tail('setup')}")

    def _spawn(self, part):
        command = {"mon": ["ceph-mon", "-f", "-i", "a"], "osd": ["ceph-osd", "-f", "-i", "0"],
                   "gateway": ["radosgw", "-f", "-n", "client.gateway"]}[part]
        self._processes[part].spawn([shutil.which(command[0], path=PATH), *command[1:], "-c", self._config],
                                    self._log(part), self._environment())

    def _bring_up(self, fsid, mon_port):
        store = str(uuid.uuid4())
        monmap = os.path.join(self.folder, "monmap")
        self._run("monmaptool", "--create", "--clobber", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon_port}/0]", monmap)
        self._run("ceph-mon", "--mkfs", "-c", self._config, "-i", "a", "--monmap", monmap)
        self._spawn("mon")
        # The first command waits for the monitor, as the gateway and its tool wait for the store and the monitor.
        self._run("ceph", "-c", self._config, "--connect-timeout", "30", "osd", "new", store)
        self._run("ceph-osd", "--mkfs", "-c", self._config, "-i", "0", "--osd-uuid", store)
        self._spawn("osd")
        self._spawn("gateway")
        self._run("radosgw-admin", "-c", self._config, "-n", "client.gateway", "user", "create", "--uid=test",
                  "--display-name=test", f"--access-key={self.info['access_key']}",
                  f"--secret-key={self.info['secret_key']}", "--max-buckets=0")
        self._wait_for_gateway()

    def _wait_for_gateway(self):
        def answers():
            if not self.running():
                raise RadosgwError(f"radosgw ended:\n{self._tail('gateway')}")
            try:
                with socket.create_connection(("127.0.0.1", self.info["port"]), timeout=2) as probe:
                    probe.sendall(b"HEAD / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
                    return probe.recv(5) == b"HTTP/"
            except OSError:
                return False
        if not wait_for(answers, _STEP_SECONDS_MAX):
            raise RadosgwError(f"radosgw does not answer:\n{self._tail('gateway')}\n{self._tail('osd')}")

    def _certificate(self):
        """A new authority's certificate and with it one for the gateway. Returns the authority's file, None without openssl."""
        if not shutil.which("openssl", path=PATH):
            return None
        made = {n: os.path.join(self.folder, n) for n in ("ca.crt", "ca.key", "server.csr", "server.crt", "server.key",
                                                         "server.pem", "names")}
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        with open(made["names"], "w", encoding="utf-8") as file:
            file.write("subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:*.localhost\n")
        self._run("openssl", "req", "-x509", *new_key, "-keyout", made["ca.key"], "-out", made["ca.crt"], "-days", "7",
                  "-subj", "/CN=Keepstore test authority")
        self._run("openssl", "req", *new_key, "-keyout", made["server.key"], "-out", made["server.csr"], "-subj", "/CN=radosgw")
        self._run("openssl", "x509", "-req", "-in", made["server.csr"], "-CA", made["ca.crt"], "-CAkey", made["ca.key"],
                  "-CAcreateserial", "-out", made["server.crt"], "-days", "7", "-extfile", made["names"])
        with open(made["server.pem"], "w", encoding="utf-8") as both:
            os.fchmod(both.fileno(), 0o600)
            for name in ("server.key", "server.crt"):
                with open(made[name], encoding="utf-8") as file:
                    both.write(file.read())
        return made["ca.crt"]


def _configuration(folder, fsid, mon_port, port, tls_port, store_bytes):
    # tcp_nodelay: without it, small responses wait 40 ms for an acknowledgement.
    tls = f" ssl_endpoint=127.0.0.1:{tls_port} ssl_certificate={folder}/server.pem" if tls_port else ""
    return f"""\
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{mon_port}/0]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind ipv4 = true
ms bind ipv6 = false
ms bind msgr1 = false
# One machine, one owner: neither keys nor checksums between the parts, nor sockets for an administrator.
auth cluster required = none
auth service required = none
auth client required = none
ms crc data = false
ms crc header = false
admin socket =
pid file =
run dir = {folder}
log file =
log to stderr = true
err to stderr = true
mon cluster log file =
mon cluster log to stderr = false
keyring = {folder}/keyring
mon data = {folder}/mon
osd data = {folder}/osd
debug ms = 0/0
debug rgw = 0/0
debug osd = 0/0
debug objecter = 0/0
debug filestore = 0/0
# One copy of everything on the one store, in few placement groups.
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon max pg per osd = 2000
mon data avail warn = 1
mon data avail crit = 0
[mon]
mon osd min down reporters = 1
# Every pool that the gateway makes at its start is a few decisions of the monitor, which by default waits 1 s for each.
paxos propose interval = 0.01
paxos min wait = 0.01
[osd]
osd objectstore = memstore
memstore device bytes = {store_bytes}
osd memory target = 939524096
osd scrub min interval = 604800
osd max object size = 134217728
[client.gateway]
# The default, "secure", cannot work without keys: it is refused for ever.
ms mon client mode = crc
rgw frontends = beast tcp_nodelay=1 endpoint=127.0.0.1:{port}{tls}
rgw dns name = localhost
rgw thread pool size = 64
rgw enable usage log = false
rgw enable ops log = false
rgw enable lc threads = false
rgw dynamic resharding = false
# What is deleted gives its memory back within seconds instead of hours.
rgw gc obj min wait = 10
rgw gc processor period = 5
rgw gc processor max time = 60
rgw gc max objs = 4
"""


def command_line():
    parser = argparse.ArgumentParser(description="Starts and stops an S3 server for tests.")
    parser.add_argument("what", choices=["start", "stop", "kill", "revive", "pause", "resume", "status", "guard"])
    parser.add_argument("folder")
    parser.add_argument("part", nargs="?", default="gateway")
    parser.add_argument("--bucket", action="append", default=[])
    add_start_options(parser)
    arguments = parser.parse_args()
    if arguments.what == "guard":
        return Radosgw(arguments.folder).guard(int(arguments.part))
    if arguments.part not in PARTS:
        parser.error(f"the parts are {' '.join(PARTS)}")
    if arguments.what in ("start", "stop"):
        return start_or_stop(arguments, Radosgw, missing(), arguments.bucket)
    server = Radosgw(arguments.folder)
    if arguments.what == "status":
        for part in PARTS:
            print(part, server.pid(part) or "-")
    else:
        getattr(server, arguments.what)(arguments.part)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(command_line())
    except ServerError as problem:
        sys.exit(f"radosgw: {problem}")
