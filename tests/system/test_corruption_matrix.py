"""Every kind of damage to a stored copy, on every mount, against every request: never a wrong byte in a complete response,
another copy where there is one, a repair where one is promised.

A table of damages to content and waypoints is laid out on one or two volumes; `expect` has the allowed outcomes of a read.
The name of a failed case: size, copies in reading order, request.
"""

import collections
import functools
import itertools
import json
import os
import random
import sys
import time
import unittest
from dataclasses import dataclass, field

from support import locator, waypoints
from support.case import SharedDaemonCase, main, seed
from support.client import Closed
from support.daemon import block_path, volume_uuid
from support.wait import until
from support.waypoints import KiB, MiB

MISMATCH = b"checksum mismatch in stored data\n"
# At most this much is verified before the first byte leaves.
WINDOW_MAX = 16 * MiB

# The same few blocks are hashed again and again.
md5 = functools.lru_cache(maxsize=16)(locator.md5)


def plain(data):
    return f"{md5(data)}+{len(data)}"


# --- damages ---

def flip(data, at, bit=0):
    changed = bytearray(data)
    changed[at] ^= 1 << bit
    return bytes(changed)


def in_segment(rng, data, number):
    """A position in segment `number` (negative: from the end)."""
    stride = waypoints.stride_for(len(data))
    first = range(0, len(data), stride)[number]
    return rng.randrange(first, min(first + stride, len(data)))


def swapped(data):
    """The first two segments swapped."""
    stride = waypoints.stride_for(len(data))
    return data[stride:2 * stride] + data[:stride] + data[2 * stride:]


