"""The index: all forms, the final blank line, unexpected files, changes and kills while it is read."""

import os
import re
import signal
import threading
import time
import unittest

from support.case import KeepstoreCase, SharedDaemonCase, main
from support.daemon import SYSTEM_ROOT_TOKEN, TempDir, block_path, store, volume_uuid
from support.locator import md5, plain
from support.shim import Shim
from support.wait import PATIENCE, until

FOO, BAR = md5(b"foo"), md5(b"bar")


def parse(text):
    """Lines of a complete index as a balance tool reads it: [(locator, mtime)]."""
    if text == "\n":
        return []
    if not text.endswith("\n\n"):
        raise AssertionError(f"no end-of-file marker: {text[-100:]!r}")
    lines = text[:-2].split("\n")
    found = []
    for line in lines:
        match = re.fullmatch(r"([0-9a-f]{32}\+\d+) (\d+)", line)
        if not match:
            raise AssertionError(f"index line {line!r}")
        found.append((match.group(1), int(match.group(2))))
    return found


class Forms(SharedDaemonCase):
    volume_count = 2

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.foo = os.stat(store(cls.roots[0], FOO, b"foo", age=3600)).st_mtime_ns
        cls.bar = [os.stat(store(cls.roots[0], BAR, b"bar", age=3600)).st_mtime_ns,
                   os.stat(store(cls.roots[1], BAR, b"bar", age=60)).st_mtime_ns]

    def index(self, target):
        return self.assert_reply(self.daemon.admin("GET", target), 200).text

    def test_prefix_in_path_and_query(self):
        for target in ("/index?prefix=acb", "/index/acb", "/index/?prefix=acb", f"/mounts/{volume_uuid(0)}/blocks?prefix=acb",
                       f"/mounts/{volume_uuid(0)}/blocks/?prefix=acb", f"/mounts/{volume_uuid(0)}/blocks/acb", f"/index/{FOO}"):
            with self.subTest(target):
                self.assertEqual(self.index(target), f"{FOO}+3 {self.foo}\n\n")

    def test_a_block_on_two_mounts_is_listed_twice(self):
        for target in ("/index?prefix=37", "/index/37", "/index/?prefix=37", "/index/" + BAR, "/index/37b", "/index/37b5"):
            with self.subTest(target):
                self.assertEqual(sorted(parse(self.index(target))), sorted((f"{BAR}+3", m) for m in self.bar))

    def test_one_mount(self):
        for tail in ("", "/", "?prefix=37", "/?prefix=37", "/37"):
            with self.subTest(tail):
                self.assertEqual(self.index(f"/mounts/{volume_uuid(1)}/blocks{tail}"), f"{BAR}+3 {self.bar[1]}\n\n")

    def test_everything(self):
        for target in ("/index", "/index?prefix=", "/index/", "/index/?prefix="):
            with self.subTest(target):
                self.assertEqual(len(parse(self.index(target))), 3)

    def test_nothing(self):
        for target in ("/index/fff", "/index?prefix=fff", "/index?prefix=zip", "/index?prefix=ACB", "/index?prefix=acb%20",
                       f"/index?prefix={FOO}0", "/index?prefix=../acb", f"/mounts/{volume_uuid(1)}/blocks/acb"):
            with self.subTest(target):
                self.assertEqual(self.index(target), "\n")

    def test_query_wins_over_path(self):
        self.assertEqual(self.index("/index/37?prefix=acb"), f"{FOO}+3 {self.foo}\n\n")

    def test_head(self):
        self.assert_reply(self.daemon.admin("HEAD", "/index"), 200, b"")


