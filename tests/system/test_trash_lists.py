"""Trash lists: the copies that they trash, parsing, and replacement of an old list by a new one."""

import hashlib
import json
import os
import threading
import time
import unittest

from support.case import KeepstoreCase, SharedDaemonCase, main
from support.client import chunked
from support.daemon import MANAGEMENT_TOKEN, SYSTEM_ROOT_TOKEN, block_path, directory_volume, store, trash_copies, volume_uuid
from support.locator import md5, plain
from support.wait import PATIENCE, port_open, stable_port, until


def item(data, path, mount=None, shift=0, **extra):
    found = {"locator": plain(data), "block_mtime": os.stat(path).st_mtime_ns + shift, **extra}
    if mount is not None:
        found["mount_uuid"] = mount
    return found


class TrashCase:
    def drain(self, daemon):
        """Waits until the trash workers are idle."""
        until(lambda: daemon.metric("arvados_keepstore_trash_queue_pending_entries") == 0
              and daemon.metric("arvados_keepstore_trash_queue_inprogress_entries") == 0, 20, "trash queue empty")

    def send(self, daemon, items, body=None):
        data = json.dumps(items).encode() if body is None else body
        # As a balance tool sends it: chunked, without a Content-Type.
        return daemon.request("PUT", "/trash", SYSTEM_ROOT_TOKEN, {"Transfer-Encoding": "chunked"}, chunked(data))


class Million(TrashCase, KeepstoreCase):
    def test_a_million_items_delay_no_other_request(self):
        """All of them on the only event loop; wrong ones, since they need no waiting for a volume."""
        # A million warnings would occupy this program, and with it the measurement.
        port = stable_port()
        daemon = self.start(url=f"http://127.0.0.1:{port}/", Keepstore={"Threads": 1}, SystemLogs={"LogLevel": "error"},
                            daemon_options={"wait": False})
        daemon.address = ("127.0.0.1", port)
        until(lambda: port_open(port), 10, "the port is open")
        for path in ("/trash", "/pull"):
            with self.subTest(path):
                # A list that delays requests does so each time, a machine that pauses does not.
                self.assertTrue(any(self.longest_delay(daemon, path) < 0.1 * PATIENCE for _ in range(3)))

    def longest_delay(self, daemon, path):
        """Of a request while such a list is received, parsed and worked off."""
        body = b"[" + b",".join([b'{"locator":"an invalid locator"}'] * 1_000_000) + b"]"
        answers = []
        sender = threading.Thread(target=lambda: answers.append(daemon.admin("PUT", path, body)), daemon=True)
        sender.start()
        longest = 0.0
        queue = f"arvados_keepstore_{path[1:]}_queue_pending_entries"
        with daemon.connect() as connection:
            while not answers or daemon.metric(queue) != 0:
                # Metrics take longer than this, so they are asked for now and then.
                for _ in range(50):
                    begun = time.monotonic()
                    self.assertEqual(connection.request("OPTIONS", "/").status, 200)
                    longest = max(longest, time.monotonic() - begun)
                    time.sleep(0.002)
        sender.join()
        self.assertEqual(answers[0].status, 200)
        return longest


