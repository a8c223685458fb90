"""While S3 fails: the daemon continues with another volume, trash and its protection are unaffected, and ambiguous responses of
S3 are not over-interpreted. KEEPSTORE_TEST_ROUNDS above 1: with every fault.
"""

import concurrent.futures
import os
import random
import sys
import time

from support.case import main, rounds, seed
from support.daemon import SYSTEM_ROOT_TOKEN, directory_volume, store
from support.locator import md5
from support.s3_harms import HARMS, harm
from support.s3_volumes import S3VolumeCase, first_on, timed
from support.wait import until

MIB = 1 << 20
SMALL, LARGE = 3_000, 3 * MIB + 17
FULL = rounds(1) > 1
LASTING_SECONDS = 15


def healthy(daemon):
    """Whether both volumes are, so that they are asked in their usual order."""
    return daemon.metric("keepstore_volume_state", operation="read", state="healthy") == 2


class Elsewhere(S3VolumeCase):
    """The bucket's daemon has a second volume, which it tries second."""

    def daemons(self, count):
        """Pairs of a proxy and a daemon that uses it, with a directory or with another bucket as its second volume."""
        for i in range(count):
            proxy = self.fault_proxy()
            second = directory_volume(self.dir.make(f"second{i}")) if i % 2 == 0 else self.volume(bucket=self.second)
            yield proxy, self.start([self.volume(proxy.endpoint), second])

    def setUp(self):
        super().setUp()
        self.random = random.Random(seed())
        self.second = self.make_bucket()
        self.writers = [self.start([self.volume(bucket=b)]) for b in (self.bucket, self.second)]

    def block(self, size):
        return first_on(0, 2, lambda i: self.random.randbytes(size - 4) + i.to_bytes(4, "big"))

    def everywhere(self, daemon, data):
        """Into both volumes, with the waypoints that a daemon gives a block in S3."""
        for volume in self.writers[:1] if daemon.roots() else self.writers:
            self.assertTrue(self.put(volume, data).ok)
        for root in daemon.roots():
            store(root, md5(data), data)

    def each(self, work, harms):
        """Runs work(proxy, daemon, name of the fault) concurrently; each daemon gets some of the faults in turn."""
        def turns(pair, names):
            for name in names:
                pair[0].rules()
                until(lambda: healthy(pair[1]), 10, f"good health before {name}")
                work(*pair, name)
            pair[0].rules()
            pair[1].assert_nothing_held()
        pairs = list(self.daemons(6))
        with concurrent.futures.ThreadPoolExecutor(len(pairs)) as pool:
            done = [pool.submit(turns, pair, harms[i::len(pairs)]) for i, pair in enumerate(pairs)]
        failures = [repr(f.exception()) for f in done if f.exception()]
        self.assertEqual(failures, [], "\n".join(failures))

    def test_a_reader_never_notices(self):
        # In the middle of the body, where the fault has a position.
        middle = {"flip": {"at": LARGE // 2}, "truncate": {"after": LARGE // 2}, "stall": {"after": LARGE // 2},
                  "truncated_xml": {"after": LARGE // 2}}

        def read(proxy, daemon, name):
            rule = harm(name, operation="get")
            for size, options in ((LARGE, middle.get(rule["fault"], {})), (SMALL, {})):
                data = self.block(size)
                self.everywhere(daemon, data)
                proxy.rules(rule | options)
                # Else S3 is asked last, and the other volume has the block.
                asked_first = healthy(daemon)
                outcome = self.get(daemon, data)
                if not outcome.ok or outcome.body != data or outcome.seconds > LASTING_SECONDS:
                    raise AssertionError(f"{name}: {outcome}")
                if asked_first and not sum(proxy.fired()) and healthy(daemon):
                    raise AssertionError(f"{name} has not been tried")
        self.each(read, list(HARMS))

    def test_a_writer_is_served_by_the_other(self):
        """Except for blocks of which S3 has received a part already, and which the daemon no longer has."""
        large = []

        def write(proxy, daemon, name):
            proxy.rules(harm(name, operation="put"))
            for data in (self.block(SMALL), self.block(LARGE)):
                outcome = self.put(daemon, data)
                if outcome.status == 503 and len(data) == LARGE and outcome.seconds < LASTING_SECONDS:
                    large.append(name)
                    continue
                if not outcome.ok or outcome.seconds > LASTING_SECONDS:
                    raise AssertionError(f"{name}: {outcome}")
                found = self.get(daemon, data)
                if not found.ok or found.body != data:
                    raise AssertionError(f"{name}: acknowledged, and then {found}")
        self.each(write, list(HARMS))
        print(f"large blocks not taken: {large}", file=sys.stderr)
        # Where S3 refused before it received a byte, or the fault does not last.
        self.assertEqual({"slow_down at once", "reset", "delay", "slow_request", "duplicate", "delay_answer", "slow",
                          "close_after", "stale", "expired_token"} & set(large), set())


class Trash(S3VolumeCase):
    """Emptying the trash while S3 fails: due copies are deleted in the end, and no others ever."""

    def test_emptying(self):
        generator = random.Random(seed())
        sections = {"Collections": {"BlobSigningTTL": "1s", "BlobTrashLifetime": "2s", "BlobTrashCheckInterval": "1s"},
                    "Keepstore": {"EmptyTrashStartDelay": "0s"}}
        always = ["error_in_200", "truncated_xml", "status_after", "time_skewed", "duplicate"]
        others = [n for n in HARMS if n not in always]
        chosen = list(HARMS) if FULL else always + generator.sample(others, 5)

        def empty(number, name):
            client, proxy = self.s3_client(), self.fault_proxy(seed=number + 1)
            bucket = self.make_bucket(f"{self.bucket}-{number}")
            own = random.Random(f"{self.bucket} {number}")
            due, lives, raced = ([own.randbytes(500) for _ in range(4)] for _ in range(3))
            for data in due + lives:
                client.put(bucket, "recent/" + md5(data), b"")
            for data in lives:
                client.put(bucket, md5(data), data)
            began = time.monotonic()
            until(lambda: time.monotonic() - began > 2.2, 5)
            for data in due + lives + raced:
                client.put(bucket, "trash/" + md5(data), data)
            for data in raced:  # A PUT or TOUCH that was acknowledged when the block had just been trashed.
                client.put(bucket, "recent/" + md5(data), b"")
            proxy.rules(harm(name, probability=0.4))
            daemon = self.start([self.volume(proxy.endpoint, bucket)], **sections)
            began = time.monotonic()
            until(lambda: time.monotonic() - began > 5, 10)
            proxy.rules()
            names = {"trash/" + md5(d) for d in due}
            until(lambda: not names & client.list(bucket, "trash/").keys(), 20, f"{name}: what is due is gone")
            kept = {md5(d): len(d) for d in lives + raced}
            self.assert_readable(daemon, kept)
            self.assertEqual(daemon.stop(), 0)  # It may have more to delete, which the next check must not see.
            self.assert_bucket(kept, bucket, client)
            self.assertTrue(sum(proxy.counters()["faults"].values()), name)
        with concurrent.futures.ThreadPoolExecutor(len(chosen)) as pool:
            done = [pool.submit(empty, i, n) for i, n in enumerate(chosen)]
        failures = [f"{n}: {f.exception()!r}" for n, f in zip(chosen, done) if f.exception()]
        self.assertEqual(failures, [], "\n".join(failures))

    def test_a_wrong_date_of_the_service_ends_no_protection(self):
        """The clock of one server of many, or of a proxy in front of it, is wrong: it only affects the signing of requests."""
        proxy = self.fault_proxy()
        trashed, fresh = b"in the trash since just now", b"written just now"
        self.plant(fresh)
        self.plant(trashed, trashed=True)
        self.plant(trashed)  # While the block exists the copy in the trash is judged by its age alone.
        # As far off as the real service accepts in a signature.
        skewed = {"fault": "time_skewed", "seconds": 600}
        daemon = self.start([self.volume(proxy.endpoint)], Keepstore={"EmptyTrashStartDelay": "0s"}, Collections={
            "BlobSigningTTL": "5m", "BlobTrashLifetime": "5m", "BlobTrashCheckInterval": "1s"})
        until(lambda: self.get(daemon, fresh).ok, 10)
        proxy.rules(skewed | {"operation": "head", "count": 1})
        self.assertTrue(timed(daemon, "DELETE", "/" + md5(fresh), SYSTEM_ROOT_TOKEN).ok)
        self.assertEqual(proxy.fired(), [1])
        daemon.log.wait(msg="the clocks of this machine and of the S3 service differ; requests are signed with the service's "
                        "time")
        self.assertIsNotNone(self.s3.head(self.bucket, md5(fresh)))
        emptied = len(daemon.log.entries(msg="emptied the trash"))
        until(lambda: len(daemon.log.entries(msg="emptied the trash")) > emptied + 1, 10)
        self.assertIsNotNone(self.s3.head(self.bucket, "trash/" + md5(trashed)))
        self.assertEqual(proxy.counters()["requests"].get("copy", 0), 0, "nothing was moved at all")


class Ambiguous(S3VolumeCase):
    """Responses that are lost, late, or from another server."""

    def test_a_late_deletion(self):
        """The block has been written again in the meantime; the acknowledged one comes back from the trash."""
        proxy, data = self.fault_proxy(), os.urandom(MIB)
        daemon, other = (self.start([self.volume(e)], Collections={
            "BlobSigningTTL": "1s", "BlobTrashLifetime": "1h", "BlobTrashCheckInterval": "0s"}) for e in (proxy.endpoint, None))
        self.assertTrue(self.put(daemon, data).ok)
        began = time.monotonic()
        until(lambda: time.monotonic() - began > 2.2, 5)
        proxy.rules({"fault": "duplicate", "seconds": 1.0, "answer": "first", "operation": "delete"})
        self.assertTrue(timed(daemon, "DELETE", "/" + md5(data), SYSTEM_ROOT_TOKEN).ok)
        self.assertIsNone(self.s3.head(self.bucket, md5(data)))
        self.assertTrue(self.put(other, data).ok)
        until(lambda: proxy.counters()["duplicates"] == 1, 10)
        self.assertIsNone(self.s3.head(self.bucket, md5(data)), "the late one has deleted it")
        self.assert_readable(daemon, {md5(data): MIB})
        self.assertIsNotNone(self.s3.head(self.bucket, md5(data)))

    def test_a_404_that_is_not_of_s3(self):
        """From a misconfigured proxy. It must not become "no such block"."""
        proxy, small, large = self.fault_proxy(), os.urandom(SMALL), os.urandom(LARGE)
        daemon = self.start([self.volume(proxy.endpoint)])
        for data in (small, large):
            self.assertTrue(self.put(daemon, data).ok)
        proxy.rules({"fault": "status", "status": 404, "headers": {"Content-Type": "text/html"},
                     "body": "<html><body><h1>404 Not Found</h1></body></html>"})
        for data in (small, large):
            for method in ("GET", "HEAD"):
                outcome = self.get(daemon, data, method)
                self.assertEqual(outcome.status, 503, outcome)
        outcome = timed(daemon, "TOUCH", "/" + md5(small), SYSTEM_ROOT_TOKEN)
        self.assertEqual(outcome.status, 503, outcome)
        proxy.rules()
        until(lambda: self.get(daemon, small).ok, 5)
        self.assert_readable(daemon, {md5(d): len(d) for d in (small, large)})


if __name__ == "__main__":
    main()
