"""Pull lists and reads of other clusters with buckets at either end."""

import json
import time

from support import locator as locators
from support.case import main
from support.certificate import certificate
from support.daemon import ACTIVE_TOKEN, SYSTEM_ROOT_TOKEN, directory_volume, volume_uuid
from support.locator import md5, plain
from support.s3_volumes import S3VolumeCase
from support.stub import Stub
from support.wait import until
from test_federation import LOCAL, REMOTE, REMOTE_KEY, SALTED, content

MIB = 1 << 20
SIZES = (0, 1000, 256 * 1024 + 1, 20 * MIB + 3)


class Pull(S3VolumeCase):
    def setUp(self):
        super().setUp()
        self.other = self.make_bucket()

    def directory(self, name):
        return directory_volume(self.dir.make(name))

    def pull(self, daemon, source, *blocks):
        items = [{"locator": plain(b), "servers": [f"http://127.0.0.1:{source.address[1]}"], "mount_uuid": volume_uuid(0)}
                 for b in blocks]
        self.assert_reply(daemon.request("PUT", "/pull", SYSTEM_ROOT_TOKEN, {}, json.dumps(items).encode()), 200, b"")

    def pulled(self, daemon, data):
        return daemon.log.wait(msg="block pulled", locator=plain(data), timeout=40, what="block pulled")

    def failed(self, daemon, data):
        return daemon.log.wait(level="warning", locator=plain(data), timeout=40, what="an item that failed",
                               condition=lambda e: e["msg"].startswith(("error pulling data from", "error writing data to")))

    def assert_object(self, bucket, data):
        """Also checks the service's ETag: one PUT, whose ETag is the MD5."""
        found = self.s3.head(bucket, md5(data))
        self.assertEqual((found.etag, int(found.headers["content-length"])), (md5(data), len(data)))
        self.assertIsNotNone(self.s3.head(bucket, "recent/" + md5(data)))

    def test_every_pair_of_kinds(self):
        blocks = [content(n, 1) for n in SIZES]
        for source_volume, target_volume in ((self.directory("from"), self.volume()),
                                             (self.volume(), self.volume(bucket=self.other)),
                                             (self.volume(bucket=self.other), self.directory("to"))):
            kinds = f"{source_volume['Driver']} to {target_volume['Driver']}"
            with self.subTest(kinds):
                source, target = self.start([source_volume]), self.start([target_volume])
                if source_volume["Driver"] == "Directory":
                    for data in blocks:
                        self.assertEqual(source.put(data).status, 200)
                self.pull(target, source, *blocks)
                for data in blocks:
                    self.pulled(target, data)
                    self.assert_reply(target.get(plain(data)), 200, data)
                    bucket = target_volume["DriverParameters"].get("Bucket")
                    if bucket:
                        self.assert_object(bucket, data)
                self.assertEqual(target.metric("keepstore_pull_memory_bytes"), 0)
                self.assertEqual(target.metric("keepstore_pull_items_total", outcome="pulled"), len(blocks))
                # Once more: they are there, and are touched.
                before = {md5(d): self.s3.head(bucket, "recent/" + md5(d)).mtime for d in blocks} if bucket else {}
                until(lambda: not before or time.time() > max(before.values()) + 1.1, 5)
                self.pull(target, source, *blocks)
                for data in blocks:
                    target.log.wait(msg="block to be pulled is here already", locator=plain(data), timeout=20)
                    if bucket:
                        self.assertGreater(self.s3.head(bucket, "recent/" + md5(data)).mtime, before[md5(data)])
                for daemon in (source, target):
                    daemon.assert_nothing_held()
        self.assertEqual(self.s3.uploads(self.bucket) + self.s3.uploads(self.other), [])

    def test_failing_ends(self):
        """Faults of the source's bucket and of the target's: the item fails, logs it and leaves no object; later it succeeds."""
        near, far = self.fault_proxy(), self.fault_proxy()
        source = self.start([self.volume(far.endpoint)])
        target = self.start([self.volume(near.endpoint, self.other)])
        for i, (proxy, rule) in enumerate((
                (far, {"fault": "internal_error", "operation": "get"}),
                (far, {"fault": "truncate", "operation": "get", "after": 10_000}),
                (near, {"fault": "internal_error", "operation": "put"}),
                (near, {"fault": "reset", "operation": "put", "after": MIB}),
                (near, {"fault": "flip_request", "operation": "put", "at": MIB}))):
            with self.subTest(rule["fault"], proxy="far" if proxy is far else "near"):
                data = content(2 * MIB, 10 + i)
                self.plant(data)
                until(lambda: source.metric("keepstore_volume_healthy") == target.metric("keepstore_volume_healthy") == 1, 10)
                proxy.rules(rule)
                self.pull(target, source, data)
                self.failed(target, data)
                self.assertIsNone(self.s3.head(self.other, md5(data)))
                proxy.rules()
                until(lambda: source.metric("keepstore_volume_healthy") == target.metric("keepstore_volume_healthy") == 1, 10)
                self.pull(target, source, data)
                target.log.wait(timeout=40, what="pulled or there", condition=lambda e, d=data: e["msg"] in (
                    "block pulled", "block to be pulled is here already") and e.get("locator") == plain(d))
                self.assert_reply(target.get(plain(data)), 200, data)
        # An ETag that is not the MD5 proves nothing: what is stored is read, and is right.
        data = content(2 * MIB, 20)
        self.plant(data)
        near.rules({"fault": "wrong_etag", "operation": "put"})
        self.pull(target, source, data)
        target.log.wait(msg="block pulled", locator=plain(data), timeout=40)
        self.assert_object(self.other, data)
        target.assert_nothing_held()
        source.assert_nothing_held()

    def test_the_target_is_killed_in_the_middle(self):
        proxy = self.fault_proxy()
        source = self.start([self.directory("from")])
        target = self.start([self.volume(proxy.endpoint)], check_log=False)
        data = content(20 * MIB, 30)
        self.assertEqual(source.put(data).status, 200)
        proxy.rules({"fault": "slow_request", "rate": 4 * MIB, "operation": "put"})
        self.pull(target, source, data)
        until(lambda: proxy.counters()["faults"].get("slow_request"), 10)
        target.kill()
        until(lambda: proxy.counters()["requests_open"] == 0, 10)
        self.assertIsNone(self.s3.head(self.bucket, md5(data)))
        self.assertEqual(self.s3.uploads(self.bucket), [])
        source.assert_nothing_held()


