"""keepctl balance with four real daemons: one with a Directory volume, one with two, one with a bucket, and one that is
reached through haproxy. What their volumes hold is looked at directly."""

import glob
import json
import os
import random
import shutil
import signal
import subprocess
import time

from support import keepctl
from support.case import main, rounds, seed
from support.daemon import SIGNING_KEY, SYSTEM_ROOT_TOKEN, Daemon, cluster_config, directory_volume, volume_uuid
from support.locator import md5
from support.mounts import Tmpfs
from support.s3_case import S3Case
from support.s3_volumes import s3_volume
from support.wait import port_open, stable_port, until

DAY = 24 * 3600
RULES = "limits: {trash_percent: 60, trash_percent_mount: 100}\n"


class ServersCase(S3Case):
    """Daemons 0 (Directory), 1 (two Directories), 2 (S3), 3 (Directory, behind haproxy if that is installed)."""

    def setUp(self):
        super().setUp()
        self.random = random.Random(seed())
        self.roots = {volume_uuid(i): self.make_root(i) for i in (0, 1, 2, 4)}
        ports = []
        for _ in range(5):
            ports.append(stable_port(avoid=ports))
        self.ports = ports[:4]
        self.urls = [f"http://127.0.0.1:{port}/" for port in self.ports]
        self.back_url = self.urls[3]
        self.haproxy = self.start_haproxy(ports[4], self.ports[3])
        if self.haproxy:
            self.urls[3] = f"http://127.0.0.1:{ports[4]}/"
        self.mounted = {0: [0], 1: [1, 2], 2: [3], 3: [4]}
        self.daemons = [self.start_server(i) for i in range(4)]
        with open(self.path("rules.yml"), "w", encoding="ascii") as file:
            file.write(RULES)
        with open(self.path("config.json"), "w", encoding="utf-8") as file:
            json.dump({"Clusters": {"zzzzz": self.cluster(self.urls)}}, file)

    def make_root(self, number):
        return self.dir.make(f"vol{number}")

    def path(self, name):
        return os.path.join(self.dir.path, name)

    def cluster(self, urls, **collections):
        volumes = {}
        for server, numbers in self.mounted.items():
            for n in numbers:
                volume = (s3_volume(self.server["endpoint"], self.bucket, self.server) if n == 3
                          else directory_volume(self.roots[volume_uuid(n)]))
                volumes[volume_uuid(n)] = volume | {"AccessViaHosts": {urls[server]: {}}}
        found = cluster_config(volumes)
        found["Services"]["Keepstore"]["InternalURLs"] = {url: {} for url in urls}
        found["Collections"].update(collections)
        return found

    def start_server(self, number, **collections):
        own = self.urls[:3] + [self.back_url]
        daemon = Daemon(self.cluster(own, **collections), env={"ARVADOS_SERVICE_INTERNAL_URL": own[number]})
        self.addCleanup(self._finish, daemon, True)
        return daemon

    def start_haproxy(self, front, back):
        program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", ""))
        if not program:
            return None
        with open(self.path("haproxy.cfg"), "w", encoding="ascii") as file:
            file.write(f"""defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend front
    bind 127.0.0.1:{front}
    default_backend back
backend back
    server keep 127.0.0.1:{back}
""")
        running = subprocess.Popen([program, "-f", self.path("haproxy.cfg"), "-db"], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)

        def end():
            running.kill()
            running.wait(30)

        self.addCleanup(end)
        until(lambda: port_open(front), what="haproxy listens")
        return running

    def balance(self, *arguments, code=0, **options):
        done = keepctl.run(self.dir.path, "balance", "--json", "--config", self.path("config.json"), "--rules",
                           self.path("rules.yml"), *arguments, **options)
        self.assertIn(done.code, (0, 1) if code is None else (code,), done)
        return done

    def apply_all(self, *arguments, code=0):
        return self.balance("--apply", "all", "--wait", "60s", *arguments, code=code)

    def put(self, server, count):
        """Blocks on one server. Returns {hash: data}."""
        blocks = {}
        for _ in range(count):
            data = self.random.randbytes(self.random.randrange(1, 3000))
            self.assertEqual(self.daemons[server].put(data).status, 200)
            blocks[md5(data)] = data
        return blocks

    def copies(self):
        """{hash: set of volume numbers}, of good copies only."""
        found = {}
        for number in (0, 1, 2, 4):
            for name, data in keepctl.stored(self.roots[volume_uuid(number)]).items():
                if md5(data) == name:
                    found.setdefault(name, set()).add(number)
        for key in self.s3.list(self.bucket):
            if len(key) == 32:
                found.setdefault(key, set()).add(3)
        return found

    def age(self, days=30):
        """Makes all copies in directories old, each with its own time."""
        stamp = time.time() - days * DAY
        for number in (0, 1, 2, 4):
            for path in sorted(glob.glob(f"{self.roots[volume_uuid(number)]}/???/*")):
                if len(os.path.basename(path)) == 32:
                    stamp += 1
                    os.utime(path, (stamp, stamp))

    def assert_copies(self, blocks, least, most=5):
        found = self.copies()
        for name in blocks:
            self.assertGreaterEqual(len(found.get(name, ())), least, name)
            self.assertLessEqual(len(found.get(name, ())), most, name)