def hole(data):
    """4 KiB of zeros across the end of a segment, as a lost sector leaves."""
    stride = waypoints.stride_for(len(data))
    at = stride * (len(data) // stride // 2) - 2048
    return data[:at] + bytes(4096) + data[at + 4096:]


# Content, for blocks of at least three segments.
CONTENT = {
    "one bit in the first segment": lambda rng, d: flip(d, in_segment(rng, d, 0), rng.randrange(8)),
    "the first byte": lambda rng, d: flip(d, 0, rng.randrange(8)),
    "one bit in the second segment": lambda rng, d: flip(d, in_segment(rng, d, 1), rng.randrange(8)),
    "one bit in the middle": lambda rng, d: flip(d, in_segment(rng, d, len(d) // waypoints.stride_for(len(d)) // 2)),
    "a hole across segments": lambda rng, d: hole(d),
    "two segments swapped": lambda rng, d: swapped(d),
    "one bit in the last segment": lambda rng, d: flip(d, in_segment(rng, d, -1), rng.randrange(8)),
    "the last byte": lambda rng, d: flip(d, len(d) - 1, 7),
    "zeroed": lambda rng, d: bytes(len(d)),
    "zero-length": lambda rng, d: b"",
    "one byte less": lambda rng, d: d[:-1],
    "half": lambda rng, d: d[:len(d) // 2],
    "whole segments less": lambda rng, d: d[:2 * waypoints.stride_for(len(d))],
    "one byte more": lambda rng, d: d + b"\0",
    "a segment more": lambda rng, d: d + d[:waypoints.stride_for(len(d))],
    "another block": lambda rng, d: rng.randbytes(len(d)),
}
# The same for blocks that are verified whole before their first byte.
SMALL_CONTENT = {
    "first bit": lambda rng, d: flip(d, 0),
    "a bit in the middle": lambda rng, d: flip(d, len(d) // 2, rng.randrange(8)),
    "last bit": lambda rng, d: flip(d, len(d) - 1, 7),
    "zeroed": lambda rng, d: bytes(len(d)),
    "zero-length": lambda rng, d: b"",
    "one byte less": lambda rng, d: d[:-1],
    "one byte more": lambda rng, d: d + b"\0",
    "much more": lambda rng, d: d + bytes(300 * KiB),
}
# Waypoints, from the right ones and the block.
ATTRIBUTES = {
    "right waypoints": lambda rng, right, data: right,
    "no waypoints": lambda rng, right, data: None,
    "damaged waypoints": lambda rng, right, data: flip(right, rng.randrange(len(right)), rng.randrange(8)),
    "forged waypoints": lambda rng, right, data: waypoints.with_state(
        right, rng.randrange(1, (len(right) - 16) // 16 + 1), rng.randbytes(16), data),
}
# Waypoints that fit the wrong content: every segment but the last one agrees.
DECEPTIVE = {"deceptive waypoints": None}


# --- expected outcomes ---

@dataclass
class Copy:
    what: str
    content: bytes
    attribute: bytes = None

    def write(self, root, name):
        """Puts it into the volume as another program would: a new file, renamed over the old one."""
        path = block_path(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        beside = os.path.join(root, "staged")
        with open(beside, "wb") as file:
            file.write(self.content)
        waypoints.save(beside, self.attribute)
        stamp = time.time_ns() - 1_000_000_000_000
        os.utime(beside, ns=(stamp, stamp))
        os.rename(beside, path)


@dataclass
class Facts:
    """The facts about a copy of `data`."""

    copy: Copy
    data: bytes
    right: bytes  # The waypoints that `data` has; None for a small block.
    bad: list = field(init=False)  # Segments whose bytes are not the block's; None when the size is another.

    def __post_init__(self):
        content, data = self.copy.content, self.data
        self.good = content == data
        self.sized = len(content) == len(data)
        self.stride = waypoints.stride_for(len(data))
        self.bad = None
        if self.sized:
            self.bad = [i for i in range(0, -(-len(data) // self.stride))
                        if content[i * self.stride:(i + 1) * self.stride] != data[i * self.stride:(i + 1) * self.stride]]
        self.usable = self.right is not None and waypoints.usable(self.copy.attribute, data)
        self.true_waypoints = self.usable and self.copy.attribute == self.right
        # Wrong content that agrees with its waypoints, up to the last segment.
        self.deceptive = self.sized and not self.good and self.usable and self.copy.what.endswith("deceptive waypoints")
        # Known to be no copy of this block before a byte is sent.
        self.seen_through = not self.sized or self.right is None or not self.usable or (not self.deceptive and 0 in self.bad)

    def touched_are_right(self, first, last):
        return self.sized and not any(first // self.stride <= i <= last // self.stride for i in self.bad)


@dataclass
class Allowed:
    """The allowed outcomes of a GET, and for a cut one the number of bytes that may have been sent (all of them right)."""

    outcomes: set
    right_bytes_max: int = None  # None: it was sent by waypoints that match wrong bytes; only its end was withheld.


def expect(data, right, copies, span=None):
    """The oracle. `copies` in reading order; `span`: first and last byte of a range, else all of the block.

    A copy is verified before it is sent, by right waypoints or as a whole: a bad one does no harm if another is good. If
    every copy is bad they are stitched together, provided that one of them has right waypoints.
    """
    facts = [Facts(c, data, right) for c in copies]
    first, last = span or (0, len(data) - 1)
    # Copies that can serve the request: by their waypoints, or else only if the whole copy is right.
    able = [f.good or (f.true_waypoints and f.touched_are_right(first, last)) for f in facts]
    before = facts[:able.index(True)] if any(able) else facts
    # Bytes of these may be sent before they are known to be wrong.
    unverified = [f for f in before if f.deceptive and not f.seen_through]
    if any(able):
        return Allowed({"right", "cut"} if unverified else {"right"})
    start = first // waypoints.stride_for(len(data))
    if together(data, right, facts, start):
        return Allowed({"right", "cut"} if unverified else {"right"})
    if unverified:
        return Allowed({"right", "502", "cut"})
    if all(not f.sized or right is None or not f.usable or start in f.bad for f in facts):
        return Allowed({"502"})
    # No copy is whole. Segments that are right in one of them may be sent; a segment that is wrong in all cannot.
    stride = facts[0].stride
    hopeless = [i for i in range(start, last // stride + 1) if all(not f.sized or i in f.bad for f in facts)]
    if not hopeless:
        return Allowed({"right", "502", "cut"}, last + 1 - first)
    most = max(hopeless[0] * stride - first, 0)
    if most > WINDOW_MAX and len(facts) == 1:
        return Allowed({"cut"}, most)
    # Each of several may be found bad before its first byte is sent.
    return Allowed({"502", "cut"} if most > 0 else {"502"}, most)


def together(data, right, facts, start=0):
    """Whether the copies together are a good block, from segment `start` to its end.

    A copy of another length counts for the segments that it has: for the last one, too, if it is longer.
    """
    if right is None or all(f.copy.attribute != right for f in facts) or len(facts) < 2:
        return False
    stride = facts[0].stride
    return all(any(f.copy.content[at:min(at + stride, len(data))] == data[at:at + stride] for f in facts)
               for at in range(start * stride, len(data), stride))


def outcome(response, wanted, allowed, status):
    """Classifies the outcome. AssertionError for outcomes that are forbidden for all copies."""
    if response is None:
        return "cut"
    if response.status == 502:
        if not response.complete or response.body != MISMATCH:
            raise AssertionError(f"an odd 502: {response}")
        return "502"
    if response.status != status:
        raise AssertionError(f"{status} or 502 wanted, got {response.status} with {len(response.body)} bytes")
    if response.complete:
        if response.body != wanted:
            raise AssertionError(f"WRONG BYTES in a complete {status}: {difference(response.body, wanted)}")
        return "right"
    if len(response.body) >= len(wanted):
        raise AssertionError(f"incomplete with {len(response.body)} of {len(wanted)} bytes")
    if allowed.right_bytes_max is not None:
        if not wanted.startswith(response.body):
            raise AssertionError(f"wrong bytes were sent: {difference(response.body, wanted)}")
        if len(response.body) > allowed.right_bytes_max:
            raise AssertionError(f"{len(response.body)} bytes came, the damage is at {allowed.right_bytes_max}")
    return "cut"


def difference(body, wanted):
    at = next((i for i, (a, b) in enumerate(zip(body, wanted)) if a != b), min(len(body), len(wanted)))
    return f"{len(body)} of {len(wanted)} bytes, the first difference at {at}"


# --- the tables ---

class Matrix(SharedDaemonCase):
    """Lays out copies and requests them. One random sequence per class: the seed repeats a run of all its tests."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if not waypoints.supported(cls.roots[0]):
            raise unittest.SkipTest("this file system keeps no attributes")
        cls.rng = random.Random(seed())
        cls.outcomes = collections.Counter()
        cls.addClassCleanup(lambda: print(f"{cls.__name__}: {dict(cls.outcomes)}", file=sys.stderr))

    def attribute(self, data):
        """Its waypoints, from the daemon: plain Python is slow. test_waypoints.py compares the two."""
        if len(data) <= waypoints.WITHOUT:
            return waypoints.of(data)
        self.assertEqual(self.daemon.put(data).status, 200)
        paths = [p for p in (block_path(r, md5(data)) for r in self.roots) if os.path.exists(p)]
        attribute = waypoints.load(paths[0])
        for path in paths:
            os.unlink(path)
        self.assertTrue(waypoints.usable(attribute, data))
        return attribute

    def block(self, size):
        """Random content and its waypoints; small ones have none."""
        data = self.rng.randbytes(size)
        return data, None if size <= waypoints.WITHOUT else self.attribute(data)

    def order(self, data):
        """Roots in the order in which they are read."""
        ranked = sorted(range(len(self.roots)), key=lambda i: md5((md5(data) + volume_uuid(i)[12:]).encode()))
        return [self.roots[i] for i in ranked]

    def lay_out(self, data, copies):
        """Puts the first copy on the volume that is read first, and so on; the remaining volumes have none."""
        order = self.order(data)
        for root in order[len(copies):]:
            if os.path.exists(block_path(root, md5(data))):
                os.unlink(block_path(root, md5(data)))
        for root, copy in zip(order, copies):
            copy.write(root, md5(data))

    def good(self, data, right):
        return Copy("good", data, right)

    def damages(self, data, right, contents, attributes):
        for content_name, content in contents.items():
            bad = content(self.rng, data)
            if bad == data:
                continue
            if right is None:
                yield Copy(content_name, bad)
                continue
            for attribute_name, attribute in attributes.items():
                yield Copy(f"{content_name}, {attribute_name}", bad, self.attribute_beside(bad, right, attribute, data))

    def attribute_beside(self, content, right, kind, data):
        if kind is None:
            return waypoints.seal(self.attribute(content)[:-8], data)
        return kind(self.rng, right, data)

    def spans(self, data):
        """Ranges: within the first, a middle, the last segment, across segments, single bytes at their edges."""
        n, stride = len(data), waypoints.stride_for(len(data))
        middle = stride * (n // stride // 2)
        last = (n - 1) // stride * stride
        spans = {(0, 0), (10, min(stride, n) - 1), (middle, middle), (max(middle - 1, 0), min(middle + stride, n - 1)),
                 (last, n - 1), (n - 1, n - 1), (0, n - 1)}
        return sorted(s for s in spans if s[0] <= s[1])

    def ask(self, data, copies, method="GET", span=None):
        """Sends one request for these copies and checks it against the oracle."""
        request = method if span is None else f"Range {span[0]}-{span[1]}"
        with self.subTest(f"{len(data)} bytes; " + " | ".join(c.what for c in copies) + f"; {request}"):
            self.lay_out(data, copies)
            return self.ask_again(data, copies, method, span)

    def ask_again(self, data, copies, method="GET", span=None):
        right = None if len(data) <= waypoints.WITHOUT else self.right
        headers = {} if span is None else {"Range": f"bytes={span[0]}-{span[1]}"}
        try:
            response = self.daemon.get(plain(data), method=method, headers=headers)
        except Closed:
            response = None
        if method == "HEAD":
            self.assertIsNotNone(response)
            self.assertEqual(response.status, 200 if any(c.content == data for c in copies) else 502)
            return "right" if response.status == 200 else "502"
        allowed = expect(data, right, copies, span)
        wanted = data if span is None else data[span[0]:span[1] + 1]
        got = outcome(response, wanted, allowed, 200 if span is None else 206)
        self.outcomes[got + (" range" if span else "")] += 1
        self.assertIn(got, allowed.outcomes, f"{len(response.body) if response else 'no'} bytes came")
        return got

    shapes = 1  # Number of placements.

    def placements(self, bad, data, right):
        """The copies of each placement, in reading order."""
        yield [bad]

    def ask_everything(self, data, bad, spans):
        for copies in self.placements(bad, data, self.right):
            self.ask(data, copies)
            self.ask(data, copies, "HEAD")
            for span in spans:
                self.ask(data, copies, span=span)

    def put_again(self, data, copies):
        with self.subTest(f"{len(data)} bytes; " + " | ".join(c.what for c in copies) + "; PUT again"):
            self.lay_out(data, copies)
            response = self.assert_reply(self.daemon.put(data), 200)
            self.assertEqual(response.header("X-Keep-Replicas-Stored"), "1")
            found = self.on_disk(data)
            whole = [c for c in found if c.content == data]
            self.assertTrue(whole, "no volume has the block after a PUT")
            if len(copies) == 1:
                self.assertEqual(len(whole), 1)
            if self.right is not None:
                self.assertTrue(any(c.attribute == self.right for c in whole), "no copy has its waypoints after a PUT")
            self.ask_again(data, found)

    def on_disk(self, data):
        found = []
        for root in self.order(data):
            path = block_path(root, md5(data))
            if os.path.exists(path):
                with open(path, "rb") as file:
                    found.append(Copy("found", file.read(), waypoints.load(path)))
        return found

    # The tests, for the placements of the class.

    def test_reading(self):
        data, self.right = self.block(11 * 64 * KiB - 1000)
        spans = self.spans(data)
        for bad in self.damages(data, self.right, CONTENT, ATTRIBUTES):
            # Three of the ranges for each; all of them are used over the run.
            self.ask_everything(data, bad, self.rng.sample(spans, 3))

    def test_reading_a_multiple_of_the_stride(self):
        data, self.right = self.block(5 * 64 * KiB)
        for bad in self.damages(data, self.right, CONTENT, {"right waypoints": ATTRIBUTES["right waypoints"]}):
            self.ask_everything(data, bad, self.spans(data))

    def test_reading_with_a_longer_stride(self):
        data, self.right = self.block(4 * MiB + 77)
        for bad in self.damages(data, self.right, CONTENT, {"right waypoints": ATTRIBUTES["right waypoints"]}):
            self.ask_everything(data, bad, self.rng.sample(self.spans(data), 2))

    def test_reading_small_blocks(self):
        for size in (1, 1000, 64 * KiB + 1, waypoints.WITHOUT):
            data, self.right = self.block(size)
            for bad in self.damages(data, None, SMALL_CONTENT, {}):
                self.ask_everything(data, bad, self.spans(data)[-2:])

    def test_reading_wrong_content_with_matching_waypoints(self):
        """Content and waypoints of another block, which agree: all but the last segment look right."""
        data, self.right = self.block(6 * 64 * KiB + 5)
        for bad in self.damages(data, self.right, CONTENT, DECEPTIVE):
            for copies in self.placements(bad, data, self.right):
                self.ask(data, copies)
                self.ask(data, copies, "HEAD")
                self.ask(data, copies, span=(0, len(data) - 1))
                self.ask(data, copies, span=(len(data) - 1, len(data) - 1))

    def test_reading_large_blocks(self):
        data, self.right = self.block(64 * MiB)
        for name in ("the first byte", "one bit in the middle", "the last byte", "one byte less"):
            for attribute in ("right waypoints", "no waypoints"):
                bad = next(self.damages(data, self.right, {name: CONTENT[name]}, {attribute: ATTRIBUTES[attribute]}))
                for copies in self.placements(bad, data, self.right):
                    self.ask(data, copies)
                    self.ask(data, copies, span=(30 * MiB, 35 * MiB))
        for root in self.roots:
            if os.path.exists(block_path(root, md5(data))):
                os.unlink(block_path(root, md5(data)))

    def test_put_again(self):
        for size, contents in ((1000, SMALL_CONTENT), (waypoints.WITHOUT, SMALL_CONTENT), (5 * 64 * KiB, CONTENT),
                               (11 * 64 * KiB - 1000, CONTENT)):
            data, self.right = self.block(size)
            for bad in self.damages(data, self.right, contents, ATTRIBUTES):
                for copies in self.placements(bad, data, self.right):
                    self.put_again(data, copies)
        self.daemon.assert_nothing_held()

    def test_scrub(self):
        """One pass over every kind of damage, each on a block of its own."""
        for root in self.roots:
            for folder, _, names in os.walk(root):
                for name in names:
                    if len(name) == 32:
                        os.unlink(os.path.join(folder, name))
        laid = []
        others = itertools.cycle([a for a in (ATTRIBUTES | DECEPTIVE).items() if a[0] != "right waypoints"])
        for size, contents in ((1000, SMALL_CONTENT), (5 * 64 * KiB + 99, CONTENT)):
            for what, content in contents.items():
                # Each damage with right waypoints and with one kind of wrong ones.
                for attribute_name, attribute in (("right waypoints", ATTRIBUTES["right waypoints"]), next(others)):
                    for shape in range(self.shapes):
                        data, right = self.block(size)
                        damaged = Copy(f"{what}, {attribute_name}", content(self.rng, data))
                        if right is not None:
                            damaged.attribute = self.attribute_beside(damaged.content, right, attribute, data)
                        laid.append((data, right, list(self.placements(damaged, data, right))[shape]))
        for attribute_name, attribute in ATTRIBUTES.items():
            data, right = self.block(5 * 64 * KiB)
            laid.append((data, right, [Copy(f"good content, {attribute_name}", data, attribute(self.rng, right, data))]))
        for data, _, copies in laid:
            self.lay_out(data, copies)
        before = {(root, md5(data)): os.stat(block_path(root, md5(data))) for data, _, copies in laid
                  for root, _ in zip(self.order(data), copies)}
        listed = self.scrub()
        uuids = {root: volume_uuid(i) for i, root in enumerate(self.roots)}
        for data, right, copies in laid:
            with self.subTest(f"{len(data)} bytes; " + " | ".join(c.what for c in copies) + "; scrub"):
                good = any(c.content == data for c in copies) or together(
                    data, right, [Facts(c, data, right) for c in copies])
                for root, copy in zip(self.order(data), copies):
                    path = block_path(root, md5(data))
                    with open(path, "rb") as file:
                        content = file.read()
                    entry = listed.get((uuids[root], md5(data)))
                    if good:
                        self.assertTrue(content == data, "not repaired from the other mount, or from parts")
                        self.assertTrue(waypoints.load(path) == right, "waypoints after the scrub")
                        self.assertIsNone(entry)
                    else:
                        self.assertTrue(content == copy.content, "a bad copy that cannot be repaired was changed")
                        self.assertEqual(os.stat(path).st_mtime_ns, before[(root, md5(data))].st_mtime_ns)
                        self.assertEqual(os.stat(path).st_ino, before[(root, md5(data))].st_ino)
                        self.assertIsNotNone(entry, "an irreparable copy is not listed")
                        self.assertEqual(entry["size"], len(content))
                if good:
                    self.assertTrue(self.daemon.get(plain(data)).body == data)
        self.daemon.assert_nothing_held()

    def scrub(self):
        """One pass over all mounts; the irreparable copies by mount and block."""
        self.assert_reply(self.daemon.admin("PUT", "/_scrub?rate=0&fresh=1"), 200)

        def finished():
            scrubs = json.loads(self.daemon.admin("GET", "/_scrub").text)["scrubs"]
            return None if any(s["state"] == "running" for s in scrubs) else scrubs

        scrubs = until(finished, 120, "the scrub is done", interval=0.05)
        self.assertEqual([(s["mount"], s["state"]) for s in scrubs],
                         [(volume_uuid(i), "finished") for i in range(len(self.roots))])
        return {(s["mount"], c["block"]): c for s in scrubs for c in s["irreparable_copies"]}


class OnlyCopy(Matrix):
    """There is one volume, and its copy is bad."""


class GoodCopyElsewhere(Matrix):
    volume_count = 2
    shapes = 2

    def placements(self, bad, data, right):
        yield [bad, self.good(data, right)]
        yield [self.good(data, right), bad]


class GoodCopyElsewhereWithoutWaypoints(Matrix):
    """The other copy was written by another program; it is hashed while it is sent."""

    volume_count = 2

    def placements(self, bad, data, right):
        yield [bad, self.good(data, None)]


class BothBad(Matrix):
    """The copy elsewhere is damaged too, in another segment where that is possible."""

    volume_count = 2
    shapes = 2

    def placements(self, bad, data, right):
        stride = waypoints.stride_for(len(data))
        segments = -(-len(data) // stride)
        facts = Facts(bad, data, right)
        whole = [i for i in range(segments) if facts.sized and i not in facts.bad]
        at = in_segment(self.rng, data, self.rng.choice(whole) if whole else self.rng.randrange(segments))
        other = Copy("another bit", flip(data, at), right)
        yield [bad, other]
        yield [other, bad]

    def test_reading_segments_that_are_right_in_one_copy(self):
        """Every byte is right in one copy: all bytes sent are right, from either copy; and the damage of both is never sent."""
        for size, without in itertools.product((11 * 64 * KiB - 1000, 4 * MiB + 77, 33 * MiB + 5), (None, 0, 1)):
            data, self.right = self.block(size)
            stride = waypoints.stride_for(size)
            segments = -(-size // stride)
            for _ in range(4 if size < 33 * MiB else 2):
                one, other, common = self.rng.sample(range(segments), 3)
                damaged = [flip(data, in_segment(self.rng, data, i)) for i in (one, other)]
                attributes = [None if i == without else self.right for i in range(2)]
                copies = [Copy(f"bad in segment {s} of {segments}{', no waypoints' * (a is None)}", content, a)
                          for s, content, a in zip((one, other), damaged, attributes)]
                first, last = sorted((one, other))
                span = (first * stride, min((last + 1) * stride, size) - 1)
                self.assertEqual(self.ask(data, copies, span=span), "right")
                # By now both are known to be bad, and no byte is sent unverified.
                self.assertEqual(self.ask(data, copies), "right")
                self.assertEqual(self.ask(data, copies, "HEAD"), "502")
                at = in_segment(self.rng, data, common)
                both = [Copy(c.what + f" and {common}", flip(c.content, at, bit), c.attribute)
                        for bit, c in enumerate(copies)]
                self.assertNotEqual(self.ask(data, both), "right")
                self.assertNotEqual(self.ask(data, both, span=(0, size - 1)), "right")
        self.assertGreater(self.daemon.metric("keepstore_read_stitched_total"), 0)


del Matrix  # It has no placements of its own to run.


if __name__ == "__main__":
    main()
