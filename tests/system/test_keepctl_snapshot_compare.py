"""keepctl snapshot diff, find and verify: blocks that came and went, lost copies or have another size, on servers that are not
real; and creates of what such servers say."""

import os
import subprocess

from support import keepctl
from support.balance_case import names
from support.case import main
from support.daemon import SYSTEM_ROOT_TOKEN, volume_uuid
from support.fake_keep import OLD, FakeKeep
from support.snapshot_case import SnapshotCase
from support.wait import refusing_port


class Case(SnapshotCase):
    """Three servers with a volume each; the third also shows the volume of the second."""

    def setUp(self):
        super().setUp()
        self.repository = f"file://{self.dir.make('repository')}"
        self.init()
        self.keeps = [self.keep({volume_uuid(0): {}}), self.keep({volume_uuid(1): {}}),
                      self.keep({volume_uuid(1): {}, volume_uuid(2): {}})]
        with open(self.path("token"), "w", encoding="ascii") as file:
            file.write(SYSTEM_ROOT_TOKEN)

    def path(self, name):
        return os.path.join(self.dir.path, name)

    def keep(self, mounts):
        keep = FakeKeep(mounts)
        self.addCleanup(keep.close)
        return keep

    def words(self):
        return ["--token-file", self.path("token"), *[w for k in self.keeps for w in ("--server", k.url)]]

    def put(self, block, *volumes, size=3):
        """Copies of a block on these volumes only."""
        for keep in self.keeps:
            for uuid, blocks in keep.blocks.items():
                blocks.pop(block, None)
                if uuid in map(volume_uuid, volumes):
                    blocks[block] = (size, OLD)

    def take(self, *arguments, **options):
        return self.snapshot("create", "cluster", *arguments, *self.words(), **options)

    def states(self, done):
        return {b["block"]: b["state"] for b in done.rows("block")}


class Differences(Case):
    def setUp(self):
        super().setUp()
        self.gone, self.fewer, self.moved, self.resized, self.same, self.came, self.twice = names(7)
        for block in self.gone, self.fewer, self.moved, self.resized, self.same:
            self.put(block, 0, 1)
        self.put(self.twice, 1)
        self.older = self.take().summary["id"]
        self.put(self.gone)
        self.put(self.fewer, 1)        # One device, which two servers show.
        self.put(self.moved, 0, 2)
        self.put(self.resized, 0, 1, size=4)
        self.put(self.came, 2)
        self.put(self.twice, 0)        # One copy, as before.

    def test_diff(self):
        newer = self.take("--digits", "1").summary["id"]
        done = self.snapshot("diff", self.older, newer)
        self.assertEqual(self.states(done), {f"{self.gone}+3": "gone", f"{self.fewer}+3": "fewer_copies",
                                             f"{self.resized}+3": "size_differs", f"{self.came}+3": "new"})
        copies = {b["block"][:32]: (b["copies_before"], b["copies_after"]) for b in done.rows("block")}
        self.assertEqual(copies, {self.gone: (2, None), self.fewer: (2, 1), self.resized: (2, 0), self.came: (None, 1)})
        self.assertEqual([done.summary[k] for k in ("same", "new", "gone", "fewer_copies", "size_differs")], [3, 1, 1, 1, 1])
        # The other way round, and with itself.
        back = self.states(self.snapshot("diff", "latest", self.older))
        self.assertEqual(back, {f"{self.gone}+3": "new", f"{self.resized}+4": "size_differs", f"{self.came}+3": "gone"})
        self.assertEqual(self.snapshot("diff", newer, "latest").summary["same"], 7 - 1)

    def test_two_volumes_of_one_device(self):
        """They have one copy, whatever their UUIDs are."""
        for mount in self.keeps[2].mounts.values():
            mount["device_id"] = f"disk-{volume_uuid(1)}"
        self.put(self.same, 1, 2)
        before = self.take("--allow-missing", volume_uuid(2)).summary["id"]
        self.put(self.same, 2)
        self.assertEqual(self.states(self.snapshot("diff", before, self.take().summary["id"])), {})

    def test_find(self):
        newer = self.take().summary["id"]
        found = {s["id"]: (s["copies"], s["size"], s["mounts"])
                 for s in self.snapshot("find", self.moved).rows("snapshot")}
        self.assertEqual(found, {self.older: (2, 3, [volume_uuid(0), volume_uuid(1)]),
                                 newer: (2, 3, [volume_uuid(0), volume_uuid(2)])})
        done = self.snapshot("find", self.gone)
        self.assertEqual([(s["id"], s["copies"]) for s in done.rows("snapshot")], [(newer, 0), (self.older, 2)])
        self.assertEqual(done.summary["found"], 1)
        self.assertEqual(self.snapshot("find", "0" * 32, code=1).summary["found"], 0)

    def test_verify(self):
        new = self.path("new")
        done = self.snapshot("verify", self.older, "cluster", "--new", new, *self.words(), code=1)
        self.assertEqual(self.states(done), {f"{self.gone}+3": "missing", f"{self.fewer}+3": "fewer_copies",
                                             f"{self.resized}+3": "size_differs"})
        self.assertEqual([done.summary[k] for k in ("there", "missing", "fewer_copies", "size_differs", "new")],
                         [3, 1, 1, 1, 1])
        with open(new, encoding="ascii") as file:
            self.assertEqual(file.read(), f"{self.came}+3\n")
        # New ones alone are no failure.
        for block in self.gone, self.fewer, self.resized:
            self.put(block, 0, 1)
        self.assertEqual(self.snapshot("verify", self.older, "cluster", *self.words()).summary["new"], 1)

    def test_each_kind_of_difference_is_a_failure_of_its_own(self):
        for block, kind in (self.gone, "missing"), (self.fewer, "fewer_copies"), (self.resized, "size_differs"):
            with self.subTest(kind):
                for other in self.gone, self.fewer, self.resized:
                    if other != block:
                        self.put(other, 0, 1)
                done = self.snapshot("verify", self.older, "cluster", *self.words(), code=1)
                self.assertEqual(self.states(done), {f"{block}+3": kind})
                self.put(self.gone)
                self.put(self.fewer, 1)
                self.put(self.resized, 0, 1, size=4)

    def test_a_part_that_cannot_be_listed(self):
        """Nothing is missing of what could not be looked at."""
        for block in self.fewer, self.resized:
            self.put(block, 0, 1)
        self.keeps[0].index_end = b""
        done = self.snapshot("verify", self.older, "cluster", *self.words(), code=6)
        self.assertEqual((self.states(done), done.summary["shards_incomplete"]), ({}, 1))
        self.assertIn("could not be listed", done.stderr)


