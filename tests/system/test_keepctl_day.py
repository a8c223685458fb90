"""A day of a cluster, an hour a round: servers die, copies rot and get lost, blocks come and become garbage, while balance and
snapshot run each hour and `replicate --continuous` keeps a backup. No block that is wanted is ever without a good copy, the backup
has no wrong byte, and each snapshot that is listed can be restored from it."""

import glob
import json
import os
import random
import signal
import subprocess
import time

from support import keepctl
from support.case import KeepstoreCase, main, rounds, seed
from support.daemon import Daemon, cluster_config, directory_volume, volume_uuid
from support.locator import md5
from support.wait import stable_port, until

SERVERS = 4
HOURS = 6
# A volume of a few blocks loses a large share of them with one.
RULES = "limits: {trash_percent: 60, trash_percent_mount: 100, shrink_percent: 100}\n"


class Day(KeepstoreCase):
    def setUp(self):
        super().setUp()
        self.random = random.Random(seed())
        self.roots = [self.dir.make(f"vol{i}") for i in range(SERVERS)]
        self.backup = self.dir.make("backup")
        ports = []
        for _ in range(SERVERS):
            ports.append(stable_port(avoid=ports))
        self.urls = [f"http://127.0.0.1:{port}/" for port in ports]
        volumes = {volume_uuid(i): directory_volume(root) | {"AccessViaHosts": {self.urls[i]: {}}} for i, root in enumerate(self.roots)}
        self.cluster = cluster_config(volumes)
        self.cluster["Services"]["Keepstore"]["InternalURLs"] = {url: {} for url in self.urls}
        self.cluster["Collections"]["DefaultReplication"] = 2
        self.write("config.json", json.dumps({"Clusters": {"zzzzz": self.cluster}}))
        self.write("rules.yml", RULES)
        self.config = ["--config", self.path("config.json")]
        self.daemons = [None] * SERVERS
        for number in range(SERVERS):
            self.start_server(number)
        self.wanted = {}   # {hash: bytes}
        self.garbage = {}
        self.copying = None
        self.repository = f"file://{self.dir.make('repository')}"
        self.run_tool(0, "snapshot", "init", self.repository)

    def path(self, name):
        return os.path.join(self.dir.path, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)

    def start_server(self, number):
        self.daemons[number] = Daemon(self.cluster, env={"ARVADOS_SERVICE_INTERNAL_URL": self.urls[number]})
        self.addCleanup(self.daemons[number].kill)

    def run_tool(self, codes, *words, **options):
        # What only looks at a repository has no use for a configuration.
        alone = words[:2] in (("snapshot", "list"), ("snapshot", "check"))
        done = keepctl.run(self.dir.path, *words, *([] if alone else self.config), **options)
        self.assertIn(done.code, (codes,) if isinstance(codes, int) else codes, done)
        return done

    def start_copying(self):
        """The backup, in a process that goes on until it is killed."""
        with open(self.path("replicate.log"), "ab") as log:
            self.copying = subprocess.Popen(
                [keepctl.program(), "replicate", "cluster", f"dir:{self.backup}", "--continuous", "--interval", "500ms", "--jobs", "4",
                 *self.config], env=keepctl.environment(self.dir.path), stdout=log, stderr=log)
        self.addCleanup(self.copying.kill)

    def stop_copying(self, number):
        if self.copying:
            self.copying.send_signal(number)
            self.copying.wait(60)
            self.copying = None

    def good_copies(self, name):
        """Numbers of the volumes with the right bytes."""
        return [i for i, root in enumerate(self.roots) if self.is_good(os.path.join(root, name[:3], name), name)]

    def is_good(self, path, name):
        try:
            with open(path, "rb") as file:
                return md5(file.read()) == name
        except OSError:
            return False

    def check(self):
        lost = [name for name in self.wanted if not self.good_copies(name)]
        self.assertEqual(lost, [], "without a good copy")
        self.assertEqual([n for n, d in keepctl.stored(self.backup).items() if md5(d) != n], [], "wrong bytes in the backup")

    def in_backup(self, name):
        return os.path.exists(os.path.join(self.backup, name[:3], name))

    # --- what happens in an hour ---

    def write_blocks(self):
        for _ in range(self.random.randrange(3, 12)):
            data = self.random.randbytes(self.random.choice((1, 100, 5000, 70_000)))
            self.run_tool(0, "put", "--replication", "2", stdin=data)
            self.wanted[md5(data)] = data

    def make_garbage(self):
        for name in self.random.sample(sorted(self.wanted), min(3, len(self.wanted))):
            if self.in_backup(name):
                self.garbage[name] = self.wanted.pop(name)

    def spoil(self, change):
        """Changes one copy of a few blocks that have another good one."""
        for name in self.random.sample(sorted(self.wanted), min(4, len(self.wanted))):
            good = self.good_copies(name)
            if len(good) > 1:
                change(os.path.join(self.roots[self.random.choice(good)], name[:3], name))

    def rot(self, path):
        with open(path, "r+b") as file:
            byte = file.read(1)
            file.seek(0)
            file.write(bytes([byte[0] ^ 1]))

    def scatter(self):
        """Surplus copies, as after a change of the servers."""
        for name in self.random.sample(sorted(self.wanted), min(5, len(self.wanted))):
            keepctl.store(self.random.choice(self.roots), self.wanted[name])

    def grow_old(self):
        stamp = time.time() - 30 * 24 * 3600
        for root in self.roots:
            for path in sorted(glob.glob(f"{root}/???/*")):
                if len(os.path.basename(path)) == 32:
                    stamp += 1
                    os.utime(path, (stamp, stamp))

    def test_a_day(self):
        for hour in range(rounds(HOURS)):
            self.write_blocks()
            if self.wanted:
                self.random.choice((self.make_garbage, self.scatter, lambda: self.spoil(self.rot), lambda: self.spoil(os.unlink)))()
            self.grow_old()
            away = self.random.choice((None, None, self.random.randrange(SERVERS)))
            if self.copying and self.random.random() < 0.3:
                self.stop_copying(signal.SIGKILL)
            if not self.copying:
                self.start_copying()
            if away is not None:
                self.daemons[away].kill()
            self.write("references", "".join(f"{n}+{len(d)}\n" for n, d in sorted(self.wanted.items())) + "\n")
            # While a server is away nothing is trashed (4), or the run is not finished.
            self.run_tool((0, 1) if away is None else (0, 1, 3, 4, 6), "balance", "--apply", "all", "--wait", "60s", "--rules",
                          self.path("rules.yml"), "--references", self.path("references"), "--allow-fewer-references")
            self.check()
            self.run_tool(0 if away is None else (0, 6, 3, 4), "snapshot", "create", self.repository)
            if away is not None:
                self.start_server(away)
            self.check()
            if self.copying.poll() is not None:  # A place that cannot be reached ends the first pass, and systemd begins again.
                self.assertEqual((self.copying.returncode, away is None), (3, False))
                self.start_copying()
            until(lambda: all(map(self.in_backup, self.wanted)), what=f"hour {hour}: the backup has all blocks")
            self.assertIsNone(self.copying.poll(), "it goes on whatever fails")
        self.stop_copying(signal.SIGTERM)
        self.check()
        listed = [s["id"] for s in self.run_tool(0, "snapshot", "list", self.repository, "--json").rows("snapshot")]
        self.assertGreater(len(listed), rounds(HOURS) // 4)
        self.run_tool(0, "snapshot", "check", self.repository, "--read")
        for number, snapshot in enumerate(listed[-20:]):
            root = self.dir.make(f"restored{number}")
            done = self.run_tool(0, "snapshot", "restore", self.repository, snapshot, f"dir:{root}", "--from", f"dir:{self.backup}", "--json")
            found = keepctl.stored(root)
            self.assertEqual((done.summary["copied"], len(found)), (done.summary["looked_at"],) * 2, done)
            self.assertEqual([n for n, d in found.items() if md5(d) != n], [])


if __name__ == "__main__":
    main()
