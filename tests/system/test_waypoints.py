"""Waypoints of a block's file: when they are written, how wrong ones are repaired, that nothing else about the file changes,
and files that change while they are sent."""

import os
import random
import struct
import threading
import time
import unittest

from support import waypoints
from support.case import SharedDaemonCase, main, seed
from support.client import Closed, build_request
from support.daemon import ACTIVE_TOKEN, block_path, store, volume_uuid
from support.locator import md5, plain
from support.wait import until
from support.waypoints import KiB, MiB, identity

# Sizes whose waypoints plain Python computes quickly, at the boundaries of segments and of strides.
SIZES = (waypoints.WITHOUT + 1, 300_000, 5 * 64 * KiB - 1, 5 * 64 * KiB, 5 * 64 * KiB + 1, 600_000)


def rename_over(root, name, content):
    """Stores a block like a Go daemon: a new file, renamed over the old one. Attributes are not copied."""
    path = block_path(root, name)
    beside = os.path.join(os.path.dirname(path), "tmp" + name + "1234567")
    with open(beside, "wb") as file:
        file.write(content)
    os.rename(beside, path)
    return path


class WaypointCase(SharedDaemonCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.root = cls.roots[0]
        if not waypoints.supported(cls.root):
            raise unittest.SkipTest("this file system keeps no attributes")
        cls.rng = random.Random(seed())

    def path(self, data):
        return block_path(self.root, md5(data))

    def wait_for(self, data, attribute, what="waypoints are written"):
        """They are written after the response was sent."""
        path = self.path(data)
        try:
            until(lambda: waypoints.load(path) == attribute, 5, what)
        except AssertionError as e:
            raise AssertionError(f"{e}: {show(waypoints.load(path))} instead of {show(attribute)}") from None

    def get_right(self, data, span=None):
        headers = {} if span is None else {"Range": f"bytes={span[0]}-{span[1]}"}
        response = self.daemon.get(plain(data), headers=headers)
        self.assertEqual(response.status, 200 if span is None else 206, response)
        self.assertTrue(response.complete and response.body == (data if span is None else data[span[0]:span[1] + 1]),
                        f"{len(response.body)} bytes came")

    def slow_get(self, data, headers=()):
        """A GET whose first bytes are read; the rest is in the buffers of the daemon and the kernel."""
        connection = self.daemon.connect(window=64 * KiB)
        self.addCleanup(connection.close)
        pairs = [("Authorization", f"Bearer {ACTIVE_TOKEN}"), *headers]
        connection.send(build_request("GET", "/" + self.daemon.sign(plain(data)), pairs))
        response = connection.read_head()
        self.assertEqual(response.status, 200)
        first = connection.receive_some(1000)
        self.assertTrue(first and data.startswith(first))
        return connection, first

    def finish_slow(self, connection, first, size):
        connection.widen()
        out = bytearray(first)
        while len(out) < size:
            piece = connection.receive_some(1 << 18)
            if not piece:
                break
            out += piece
        return bytes(out)


def show(attribute):
    if attribute is None:
        return "none"
    return f"{len(attribute)} bytes {attribute[:24].hex()}..{attribute[-8:].hex()}"


class Written(WaypointCase):
    def test_a_put_writes_them(self):
        for size in SIZES:
            with self.subTest(size):
                data = self.rng.randbytes(size)
                self.daemon.put(data)
                self.assertEqual(show(waypoints.load(self.path(data))), show(waypoints.of(data)))
                self.assertEqual(waypoints.load(self.path(data)), waypoints.of(data))

    def test_the_stride_grows_with_the_block(self):
        data = self.rng.randbytes(4 * MiB + 1)
        self.daemon.put(data)
        attribute = waypoints.load(self.path(data))
        self.assertEqual(struct.unpack_from("<BBHI", attribute), (1, 17, 32, 4 * MiB + 1))
        self.assertEqual(attribute, waypoints.of(data))

    def test_a_full_block(self):
        data = self.rng.randbytes(64 * MiB)
        self.daemon.put(data)
        attribute = waypoints.load(self.path(data))
        self.assertEqual(len(attribute), 1024)
        self.assertEqual(struct.unpack_from("<BBHI", attribute), (1, 20, 63, 64 * MiB))
        self.assertTrue(waypoints.usable(attribute, data))
        self.get_right(data)
        # The serial pass over a file without any computes the same ones.
        rename_over(self.root, md5(data), data)
        self.get_right(data)
        self.wait_for(data, attribute)
        os.unlink(self.path(data))

    def test_a_chunked_put_writes_them(self):
        data = self.rng.randbytes(5 * 64 * KiB + 17)
        with self.daemon.connect() as connection:
            body = b"".join(b"%x\r\n" % len(p) + p + b"\r\n" for p in (data[i:i + 70_001] for i in range(0, len(data), 70_001)))
            connection.send(build_request("PUT", "/" + md5(data), {"Authorization": f"Bearer {ACTIVE_TOKEN}",
                                                                    "Transfer-Encoding": "chunked"}, body + b"0\r\n\r\n"))
            self.assertEqual(connection.read_response().status, 200)
        self.assertEqual(waypoints.load(self.path(data)), waypoints.of(data))

    def test_small_blocks_have_none(self):
        for size in (0, 1, 64 * KiB, 64 * KiB + 1, waypoints.WITHOUT):
            data = self.rng.randbytes(size)
            self.daemon.put(data)
            self.get_right(data)
            self.assert_reply(self.daemon.get(plain(data), method="HEAD"), 200, b"")
            self.assertIsNone(waypoints.load(self.path(data)), size)

    def test_the_first_read_adds_them(self):
        """A block of another program; everything except its ctime is unchanged."""
        for size in SIZES:
            for method in ("GET", "HEAD"):
                with self.subTest(size=size, method=method):
                    data = self.rng.randbytes(size)
                    path = store(self.root, md5(data), data, age=5000)
                    before = identity(path)
                    self.assertEqual(self.daemon.get(plain(data), method=method).status, 200)
                    self.wait_for(data, waypoints.of(data), f"waypoints after the first {method}")
                    self.assertEqual(identity(path), before)
                    self.get_right(data)

    def test_other_attributes_stay(self):
        data = self.rng.randbytes(300_000)
        path = store(self.root, md5(data), data)
        os.setxattr(path, "user.origin", b"somewhere")
        self.get_right(data)
        self.wait_for(data, waypoints.of(data))
        self.assertEqual(os.getxattr(path, "user.origin"), b"somewhere")

    def test_right_ones_are_left_alone(self):
        data = self.rng.randbytes(600_000)
        self.daemon.put(data)
        before = os.stat(self.path(data)).st_ctime_ns
        for _ in range(3):
            self.get_right(data)
            self.get_right(data, (70_000, 200_000))
            self.daemon.get(plain(data), method="HEAD")
        self.daemon.assert_nothing_held()
        self.assertEqual(os.stat(self.path(data)).st_ctime_ns, before)

    def test_touch_and_trash_keep_them(self):
        daemon = self.daemon
        data = self.rng.randbytes(300_000)
        path = store(self.root, md5(data), data, age=30 * 86400)
        self.get_right(data)
        self.wait_for(data, waypoints.of(data))
        self.assertEqual(daemon.request("DELETE", "/" + md5(data), daemon.cluster["SystemRootToken"]).status, 200)
        self.assertFalse(os.path.exists(path))
        self.assertEqual(daemon.request("PUT", "/untrash/" + md5(data), daemon.cluster["SystemRootToken"]).status, 200)
        self.assertEqual(waypoints.load(path), waypoints.of(data))
        self.assertEqual(daemon.put(data).status, 200)
        self.assertEqual(waypoints.load(path), waypoints.of(data))

    def test_a_bad_copy_gets_none(self):
        data = self.rng.randbytes(600_000)
        path = store(self.root, md5(data), data[:-1] + bytes([data[-1] ^ 1]))
        for method in ("GET", "HEAD"):
            try:
                response = self.daemon.get(plain(data), method=method)
                self.assertFalse(response.status == 200 and response.complete)
            except Closed:
                pass
        self.daemon.assert_nothing_held()
        self.assertIsNone(waypoints.load(path))

    def test_another_stride_is_as_good(self):
        """The format allows any stride; ours is the one we write."""
        data = self.rng.randbytes(600_000)
        for stride in (128 * KiB, 256 * KiB, 512 * KiB, 1 * MiB, 64 * MiB):
            with self.subTest(stride):
                path = store(self.root, md5(data), data)
                waypoints.save(path, waypoints.of(data, stride))
                self.get_right(data)
                self.get_right(data, (599_999, 599_999))
                self.get_right(data, (131_071, 131_072))


class Healing(WaypointCase):
    """A right copy with wrong waypoints: the client gets it, and they are right again soon after."""

    def wrong_ones(self, data, right):
        """(what, attribute) for every kind of wrong waypoints."""
        rng = self.rng
        for at in range(len(right)):
            damaged = bytearray(right)
            damaged[at] ^= 1 << rng.randrange(8)
            yield f"a bit of byte {at}", bytes(damaged)
        for at in range(8):
            for bit in (0, 3, 7):
                forged = bytearray(right[:-8])
                forged[at] ^= 1 << bit
                yield f"bit {bit} of byte {at} of the header, checksum right", waypoints.seal(bytes(forged), data)
        count = (len(right) - 16) // 16
        for number in range(1, count + 1):
            yield f"state {number} is another", waypoints.with_state(right, number, rng.randbytes(16), data)
        states = [right[8 + 16 * i:24 + 16 * i] for i in range(count)]
        stride, n = waypoints.stride_for(len(data)), len(data)
        yield "all states are others", waypoints.encode(n, stride, [rng.randbytes(16) for _ in states], data)
        yield "states in another order", waypoints.encode(n, stride, states[::-1], data)
        yield "one state less", waypoints.encode(n, stride, states[:-1], data)
        yield "one state more", waypoints.encode(n, stride, states + [rng.randbytes(16)], data)
        yield "of another length", waypoints.encode(n - 1, stride, states, data)
        yield "of a longer block", waypoints.of(data + rng.randbytes(100_000), block=data)
        yield "of another content", waypoints.of(rng.randbytes(n), block=data)
        yield "of another block", waypoints.of(data, block=b"another")
        yield "of a future version", waypoints.encode(n, stride, states, data, version=2)
        yield "version 0", waypoints.encode(n, stride, states, data, version=0)
        yield "as many states as fit", waypoints.encode(n, stride, [rng.randbytes(16)] * 63, data)
        yield "a count of 65535", waypoints.seal(struct.pack("<BBHI", 1, 16, 0xffff, n) + b"".join(states), data)
        yield "a stride of 2^255", waypoints.seal(struct.pack("<BBHI", 1, 255, 0, n), data)
        yield "0 bytes", b""
        for size in (1, 7, 8, 15, 16, 17, 1023, 1024, 1025, 3000):
            yield f"{size} bytes of junk", rng.randbytes(size)
        yield "zeros", bytes(len(right))
        yield "text", b"user.keepstore.waypoints"
        yield "shortened", right[:-1]
        yield "lengthened", right + b"\0"

    def heal(self, data, right, what, attribute, method="GET"):
        with self.subTest(what, size=len(data), method=method):
            path = self.path(data)
            waypoints.save(path, attribute)
            before = identity(path)
            if method == "GET":
                self.get_right(data)
            else:
                self.assert_reply(self.daemon.get(plain(data), method=method), 200, b"")
            self.wait_for(data, right, f"healed ({what})")
            self.assertEqual(identity(path), before)

    def test_every_kind_is_repaired(self):
        for size in (300_000, 11 * 64 * KiB):
            data = self.rng.randbytes(size)
            right = waypoints.of(data)
            store(self.root, md5(data), data, age=5000)
            for what, attribute in self.wrong_ones(data, right):
                self.heal(data, right, what, attribute)
        self.no_false_reports()

    def test_every_kind_is_repaired_by_head(self):
        data = self.rng.randbytes(300_000)
        right = waypoints.of(data)
        store(self.root, md5(data), data, age=5000)
        kinds = list(self.wrong_ones(data, right))
        for what, attribute in self.rng.sample(kinds, 20):
            self.heal(data, right, what, attribute, "HEAD")
        self.no_false_reports()

    def test_ranges_are_right_with_wrong_ones(self):
        data = self.rng.randbytes(11 * 64 * KiB - 5)
        right = waypoints.of(data)
        path = store(self.root, md5(data), data, age=5000)
        for what, attribute in self.wrong_ones(data, right):
            with self.subTest(what):
                waypoints.save(path, attribute)
                first = self.rng.randrange(len(data))
                self.get_right(data, (first, self.rng.randrange(first, len(data))))
        self.no_false_reports()

    def test_a_put_over_a_good_copy_with_wrong_ones(self):
        data = self.rng.randbytes(300_000)
        path = store(self.root, md5(data), data, age=5000)
        waypoints.save(path, self.rng.randbytes(80))
        self.assert_reply(self.daemon.put(data), 200)
        self.get_right(data)
        self.wait_for(data, waypoints.of(data))

    def test_junk_of_the_largest_size(self):
        """64 KiB, which not every file system accepts."""
        data = self.rng.randbytes(300_000)
        path = store(self.root, md5(data), data)
        try:
            waypoints.save(path, self.rng.randbytes(65536))
        except OSError as e:
            self.skipTest(f"no attributes of 64 KiB here: {e.strerror}")
        self.get_right(data)
        self.wait_for(data, waypoints.of(data))

    def no_false_reports(self):
        """Wrong waypoints are no bad copy."""
        self.assertEqual(self.daemon.metric("keepstore_bad_copies_total"), 0)
        self.assertEqual([e for e in self.daemon.log.entries(level="error")], [])


class Moved(WaypointCase):
    """A file under another block's name, with its own waypoints, after an operator's mistake or damage to a folder.
    Nothing was forged, and everything in the file agrees; only the name is wrong."""

    def test_it_is_not_delivered(self):
        data, other = self.rng.randbytes(11 * 64 * KiB), self.rng.randbytes(11 * 64 * KiB)
        self.daemon.put(other)
        os.makedirs(os.path.dirname(self.path(data)), exist_ok=True)
        os.rename(self.path(other), self.path(data))
        for span in (None, (0, 0), (0, 100_000), (65_536, 131_071), (300_000, 400_000), (len(data) - 10, len(data) - 1)):
            with self.subTest(span):
                headers = {} if span is None else {"Range": f"bytes={span[0]}-{span[1]}"}
                try:
                    response = self.daemon.get(plain(data), headers=headers)
                except Closed:
                    continue
                self.assertFalse(response.status in (200, 206) and response.complete,
                                 f"another block's bytes in a complete {response.status}")


class Reports(WaypointCase):
    """The operator's view of a bad copy."""

    def test_one_line_for_a_bad_copy(self):
        data = self.rng.randbytes(40 * 64 * KiB)
        self.daemon.put(data)
        at = 33 * 64 * KiB + 1234
        with open(self.path(data), "r+b") as file:
            file.seek(at)
            file.write(bytes([data[at] ^ 4]))
        bad_before = self.daemon.metric("keepstore_bad_copies_total")
        for _ in range(3):
            try:
                self.assertFalse(self.daemon.get(plain(data)).status == 200 and self.daemon.get(plain(data)).complete)
            except Closed:
                pass
        self.assertEqual(self.daemon.get(plain(data), method="HEAD").status, 502)
        entry = self.daemon.log.wait(block=md5(data), level="error")
        self.assertEqual(entry["mount"], volume_uuid(0))
        self.assertIn("offset", entry)
        self.assertLessEqual(entry["offset"], at)
        self.assertGreater(entry["offset"] + 256 * KiB, at, "the offset is that of what was verified as one")
        self.daemon.assert_nothing_held()
        self.assertEqual(len(self.daemon.log.entries(block=md5(data), level="error")), 1)
        self.assertGreater(self.daemon.metric("keepstore_bad_copies_total"), bad_before)


class ChangedWhileSent(WaypointCase):
    """Other programs change the file while it is read."""

    SIZE = 48 * MiB

    def block(self, with_waypoints=True):
        data = self.rng.randbytes(self.SIZE)
        if with_waypoints:
            self.daemon.put(data)
        else:
            store(self.root, md5(data), data)
        self.addCleanup(lambda: os.path.exists(self.path(data)) and os.unlink(self.path(data)))
        return data

    def overwrite(self, data, at, content):
        with open(self.path(data), "r+b") as file:
            file.seek(at)
            file.write(content)

    def test_replaced_by_rename(self):
        for with_waypoints in (True, False):
            with self.subTest(with_waypoints=with_waypoints):
                data = self.block(with_waypoints)
                connection, first = self.slow_get(data)
                old = os.open(self.path(data), os.O_RDONLY)
                self.addCleanup(os.close, old)
                path = rename_over(self.root, md5(data), data)
                new = identity(path)
                self.assertTrue(self.finish_slow(connection, first, len(data)) == data)
                until(lambda: not self.daemon.inspect(), what="no request under way")
                # The reader's waypoints belong to the file that it read.
                self.assertIsNone(waypoints.load(path))
                self.get_right(data)
                until(lambda: waypoints.load(path), 5, "waypoints of the new file")
                self.assertTrue(waypoints.usable(waypoints.load(path), data))
                self.assertEqual(identity(path), new)

    def test_replaced_by_another_kind_of_file(self):
        data = self.block()
        connection, first = self.slow_get(data)
        rename_over(self.root, md5(data), self.rng.randbytes(len(data)))
        self.assertTrue(self.finish_slow(connection, first, len(data)) == data)
        try:
            response = self.daemon.get(plain(data))
            self.assertFalse(response.status == 200 and response.complete)
        except Closed:
            pass

    def test_unlinked(self):
        data = self.block()
        connection, first = self.slow_get(data)
        os.unlink(self.path(data))
        self.assertTrue(self.finish_slow(connection, first, len(data)) == data)
        self.assertEqual(self.daemon.get(plain(data)).status, 404)

    def test_changed_in_place_ahead_of_the_reader(self):
        for with_waypoints in (True, False):
            with self.subTest(with_waypoints=with_waypoints):
                data = self.block(with_waypoints)
                connection, first = self.slow_get(data)
                at = 40 * MiB
                self.overwrite(data, at, bytes(3 * MiB))
                got = self.finish_slow(connection, first, len(data))
                self.assertLess(len(got), len(data), "a complete answer with wrong bytes")
                if with_waypoints:
                    self.assertLessEqual(len(got), at)
                    self.assertTrue(data.startswith(got), "wrong bytes were sent")

    def test_changed_in_place_where_it_was_read(self):
        """The response is right; the file is not, and its waypoints must not make it look right."""
        for with_waypoints in (True, False):
            with self.subTest(with_waypoints=with_waypoints):
                data = self.block(with_waypoints)
                connection, first = self.slow_get(data)
                self.overwrite(data, 0, bytes(500))
                got = self.finish_slow(connection, first, len(data))
                self.assertTrue(data.startswith(got), "wrong bytes were sent")
                until(lambda: not self.daemon.inspect(), what="no request under way")
                try:
                    response = self.daemon.get(plain(data))
                    self.assertFalse(response.status == 200 and response.complete, "damage past a reader is not noticed")
                except Closed:
                    pass
                self.assertEqual(self.daemon.get(plain(data), method="HEAD").status, 502)

    def test_truncated(self):
        for with_waypoints in (True, False):
            for at in (0, 20 * MiB, self.SIZE - 1):
                with self.subTest(with_waypoints=with_waypoints, at=at):
                    data = self.block(with_waypoints)
                    connection, first = self.slow_get(data)
                    os.truncate(self.path(data), at)
                    got = self.finish_slow(connection, first, len(data))
                    self.assertLess(len(got), len(data))
                    self.assertTrue(data.startswith(got), "wrong bytes were sent")
                    self.assertEqual(self.daemon.get(plain(data)).status, 502)

    def test_extended(self):
        data = self.block()
        connection, first = self.slow_get(data)
        with open(self.path(data), "ab") as file:
            file.write(b"more")
        self.assertTrue(self.finish_slow(connection, first, len(data)) == data)
        self.assertEqual(self.daemon.get(plain(data)).status, 502)

    def test_waypoints_removed(self):
        for attribute in (None, b"junk", bytes(1024)):
            data = self.block()
            connection, first = self.slow_get(data)
            waypoints.save(self.path(data), attribute)
            self.assertTrue(self.finish_slow(connection, first, len(data)) == data)

    def test_a_slow_reader_and_a_writer(self):
        """Bytes that are verified and then released for a slow reader are verified again when they are read again."""
        data = self.rng.randbytes(6 * MiB)
        self.daemon.put(data)
        connection, got = self.slow_get(data)
        got = bytearray(got)
        disturbed = None
        while len(got) < len(data):
            piece = connection.receive_some(64 * KiB)
            if not piece:
                break
            got += piece
            if len(got) // (512 * KiB) != (len(got) - len(piece)) // (512 * KiB):
                if disturbed is not None:
                    self.overwrite(data, disturbed, data[disturbed:disturbed + 1000])
                disturbed = min(len(got) + self.rng.randrange(MiB), len(data) - 1000)
                self.overwrite(data, disturbed, bytes(1000))
            time.sleep(0.02)  # A slow reader.
        self.assertTrue(data.startswith(bytes(got)), "wrong bytes were sent")

    def test_a_writer_that_never_stops(self):
        """Bytes and waypoints change and change back during many reads."""
        data = self.rng.randbytes(6 * MiB)
        self.daemon.put(data)
        path = self.path(data)
        right = waypoints.load(path)
        stop = threading.Event()
        rng = random.Random(self.rng.getrandbits(64))

        def write():
            descriptor = os.open(path, os.O_RDWR)
            try:
                while not stop.is_set():
                    at = rng.randrange(len(data) - 100)
                    os.pwrite(descriptor, bytes(100), at)
                    if rng.random() < 0.2:
                        waypoints.save(path, waypoints.with_state(right, rng.randrange(1, 48), rng.randbytes(16), data))
                    time.sleep(rng.random() * 0.004)  # The rate of the changes, not a synchronisation.
                    os.pwrite(descriptor, data[at:at + 100], at)
                    if rng.random() < 0.5:
                        time.sleep(rng.random() * 0.02)
            finally:
                os.close(descriptor)

        problems, counts = [], {"right": 0, "cut": 0, "502": 0}

        def read(generator):
            while not stop.is_set() and not problems:
                span = None
                if generator.random() < 0.5:
                    first = generator.randrange(len(data))
                    span = (first, generator.randrange(first, len(data)))
                headers = {} if span is None else {"Range": f"bytes={span[0]}-{span[1]}"}
                wanted = data if span is None else data[span[0]:span[1] + 1]
                try:
                    response = self.daemon.get(plain(data), headers=headers)
                except Closed:
                    counts["cut"] += 1
                    continue
                except OSError as e:
                    problems.append(repr(e))
                    break
                if response.status in (200, 206) and response.complete:
                    counts["right"] += 1
                    if response.body != wanted:
                        problems.append(f"wrong bytes in a complete {response.status}, range {span}")
                elif response.status in (200, 206):
                    counts["cut"] += 1
                elif response.status == 502:
                    counts["502"] += 1
                else:
                    problems.append(repr(response))

        threads = [threading.Thread(target=write)]
        threads += [threading.Thread(target=read, args=(random.Random(self.rng.getrandbits(64)),)) for _ in range(3)]
        for thread in threads:
            thread.start()
        stop.wait(5)
        stop.set()
        for thread in threads:
            thread.join(60)
        self.assertEqual(problems, [])
        self.assertGreater(counts["right"], 0, counts)
        with open(path, "rb") as file:
            self.assertTrue(file.read() == data)
        self.get_right(data)
        self.wait_for(data, right, "healed when it is quiet again")


class Failover(WaypointCase):
    """The copy becomes bad while it is sent, and the other volume has a good one."""

    volume_count = 2

    def test_in_the_middle_of_a_slow_get(self):
        size = 48 * MiB
        for what, damage in (("a hole", lambda f: (f.seek(40 * MiB), f.write(bytes(100)))),
                             ("the last byte", lambda f: (f.seek(size - 1), f.write(b"?"))),
                             ("truncated", lambda f: f.truncate(20 * MiB)), ("emptied", lambda f: f.truncate(0))):
            for first_has, second_has in ((True, True), (True, False), (False, True), (False, False)):
                with self.subTest(what, first_has_waypoints=first_has, second_has_waypoints=second_has):
                    data = self.rng.randbytes(size - 1) + b"!"
                    name = md5(data)
                    ranked = sorted(range(2), key=lambda i: md5((name + volume_uuid(i)[12:]).encode()))
                    paths = [block_path(self.roots[i], name) for i in ranked]
                    self.daemon.put(data)
                    written = next(p for p in paths if os.path.exists(p))
                    attribute = waypoints.load(written)
                    os.unlink(written)
                    for i, has in zip(ranked, (first_has, second_has)):
                        waypoints.save(store(self.roots[i], name, data), attribute if has else None)
                    before = self.daemon.metric("keepstore_read_failovers_total")
                    connection, first = self.slow_get(data)
                    with open(paths[0], "r+b") as file:
                        damage(file)
                    got = self.finish_slow(connection, first, len(data))
                    # Without waypoints a reader that keeps up gets unverified bytes.
                    if len(got) == len(data) or first_has or what != "a hole":
                        self.assertEqual(len(got), len(data))
                        self.assertTrue(got == data, "wrong bytes in a complete answer")
                    until(lambda: not self.daemon.inspect(), what="no request under way")
                    self.assertGreater(self.daemon.metric("keepstore_read_failovers_total"), before)
                    for path in paths:
                        os.unlink(path)
        self.daemon.assert_nothing_held()


if __name__ == "__main__":
    main()
