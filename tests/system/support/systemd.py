"""What systemd is to a command that runs as a service: the socket of sd_notify, and the check of its unit file."""

import os
import re
import shlex
import shutil
import socket
import subprocess
import time

from . import keepctl
from .daemon import _ROOT
from .wait import PATIENCE


class NotifySocket:
    """Where a service says what it does. `env` goes into its environment."""

    def __init__(self, case):
        self.path = os.path.join(case.dir.path, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        case.addCleanup(self.socket.close)
        self.socket.bind(self.path)
        self.env = {"NOTIFY_SOCKET": self.path, "WATCHDOG_USEC": "400000"}

    def wait_for(self, word):
        """Reads what systemd would be told, until a line has `word`. Returns that line."""
        seen = []
        end = time.monotonic() + 10 * PATIENCE
        while time.monotonic() < end:
            self.socket.settimeout(max(end - time.monotonic(), 0.01))
            try:
                lines = self.socket.recv(4096).decode().split("\n")
            except TimeoutError:
                break
            seen += lines
            for line in lines:
                if word in line:
                    return line
        raise AssertionError(f"no {word}; seen: {seen}")


def check_unit(case, name, command):
    """Asserts that the example packaging/`name` runs keepctl `command` with options that it takes, and that systemd, if it
    is installed, accepts it."""
    with open(os.path.join(_ROOT, "packaging", name), encoding="utf-8") as file:
        text = file.read()
    line = re.search(r"^ExecStart=((?:.*\\\n)*.*)$", text, re.MULTILINE)[1].replace("\\\n", " ")
    words = shlex.split(line)
    case.assertEqual(words[:2], ["/usr/bin/keepctl", command])
    # The command line is accepted: what is missing is a configuration.
    done = keepctl.run(case.dir.path, *words[1:], "--config", os.path.join(case.dir.path, "none.yml"))
    case.assertEqual(done.code, 2, done)
    case.assertIn("none.yml", done.stderr)
    if not shutil.which("systemd-analyze"):
        case.skipTest("systemd-analyze is not installed")
    copy = os.path.join(case.dir.path, name)
    with open(copy, "w", encoding="utf-8") as file:
        file.write(text.replace("/usr/bin/keepctl", keepctl.program()).replace("Documentation=man:keepctl(1)\n", ""))
    checked = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, timeout=60, check=False)
    complaints = [x for x in checked.stderr.splitlines() if name.removesuffix(".service") in x]
    case.assertEqual((complaints, checked.returncode), ([], 0), checked.stderr)
