"""The volumes that a block is written to and read from: classes, replication, priorities, rendezvous order."""

import os
import unittest

from support.case import KeepstoreCase, SharedDaemonCase, main
from support.daemon import block_path, directory_volume, store, volume_uuid
from support.locator import md5, plain


def confirmed(response):
    return sorted((response.header("X-Keep-Storage-Classes-Confirmed") or "").split(", "))


class TwoClasses(SharedDaemonCase):
    sections = {"StorageClasses": {"testclass1": {"Default": True}, "testclass2": {"Default": True}}}

    @classmethod
    def volumes(cls):
        return [directory_volume(cls.class_dir.make(f"vol{i}"), StorageClasses={f"testclass{i + 1}": True}) for i in range(2)]

    def holders(self, data):
        return [i for i, root in enumerate(self.roots) if os.path.exists(block_path(root, md5(data)))]

    def put(self, data, classes=None):
        headers = {"X-Keep-Desired-Replicas": "2"}
        if classes is not None:
            headers["X-Keep-Storage-Classes"] = classes
        return self.daemon.put(data, headers=headers)

    def test_no_class_requested(self):
        response = self.put(b"none")
        self.assert_reply(response, 200)
        self.assertEqual(response.header("X-Keep-Replicas-Stored"), "1")
        self.assertEqual(len(self.holders(b"none")), 1)

    def test_one_class(self):
        for i in (1, 2):
            data = b"one %d" % i
            response = self.assert_reply(self.put(data, f"testclass{i}"), 200)
            self.assertEqual(response.header("X-Keep-Replicas-Stored"), "1")
            self.assertEqual(confirmed(response), [f"testclass{i}=1"])
            self.assertEqual(self.holders(data), [i - 1])

    def test_commas_and_spaces(self):
        response = self.assert_reply(self.put(b"spaces", " , testclass2 , "), 200)
        self.assertEqual(confirmed(response), ["testclass2=1"])
        self.assertEqual(self.holders(b"spaces"), [1])

    def test_both_classes(self):
        for again in range(2):
            response = self.assert_reply(self.put(b"both", "testclass1, testclass2"), 200)
            self.assertEqual(response.header("X-Keep-Replicas-Stored"), "2")
            self.assertEqual(confirmed(response), ["testclass1=1", "testclass2=1"])
            self.assertEqual(self.holders(b"both"), [0, 1], f"round {again}")

    def test_duplicates_collapse(self):
        response = self.assert_reply(self.put(b"dup", "testclass1,testclass1, testclass1"), 200)
        self.assertEqual(confirmed(response), ["testclass1=1"])

    def test_unknown_class_and_a_known_one(self):
        response = self.assert_reply(self.put(b"mixed", "class404, testclass1"), 200)
        self.assertEqual(confirmed(response), ["testclass1=1"])

    def test_only_unknown_classes(self):
        self.assert_reply(self.put(b"unknown", "class404"), 507)
        self.assertEqual(self.holders(b"unknown"), [])

    def test_empty_header_requests_no_class(self):
        for value in ("", " ", ",", " , "):
            with self.subTest(value):
                self.assert_reply(self.put(b"empty wish" + value.encode(), value), 200)

    def test_second_class_later_adds_a_copy(self):
        self.assert_reply(self.put(b"later", "testclass1"), 200)
        response = self.assert_reply(self.put(b"later", "testclass2"), 200)
        self.assertEqual(confirmed(response), ["testclass2=1"])
        self.assertEqual(self.holders(b"later"), [0, 1])

    def test_without_classes_any_copy_satisfies(self):
        data = b"anywhere"
        for root in self.roots[1:]:
            store(root, md5(data), data, age=1000)
        response = self.assert_reply(self.put(data), 200)
        self.assertEqual(confirmed(response), ["testclass2=1"])
        self.assertEqual(self.holders(data), [1])


