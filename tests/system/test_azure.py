"""The daemon on a container of a real Blob service: what clients see, what is in the container, and blobs as the Go daemon
makes them."""

import glob
import json
import os
import random
import shutil
import threading
import time
import urllib.parse

from support import keepctl
from support.azure_case import AzureCase
from support.azurite import Azurite
from support.case import main, rounds, seed
from support.daemon import SYSTEM_ROOT_TOKEN, directory_volume, volume_uuid
from support.history import Writers, verify
from support.locator import md5, plain
from support.wait import until

MIB = 1 << 20
SIZES = (0, 1, 1000, 65_536, 256 * 1024, 256 * 1024 + 1, 3 * MIB + 17, 64 * MIB)
SHORT = {"BlobSigningTTL": "1s", "BlobTrashLifetime": "1h"}
TTL = 5


def content(size, number=0):
    return random.Random(f"{size} {number}").randbytes(size)


class Blocks(AzureCase):
    def test_blocks_of_all_sizes(self):
        daemon = self.start()
        for size in SIZES:
            with self.subTest(size=size):
                data = content(size)
                self.assert_reply(daemon.put(data), 200)
                headers, body = self.azure.expect((200,), "GET", f"{self.container}/{md5(data)}")
                self.assertEqual(body, data)
                self.assertIn("content-md5", headers)
                self.assert_reply(daemon.get(plain(data)), 200, data)
                head = daemon.get(plain(data), method="HEAD")
                self.assertEqual((head.status, head.header("Content-Length")), (200, str(size)))
                if size > 1000:
                    part = daemon.get(plain(data), headers={"Range": f"bytes=500-{size - 2}"})
                    self.assertEqual((part.status, part.body), (206, data[500:-1]))
        self.assertEqual(set(self.azure.names(self.container)), {md5(content(s)) for s in SIZES})
        # Waypoints are stored with blocks of more than a chunk.
        for size in SIZES:
            found = self.azure.metadata(self.container, md5(content(size)))
            self.assertEqual("keepstore_waypoints" in found, size > 256 * 1024, f"{size}: {found}")
        index = daemon.admin("GET", "/index").text
        self.assertTrue(index.endswith("\n\n"))
        self.assertEqual({line.split()[0] for line in index.split("\n") if line}, {plain(content(s)) for s in SIZES})
        self.assert_reply(daemon.get(plain(b"no such block")), 404)
        mount = daemon.admin("GET", "/mounts").text
        self.assertIn(f"azure://core.windows.net/{self.server['account']}/{self.container}", mount)
        daemon.assert_nothing_held()

    def test_wrong_content_is_refused_and_leaves_nothing(self):
        daemon = self.start()
        for size in (1000, 3 * MIB):
            data = content(size)
            response = daemon.request("PUT", "/" + md5(b"other"), SYSTEM_ROOT_TOKEN, {}, data)
            self.assertEqual(response.status, 400)
        self.assertEqual(self.azure.names(self.container), [])

    def test_touch_trash_untrash_and_emptying(self):
        # Long enough for a DELETE that follows a TOUCH on a busy machine.
        daemon = self.start(Collections=SHORT | {"BlobSigningTTL": f"{TTL}s", "BlobTrashCheckInterval": "1s"},
                            Keepstore={"EmptyTrashStartDelay": "1s"})
        data, due = content(5000, 1), content(5000, 2)
        for block in (data, due):
            self.assert_reply(daemon.put(block), 200)
        def modified():
            return self.azure.expect((200,), "HEAD", f"{self.container}/{md5(data)}")[0]["last-modified"]

        before = modified()
        # The service's times are whole seconds.
        until(lambda: daemon.admin("TOUCH", "/" + md5(data)).status == 200 and modified() != before, 10, "a new time")
        self.assertIn("touch", self.azure.metadata(self.container, md5(data)))
        # It is too new now.
        self.assertEqual(daemon.admin("DELETE", "/" + md5(data)).status, 200)
        self.assert_reply(daemon.get(plain(data)), 200, data)
        until(lambda: daemon.admin("DELETE", "/" + md5(data)).status == 200 and daemon.get(plain(data)).status == 404,
              2 * TTL, "its protection ends")
        found = self.azure.metadata(self.container, md5(data))
        self.assertAlmostEqual(int(found["expires_at"]), time.time() + 3600, delta=60)
        self.assert_reply(daemon.get(plain(data)), 404)
        self.assertNotIn(md5(data), daemon.admin("GET", "/index").text)
        self.assertEqual(daemon.admin("TOUCH", "/" + md5(data)).status, 404)
        self.assertEqual(daemon.admin("PUT", "/untrash/" + md5(data)).status, 200)
        self.assert_reply(daemon.get(plain(data)), 200, data)
        self.assertEqual(daemon.admin("PUT", "/untrash/" + md5(data)).status, 404)
        # Trash that is due goes, and nothing else.
        self.azure.set_metadata(self.container, md5(due), {"expires_at": str(int(time.time()) - 10)})
        until(lambda: md5(due) not in self.azure.names(self.container), 20, "trash is emptied")
        self.assert_reply(daemon.get(plain(data)), 200, data)

    def test_blobs_of_the_go_daemon(self):
        """Without MD5 of ours, waypoints or `touch`; its untrash leaves an empty `expires_at`."""
        daemon = self.start(Collections=SHORT)
        kept, trashed, untrashed = (content(2 * MIB, n) for n in range(3))
        self.azure.put(self.container, md5(kept), kept)
        self.azure.put(self.container, md5(trashed), trashed, {"expires_at": str(int(time.time()) + 3600)})
        self.azure.put(self.container, md5(untrashed), untrashed, {"expires_at": ""})
        self.assert_reply(daemon.get(plain(kept)), 200, kept)
        self.assert_reply(daemon.get(plain(untrashed)), 200, untrashed)
        self.assert_reply(daemon.get(plain(trashed)), 404)
        self.assertEqual(daemon.admin("PUT", "/untrash/" + md5(trashed)).status, 200)
        self.assert_reply(daemon.get(plain(trashed)), 200, trashed)
        self.assertFalse(self.azure.metadata(self.container, md5(trashed)).get("expires_at"))
        # A PUT of a block in the trash brings it back.
        again = content(1000, 7)
        self.azure.put(self.container, md5(again), again, {"expires_at": str(int(time.time()) + 3600)})
        self.assert_reply(daemon.put(again), 200)
        self.assert_reply(daemon.get(plain(again)), 200, again)
        # A write in progress is no block yet, and is waited for.
        writing = content(3000, 8)
        self.azure.put(self.container, md5(writing), b"")
        self.assertNotIn(md5(writing), daemon.admin("GET", "/index").text)
        writer = threading.Timer(0.5, self.azure.put, (self.container, md5(writing), writing))
        writer.start()
        self.assert_reply(daemon.get(plain(writing)), 200, writing)
        writer.join()

    def test_a_corrupt_blob_is_replaced_by_a_put(self):
        daemon = self.start()
        for size in (1000, 2 * MIB):
            data = content(size)
            self.azure.put(self.container, md5(data), b"x" * size)
            # A large blob of another program has no waypoints: it is sent while it is hashed, and cut off.
            corrupt = daemon.get(plain(data))
            self.assertTrue(corrupt.status == 502 or not corrupt.complete, corrupt)
            self.assert_reply(daemon.put(data), 200)
            self.assert_reply(daemon.get(plain(data)), 200, data)

    def test_kill_9(self):
        """Every acknowledged block is whole, and no half-written one is visible."""
        generator = random.Random(seed())
        acknowledged = {}
        for _ in range(rounds(3)):
            daemon = self.start(check_log=False)
            writers = Writers(daemon, 4, generator)
            writers.wait(generator.randrange(10, 60))
            daemon.kill()
            writers.stop()
            self.assertEqual(writers.problems, [])
            acknowledged.update(writers.acknowledged)
        for name in self.azure.names(self.container):
            self.assertEqual(md5(self.azure.get(self.container, name)), name)
        daemon = self.start()
        self.assertGreater(len(acknowledged), 0)
        self.assertEqual(verify(daemon, acknowledged), [])
        self.assertEqual(set(acknowledged) - set(self.azure.names(self.container)), set())

    def test_shared_access_signatures(self):
        """What a signature allows works, and what it does not allow is no missing block. None is in a log."""
        signatures = []

        def started(permissions):
            signatures.append(self.azure.signature_of(self.container, permissions))
            return self.start([self.volume(DriverParameters={"StorageAccountKey": "", "SharedAccessSignature": signatures[-1]})],
                              Collections=SHORT)
        small, large, other = content(1000, 31), content(2 * MIB, 32), content(2000, 33)
        daemon = started("rlcwd")
        for data in (small, large):
            self.assert_reply(daemon.put(data), 200)
            self.assert_reply(daemon.get(plain(data)), 200, data)
        self.assertEqual(daemon.admin("TOUCH", "/" + md5(small)).status, 200)
        self.assertIn(plain(small), daemon.admin("GET", "/index").text)

        reader = started("rl")
        self.assert_reply(reader.get(plain(large)), 200, large)
        self.assertIn(plain(large), reader.admin("GET", "/index").text)
        self.assert_reply(reader.put(other), 503)
        self.assertGreaterEqual(reader.admin("TOUCH", "/" + md5(small)).status, 500)

        writer = started("rcw")
        self.assert_reply(writer.put(other), 200)
        self.assert_reply(writer.get(plain(other)), 200, other)
        index = writer.admin("GET", "/index")
        self.assertFalse(index.status == 200 and index.text.endswith("\n\n"), index)

        for used in (daemon, reader, writer):
            log = "\n".join(used.log.lines())
            for signature in signatures:
                self.assertNotIn(urllib.parse.parse_qs(signature)["sig"][0], urllib.parse.unquote(log))

    def test_metrics(self):
        daemon = self.start()
        data = content(1000)
        self.assert_reply(daemon.put(data), 200)
        self.assert_reply(daemon.get(plain(data)), 200, data)
        self.assertEqual(daemon.metric("arvados_keepstore_volume_operations", operation="create"), 1)
        self.assertGreaterEqual(daemon.metric("arvados_keepstore_volume_operations", operation="get"), 1)
        self.assertGreaterEqual(daemon.metric("keepstore_azure_requests_total", operation="list"), 1)
        self.assertGreaterEqual(daemon.metric("arvados_keepstore_volume_io_bytes", direction="in"), 1000)