class Federation(S3VolumeCase):
    def test_blocks_of_another_cluster(self):
        """Their block in a bucket, our copy in another one; and the read continues when their service fails in mid-stream."""
        far, mine = self.fault_proxy(), self.make_bucket()
        remotes = [self.start([self.volume(endpoint)], Collections={"BlobSigningKey": REMOTE_KEY})
                   for endpoint in (far.endpoint, None)]
        items = [{"uuid": f"{REMOTE}-bi6l4-{i:015x}", "service_host": "127.0.0.1", "service_port": r.address[1],
                  "service_type": "disk", "service_ssl_flag": False, "read_only": False} for i, r in enumerate(remotes)]
        api = Stub(lambda path, _: (200, json.dumps({"items": items, "items_available": 2}).encode(), {}),
                   certificate(self.dir.path, "api", 7))
        self.addCleanup(api.close)
        near = self.fault_proxy()
        local = self.start([self.volume(near.endpoint, mine)], RemoteClusters={
            REMOTE: {"Host": f"127.0.0.1:{api.port}", "Insecure": True, "Scheme": "http"}, "*": {}})

        def ask(data, headers=()):
            locator = locators.sign(plain(data), SALTED, REMOTE_KEY).replace("+A", f"+R{REMOTE}-")
            return local.request("GET", "/" + locator, ACTIVE_TOKEN, dict(headers), timeout=60)

        for size in SIZES:
            with self.subTest(size=size):
                data = content(size, 40)
                self.plant(data)
                self.assert_reply(ask(data), 200, data)
                self.assertIsNone(self.s3.head(mine, md5(data)))
                response = self.assert_reply(ask(data, LOCAL), 200, data)
                self.assertIn("+A", response.header("X-Keep-Locator"))
                self.assertEqual(self.s3.head(mine, md5(data)).etag, md5(data))
                before = far.counters()["requests"].get("get", 0)
                self.assert_reply(local.get(plain(data)), 200, data)
                self.assertEqual(far.counters()["requests"].get("get", 0), before)
        for rule in ({"fault": "truncate", "after": 5 * MIB}, {"fault": "internal_error"}, {"fault": "stall", "after": 5 * MIB}):
            with self.subTest(rule["fault"]):
                data = content(10 * MIB, 50 + len(rule["fault"]))
                self.plant(data)
                far.rules(rule | {"operation": "get"})
                self.assert_reply(ask(data), 200, data)
                far.rules()
                until(lambda: remotes[0].metric("keepstore_volume_healthy") == 1, 10)
        # If our bucket refuses it, the client gets an error, and no block is reported as stored.
        data = content(5 * MIB, 60)
        self.plant(data)
        near.rules({"fault": "internal_error", "operation": "put"})
        self.assertGreaterEqual(ask(data, LOCAL).status, 500)
        self.assertIsNone(self.s3.head(mine, md5(data)))
        near.rules()
        until(lambda: ask(data, LOCAL).status == 200, 10)
        for daemon in (local, *remotes):
            daemon.assert_nothing_held()
        self.assertEqual(self.s3.uploads(mine), [])


if __name__ == "__main__":
    main()
