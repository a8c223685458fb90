"""Pull lists between real daemons: the blocks fetched, their sources, rejected responses, and the log."""

import json
import os
import shutil
import time

from support.case import KeepstoreCase, main
from support.certificate import certificate, context
from support.daemon import (ACTIVE_TOKEN, SYSTEM_ROOT_TOKEN, block_path, directory_volume, store, temp_files, volume_uuid)
from support.locator import md5, plain
from support.proxy import Proxy
from support.stub import Stub
from support.wait import refusing_port, until

MIB = 1 << 20
OLD = 86400.0


def pattern(size, salt=0):
    return bytes((i * 31 + (i >> 8) + salt) & 0xff for i in range(min(size, 65536))) * (size // 65536 + 1)


def content(size, salt=0):
    return pattern(size, salt)[:size]


class PullCase(KeepstoreCase):
    def pull(self, daemon, *items):
        """Items: (locator, servers, mount uuid or "")."""
        body = json.dumps([{"locator": l, "servers": s, "mount_uuid": m} for l, s, m in items]).encode()
        self.assert_reply(daemon.request("PUT", "/pull", SYSTEM_ROOT_TOKEN, {}, body), 200, b"")

    def wait_done(self, daemon, timeout=30.0):
        names = ("arvados_keepstore_pull_queue_pending_entries", "arvados_keepstore_pull_queue_inprogress_entries")
        until(lambda: all(daemon.metric(n) == 0 for n in names), timeout, "the pull list worked off")

    def has(self, daemon, data, volume=0):
        path = block_path(daemon.roots()[volume], md5(data))
        if not os.path.exists(path):
            return False
        with open(path, "rb") as file:
            return file.read() == data

    def assert_absent(self, daemon, data):
        for root in daemon.roots():
            self.assertFalse(os.path.exists(block_path(root, md5(data))))

    def pulled(self, daemon, data):
        return daemon.log.wait(msg="block pulled", condition=lambda e: e["locator"] == plain(data), what="block pulled", timeout=40)

    def refused(self, daemon, words, data=None, timeout=40.0):
        return daemon.log.wait(level="warning", timeout=timeout, what=words, condition=lambda e: words in json.dumps(e) and (
            data is None or e.get("locator") == plain(data)))

    def outcome(self, daemon, name):
        return daemon.metric("keepstore_pull_items_total", outcome=name)

    def base(self, daemon):
        return f"{'https' if daemon.tls else 'http'}://127.0.0.1:{daemon.address[1]}"

    def free_volumes(self, count, prefix):
        return [self.dir.make(f"{prefix}{i}") for i in range(count)]


class BetweenDaemons(PullCase):
    """Source and destination are two daemons that share the signing key, which the source requires."""

    def setUp(self):
        super().setUp()
        self.source = self.start(self.free_volumes(1, "src"))
        self.target = self.start(self.free_volumes(2, "dst"))

    def test_blocks_of_all_sizes_arrive(self):
        blocks = [content(n, n) for n in (0, 1, 1000, 256 * 1024, 256 * 1024 + 1, 5 * MIB, 64 * MIB)]
        for data in blocks:
            self.assertEqual(self.source.put(data).status, 200)
        before = time.time()
        self.pull(self.target, *[(plain(b), [self.base(self.source)], volume_uuid(1)) for b in blocks])
        for data in blocks:
            self.pulled(self.target, data)
            self.assertTrue(self.has(self.target, data, 1))
            self.assertFalse(self.has(self.target, data, 0))
            self.assertGreater(os.stat(block_path(self.target.roots()[1], md5(data))).st_mtime, before - 1)
            self.assert_reply(self.target.get(plain(data)), 200, data)
        self.wait_done(self.target)
        self.assertEqual(self.outcome(self.target, "pulled"), len(blocks))
        self.assertEqual(self.target.metric("keepstore_pull_bytes_total"), sum(map(len, blocks)))
        self.assertGreater(self.target.metric("keepstore_outgoing_connections_reused_total", client="pull"), 0)
        self.assertEqual(self.target.metric("keepstore_pull_memory_bytes"), 0)
        self.target.assert_nothing_held()

    def test_a_proxy_of_the_environment_is_not_used(self):
        proxy = Proxy()
        self.addCleanup(proxy.close)
        url = f"http://127.0.0.1:{proxy.port}"
        target = self.start(self.free_volumes(1, "direct"), env={"http_proxy": url, "https_proxy": url})
        data = content(1000)
        self.source.put(data)
        self.pull(target, (plain(data), [self.base(self.source)], ""))
        self.pulled(target, data)
        self.assertEqual(proxy.requests(), [])

    def test_any_mount(self):
        data = content(1000)
        self.source.put(data)
        self.pull(self.target, (plain(data), [self.base(self.source)], ""))
        self.pulled(self.target, data)
        self.assertEqual(sum(self.has(self.target, data, v) for v in (0, 1)), 1)

    def test_the_log_has_the_reason_of_each_failure(self):
        there = content(100, 1)
        self.source.put(there)
        missing, unreachable, nowhere = content(100, 2), content(100, 3), content(100, 4)
        port = refusing_port(self)
        self.pull(self.target, (plain(missing), [self.base(self.source)], volume_uuid(0)),
                  (plain(unreachable), [f"http://127.0.0.1:{port}"], volume_uuid(0)),
                  (plain(there), [self.base(self.source)], volume_uuid(7)),
                  ("junk", [self.base(self.source)], volume_uuid(0)),
                  (plain(nowhere), [], volume_uuid(0)))
        entry = self.refused(self.target, "error pulling data from remote servers", missing)
        self.assertIn("Block not found", entry["error"])
        entry = self.refused(self.target, "error pulling data from remote servers", unreachable)
        self.assertIn("Connection refused", entry["error"])
        self.refused(self.target, f"ignoring pull list entry for nonexistent mount {volume_uuid(7)}", there)
        self.refused(self.target, "ignoring pull request for invalid locator")
        self.refused(self.target, "error pulling data from remote servers", nowhere)
        self.wait_done(self.target)
        self.assertEqual(self.outcome(self.target, "failed"), 5)
        self.assertGreater(self.target.metric("keepstore_outgoing_failures_total", client="pull", reason="connect"), 0)

    def test_first_good_server_in_order(self):
        data = content(3 * MIB, 5)
        other = self.start(self.free_volumes(1, "other"))
        rotten = self.start(self.free_volumes(1, "rotten"))
        other.put(data)
        self.source.put(data)
        wrong = bytearray(data)
        wrong[-1] ^= 1
        store(rotten.roots()[0], md5(data), bytes(wrong))
        dead = f"http://127.0.0.1:{refusing_port(self)}"
        self.pull(self.target, (plain(data), [dead, self.base(rotten), self.base(other), self.base(self.source)], volume_uuid(0)))
        self.assertEqual(self.pulled(self.target, data)["server"], self.base(other))
        self.assertTrue(self.has(self.target, data))

    def test_a_corrupt_source_leaves_no_file(self):
        for size in (1000, 3 * MIB):
            data = content(size, 6)
            wrong = bytearray(data)
            wrong[size // 2] ^= 0x40
            store(self.source.roots()[0], md5(data), bytes(wrong))
            self.pull(self.target, (plain(data), [self.base(self.source)], volume_uuid(0)))
            self.refused(self.target, "error pulling data from remote servers", data)
            self.assert_absent(self.target, data)
        until(lambda: not temp_files(self.target.roots()), 10, "no temporary file")

    def test_present_and_corrupt_copies(self):
        good, rotten = content(MIB, 7), content(MIB, 8)
        for data in (good, rotten):
            self.source.put(data)
        store(self.target.roots()[0], md5(good), good, age=OLD)
        wrong = bytearray(rotten)
        wrong[12345] ^= 1
        store(self.target.roots()[0], md5(rotten), bytes(wrong), age=OLD)
        before = time.time()
        self.pull(self.target, *[(plain(d), [self.base(self.source)], volume_uuid(0)) for d in (good, rotten)])
        self.pulled(self.target, rotten)
        self.target.log.wait(msg="block to be pulled is here already", locator=plain(good))
        for data in (good, rotten):
            self.assertTrue(self.has(self.target, data))
            self.assertGreater(os.stat(block_path(self.target.roots()[0], md5(data))).st_mtime, before - 1)
        self.assertEqual(self.outcome(self.target, "present"), 1)

    def test_unsigned_requests_would_be_refused(self):
        """The source has another key: its response is no block."""
        stranger = self.start(self.free_volumes(1, "stranger"), Collections={"BlobSigningKey": "another" * 8})
        data = content(500, 9)
        self.assertEqual(stranger.put(data).status, 200)
        self.pull(self.target, (plain(data), [self.base(stranger)], volume_uuid(0)))
        self.assertIn("signing key", self.refused(self.target, "error pulling data from remote servers", data)["error"])
        self.assert_absent(self.target, data)

    def test_misbehaving_servers(self):
        data = content(10, 10)
        self.source.put(data)
        bad = ["file:///etc/passwd", "gopher://127.0.0.1:70/", "http://169.254.169.254/latest", "http://[fe80::1]/",
               "http://2852039166/", "127.0.0.1", ""]
        self.pull(self.target, (plain(data), bad, volume_uuid(0)))
        entry = self.refused(self.target, "error pulling data from remote servers", data)
        self.assertIn("never asked", entry["error"])
        self.assert_absent(self.target, data)

    def test_a_new_list_replaces_the_old_one(self):
        silent = Stub(lambda *_: None)
        self.addCleanup(silent.close)
        waiting = [content(50, 100 + n) for n in range(20)]
        self.pull(self.target, *[(plain(d), [silent.url], volume_uuid(0)) for d in waiting])
        until(lambda: silent.count() == 4, 10, "four workers at work (BlobReplicateConcurrency)")
        self.assertEqual(self.target.metric("arvados_keepstore_pull_queue_pending_entries"), 16)
        self.pull(self.target)
        self.assertEqual(self.target.metric("arvados_keepstore_pull_queue_pending_entries"), 0)
        data = content(60, 200)
        self.source.put(data)
        self.pull(self.target, (plain(data), [self.base(self.source)], volume_uuid(0)))
        self.assertEqual(silent.count(), 4)
        # A stop does not wait for those four.
        started = time.monotonic()
        self.target.signal(15)
        self.assertEqual(self.target.wait_exit(), 0)
        self.assertLess(time.monotonic() - started, 15)
        for d in waiting:
            self.assert_absent(self.target, d)
        self.assertEqual(temp_files(self.target.roots()), [])


class Servers(PullCase):
    def test_one_at_a_time(self):
        active, most = [], []

        def answer(path, _):
            active.append(path)
            most.append(len(active))
            time.sleep(0.02)
            active.remove(path)
            return 404, b"", {}

        slow = Stub(answer)
        self.addCleanup(slow.close)
        target = self.start(Collections={"BlobReplicateConcurrency": 1})
        self.pull(target, *[(plain(content(9, n)), [slow.url], "") for n in range(10)])
        self.wait_done(target)
        self.assertEqual(slow.count(), 10)
        self.assertEqual(max(most), 1)

    def test_stalled_and_endless_servers_are_abandoned(self):
        data = content(MIB, 20)
        source = self.start(self.free_volumes(1, "src"))
        source.put(data)
        stalled = Stub(lambda *_: (200, data[:1000], {"Content-Length": str(len(data))}))
        endless = Stub(lambda *_: (200, b"", {"Content-Length": str(1 << 40)}))
        moved = Stub(lambda path, _: (302, b"", {"Location": self.base(source) + path}))
        for stub in (stalled, endless, moved):
            self.addCleanup(stub.close)
        target = self.start(self.free_volumes(1, "dst"))
        self.pull(target, (plain(data), [endless.url, moved.url, stalled.url, self.base(source)], ""))
        self.assertEqual(self.pulled(target, data)["server"], self.base(source))
        self.assertTrue(self.has(target, data))
        self.assertEqual((endless.count(), moved.count(), stalled.count()), (1, 1, 1))

    def test_tls(self):
        certificate_files = certificate(self.dir.path, "server", 1001)
        data = content(2 * MIB, 21)
        source = self.start(self.free_volumes(1, "src"), url="https://127.0.0.1:0/",
                            TLS={"Certificate": certificate_files[0], "Key": certificate_files[1]})
        url = f"https://127.0.0.1:{source.address[1]}"
        source.tls = context()
        self.assertEqual(source.put(data).status, 200)
        wary = self.start(self.free_volumes(1, "wary"))
        self.pull(wary, (plain(data), [url], ""))
        self.assertIn("certificate", self.refused(wary, "error pulling data from remote servers", data)["error"])
        self.assert_absent(wary, data)
        trusting = self.start(self.free_volumes(1, "trusting"), TLS={"Insecure": True})
        self.pull(trusting, (plain(data), [url], ""))
        self.pulled(trusting, data)
        self.assertTrue(self.has(trusting, data))

    def test_read_only_mounts(self):
        data = content(100, 22)
        source = self.start(self.free_volumes(1, "src"))
        source.put(data)
        target = self.start([directory_volume(self.dir.make("ro"), ReadOnly=True), directory_volume(self.dir.make("rw"))])
        self.pull(target, (plain(data), [self.base(source)], volume_uuid(0)))
        self.refused(target, f"ignoring pull list entry for readonly mount {volume_uuid(0)}", data)
        self.pull(target, (plain(data), [self.base(source)], ""))
        self.pulled(target, data)
        self.assertTrue(self.has(target, data, 1))

    def test_volume_that_cannot_be_written(self):
        data = content(100, 23)
        source = self.start(self.free_volumes(1, "src"))
        source.put(data)
        root = self.dir.make("dst")
        target = self.start([root])
        shutil.rmtree(root)
        with open(root, "w", encoding="ascii"):
            pass
        self.pull(target, (plain(data), [self.base(source)], volume_uuid(0)))
        self.refused(target, f"error writing data to {volume_uuid(0)}", data)

    def test_allow_list(self):
        data = content(100, 24)
        source = self.start(self.free_volumes(1, "src"))
        source.put(data)
        rows = [({"127.0.0.1": {}}, True), ({"127.0.0.0/8": {}}, True), (["127.0.0.1:9", "keep.example"], False),
                ({"InternalURLs": {}}, False)]
        for number, (hosts, allowed) in enumerate(rows):
            with self.subTest(hosts):
                target = self.start(self.free_volumes(1, f"dst{number}-"), Keepstore={"PullHosts": hosts})
                self.pull(target, (plain(data), [self.base(source)], ""))
                if allowed:
                    self.pulled(target, data)
                else:
                    self.refused(target, "Keepstore.PullHosts", data)
                    self.refused(target, "error pulling data from remote servers", data)

    def test_the_source_may_be_killed_in_the_middle(self):
        blocks = [content(4 * MIB, 30 + n) for n in range(12)]
        source = self.start(self.free_volumes(1, "src"), check_log=False)
        for data in blocks:
            self.assertEqual(source.put(data).status, 200)
        target = self.start(self.free_volumes(1, "dst"))
        self.pull(target, *[(plain(b), [self.base(source)], "") for b in blocks])
        until(lambda: self.outcome(target, "pulled") > 0, 20, "a first block")
        source.kill()
        self.wait_done(target)
        self.assertEqual(sum(self.has(target, b) for b in blocks), self.outcome(target, "pulled"))
        for data in blocks:
            path = block_path(target.roots()[0], md5(data))
            self.assertTrue(not os.path.exists(path) or self.has(target, data))
        until(lambda: not temp_files(target.roots()), 10, "no temporary file")

    def test_requests_carry_no_secret(self):
        seen = Stub(lambda *_: (404, b"", {}))
        self.addCleanup(seen.close)
        target = self.start()
        self.pull(target, (plain(b"x"), [seen.url + "/"], ""))
        self.wait_done(target)
        path, headers = seen.requests[0]
        self.assertRegex(path, rf"^/{md5(b'x')}\+1\+A[0-9a-f]{{40}}@[0-9a-f]{{8}}$")
        text = path + json.dumps(headers)
        for secret in (SYSTEM_ROOT_TOKEN, ACTIVE_TOKEN):
            self.assertNotIn(secret, text)
        token = headers["Authorization"].removeprefix("Bearer ")
        # It was signed for the token that is sent, with the cluster's key.
        expiry = int(path.rsplit("@", 1)[1], 16)
        self.assertEqual(path[1:], target.sign(plain(b"x"), token, expiry=expiry))


if __name__ == "__main__":
    main()