class Trouble(AzureCase):
    def test_a_container_that_is_not_there(self):
        daemon = self.start([self.volume("no-such-container")])
        entry = daemon.log.wait(msg="Azure does not have this container")
        self.assertEqual(entry["container"], "no-such-container")
        self.assertIn("ContainerNotFound", entry["error"])
        until(lambda: daemon.metric("keepstore_volume_healthy") == 0, 10)
        self.assertEqual(daemon.put(b"data").status, 503)
        self.assertEqual(daemon.get(plain(b"data")).status, 503)

    def test_a_wrong_key(self):
        volume = self.volume()
        volume["DriverParameters"]["StorageAccountKey"] = "d3Jvbmc="
        daemon = self.start([volume])
        # Azurite says AuthorizationFailure, Azure itself AuthenticationFailed.
        daemon.log.wait(what="the key is refused", condition=lambda e: e["msg"] in (
            "Azure does not accept these keys", "Azure does not allow these keys to use this container"))
        self.assertEqual(daemon.get(plain(b"data")).status, 503)

    @staticmethod
    def is_saved(folder, data):
        for path in glob.glob(f"{folder}/data/*.json"):
            with open(path, encoding="utf-8", errors="replace") as file:
                if md5(data) in file.read():
                    return True
        return False

    def test_outage(self):
        """The service is killed, and later hangs: requests fail soon with 503, and work soon after its end."""
        folder = self.dir.make("azurite")
        own = Azurite(folder)
        self.addCleanup(shutil.rmtree, folder, True)
        self.addCleanup(own.stop)
        info = own.start(["keep"], owner=os.getpid())
        volume = self.volume("keep", DriverParameters={"Endpoint": info["endpoint"], "StorageAccountKey": info["key"]})
        daemon = self.start([volume])
        data = content(2 * MIB)
        self.assert_reply(daemon.put(data), 200)
        until(lambda: self.is_saved(folder, data), 20, "Azurite has written its index, which it does every few seconds only")
        for begin, end in ((own.kill, own.revive), (own.pause, own.resume)):
            with self.subTest(begin.__name__):
                begin()
                until(lambda: daemon.get(plain(data)).status == 503 and daemon.metric("keepstore_volume_healthy") == 0, 30,
                      "the outage is noticed")
                began = time.monotonic()
                self.assertEqual(daemon.get(plain(data)).status, 503)
                self.assertEqual(daemon.put(content(1000)).status, 503)
                self.assertLess(time.monotonic() - began, 10)
                end()
                until(lambda: daemon.metric("keepstore_volume_healthy") == 1, 30, "its end is noticed")
                self.assert_reply(daemon.get(plain(data)), 200, data)
                self.assert_reply(daemon.put(content(1000)), 200)
        daemon.assert_nothing_held()


