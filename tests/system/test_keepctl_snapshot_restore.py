"""keepctl snapshot verify --data: blocks that are listed, and no longer good."""

import os

from support import keepctl
from support.case import main
from support.daemon import SIGNING_KEY, SYSTEM_ROOT_TOKEN
from support.snapshot_case import SnapshotCase


def at(root, name):
    return os.path.join(root, name[:3], name)


def rot(root, name):
    """Changes the last byte of a copy."""
    with open(at(root, name), "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))


class Case(SnapshotCase):
    def setUp(self):
        super().setUp()
        self.repository = f"file://{self.dir.make('repository')}"
        self.init()

    def path(self, name):
        return os.path.join(self.dir.path, name)


class Servers(Case):
    def setUp(self):
        super().setUp()
        for name, secret in (("token", SYSTEM_ROOT_TOKEN), ("key", SIGNING_KEY)):
            with open(self.path(name), "w", encoding="ascii") as file:
                file.write(secret)
        self.secrets = ["--token-file", self.path("token"), "--signing-key-file", self.path("key")]

    def start_daemon(self, name):
        # What it says of rotten blocks is no failure here.
        return super(SnapshotCase, self).start([self.dir.make(name)], check_log=False)

    def url(self, daemon):
        return f"http://{daemon.address[0]}:{daemon.address[1]}"

    def test_verify_by_data(self):
        one = self.start_daemon("v0")
        root = one.roots()[0]
        for place, words in ((f"dir:{root}", []), (f"keep:{self.url(one)}", self.secrets)):
            with self.subTest(place=place):
                blocks = self.fill(root, 20, 5000)
                names = sorted(blocks)
                self.snapshot("create", place, *words)
                total = len(keepctl.stored(root))
                done = self.snapshot("verify", "latest", place, "--data", *words)
                self.assertEqual((done.summary["there"], done.summary["checked"], done.summary["bad"]), (total, total, 0))
                rot(root, names[3])
                os.unlink(at(root, names[4]))
                done = self.snapshot("verify", "latest", place, *words, code=1)
                self.assertEqual((done.summary["missing"], done.summary["there"]), (1, total - 1))
                done = self.snapshot("verify", "latest", place, "--data", *words, code=1)
                self.assertEqual({b["block"][:32]: b["state"] for b in done.rows("block")},
                                 {names[3]: "bad", names[4]: "missing"})
                # Parts make the whole: each block is looked at once.
                parts = [self.snapshot("verify", "latest", place, "--data", "--subset", f"{n}/3", *words, code=None)
                         for n in (1, 2, 3)]
                self.assertEqual(sum(p.summary["checked"] for p in parts), total - 1)
                self.assertEqual(sum(p.summary["bad"] for p in parts), 1)
                self.assertEqual(sorted(p.code for p in parts)[-1], 1)
                os.unlink(at(root, names[3]))


if __name__ == "__main__":
    main()
