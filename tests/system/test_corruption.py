"""Wrong bytes on disk: never delivered as a complete 200, healed from another mount, repaired by a PUT."""

import os
import random
import time
import unittest

from support import waypoints
from support.case import KeepstoreCase, SharedDaemonCase, main, seed
from support.client import Closed
from support.daemon import ACTIVE_TOKEN, block_path, store, volume_uuid
from support.locator import EMPTY, md5, plain

MiB = 1 << 20
# Where the file system keeps attributes, every block is checked as a whole before its first byte is sent, or by its
# waypoints. Elsewhere this holds up to this size; of a larger block at least this much is withheld until the hash
# matches, so that a bad copy found late ends in a cut response and never in a complete one.
WITHHELD = 256 << 10
MISMATCH = "checksum mismatch in stored data\n"

# Two published messages of 128 bytes with the same MD5 (Wang, Feng, Lai, Yu 2004).
COLLISION = [bytes.fromhex(text) for text in (
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f8955ad340609f4b30283e488832571415a"
    "085125e8f7cdc99fd91dbdf280373c5bd8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70",
    "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f8955ad340609f4b30283e4888325f1415a"
    "085125e8f7cdc99fd91dbd7280373c5bd8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0"
    "e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70")]


def damaged(data):
    """Every way a stored copy can be wrong: (what, bytes)."""
    n = len(data)
    flipped = bytearray(data)
    flipped[n // 2] ^= 1
    last = bytearray(data)
    last[-1] ^= 0x80
    return [("empty", b""), ("3 bytes", b"abc" if n > 3 else b"ab"), ("zeros", bytes(n)), ("one less", data[:-1]),
            ("one more", data + b"x"), ("twice", data * 2), ("bit flip", bytes(flipped)), ("last byte", bytes(last)),
            ("half", data[:n // 2]), ("first part right, then zeros", data[:n // 2] + bytes(n - n // 2)),
            ("first byte", bytes([data[0] ^ 1]) + data[1:]), ("halves swapped", data[n // 2:] + data[:n // 2])]


class OneCopy(SharedDaemonCase):
    def get_wrong(self, data, what, with_waypoints=False):
        """A GET of a block without a good copy: an error status, or visibly cut; never a complete 200."""
        try:
            response = self.daemon.get(plain(data))
        except Closed:
            return
        if response.status == 200:
            self.assertFalse(response.complete, f"{what}: a complete 200 with {len(response.body)} bytes")
            self.assertLess(len(response.body), len(data))
            self.assertGreater(len(data), WITHHELD, f"{what}: a small block must be known bad before the status line")
            if waypoints.supported(self.roots[0]):
                self.assertTrue(data.startswith(response.body), f"{what}: wrong bytes were sent")
                self.assertTrue(with_waypoints, f"{what}: a copy without waypoints must be known bad before the status line")
        else:
            self.assert_reply(response, 502, MISMATCH)

    def test_wrong_copies_are_never_delivered(self):
        for size in (1, 3, 1000, 65535, 65536, 65537, 262144, 300_000, 1_000_000):
            data = os.urandom(size)
            for what, bad in damaged(data):
                if bad == data:
                    continue
                with self.subTest(size=size, what=what):
                    store(self.roots[0], md5(data), bad, age=100)
                    self.get_wrong(data, what)
                    response = self.daemon.get(plain(data), method="HEAD")
                    self.assert_reply(response, 502, b"")
                    response = self.daemon.get(md5(data), method="HEAD")
                    self.assert_reply(response, 502, b"")

    def test_large_block_as_in_the_reference_suite(self):
        data = b"a" + bytes(9_999_999)
        for bad in (bytes(3), bytes(10_000_000), bytes(9_999_999), bytes(10_000_001), bytes(20_000_000)):
            with self.subTest(len(bad)):
                store(self.roots[0], md5(data), bad)
                self.get_wrong(data, f"{len(bad)} bytes")
                self.assert_reply(self.daemon.get(plain(data), method="HEAD"), 502, b"")

    def test_each_failed_read_has_a_log_line_with_request_and_copy(self):
        """The copy is logged once; each request that fails because of it, with 502 or cut, has a line of its own."""
        for at, earliest in ((100_000, 0), (MiB + 5, MiB - 256 * 1024)):
            data = os.urandom(3 * MiB)
            self.daemon.put(data)
            with open(block_path(self.roots[0], md5(data)), "r+b") as file:
                file.seek(at)
                file.write(bytes([data[at] ^ 1]))
            for number, method in enumerate(("GET", "GET", "HEAD")):
                mark = f"req-corrupt-{at}-{number}"
                with self.subTest(mark):
                    response = self.daemon.get(plain(data), method=method, headers={"X-Request-Id": mark})
                    if method == "HEAD" or at == 100_000:
                        self.assert_reply(response, 502, MISMATCH if method == "GET" else b"")
                    else:
                        self.assertFalse(response.complete)
                        self.assertTrue(data.startswith(response.body))
                    entry = self.daemon.log.wait(msg="no good copy of a block", RequestID=mark)
                    self.assertEqual((entry["block"], entry["mount"]), (md5(data), volume_uuid(0)))
                    self.assertEqual(entry["sent"], 0 if response.status == 502 else entry["offset"])
                    self.assertLessEqual(entry["offset"], at)
                    self.assertGreaterEqual(entry["offset"], earliest)
                    self.assertRegex(entry["problem"], r"^corrupt \(known since 20\d\d-.*Z\): has the wrong content$")
            self.assertEqual(len(self.daemon.log.entries(msg="stored copy is bad", block=md5(data))), 1)

    def test_damage_after_it_was_written_by_us(self):
        # State that the daemon keeps about the file must not make it trust the file.
        data = os.urandom(3 * MiB)
        self.daemon.put(data)
        self.assert_reply(self.daemon.get(plain(data)), 200)
        path = block_path(self.roots[0], md5(data))
        stamp = os.stat(path).st_mtime_ns
        for offset in (0, MiB, 2 * MiB - 1, 3 * MiB - 1):
            with self.subTest(offset):
                with open(path, "r+b") as file:
                    file.seek(offset)
                    file.write(bytes([data[offset] ^ 1]))
                os.utime(path, ns=(stamp, stamp))
                self.get_wrong(data, f"flip at {offset}", with_waypoints=True)
                with open(path, "r+b") as file:
                    file.seek(offset)
                    file.write(data[offset:offset + 1])
                os.utime(path, ns=(stamp, stamp))
        self.assertTrue(self.daemon.get(plain(data)).body == data)

    def test_wrong_size_hint_on_a_good_block(self):
        data = os.urandom(1000)
        self.daemon.put(data)
        for hint in (1, 999, 1001, 65536, 64 * MiB):
            with self.subTest(hint):
                response = self.daemon.get(f"{md5(data)}+{hint}")
                self.assert_reply(response, 502, MISMATCH)

    def test_stored_file_over_the_limit(self):
        name = md5(b"sparse")
        path = store(self.roots[0], name, b"")
        os.truncate(path, 64 * MiB + 1)
        self.assertIn(self.daemon.get(name + "+6").status, (413, 502))

    def test_nonempty_file_under_the_empty_name(self):
        store(self.roots[0], EMPTY, b"x")
        self.assertEqual(self.daemon.get(EMPTY + "+0").status, 502)
        os.unlink(block_path(self.roots[0], EMPTY))

    def test_put_repairs_a_bad_copy(self):
        for size in (1, 1000, 65536, 300_000, 2 * MiB):
            data = os.urandom(size)
            for what, bad in damaged(data):
                if bad == data:
                    continue
                with self.subTest(size=size, what=what):
                    path = store(self.roots[0], md5(data), bad, age=1000)
                    response = self.assert_reply(self.daemon.put(data), 200)
                    self.assertEqual(response.header("X-Keep-Replicas-Stored"), "1")
                    with open(path, "rb") as file:
                        self.assertTrue(file.read() == data)
                    self.assertLess(time.time() - os.stat(path).st_mtime, 60)
                    self.assertTrue(self.daemon.get(plain(data)).body == data)
        self.daemon.assert_nothing_held()

    def test_a_wrong_body_does_not_replace_a_bad_copy(self):
        data = os.urandom(1000)
        path = store(self.roots[0], md5(data), b"bad")
        self.assert_reply(self.daemon.request("PUT", "/" + md5(data), ACTIVE_TOKEN, body=b"other"), 400)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"bad")

    def test_a_wrong_body_does_not_touch_a_good_copy(self):
        data = os.urandom(1000)
        path = store(self.roots[0], md5(data), data, age=1000)
        before = os.stat(path).st_mtime_ns
        self.assert_reply(self.daemon.request("PUT", "/" + md5(data), ACTIVE_TOKEN, body=data[:-1] + bytes([data[-1] ^ 1])), 400)
        self.assertEqual(os.stat(path).st_mtime_ns, before)

    def test_md5_collision_keeps_the_stored_block(self):
        self.assertEqual(md5(COLLISION[0]), md5(COLLISION[1]))
        self.assertNotEqual(COLLISION[0], COLLISION[1])
        for first, second in ((0, 1), (1, 0)):
            with self.subTest(first):
                path = store(self.roots[0], md5(COLLISION[0]), COLLISION[first], age=1000)
                before = os.stat(path).st_mtime_ns
                response = self.daemon.put(COLLISION[second])
                self.assert_reply(response, 500)
                self.assertIn("hash collision", response.text)
                with open(path, "rb") as file:
                    self.assertEqual(file.read(), COLLISION[first])
                self.assertEqual(os.stat(path).st_mtime_ns, before)
                self.assert_reply(self.daemon.put(COLLISION[first]), 200)
                self.assert_reply(self.daemon.get(plain(COLLISION[0])), 200, COLLISION[first])


class TwoCopies(SharedDaemonCase):
    volume_count = 2

    def order(self, data):
        """Roots in the order in which they are read."""
        ranked = sorted(range(2), key=lambda i: md5((md5(data) + volume_uuid(i)[12:]).encode()))
        return [self.roots[i] for i in ranked]

    def test_the_good_copy_is_found_on_every_mount(self):
        for size in (3, 1000, 65536, 300_000, 3 * MiB):
            data = os.urandom(size)
            for what, bad in damaged(data):
                if bad == data:
                    continue
                for position in (0, 1):
                    with self.subTest(size=size, what=what, bad_is=position):
                        roots = self.order(data)
                        store(roots[position], md5(data), bad)
                        store(roots[1 - position], md5(data), data)
                        self.assert_reply(self.daemon.get(plain(data), method="HEAD"), 200, b"")
                        response = self.daemon.get(plain(data))
                        self.assertEqual(response.status, 200)
                        if (size > WITHHELD and len(bad) == size and position == 0 and not response.complete
                                and not waypoints.supported(roots[0])):
                            continue  # Wrong bytes were sent before the hash was complete; the client sees the cut and retries.
                        self.assertTrue(response.complete and response.body == data)

    def test_each_of_600_reads_is_right(self):
        """One copy of two is bad, in twelve ways, written by a program without waypoints."""
        if not waypoints.supported(self.roots[0]):
            self.skipTest("this file system keeps no attributes")
        rng = random.Random(seed())
        right = 0
        for _ in range(50):
            data = rng.randbytes(rng.choice((1000, 65537, 300_000, 1_000_000, 3 * MiB)))
            roots = self.order(data)
            for what, bad in damaged(data):
                self.assertNotEqual(bad, data)
                position = rng.randrange(2)
                for root, content in ((roots[position], bad), (roots[1 - position], data)):
                    beside = os.path.join(root, "staged")
                    with open(beside, "wb") as file:
                        file.write(content)
                    os.makedirs(os.path.dirname(block_path(root, md5(data))), exist_ok=True)
                    os.rename(beside, block_path(root, md5(data)))  # A new file, without the attribute of the one before.
                with self.subTest(size=len(data), what=what, bad_is=position):
                    response = self.daemon.get(plain(data))
                    self.assertTrue(response.status == 200 and response.complete and response.body == data)
                    right += 1
        self.assertEqual(right, 600)

    def test_the_end_may_come_from_the_other_copy(self):
        """The bytes sent before the bad end were right: the client gets the rest from the next mount."""
        data = os.urandom(8 * MiB)
        roots = self.order(data)
        store(roots[0], md5(data), data[:-1000] + bytes(1000))
        store(roots[1], md5(data), data)
        self.assertTrue(self.daemon.get(plain(data)).body == data)

    def test_a_good_copy_that_cannot_continue_is_not_reported_as_bad(self):
        """Where no attributes are kept wrong bytes of the first copy are sent: the second cannot continue, and is not the bad one."""
        data = os.urandom(8 * MiB)
        roots = self.order(data)
        store(roots[0], md5(data), data[:MiB] + bytes(1000) + data[MiB + 1000:])
        store(roots[1], md5(data), data)
        response = self.daemon.get(plain(data))
        self.assertTrue(response.body == data if response.complete else response.status == 200, response)
        self.assert_reply(self.daemon.get(plain(data), method="HEAD"), 200, b"")
        self.daemon.log.wait(block=md5(data), mount=volume_uuid(self.roots.index(roots[0])), level="error")
        self.assertEqual(self.daemon.log.entries(block=md5(data), mount=volume_uuid(self.roots.index(roots[1]))), [])

    def test_both_bad(self):
        data = os.urandom(1000)
        for root in self.roots:
            store(root, md5(data), b"bad")
        self.assert_reply(self.daemon.get(plain(data)), 502, MISMATCH)

    def test_a_bad_and_a_missing_copy_are_not_reported_as_missing(self):
        data = os.urandom(1000)
        for position in (0, 1):
            with self.subTest(position):
                roots = self.order(data)
                store(roots[position], md5(data), b"bad")
                self.assert_reply(self.daemon.get(plain(data)), 502, MISMATCH)
                os.unlink(block_path(roots[position], md5(data)))

    def test_unreadable_copy_is_skipped(self):
        data = os.urandom(1000)
        roots = self.order(data)
        os.makedirs(block_path(roots[0], md5(data)))
        store(roots[1], md5(data), data)
        self.assert_reply(self.daemon.get(plain(data)), 200, data)
        os.rmdir(block_path(roots[0], md5(data)))

    def test_links_are_not_followed(self):
        secret = self.class_dir.path + "/secret"
        with open(secret, "wb") as file:
            file.write(b"foo")
        path = block_path(self.roots[0], md5(b"foo"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(secret, path)
        try:
            self.assertEqual(self.daemon.get(plain(b"foo")).status in (200,), False)
        finally:
            os.unlink(path)

    def test_put_repairs_or_uses_the_good_copy(self):
        data = os.urandom(100_000)
        roots = self.order(data)
        store(roots[0], md5(data), b"bad")
        store(roots[1], md5(data), data, age=1000)
        self.assert_reply(self.daemon.put(data), 200)
        self.assertTrue(self.daemon.get(plain(data)).body == data)
        good = [r for r in roots if os.path.exists(block_path(r, md5(data))) and
                open(block_path(r, md5(data)), "rb").read() == data and
                time.time() - os.stat(block_path(r, md5(data))).st_mtime < 60]
        self.assertTrue(good, "an acknowledged PUT renews a good copy")


class Counting(KeepstoreCase):
    def test_a_bad_copy_is_logged(self):
        daemon = self.start()
        data = os.urandom(1000)
        store(daemon.roots()[0], md5(data), b"x" * 1000)
        daemon.get(plain(data))
        entry = daemon.log.wait(condition=lambda e: e["level"] in ("error", "warning") and md5(data) in str(e),
                                what="a line that names the bad block")
        self.assertIn(volume_uuid(0), str(entry))


if __name__ == "__main__":
    main()