class Operator(AzureCase):
    def keepctl(self, daemon, *arguments):
        """Runs it with the daemon's configuration."""
        config = os.path.join(self.dir.path, "config.json")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"Clusters": {"zzzzz": daemon.cluster}}, file)
        command, *rest = arguments
        done = keepctl.run(self.dir.path, command, "--config", config, *rest)
        self.assertNotIn(self.server["key"], done.stdout.decode() + done.stderr)
        return done

    def test_keepctl_copies_to_and_from_a_container(self):
        """replicate, and compare, with a volume in Azure at either end."""
        root = self.dir.make("vol")
        blocks = [content(size, 5) for size in (0, 1000, 2 * MIB)]
        for data in blocks:
            keepctl.store(root, data)
        azure, local = (f"volume:{volume_uuid(i)}" for i in range(2))
        daemon = self.start([self.volume(), directory_volume(self.dir.make("other"))])
        done = self.keepctl(daemon, "replicate", f"dir:{root}", azure)
        self.assertEqual(done.code, 0, done)
        for data in blocks:
            self.assertEqual(self.azure.get(self.container, md5(data)), data)
        for words in (("replicate", azure, local), ("compare", azure, local)):
            done = self.keepctl(daemon, *words)
            self.assertEqual(done.code, 0, done)

    def test_keepctl_probe(self):
        daemon = self.start([self.volume(), self.volume("no-such-container")])
        done = self.keepctl(daemon, "probe", f"volume:{volume_uuid(0)}")
        self.assertEqual(done.code, 0, done)
        self.assertIn("container", done.stdout.decode())
        self.assertEqual(self.azure.names(self.container), [])
        done = self.keepctl(daemon, "probe", f"volume:{volume_uuid(1)}")
        self.assertNotEqual(done.code, 0, done)
        self.assertIn("ContainerNotFound", done.stdout.decode())


if __name__ == "__main__":
    main()