class Servers(ServersCase):
    def test_from_one_server_to_all_and_back_to_two_copies(self):
        blocks = self.put(0, 40)
        done = self.apply_all()
        self.assertGreaterEqual(done.summary["pulls"], 40)
        self.assertEqual(done.summary["trashes"], 0)
        self.assert_copies(blocks, 2)
        # What was pulled is new: nothing is trashed, and nothing is left to be pulled.
        done = self.balance()
        self.assertEqual((done.summary["pulls"], done.summary["trashes"]), (0, 0))
        # Old copies where they are not wanted go. Those in the bucket are new.
        self.age()
        before = self.copies()
        done = self.apply_all()
        self.assertGreater(done.summary["trashes"], 0)
        after = self.copies()
        self.assert_copies(blocks, 2, 2)
        self.assertTrue(all(after[name] <= before[name] for name in blocks))
        self.assertEqual(self.balance().summary["trashes"], 0)
        # Readers find each block without a detour.
        for name in blocks:
            volumes = after[name]
            servers = {server for server, numbers in self.mounted.items() if volumes & set(numbers)}
            self.assertEqual(len(servers), 2)

    def test_a_server_dies_and_comes_back_with_old_data(self):
        blocks = self.put(0, 30)
        self.apply_all()
        self.age()
        self.daemons[0].kill()
        done = self.balance("--apply", "all", code=4)
        self.assertIn("--allow-missing", done.stderr)
        url = self.urls[0].rstrip("/")
        self.apply_all("--allow-missing", url)
        others = {name: numbers - {0} for name, numbers in self.copies().items()}
        for name in blocks:
            self.assertGreaterEqual(len(others[name]), 2, "copies without the server that is gone")
        self.daemons[0] = self.start_server(0)
        self.age()
        for _ in range(3):
            self.apply_all()
            self.assert_copies(blocks, 2)
            self.age()
        self.assert_copies(blocks, 2, 3)

    def test_left_over_lists_and_another_balancer(self):
        blocks = self.put(0, 12)
        self.apply_all()
        self.age()
        # A server that stores trash lists and does not work on them, with a list of another tool.
        self.daemons[1].stop()
        self.daemons[1] = self.start_server(1, BlobTrashConcurrency=0)
        items = []
        for number in (1, 2):
            for path in glob.glob(f"{self.roots[volume_uuid(number)]}/???/*"):
                name = os.path.basename(path)
                if name in blocks:
                    items.append({"locator": f"{name}+{len(blocks[name])}", "mount_uuid": volume_uuid(number),
                                  "block_mtime": os.stat(path).st_mtime_ns})
        self.assertTrue(items)
        self.assertEqual(self.daemons[1].admin("PUT", "/trash", json.dumps(items).encode()).status, 200)
        done = self.balance("--apply", "all", code=5)
        self.assertIn("--take-over", done.stderr)
        self.assertEqual(json.loads(self.daemons[1].admin("GET", "/_work").text)["trash"]["pending"], len(items))
        done = self.balance("--apply", "all", "--take-over")
        # Our own list may wait there: the next run replaces it.
        pending = json.loads(self.daemons[1].admin("GET", "/_work").text)["trash"]["pending"]
        self.assertNotEqual(pending, len(items))
        self.balance("--apply", "all")
        self.assert_copies(blocks, 2)

    def test_references_and_what_comes_back_from_the_trash(self):
        blocks = self.put(1, 20)
        self.apply_all()
        self.age()
        names = sorted(blocks)
        kept, garbage = names[:15], names[15:]
        with open(self.path("references"), "w", encoding="ascii") as file:
            file.write("".join(f"{n}+{len(blocks[n])}\n" for n in kept) + "\n")
        self.apply_all("--references", self.path("references"))
        self.assert_copies(kept, 2)
        in_directories = {n: v - {3} for n, v in self.copies().items()}
        self.assertFalse([n for n in garbage if in_directories.get(n)])
        with open(self.path("garbage"), "w", encoding="ascii") as file:
            file.write("".join(f"{n}\n" for n in garbage))
        keepctl.run(self.dir.path, "untrash", "--config", self.path("config.json"), "--from", self.path("garbage"))
        self.assert_copies(garbage, 2)

    def test_killed_at_any_moment(self):
        blocks = self.put(0, 25)
        self.apply_all()
        least = 2
        for number in range(rounds(8)):
            self.age()
            running = keepctl.start(self.dir.path, "balance", "--apply", "all", "--digits", "1", "--config",
                                    self.path("config.json"), "--rules", self.path("rules.yml"))
            time.sleep(self.random.random() * 0.4)  # The moment is what is random.
            running.kill()
            running.communicate()
            self.assert_copies(blocks, least)
            if number % 4 == 3:  # There is work again.
                for path in glob.glob(f"{self.roots[volume_uuid(0)]}/???/*"):
                    if len(os.path.basename(path)) == 32:
                        name = os.path.basename(path)
                        keepctl.store(self.roots[volume_uuid(4)], blocks[name])
        self.apply_all()
        self.assert_copies(blocks, least)

    def test_a_block_that_is_touched_between_index_and_list(self):
        blocks = self.put(0, 10)
        self.apply_all()
        self.age()
        changes = self.path("changes")
        self.balance("--changes", changes)
        with open(changes, encoding="utf-8") as file:
            trashed = [c for c in map(json.loads, file) if c["action"] == "trash"]
        self.assertTrue(trashed)
        # As in a list that was made before the touch.
        first = trashed[0]
        number = next(n for n in (0, 1, 2, 4) if volume_uuid(n) == first["mount"])
        server = next(s for s, numbers in self.mounted.items() if number in numbers)
        self.assertEqual(self.daemons[server].admin("TOUCH", "/" + first["hash"]).status, 200)
        item = {"locator": f"{first['hash']}+{first['size']}", "mount_uuid": first["mount"], "block_mtime": first["mtime"]}
        self.assertEqual(self.daemons[server].admin("PUT", "/trash", json.dumps([item]).encode()).status, 200)
        until(lambda: not any(json.loads(self.daemons[server].admin("GET", "/_work").text)["trash"][k]
                              for k in ("pending", "in_progress")), what="the list is worked off")
        self.assertIn(number, self.copies()[first["hash"]])
        self.apply_all()
        self.assert_copies(blocks, 2)


