"""TOUCH, DELETE, untrash and the emptying of trash, as files on disk."""

import os
import time
import unittest

from support.case import KeepstoreCase, SharedDaemonCase, main
from support.daemon import ACTIVE_TOKEN, block_path, directory_volume, store, trash_copies, volume_uuid
from support.fuse import FuseMount
from support.locator import md5, plain
from support.wait import until

NOT_FOUND = "file does not exist\n"


class TwoVolumes(SharedDaemonCase):
    volume_count = 2
    sections = {"Collections": {"BlobSigningTTL": "1h", "BlobTrashLifetime": "2h", "BlobTrashCheckInterval": "0s"}}

    def read_order(self, data):
        return [self.roots[i] for i in sorted(range(2), key=lambda i: md5((md5(data) + volume_uuid(i)[12:]).encode()))]

    def test_touch_renews_one_copy_at_once(self):
        data = b"touch"
        paths = [store(root, md5(data), data, age=5000) for root in self.roots]
        before = time.time()
        self.assert_reply(self.daemon.admin("TOUCH", "/" + plain(data)), 200, b"")
        fresh = [p for p in paths if os.stat(p).st_mtime > before - 1]
        self.assertEqual(len(fresh), 1, "only the first mount that holds the block is touched")
        # A recovery tool expects the new mtime in the index at once.
        index = self.daemon.admin("GET", "/index/" + md5(data)).text
        self.assertIn(f"{plain(data)} {os.stat(fresh[0]).st_mtime_ns}\n", index)

    def test_touch_of_a_block_on_the_second_mount_only(self):
        data = b"touch second"
        path = store(self.read_order(data)[1], md5(data), data, age=5000)
        self.assert_reply(self.daemon.admin("TOUCH", "/" + md5(data)), 200, b"")
        self.assertLess(time.time() - os.stat(path).st_mtime, 60)

    def test_touch_by_others_is_a_no_op(self):
        data = b"touch forbidden"
        path = store(self.roots[0], md5(data), data, age=5000)
        before = os.stat(path).st_mtime_ns
        self.assert_reply(self.daemon.request("TOUCH", "/" + plain(data), ACTIVE_TOKEN), 403, "Forbidden\n")
        self.assertEqual(os.stat(path).st_mtime_ns, before)

    def test_touch_of_a_trashed_block(self):
        data = b"touch trashed"
        path = store(self.roots[0], md5(data), data, age=5000)
        os.rename(path, path + f".trash.{int(time.time()) + 3600}")
        self.assert_reply(self.daemon.admin("TOUCH", "/" + plain(data)), 404, NOT_FOUND)

    def test_delete_moves_every_old_copy_to_the_trash(self):
        data = b"delete both"
        for root in self.roots:
            store(root, md5(data), data, age=5000)
        stamps = [os.stat(block_path(root, md5(data))).st_mtime_ns for root in self.roots]
        before = int(time.time())
        self.assert_reply(self.daemon.admin("DELETE", "/" + plain(data)), 200)
        for root, stamp in zip(self.roots, stamps):
            copies = trash_copies(root, md5(data))
            self.assertEqual(len(copies), 1)
            deadline = int(copies[0].rsplit(".", 1)[1])
            self.assertTrue(before + 7200 <= deadline <= time.time() + 7201)
            self.assertEqual(os.stat(copies[0]).st_mtime_ns, stamp, "the mtime stays")
        self.assert_reply(self.daemon.get(plain(data)), 404, NOT_FOUND)
        self.assert_reply(self.daemon.get(plain(data), method="HEAD"), 404, b"")
        self.assertEqual(self.daemon.admin("GET", "/index/" + md5(data)).text, "\n")
        self.assert_reply(self.daemon.admin("DELETE", "/" + plain(data)), 404, NOT_FOUND)

    def test_delete_keeps_new_copies_and_trashes_old_ones(self):
        data = b"delete old"
        roots = self.read_order(data)
        store(roots[0], md5(data), data, age=10)
        store(roots[1], md5(data), data, age=5000)
        self.assert_reply(self.daemon.admin("DELETE", "/" + plain(data)), 200)
        self.assertTrue(os.path.exists(block_path(roots[0], md5(data))))
        self.assertEqual(len(trash_copies(roots[1], md5(data))), 1)

    def test_delete_of_a_new_block_succeeds_and_keeps_it(self):
        data = b"delete new"
        self.daemon.put(data)
        self.assert_reply(self.daemon.admin("DELETE", "/" + plain(data)), 200)
        self.assert_reply(self.daemon.get(plain(data)), 200, data)

    def test_protection_ends_with_the_ttl(self):
        for age, kept in ((3590, True), (3610, False)):
            data = b"ttl %d" % age
            store(self.roots[0], md5(data), data, age=age)
            self.assert_reply(self.daemon.admin("DELETE", "/" + plain(data)), 200)
            self.assertEqual(os.path.exists(block_path(self.roots[0], md5(data))), kept)

    def test_untrash_brings_a_block_back_on_every_mount(self):
        data = b"untrash"
        for root in self.roots:
            store(root, md5(data), data, age=5000)
        self.daemon.admin("DELETE", "/" + plain(data))
        self.assert_reply(self.daemon.admin("PUT", "/untrash/" + plain(data)), 200)
        for root in self.roots:
            path = block_path(root, md5(data))
            self.assertTrue(os.path.exists(path))
            self.assertLess(time.time() - os.stat(path).st_mtime, 60, "protected for a TTL from now on")
            self.assertEqual(trash_copies(root, md5(data)), [])
        self.assert_reply(self.daemon.get(plain(data)), 200, data)
        # Protected: the next DELETE keeps it.
        self.assert_reply(self.daemon.admin("DELETE", "/" + plain(data)), 200)
        self.assert_reply(self.daemon.get(plain(data)), 200, data)

    def test_untrash_takes_the_latest_copy(self):
        data = b"untrash latest"
        path = block_path(self.roots[0], md5(data))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        now = int(time.time())
        for name in (f".trash.{now + 9}", f".trash.{now + 5000}", f".trash.{now + 3000}"):
            with open(path + name, "wb") as file:
                file.write(data)
        self.assert_reply(self.daemon.admin("PUT", "/untrash/" + md5(data)), 200)
        self.assertEqual([int(c.rsplit(".", 1)[1]) for c in trash_copies(self.roots[0], md5(data))], [now + 9, now + 3000])

    def test_untrash_over_an_existing_block_keeps_and_touches_it(self):
        data = b"untrash existing"
        path = store(self.roots[0], md5(data), data, age=5000)
        inode = os.stat(path).st_ino
        with open(path + f".trash.{int(time.time()) + 100}", "wb") as file:
            file.write(b"rubbish")
        self.assert_reply(self.daemon.admin("PUT", "/untrash/" + md5(data)), 200)
        self.assertEqual(os.stat(path).st_ino, inode)
        self.assertLess(time.time() - os.stat(path).st_mtime, 60)
        self.assert_reply(self.daemon.get(plain(data)), 200, data)

    def test_untrash_of_nothing(self):
        self.assert_reply(self.daemon.admin("PUT", "/untrash/" + md5(b"never there")), 404, NOT_FOUND)


