"""keepctl balance against keep-balance's rules, as support/keep_balance_rules.py has transcribed them from docs/interface.md:
random clusters get the same lists, but for the differences that docs/balance.md names."""

import dataclasses
import json
import random
import time
import unittest

from support import keepctl
from support.balance_case import BalanceCase
from support.case import main, rounds, seed
from support.daemon import MANAGEMENT_TOKEN, SYSTEM_ROOT_TOKEN
from support.fake_keep import OLD
from support.keep_balance_rules import KEEP_BALANCE, KEEPCTL, Mount, balance_block, service_order
from support.locator import md5

CLASSES = "archival", "default", "special"
DAY = 86_400 * 10 ** 9
TTL = 14 * DAY


def service(number):
    return f"zzzzz-bi6l4-{number:015x}"


def volume(number):
    return f"zzzzz-nyw5e-{number:015x}"


class Rules(unittest.TestCase):
    """The transcription itself."""

    def test_reference_orders_of_services(self):
        # docs/interface.md 5.5: of sixteen services, for four blocks.
        for number, order in enumerate(["3eab2d5fc9681074", "097dba52e648f1c3", "c5b4e023f8a7d691", "9d81c02e76a3bf54"]):
            block = md5(f"{number:064x}".encode())
            self.assertEqual("".join(uuid[-1] for uuid in service_order(block, map(service, range(16)))), order)

    def test_services_whose_uuid_is_longer_are_ordered_by_all_of_it(self):
        long = [service(n) + "0" for n in range(16)]
        block = md5(b"x")
        self.assertEqual(service_order(block, long), sorted(long, key=lambda u: md5((block + u).encode()), reverse=True))

    def cluster(self, copies, desired, **differences):
        """Changes of a block of which the services at these places, in the order of the block, have a copy."""
        block = md5(f"{0:064x}".encode())
        order = service_order(block, map(service, range(16)))
        mounts = [Mount(server=s, uuid="zzzzz-nyw5e-" + s[12:], classes=frozenset({"default"})) for s in order]
        mtimes = {mounts[n].uuid: OLD + n for n in copies}
        found = balance_block(block, mounts, mtimes, {"default": desired}, OLD + DAY, dataclasses.replace(KEEP_BALANCE,
                                                                                                         **differences))
        return {mounts.index(m) for m in found.pulls}, {mounts.index(m) for m, _ in found.trashes}

    def test_cases_of_one_class(self):
        self.assertEqual(self.cluster([0, 1], 2), (set(), set()))
        self.assertEqual(self.cluster([0, 1, 2], 2), (set(), {2}))
        self.assertEqual(self.cluster([0, 2], 2), ({1}, set()))
        self.assertEqual(self.cluster([2, 7], 2), ({0, 1}, set()))
        self.assertEqual(self.cluster([2, 5, 7], 2), ({0, 1}, {7}))
        self.assertEqual(self.cluster([5, 6], 3), ({0, 1, 2}, set()))
        self.assertEqual(self.cluster([0, 1, 3], 0), (set(), {0, 1, 3}))

    def test_a_volume_of_two_servers_is_where_the_rules_differ(self):
        # The best places have no copy yet. The third and fourth show one volume, the fifth another one.
        block = md5(b"x")
        volumes = 0, 1, 2, 2, 3
        mounts = [Mount(server=s, uuid=volume(v), classes=frozenset({"default"}))
                  for s, v in zip(service_order(block, map(service, range(5))), volumes)]
        given = block, mounts, {volume(2): OLD, volume(3): OLD + 1}, {"default": 2}, OLD + DAY
        # keep-balance counts it twice, and does not wait for the pulls before it trashes the only other copy.
        ((mount, _),) = balance_block(*given, KEEP_BALANCE).trashes
        self.assertEqual(mount, mounts[4])
        self.assertEqual(balance_block(*given, KEEPCTL).trashes, set())

    def test_a_class_with_two_mounts_on_one_server_is_where_the_rules_differ(self):
        block = md5(b"x")
        mounts = [Mount(server=service(0), uuid=volume(0), classes=frozenset({"archival"})),
                  Mount(server=service(0), uuid=volume(1), classes=frozenset({"archival"})),
                  Mount(server=service(1), uuid=volume(2), classes=frozenset({"default"}))]
        given = block, mounts, {volume(0): OLD, volume(1): OLD + 1, volume(2): OLD + 2}, {"archival": 2}, OLD + DAY
        ((mount, _),) = balance_block(*given, KEEP_BALANCE).trashes
        self.assertEqual(mount.classes, {"archival"})
        ((mount, _),) = balance_block(*given, KEEPCTL).trashes
        self.assertEqual(mount.classes, {"default"})


