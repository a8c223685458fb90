"""/mounts as a balance tool reads it, and pull lists."""

import json
import unittest

from support.case import KeepstoreCase, SharedDaemonCase, main
from support.client import chunked
from support.daemon import SYSTEM_ROOT_TOKEN, directory_volume, volume_uuid
from support.locator import md5, plain


class Mounts(KeepstoreCase):
    def mounts(self, daemon):
        response = self.assert_reply(daemon.admin("GET", "/mounts"), 200)
        found = json.loads(response.text)
        for mount in found:
            self.assertEqual(sorted(mount), ["allow_trash", "allow_write", "device_id", "replication", "storage_classes", "uuid"])
            self.assertEqual(len(mount["uuid"]), 27)
        return {m["uuid"]: m for m in found}

    def test_what_each_volume_allows(self):
        url = "http://127.0.0.1:0/"
        daemon = self.start([
            directory_volume(self.dir.make("rw"), Replication=2, StorageClasses={"c1": True, "c2": False}),
            directory_volume(self.dir.make("ro"), ReadOnly=True, StorageClasses={"c1": True}),
            directory_volume(self.dir.make("rot"), ReadOnly=True, AllowTrashWhenReadOnly=True, StorageClasses={"c2": True}),
            directory_volume(self.dir.make("via"), AccessViaHosts={url: {"ReadOnly": True}}, StorageClasses={"c1": True}),
            directory_volume(self.dir.make("viarw"), AccessViaHosts={url: {}}, Replication=0, StorageClasses={"c1": True}),
            directory_volume(self.dir.make("other"), AccessViaHosts={"http://other.example:25107/": {}}, StorageClasses={"c1": True}),
        ], StorageClasses={"c1": {"Default": True}, "c2": {}})
        mounts = self.mounts(daemon)
        self.assertEqual(sorted(mounts), [volume_uuid(i) for i in range(5)])
        brief = {u[-1]: (m["allow_write"], m["allow_trash"], m["replication"]) for u, m in mounts.items()}
        self.assertEqual(brief, {"0": (True, True, 2), "1": (False, False, 1), "2": (False, True, 1),
                                 "3": (False, False, 1), "4": (True, True, 1)})
        self.assertEqual(set(mounts[volume_uuid(0)]["storage_classes"]), {"c1", "c2"})
        devices = [m["device_id"] for m in mounts.values()]
        self.assertEqual(len(set(devices)), len(devices), "every volume has a device id of its own")
        self.assertNotIn("", devices)

    def test_default_class(self):
        daemon = self.start()
        self.assertEqual(self.mounts(daemon)[volume_uuid(0)]["storage_classes"], {"default": True})

    def test_device_id_is_stable(self):
        root = self.dir.make("vol")
        first = self.start([root])
        ids = [m["device_id"] for m in self.mounts(first).values()]
        first.stop()
        self.assertEqual([m["device_id"] for m in self.mounts(self.start([root])).values()], ids)

    def test_start_lines_name_the_volumes(self):
        daemon = self.start()
        daemon.log.wait(condition=lambda e: e["msg"].startswith(f"started volume {volume_uuid(0)} "), what="started volume")


class Pull(SharedDaemonCase):
    def send(self, body):
        return self.daemon.request("PUT", "/pull", SYSTEM_ROOT_TOKEN, {"Transfer-Encoding": "chunked"}, chunked(body))

    def test_each_item_has_its_outcome_in_the_log(self):
        items = [{"locator": plain(b"pull %d" % n), "servers": ["http://127.0.0.1:9"], "mount_uuid": volume_uuid(0)}
                 for n in range(3)]
        self.assert_reply(self.send(json.dumps(items).encode()), 200, b"")
        for n in range(3):
            self.daemon.log.wait(condition=lambda e, n=n: md5(b"pull %d" % n) in json.dumps(e) and e["level"] in ("error", "warning"),
                                 what=f"the answer to item {n}")

    def test_empty_lists(self):
        for body in (b"null\n", b"[]", b" [ ] "):
            with self.subTest(body):
                self.assert_reply(self.send(body), 200, b"")
        self.assertEqual(self.daemon.metric("arvados_keepstore_pull_queue_pending_entries"), 0)

    def test_locator_without_size_is_refused(self):
        response = self.send(json.dumps([{"locator": md5(b"x"), "servers": ["http://127.0.0.1:9"]}]).encode())
        self.assert_reply(response, 400)
        self.assertTrue(response.text.startswith("rejecting pull list containing a locator without a size hint"))

    def test_malformed(self):
        for body in (b"", b"{", b'[{"locator": 1}]', b'[{"servers": "x"}]', b"[" * 100_000):
            with self.subTest(body[:20]):
                self.assert_reply(self.send(body), 500)

    def test_case_and_unknown_fields(self):
        body = json.dumps([{"LOCATOR": plain(b"case"), "Servers": [], "x": 1}]).encode() + b" trailing"
        self.assert_reply(self.send(body), 200, b"")
        self.daemon.log.wait(condition=lambda e: md5(b"case") in json.dumps(e), what="the answer to the item")


if __name__ == "__main__":
    main()
