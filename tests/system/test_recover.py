"""docs/recover.md: each disaster happens to a real daemon, and the commands of the page, run as they are, put an end to it."""

import os
import re
import shutil
import subprocess

from support.case import KeepstoreCase, main
from support.daemon import (CLUSTER, MANAGEMENT_TOKEN, SYSTEM_ROOT_TOKEN, binary, block_path, cluster_config, directory_volume,
                            volume_uuid)
from support.locator import md5, plain
from support.mounts import Tmpfs
from support.s3_case import S3Case
from support.s3_volumes import s3_volume
from support.wait import PATIENCE, until

PAGE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs", "recover.md")
MIB = 1 << 20


def commands():
    """{heading: [shell commands of each block]}; the block before the first heading has the key ""."""
    with open(PAGE, encoding="utf-8") as file:
        text = file.read()
    found = {}
    for section in re.split(r"(?m)^## ", "\n" + text):
        title = "" if section.startswith("\n") else section.splitlines()[0]
        blocks = re.findall(r"(?ms)^( *)```sh\n(.*?)^ *```", section)
        found[title] = [re.sub(rf"(?m)^{indent}", "", block) for indent, block in blocks]
    return found


class RecoverCase(KeepstoreCase):
    def setUp(self):
        super().setUp()
        for program in ("jq", "curl", "awk"):
            if not shutil.which(program):
                self.skipTest(f"{program} is not installed")

    def run_block(self, section, number, daemon, **variables):
        """Runs a block of a section of the page, in a shell with the page's variables and functions. Returns its output."""
        values = {"URL": daemon.url.geturl().rstrip("/"), "OTHER": "http://127.0.0.1:1", "MOUNT": volume_uuid(0),
                  "ROOT": daemon.roots()[0] if daemon.roots() else "/nonexistent", "TOKEN": SYSTEM_ROOT_TOKEN,
                  "MANAGEMENT_TOKEN": MANAGEMENT_TOKEN} | variables
        prelude = commands()[""][0]
        for name, value in values.items():
            changed = re.sub(rf"(?m)^{name}=.*$", f"{name}='{value}'", prelude)
            prelude = changed if changed != prelude else f"{name}='{value}'\n{prelude}"
        log = os.path.join(self.dir.path, "log")
        with open(log, "w", encoding="utf-8") as file:
            file.write("\n".join(daemon.log.lines()) + "\n")
        # What a test cannot have: a service of systemd.
        prelude += f"\njournalctl() {{ cat '{log}'; }}\nkeepstore() {{ '{binary()}' \"$@\"; }}\n"
        run = subprocess.run(["bash", "-euo", "pipefail", "-c", prelude + commands()[section][number]], cwd=self.dir.path,
                             capture_output=True, text=True, timeout=60 * PATIENCE, check=False,
                             env={"PATH": os.environ["PATH"], "HOME": self.dir.path, "no_proxy": "*",
                                  "ARVADOS_CONFIG": os.path.join(self.dir.path, "config.yml"),
                                  "AWS_EC2_METADATA_DISABLED": "true"})
        self.assertNotIn(SYSTEM_ROOT_TOKEN, run.stdout + run.stderr)
        self.outcome = run.returncode
        return run.stdout + run.stderr

    def succeed(self, *arguments, **variables):
        output = self.run_block(*arguments, **variables)
        self.assertEqual(self.outcome, 0, output)
        return output

    def damage(self, root, data):
        with open(block_path(root, md5(data)), "r+b") as file:
            file.seek(len(data) // 2)
            byte = file.read(1)
            file.seek(len(data) // 2)
            file.write(bytes([byte[0] ^ 1]))


class Recover(RecoverCase):
    def test_the_page_has_what_is_played_here(self):
        counts = {title: len(blocks) for title, blocks in commands().items()}
        self.assertEqual(counts, {"": 1, "A corrupt block": 3, "A lost disk": 2, "A full disk": 2, "An outage of S3": 2,
                                  "Wrong trash": 2})

    def test_a_corrupt_block(self):
        section = "A corrupt block"
        roots = [self.dir.make("vol0"), self.dir.make("vol1")]
        daemon = self.start(roots)
        other = self.start([self.dir.make("other")])
        here, elsewhere = os.urandom(700_000), os.urandom(300_000)
        for data in (here, elsewhere):
            # On both volumes: a write goes to one, so the other's copy is made as a balance tool does it.
            self.assertEqual(daemon.put(data).status, 200)
            self.assertEqual(other.put(data).status, 200)
        holder = {d: next(r for r in roots if os.path.exists(block_path(r, md5(d)))) for d in (here, elsewhere)}
        spare = next(r for r in roots if r != holder[here])
        os.makedirs(os.path.dirname(block_path(spare, md5(here))), exist_ok=True)
        shutil.copy(block_path(holder[here], md5(here)), block_path(spare, md5(here)))
        for data in (here, elsewhere):
            self.damage(holder[data], data)
        self.assertEqual(daemon.get(plain(here)).status, 200)
        self.assertEqual(daemon.get(plain(elsewhere)).status, 502)
        daemon.log.wait(msg="stored copy is bad", block=md5(elsewhere))
        output = self.succeed(section, 0, daemon)
        self.assertIn(md5(elsewhere), output)
        mount = volume_uuid(roots.index(holder[elsewhere]))
        self.assertIn(mount, output)
        output = self.succeed(section, 1, daemon)
        self.assertEqual(sum(int(line.strip("[]").split(",")[3]) for line in output.splitlines()), 1, output)
        with open(block_path(holder[here], md5(here)), "rb") as file:
            self.assertEqual(file.read(), here, "repaired from the other volume")
        output = self.succeed(section, 2, daemon, OTHER=other.url.geturl().rstrip("/"), MOUNT=mount)
        self.assertIn('keepstore_pull_items_total{outcome="pulled"} 1', output)
        self.assertEqual(daemon.get(plain(elsewhere)).body, elsewhere)
        # The same without a good copy anywhere: a client that has the bytes.
        self.damage(holder[elsewhere], elsewhere)
        self.assertEqual(daemon.get(plain(elsewhere)).status, 502)
        self.assertEqual(daemon.put(elsewhere).status, 200)
        self.assertEqual(daemon.get(plain(elsewhere)).body, elsewhere)

    def test_a_lost_disk(self):
        section = "A lost disk"
        root = self.dir.make("vol0")
        options = {"daemon_options": {"via_file": os.path.join(self.dir.path, "config.yml")}}
        daemon = self.start([root], **options)
        other = self.start([self.dir.make("other")])
        blocks = [os.urandom(1000 * (i + 1)) for i in range(20)]
        for data in blocks:
            self.assertEqual(daemon.put(data).status, 200)
            self.assertEqual(other.put(data).status, 200)
        shutil.rmtree(root)
        until(lambda: daemon.request("GET", "/_health/ready").status == 503, what="the daemon notices the loss")
        self.assertIn(volume_uuid(0), self.succeed(section, 0, daemon))
        # The new disk.
        self.assertEqual(daemon.stop(), 0)
        os.mkdir(root)
        daemon = self.start([root], **options)
        self.assertEqual(daemon.get(plain(blocks[0])).status, 404)
        output = self.succeed(section, 1, daemon, OTHER=other.url.geturl().rstrip("/"))
        self.assertIn('keepstore_pull_items_total{outcome="pulled"} 20', output)
        for data in blocks:
            self.assertEqual(daemon.get(plain(data)).body, data)

    def test_a_full_disk(self):
        section = "A full disk"
        root = self.dir.make("tmpfs")
        self.addCleanup(Tmpfs(root, "size=84m").close)
        settings = {"Collections": {"BlobSigningTTL": "0"}}
        daemon = self.start([root], **settings)
        trashed = [os.urandom(4 * MIB) for _ in range(2)]
        for data in trashed:
            self.assertEqual(daemon.put(data).status, 200)
            self.assertEqual(daemon.admin("DELETE", "/" + md5(data)).status, 200)
        with open(os.path.join(root, "ballast"), "wb") as file:
            file.write(bytes(os.statvfs(root).f_bavail * os.statvfs(root).f_frsize - 62 * MIB))
        until(lambda: daemon.put(os.urandom(1000)).status == 507, what="the volume is full")
        output = self.succeed(section, 0, daemon)
        self.assertRegex(output, r"(?m)^keepstore_volume_available_bytes\{device_id=.*\} \d")
        self.assertIn("8 MiB of trash", output)
        # Another volume helps at once, as its daemon says.
        data = os.urandom(1000)
        self.assertEqual(self.start([root, self.dir.make("added")], **settings).put(data).status, 200)
        self.assertEqual(daemon.put(data).status, 507)
        self.succeed(section, 1, daemon)
        until(lambda: daemon.metric("keepstore_volume_available_bytes") > 64 * MIB, what="the space is seen without a write")
        until(lambda: daemon.put(data).status == 200, what="blocks are taken again")
        self.assertEqual(daemon.get(plain(data)).body, data)

    def test_wrong_trash(self):
        section = "Wrong trash"
        daemon = self.start(Collections={"BlobSigningTTL": "0"})
        blocks = [os.urandom(1000 + i) for i in range(5)]
        for data in blocks:
            self.assertEqual(daemon.put(data).status, 200)
            self.assertEqual(daemon.admin("DELETE", "/" + md5(data)).status, 200)
        self.assertEqual([daemon.get(plain(d)).status for d in blocks], [404] * 5)
        self.succeed(section, 0, daemon, BLOCK=md5(blocks[0]))
        self.assertEqual([daemon.get(plain(d)).status for d in blocks], [200] + [404] * 4)
        self.succeed(section, 1, daemon)
        self.assertEqual([daemon.get(plain(d)).body for d in blocks], blocks)


class Buckets(RecoverCase, S3Case):
    def test_an_outage_of_s3(self):
        section = "An outage of S3"
        proxy = self.fault_proxy()
        volume = s3_volume(proxy.endpoint, self.bucket, self.server)
        daemon = self.start({volume_uuid(0): volume},
                            daemon_options={"via_file": os.path.join(self.dir.path, "config.yml")})
        data = os.urandom(100_000)
        self.assertEqual(daemon.put(data).status, 200)
        proxy.outage("refuse")
        until(lambda: (daemon.get(plain(data)).status, daemon.request("GET", "/_health/ready").status) == (503, 503), 30,
              "the daemon notices the outage")
        output = self.run_block(section, 0, daemon)
        self.assertNotEqual(self.outcome, 0, "the probe fails")
        self.assertIn(volume_uuid(0), output)
        self.assertRegex(output, r'(?m)^keepstore_volume_state\{.*state="(stalled|failing|gone)"\} 1$')
        self.assertRegex(output, r"(?i)connection")
        proxy.outage("none")
        until(lambda: daemon.request("GET", "/_health/ready").status == 200, 30, "the daemon is back by itself")
        output = self.succeed(section, 1, daemon)
        self.assertRegex(output, r"(?m)^keepstore_volume_healthy\{.*\} 1$")
        self.assertRegex(output, r"(?m)^keepstore_s3_retries_total\{")
        self.assertEqual(daemon.get(plain(data)).body, data)

    def test_wrong_trash_in_a_bucket(self):
        volume = s3_volume(self.server["endpoint"], self.bucket, self.server)
        daemon = self.start({volume_uuid(0): volume}, Collections={"BlobSigningTTL": "1s"})
        data = os.urandom(1000)
        self.assertEqual(daemon.put(data).status, 200)

        def trashed():
            self.assertEqual(daemon.admin("DELETE", "/" + md5(data)).status, 200)
            return daemon.get(plain(data)).status == 404
        until(trashed, 30, "the block is old enough for the trash")
        self.succeed("Wrong trash", 0, daemon, BLOCK=md5(data))
        self.assertEqual(daemon.get(plain(data)).body, data)


if __name__ == "__main__":
    main()
