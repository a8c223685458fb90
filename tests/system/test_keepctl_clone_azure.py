"""keepctl clone with containers of Azure: from container to container, and between a bucket and a container."""

import json
import os
import random
import re
import secrets
import time

from support import keepctl
from support.azure_case import AzureCase, azure_volume
from support.azure_case import server as azure_server
from support.azure_client import AzureClient
from support.case import main, seed
from support.clone_case import OUTCOMES, SIZES, CloneCase
from support.daemon import cluster_config, volume_uuid
from support.locator import md5

WAYPOINTS = "keepstore_waypoints"
LARGE = 262_144


def add_containers(test, server, **containers):
    """A configuration whose volumes are these containers. Returns its file, and the place of each."""
    # However slow this machine is: an empty blob of a test is one that is being written.
    race = {"WriteRaceInterval": "10m"}
    volumes = {volume_uuid(i): azure_volume(server, name, DriverParameters=race) for i, name in enumerate(containers.values())}
    path = os.path.join(test.dir.path, "config.yml")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"Clusters": {"zzzzz": cluster_config(volumes)}}, file)
    return path, {name: f"volume:{uuid}" for name, uuid in zip(containers, volumes)}


class Containers(AzureCase):
    def setUp(self):
        super().setUp()
        self.random = random.Random(seed())
        self.target = self.make_container()
        self.config, places = add_containers(self, self.server, a=self.container, b=self.target)
        self.places = places["a"], places["b"]

    def fill(self, count):
        blocks = {}
        for i in range(count):
            data = self.random.randbytes(SIZES[i % len(SIZES)])
            self.azure.put(self.container, md5(data), data)
            blocks[md5(data)] = data
        return blocks

    def clone(self, *arguments, places=None, **options):
        done = keepctl.run(self.dir.path, "clone", "--json", *(places or self.places), "--config", self.config, *arguments, **options)
        self.assertNotIn(self.server["key"], done.stderr + done.stdout.decode())
        return done

    def assert_counts(self, done, code=0, **counts):
        self.assertEqual(done.code, code, done)
        found = done.summary
        self.assertEqual({k: found[k] for k in counts}, counts, done)
        self.assertEqual(found["listed"], sum(found[k] for k in OUTCOMES), done)

    def assert_target(self, blocks):
        self.assertEqual(set(self.azure.names(self.target)), set(blocks))
        self.assertEqual([n for n, d in blocks.items() if self.azure.get(self.target, n) != d], [])

    def test_blocks_of_all_sizes(self):
        blocks = self.fill(18)
        trashed = b"in the trash"
        self.azure.put(self.container, md5(trashed), trashed, {"expires_at": str(int(time.time()) + 3600)})
        for name in ("keepstore-probe/x", "0readme", "readme"):
            self.azure.put(self.container, name, b"no block")
        written = md5(b"being written")
        before = set(self.azure.names(self.container)) | {written}
        size = sum(map(len, blocks.values()))

        def clone(*arguments):
            self.azure.put(self.container, written, b"")  # An old one counts as a block.
            return self.clone(*arguments)

        self.assert_counts(clone("--dry-run"), listed=len(blocks), copied=len(blocks), bytes=size)
        self.assertEqual(self.azure.names(self.target), [])

        self.assert_counts(clone("--mode", "stream"), listed=len(blocks), copied=len(blocks), bytes=size, failed=0, foreign=1)
        self.assert_target(blocks)
        self.assertEqual(set(self.azure.names(self.container)), before)
        for name, data in blocks.items():
            self.assertEqual(WAYPOINTS in self.azure.metadata(self.target, name), len(data) > LARGE, len(data))

        self.assert_counts(clone("--error-on-no-change"), 9, present=len(blocks), copied=0)
        # A daemon serves what arrived.
        daemon = self.start([self.volume(self.target)])
        for name, data in blocks.items():
            self.assert_reply(daemon.get(f"{name}+{len(data)}"), 200, data)

    def test_inside_the_service(self):
        blocks = self.fill(12)
        large = max(blocks, key=lambda n: len(blocks[n]))
        self.azure.set_metadata(self.container, large, {WAYPOINTS: "AAECAw=="})
        # Without an MD5 that the service keeps a copy is read.
        parts, wrong = self.random.randbytes(1000), md5(b"this block")
        self.azure.put_blocks(self.container, md5(parts), parts)
        blocks[md5(parts)] = parts
        done = self.clone()
        self.assert_counts(done, copied=len(blocks), mode="server-side", failed=0, read_to_verify=1,
                           bytes=sum(map(len, blocks.values())))
        self.assert_target(blocks)
        self.assertEqual(self.azure.metadata(self.target, large), {WAYPOINTS: "AAECAw=="})
        self.assert_counts(self.clone("--error-on-no-change"), 9, present=len(blocks), copied=0)

        self.azure.put_blocks(self.container, wrong, b"that block")
        self.assert_counts(self.clone("--mode", "server-side"), 1, present=len(blocks), bad_source=1, read_to_verify=1)

    def test_between_accounts(self):
        """The source is in another account: by its key, and by a signature that may read and list."""
        other = AzureClient(self.server["other"]["endpoint"], self.server["other"]["key"])
        self.addCleanup(other.close)
        source = f"other-{secrets.token_hex(4)}"
        other.make_container(source)
        self.addCleanup(other.remove_container, source)
        for number, parameters in enumerate(({"StorageAccountKey": self.server["other"]["key"]},
                                             {"StorageAccountKey": "", "SharedAccessSignature": other.signature_of(source)})):
            data = self.random.randbytes(1000 + number)
            other.put(source, md5(data), data)
            volumes = {volume_uuid(0): azure_volume(self.server["other"], source, DriverParameters=parameters),
                       volume_uuid(1): azure_volume(self.server, self.target)}
            with open(self.config, "w", encoding="utf-8") as file:
                json.dump({"Clusters": {"zzzzz": cluster_config(volumes)}}, file)
            done = self.clone("--mode", "server-side")
            self.assert_counts(done, copied=1, present=number, mode="server-side")
            self.assertEqual(self.azure.get(self.target, md5(data)), data)
            self.assertNotIn("sig=", done.stderr)

    def test_copies_that_are_no_blocks(self):
        good, wrong, short, back = (self.random.randbytes(n) for n in (1000, 300_000, 2000, 500))
        for data in (good, wrong, short, back):
            self.azure.put(self.container, md5(data), data)
        # At the destination: other bytes of the same size, other bytes of another size, and one in the trash.
        self.azure.put(self.target, md5(wrong), bytes(len(wrong)))
        self.azure.put(self.target, md5(short), short[:10])
        self.azure.put(self.target, md5(back), back, {"expires_at": str(int(time.time()) + 3600)})
        # At the source.
        bad = md5(b"this block")
        self.azure.put(self.container, bad, b"that block")
        done = self.clone()
        self.assert_counts(done, 1, listed=5, copied=2, replaced=2, bad_source=1, failed=0)
        self.assert_target({md5(d): d for d in (good, wrong, short, back)})
        self.assertFalse(self.azure.metadata(self.target, md5(back)).get("expires_at"))

    def test_places_and_options_that_cannot_be(self):
        self.fill(2)
        self.assertEqual(self.clone(places=(self.places[0], self.places[0])).code, 2)
        done = self.clone("--trash")
        self.assertEqual((done.code, "--trash is for buckets" in done.stderr), (2, True), done)
        self.config, places = add_containers(self, self.server, a=self.container, b="no-such-container")
        done = self.clone(places=(places["a"], places["b"]))
        self.assertEqual((done.code, "ContainerNotFound" in done.stderr), (3, True), done)