class Creates(Case):
    """What servers say that makes no snapshot."""

    def setUp(self):
        super().setUp()
        for block in names(40):
            self.put(block, 0, 1)
        self.first = self.take().summary["id"]

    def assert_no_snapshot(self, code, says, *arguments):
        done = self.take(*arguments, code=code)
        self.assertIn(says, done.stderr)
        self.assertEqual(self.listed(), [self.first])
        self.assertEqual(os.listdir(self.path("repository/snapshots")), [self.first])
        for keep in self.keeps:
            self.assertEqual(keep.puts, [])
        return done

    def test_a_server_that_does_not_respond(self):
        self.keeps[1].url = f"http://127.0.0.1:{refusing_port(self)}"
        done = self.take(code=None)
        self.assertIn(done.code, (3, 6), done)
        self.assertIn(self.keeps[1].url, done.stderr)
        self.assertEqual(self.listed(), [self.first])

    def test_a_mount_that_is_gone(self):
        del self.keeps[0].mounts[volume_uuid(0)]
        self.assert_no_snapshot(6, f"--allow-missing {volume_uuid(0)}")
        self.take("--allow-missing", volume_uuid(0))

    def test_another_device(self):
        self.keeps[0].mounts[volume_uuid(0)]["device_id"] = "another"
        self.assert_no_snapshot(6, "another device")
        self.take("--allow-missing", volume_uuid(0))

    def test_an_index_that_is_cut_or_says_something_else(self):
        for end in b"", b"Error: disk\n\n":
            with self.subTest(end):
                self.keeps[1].index_end = end
                self.assert_no_snapshot(6, "nothing was listed")
        self.keeps[1].index_end = b"\n"
        self.keeps[1].index_status = 500
        self.assert_no_snapshot(6, "nothing was listed")

    def test_a_disk_that_is_not_mounted(self):
        for keep in self.keeps[1:]:
            keep.blocks[volume_uuid(1)].clear()
        self.assert_no_snapshot(6, f"--allow-missing {volume_uuid(1)}")

    def test_entries_that_are_no_blocks(self):
        """Files over 64 MiB are counted, and left out; an empty block is one like others."""
        self.keeps[0].blocks[volume_uuid(0)]["0" * 32] = (67_108_865, OLD)
        self.keeps[0].blocks[volume_uuid(0)]["d41d8cd98f00b204e9800998ecf8427e"] = (0, OLD)
        done = self.take()
        self.assertEqual((done.summary["too_large"], done.summary["blocks"]), (1, 41))
        self.assertEqual(self.snapshot("find", "d41d8cd98f00b204e9800998ecf8427e").summary["found"], 1)
        self.assertEqual(self.snapshot("find", "0" * 32, code=1).summary["found"], 0)

    def test_an_output_that_is_full(self):
        for words in ("list",), ("show", "latest", "--blocks"):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([keepctl.program(), "snapshot", words[0], self.repository, *words[1:]], stdout=full,
                                      stderr=subprocess.PIPE, env=keepctl.environment(self.dir.path), check=False)
            self.assertEqual(done.returncode, 6, done)


if __name__ == "__main__":
    main()
