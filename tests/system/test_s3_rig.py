"""Tests of the S3 server and the fault proxy of the tests themselves; no daemon takes part."""

import base64
import hashlib
import http.client
import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

from support.case import main, seed
from support.radosgw import Process, Radosgw
from support.s3_case import S3Case
from support.s3_client import S3Error, canonical_query, sign
from support.s3_faults import FAULTS, OPERATIONS
from support.wait import until

MIB = 1 << 20
LOST = (ConnectionError, http.client.HTTPException, socket.timeout)
# The timeout of a client that should not have to wait.
USUAL = 30


class Server(S3Case):
    """radosgw itself and our client of it: the behaviour that the tests rely on."""

    def test_signatures_are_those_of_the_published_examples(self):
        # AWS, "Authenticating Requests", Examples: Signature Calculations.
        keys = ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1", 1369353600)
        put = {"Date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-storage-class": "REDUCED_REDUNDANCY"}
        for method, path, query, headers, content, signature in (
                ("GET", "/test.txt", "", {"Range": "bytes=0-9"}, b"",
                 "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
                ("PUT", "/test%24file.text", "", put, b"Welcome to Amazon S3.",
                 "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
                ("GET", "/", canonical_query({"prefix": "J", "max-keys": "2"}), {}, b"",
                 "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")):
            with self.subTest(method, path=path):
                added = sign(method, "examplebucket.s3.amazonaws.com", path, query, headers,
                             hashlib.sha256(content).hexdigest(), *keys)
                self.assertEqual(added["Authorization"].rpartition("Signature=")[2], signature)

    def test_objects(self):
        data = random.Random(seed()).randbytes(5 * MIB)
        name = "folder/a name+with %odd = characters"
        began = time.time()
        self.s3.put(self.bucket, name, data)
        self.assertEqual(self.s3.get(self.bucket, name), data)
        self.assertEqual(self.s3.get(self.bucket, name, 4 * MIB, 4 * MIB + 9), data[4 * MIB:4 * MIB + 10])
        found = self.s3.head(self.bucket, name)
        self.assertEqual(found.headers["content-length"], str(len(data)))
        self.assertLess(abs(found.mtime - began), 60)
        self.s3.copy(self.bucket, name, "copy")
        self.assertEqual(self.s3.get(self.bucket, "copy"), data)
        self.s3.delete(self.bucket, name)
        self.assertIsNone(self.s3.head(self.bucket, name))

    def test_lists(self):
        names = [f"{n:03x}/{n}" for n in range(25)]
        for name in names:
            self.s3.put(self.bucket, name, name.encode())
        self.assertEqual(self.s3.list(self.bucket, page=7), {n: len(n) for n in names})
        self.assertEqual(list(self.s3.list(self.bucket, "01")), names[16:])

    def test_multipart(self):
        upload = self.s3.create_upload(self.bucket, "large")
        parts = [b"a" * (5 * MIB), b"b" * 10]
        etags = [self.s3.put_part(self.bucket, "large", upload, n, p) for n, p in enumerate(parts, 1)]
        self.assertEqual(self.s3.uploads(self.bucket), [("large", upload)])
        self.s3.complete_upload(self.bucket, "large", upload, etags)
        self.assertEqual(self.s3.get(self.bucket, "large"), b"".join(parts))
        self.s3.abort_upload(self.bucket, "other", self.s3.create_upload(self.bucket, "other"))
        self.assertEqual(self.s3.uploads(self.bucket), [])

    def test_checks_of_the_content(self):
        refused = self.s3.request("PUT", self.bucket, "x", body=b"abc", headers={"Content-MD5": "1B2M2Y8AsgTpgAmY7PhCfg=="})
        self.assertEqual((refused.status, refused.code), (400, "BadDigest"))
        self.assertTrue(self.s3.request("PUT", self.bucket, "x", body=b"abc", sign_body=True).ok)

    def test_refusals(self):
        for options, status, code in ((dict(secret_key="wrong"), 403, "SignatureDoesNotMatch"),
                                      (dict(access_key="unknown"), 403, "InvalidAccessKeyId"),
                                      (dict(skew=3600), 403, "RequestTimeTooSkewed")):
            with self.subTest(code):
                answer = self.s3_client(**options).request("GET", self.bucket)
                self.assertEqual((answer.status, answer.code), (status, code))
        self.assertEqual(self.s3.request("GET", "there-is-no-such-bucket").code, "NoSuchBucket")

    def test_curl_agrees(self):
        if not shutil.which("curl"):
            self.skipTest("curl is not installed")
        self.s3.put(self.bucket, "x", b"for curl")
        key = f"{self.server['access_key']}:{self.server['secret_key']}"
        found = subprocess.run(["curl", "-sS", "-K", "-", f"{self.server['endpoint']}/{self.bucket}/x"], text=True, timeout=30,
                               capture_output=True, check=True, input=f'user = "{key}"\naws-sigv4 = "aws:amz:us-east-1:s3"\n'
                                                                      'header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"\n')
        self.assertEqual(found.stdout, "for curl")

    def test_tls(self):
        if "tls_endpoint" not in self.server:
            self.skipTest("the openssl command is not installed")
        known = ssl.create_default_context(cafile=self.server["ca_file"])
        self.s3_client(self.server["tls_endpoint"], tls=known).put(self.bucket, "x", b"over TLS")
        self.assertEqual(self.s3.get(self.bucket, "x"), b"over TLS")
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.s3_client(self.server["tls_endpoint"]).get(self.bucket, "x")

    def test_command_for_other_languages(self):
        tool = [sys.executable, "-B", os.path.join(os.path.dirname(os.path.abspath(__file__)), "support/s3_client.py")]
        url = f"{self.server['endpoint']}/{self.bucket}"
        env = os.environ | {"AWS_ACCESS_KEY_ID": self.server["access_key"], "AWS_SECRET_ACCESS_KEY": self.server["secret_key"]}

        def run(*arguments, **options):
            return subprocess.run([*tool, *arguments], env=env, capture_output=True, timeout=30, **options)
        run(url, "put", "x", input=b"abc", check=True)
        self.assertEqual(run(url, "get", "x", check=True).stdout, b"abc")
        self.assertEqual(run(url, "list", check=True).stdout, b"3 x\n")
        run(url, "delete", "x", check=True)
        self.assertNotEqual(run(url, "head", "x").returncode, 0)


class Parts(S3Case):
    """Kills, pauses and left-over processes, on a server of its own."""

    def test_life(self):
        folder = self.dir.make("rgw")
        # As if an earlier run had crashed and its numbers were in use again: by this very process.
        with open(os.path.join(folder, "osd.pid"), "w", encoding="utf-8") as file:
            json.dump({"pid": os.getpid(), "born": "another boot/1"}, file)
        with open(os.path.join(folder, "mon.pid"), "w", encoding="utf-8") as file:
            file.write("{")
        owner = subprocess.Popen(["sleep", "300"])
        self.addCleanup(owner.wait)
        self.addCleanup(owner.kill)
        server = Radosgw(folder)
        self.addCleanup(server.stop)
        server.start(["first-bucket"], owner=owner.pid)
        pids = {p: server.pid(p) for p in ("mon", "osd", "gateway")}
        client = server.client()
        self.addCleanup(client.close)
        client.put("first-bucket", "x", b"kept")

        server.pause("osd")
        client.timeout, patient = 1, client.timeout
        with self.assertRaises(LOST):
            client.get("first-bucket", "x")
        client.timeout = patient
        server.resume("osd")
        self.assertEqual(until(lambda: self.quiet(client.get, "first-bucket", "x"), 20), b"kept")

        server.kill()
        self.assertFalse(server.running())
        client.close()
        with self.assertRaises(ConnectionRefusedError):
            client.get("first-bucket", "x")
        server.revive()
        self.assertEqual(until(lambda: self.quiet(client.get, "first-bucket", "x"), 20), b"kept")

        # A second start in the same folder ends the running server and begins with an empty one.
        again = Radosgw(folder)
        again.start(["second-bucket"], owner=owner.pid)
        for part, pid in pids.items():
            self.assertNotEqual(again.pid(part), pid)
        client.close()
        client = again.client()
        self.addCleanup(client.close)
        self.assertIsNone(self.quiet(client.get, "first-bucket", "x"))
        self.assertEqual(client.list("second-bucket"), {})

        # The owner dies: no process is left.
        handles = [Process(os.path.join(folder, f"{p}.pid")) for p in pids]
        owner.kill()
        owner.wait()
        until(lambda: not any(h.pid() for h in handles), 20, "the end of the server")

    @staticmethod
    def quiet(call, *arguments):
        try:
            return call(*arguments)
        except (S3Error, OSError, http.client.HTTPException):
            return None


class ProxyCase(S3Case):
    def setUp(self):
        super().setUp()
        self.proxy = self.fault_proxy()
        self.through = self.s3_client(self.proxy.endpoint, timeout=USUAL)

    def signed(self, method, key, headers=None):
        """The head of a request through the proxy, for a socket."""
        host, path = f"127.0.0.1:{self.proxy.port}", f"/{self.bucket}/{key}"
        headers = headers or {}
        headers |= sign(method, host, path, "", headers, "UNSIGNED-PAYLOAD", self.server["access_key"],
                        self.server["secret_key"], self.server["region"], time.time())
        lines = "".join(f"{n}: {v}\r\n" for n, v in headers.items())
        return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n".encode()

    def one(self, fault, **options):
        """Injects this fault into the next request."""
        self.proxy.rules({"fault": fault, "count": 1} | options)

    def assert_fired(self, count=1):
        self.assertEqual(self.proxy.fired(), [count])

    def assert_fine(self):
        """Asserts that requests work again."""
        self.through.put(self.bucket, "afterwards", b"fine")
        self.assertEqual(self.through.get(self.bucket, "afterwards"), b"fine")


class Harmless(ProxyCase):
    def test_large_objects_pass(self):
        data = random.Random(seed()).randbytes(64 * MIB)
        self.through.put(self.bucket, "large", data)
        self.assertEqual(hashlib.md5(self.through.get(self.bucket, "large")).digest(), hashlib.md5(data).digest())
        counters = self.proxy.counters()
        self.assertEqual(counters["requests"], {"put": 1, "get": 1})
        self.assertEqual(counters["statuses"], {"200": 2})
        self.assertEqual(counters["connections"], 1)
        self.assertEqual((counters["request_bytes"], counters["answer_bytes"]), (64 * MIB, 64 * MIB))

    def test_every_operation_passes_and_is_counted(self):
        s3, bucket = self.through, self.bucket + "-2"
        s3.make_bucket(bucket)
        s3.request("HEAD", bucket)
        s3.succeed("GET", bucket, query={"location": ""})
        s3.succeed("GET")
        s3.put(bucket, "a", b"1")
        s3.copy(bucket, "a", "b")
        s3.head(bucket, "a")
        s3.get(bucket, "b", 0, 0)
        self.assertEqual(s3.list(bucket), {"a": 1, "b": 1})
        upload = s3.create_upload(bucket, "c")
        etag = s3.put_part(bucket, "c", upload, 1, b"2")
        s3.succeed("GET", bucket, "c", query={"uploadId": upload})
        s3.complete_upload(bucket, "c", upload, [etag])
        upload = s3.create_upload(bucket, "d")
        s3.succeed("PUT", bucket, "d", query={"partNumber": "1", "uploadId": upload},
                   headers={"x-amz-copy-source": f"/{bucket}/a"})
        s3.abort_upload(bucket, "d", upload)
        s3.uploads(bucket)
        many = b"<Delete><Object><Key>a</Key></Object></Delete>"
        s3.succeed("POST", bucket, query={"delete": ""}, body=many,
                   headers={"Content-MD5": base64.b64encode(hashlib.md5(many).digest()).decode()})
        s3.remove_bucket(bucket)
        s3.request("OPTIONS", bucket, "x")
        counted = self.proxy.counters()["requests"]
        self.assertEqual(set(counted), OPERATIONS)
        self.assertEqual({n for n, c in counted.items() if c > 1},
                         {"list", "multipart_create", "multipart_list", "delete"})
        # Two of the lists and of the deletions are remove_bucket's, which looks for uploads too.
        self.assertEqual((counted["list"], counted["delete"], counted["multipart_list"]), (2, 2, 3))

    def test_requests_are_remembered(self):
        self.through.put(self.bucket, "x", b"12345")
        self.through.get(self.bucket, "x", 1, 3)
        put, get = self.proxy.requests()
        self.assertEqual((put["operation"], put["request_bytes"], put["status"]), ("put", 5, 200))
        self.assertEqual((get["headers"]["range"], get["answer_bytes"], get["status"]), ("bytes=1-3", 3, 206))
        self.assertEqual(put["connection"], get["connection"])
        self.assertEqual(self.proxy.requests(operation="get"), [get])
        self.proxy.forget()
        self.assertEqual(self.proxy.requests(), [])
        self.assertEqual(self.proxy.counters()["requests"], {})

    def test_expect_100_continue(self):
        request = self.signed("PUT", "x", {"content-length": 3, "expect": "100-continue"})
        for fault, first_line in ((None, b"HTTP/1.1 100"), ("region_redirect", b"HTTP/1.1 301")):
            with self.subTest(fault), socket.create_connection(("127.0.0.1", self.proxy.port), timeout=USUAL) as raw:
                if fault:
                    self.one(fault)
                raw.sendall(request)
                answer = raw.recv(4096)
                self.assertEqual(answer[:12], first_line)
                if not fault:
                    raw.sendall(b"abc")
                    self.assertEqual(raw.recv(4096)[:12], b"HTTP/1.1 200")
                else:
                    self.assertIn(b"x-amz-bucket-region: eu-west-1", answer)
        self.assertEqual(self.s3.get(self.bucket, "x"), b"abc")

    def test_a_disconnected_client_is_noticed(self):
        with socket.create_connection(("127.0.0.1", self.proxy.port), timeout=USUAL) as raw:
            # Signed, or the server refuses it before the client disconnects.
            raw.sendall(self.signed("PUT", "x", {"Content-Length": "10"}) + b"abc")
            until(lambda: self.proxy.counters()["requests_open"] == 1, 5)
        until(lambda: self.proxy.counters()["connections_open"] == 0, 5)


class Rules(ProxyCase):
    def test_selection(self):
        self.proxy.rules({"fault": "internal_error", "operation": "get", "path": "/two$", "skip": 1, "count": 2})
        self.s3.put(self.bucket, "one", b"1")
        self.s3.put(self.bucket, "two", b"2")
        statuses = [self.through.request("GET", self.bucket, n).status for n in ("one", "two", "two", "one", "two", "two")]
        self.assertEqual(statuses, [200, 200, 500, 200, 500, 200])
        self.assertEqual(self.through.request("HEAD", self.bucket, "two").status, 200)
        self.assert_fired(2)

    def test_the_first_rule_that_matches_decides(self):
        self.proxy.rules({"fault": "slow_down", "method": ["GET"], "count": 1}, {"fault": "internal_error"})
        self.proxy.add("expired_token")
        self.assertEqual([self.through.request(m, self.bucket, "x").status for m in ("GET", "GET", "DELETE")], [503, 500, 500])
        self.assertEqual(self.proxy.fired(), [1, 2, 0])

    def test_probability(self):
        self.proxy.rules({"fault": "slow_down", "probability": 0.3})
        failed = [self.through.request("HEAD", self.bucket, "x").status for _ in range(200)].count(503)
        self.assertGreater(failed, 30)
        self.assertLess(failed, 95)
        self.assertEqual(self.proxy.counters()["faults"], {"slow_down": failed})

    def test_multipart_is_all_of_an_upload(self):
        self.proxy.rules({"fault": "slow_down", "operation": "multipart"})
        self.assertEqual(self.through.request("POST", self.bucket, "x", query={"uploads": ""}).status, 503)
        self.assertTrue(self.through.request("PUT", self.bucket, "x", body=b"").ok)

    def test_every_fault_is_tried_in_this_file(self):
        with open(os.path.abspath(__file__), encoding="utf-8") as file:
            text = file.read()
        self.assertEqual([f for f in FAULTS if f'"{f}"' not in text], [])

    def test_mistakes_are_reported(self):
        for rule in ({"fault": "no such"}, {"fault": "slow", "at": 3}, {"fault": "slow", "operation": "putt"},
                     {"fault": "slow", "path": "("}, {}):
            with self.subTest(rule), self.assertRaises(ValueError):
                self.proxy.rules(rule)
        with self.assertRaises(ValueError):
            self.proxy.outage("none of the kind")


class Refusals(ProxyCase):
    """The server never gets these requests."""

    def check(self, fault, expected, expected_code, **options):
        for method in ("PUT", "GET", "HEAD", "DELETE"):
            with self.subTest(f"{fault} {method}"):
                self.one(fault, **options)
                answer = self.through.request(method, self.bucket, "x", body=b"data" * 1000 if method == "PUT" else None)
                self.assertEqual((answer.status, answer.code),
                                 (expected, None if method == "HEAD" else expected_code))
                self.assert_fired()
        self.assertIsNone(self.s3.head(self.bucket, "x"))
        self.assert_fine()
        return answer

    def test_errors(self):
        self.check("slow_down", 503, "SlowDown")
        self.check("internal_error", 500, "InternalError")
        self.check("slow_down", 503, "SlowDown", early=True)
        self.check("status", 409, "OperationAborted", status=409, code="OperationAborted")
        self.check("expired_token", 400, "ExpiredToken")
        self.assertIn(b"<html>", self.check("html", 503, None).body)
        self.assertEqual(self.check("no_body", 500, None).body, b"")

    def test_regions(self):
        answer = self.check("region_redirect", 301, "PermanentRedirect", region="eu-north-1")
        self.assertEqual(answer.headers["x-amz-bucket-region"], "eu-north-1")
        answer = self.check("region_wrong", 400, "AuthorizationHeaderMalformed", region="eu-north-1")
        self.assertEqual(answer.find("Region"), ["eu-north-1"])

    def test_clock(self):
        self.one("time_skewed", seconds=-1800)
        answer = self.through.request("GET", self.bucket, "x")
        self.assertEqual((answer.status, answer.code), (403, "RequestTimeTooSkewed"))
        answer.headers["last-modified"] = answer.headers["date"]
        self.assertLess(abs(answer.mtime - (time.time() - 1800)), 60)

    def test_an_early_refusal_reaches_a_client_that_sends_much(self):
        self.one("slow_down", early=True)
        with socket.create_connection(("127.0.0.1", self.proxy.port), timeout=USUAL) as raw:
            raw.sendall(b"PUT /x/y HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n" + b"x" * MIB)
            self.assertEqual(raw.recv(100)[:12], b"HTTP/1.1 503")

    def test_reset(self):
        for options in ({}, {"after": 1000}):
            for method in ("PUT", "GET", "HEAD", "DELETE"):
                if options and method != "PUT":
                    continue
                with self.subTest(method, **options):
                    self.one("reset", **options)
                    with self.assertRaises(ConnectionError):
                        self.through.request(method, self.bucket, "x", body=b"x" * MIB if method == "PUT" else None)
                    self.assert_fired()
        self.assertIsNone(self.s3.head(self.bucket, "x"))
        self.assert_fine()

    def test_hang(self):
        self.through.timeout = 0.3
        self.one("hang")
        with self.assertRaises(socket.timeout):
            self.through.put(self.bucket, "x", b"data")
        until(lambda: self.proxy.counters()["connections_open"] == 0, 5)
        self.one("hang", seconds=0.1)
        self.through.timeout = USUAL
        with self.assertRaises(LOST):
            self.through.get(self.bucket, "x")
        self.assertIsNone(self.s3.head(self.bucket, "x"))
        self.assert_fine()


class Deliveries(ProxyCase):
    """The server gets another request, or the same one differently."""

    def timed(self, call, *arguments):
        began = time.monotonic()
        result = call(*arguments)
        return result, time.monotonic() - began

    def test_delay(self):
        for fault in ("delay", "delay_answer"):
            self.one(fault, seconds=0.3)
            self.assertGreaterEqual(self.timed(self.through.put, self.bucket, "x", b"data")[1], 0.3)
            self.assert_fired()

    def test_slow_request(self):
        self.one("slow_request", rate=400_000)
        self.assertGreaterEqual(self.timed(self.through.put, self.bucket, "x", b"x" * 200_000)[1], 0.4)
        self.assert_fired()

    def test_stalled_request(self):
        self.one("stall_request", seconds=0.3)
        self.assertGreaterEqual(self.timed(self.through.put, self.bucket, "x", b"x" * MIB)[1], 0.3)
        self.assert_fired()
        self.one("stall_request", after=100_000)
        self.through.timeout = 0.5
        with self.assertRaises(socket.timeout):
            self.through.put(self.bucket, "y", b"x" * 200_000)
        until(lambda: self.proxy.counters()["connections_open"] == 0, 5)
        self.one("stall_request", after=100_000)
        with self.assertRaises(socket.timeout):  # In the middle of sending.
            self.through.put(self.bucket, "y", b"x" * (32 * MIB))
        self.assertIsNone(self.s3.head(self.bucket, "y"))

    def test_flipped_request(self):
        self.one("flip_request", at=70_000)
        data = bytes(100_000)
        answer = self.through.request("PUT", self.bucket, "x", body=data)
        wrong = data[:70_000] + b"\x01" + data[70_001:]
        self.assertEqual((answer.status, answer.etag), (200, hashlib.md5(wrong).hexdigest()))
        self.assertEqual(self.s3.get(self.bucket, "x"), wrong)

    def test_duplicates(self):
        self.s3.put(self.bucket, "x", b"data")
        self.one("duplicate")
        self.through.put(self.bucket, "y", b"y" * (2 * MIB))
        self.assertEqual(self.s3.get(self.bucket, "y"), b"y" * (2 * MIB))
        self.assertEqual(self.proxy.counters()["duplicates"], 1)
        upload = self.s3.create_upload(self.bucket, "z")
        self.one("duplicate")
        answer = self.through.request("DELETE", self.bucket, "z", query={"uploadId": upload})
        self.assertEqual((answer.status, answer.code), (404, "NoSuchUpload"), "the answer is the second one's")

    def test_a_late_duplicate(self):
        self.one("duplicate", seconds=3, answer="first")
        self.through.put(self.bucket, "x", b"data")
        self.s3.delete(self.bucket, "x")
        until(lambda: self.proxy.counters()["duplicates"] == 1, 5)
        self.assertEqual(self.s3.get(self.bucket, "x"), b"data")


class Answers(ProxyCase):
    """The server has carried out the request; the client gets another response."""

    def test_lost_responses(self):
        for how in ("reset", "close", "hang"):
            with self.subTest(how):
                # The client may have disconnected before the server is done.
                self.through.timeout = 0.5 if how == "hang" else USUAL
                self.one("answer_lost", how=how)
                with self.assertRaises(LOST):
                    self.through.put(self.bucket, how, b"data")
                until(lambda h=how: self.s3.head(self.bucket, h) is not None, 10, "the object")
                self.assertEqual(self.s3.get(self.bucket, how), b"data")
                self.one("answer_lost", how=how)
                with self.assertRaises(LOST):
                    self.through.delete(self.bucket, how)
                until(lambda h=how: self.s3.head(self.bucket, h) is None, 10, "the end of the object")

    def test_errors_after_success(self):
        self.one("status_after", status=503, code="SlowDown")
        answer = self.through.request("PUT", self.bucket, "x", body=b"data")
        self.assertEqual((answer.status, answer.code), (503, "SlowDown"))
        self.assertEqual(self.s3.get(self.bucket, "x"), b"data")

    def test_error_in_200(self):
        self.s3.put(self.bucket, "x", b"data")
        self.one("error_in_200", operation="copy")
        answer = self.through.request("PUT", self.bucket, "y", headers={"x-amz-copy-source": f"/{self.bucket}/x"})
        self.assertEqual((answer.status, answer.code, answer.ok), (200, "InternalError", False))

    def test_wrong_etag(self):
        for method in ("PUT", "GET", "HEAD"):
            self.one("wrong_etag", etag="f" * 32)
            answer = self.through.request(method, self.bucket, "x", body=b"data" if method == "PUT" else None)
            self.assertEqual((answer.status, answer.etag), (200, "f" * 32))
        self.one("wrong_etag", etag="f" * 32)
        answer = self.through.copy(self.bucket, "x", "y")
        self.assertEqual(answer.find("ETag"), ["f" * 32])
        self.assert_fine()

    def test_truncated_xml(self):
        self.s3.put(self.bucket, "x", b"data")
        self.one("truncated_xml")
        answer = self.through.request("GET", self.bucket, query={"list-type": "2"})
        self.assertEqual((answer.status, answer.body[:5], answer.code), (200, b"<?xml", None))
        self.assertNotIn(b"</ListBucketResult>", answer.body)
        self.one("truncated_xml", after=0)
        self.assertEqual(self.through.request("GET", self.bucket).body, b"")
        self.assert_fine()

    def test_truncated(self):
        data = bytes(MIB)
        self.s3.put(self.bucket, "x", data)
        for how, after in (("close", 300_000), ("reset", 300_000), ("close", None), ("close", 0)):
            with self.subTest(how=how, after=after):
                self.one("truncate", how=how, after=after)
                with self.assertRaises(LOST) as lost:
                    self.through.get(self.bucket, "x")
                if how == "close":
                    self.assertIsInstance(lost.exception, http.client.IncompleteRead)
                    self.assertEqual(len(lost.exception.partial), MIB // 2 if after is None else after)
        self.one("truncate")
        with self.assertRaises(LOST):  # A list: in chunks, as a rule.
            self.through.list(self.bucket)
        # Where there is no body it is the head that is cut.
        for method in ("HEAD", "DELETE"):
            self.one("truncate")
            with self.subTest(method), socket.create_connection(("127.0.0.1", self.proxy.port), timeout=USUAL) as raw:
                raw.sendall(self.signed(method, "x"))
                answer = b"".join(iter(lambda: raw.recv(4096), b""))
                self.assertEqual((answer[:10], answer.find(b"\r\n\r\n")), (b"HTTP/1.1 2", -1))
        self.assert_fine()

    def test_stalls(self):
        self.s3.put(self.bucket, "x", bytes(MIB))
        self.one("stall", seconds=0.3, after=300_000)
        began = time.monotonic()
        self.assertEqual(self.through.get(self.bucket, "x"), bytes(MIB))
        self.assertGreaterEqual(time.monotonic() - began, 0.3)
        self.through.timeout = 0.3
        for method, key in (("GET", "x"), ("HEAD", "x"), ("GET", ""), ("DELETE", "x")):
            with self.subTest(method):
                self.one("stall")
                with self.assertRaises(socket.timeout):
                    self.through.request(method, self.bucket, key)
        until(lambda: self.proxy.counters()["connections_open"] == 0, 5)

    def test_slow(self):
        self.s3.put(self.bucket, "x", bytes(200_000))
        self.one("slow", rate=400_000)
        began = time.monotonic()
        self.assertEqual(len(self.through.get(self.bucket, "x")), 200_000)
        self.assertGreaterEqual(time.monotonic() - began, 0.4)

    def test_flipped(self):
        self.s3.put(self.bucket, "x", bytes(MIB))
        self.one("flip", at=700_000)
        found = self.through.get(self.bucket, "x")
        self.assertEqual((len(found), found.index(1), found.count(0)), (MIB, 700_000, MIB - 1))

    def test_junk(self):
        self.one("junk")
        with self.assertRaises(http.client.BadStatusLine):
            self.through.get(self.bucket, "x")
        self.assert_fine()

    def test_stale_connections(self):
        for fault in ("close_after", "stale"):
            with self.subTest(fault):
                self.one(fault)
                self.through.put(self.bucket, "x", b"data")
                with self.assertRaises(LOST):
                    self.through.get(self.bucket, "x")
                self.assert_fired()
        self.proxy.rules()
        self.through.put(self.bucket, "x", b"data")
        self.proxy.disconnect()
        with self.assertRaises(LOST):
            self.through.get(self.bucket, "x")
        self.assert_fine()


class Outages(ProxyCase):
    def test_outages(self):
        self.through.put(self.bucket, "x", b"data")
        for how, expected in (("refuse", ConnectionRefusedError), ("reset", ConnectionError), ("hang", socket.timeout)):
            with self.subTest(how):
                self.through.timeout = 0.3 if how == "hang" else USUAL
                self.proxy.outage(how)
                for _ in range(2):
                    with self.assertRaises((*LOST,)):
                        self.through.get(self.bucket, "x")
                with self.assertRaises(expected):
                    self.through.get(self.bucket, "x")
                self.proxy.outage("none")
                self.through.timeout = USUAL
                self.assertEqual(self.through.get(self.bucket, "x"), b"data")

    def test_a_running_transfer_is_cut(self):
        self.s3.put(self.bucket, "x", bytes(MIB))
        self.one("slow", rate=100_000)
        failed = []

        def read():
            try:
                self.through.get(self.bucket, "x")
            except LOST as problem:
                failed.append(problem)
        reader = threading.Thread(target=read)
        reader.start()
        until(lambda: self.proxy.counters()["requests_open"] == 1, 5)
        self.proxy.outage("refuse")
        reader.join(USUAL)
        self.assertEqual(len(failed), 1)

    def test_a_dead_server_is_a_reset(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            self.server = dict(self.server, port=unused.getsockname()[1])
            with self.assertRaises(ConnectionError):
                self.s3_client(self.fault_proxy().endpoint).get(self.bucket, "x")


if __name__ == "__main__":
    main()