class FullServer(ServersCase):
    def make_root(self, number):
        root = super().make_root(number)
        if number == 4:
            full = Tmpfs(root, "size=100m")
            self.addCleanup(full.close)
        return root

    def test_a_target_that_is_full(self):
        ballast = os.open(os.path.join(self.roots[volume_uuid(4)], "ballast"), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            while True:
                os.write(ballast, bytes(1 << 16))
        except OSError:
            os.close(ballast)
        blocks = self.put(0, 20)
        done = self.apply_all(code=1)
        full = self.urls[3].rstrip("/")
        ends = {r["server"]: r for r in done.rows("pulls")}
        self.assertGreater(ends[full]["sent"], 0)
        self.assertEqual(ends[full]["not_carried_out"], ends[full]["sent"])
        self.assertEqual(sum(r["not_carried_out"] for s, r in ends.items() if s != full), 0)
        self.assertIn(f"{full} did not carry out", done.stderr)
        self.assertFalse([n for n, v in self.copies().items() if 4 in v])
        self.age()
        # Nothing is trashed of a block whose second copy did not arrive.
        self.apply_all(code=1)
        found = self.copies()
        self.assertTrue(all(found[n] for n in blocks))
        os.unlink(os.path.join(self.roots[volume_uuid(4)], "ballast"))
        # The volume takes blocks again some seconds later.
        until(lambda: self.apply_all(code=None) and all(len(v) >= 2 for n, v in self.copies().items() if n in blocks), 30,
              "two copies of each block")


if __name__ == "__main__":
    main()
