"""The scrub from the operator's view: started, watched and stopped over HTTP, resumed after a restart; its findings, its repairs,
copies that it does not touch, and that it does not change the page cache."""

import ctypes
import json
import mmap
import os
import time
import unittest

from support import waypoints
from support.case import KeepstoreCase, main
from support.daemon import (ACTIVE_TOKEN, MANAGEMENT_TOKEN, SYSTEM_ROOT_TOKEN, block_path, directory_volume, sanitized, store,
                            volume_uuid)
from support.locator import md5, plain
from support.wait import until

KiB = 1 << 10
MiB = 1 << 20
NOTE = "user.keepstore.scrub"
SLOW_RATE = 100_000


def cached_pages(path):
    """The pages of a file that are in the page cache. Reading this does not change it."""
    size = os.path.getsize(path)
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY) as mapping:
        found = (ctypes.c_ubyte * (-(-size // mmap.PAGESIZE)))()
        first = ctypes.c_char.from_buffer(mapping)
        status = libc.mincore(ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(size), found)
        del first
    if status != 0:
        raise OSError(ctypes.get_errno(), "mincore")
    return [bool(flag & 1) for flag in found]


def uncache(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class ScrubCase(KeepstoreCase):
    def start(self, *args, **kwargs):
        daemon = super().start(*args, **kwargs)
        # The record of the last run is read concurrently with the first requests.
        until(lambda: all(s["state"] != "starting" for s in self.scrubs(daemon)), 10, "what the volumes keep of earlier runs")
        return daemon

    def scrubs(self, daemon, method="GET", query=""):
        response = self.assert_reply(daemon.admin(method, "/_scrub" + query), 200)
        self.assertEqual(response.header("Content-Type"), "application/json")
        return json.loads(response.text)["scrubs"]

    def state(self, daemon, number=0):
        return self.scrubs(daemon, query=f"?mount={volume_uuid(number)}")[0]

    def wait_state(self, daemon, *states, number=0, timeout=30):
        return until(lambda: (lambda s: s if s["state"] in states else None)(self.state(daemon, number)), timeout,
                     f"scrub {' or '.join(states)}")

    def scrub(self, daemon, number=0, query=""):
        """A whole pass."""
        before = self.state(daemon, number)["last_complete_at"], len(daemon.log.entries(msg="scrub finished"))
        self.scrubs(daemon, "PUT", f"?mount={volume_uuid(number)}{query}")
        until(lambda: len(daemon.log.entries(msg="scrub finished")) > before[1], 30, "a finished scrub")
        return self.state(daemon, number)

    def fill(self, root, count, size):
        names = []
        for _ in range(count):
            data = os.urandom(size)
            store(root, md5(data), data, age=1000)
            names.append(md5(data))
        return names


class Administration(ScrubCase):
    def test_only_the_administrator(self):
        daemon = self.start()
        for method in ("GET", "HEAD", "PUT", "DELETE", "POST"):
            with self.subTest(method):
                self.assertEqual(daemon.request(method, "/_scrub").status, 401)
                for token in (ACTIVE_TOKEN, MANAGEMENT_TOKEN):
                    self.assertEqual(daemon.request(method, "/_scrub", token).status, 403)
        self.assertEqual(self.state(daemon)["state"], "idle")

    def test_errors_are_clear(self):
        daemon = self.start()
        for method in ("POST", "PATCH", "TOUCH"):
            response = daemon.request(method, "/_scrub", SYSTEM_ROOT_TOKEN)
            self.assert_reply(response, 405, "Method Not Allowed\n")
            self.assertEqual(response.header("Allow"), "GET, HEAD, PUT, DELETE")
        for method in ("GET", "PUT", "DELETE"):
            self.assert_reply(daemon.admin(method, "/_scrub?mount=zzzzz-nyw5e-none"), 404, "no such mount\n")
        for rate in ("abc", "-1", "1.5", "64MiB", "99999999999999999999999"):
            self.assertIn("rate:", self.assert_reply(daemon.admin("PUT", "/_scrub?rate=" + rate), 400).text)
        self.assertIn("fresh:", self.assert_reply(daemon.admin("PUT", "/_scrub?fresh=yes"), 400).text)
        self.assertEqual(daemon.admin("GET", "/_scrub/").status, 400)
        self.assertEqual(self.state(daemon)["state"], "idle")

    def test_idle_until_started(self):
        daemon = self.start([self.dir.make("a"), directory_volume(self.dir.make("b"), ReadOnly=True)])
        first, second = self.scrubs(daemon)
        self.assertEqual([first["mount"], second["mount"]], [volume_uuid(0), volume_uuid(1)])
        self.assertEqual([first["repairs"], second["repairs"]], [True, False])
        for s in (first, second):
            self.assertEqual(s["state"], "idle")
            self.assertEqual(s["rate_limit"], 64 * MiB)
            self.assertEqual(s["irreparable_copies"], [])
            for key in ("started_at", "ended_at", "last_complete_at", "next_due_at"):
                self.assertIsNone(s[key])
        self.assertEqual(daemon.metric("keepstore_scrub_running"), 0)
        self.assertEqual(daemon.metric("keepstore_scrub_last_complete_timestamp_seconds"), 0)

    def test_an_empty_volume(self):
        daemon = self.start()
        s = self.scrub(daemon)
        self.assertEqual((s["state"], s["blocks_checked"], s["progress"]), ("finished", 0, 1))
        self.assertAlmostEqual(daemon.metric("keepstore_scrub_last_complete_timestamp_seconds"), time.time(), delta=60)

    def test_by_itself(self):
        root = self.dir.make("vol")
        data = os.urandom(1000)
        store(root, md5(data), data)
        daemon = self.start([root], Keepstore={"ScrubInterval": "24h", "ScrubRate": 0})
        first = self.state(daemon)
        self.assertTrue(first["next_due_at"] is not None or first["state"] != "idle", first)
        s = self.wait_state(daemon, "finished")
        self.assertEqual(s["blocks_checked"], 1)
        until(lambda: self.state(daemon)["next_due_at"] is not None, 4, "the next pass is due")


class Findings(ScrubCase):
    def test_damage_is_found_and_nothing_is_touched(self):
        daemon = self.start()
        root = daemon.roots()[0]
        damaged = {}
        for size in (1000, 70_000, 300_000, 2 * MiB + 5):
            for change in ("flip", "truncate", "extend", "zero", "empty"):
                data = os.urandom(size)
                bad = {"flip": data[:-1] + bytes([data[-1] ^ 1]), "truncate": data[:-1], "extend": data + b"x",
                       "zero": bytes(size), "empty": b""}[change]
                damaged[md5(data)] = store(root, md5(data), bad, age=1000)
            good = os.urandom(size)
            store(root, md5(good), good, age=1000)
        sparse = md5(b"sparse")
        damaged[sparse] = store(root, sparse, b"", age=1000)
        os.truncate(damaged[sparse], 64 * MiB + 1)
        before = {n: waypoints.identity(p) for n, p in damaged.items()}
        s = self.scrub(daemon)
        self.assertEqual(s["state"], "finished")
        self.assertEqual(s["blocks_checked"], len(damaged) + 4)
        self.assertEqual((s["bad"], s["irreparable"], s["repaired"], s["unreadable"]), (len(damaged), len(damaged), 0, 0))
        self.assertEqual({c["block"] for c in s["irreparable_copies"]}, set(damaged))
        for copy in s["irreparable_copies"]:
            self.assertEqual(copy["size"], os.path.getsize(damaged[copy["block"]]))
            self.assertIn("no other volume", copy["problem"])
        self.assertEqual({n: waypoints.identity(p) for n, p in damaged.items()}, before)
        self.assertEqual(daemon.metric("keepstore_scrub_irreparable_copies", mount=volume_uuid(0)), len(damaged))
        self.assertEqual(daemon.metric("keepstore_scrub_bad_copies_total"), len(damaged))
        self.assertEqual(daemon.metric("keepstore_scrub_blocks_total"), len(damaged) + 4)
        for name in damaged:
            entry = daemon.log.wait(condition=lambda e, n=name: e["level"] == "error" and n in str(e), what=name)
            self.assertEqual(entry["mount"], volume_uuid(0))
        # Logged once, however often it is found.
        self.scrub(daemon)
        self.assertEqual(len([e for e in daemon.log.entries(msg="stored copy is bad") if e["block"] == sparse]), 1)
        # A copy that the operator removed leaves the list.
        for path in damaged.values():
            os.unlink(path)
        self.assertEqual(self.scrub(daemon)["irreparable_copies"], [])
        self.assertEqual(daemon.metric("keepstore_scrub_irreparable_copies"), 0)
        daemon.assert_nothing_held()

    def test_repair_from_another_volume(self):
        daemon = self.start([self.dir.make("a"), self.dir.make("b")])
        first, second = daemon.roots()
        blocks = {}
        for size in (0, 1, 1000, 300_000, 3 * MiB + 5):
            for bad in (b"bad", bytes(size), os.urandom(size + 1)):
                data = os.urandom(size)
                if bad != data:
                    blocks[md5(data)] = data
                    store(first, md5(data), bad, age=1000)
                    store(second, md5(data), data, age=1000)
        s = self.scrub(daemon)
        self.assertEqual((s["bad"], s["repaired"], s["irreparable"]), (len(blocks), len(blocks), 0))
        for name, data in blocks.items():
            for root in (first, second):
                with open(block_path(root, name), "rb") as file:
                    self.assertTrue(file.read() == data)
            self.assertLess(time.time() - os.stat(block_path(first, name)).st_mtime, 60)
            self.assertGreater(time.time() - os.stat(block_path(second, name)).st_mtime, 900)
            if len(data) > waypoints.WITHOUT and waypoints.supported(first):
                self.assertEqual(waypoints.load(block_path(first, name)), waypoints.of(data))
            daemon.log.wait(condition=lambda e, n=name: e["msg"].startswith("scrub: a bad copy was replaced") and e["block"] == n,
                            what="the line about the repair")
            self.assert_reply(daemon.get(plain(data)), 200, data)
        self.assertEqual(daemon.metric("keepstore_scrub_repaired_copies_total"), len(blocks))
        self.assertEqual(daemon.metric("keepstore_repaired_copies_total"), len(blocks))
        self.assertEqual(self.scrub(daemon)["bad"], 0)
        daemon.assert_nothing_held()

    def test_a_read_only_volume_is_only_checked(self):
        root = self.dir.make("ro")
        daemon = self.start([directory_volume(root, ReadOnly=True), self.dir.make("rw")])
        data = os.urandom(300_000)
        fine = os.urandom(400_000)
        path = store(root, md5(data), data[:-1] + bytes([data[-1] ^ 1]), age=1000)
        other = store(root, md5(fine), fine, age=1000)
        store(daemon.roots()[1], md5(data), data, age=1000)
        before = waypoints.identity(path)
        s = self.scrub(daemon)
        self.assertEqual((s["bad"], s["repaired"]), (1, 0), s)
        self.assertIn("read-only", s["irreparable_copies"][0]["problem"])
        self.assertEqual(waypoints.identity(path), before)
        self.assertIsNone(waypoints.load(other))
        self.assertEqual(os.listxattr(root), [])

    def test_missing_waypoints_are_written(self):
        daemon = self.start()
        root = daemon.roots()[0]
        if not waypoints.supported(root):
            self.skipTest("no user attributes here")
        data = os.urandom(1 * MiB + 1)
        path = store(root, md5(data), data, age=1000)
        before = waypoints.identity(path)
        s = self.scrub(daemon)
        self.assertEqual(s["waypoints_written"], 1)
        self.assertEqual(waypoints.load(path), waypoints.of(data))
        self.assertEqual(waypoints.identity(path), before)
        self.assertEqual(self.scrub(daemon)["waypoints_written"], 0)


class Resuming(ScrubCase):
    def slow(self, daemon, count=60):
        """A slow pass (20 s at least unless its rate is changed), some blocks after its beginning."""
        self.names = self.fill(daemon.roots()[0], count, 100_000)
        # The first blocks are read together before any of them counts.
        self.scrubs(daemon, "PUT", "?rate=2000000")
        until(lambda: self.state(daemon)["position"] > 200, 20, "progress")
        self.scrubs(daemon, "PUT", f"?rate={SLOW_RATE}")
        running = self.state(daemon)
        self.assertLess(running["blocks_checked"], count - 20)  # The others take 20 s.
        return running

    def test_stop_and_resume(self):
        daemon = self.start()
        running = self.slow(daemon)
        self.assertEqual(running["state"], "running")
        self.assertEqual(running["rate_limit"], SLOW_RATE)
        self.assertGreater(running["rate"], 0)
        self.assertIsNotNone(running["seconds_left"])
        self.assertEqual(daemon.metric("keepstore_scrub_running"), 1)
        self.scrubs(daemon, "DELETE")
        stopped = self.wait_state(daemon, "stopped")
        self.assertGreaterEqual(stopped["position"], running["position"])
        self.assertLess(stopped["blocks_checked"], 60)
        done = self.scrub(daemon, query="&rate=0")
        self.assertEqual(done["started_at"], running["started_at"])
        self.assertTrue(60 <= done["blocks_checked"] < 76, done)  # The interrupted ones are checked again.
        daemon.assert_nothing_held()

    def test_from_the_beginning(self):
        daemon = self.start()
        self.slow(daemon)
        done = self.scrub(daemon, query="&fresh=1&rate=0")
        self.assertEqual(done["blocks_checked"], 60)

    def test_the_rate_of_a_running_scrub(self):
        daemon = self.start()
        self.slow(daemon)
        done = self.scrub(daemon, query="&rate=0")
        self.assertTrue(60 <= done["blocks_checked"] < 76, done)  # The interrupted ones are checked again.
        self.assertEqual(len(daemon.log.entries(msg="scrub started")), 1)

    def test_a_restart_resumes(self):
        root = self.dir.make("vol")
        daemon = self.start([root])
        if not waypoints.supported(root):
            self.skipTest("no user attributes here")
        running = self.slow(daemon)
        began = time.monotonic()
        self.assertEqual(daemon.stop(), 0)
        self.assertLess(time.monotonic() - began, 15)  # The pass would take longer.
        if not sanitized():  # Half a second is too little for its calls to end.
            self.assertEqual([e["msg"] for e in daemon.log.entries(level="warning") if "stopped while" in e["msg"]], [])
        note = json.loads(os.getxattr(root, NOTE))
        self.assertTrue(note["interrupted"])
        self.assertGreaterEqual(note["position"], running["position"])
        daemon = self.start([root])
        resumed = self.state(daemon)
        self.assertEqual((resumed["state"], resumed["position"]), ("stopped", note["position"]))
        self.assertIsNotNone(resumed["next_due_at"])
        done = self.wait_state(daemon, "finished")
        self.assertEqual(done["started_at"], running["started_at"])
        self.assertTrue(60 <= done["blocks_checked"] < 76, done)  # The interrupted ones are checked again.
        until(lambda: not json.loads(os.getxattr(root, NOTE))["interrupted"], 4, "a note that says so")

    def test_a_stopped_scrub_is_not_resumed(self):
        root = self.dir.make("vol")
        daemon = self.start([root])
        if not waypoints.supported(root):
            self.skipTest("no user attributes here")
        self.slow(daemon)
        self.assertEqual(daemon.stop(), 0)
        self.assertTrue(json.loads(os.getxattr(root, NOTE))["interrupted"])
        daemon = self.start([root])
        self.scrubs(daemon, "DELETE")
        until(lambda: self.state(daemon)["next_due_at"] is None, 4, "no scrub due")
        until(lambda: not json.loads(os.getxattr(root, NOTE))["interrupted"], 4, "a note that says so")
        self.assertEqual(self.state(daemon)["state"], "stopped")

    def test_a_damaged_checkpoint_is_ignored(self):
        root = self.dir.make("vol")
        if not waypoints.supported(root):
            self.skipTest("no user attributes here")
        os.setxattr(root, NOTE, b'{"version":1,"position":99999')
        daemon = self.start([root])
        self.assertEqual(self.state(daemon)["state"], "idle")
        self.assertEqual(self.scrub(daemon)["state"], "finished")

    def test_requests_are_served_during_a_scrub(self):
        daemon = self.start()
        self.slow(daemon)
        for size in (100, 300_000):
            data = os.urandom(size)
            self.assert_reply(daemon.put(data), 200)
            self.assert_reply(daemon.get(plain(data)), 200, data)
        self.assertEqual(self.state(daemon)["state"], "running")


class PageCache(ScrubCase):
    def check(self, **parameters):
        root = self.dir.make("vol")
        daemon = self.start([directory_volume(root, DriverParameters=parameters)])
        paths = {}
        for what in ("warm", "cold", "half"):
            data = os.urandom(2 * MiB + 100)
            paths[what] = store(root, md5(data), data, age=1000)
            uncache(paths[what])
        small = os.urandom(5000)
        paths["small"] = store(root, md5(small), small, age=1000)
        uncache(paths["small"])
        if any(cached_pages(paths["cold"])):
            self.skipTest("this file system keeps everything in memory")
        with open(paths["warm"], "rb") as file:
            file.read()
        with open(paths["half"], "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            file.read(1 * MiB)
        before = {what: cached_pages(path) for what, path in paths.items()}
        self.assertTrue(all(before["warm"]))
        self.assertIn(True, before["half"])
        self.assertIn(False, before["half"])
        self.assertEqual(self.scrub(daemon)["blocks_checked"], 4)
        # A page that the kernel uses itself at this moment cannot be dropped: rare, and never twice.
        for last in (False, True):
            after = {what: cached_pages(path) for what, path in paths.items()}
            if last or [sum(pages) for pages in after.values()] == [sum(pages) for pages in before.values()]:
                break
            for what in ("cold", "small"):
                uncache(paths[what])
            before = {what: cached_pages(path) for what, path in paths.items()}
            self.scrub(daemon)
        self.assertEqual({what: sum(pages) for what, pages in after.items()},
                         {what: sum(pages) for what, pages in before.items()})

    def test_direct_reads_do_not_change_it(self):
        self.check()

    def test_buffered_reads_drop_pages_that_they_added(self):
        self.check(DirectIO="off")

    def test_the_disk_is_read_and_not_the_cache(self):
        daemon = self.start()
        data = os.urandom(4 * MiB)
        path = store(daemon.roots()[0], md5(data), data, age=1000)
        uncache(path)
        if any(cached_pages(path)):
            self.skipTest("this file system keeps everything in memory")
        self.assertTrue(daemon.get(plain(data)).body == data)
        self.assertTrue(all(cached_pages(path)))

        def read_from_disk():
            with open(f"/proc/{daemon.pid}/io", encoding="ascii") as file:
                return int(next(line for line in file if line.startswith("read_bytes:")).split()[1])

        before = read_from_disk()
        s = self.scrub(daemon)
        self.assertEqual((s["blocks_checked"], s["bad"], s["bytes_read"]), (1, 0, len(data)))
        self.assertGreaterEqual(read_from_disk() - before, len(data))


if __name__ == "__main__":
    main()
