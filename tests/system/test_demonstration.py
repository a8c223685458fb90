"""scripts/run: the first command of a newcomer, with a directory and with a bucket, ends well and leaves nothing."""

import os
import re
import shutil
import subprocess
import tempfile

from support import keepctl
from support.case import KeepstoreCase, main
from support.daemon import binary
from support.radosgw import missing
from support.wait import PATIENCE

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# It finds that everything is installed, and notes for what it was asked.
DPKG_QUERY = """#!/bin/sh
shift 3
printf '%s\\n' "$@" >"$WANTED"
for package in "$@"; do echo "$package installed"; done
"""
# Instead of scripts/build.
BUILD = """#!/bin/sh
mkdir -p "$BUILT/bin"
ln -s "$KEEPSTORE_BINARY" "$BUILT/keepstore"
ln -s "$KEEPCTL_BINARY" "$BUILT/bin/keepctl"
"""


def write_program(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o755)


class Demonstration(KeepstoreCase):
    def demonstrate(self, *arguments, root=ROOT, env=None):
        env = {"KEEPSTORE_RUN_BINARY": binary()} if env is None else env
        run = subprocess.run([os.path.join(root, "scripts", "run"), *arguments], capture_output=True, text=True,
                             timeout=60 * PATIENCE, check=False,
                             env=os.environ | {"KEEPSTORE_RUN_PORT": "0", "TMPDIR": self.dir.path} | env)
        self.assertEqual(os.listdir(self.dir.path), [], "left behind")
        return run

    def packages(self, name):
        with open(os.path.join(ROOT, "scripts", f"packages.{name}"), encoding="utf-8") as file:
            return {line.split("#")[0].strip() for line in file} - {""}

    def assert_shown(self, run):
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertEqual(re.findall(r"(?m)^HTTP/1.1 ([2-5]\d\d)", run.stdout), ["200", "200"])
        self.assertIn("run: the bytes are the same", run.stdout)
        self.assertTrue(run.stdout.endswith("run: stopped\n"), run.stdout)

    def test_a_directory(self):
        self.assert_shown(self.demonstrate("--once"))

    def test_a_bucket(self):
        if missing():
            self.skipTest(missing())
        run = self.demonstrate("--s3", "--once")
        self.assert_shown(run)
        block = re.search(r"(?m)^([0-9a-f]{32})\+(\d+)\+A", run.stdout)
        self.assertIn(f"\n{block.group(2)} {block.group(1)}\n0 recent/{block.group(1)}\n", run.stdout)

    def test_it_installs_what_building_needs_and_no_more(self):
        self.assertFalse(any("radosgw" in p or "ceph" in p for p in self.packages("build")))
        with tempfile.TemporaryDirectory(prefix="keepstore-tree-") as tree:
            shutil.copytree(os.path.join(ROOT, "scripts"), os.path.join(tree, "scripts"))
            shutil.copy(os.path.join(ROOT, "README.md"), tree)
            write_program(os.path.join(tree, "scripts", "build"), BUILD)
            for name in ("dpkg-query", "apt-get"):
                write_program(os.path.join(tree, "bin", name), DPKG_QUERY)
            wanted = os.path.join(tree, "wanted")
            self.assert_shown(self.demonstrate("--once", root=tree, env={
                "PATH": os.path.join(tree, "bin") + ":" + os.environ["PATH"], "WANTED": wanted,
                "BUILT": os.path.join(tree, "build", "release"), "KEEPSTORE_BINARY": binary(),
                "KEEPCTL_BINARY": keepctl.program()}))
            with open(wanted, encoding="utf-8") as file:
                self.assertEqual(set(file.read().split()), self.packages("build"))

    def test_an_unknown_option(self):
        run = self.demonstrate("--S3")
        self.assertEqual(run.returncode, 2)
        self.assertIn("scripts/run --s3 ", run.stderr)


if __name__ == "__main__":
    main()
