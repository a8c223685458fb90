"""Reads of other clusters' blocks: a stub API server, and real keepstores (or misbehaving stubs) in its list of services."""

import base64
import hashlib
import hmac
import itertools
import json
import os
import time

from support import locator as locators
from support.case import KeepstoreCase, main
from support.certificate import certificate
from support.client import chunked
from support.daemon import ACTIVE_TOKEN, block_path, check_no_secret, store
from support.locator import md5, plain
from support.proxy import Proxy
from support.stub import Stub
from support.wait import refusing_port, until

MIB = 1 << 20
REMOTE = "yyyyy"
REMOTE_KEY = "remote" * 10
UUID, SECRET = ACTIVE_TOKEN.split("/")[1:3]
SALTED = f"v2/{UUID}/{hmac.new(SECRET.encode(), REMOTE.encode(), hashlib.sha1).hexdigest()}"
OBSOLETE = "3kg6k6lzmp9kj5cpkcoxie963cmvjahbt2fod9zru30k1jqdmi"
LOCAL = {"X-Keep-Signature": "local, time=2026-01-01T00:00:00Z"}


def content(size, salt=0):
    piece = bytes((i * 37 + (i >> 8) + salt) & 0xff for i in range(min(max(size, 1), 65536)))
    return (piece * (size // len(piece) + 1))[:size]


class Federation(KeepstoreCase):
    def setUp(self):
        super().setUp()
        self.certificate = certificate(self.dir.path, "api", 7)
        self.services = []
        self.api = self.stub(self.answer_api, self.certificate)

    def stub(self, answer, certificate_files=None):
        stub = Stub(answer, certificate_files)
        self.addCleanup(stub.close)
        return stub

    def answer_api(self, path, _):
        if path != "/arvados/v1/keep_services/accessible":
            return 404, b"", {}
        items = [{"uuid": f"{REMOTE}-bi6l4-{i:015x}", "service_host": "127.0.0.1", "service_port": port, "service_type": "disk",
                  "service_ssl_flag": False, "read_only": False} for i, port in enumerate(self.services)]
        return 200, json.dumps({"items": items, "items_available": len(items)}).encode(), {"Content-Type": "application/json"}

    def start_remote(self):
        remote = self.start([self.dir.make(f"remote{len(self.services)}")], Collections={"BlobSigningKey": REMOTE_KEY})
        self.services.append(remote.address[1])
        return remote

    def start_local(self, **sections):
        return self.start([self.dir.make("local")], RemoteClusters={REMOTE: {
            "Host": f"127.0.0.1:{self.api.port}", "Insecure": True, "Scheme": "http"}, "*": {}}, **sections)

    def remote_locator(self, data, token=SALTED, size=True):
        name = plain(data) if size else md5(data)
        return locators.sign(name, token, REMOTE_KEY).replace("+A", f"+R{REMOTE}-")

    def ask(self, daemon, locator, method="GET", headers=(), token=ACTIVE_TOKEN):
        response = daemon.request(method, "/" + locator, token, dict(headers))
        self.assertEqual(response.header("Vary"), "X-Keep-Signature")
        if response.status >= 400:
            # Addresses of the other cluster's servers are internal.
            self.assertNotIn("127.0.0.1", response.text)
        return response

    def assert_logged(self, daemon, words):
        """Texts that the client must not see."""
        return daemon.log.wait(msg="cannot read a block of another cluster", condition=lambda e: words in e["error"], what=words)

    def assert_not_stored(self, daemon, data):
        self.assertFalse(os.path.exists(block_path(daemon.roots()[0], md5(data))))

    def test_a_proxy_of_the_environment_is_not_used(self):
        proxy = Proxy()
        self.addCleanup(proxy.close)
        url = f"http://127.0.0.1:{proxy.port}"
        data = content(1000)
        self.assertEqual(self.start_remote().put(data).status, 200)
        local = self.start_local(env={"http_proxy": url, "https_proxy": url})
        self.assert_reply(self.ask(local, self.remote_locator(data)), 200, data)
        self.assertEqual(proxy.requests(), [])

    def test_table(self):
        remote = self.start_remote()
        local = self.start_local()

        def requests():
            """The number of GETs and HEADs at the other cluster. A request of our own shows that the log is complete so far."""
            mark = f"req-mark-{next(marks)}"
            remote.request("OPTIONS", "/", headers={"X-Request-Id": mark})
            remote.log.wait(msg="request", RequestID=mark)
            return sum(1 for e in remote.log.entries(msg="request") if e["reqMethod"] in ("GET", "HEAD"))

        marks = itertools.count()
        for size in (0, 3, 256 * 1024, 3 * MIB + 5, 64 * MIB):
            with self.subTest(size=size):
                data = content(size, 1)
                self.assertEqual(remote.put(data).status, 200)
                locator = self.remote_locator(data)
                response = self.assert_reply(self.ask(local, locator), 200, data)
                self.assertIsNone(response.header("X-Keep-Locator"))
                self.assertIsNone(response.header("Accept-Ranges"))
                response = self.assert_reply(self.ask(local, locator, "HEAD"), 200, b"")
                self.assertEqual(response.header("Content-Length"), str(size))
                # A range is not served: the whole block.
                self.assert_reply(self.ask(local, locator, headers={"Range": "bytes=0-0"}), 200, data)
                self.assert_not_stored(local, data)

                for method in ("HEAD", "GET"):
                    response = self.assert_reply(self.ask(local, locator, method, LOCAL), 200, data if method == "GET" else b"")
                    self.assertEqual(response.header("Content-Length"), str(size))
                    ours = response.header("X-Keep-Locator")
                    self.assertNotIn("+R", ours)
                    expiry = int(ours.rsplit("@", 1)[1], 16)
                    self.assertEqual(ours, local.sign(plain(data), ACTIVE_TOKEN, expiry=expiry))
                    self.assertTrue(os.path.exists(block_path(local.roots()[0], md5(data))))
                before = requests()
                self.assert_reply(self.ask(local, ours), 200, data)
                self.assertEqual(requests(), before)
        # All requests to the API server, and how often.
        self.assertEqual([path for path, _ in self.api.requests], ["/arvados/v1/keep_services/accessible"])
        self.assertEqual(self.api.requests[0][1]["Authorization"], "Bearer xxx")
        self.assertGreater(local.metric("keepstore_remote_blocks_total"), 0)
        local.assert_nothing_held()
        for daemon in (local, remote):
            text = "\n".join(daemon.log.lines())
            self.assertNotIn(SALTED, text)

    def test_mistakes_of_the_caller(self):
        remote = self.start_remote()
        local = self.start_local()
        data = content(10, 2)
        remote.put(data)
        good = self.remote_locator(data)
        rows = [
            (good, None, 401, "no token provided in Authorization header\n"),
            (good, OBSOLETE, 400, "obsolete token format\n"),
            (good, "junk", 500, "badly formatted token\n"),
            (good, SALTED, 500, "token already salted\n"),
            (good.replace(f"+R{REMOTE}", "+Rother"), ACTIVE_TOKEN, 400, "remote cluster not configured\n"),
            (plain(data) + f"+R{REMOTE}", ACTIVE_TOKEN, 400, "invalid remote hint\n"),
        ]
        for locator, token, status, text in rows:
            with self.subTest(text):
                for headers in ({}, LOCAL):
                    self.assert_reply(self.ask(local, locator, headers=headers, token=token), status, text)
        self.assertEqual(self.api.requests, [])
        # The other side refuses a signature for another token: for us it has no such block.
        wrong = self.remote_locator(data, "v2/other/token")
        for headers in ({}, LOCAL):
            self.assertIn("refuses", self.assert_reply(self.ask(local, wrong, headers=headers), 404).text)
        self.assert_reply(self.ask(local, self.remote_locator(content(11, 2))), 404)

    def test_tokens_of_that_cluster_are_sent_as_they_are(self):
        remote = self.start_remote()
        local = self.start_local()
        data = content(100, 3)
        remote.put(data)
        own = f"v2/{REMOTE}-gj3su-077z32aux8dg2s1/{'s' * 45}"
        self.assert_reply(self.ask(local, self.remote_locator(data, own), token=own), 200, data)

    def test_corrupt_remote_copies(self):
        remote = self.start_remote()
        local = self.start_local()
        for size in (1000, 3 * MIB):
            data = content(size, 4)
            wrong = bytearray(data)
            wrong[-1] ^= 1
            store(remote.roots()[0], md5(data), bytes(wrong))
            for headers in ({}, LOCAL):
                response = self.ask(local, self.remote_locator(data), headers=headers)
                if response.status == 200:
                    self.assertFalse(response.complete)
                else:
                    self.assertIn(response.status, (502, 503))
                    self.assertTrue(response.complete)
            self.assert_not_stored(local, data)

    def test_wrong_bytes_with_the_right_length(self):
        rows = {}
        liar = self.stub(lambda path, _: (200, rows[path.split("+")[0][1:]], {}))
        self.services.append(liar.port)
        local = self.start_local()
        small, large = content(1000, 5), content(3 * MIB, 5)
        for data in (small, large):
            rows[md5(data)] = data[:-1] + bytes([data[-1] ^ 1])
        self.assert_reply(self.ask(local, self.remote_locator(small)), 502)
        self.assert_reply(self.ask(local, self.remote_locator(small), "HEAD"), 502)
        response = self.ask(local, self.remote_locator(large))
        self.assertEqual((response.status, response.complete), (200, False))
        self.assertLess(len(response.body), len(large))
        self.assert_reply(self.ask(local, self.remote_locator(large), "HEAD"), 502)
        for data in (small, large):
            self.assert_reply(self.ask(local, self.remote_locator(data), headers=LOCAL), 502)
            self.assert_not_stored(local, data)
            rows[md5(data)] = data + b"x"
            self.assert_reply(self.ask(local, self.remote_locator(data)), 502)
        self.assertGreater(local.metric("keepstore_remote_bad_blocks_total"), 0)
        local.log.wait(level="warning", condition=lambda e: "wrong bytes" in e["msg"])

    def test_another_service_goes_on_in_mid_stream(self):
        data = content(8 * MIB, 6)
        wrong = data[:-1] + bytes([data[-1] ^ 1])
        liar = self.stub(lambda *_: (200, wrong, {}))
        remote = self.start_remote()
        self.services.insert(0, liar.port)
        remote.put(data)
        local = self.start_local()
        # Whichever of the two is tried first.
        self.assert_reply(self.ask(local, self.remote_locator(data)), 200, data)
        self.services.reverse()
        other = self.start([self.dir.make("local2")], RemoteClusters={REMOTE: {"Host": f"127.0.0.1:{self.api.port}", "Insecure": True}})
        self.assert_reply(self.ask(other, self.remote_locator(data)), 200, data)

    def test_outages(self):
        data = content(100, 7)
        self.services.append(refusing_port(self))
        local = self.start_local()
        for headers in ({}, LOCAL):
            self.assert_reply(self.ask(local, self.remote_locator(data), headers=headers), 503)
        busy = self.stub(lambda *_: (503, b"busy", {}))
        self.services[:] = [busy.port]
        # The list is fetched again when none of its servers could be reached; not at once.
        until(lambda: self.ask(local, self.remote_locator(data)).status == 503 and busy.count() >= 3, 15, "the new list")
        self.api.close()
        nowhere = self.start([self.dir.make("nowhere")],
                             RemoteClusters={REMOTE: {"Host": f"127.0.0.1:{refusing_port(self)}", "Insecure": True}})
        self.assertIn("list of keep services", self.assert_reply(self.ask(nowhere, self.remote_locator(data)), 503).text)
        self.assert_logged(nowhere, "Connection refused")
        self.assert_logged(local, "Connection refused")

    def test_without_a_size_its_length_comes_from_the_other_side(self):
        data = content(1234, 13)
        proxy = self.stub(lambda *_: (200, data, {}))
        self.services.append(proxy.port)
        local = self.start_local()
        for headers in ({}, LOCAL):
            response = self.assert_reply(self.ask(local, self.remote_locator(data, size=False), "HEAD", headers), 200, b"")
            self.assertEqual(response.header("Content-Length"), "1234")
        # A keepstore refuses a GET without a size, and so there is no such block for us.
        self.services[:] = [self.start([self.dir.make("remote")], Collections={"BlobSigningKey": REMOTE_KEY}).address[1]]
        other = self.start([self.dir.make("local2")], RemoteClusters={REMOTE: {"Host": f"127.0.0.1:{self.api.port}", "Insecure": True}})
        self.assert_reply(self.ask(other, self.remote_locator(data, size=False), "HEAD"), 404)

    def test_recovery(self):
        data = content(100, 8)
        local = self.start_local()
        self.assert_reply(self.ask(local, self.remote_locator(data)), 503)  # No service is listed.
        remote = self.start_remote()
        remote.put(data)
        until(lambda: self.ask(local, self.remote_locator(data)).status == 200, 10, "the block, once there is a service")

    def test_certificates_are_verified(self):
        remote = self.start_remote()
        data = content(100, 9)
        remote.put(data)
        wary = self.start([self.dir.make("wary")], RemoteClusters={REMOTE: {"Host": f"127.0.0.1:{self.api.port}"}})
        self.assert_reply(self.ask(wary, self.remote_locator(data)), 503)
        self.assert_logged(wary, "certificate")

    def test_metadata_services_are_never_connected_to(self):
        data = content(100, 10)
        evil = self.stub(lambda *_: (200, json.dumps({"items": [{"uuid": "x", "service_host": "169.254.169.254",
                                                                 "service_port": 80}]}).encode(), {}), self.certificate)
        local = self.start([self.dir.make("local")], RemoteClusters={REMOTE: {"Host": f"127.0.0.1:{evil.port}", "Insecure": True}})
        self.assert_reply(self.ask(local, self.remote_locator(data)), 503)
        self.assert_logged(local, "never asked")

    def test_redirects_are_not_followed(self):
        data = content(100, 14)
        target = self.stub(lambda *_: (200, data, {}))
        for status in (302, 307):
            with self.subTest(status):
                moved = self.stub(lambda path, _, status=status: (status, b"", {"Location": target.url + path}))
                self.services[:] = [moved.port]
                local = self.start([self.dir.make(f"local{status}")], RemoteClusters={REMOTE: {
                    "Host": f"127.0.0.1:{self.api.port}", "Insecure": True}})
                for headers in ({}, LOCAL):
                    self.assert_reply(self.ask(local, self.remote_locator(data), headers=headers), 503)
                self.assertGreater(moved.count(), 0)
                moved_api = self.stub(lambda path, _, status=status: (status, b"", {"Location": target.url + path}), self.certificate)
                local = self.start([self.dir.make(f"other{status}")], RemoteClusters={REMOTE: {
                    "Host": f"127.0.0.1:{moved_api.port}", "Insecure": True}})
                self.assert_reply(self.ask(local, self.remote_locator(data)), 503)
                self.assertEqual(moved_api.count(), 1)
        self.assertEqual(target.requests, [])

    def test_chunked_responses(self):
        data = content(3 * MIB + 1, 15)
        rows = {"right": data, "longer": data + b"x", "shorter": data[:-1]}
        for name, body in rows.items():
            with self.subTest(name):
                stub = self.stub(lambda *_, body=body: (200, chunked(body), {"Transfer-Encoding": "chunked"}))
                self.services[:] = [stub.port]
                local = self.start([self.dir.make(name)], RemoteClusters={REMOTE: {
                    "Host": f"127.0.0.1:{self.api.port}", "Insecure": True}})
                if name == "right":
                    self.assert_reply(self.ask(local, self.remote_locator(data)), 200, data)
                    self.assert_reply(self.ask(local, self.remote_locator(data), headers=LOCAL), 200, data)
                    continue
                response = self.ask(local, self.remote_locator(data))
                self.assertEqual((response.status, response.complete), (200, False))
                self.assert_reply(self.ask(local, self.remote_locator(data), headers=LOCAL), 502 if name == "longer" else 503)
                self.assert_not_stored(local, data)
                local.assert_nothing_held()

    def test_tokens_that_cannot_be_sent(self):
        """A line break can be encoded in a form value or a password."""
        remote = self.start_remote()
        local = self.start_local()
        data = content(10, 16)
        remote.put(data)
        for token in (f"v2/{REMOTE}-gj3su-077z32aux8dg2s1/abc\r\nX-Other: y", f"v2/{REMOTE}-gj3su-077z32aux8dg2s1/\x01"):
            basic = base64.b64encode(b"user:" + token.encode()).decode()
            response = local.request("GET", "/" + self.remote_locator(data), None, {"Authorization": "Basic " + basic})
            self.assert_reply(response, 500, "badly formatted token\n")
        self.assertEqual(self.api.requests, [])

    def test_secrets_are_recognized(self):
        """The patterns that every test searches in logs and error bodies."""
        signed = self.remote_locator(b"x")
        for text in (signed, signed.replace("+", "%2B"), signed.replace(f"+R{REMOTE}-", "+A"), SALTED, f"Bearer {SALTED}", ACTIVE_TOKEN):
            with self.subTest(text):
                self.assertRaises(AssertionError, check_no_secret, f"before {text} after")
        check_no_secret(f"{plain(b'x')} +R{REMOTE}-*** v2/{UUID}/***")

    def test_a_client_that_leaves(self):
        data = content(64 * MIB, 11)
        trickle = self.stub(lambda *_: (200, data[:MIB], {"Content-Length": str(len(data))}))
        self.services.append(trickle.port)
        local = self.start_local()
        with local.connect() as connection:
            connection.send((f"GET /{self.remote_locator(data)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ACTIVE_TOKEN}\r\n\r\n").encode())
            self.assertEqual(connection.read_head().status, 200)
            local.wait_active(1)
        local.assert_nothing_held()
        # And one that reads nothing for a while, but stays connected.
        remote = self.start_remote()
        remote.put(data)
        other = self.start([self.dir.make("local2")], RemoteClusters={REMOTE: {"Host": f"127.0.0.1:{self.api.port}", "Insecure": True}})
        self.services[:] = [remote.address[1]]
        with other.connect(window=65536) as connection:
            connection.send((f"GET /{self.remote_locator(data)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ACTIVE_TOKEN}\r\n\r\n").encode())
            head = connection.read_head()
            time.sleep(0.5)  # Not a synchronisation: the client's own slowness.
            connection.widen()
            self.assertEqual(connection.read_body(head).body, data)
        other.assert_nothing_held()

    def test_request_deadline(self):
        silent = self.stub(lambda *_: None)
        self.services.append(silent.port)
        local = self.start_local(API={"RequestTimeout": "1s"})
        self.assert_reply(self.ask(local, self.remote_locator(content(5, 12))), 503)
        local.assert_nothing_held()


if __name__ == "__main__":
    main()
