"""packaging/keepstore.service: systemd accepts it and rates it as hardened, and the daemon works under its restrictions."""

import configparser
import os
import re
import shutil
import subprocess
import sys
import unittest

from support.case import KeepstoreCase, main
from support.daemon import TempDir

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
UNIT = os.path.join(ROOT, "packaging", "keepstore.service")
EXPOSURE_MAX = 1.5
# What touches files, sockets, threads and signals in every way that the daemon knows.
UNDER_RESTRICTIONS = ("test_put_get", "test_touch_trash", "test_index", "test_drain", "test_notify", "test_range")


def unit():
    """The directives of the unit's sections; of a repeated one all values."""
    class Repeated(dict):
        def __setitem__(self, key, value):
            if isinstance(value, list) and key in self:
                self[key].extend(value)
            else:
                super().__setitem__(key, value)

    parser = configparser.RawConfigParser(dict_type=Repeated, strict=False, interpolation=None)
    parser.optionxform = str
    with open(UNIT, encoding="utf-8") as file:
        parser.read_file(file)
    return {key: value.split("\n") for key, value in parser["Service"].items()}


def calls_in(group):
    """The system calls of a group such as @system-service, those of the groups in it included."""
    names = set()
    lines = subprocess.run(["systemd-analyze", "syscall-filter", "--no-pager", group], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    for line in lines[1:]:
        word = line.strip()
        if word.startswith("@"):
            names |= calls_in(word)
        elif re.fullmatch(r"[a-z0-9_]+", word):
            names.add(word)
    return names


class Unit(KeepstoreCase):
    def setUp(self):
        super().setUp()
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")

    def test_systemd_accepts_it(self):
        """With this build's program and without the manual page, which the package brings."""
        with open(UNIT, encoding="utf-8") as file:
            text = file.read()
        text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", text)
        text = re.sub(r"(?m)^Documentation=.*\n", "", text)
        path = os.path.join(self.dir.path, "keepstore.service")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        run = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True)
        complaints = [line for line in run.stderr.splitlines() if "keepstore.service" in line]
        self.assertEqual(complaints, [])

    def test_it_is_hardened(self):
        run = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT], capture_output=True,
                             text=True)
        rating = re.search(r"Overall exposure level for keepstore.service: ([0-9.]+)", run.stdout)
        self.assertIsNotNone(rating, run.stdout + run.stderr)
        self.assertLessEqual(float(rating.group(1)), EXPOSURE_MAX)

    def test_it_starts_again_after_any_end_but_a_wrong_command_line(self):
        service = unit()
        self.assertEqual(service["Restart"], ["always"])
        self.assertEqual(service["RestartPreventExitStatus"], ["2"])
        self.assertEqual(service["Type"], ["notify"])


class UnderItsRestrictions(unittest.TestCase):
    """The process tests again, with each daemon in the sandbox that the unit describes."""

    def test_process_tests(self):
        sandbox = os.environ.get("KEEPSTORE_SANDBOX_PROGRAM")
        if not sandbox or not os.path.exists(sandbox):
            self.skipTest("the sandbox is not built (libseccomp-dev)")
        if os.geteuid() != 0:
            self.skipTest("needs root")
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        allowed = set()
        for line in unit()["SystemCallFilter"]:
            for group in line.lstrip("~").split():
                calls = calls_in(group) if group.startswith("@") else {group}
                allowed = allowed - calls if line.startswith("~") else allowed | calls
        self.assertIn("openat", allowed)
        self.assertNotIn("mount", allowed)
        self.assertNotIn("chown", allowed)
        folder = TempDir()
        self.addCleanup(folder.remove)
        listed = os.path.join(folder.path, "calls")
        with open(listed, "w", encoding="utf-8") as file:
            file.write("\n".join(sorted(allowed)))
        probe = subprocess.run([sandbox, listed, folder.path, "/bin/true"], capture_output=True, text=True)
        if probe.returncode == 125:
            self.skipTest(f"no sandbox here: {probe.stderr.strip()}")
        environment = os.environ | {"KEEPSTORE_TEST_WRAPPER": "\n".join((sandbox, listed, folder.path)),
                                    "TMPDIR": folder.path,
                                    # The search for leaks stops the process by ptrace, which the unit forbids.
                                    "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
        here = os.path.dirname(os.path.abspath(__file__))
        for name in UNDER_RESTRICTIONS:
            with self.subTest(name):
                run = subprocess.run([sys.executable, "-B", os.path.join(here, name + ".py")], env=environment,
                                     capture_output=True, text=True)
                self.assertIn(run.returncode, (0, 77), run.stderr[-4000:])


if __name__ == "__main__":
    main()