class BucketAndContainer(CloneCase):
    def setUp(self):
        super().setUp()
        self.azure_server = azure_server()
        self.azure = AzureClient(self.azure_server["endpoint"], self.azure_server["key"])
        self.addCleanup(self.azure.close)
        self.container = f"{re.sub('[^a-z]+', '-', self.id().rsplit('.', 1)[1])}-{secrets.token_hex(4)}"
        self.azure.make_container(self.container)
        self.addCleanup(self.azure.remove_container, self.container)
        self.config, places = add_containers(self, self.azure_server, a=self.container)
        self.volume = places["a"]

    def test_there_and_back(self):
        blocks = self.fill(12)
        there = {"target": self.volume}
        done = self.clone("--config", self.config, **there)
        self.assert_counts(done, copied=len(blocks), mode="stream", failed=0)
        self.assertIn("different services", done.stderr)
        self.assertEqual(set(self.azure.names(self.container)), set(blocks))
        for name, data in blocks.items():
            self.assertEqual(self.azure.get(self.container, name), data)
            self.assertEqual(WAYPOINTS in self.azure.metadata(self.container, name), len(data) > LARGE)
        self.assert_counts(self.clone("--config", self.config, **there), present=len(blocks), copied=0)

        # A marker that is missing at the destination is made, with the waypoints of the blob.
        large = max(blocks, key=lambda n: len(blocks[n]))
        self.s3.put(self.target, large, blocks[large])
        back = {"source": self.volume}
        self.assert_counts(self.clone("--config", self.config, **back), copied=len(blocks), failed=0)
        self.assert_target(blocks)
        for name, data in blocks.items():
            found = self.s3.head(self.target, "recent/" + name).headers.get("x-amz-meta-keepstore-waypoints")
            self.assertEqual(found is not None, len(data) > LARGE, len(data))
        self.assertEqual(found_of(self.s3, self.target, large), self.azure.metadata(self.container, large)[WAYPOINTS])
        self.assert_counts(self.clone("--config", self.config, **back), present=len(blocks), copied=0)


def found_of(s3, bucket, name):
    return s3.head(bucket, "recent/" + name).headers.get("x-amz-meta-keepstore-waypoints")


if __name__ == "__main__":
    main()
