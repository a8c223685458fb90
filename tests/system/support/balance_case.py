"""The base of tests of keepctl balance: three servers that are not real, and a configuration of them."""

import json
import os

from . import keepctl
from .case import KeepstoreCase
from .daemon import MANAGEMENT_TOKEN, SYSTEM_ROOT_TOKEN, volume_uuid
from .fake_keep import OLD, FakeKeep
from .locator import md5


def names(count, start=0):
    return [md5(str(i).encode()) for i in range(start, start + count)]


class BalanceCase(KeepstoreCase):
    lifetime = "336h"
    ttl = "336h"

    def setUp(self):
        super().setUp()
        self.order = []
        self.keeps = [self.keep({volume_uuid(i): {}}) for i in range(3)]
        self.extra = []

    def path(self, name):
        return os.path.join(self.dir.path, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def keep(self, mounts):
        keep = FakeKeep(mounts, self.order)
        self.addCleanup(keep.close)
        return keep

    def fill(self, copies=2, count=60, mtime=OLD):
        """Blocks with this many copies each, spread over the servers."""
        for i, name in enumerate(names(count)):
            for n in range(copies):
                keep = self.keeps[(i + n) % len(self.keeps)]
                uuid = next(iter(keep.blocks))
                keep.blocks[uuid][name] = (3, mtime + 1000 * i + n)

    def config(self, **collections):
        urls = {keep.url + "/": {} for keep in self.keeps}
        volumes = {uuid: {"AccessViaHosts": {keep.url + "/": {}}, "Driver": "Directory",
                          "DriverParameters": {"Root": "/nowhere"}, "Replication": 1}
                   for keep in self.keeps for uuid in keep.mounts}
        cluster = {"SystemRootToken": SYSTEM_ROOT_TOKEN, "ManagementToken": MANAGEMENT_TOKEN,
                   "Services": {"Keepstore": {"InternalURLs": urls}}, "Volumes": volumes,
                   "Collections": {"BlobSigningKey": "x" * 40, "BlobSigningTTL": self.ttl,
                                   "BlobTrashLifetime": self.lifetime, "DefaultReplication": 2} | collections}
        return self.write("config.json", json.dumps({"Clusters": {"zzzzz": cluster}}))

    def balance(self, *arguments, code=0, config=True, **options):
        given = ["--config", self.config()] if config else []
        done = keepctl.run(self.dir.path, "balance", "--json", *given, *arguments, **options)
        self.assertEqual(done.code, code, done)
        return done

    def assert_nothing_sent(self, cleared=False):
        """No list but, if `cleared`, empty trash lists."""
        for keep in self.keeps:
            self.assertEqual(keep.puts, [("/trash", [])] if cleared else [])

    def assert_trash_withheld(self, *arguments, says, **options):
        """Pull lists are sent, trash lists are only cleared."""
        done = self.balance("--apply", "all", *arguments, code=4, **options)
        self.assertIn(says, done.stderr)
        for keep in self.keeps:
            self.assertEqual(keep.sent("/trash"), [[]])
            self.assertEqual(len(keep.sent("/pull")), 1)
        return done

    def surplus(self):
        """One block in ten has a copy too many; nothing else is to be done but moves."""
        self.fill()
        rules = self.write("rules.yml", "desired: {default: 2}\nlimits: {trash_percent: 50, trash_percent_mount: 100}\n")
        for name in names(6):
            for keep in self.keeps:
                uuid = next(iter(keep.blocks))
                keep.blocks[uuid].setdefault(name, (3, OLD + 77 * len(keep.blocks[uuid])))
        return "--rules", rules
