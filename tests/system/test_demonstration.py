"""scripts/run: the first command of a newcomer, with a directory and with a bucket, ends well and leaves nothing."""

import os
import re
import subprocess

from support.case import KeepstoreCase, main
from support.daemon import binary
from support.radosgw import missing
from support.wait import PATIENCE

SCRIPT = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "scripts", "run")


class Demonstration(KeepstoreCase):
    def demonstrate(self, *arguments):
        run = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, timeout=60 * PATIENCE, check=False,
                             env=os.environ | {"KEEPSTORE_RUN_BINARY": binary(), "KEEPSTORE_RUN_PORT": "0",
                                               "TMPDIR": self.dir.path})
        self.assertEqual(os.listdir(self.dir.path), [], "left behind")
        return run

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

    def test_an_unknown_option(self):
        run = self.demonstrate("--S3")
        self.assertEqual(run.returncode, 2)
        self.assertIn("scripts/run --s3 ", run.stderr)


if __name__ == "__main__":
    main()