class Choices(KeepstoreCase):
    def test_overlapping_classes_are_served_greedily_in_rendezvous_order(self):
        for order in range(3):
            sets = [{"c1": True}, {"c1": True, "c2": True}, {"c2": True}]
            sets = sets[order:] + sets[:order]
            volumes = [directory_volume(self.dir.make(f"{order}-{i}"), StorageClasses=s) for i, s in enumerate(sets)]
            daemon = self.start(volumes, StorageClasses={"c1": {"Default": True}, "c2": {}})
            for n in range(20):
                data = b"greedy %d" % n
                # Ascending md5(hash + last 15 characters of the uuid).
                ranked = sorted(range(3), key=lambda i: md5((md5(data) + volume_uuid(i)[12:]).encode()))
                missing, expected, total = {"c1", "c2"}, [], {}
                for i in ranked:
                    if missing & set(sets[i]):
                        expected.append(i)
                        missing -= set(sets[i])
                        for c in sets[i]:
                            total[c] = total.get(c, 0) + 1
                for _ in range(2):
                    response = self.assert_reply(daemon.put(data, headers={"X-Keep-Storage-Classes": "c1, c2"}), 200)
                    holders = [i for i, r in enumerate(daemon.roots()) if os.path.exists(block_path(r, md5(data)))]
                    self.assertEqual(holders, sorted(expected), (n, ranked))
                    self.assertEqual(response.header("X-Keep-Replicas-Stored"), str(len(expected)))
                    self.assertEqual(confirmed(response), sorted(f"{c}={k}" for c, k in total.items()))

    def test_replication_counts_and_all_classes_of_the_volume_are_listed(self):
        daemon = self.start([directory_volume(self.dir.make("v"), Replication=3, StorageClasses={"c1": True, "c2": False})],
                            StorageClasses={"c1": {"Default": True}, "c2": {}})
        response = self.assert_reply(daemon.put(b"x", headers={"X-Keep-Storage-Classes": "c1"}), 200)
        self.assertEqual(response.header("X-Keep-Replicas-Stored"), "3")
        self.assertEqual(confirmed(response), ["c1=3", "c2=3"])

    def test_replication_below_one_is_one(self):
        daemon = self.start([directory_volume(self.dir.make("v"), Replication=0)])
        self.assertEqual(daemon.put(b"x").header("X-Keep-Replicas-Stored"), "1")

    def test_classes_on_read_only_volumes_only(self):
        daemon = self.start([directory_volume(self.dir.make("rw"), StorageClasses={"c1": True}),
                             directory_volume(self.dir.make("ro"), StorageClasses={"c2": True}, ReadOnly=True)],
                            StorageClasses={"c1": {"Default": True}, "c2": {}})
        self.assert_reply(daemon.put(b"x", headers={"X-Keep-Storage-Classes": "c2"}), 507)
        response = self.assert_reply(daemon.put(b"x", headers={"X-Keep-Storage-Classes": "c1,c2"}), 200)
        self.assertEqual(confirmed(response), ["c1=1"])

    def test_new_blocks_spread_in_rendezvous_order(self):
        daemon = self.start([self.dir.make(f"v{i}") for i in range(4)])
        for n in range(40):
            data = b"spread %d" % n
            daemon.put(data)
            first = min(range(4), key=lambda i: md5((md5(data) + volume_uuid(i)[12:]).encode()))
            self.assertTrue(os.path.exists(block_path(daemon.roots()[first], md5(data))), n)

    def test_reads_prefer_the_higher_priority(self):
        # Only the preferred copy is right: the other holds the same number of wrong bytes, with its mtime kept.
        volumes = [directory_volume(self.dir.make("slow"), StorageClasses={"slow": True}),
                   directory_volume(self.dir.make("fast"), StorageClasses={"fast": True})]
        daemon = self.start(volumes, StorageClasses={"slow": {"Default": True, "Priority": 1}, "fast": {"Priority": 10}})
        for n in range(10):
            data = b"priority %d" % n
            store(daemon.roots()[0], md5(data), b"!" * len(data))
            store(daemon.roots()[1], md5(data), data)
            self.assert_reply(daemon.get(plain(data)), 200, data)
        self.assertEqual([e for e in daemon.log.entries() if e["msg"] == "stored copy is bad"], [])


if __name__ == "__main__":
    main()
