"""The daemon on S3 volumes while the service, or the network in front of it, fails in every way that the fault proxy can inject.

Each fault is combined with each operation: once, for one of the operation's requests; each time, but only half-way through the
operation; and then for all requests for a while. Afterwards the acknowledged blocks are read from the bucket and through a
clean daemon. Here one request of each operation fails, with KEEPSTORE_TEST_ROUNDS above 1 every one of them (scripts/torture).
"""

import collections
import concurrent.futures
import os
import random
import sys
import threading
import time

from support.case import main, rounds, seed
from support.daemon import SYSTEM_ROOT_TOKEN
from support.locator import md5
from support.s3_faults import FAULTS
from support.s3_harms import HARMS, SLOW, harm
from support.s3_volumes import Book, S3VolumeCase, timed
from support.wait import until

MIB = 1 << 20
SMALL, LARGE = 3_000, 3 * MIB + 17
FULL = rounds(1) > 1
AT_A_TIME = 12
# The minimum number of requests to S3 for each operation.
OPERATIONS = {"put small": 2, "put large": 4, "put small again": 3, "put large again": 4, "get small": 1, "get large": 2,
              "head": 1, "touch": 2, "trash": 7, "untrash": 4, "index": 2}
# Requests half-way through an operation: the block without its marker, the deletion without the copy. Only these fail, each
# time.
MARKER = {"operation": "put", "path": "/recent/"}
HALF_WAY = {"put small": [MARKER], "put small again": [{"operation": "get"}, MARKER], "put large": [MARKER],
            "put large again": [MARKER], "trash": [{"operation": "copy"}, {"operation": "delete"}],
            "untrash": [{"operation": "copy"}, MARKER]}
# Operations in which one failure may reach the client. In all others the retry succeeds.
# A streamed block cannot be sent again; all other requests can.
STREAMED = {"put large"}
# Wrong bytes, fewer of them, or a wrong ETag are no failures of the transfer, and one volume has no second copy.
BELIEVED = {"flip": {"get small", "get large", "head"},
            "truncated_xml": {"get small", "get large", "head"},
            "wrong_etag": {"put small", "put small again", "trash", "untrash", "put large again"}}
# A retry does not help with expired keys.
REFUSED = {"expired_token"}
ONCE_SECONDS, LASTING_SECONDS, RECOVERY_SECONDS = 8, 15, 5