class OddFiles(KeepstoreCase):
    def test_unexpected_names_are_ignored_and_the_index_is_complete(self):
        root = self.dir.make("vol")
        wanted = {}
        for n in range(50):
            data = b"block %d" % n
            wanted[plain(data)] = os.stat(store(root, md5(data), data, age=n)).st_mtime_ns
        for folder in ("abc", "000", "fff"):
            os.makedirs(os.path.join(root, folder), exist_ok=True)
            name = folder + "0" * 29
            for odd in (name.upper().replace("000", "ABC"), name + "0", name[:-1], "tmp" + name + "12345", name + ".trash.1999999999",
                        name + ".trash.x", ".hidden", "x" * 32, name[:-1] + "\n", "\xff", name + "+3"):
                with open(os.path.join(root, folder, odd), "wb") as file:
                    file.write(b"odd")
            os.makedirs(os.path.join(root, folder, folder + "1" * 29))
            os.symlink("/etc/passwd", os.path.join(root, folder, folder + "2" * 29))
            os.mkfifo(os.path.join(root, folder, folder + "3" * 29))
        for odd in (FOO, "abcdef", "0", "xyz", "full-of-it"):
            if os.path.exists(os.path.join(root, odd)):
                continue
            with open(os.path.join(root, odd), "wb") as file:
                file.write(b"a file in the root")
        for folder in (".snapshot", "ABC", "abcd", "ab", "lost+found", "xyz1"):
            os.makedirs(os.path.join(root, folder, "deeper"), exist_ok=True)
            with open(os.path.join(root, folder, "abc" + "4" * 29), "wb"):
                pass
        os.symlink("/", os.path.join(root, "eee"))
        os.symlink(root, os.path.join(root, "ddd"))
        daemon = self.start([root])
        found = parse(daemon.admin("GET", "/index").text)
        self.assertEqual(dict(found), wanted)
        self.assertEqual(len(found), len(wanted), "each block once")
        self.assertEqual(dict(parse(daemon.admin("GET", "/index/abc").text)),
                         {k: v for k, v in wanted.items() if k.startswith("abc")})

    def test_a_fifo_named_like_a_block_does_not_hang_a_read(self):
        daemon = self.start()
        name = "abc" + "3" * 29
        os.makedirs(os.path.join(daemon.roots()[0], "abc"))
        os.mkfifo(block_path(daemon.roots()[0], name))
        self.assertGreaterEqual(daemon.get(name + "+3", timeout=8).status, 400)
        daemon.request("PUT", "/" + name, body=b"wrong", timeout=8)

    def test_nanoseconds_and_sizes(self):
        daemon = self.start()
        root = daemon.roots()[0]
        for n, stamp in enumerate((1_000_000_000_000_000_001, 1_700_000_000_123_456_789, 2_000_000_000_000_000_000)):
            path = store(root, md5(b"%d" % n), b"%d" % n)
            os.utime(path, ns=(stamp, stamp))
            self.assertEqual(parse(daemon.admin("GET", "/index/" + md5(b"%d" % n)).text), [(plain(b"%d" % n), stamp)])
        empty = store(root, "d41d8cd98f00b204e9800998ecf8427e", b"")
        self.assertIn(("d41d8cd98f00b204e9800998ecf8427e+0", os.stat(empty).st_mtime_ns),
                      parse(daemon.admin("GET", "/index").text))


class SlowFolders(KeepstoreCase):
    def test_a_disk_that_takes_long_for_each_folder(self):
        """All of 4,096 folders, with 8 ms for the two reads of each: no call lasts so long that the volume looks hung."""
        shim = Shim(self.dir.make("shim"))
        root = self.dir.make("vol0")
        for n in range(4096):
            os.mkdir(os.path.join(root, f"{n:03x}"))
        names = fill(root, 50)
        daemon = self.start([root], env=shim.env)
        shim.set("slow-lists", "4")
        # Once more if the machine itself has paused for a second: such a call would show each time.
        for _ in range(3):
            before = len(daemon.log.entries(msg="the state of a volume has changed"))
            begun = time.monotonic()
            with daemon.connect(timeout=120 * PATIENCE) as connection:
                response = connection.request("GET", "/index", {"Authorization": f"Bearer {SYSTEM_ROOT_TOKEN}"})
            self.assertEqual(response.status, 200)
            self.assertEqual({locator[:32] for locator, _ in parse(response.text)}, names)
            self.assertGreater(time.monotonic() - begun, 2 * 4096 * 0.004 / 16, "the disk was slow")
            changes = daemon.log.entries(msg="the state of a volume has changed")[before:]
            if not changes:
                break
        self.assertEqual(changes, [])