class Lists(TrashCase, SharedDaemonCase):
    volume_count = 2
    sections = {"Collections": {"BlobSigningTTL": "1h", "BlobTrashLifetime": "2h", "BlobTrashCheckInterval": "0s"}}

    def run_list(self, items, body=None):
        self.assert_reply(self.send(self.daemon, items, body), 200, b"")
        self.drain(self.daemon)

    def trashed(self, data):
        return [len(trash_copies(root, md5(data))) for root in self.roots]

    def test_old_and_matching_is_trashed_on_every_mount(self):
        data = b"everywhere"
        stamp = time.time_ns() - 5000 * 10**9
        for root in self.roots:
            path = store(root, md5(data), data)
            os.utime(path, ns=(stamp, stamp))
        self.run_list([{"locator": plain(data), "block_mtime": stamp, "mount_uuid": ""}])
        self.assertEqual(self.trashed(data), [1, 1])

    def test_a_named_mount_only(self):
        data = b"one mount"
        stamp = time.time_ns() - 5000 * 10**9
        for root in self.roots:
            os.utime(store(root, md5(data), data), ns=(stamp, stamp))
        self.run_list([{"locator": plain(data), "block_mtime": stamp, "mount_uuid": volume_uuid(1)}])
        self.assertEqual(self.trashed(data), [0, 1])

    def test_copies_that_are_not_trashed(self):
        cases = []
        for what, age, changes in [
            ("too new", 100, {}),
            ("newer than the list says", 5000, {"shift": -1}),
            ("older than the list says", 5000, {"shift": 1}),
            ("a second off", 5000, {"shift": 10**9}),
            ("unknown mount", 5000, {"mount": "zzzzz-nyw5e-999999999999999"}),
            ("mtime missing", 5000, {"drop": "block_mtime"}),
        ]:
            data = what.encode()
            path = store(self.roots[0], md5(data), data, age=age)
            entry = item(data, path, changes.get("mount"), changes.get("shift", 0))
            entry.pop(changes.get("drop", "none"), None)
            cases.append((what, data, entry))
        stale = b"list says old, stored is new"
        path = store(self.roots[0], md5(stale), stale, age=10)
        cases.append(("stale", stale, item(stale, path, shift=-5000 * 10**9)))
        self.run_list([entry for _, _, entry in cases])
        for what, data, _ in cases:
            with self.subTest(what):
                self.assertTrue(os.path.exists(block_path(self.roots[0], md5(data))))
                self.assertEqual(self.trashed(data), [0, 0])

    def test_bad_items_do_not_stop_the_others(self):
        data = b"after bad ones"
        path = store(self.roots[0], md5(data), data, age=5000)
        self.run_list([{"locator": "nonsense", "block_mtime": 1}, {}, {"locator": md5(b"missing") + "+3", "block_mtime": 1},
                       {"locator": "../../etc/passwd+3", "block_mtime": 1}, item(data, path)])
        self.assertEqual(self.trashed(data), [1, 0])

    def test_locators_with_signature_or_without_size(self):
        first, second = b"signed item", b"bare item"
        paths = [store(self.roots[0], md5(d), d, age=5000) for d in (first, second)]
        self.run_list([{"locator": self.daemon.sign(plain(first)), "block_mtime": os.stat(paths[0]).st_mtime_ns},
                       {"locator": md5(second), "block_mtime": os.stat(paths[1]).st_mtime_ns}])
        self.assertEqual((self.trashed(first), self.trashed(second)), ([1, 0], [1, 0]))

    def test_field_names_in_any_case_and_unknown_fields(self):
        data = b"case"
        path = store(self.roots[0], md5(data), data, age=5000)
        self.run_list([{"LOCATOR": plain(data), "Block_Mtime": os.stat(path).st_mtime_ns, "Mount_UUID": volume_uuid(0),
                        "unknown": {"a": [1, 2, None]}}])
        self.assertEqual(self.trashed(data), [1, 0])

    def test_progress_with_the_root_token_alone(self):
        self.assertEqual(self.daemon.request("GET", "/_work", MANAGEMENT_TOKEN).status, 403)
        before = json.loads(self.daemon.admin("GET", "/_work").body)["trash"]["outcomes"]
        data = b"progress"
        path = store(self.roots[0], md5(data), data, age=5000)
        body = json.dumps([item(data, path, volume_uuid(0)), {"locator": "nonsense", "block_mtime": 1}]).encode()
        self.run_list(None, body)
        work = json.loads(self.daemon.admin("GET", "/_work").body)["trash"]
        self.assertEqual((work["pending"], work["in_progress"]), (0, 0))
        self.assertEqual((work["last"]["items"], work["last"]["sha256"]), (2, hashlib.sha256(body).hexdigest()))
        self.assertEqual({k: n - before[k] for k, n in work["outcomes"].items()},
                         {"trashed": 1, "kept": 0, "missing": 0, "refused": 1, "failed": 0})

    def test_empty_lists(self):
        for body in (b"[]", b"null\n", b" null ", b"[ ]\n"):
            with self.subTest(body):
                self.assert_reply(self.send(self.daemon, None, body), 200, b"")

    def test_bytes_after_the_first_value_are_ignored(self):
        data = b"trailing"
        path = store(self.roots[0], md5(data), data, age=5000)
        self.run_list(None, json.dumps([item(data, path)]).encode() + b"\n[garbage")
        self.assertEqual(self.trashed(data), [1, 0])

    def test_malformed_lists_change_nothing(self):
        for body in (b"", b"{", b"[", b"[{]", b"{}", b'"text"', b"17", b"[1]", b'[{"locator": 1}]',
                     b'[{"block_mtime": "x"}]', b"\xff\xfe", b"[" * 100_000, b'[{"block_mtime": 1.5}]', b"nul"):
            with self.subTest(body[:30]):
                response = self.send(self.daemon, None, body)
                self.assertEqual(response.status, 500, response)
                self.assert_cors(response)
                self.assertTrue(response.text.endswith("\n"))
        self.assertTrue(self.daemon.running())

    def test_a_large_list(self):
        data = b"at the end of a large list"
        path = store(self.roots[0], md5(data), data, age=5000)
        items = [{"locator": f"{i:032x}+1", "block_mtime": 1, "mount_uuid": volume_uuid(0)} for i in range(100_000)]
        items.append(item(data, path, volume_uuid(0)))
        body = json.dumps(items).encode()
        self.assertGreater(len(body), 10_000_000)
        self.assert_reply(self.send(self.daemon, None, body), 200, b"")
        until(lambda: self.trashed(data) == [1, 0], 30, "the last item of 100,001 is done")

    def test_an_endless_list_is_refused(self):
        with self.daemon.connect() as connection:
            head = (f"PUT /trash HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {SYSTEM_ROOT_TOKEN}\r\n"
                    "Content-Length: 99999999999\r\n\r\n")
            connection.send(head.encode())
            self.assertEqual(connection.read_response().status, 413)


    def test_lists_that_are_too_large_are_refused(self):
        """Their length is not known in advance: they are sent in chunks, as by a balance tool."""
        for path in ("/pull", "/trash"):
            with self.subTest(path), self.daemon.connect() as connection:
                connection.send((f"PUT {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {SYSTEM_ROOT_TOKEN}\r\n"
                                 "Transfer-Encoding: chunked\r\n\r\n").encode())
                piece = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
                for _ in range(64):
                    connection.send(piece)
                connection.send(b"1\r\n[\r\n")
                self.assertEqual(connection.read_response().status, 413)
            for items, status in ((1_000_000, 200), (1_000_001, 413)):
                with self.subTest(path, items=items):
                    body = b"[" + b",".join([b"{}"] * items) + b"]"
                    response = self.daemon.request("PUT", path, SYSTEM_ROOT_TOKEN, {"Transfer-Encoding": "chunked"}, chunked(body))
                    self.assertEqual(response.status, status, response)
                    if status == 413:
                        self.assertEqual(response.text, "the list has more than 1000000 items\n")
            # The memory is released again.
            self.daemon.request("PUT", path, SYSTEM_ROOT_TOKEN, {}, b"[]")
        many = json.dumps([{"locator": plain(b"x"), "servers": ["http://127.0.0.1:1"] * 101}]).encode()
        self.assertEqual(self.daemon.request("PUT", "/pull", SYSTEM_ROOT_TOKEN, {}, many).status, 413)
        self.assertLess(self.daemon.resident_bytes(), 1 << 30)