class Harm:
    """One kind of fault against one daemon with a bucket of its own, in a thread of its own."""

    def __init__(self, case, name, number):
        self.case = case
        self.name = name
        self.number = number
        self.random = random.Random(f"{case.seed} {name}")
        self.book = Book()
        self.problems = []
        self.shown = collections.Counter()
        self.fired = collections.Counter()
        self.rules = 0

    def rule(self, **more):
        # A region that the daemon knows already would not help.
        self.rules += 1
        news = {"region": f"eu-west-{self.rules}"} if self.name.startswith("region") else {}
        return harm(self.name, **news, **more)

    def data(self, size):
        return self.random.randbytes(size)

    def planted(self, size, trashed=False):
        data = self.data(size)
        self.case.plant(data, trashed, bucket=self.bucket, client=self.s3)
        self.book.add(data)
        return data

    # --- operations: each makes one request and returns the error in the outcome, None for success or a clear failure ---

    def prepare(self, operation):
        """Prepares the block for one of them. Those for the trash must be old by then."""
        if operation in ("put small", "put large"):
            return self.data(SMALL if operation == "put small" else LARGE)
        if operation == "index":
            return None
        return self.planted(LARGE if "large" in operation else SMALL, operation == "untrash")

    def perform(self, operation, data):
        daemon, case = self.daemon, self.case
        if operation.startswith("put"):
            outcome = case.put(daemon, data)
            if outcome.ok:
                self.book.add(data)
            return outcome, None
        if operation.startswith("get"):
            outcome = case.get(daemon, data)
            return outcome, "wrong bytes" if outcome.ok and outcome.body != data else None
        if operation == "head":
            return case.get(daemon, data, "HEAD"), None
        if operation == "index":
            outcome = timed(daemon, "GET", "/index", SYSTEM_ROOT_TOKEN)
            if not outcome.ok:
                return outcome, None
            if not outcome.body.endswith(b"\n\n"):
                return outcome, "an index that looks complete has no end"
            listed = {line.split(b"+")[0].decode() for line in outcome.body.splitlines() if line}
            return outcome, None if listed >= {md5(d) for d in self.kept} else "an index that looks complete is not"
        method, target = {"touch": ("TOUCH", "/"), "trash": ("DELETE", "/"), "untrash": ("PUT", "/untrash/")}[operation]
        return timed(daemon, method, target + md5(data), SYSTEM_ROOT_TOKEN), None

    def judge(self, operation, data, seconds, may_show):
        outcome, wrong = self.perform(operation, data)
        if outcome.seconds > seconds:
            wrong = wrong or f"takes longer than {seconds} s"
        if outcome.status is None or outcome.status != 200 and outcome.status < 500:
            wrong = wrong or "is neither a success nor a clear error"
        if outcome.status == 200 and not outcome.complete and operation.split()[0] not in ("get", "index"):
            wrong = wrong or "is cut"
        if outcome.status and outcome.status != 200 and not outcome.body and operation != "head":
            wrong = wrong or "says nothing"
        if not outcome.ok:
            self.shown[operation] += 1
            if not may_show:
                wrong = wrong or "one failure reached the client"
        if wrong:
            self.problems.append(f"{self.name}, {operation}: {wrong}: {outcome}")

    # --- the whole ---

    def run(self):
        self.s3 = self.case.s3_client()
        self.bucket = self.case.make_bucket(f"{self.case.bucket}-{self.number}")
        self.proxy = self.case.fault_proxy()
        self.kept = [self.planted(SMALL) for _ in range(5)]
        once = [(o, k) for o, count in OPERATIONS.items()
                for k in (range(count) if FULL else [self.random.randrange(count)])]
        prepared = [(o, k, self.prepare(o)) for o, k in once]
        if FULL:
            half = [(o, {"skip": k}) for o, count in OPERATIONS.items() for k in range(1, count)]
            half += [(o, which) for o, all_of_it in HALF_WAY.items() for which in all_of_it]
        else:
            half = [(o, self.random.choice(all_of_it)) for o, all_of_it in HALF_WAY.items()]
            half = self.random.sample(half, 2) if self.name in SLOW else half
        half = [(o, which, self.prepare(o)) for o, which in half]
        lasting = [(o, self.prepare(o)) for o in OPERATIONS]
        began = time.monotonic()
        self.daemon = self.case.start([self.case.volume(self.proxy.endpoint, self.bucket)], **self.case.sections)
        # Until it knows the features of the service.
        until(lambda: self.case.put(self.daemon, self.kept[0]).ok and self.case.put(self.daemon, self.data(10)).ok, 10)
        until(lambda: time.monotonic() - began > 2.5, 5)  # BlobSigningTTL, and a second for times that are cut.
        for operation, skip, data in prepared:
            self.settle()
            self.proxy.rules(self.rule(skip=skip, count=1))
            may_show = operation in STREAMED or self.name in REFUSED or operation in BELIEVED.get(self.name, ())
            self.judge(operation, data, ONCE_SECONDS, may_show)
            self.fired[operation] += self.proxy.fired()[0]
        for operation, which, data in half:
            self.settle()
            self.proxy.rules(self.rule(**which))
            self.judge(operation, data, LASTING_SECONDS, True)
        self.settle()
        self.proxy.rules(self.rule())
        threads = [threading.Thread(target=self.judge, args=(o, d, LASTING_SECONDS, True)) for o, d in lasting]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.proxy.rules()
        self.recover()
        return self

    def settle(self):
        """Resets what the daemon has learned in one case (a region, a time, an outage), so that it does not affect the next one."""
        self.proxy.rules()
        until(lambda: self.case.get(self.daemon, self.kept[3]).ok, RECOVERY_SECONDS, f"recovery from {self.name}")

    def recover(self):
        began = time.monotonic()
        until(lambda: self.case.get(self.daemon, self.kept[1]).ok, 20, f"recovery from {self.name}")
        until(lambda: self.case.put(self.daemon, self.kept[2]).ok, 20, f"recovery from {self.name}")
        if time.monotonic() - began > RECOVERY_SECONDS:
            self.problems.append(f"{self.name}: recovered only after {time.monotonic() - began:.1f} s")
        self.daemon.assert_nothing_held()
        if self.name != "stall_request":  # The proxy does not see the end of a connection that it does not read.
            until(lambda: self.proxy.counters()["requests_open"] == 0, 5, f"no request is left with S3 after {self.name}")
        blocks = self.book.blocks()
        self.case.assert_bucket(blocks, self.bucket, self.s3)
        in_trash = {k.removeprefix("trash/") for k in self.s3.list(self.bucket, "trash/")}
        whole = {n: s for n, s in blocks.items() if n not in in_trash}
        self.case.assert_readable(self.daemon, whole)
        clean = self.case.start([self.case.volume(bucket=self.bucket)], **self.case.sections)
        for name in blocks.keys() & in_trash:
            restored = timed(clean, "PUT", f"/untrash/{name}", SYSTEM_ROOT_TOKEN)
            if not restored.ok:
                self.problems.append(f"{self.name}: not restored: {restored}")
        self.case.assert_readable(clean, blocks)
        for daemon in (self.daemon, clean):
            self.case.assertEqual(daemon.stop(), 0)


class Matrix(S3VolumeCase):
    sections = {"Collections": {"BlobSigningTTL": "1s", "BlobTrashLifetime": "1h", "BlobTrashCheckInterval": "0s"}}

    def setUp(self):
        super().setUp()
        self.seed = seed()

    def test_every_fault_in_every_operation(self):
        self.assertEqual({harm(n)["fault"] for n in HARMS}, set(FAULTS))
        chosen = os.environ.get("KEEPSTORE_TEST_FAULT")
        harms = [Harm(self, n, i) for i, n in enumerate([chosen] if chosen else sorted(HARMS, key=lambda n: n not in SLOW))]
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            done = [pool.submit(h.run) for h in harms]
        failures = [f"{h.name}: {f.exception()!r}" for h, f in zip(harms, done) if f.exception()]
        failures += [p for h in harms for p in h.problems]
        fired = sum(sum(h.fired.values()) for h in harms)
        tried = sum(OPERATIONS.values()) * len(harms) if FULL else len(OPERATIONS) * len(harms)
        shown = sum((h.shown for h in harms), collections.Counter())
        print(f"{fired} of {tried} requests harmed once; errors that clients saw: {dict(shown)}", file=sys.stderr)
        self.assertEqual(failures, [], "\n" + "\n".join(failures))
        self.assertGreater(fired, tried * 9 // 10)


if __name__ == "__main__":
    main()