def fill(root, count):
    """`count` empty files named like blocks. Returns their names."""
    found, made = set(), set()
    for n in range(count):
        name = md5(b"%d" % n)
        folder = os.path.join(root, name[:3])
        if folder not in made:
            os.makedirs(folder, exist_ok=True)
            made.add(folder)
        os.close(os.open(os.path.join(folder, name), os.O_CREAT | os.O_WRONLY, 0o600))
        found.add(name)
    return found


class Large(KeepstoreCase):
    """An index larger than the kernel's buffers, so that the daemon has to wait for its reader."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.class_dir = TempDir()
        cls.addClassCleanup(cls.class_dir.remove)
        cls.root = cls.class_dir.make("vol")
        cls.names = fill(cls.root, 12_000)

    def reader(self, daemon):
        """A connection with an unread index, whose first bytes have arrived."""
        connection = daemon.connect(window=4096)
        self.addCleanup(connection.close)
        connection.send(f"GET /index HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {SYSTEM_ROOT_TOKEN}\r\n\r\n".encode())
        return connection, connection.read_head()

    def test_kill_in_the_middle_is_visible(self):
        daemon = self.start([self.root], check_log=False)
        connection, response = self.reader(daemon)
        self.assertEqual(response.status, 200)
        until(lambda: len(daemon.inspect()) == 1, 5, "the index is under way")
        daemon.kill()
        connection.widen()
        connection.read_body(response)
        self.assertFalse(response.complete)
        self.assertFalse(response.body.endswith(b"\n\n"), "a truncated index looks complete")

    def test_a_disconnect_stops_the_listing(self):
        daemon = self.start([self.root])
        connection, _ = self.reader(daemon)
        connection.reset()
        daemon.assert_nothing_held()

    def test_index_ignores_the_request_deadline(self):
        daemon = self.start([self.root], API={"RequestTimeout": "300ms"})
        connection, response = self.reader(daemon)
        until(lambda: any(r["Elapsed"] > 1 for r in daemon.inspect()), 10, "the index is older than the deadline")
        connection.widen()
        connection.read_body(response)
        self.assertTrue(response.complete)
        self.assertEqual(len(parse(response.text)), len(self.names))

    def test_sigterm_lets_an_index_finish(self):
        daemon = self.start([self.root])
        connection, response = self.reader(daemon)
        daemon.signal(signal.SIGTERM)
        connection.widen()
        connection.read_body(response)
        self.assertTrue(response.complete)
        self.assertEqual(len(parse(response.text)), len(self.names))
        self.assertEqual(daemon.wait_exit(15), 0)


class UnderChange(KeepstoreCase):
    def test_stable_blocks_are_listed_once_while_others_come_and_go(self):
        daemon = self.start(Collections={"BlobSigningTTL": "1s", "BlobTrashLifetime": "1h"})
        root = daemon.roots()[0]
        stable = fill(root, 3000)
        stop = threading.Event()

        def churn(worker):
            n = 0
            while not stop.is_set():
                data = b"churn %d %d" % (worker, n % 50)
                n += 1
                daemon.put(data)
                path = block_path(root, md5(data))
                past = time.time() - 5000
                try:
                    os.utime(path, (past, past))
                except FileNotFoundError:
                    pass
                daemon.admin("DELETE", "/" + md5(data))

        threads = [threading.Thread(target=churn, args=(i,)) for i in range(3)]
        for t in threads:
            t.start()
        try:
            for _ in range(10):
                names = [locator.split("+")[0] for locator, _ in parse(daemon.admin("GET", "/index").text)]
                self.assertEqual(stable - set(names), set())
                listed = [n for n in names if n in stable]
                self.assertEqual(len(listed), len(stable))
        finally:
            stop.set()
            for t in threads:
                t.join(20)

    def test_an_unreadable_mount_is_visible(self):
        daemon = self.start()
        root = daemon.roots()[0]
        daemon.put(b"foo")
        os.rename(root, root + ".gone")
        with open(root, "wb"):
            pass  # The root is a plain file now: nothing can be listed.
        try:
            response = daemon.admin("GET", "/index")
            # A daemon that holds the directory open may continue to list it; otherwise the list must not look complete.
            if response.status == 200 and response.complete:
                self.assertIn(plain(b"foo"), response.text)
        finally:
            os.unlink(root)
            os.rename(root + ".gone", root)


if __name__ == "__main__":
    main()