class Configurations(KeepstoreCase):
    def test_delete_without_blob_trash(self):
        daemon = self.start(Collections={"BlobTrash": False, "BlobSigningTTL": "1s"})
        path = store(daemon.roots()[0], md5(b"foo"), b"foo", age=5000)
        self.assert_reply(daemon.admin("DELETE", "/" + md5(b"foo")), 405)
        self.assertTrue(os.path.exists(path))
        self.assert_reply(daemon.admin("DELETE", "/" + "a" * 32), 405)

    def test_untrash_works_without_blob_trash(self):
        daemon = self.start(Collections={"BlobTrash": False})
        path = store(daemon.roots()[0], md5(b"foo"), b"foo")
        os.rename(path, path + ".trash.9999999999")
        self.assert_reply(daemon.admin("PUT", "/untrash/" + md5(b"foo")), 200)
        self.assertTrue(os.path.exists(path))

    def test_lifetime_zero_deletes_outright(self):
        daemon = self.start(Collections={"BlobTrashLifetime": "0s", "BlobSigningTTL": "1s"})
        path = store(daemon.roots()[0], md5(b"foo"), b"foo", age=5000)
        self.assert_reply(daemon.admin("DELETE", "/" + md5(b"foo")), 200)
        self.assertFalse(os.path.exists(path))
        self.assertEqual(trash_copies(daemon.roots()[0], md5(b"foo")), [])

    def test_untrash_without_writable_volumes(self):
        root = self.dir.make("ro")
        path = store(root, md5(b"foo"), b"foo")
        os.rename(path, path + ".trash.9999999999")
        daemon = self.start([directory_volume(root, ReadOnly=True)])
        self.assert_reply(daemon.admin("PUT", "/untrash/" + md5(b"foo")), 404)
        self.assertEqual(len(trash_copies(root, md5(b"foo"))), 1)

    def empty_trash_case(self, name="vol", **collections):
        root = self.dir.make(name)
        now = int(time.time())
        due, later = store(root, md5(b"due"), b"due"), store(root, md5(b"later"), b"later")
        twice, live = store(root, md5(b"twice"), b"twice"), store(root, md5(b"live"), b"live")
        os.rename(due, f"{due}.trash.{now - 10}")
        os.rename(later, f"{later}.trash.{now + 1000}")
        with open(f"{twice}.trash.{now - 5}", "wb"), open(f"{twice}.trash.{now + 1000}", "wb"):
            pass
        with open(f"{live}.trash.{now - 5}", "wb"):
            pass
        odd = []
        for folder in (".aaa", "ABC", "xyz", "lost+found"):
            os.makedirs(os.path.join(root, folder))
            odd.append(os.path.join(root, folder, f"{md5(b'due')}.trash.{now - 10}"))
            with open(odd[-1], "wb"):
                pass
        daemon = self.start([root], Collections=collections, Keepstore={"EmptyTrashStartDelay": "50ms"})
        return daemon, f"{due}.trash.{now - 10}", [f"{later}.trash.{now + 1000}", f"{twice}.trash.{now + 1000}", twice, live, *odd]

    def test_trash_is_emptied_soon_after_the_start(self):
        daemon, due, kept = self.empty_trash_case(BlobTrashCheckInterval="24h")
        until(lambda: not os.path.exists(due), 10, "due trash is deleted")
        daemon.log.wait(condition=lambda e: "trash" in e["msg"] and "mount" in e, what="the end of emptying the trash")
        self.assertEqual([p for p in kept if not os.path.exists(p)], [])

    def test_emptying_repeats_at_the_interval(self):
        daemon, due, _ = self.empty_trash_case(BlobTrashCheckInterval="200ms")
        until(lambda: not os.path.exists(due), 10, "due trash is deleted")
        with open(due, "wb"):
            pass
        until(lambda: not os.path.exists(due), 10, "and again")
        self.assertTrue(daemon.running())

    def test_emptying_is_off(self):
        for number, collections in enumerate(({"BlobTrashCheckInterval": "0s"}, {"BlobDeleteConcurrency": 0},
                                              {"BlobTrash": False})):
            with self.subTest(collections):
                daemon, due, _ = self.empty_trash_case(f"vol{number}", **collections)
                for _ in range(3):
                    daemon.put(b"something to pass the time")
                self.assertTrue(os.path.exists(due))

    def test_inode_numbers_that_change(self):
        """As on some FUSE file systems: two looks at one file find different numbers."""
        back, point = self.dir.make("back"), self.dir.make("fuse")
        mount = FuseMount(back, point, new_inodes=True)
        self.addCleanup(mount.close)
        daemon = self.start([point], Collections={"BlobSigningTTL": "1s", "BlobTrashLifetime": "24h"})
        for data in (b"small", os.urandom(300_000)):
            block = "/" + plain(data)
            for _ in range(2):
                self.assertEqual(daemon.put(data).status, 200)
            self.assert_reply(daemon.admin("TOUCH", block), 200)
            until(lambda: daemon.admin("DELETE", block).status == 200 and daemon.get(plain(data)).status == 404, 5, "trashed")
            self.assert_reply(daemon.admin("PUT", "/untrash" + block), 200)
            self.assertTrue(daemon.get(plain(data)).body == data)


if __name__ == "__main__":
    main()
