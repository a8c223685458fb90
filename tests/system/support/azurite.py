#!/usr/bin/env python3
"""A real Blob service for tests: Azurite, Microsoft's emulator of Azure Storage, on loopback only.

scripts/install-azurite installs it. As a command, in tests/system:
    python3 -m support.azurite start FOLDER [--container NAME]... [--publish FILE] [--with-parent]
    python3 -m support.azurite stop FOLDER [--publish FILE]
    python3 -m support.azurite kill|revive|pause|resume FOLDER
Exit code 77: it is not installed.

It keeps its state in the folder, so it can be killed and revived."""

import argparse
import base64
import os
import secrets
import shutil
import signal
import sys
import unittest

from .azure_client import AzureClient
from .process import (PACKAGE_ROOT, STOP_SECONDS_MAX, Process, Server, ServerError, add_start_options, start_or_stop, wait_for)
from .wait import port_open, stable_port

ACCOUNT = "keepstoretest"
OTHER_ACCOUNT = "keepstoreother"
NODE_MIN = 18
_START_SECONDS_MAX = 60
_PROJECT_ROOT = os.path.dirname(os.path.dirname(PACKAGE_ROOT))
# Where scripts/install-azurite puts it.
PROGRAM = os.path.join(os.environ.get("KEEPSTORE_AZURITE") or os.path.join(_PROJECT_ROOT, "build", "azurite"),
                       "node_modules/azurite/dist/src/blob/main.js")


def missing():
    """The reason why this machine cannot run it, or None."""
    if not shutil.which("node"):
        return f"not installed: node ({NODE_MIN} or later), for Azurite"
    if not os.path.exists(PROGRAM):
        return "not installed: Azurite (scripts/install-azurite)"
    return None


class Azurite(Server):
    """The server, one process."""

    def __init__(self, folder):
        super().__init__(folder)
        self._process = Process(os.path.join(self.folder, "azurite.pid"))

    def start(self, containers=(), owner=None):
        """Starts a new and empty server, after ending an earlier one in the folder. `owner`: the pid of a process with which the
        server ends at the latest. Returns the result of publish()."""
        if missing():
            raise unittest.SkipTest(missing())
        self.stop()
        shutil.rmtree(self._data(), ignore_errors=True)
        os.makedirs(self._data(), mode=0o700)
        port = stable_port()
        self.info = {"host": "127.0.0.1", "port": port, "endpoint": f"http://127.0.0.1:{port}/{ACCOUNT}", "account": ACCOUNT,
                     "key": base64.b64encode(secrets.token_bytes(64)).decode(), "folder": self.folder,
                     "other": {"endpoint": f"http://127.0.0.1:{port}/{OTHER_ACCOUNT}", "account": OTHER_ACCOUNT,
                               "key": base64.b64encode(secrets.token_bytes(64)).decode()},
                     "tool": [sys.executable, "-B", os.path.join(PACKAGE_ROOT, "support/azure_client.py")]}
        try:
            if owner is not None:
                self._start_guard(__spec__.name, owner)
            self.revive()
            client = self.client()
            for container in containers:
                client.make_container(container)
            client.close()
            self._save()
        except BaseException:
            self.stop()
            raise
        return self.info

    def stop_parts(self):
        self._process.end(signal.SIGKILL)
        shutil.rmtree(self._data(), ignore_errors=True)
        self._forget()

    def client(self):
        return AzureClient(self.info["endpoint"], self.info["key"])

    def running(self):
        return self._process.pid() is not None

    def kill(self):
        """kill -9, and waits until it is gone."""
        self._process.end(signal.SIGKILL)

    def revive(self):
        """Starts it, or starts it again after kill(), on its port, and waits until it responds."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("AZURITE_", "NODE_", "LD_"))}
        command = [shutil.which("node"), PROGRAM, "--blobHost", self.info["host"], "--blobPort", str(self.info["port"]),
                   "--location", self._data(), "--silent", "--disableTelemetry"]
        accounts = ";".join(f"{a['account']}:{a['key']}" for a in (self.info, self.info["other"]))
        self._process.spawn(command, self._log("azurite"), kept | {"AZURITE_ACCOUNTS": accounts, "HOME": self.folder})

        def responds():
            if not self.running():
                raise ServerError(f"Azurite ended:\n{self._tail('azurite')}")
            return port_open(self.info["port"])
        if not wait_for(responds, _START_SECONDS_MAX):
            raise ServerError(f"Azurite does not respond:\n{self._tail('azurite')}")

    def pause(self):
        """Pauses it: its connections stay open and silent."""
        self._process.send(signal.SIGSTOP)
        if not wait_for(self._process.stopped, STOP_SECONDS_MAX):
            raise ServerError("Azurite does not stop")

    def resume(self):
        self._process.send(signal.SIGCONT)

    def _data(self):
        return os.path.join(self.folder, "data")


def command_line():
    parser = argparse.ArgumentParser(description="Starts and stops a Blob service for tests.")
    parser.add_argument("what", choices=["start", "stop", "kill", "revive", "pause", "resume", "guard"])
    parser.add_argument("folder")
    parser.add_argument("owner", nargs="?", type=int)
    parser.add_argument("--container", action="append", default=[])
    add_start_options(parser)
    arguments = parser.parse_args()
    if arguments.what == "guard":
        return Azurite(arguments.folder).guard(arguments.owner)
    if arguments.what in ("start", "stop"):
        return start_or_stop(arguments, Azurite, missing(), arguments.container)
    getattr(Azurite(arguments.folder), arguments.what)()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(command_line())
    except ServerError as problem:
        sys.exit(f"azurite: {problem}")
