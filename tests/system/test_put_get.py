"""Storing and fetching blocks: sizes, framings, refusals, layout on disk, read-only volumes, replicas."""

import os
import stat
import threading
import time
import unittest

from support.case import KeepstoreCase, SharedDaemonCase, main
from support.client import Closed, build_request, chunked
from support.daemon import (ACTIVE_TOKEN, block_path, directory_volume, store, temp_files, trash_copies)
from support.locator import EMPTY, md5, plain
from support.wait import until

MiB = 1 << 20


class PutGet(SharedDaemonCase):
    def tearDown(self):
        self.daemon.assert_nothing_held()
        super().tearDown()

    def stored(self, data):
        path = block_path(self.roots[0], md5(data))
        with open(path, "rb") as file:
            return file.read()

    def test_sizes_around_every_boundary(self):
        for size in (0, 1, 63, 64, 65, 4095, 4096, 4097, 65535, 65536, 65537, 262143, 262144, 262145, MiB, MiB + 1, 3 * MiB - 1):
            with self.subTest(size):
                data = os.urandom(size)
                self.assert_reply(self.daemon.put(data), 200)
                self.assertEqual(self.stored(data), data)
                response = self.assert_reply(self.daemon.get(plain(data)), 200, data)
                self.assertEqual(response.header("Content-Length"), str(size))

    def test_largest_block(self):
        data = os.urandom(MiB) * 64
        self.assert_reply(self.daemon.put(data), 200)
        self.assertTrue(self.daemon.get(plain(data)).body == data)

    def test_one_byte_too_large(self):
        size = 64 * MiB + 1
        for headers in ({"Content-Length": str(size)}, {"Content-Length": "99999999999"}):
            with self.subTest(headers), self.daemon.connect() as connection:
                connection.send(build_request("PUT", "/" + "a" * 32, headers) + b"x" * 1000)
                self.assert_reply(connection.read_response(), 413)

    def test_one_byte_too_large_in_chunks(self):
        data = bytes(64 * MiB + 1)
        with self.daemon.connect() as connection:
            sender = threading.Thread(target=connection.send_tolerant, args=(
                build_request("PUT", "/" + md5(data), {"Transfer-Encoding": "chunked"}) + chunked(data, MiB),))
            sender.start()
            response = connection.read_response()
            connection.socket.close()
            sender.join(10)
        self.assert_reply(response, 413)
        self.assertFalse(os.path.exists(block_path(self.roots[0], md5(data))))

    def test_largest_block_in_chunks(self):
        data = b"chunky" * 10 + bytes(64 * MiB - 60)
        response = self.daemon.request("PUT", "/" + md5(data), ACTIVE_TOKEN, {"Transfer-Encoding": "chunked"},
                                       chunked(data, 100_000))
        self.assert_reply(response, 200)
        self.assertTrue(self.daemon.get(plain(data)).body == data)

    def test_chunked(self):
        for size, piece in ((0, 1), (1, 1), (1000, 7), (300_000, 4096), (2 * MiB, MiB)):
            with self.subTest(size=size, piece=piece):
                data = os.urandom(size)
                response = self.daemon.request("PUT", "/" + md5(data), ACTIVE_TOKEN, {"Transfer-Encoding": "chunked"},
                                               chunked(data, piece))
                self.assert_reply(response, 200)
                self.assertEqual(self.stored(data), data)

    def test_wrong_hash(self):
        for size in (0, 3, 70_000, MiB):
            with self.subTest(size):
                data = os.urandom(size)
                wanted = md5(data + b"x")
                response = self.daemon.request("PUT", "/" + wanted, ACTIVE_TOKEN, body=data)
                self.assert_reply(response, 400, f"content hash {md5(data)} did not match specified locator {wanted}\n")
                self.assertFalse(os.path.exists(block_path(self.roots[0], wanted)))
                self.assertFalse(os.path.exists(block_path(self.roots[0], md5(data))) and size)

    def test_wrong_body_for_a_block_that_is_there(self):
        data = os.urandom(3 * MiB)
        self.assert_reply(self.daemon.put(data), 200)
        for wrong in (data[:-1], data + b"x", bytes(len(data)), b""):
            response = self.daemon.request("PUT", "/" + md5(data), ACTIVE_TOKEN, body=wrong)
            self.assert_reply(response, 400, f"content hash {md5(wrong)} did not match specified locator {md5(data)}\n")
        self.assertEqual(self.stored(data), data)
        # It is the body that is wrong, not the copy.
        self.assertEqual(self.daemon.metric("keepstore_bad_copies_total"), 0)
        self.assertEqual(self.daemon.log.entries(msg="stored copy is bad"), [])

    def test_wrong_hash_names_the_path_as_given_without_secrets(self):
        response = self.daemon.request("PUT", "/" + "b" * 32 + "+3", ACTIVE_TOKEN, body=b"foo")
        self.assert_reply(response, 400, f"content hash {md5(b'foo')} did not match specified locator {'b' * 32}+3\n")

    def test_short_body_is_never_stored(self):
        data = os.urandom(100_000)
        for kept in (0, 1, 65_536, 99_999):
            for ending in ("close", "half-close", "reset"):
                with self.subTest(kept=kept, ending=ending):
                    connection = self.daemon.connect()
                    connection.send(build_request("PUT", "/" + md5(data), {"Content-Length": str(len(data))}) + data[:kept])
                    if ending == "half-close":
                        connection.half_close()
                        try:
                            self.assertNotEqual(connection.read_response().status, 200)
                        except Closed:
                            pass
                    if ending == "reset":
                        connection.reset()
                    else:
                        connection.close()
        self.daemon.assert_nothing_held()
        self.assertFalse(os.path.exists(block_path(self.roots[0], md5(data))))

    def test_short_chunked_body_is_never_stored(self):
        data = os.urandom(100_000)
        framed = chunked(data, 10_000)
        for cut in (1, 5, 10_000, len(framed) - 5, len(framed) - 2, len(framed) - 1):
            with self.subTest(cut), self.daemon.connect() as connection:
                connection.send(build_request("PUT", "/" + md5(data), {"Transfer-Encoding": "chunked"}) + framed[:cut])
                connection.half_close()
                try:
                    self.assertNotEqual(connection.read_response().status, 200)
                except Closed:
                    pass
        self.assertFalse(os.path.exists(block_path(self.roots[0], md5(data))))

    def test_a_body_longer_than_its_length_is_the_next_request(self):
        with self.daemon.connect() as connection:
            connection.send(build_request("PUT", "/" + md5(b"foo"), {"Content-Length": "3"}) + b"foobar")
            self.assertEqual(connection.read_response().status, 200)

    def test_layout_and_modes(self):
        data = os.urandom(50)
        before = time.time()
        self.daemon.put(data)
        path = block_path(self.roots[0], md5(data))
        found = os.stat(path)
        self.assertEqual(stat.S_IMODE(found.st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o755 & ~current_umask())
        self.assertTrue(before - 1 <= found.st_mtime <= time.time() + 1)
        self.assertEqual(found.st_nlink, 1)

    def test_put_again_touches_and_keeps_the_inode(self):
        for size in (0, 10, 70_000, 2 * MiB):
            with self.subTest(size):
                data = os.urandom(size)
                path = store(self.roots[0], md5(data), data, age=10_000)
                inode = os.stat(path).st_ino
                response = self.assert_reply(self.daemon.put(data), 200)
                self.assertEqual(response.header("X-Keep-Replicas-Stored"), "1")
                self.assertEqual(os.stat(path).st_ino, inode)
                self.assertLess(time.time() - os.stat(path).st_mtime, 60)
                self.assertEqual(self.stored(data), data)

    def test_put_over_trash_stores_anew(self):
        data = os.urandom(1000)
        path = store(self.roots[0], md5(data), data, age=10_000)
        os.rename(path, path + f".trash.{int(time.time()) + 3600}")
        self.assertEqual(self.daemon.get(plain(data)).status, 404)
        self.assert_reply(self.daemon.put(data), 200)
        self.assertEqual(self.stored(data), data)
        self.assertEqual(len(trash_copies(self.roots[0], md5(data))), 1)

    def test_blocks_of_another_daemon_are_served(self):
        data = os.urandom(200_000)
        store(self.roots[0], md5(data), data, age=5000)
        self.assert_reply(self.daemon.get(plain(data)), 200, data)
        self.assert_reply(self.daemon.get(plain(data), method="HEAD"), 200, b"")

    def test_desired_replicas_is_ignored(self):
        for wanted in ("2", "0", "-1", "many"):
            with self.subTest(wanted):
                response = self.daemon.put(b"replicas", headers={"X-Keep-Desired-Replicas": wanted})
                self.assertEqual(self.assert_reply(response, 200).header("X-Keep-Replicas-Stored"), "1")

    def test_content_encoding_is_not_decoded(self):
        data = b"\x1f\x8b not really gzip"
        response = self.daemon.put(data, headers={"Content-Encoding": "gzip", "Content-Type": "text/html"})
        self.assertIn(response.status, (200, 415))
        if response.status == 200:
            self.assertEqual(self.daemon.get(plain(data)).body, data)

    def test_many_blocks_on_one_connection(self):
        with self.daemon.connect() as connection:
            for i in range(200):
                data = os.urandom(i * 37)
                headers = {"Authorization": f"Bearer {ACTIVE_TOKEN}"}
                response = connection.request("PUT", "/" + md5(data), headers, data)
                self.assertEqual(response.status, 200)
                response = connection.request("GET", "/" + response.text.strip(), headers)
                self.assertEqual(response.body, data)

    def test_parallel_writers_of_one_block(self):
        data = os.urandom(MiB)
        replies = []

        def work():
            replies.append(self.daemon.put(data).status)

        threads = [threading.Thread(target=work) for _ in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(30)
        self.assertEqual(replies, [200] * 16)
        self.assertEqual(self.stored(data), data)

    def test_x_keep_signature_is_ignored_for_local_blocks(self):
        self.daemon.put(b"foo")
        response = self.daemon.get(plain(b"foo"), headers={"X-Keep-Signature": "local, time=2026-01-01T00:00:00Z"})
        self.assert_reply(response, 200, "foo")


def current_umask():
    value = os.umask(0)
    os.umask(value)
    return value


class Configurations(KeepstoreCase):
    def test_one_buffer_is_enough(self):
        daemon = self.start(API={"MaxKeepBlobBuffers": 1, "MaxConcurrentRequests": 50})
        data = os.urandom(3 * MiB)
        replies = []

        def work():
            for _ in range(2):
                replies.append(daemon.put(data).status)
                replies.append(daemon.get(plain(data)).status)

        threads = [threading.Thread(target=work) for _ in range(20)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(60)
        self.assertEqual(replies, [200] * 80)
        daemon.assert_nothing_held()

    def test_umask_applies_to_directories_and_not_to_blocks(self):
        daemon = self.start(daemon_options={"umask": 0o077})
        daemon.put(b"foo")
        path = block_path(daemon.roots()[0], md5(b"foo"))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o700)

    def test_nothing_on_a_read_only_volume_changes(self):
        root = self.dir.make("ro")
        small, large = b"foo", os.urandom(2 << 20)
        for data in (small, large):
            store(root, md5(data), data, age=5000)
        folder = os.path.dirname(block_path(root, md5(small)))
        # Our kind of name, unlocked: left over, or an upload of a host whose locks are not seen here.
        for name in (f"tmp{md5(small)}12345678901234567890", f"tmp{md5(small)}1234567890", f"{md5(small)}.trash.1"):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(b"x")
            os.utime(os.path.join(folder, name), (0, 0))

        def everything():
            seen = {}
            for at, folders, names in os.walk(root):
                for path in [at] + [os.path.join(at, name) for name in names]:
                    s = os.lstat(path)
                    # An attribute or a rename shows in the ctime.
                    seen[path] = (s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
            return seen

        before = everything()
        daemon = self.start([directory_volume(root, ReadOnly=True, DriverParameters={"Root": root, "Serialize": True})],
                            Collections={"BlobSigningTTL": "1s", "BlobTrashCheckInterval": "100ms"})
        for _ in range(3):
            for data in (small, large):
                self.assert_reply(daemon.get(plain(data)), 200, data)
                self.assertNotEqual(daemon.put(data).status, 200)
        for request in (("TOUCH", "/"), ("DELETE", "/"), ("PUT", "/untrash/")):
            daemon.admin(request[0], request[1] + md5(small))
        self.assertIn(plain(small), daemon.admin("GET", "/index").text)
        self.assertEqual(daemon.admin("PUT", "/_scrub").status, 200)
        until(lambda: daemon.log.entries(msg="scrub finished"), 30, "a finished scrub")
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(everything(), before)

    def test_read_only_volume(self):
        root = self.dir.make("ro")
        store(root, md5(b"foo"), b"foo", age=5000)
        daemon = self.start([directory_volume(root, ReadOnly=True)])
        self.assert_reply(daemon.put(b"bar"), 507)
        self.assert_reply(daemon.put(b"foo"), 507)
        self.assert_reply(daemon.get(plain(b"foo")), 200, "foo")
        before = os.stat(block_path(root, md5(b"foo"))).st_mtime_ns
        # A read-only mount can neither be touched nor trashed.
        self.assertIn(daemon.admin("TOUCH", "/" + md5(b"foo")).status, (404,))
        daemon.admin("DELETE", "/" + md5(b"foo"))
        self.assertEqual(os.stat(block_path(root, md5(b"foo"))).st_mtime_ns, before)
        self.assertEqual(temp_files([root]), [])

    def test_access_via_hosts_read_only(self):
        url = "http://127.0.0.1:0/"
        root = self.dir.make("ro")
        daemon = self.start([directory_volume(root, AccessViaHosts={url: {"ReadOnly": True}})])
        self.assert_reply(daemon.put(b"bar"), 507)

    def test_allow_trash_when_read_only(self):
        root, plain_root = self.dir.make("trashable"), self.dir.make("plain")
        for r in (root, plain_root):
            store(r, md5(b"foo"), b"foo", age=5000)
        daemon = self.start([directory_volume(root, ReadOnly=True, AllowTrashWhenReadOnly=True),
                             directory_volume(plain_root, ReadOnly=True)],
                            Collections={"BlobSigningTTL": "1s", "BlobTrashLifetime": "1h"})
        self.assert_reply(daemon.admin("DELETE", "/" + md5(b"foo")), 200)
        self.assertEqual(len(trash_copies(root, md5(b"foo"))), 1)
        self.assertTrue(os.path.exists(block_path(plain_root, md5(b"foo"))))
        # Trashed, but it cannot be untrashed there.
        self.assert_reply(daemon.admin("PUT", "/untrash/" + md5(b"foo")), 404)
        self.assertEqual(len(trash_copies(root, md5(b"foo"))), 1)

    def test_vanished_root_is_reported_and_used_again_when_it_is_back(self):
        daemon = self.start()
        root = daemon.roots()[0]
        os.rename(root, root + ".away")
        until(lambda: daemon.put(b"foo").status == 503, 10, "the volume is gone")
        until(lambda: daemon.request("GET", "/_health/ready").status == 503, 10, "readiness says so")
        self.assertFalse(os.path.exists(root), "the root was made again")
        os.mkdir(root)  # Empty, as a mount point without its file system is: not this volume.
        self.assert_reply(daemon.put(b"foo"), 503)
        self.assertEqual(os.listdir(root), [])
        os.rmdir(root)
        os.rename(root + ".away", root)
        until(lambda: daemon.put(b"foo").status == 200, 10, "PUT works again")

    def test_foreign_full_mark_is_honoured_but_checked_again(self):
        root = self.dir.make("full")
        os.symlink(str(int(time.time())), os.path.join(root, "full"))
        daemon = self.start([root])
        until(lambda: daemon.put(b"foo").status == 200, 8, "the volume has space, whatever the mark says")

    def test_stale_full_mark_is_ignored(self):
        root = self.dir.make("full")
        os.symlink(str(int(time.time()) - 3605), os.path.join(root, "full"))
        daemon = self.start([root])
        self.assert_reply(daemon.put(b"foo"), 200)

    def test_empty_block_bare_hash_needs_no_size(self):
        daemon = self.start()
        self.assert_reply(daemon.request("PUT", "/" + EMPTY, ACTIVE_TOKEN, {"Content-Length": "0"}), 200)
        self.assert_reply(daemon.get(EMPTY), 200, b"")

    def test_serialized_volume(self):
        daemon = self.start([directory_volume(self.dir.make("serial"), DriverParameters={"Serialize": True})])
        results = []

        def work(i):
            data = os.urandom(100_000 + i)
            results.append((daemon.put(data).status, daemon.get(plain(data)).body == data))

        threads = [threading.Thread(target=work, args=(i,)) for i in range(10)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(30)
        self.assertEqual(results, [(200, True)] * 10)

    def test_old_temp_files_are_removed_at_start_and_nothing_else(self):
        root = self.dir.make("vol")
        folder = os.path.join(root, "abc")
        os.makedirs(folder)
        old, young = f"tmp{'abc' + 'd' * 29}123456", f"tmp{'abc' + 'e' * 29}654321"
        for name in (old, young, "tmpfile", "other"):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(b"x")
        past = time.time() - 7 * 86400
        for name in (old, "tmpfile", "other"):
            os.utime(os.path.join(folder, name), (past, past))
        self.start([root])
        until(lambda: not os.path.exists(os.path.join(folder, old)), 10, "the old temporary file is removed")
        self.assertEqual(sorted(os.listdir(folder)), sorted([young, "tmpfile", "other"]))


if __name__ == "__main__":
    main()
