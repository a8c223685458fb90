"""Large blocks to and from a distant service, where one connection is slow: several connections in parallel."""

import os
import random
import signal
import sys
import threading

from support.case import main, seed
from support.client import Connection, build_request
from support.locator import md5
from support.s3_volumes import S3VolumeCase, timed
from support.wait import until

MIB = 1 << 20
RATE = 20 * MIB  # Bytes per second of one connection.
# The proxy is one process, and each of its pauses meets all parts: on a busy machine it must not count as a dead server.
PATIENT = "60s"


class Parts(S3VolumeCase):
    def setUp(self):
        super().setUp()
        self.data = random.Random(seed())
        self.far = self.fault_proxy()
        self.far.add("slow_request", operation=["put", "multipart_part"], rate=RATE)
        self.daemon = self.start([self.volume(self.far.endpoint, DriverParameters={"ReadTimeout": PATIENT})])

    def block(self, size=32 * MIB):
        return self.data.randbytes(size)

    def write(self, block):
        """Stores it. Returns the duration and the requests."""
        self.far.forget()
        stored = self.put(self.daemon, block)
        self.assertTrue(stored.ok, stored)
        return stored.seconds, self.far.counters()["requests"]

    def another_daemon(self, read_timeout):
        """Replaces the daemon by one that has measured nothing, and gives up a server that is silent for this long."""
        self.daemon.stop()
        self.daemon = self.start([self.volume(self.far.endpoint, DriverParameters={"ReadTimeout": read_timeout})])

    def measured(self, size=32 * MIB):
        """Stores a first block, with which the daemon measures a connection."""
        seconds, requests = self.write(self.block(size))
        self.assertNotIn("multipart_create", requests)
        return seconds

    def test_a_lone_writer_gets_parts_while_they_help(self):
        whole = self.measured()
        blocks = [self.block(), self.block(32 * MIB + 1), self.block(64 * MIB)]
        for block, parts in zip(blocks, (7, 7, 13)):
            seconds, requests = self.write(block)
            print(f"{len(block) / MIB:.0f} MiB: {seconds:.2f} s; 32 MiB as one PUT: {whole:.2f} s", file=sys.stderr)
            self.assertEqual((requests["multipart_create"], requests["multipart_part"], requests["multipart_complete"]),
                             (1, parts, 1))
            self.assertEqual(requests["put"], 1, "the marker")
            self.assertLess(seconds / len(block), whole / (32 * MIB))
        self.daemon.log.wait(msg="large blocks are sent in parts: that is faster")
        other = self.start([self.volume()])
        for block in blocks:
            self.assertEqual(self.get(other, block).body, block)
            got = self.get(other, block, headers={"Range": f"bytes={9 * MIB}-{9 * MIB + 99}"})
            self.assertEqual((got.status, got.body), (206, block[9 * MIB:9 * MIB + 100]))
        self.assert_bucket({md5(b): len(b) for b in blocks})

    def test_a_service_that_pauses_costs_each_part_under_way_a_retry(self):
        self.another_daemon("4s")
        self.measured()
        block = self.block()
        self.far.forget()
        stored = []
        writer = threading.Thread(target=lambda: stored.append(self.put(self.daemon, block)))
        writer.start()
        until(lambda: self.far.counters()["requests"].get("multipart_part", 0) >= 3, 20)
        os.kill(self.far.pid, signal.SIGSTOP)
        try:
            until(lambda: self.daemon.metric("keepstore_s3_retries_total") > 0, 20, "ReadTimeout has passed")
        finally:
            os.kill(self.far.pid, signal.SIGCONT)
        writer.join(60)
        self.assertTrue(stored[0].ok, stored)
        requests = self.far.counters()["requests"]
        self.assertEqual((requests["multipart_create"], requests["multipart_complete"]), (1, 1))
        self.assertGreater(requests["multipart_part"], 7)
        self.assert_bucket({md5(block): len(block)})
        self.assertEqual(self.get(self.daemon, block).body, block)

    def test_a_lone_reader_gets_ranges_while_they_help(self):
        self.far.rules({"fault": "slow", "operation": "get", "rate": RATE})
        blocks = [self.block(), self.block(32 * MIB + 1), self.block(64 * MIB)]
        for block in blocks:
            self.assertTrue(self.put(self.daemon, block).ok)
        rates = []
        for block, gets in zip(blocks, (1, 9, 16)):
            self.far.forget()
            got = self.get(self.daemon, block)
            self.assertEqual(got.body, block)
            rates.append(len(block) / got.seconds)
            self.assertEqual(self.far.counters()["requests"]["get"], gets)
        print("MB/s as one GET, and in ranges:", [round(r / 1e6) for r in rates], file=sys.stderr)
        self.assertLess(rates[0], min(rates[1:]))
        self.daemon.log.wait(msg="large blocks are fetched in parts: that is faster")
        # Corruption is still found, and the block never served whole.
        rotten = bytearray(blocks[2])
        rotten[40 * MIB] ^= 1
        self.s3.put(self.bucket, md5(blocks[2]), bytes(rotten))
        got = self.get(self.daemon, blocks[2])
        self.assertFalse(got.complete and got.status == 200, got)

    def test_a_reader_of_ranges_survives_faults(self):
        """Each fault meets a daemon of its own, since after a read that waited for its retries the next may come whole."""
        slow = {"fault": "slow", "operation": "get", "rate": RATE}
        self.far.rules(slow)
        block = self.block()
        self.assertTrue(self.put(self.daemon, block).ok)
        harms = [{"fault": "slow_down"}, {"fault": "internal_error"}, {"fault": "reset"}, {"fault": "truncate"},
                 {"fault": "answer_lost"}, {"fault": "stall", "seconds": 8}]
        for harm in harms:
            with self.subTest(**harm):
                self.another_daemon("4s")
                self.far.rules(slow)
                self.assertEqual(self.get(self.daemon, block).body, block)
                self.far.rules(harm | {"operation": "get", "skip": 2, "count": 2}, slow)
                self.assertEqual(self.get(self.daemon, block).body, block)
                self.assertEqual(self.far.fired()[0], 2, "it came in ranges, and two of them were harmed")

    def test_several_writers_get_one_put_each(self):
        self.measured()
        blocks = [self.block() for _ in range(6)]
        self.far.forget()
        together = threading.Barrier(len(blocks))
        failed = []

        def write(block):
            together.wait(30)
            stored = self.put(self.daemon, block)
            if not stored.ok:
                failed.append(stored)

        writers = [threading.Thread(target=write, args=(b,)) for b in blocks]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join(60)
        self.assertEqual(failed, [])
        self.assertLessEqual(self.far.counters()["requests"].get("multipart_create", 0), 4)
        self.assert_bucket({md5(b): len(b) for b in blocks})

    def test_what_must_not_be_stored_is_aborted(self):
        self.measured()
        wrong = self.block()
        refused = timed(self.daemon, "PUT", "/" + md5(wrong), body=wrong[:-1] + bytes([wrong[-1] ^ 1]))
        self.assertEqual(refused.status, 400, refused)
        left = self.block()
        with Connection(self.daemon.address, timeout=30) as connection:
            connection.send(build_request("PUT", "/" + md5(left), {"Content-Length": str(len(left))}) + left[:20 * MIB])
            until(lambda: self.far.counters()["requests"].get("multipart_create", 0) == 2, 20, "both are sent in parts")
        until(lambda: not self.s3.uploads(self.bucket), 20, "no upload is left")
        self.assertEqual(self.far.counters()["requests"]["multipart_create"], 2)
        self.assertEqual(self.far.counters()["requests"].get("multipart_complete", 0), 0)
        for block in (wrong, left):
            self.assertEqual(self.get(self.daemon, block).status, 404)
        self.assertTrue(self.put(self.daemon, wrong).ok)

    def test_faults_in_parts_are_retried_or_refused(self):
        """
        Each fault once, in the first request of a kind: the block is still stored, and whole. Each meets a daemon of its
        own, since an upload that waited before its retry may have been no faster than a whole one, and then the next is whole.
        """
        slow = {"fault": "slow_request", "operation": ["put", "multipart_part"], "rate": RATE}
        harms = [{"fault": fault, "operation": f"multipart_{operation}", "count": 1} | how
                 for operation in ("create", "part", "complete")
                 for fault, how in (("slow_down", {}), ("internal_error", {}), ("answer_lost", {}), ("error_in_200", {}),
                                    ("status_after", {}), ("flip_request", {"at": 100}))
                 if (operation, fault) not in {("part", "error_in_200"), ("create", "flip_request"), ("complete", "flip_request")}]
        for harm in harms:
            with self.subTest(**harm):
                self.another_daemon(PATIENT)
                self.far.rules(slow)
                self.measured(16 * MIB)
                block = self.block(16 * MIB)
                self.far.rules(harm, slow)
                stored = self.put(self.daemon, block)
                self.assertTrue(stored.ok, stored)
                self.assertEqual(self.far.fired()[0], 1, "it was sent in parts, and harmed")
                self.far.rules(slow)
                self.assertEqual(self.get(self.daemon, block).body, block)

    def test_a_service_without_parts_gets_whole_blocks(self):
        self.measured()
        self.far.rules({"fault": "status", "operation": "multipart_create", "status": 501, "code": "NotImplemented"},
                       {"fault": "slow_request", "operation": "put", "rate": RATE})
        block = self.block()
        refused = self.put(self.daemon, block)
        self.assertEqual(refused.status, 503, refused)
        for _ in range(2):
            _, requests = self.write(block := self.block())
            self.assertNotIn("multipart_create", requests)
            self.assertEqual(self.get(self.daemon, block).body, block)

    def test_a_killed_daemon_leaves_no_object_under_a_block_name(self):
        self.measured()
        block = self.block(64 * MIB)
        connection = Connection(self.daemon.address, timeout=30)
        self.addCleanup(connection.close)
        self.far.forget()
        connection.send(build_request("PUT", "/" + md5(block), {"Content-Length": str(len(block))}) + block[:40 * MIB])
        until(lambda: self.far.counters()["requests"].get("multipart_part", 0) >= 2, 20)
        self.daemon.kill()
        until(lambda: self.far.counters()["requests_open"] == 0, 20)
        self.assertNotIn(md5(block), self.s3.list(self.bucket))
        self.assertEqual([k for k, _ in self.s3.uploads(self.bucket)], [md5(block)])
        self.far.rules()
        again = self.start([self.volume(self.far.endpoint)])
        self.assertTrue(self.put(again, block).ok)
        self.assertEqual(self.get(again, block).body, block)


if __name__ == "__main__":
    main()