class RandomCluster:
    """Servers that are not real, and blocks with copies and references."""

    def __init__(self, case, random_, shared_volumes, uniform_classes):
        self.case = case
        self.random = random_
        self.mounts = []
        self.services = [service(random_.randrange(16 ** 15)) for _ in range(random_.randint(1, 5))]
        by_server = {s: {} for s in self.services}
        self.classes = CLASSES[:random_.randint(1, 3)]
        everywhere = self.some_classes()
        for number in range(random_.randint(len(self.services), 8)):
            uuid = volume(random_.randrange(16 ** 15))
            replication = random_.choice([1, 1, 1, 2])
            classes = everywhere if uniform_classes else self.some_classes()
            servers = [self.services[number]] if number < len(self.services) else [random_.choice(self.services)]
            if shared_volumes and random_.random() < 0.4:
                servers = random_.sample(self.services, random_.randint(1, len(self.services)))
            for s in servers:
                self.mounts.append(Mount(server=s, uuid=uuid, classes=classes, replication=replication,
                                         allow_write=number == 0 or random_.random() < 0.75,
                                         allow_trash=random_.random() < 0.8))
        for m in self.mounts:
            by_server[m.server][m.uuid] = {"device_id": "disk-" + m.uuid, "allow_write": m.allow_write,
                                           "allow_trash": m.allow_trash, "replication": m.replication,
                                           "storage_classes": {c: True for c in m.classes}}
        self.keeps = {s: case.keep(by_server[s]) for s in self.services}

    def some_classes(self):
        return frozenset(self.random.sample(self.classes, self.random.randint(1, len(self.classes))))

    def fill(self, count):
        """Blocks with any copies, some of the same time, some new; and references of most."""
        self.copies, self.desired, lines = {}, {}, []
        now = time.time_ns()
        for number in range(count):
            block = md5(f"{self.random.random()}".encode())
            self.copies[block], self.desired[block] = {}, {}
            few_times = self.random.random() < 0.3
            for uuid in sorted({m.uuid for m in self.mounts}):
                if self.random.random() < 0.5:
                    mtime = OLD + (self.random.randrange(3) if few_times else self.random.randrange(DAY))
                    if self.random.random() < 0.1:
                        mtime = now - self.random.randrange(TTL - DAY)
                    self.copies[block][uuid] = mtime
            for keep in self.keeps.values():
                for uuid, blocks in keep.blocks.items():
                    if uuid in self.copies[block]:
                        blocks[block] = (3, self.copies[block][uuid])
            for _ in range(self.random.choice([0, 1, 1, 2])):
                wanted = {c: self.random.randint(1, 4) for c in self.random.sample(CLASSES, self.random.randint(0, 2))}
                lines.append(f"{block}+3" + "".join(f" {c}={n}" for c, n in wanted.items()) + "\n")
                for c, n in (wanted or {"default": 2}).items():
                    self.desired[block][c] = max(n, self.desired[block].get(c, 0))
        self.random.shuffle(lines)
        self.references = self.case.write("references", "".join(lines) + "\n")
        self.cutoff = now - TTL - DAY // 2  # Copies are far from it.

    def config(self):
        hosts = {s: keep.url + "/" for s, keep in self.keeps.items()}
        volumes = {}
        for m in self.mounts:
            one = volumes.setdefault(m.uuid, {"AccessViaHosts": {}, "Driver": "Directory", "DriverParameters": {"Root": "/nowhere"}})
            one["AccessViaHosts"][hosts[m.server]] = {}
        cluster = {"SystemRootToken": SYSTEM_ROOT_TOKEN, "ManagementToken": MANAGEMENT_TOKEN,
                   "Services": {"Keepstore": {"InternalURLs": {hosts[s]: {"Rendezvous": s[12:]} for s in self.services}}},
                   "Volumes": volumes,
                   "Collections": {"BlobSigningKey": "x" * 40, "BlobSigningTTL": "336h", "BlobTrashLifetime": "336h",
                                   "DefaultReplication": 2}}
        return self.case.write("config.json", json.dumps({"Clusters": {"zzzzz": cluster}}))

    def planned(self):
        """The changes that keepctl plans, and the lost blocks."""
        changes, lost = self.case.path("changes"), self.case.path("lost")
        done = keepctl.run(self.case.dir.path, "balance", "--json", "--config", self.config(), "--references", self.references,
                           "--max-trash", "100", "--changes", changes, "--lost", lost,
                           "--state-dir", self.case.dir.make(f"state-{self.services[0]}"))
        self.case.assertIn(done.code, (0, 1), done)
        server = {keep.url: s for s, keep in self.keeps.items()}
        with open(changes, encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        with open(lost, encoding="utf-8") as file:
            gone = {line[:32] for line in file}
        found = {(r["hash"], r["action"], server[r["server"]], r["mount"], r.get("mtime")) for r in rows}
        self.case.assertEqual(len(found), len(rows))
        return found | {(block, "lost", None, None, None) for block in gone}

    def by_rules(self, differences):
        out = set()
        for block, mtimes in self.copies.items():
            changes = balance_block(block, self.mounts, mtimes, self.desired[block], self.cutoff, differences)
            out |= {(block, "pull", m.server, m.uuid, None) for m in changes.pulls}
            out |= {(block, "trash", m.server, m.uuid, mtime) for m, mtime in changes.trashes}
            if changes.lost:
                out.add((block, "lost", None, None, None))
        return out

    def explain(self, block):
        mounts = "\n".join(map(str, self.mounts))
        return f"{block}: copies {self.copies[block]}, desired {self.desired[block]}, of\n{mounts}"


class Lists(BalanceCase):
    def assert_same_lists(self, cluster, differences):
        planned, by_rules = cluster.planned(), cluster.by_rules(differences)
        if planned != by_rules:
            block = min(planned ^ by_rules)[0]
            of_block = [sorted(str(c) for c in found if c[0] == block) for found in (planned, by_rules)]
            self.assertEqual(*of_block, cluster.explain(block))
        return planned

    def check(self, differences, **kind):
        random_ = random.Random(seed())
        actions = set()
        for _ in range(rounds(12)):
            cluster = RandomCluster(self, random_, **kind)
            cluster.fill(150)
            actions |= {change[1] for change in self.assert_same_lists(cluster, differences)}
            for keep in cluster.keeps.values():
                keep.close()
        self.assertEqual(actions, {"pull", "trash", "lost"})

    def test_where_no_difference_applies_they_are_those_of_keep_balance(self):
        self.check(KEEP_BALANCE, shared_volumes=False, uniform_classes=True)

    def test_with_the_differences_they_are_the_same_in_any_cluster(self):
        self.check(KEEPCTL, shared_volumes=True, uniform_classes=False)


if __name__ == "__main__":
    main()