class Configurations(TrashCase, KeepstoreCase):
    ttl = {"BlobSigningTTL": "1s", "BlobTrashLifetime": "2h"}

    def test_read_only_mounts(self):
        roots = [self.dir.make(n) for n in ("rw", "ro", "trashable")]
        data = b"mounts"
        stamp = time.time_ns() - 5000 * 10**9
        for root in roots:
            os.utime(store(root, md5(data), data), ns=(stamp, stamp))
        daemon = self.start([roots[0], directory_volume(roots[1], ReadOnly=True),
                             directory_volume(roots[2], ReadOnly=True, AllowTrashWhenReadOnly=True)], Collections=self.ttl)
        self.send(daemon, [{"locator": plain(data), "block_mtime": stamp, "mount_uuid": volume_uuid(1)}])
        self.drain(daemon)
        self.assertEqual([len(trash_copies(r, md5(data))) for r in roots], [0, 0, 0])
        self.send(daemon, [{"locator": plain(data), "block_mtime": stamp}])
        self.drain(daemon)
        self.assertEqual([len(trash_copies(r, md5(data))) for r in roots], [1, 0, 1])

    def kept_list(self, **collections):
        """A list without workers: it is stored, counted, and cleared by an empty one."""
        daemon = self.start(Collections={**self.ttl, **collections})
        path = store(daemon.roots()[0], md5(b"foo"), b"foo", age=5000)
        self.assert_reply(self.send(daemon, [item(b"foo", path)] * 3), 200, b"")
        self.assertEqual(daemon.metric("arvados_keepstore_trash_queue_pending_entries"), 3)
        self.assert_reply(self.send(daemon, [item(b"foo", path)]), 200, b"")
        self.assertEqual(daemon.metric("arvados_keepstore_trash_queue_pending_entries"), 1)
        self.assert_reply(self.send(daemon, None, b"null\n"), 200, b"")
        self.assertEqual(daemon.metric("arvados_keepstore_trash_queue_pending_entries"), 0)
        self.assertTrue(os.path.exists(path))

    def test_list_is_kept_without_blob_trash(self):
        self.kept_list(BlobTrash=False)

    def test_list_is_kept_without_workers(self):
        self.kept_list(BlobTrashConcurrency=0)

    def test_delete_works_without_workers(self):
        daemon = self.start(Collections={**self.ttl, "BlobTrashConcurrency": 0})
        store(daemon.roots()[0], md5(b"foo"), b"foo", age=5000)
        self.assert_reply(daemon.admin("DELETE", "/" + md5(b"foo")), 200)
        self.assertEqual(len(trash_copies(daemon.roots()[0], md5(b"foo"))), 1)


if __name__ == "__main__":
    main()
