#!/usr/bin/env python3
"""keepstore probe-s3, and the daemon's own report about an unusable bucket: every class of failure with its text for the operator,
and the same result from both."""

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time

from support.case import main
from support.certificate import certificate
from support.daemon import CLUSTER, binary, check_no_secret, cluster_config, volume_uuid
from support.locator import md5
from support.s3_volumes import S3VolumeCase
from support.wait import refusing_port, until

NO_CHAIN = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": "/nonexistent"}
ALL_STEPS = ["address", "name", "connection", "clock", "credentials", "bucket", "put", "get", "digest", "condition", "copy",
             "delete", "multipart"]


class TlsListener:
    """A server with this certificate that ends every connection after the handshake."""

    def __init__(self, cert, key):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(cert, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                connection.settimeout(5)
                self._context.wrap_socket(connection, server_side=True).close()
            connection.close()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()


class ProbeCase(S3VolumeCase):
    def run_probe(self, *arguments, stdin="", env=None, timeout=40, within=()):
        """Runs the probe and asserts that its output has no secret. `within`: a command that runs it."""
        environment = {k: v for k, v in os.environ.items()
                       if not k.startswith(("ARVADOS_", "AWS_")) and k != "SSL_CERT_FILE" and
                       not k.lower().endswith("_proxy")} | NO_CHAIN
        result = subprocess.run([*within, binary(), "probe-s3", *arguments], input=stdin, capture_output=True, text=True,
                                timeout=timeout, env=environment | (env or {}), check=False)
        for text in (result.stdout, result.stderr):
            check_no_secret(text)
            for secret in (self.server["secret_key"], self.server["access_key"], "WrongSecret", "Signature="):
                self.assertNotIn(secret, text)
        return result

    def config(self, *volumes, **sections):
        return json.dumps({"Clusters": {CLUSTER: cluster_config(list(volumes), **sections)}})

    def probe(self, *volumes, arguments=(), env=None, within=(), **sections):
        return self.run_probe("-config=-", *arguments, stdin=self.config(*volumes, **sections), env=env, within=within)

    def steps(self, result):
        """{step: (result, text)} of the only volume, from JSON."""
        document = json.loads(result.stdout)
        self.assertEqual(len(document["volumes"]), 1)
        self.assertEqual(document["ok"], result.returncode == 0)
        return {s["step"]: (s["result"], s["text"]) for s in document["volumes"][0]["steps"]}

    def assert_fails(self, step, *words, volume=None, env=None, arguments=()):
        """Asserts that the probe exits with 1, and that this step has these words."""
        result = self.probe(volume or self.volume(), env=env, arguments=arguments)
        self.assertEqual((result.returncode, result.stderr), (1, ""), result.stdout)
        failed = [line for line in result.stdout.splitlines() if line.startswith(f"  FAILED: {step}: ")]
        self.assertEqual(len(failed), 1, result.stdout)
        for word in words:
            self.assertIn(word, failed[0])
        self.assertIn(f"volume {volume_uuid(0)} CANNOT be used: see {step}\nnot ok: 1 of 1 cannot be used", result.stdout)
        return result

    def assert_daemon_says(self, message, *words, volume=None, env=None, **sections):
        """Asserts one error line soon after the start, with advice and the command for details; not ready, for that reason."""
        daemon = self.start([volume or self.volume()], env=NO_CHAIN | (env or {}), **sections)
        entry = daemon.log.wait(level="error", condition=lambda e: "diagnosis" in e, timeout=15)
        self.assertEqual(entry["diagnosis"], f"keepstore probe-s3 -volume {volume_uuid(0)}")
        self.assertIn(message, entry["msg"])
        for word in words:
            self.assertIn(word, entry["error"])
        ready = daemon.request("GET", "/_health/ready")
        self.assertEqual(ready.status, 503)
        self.assertIn(f"volume {volume_uuid(0)}: ", ready.text)
        for word in words:
            self.assertIn(word, " ".join(json.loads(ready.text)["reasons"]))
        put = self.put(daemon, b"a block")
        self.assertEqual(put.status, 503, put)
        return daemon

    def bad_keys(self, **parameters):
        return self.volume(DriverParameters=parameters)

    def deny(self, *actions):
        """A policy of the bucket, until the end of the test."""
        resources = [f"arn:aws:s3:::{self.bucket}", f"arn:aws:s3:::{self.bucket}/*"]
        policy = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": [f"s3:{a}" for a in actions], "Resource": resources}]}
        self.s3.succeed("PUT", self.bucket, query={"policy": ""}, body=json.dumps(policy).encode())
        self.addCleanup(self.s3.request, "DELETE", self.bucket, query={"policy": ""})

    def tls_volume(self, endpoint):
        return self.volume(endpoint=endpoint)


class Verdicts(ProbeCase):
    """The findings of the command."""

    def test_a_good_bucket(self):
        result = self.probe(self.volume())
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
        lines = result.stdout.splitlines()
        self.assertEqual(lines[0], f"volume {volume_uuid(0)}: bucket {self.bucket} at {self.server['endpoint']}, read and write")
        self.assertEqual([line.split(": ")[:2] for line in lines[1:-2]], [["  ok", s] for s in ALL_STEPS], result.stdout)
        self.assertEqual(lines[-2:], [f"volume {volume_uuid(0)} can be used", "ok"])
        self.assertEqual(self.s3.list(self.bucket), {})
        self.assertEqual(self.s3.uploads(self.bucket), [])

    def test_json(self):
        result = self.probe(self.volume(), arguments=["-json"])
        found = self.steps(result)
        self.assertEqual((result.returncode, result.stderr, list(found)), (0, "", ALL_STEPS))
        self.assertEqual({r for r, _ in found.values()}, {"ok"})
        self.assertEqual(found["credentials"][1], "from configuration")
        volume = json.loads(result.stdout)["volumes"][0]
        self.assertEqual([volume[n] for n in ("uuid", "bucket", "writes", "ok")], [volume_uuid(0), self.bucket, True, True])

        result = self.probe(self.volume(bucket="no-such-bucket"), arguments=["--json"])
        found = self.steps(result)
        self.assertEqual((result.returncode, list(found)[-1], found["bucket"][0]), (1, "bucket", "failed"))
        result = self.run_probe("-config=/nonexistent.yml", "-json")
        self.assertEqual(result.returncode, 2)
        document = json.loads(result.stdout)
        self.assertEqual(document["ok"], False)
        self.assertIn("/nonexistent.yml", document["error"])

    def test_several_volumes_are_all_tried_and_told_apart(self):
        result = self.probe(self.volume(bucket="no-such-bucket"), self.dir.make("vol"), self.volume())
        self.assertEqual(result.returncode, 1)
        self.assertIn(f"volume {volume_uuid(0)} CANNOT be used: see bucket\nvolume {volume_uuid(2)} can be used\n"
                      "not ok: 1 of 2 cannot be used\n", result.stdout)
        # The lines of a volume are adjacent, below its own.
        heads = [line.split(":")[0] for line in result.stdout.splitlines() if not line.startswith("  ") and ": bucket" in line]
        self.assertEqual(heads, [f"volume {volume_uuid(0)}", f"volume {volume_uuid(2)}"])
        self.assertEqual(result.stdout.count("  ok: address: "), 2)
        result = self.probe(self.volume(bucket="no-such-bucket"), self.volume(), arguments=["--volume", volume_uuid(1)])
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertNotIn(volume_uuid(0), result.stdout)

    def test_the_daemon_may_be_running(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            result = self.probe(self.volume(), url=f"http://127.0.0.1:{port}/")
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_volumes_of_other_hosts(self):
        other = "http://192.0.2.1:25107/"
        services = {"Keepstore": {"InternalURLs": {other: {}}}}
        elsewhere = self.volume(AccessViaHosts={other: {}})
        result = self.probe(elsewhere, Services=services)
        self.assertEqual(result.returncode, 2)
        self.assertIn("this host mounts no S3 volume; the S3 volumes of the configuration are " + volume_uuid(0), result.stderr)
        result = self.probe(elsewhere, Services=services, arguments=["-volume", volume_uuid(0)])
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("  note: configuration: this host does not mount the volume (AccessViaHosts)\n", result.stdout)
        self.assertTrue(result.stdout.endswith("ok, 1 note to look at\n"), result.stdout)
        result = self.probe(elsewhere, Services=services, env={"ARVADOS_SERVICE_INTERNAL_URL": other})
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_command_lines_and_configurations_that_are_wrong(self):
        for arguments in (["-nonsense"], ["stray"], ["-timeout=0s"], ["-bucket=b"], ["-bucket=b", "-region=r", "-config=-"]):
            with self.subTest(arguments):
                result = self.run_probe(*arguments)
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                self.assertIn("(try -help)", result.stderr)
        result = self.run_probe("-help")
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        for word in ("-volume value", "-bucket value", "Exit code: 0 all can be used"):
            self.assertIn(word, result.stderr)
        for text, words in (("Clusters: {}", "config does not define any clusters"),
                            (self.config(self.dir.make("vol0")), "the configuration has no S3 volumes"),
                            (self.config(self.bad_keys(SecretAccessKey="")), "expected both AccessKeyID and SecretAccessKey"),
                            (self.config(self.bad_keys(V2Signature=True)), "V2Signature is not supported")):
            with self.subTest(words):
                result = self.run_probe("-config", "-", stdin=text)
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                self.assertIn(words, result.stderr)
        result = self.probe(self.volume(), arguments=["-volume", "zzzzz-nyw5e-none"])
        self.assertEqual(result.returncode, 2)
        self.assertIn("there is no volume zzzzz-nyw5e-none", result.stderr)

    def test_a_bucket_before_there_is_a_configuration(self):
        keys = {"AWS_ACCESS_KEY_ID": self.server["access_key"], "AWS_SECRET_ACCESS_KEY": self.server["secret_key"]}
        bucket = ["-bucket", self.bucket, "-endpoint", self.server["endpoint"], "-path-style"]
        result = self.run_probe(*bucket, env=keys)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(f"bucket {self.bucket} can be used\n", result.stdout)
        self.assertIn("  ok: credentials: from environment\n", result.stdout)
        result = self.run_probe(*bucket)
        self.assertEqual(result.returncode, 1)
        self.assertIn("  FAILED: credentials: no credentials in the configuration, the environment, ~/.aws, a container "
                      "endpoint or an instance role: set AccessKeyID and SecretAccessKey", result.stdout)

    def test_volumes_that_are_read_only_are_not_written_to(self):
        proxy = self.fault_proxy()
        self.plant(b"stored")
        result = self.probe(self.volume(endpoint=proxy.endpoint, ReadOnly=True))
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("read only: nothing will be written\n", result.stdout)
        self.assertIn("  ok: get: what is stored can be read\n", result.stdout)
        self.assertEqual({r["method"] for r in proxy.requests()}, {"GET", "HEAD"})

    # --- classes of failure ---

    def test_missing_bucket(self):
        self.assert_fails("bucket", "404 NoSuchBucket", "The bucket does not exist at this endpoint: check Bucket, Endpoint "
                          "and Region, or create the bucket.", volume=self.volume(bucket="no-such-bucket"))

    def test_wrong_keys(self):
        advice = "check AccessKeyID and SecretAccessKey"
        self.assert_fails("bucket", "403 SignatureDoesNotMatch", advice, volume=self.bad_keys(SecretAccessKey="WrongSecret1"))
        self.assert_fails("bucket", "403 InvalidAccessKeyId", advice, volume=self.bad_keys(AccessKeyID="NobodysKey"))

    def test_nothing_is_allowed(self):
        self.deny("ListBucket", "PutObject", "GetObject")
        self.assert_fails("put", "403 AccessDenied", "must allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket")

    def test_listing_is_not_allowed(self):
        self.deny("ListBucket")
        found = self.steps(self.probe(self.volume(), arguments=["-json"]))
        self.assertEqual(found["bucket"][0], "note")
        for words in ("these keys may not list it (S3 list: 403 AccessDenied", "there is no index", "allow s3:ListBucket"):
            self.assertIn(words, found["bucket"][1])
        self.assertEqual({s: r for s, (r, _) in found.items() if r == "failed"}, {})
        self.assertEqual([found[s][0] for s in ("put", "get", "copy", "delete")], ["ok"] * 4)

    def test_deleting_is_not_allowed(self):
        self.deny("DeleteObject")
        result = self.probe(self.volume())
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, r"(?m)^  FAILED: delete: S3 delete: 403 AccessDenied .*The object keepstore-probe/\w+ is "
                                        r"left behind\.$")

    def test_another_region(self):
        proxy = self.fault_proxy()
        proxy.rules({"fault": "region_wrong", "operation": "list", "count": 1})
        found = self.steps(self.probe(self.volume(endpoint=proxy.endpoint), arguments=["-json"]))
        self.assertEqual(found["region"], ("note", "the bucket is in eu-west-1, not in us-east-1: set Region to eu-west-1 to "
                                                   "save a request after each start"))
        proxy.rules({"fault": "region_wrong"})
        self.assert_fails("bucket", "AuthorizationHeaderMalformed", "set Region (and Endpoint) to the bucket's own",
                          volume=self.volume(endpoint=proxy.endpoint))

    def test_a_wrong_clock(self):
        proxy = self.fault_proxy()
        proxy.rules({"fault": "time_skewed", "operation": "head_bucket"})
        found = self.steps(self.probe(self.volume(endpoint=proxy.endpoint), arguments=["-json"]))
        self.assertEqual(found["clock"][0], "note")
        self.assertRegex(found["clock"][1], r"differ by (3599|3600|3601) seconds; .* but set the clock right \(NTP\)")
        proxy.rules({"fault": "time_skewed"})
        self.assert_fails("bucket", "RequestTimeTooSkewed", "check time synchronisation (NTP)",
                          volume=self.volume(endpoint=proxy.endpoint))

    def test_no_listener(self):
        self.assert_fails("connection", "refused", volume=self.volume(endpoint=f"http://127.0.0.1:{refusing_port(self)}"))
        self.assert_fails("name", "nowhere.invalid has no address", "check the spelling of Endpoint and the name servers",
                          volume=self.volume(endpoint="http://nowhere.invalid"))
        self.assert_fails("address", "Endpoint: bad URL: only http and https are spoken",
                          volume=self.volume(endpoint="ftp://127.0.0.1"))

    def test_no_response_within_the_timeout(self):
        proxy = self.fault_proxy()
        volume = self.volume(endpoint=proxy.endpoint, DriverParameters={"ReadTimeout": "10m"})
        proxy.rules({"fault": "hang", "operation": "put"})
        began = time.monotonic()
        self.assert_fails("put", "the probe ran out of time", volume=volume, arguments=["-timeout", "2s"])
        self.assertLess(time.monotonic() - began, 10)
        # Its temporary objects are removed.
        proxy.rules({"fault": "answer_lost", "how": "hang", "operation": "put"})
        self.assert_fails("put", volume=volume, arguments=["-timeout", "2s"])
        until(lambda: self.s3.list(self.bucket) == {}, 10)
        proxy.rules()
        proxy.outage("hang")
        began = time.monotonic()
        self.assert_fails("connection", volume=volume, arguments=["-timeout", "2s"])
        self.assertLess(time.monotonic() - began, 10)

    def test_something_that_is_not_s3(self):
        proxy = self.fault_proxy()
        proxy.rules({"fault": "status", "status": 200, "body": "<html>hello</html>"})
        self.assert_fails("bucket", "Unexpected response: not an S3 service. Check that Endpoint names the S3 service",
                          volume=self.volume(endpoint=proxy.endpoint))

    def test_tls(self):
        if "tls_endpoint" not in self.server:
            self.skipTest("the S3 server has no TLS")
        volume = self.volume(endpoint=self.server["tls_endpoint"])
        trusted = {"SSL_CERT_FILE": self.server["ca_file"]}
        result = self.probe(volume, env=trusted)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("  ok: connection: with TLS, the certificate is valid", result.stdout)
        words = ("certificate is not accepted", "SSL_CERT_FILE can name the file of the authorities to trust",
                 "TLS.Insecure is not for S3")
        self.assert_fails("connection", *words, volume=volume)
        # As for the Go daemon, that setting is for pulls only.
        self.assertEqual(self.probe(volume, TLS={"Insecure": True}).returncode, 1)

        cert, key = certificate(self.dir.path, "self", 1)
        other = TlsListener(cert, key)
        self.addCleanup(other.close)
        self.assert_fails("connection", "self-signed certificate", *words, volume=self.volume(f"https://127.0.0.1:{other.port}"))
        self.assert_fails("connection", "mismatch", volume=self.volume(f"https://localhost:{other.port}"),
                          env={"SSL_CERT_FILE": cert})
        self.assert_fails("connection", "does the server speak TLS on this port?",
                          volume=self.volume(self.server["endpoint"].replace("http:", "https:")))


    def test_the_authorities_of_arvados(self):
        """/etc/arvados/ca-certificates.crt is trusted where it exists, unless SSL_CERT_FILE names another file."""
        if "tls_endpoint" not in self.server:
            self.skipTest("the S3 server has no TLS")
        etc = os.path.join(self.dir.path, "etc")
        os.makedirs(os.path.join(etc, "arvados"))
        for file in ("passwd", "hosts", "ld.so.cache"):
            shutil.copy(os.path.join("/etc", file), etc)
        # In a mount namespace of its own, which ends with the process.
        other_etc = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', etc]
        if subprocess.run([*other_etc, "true"], capture_output=True, check=False).returncode != 0:
            self.skipTest("no mount namespaces here: needs root")
        volume = self.volume(endpoint=self.server["tls_endpoint"])
        result = self.probe(volume, within=other_etc)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("certificate is not accepted", result.stdout)
        shutil.copy(self.server["ca_file"], os.path.join(etc, "arvados", "ca-certificates.crt"))
        result = self.probe(volume, within=other_etc)
        self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
        cert, _ = certificate(self.dir.path, "another", 1)
        result = self.probe(volume, within=other_etc, env={"SSL_CERT_FILE": cert})
        self.assertEqual(result.returncode, 1, result.stdout)


class Daemon(ProbeCase):
    """The same from the daemon: its log, its readiness, its responses."""

    def test_missing_bucket(self):
        self.assert_daemon_says("S3 does not have this bucket", "404 NoSuchBucket", "check Bucket, Endpoint and Region",
                                volume=self.volume(bucket="no-such-bucket"))

    def test_wrong_keys(self):
        self.assert_daemon_says("S3 does not accept these keys", "403 SignatureDoesNotMatch",
                                "check AccessKeyID and SecretAccessKey", volume=self.bad_keys(SecretAccessKey="WrongSecret1"))

    def test_no_keys(self):
        self.assert_daemon_says("S3 does not accept these keys", "no credentials in the configuration, the environment",
                                volume=self.bad_keys(AccessKeyID="", SecretAccessKey=""))

    def test_nothing_is_allowed(self):
        self.deny("ListBucket", "PutObject", "GetObject")
        self.assert_daemon_says("S3 does not allow these keys to use this bucket", "S3 put: 403 AccessDenied",
                                "must allow s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket")

    def test_another_region(self):
        proxy = self.fault_proxy()
        proxy.rules({"fault": "region_wrong"})
        self.assert_daemon_says("S3 has this bucket in another region", "set Region (and Endpoint) to the bucket's own",
                                volume=self.volume(endpoint=proxy.endpoint))

    def test_a_wrong_clock(self):
        proxy = self.fault_proxy()
        proxy.rules({"fault": "time_skewed"})
        self.assert_daemon_says("S3 does not accept the time of this machine", "check time synchronisation (NTP)",
                                volume=self.volume(endpoint=proxy.endpoint))

    def test_a_clock_that_can_be_allowed_for(self):
        proxy = self.fault_proxy()
        proxy.rules({"fault": "time_skewed", "operation": "list", "count": 1})
        daemon = self.start([self.volume(endpoint=proxy.endpoint)])
        entry = daemon.log.wait(level="warning", condition=lambda e: "clocks" in e["msg"])
        self.assertIn("signed with the service's time", entry["msg"])
        self.assertAlmostEqual(entry["seconds"], 3600, delta=2)

    def test_no_listener(self):
        self.assert_daemon_says("S3 does not respond", "refused", volume=self.volume(endpoint=f"http://127.0.0.1:{refusing_port(self)}"))

    def test_bad_certificate(self):
        if "tls_endpoint" not in self.server:
            self.skipTest("the S3 server has no TLS")
        volume = self.volume(endpoint=self.server["tls_endpoint"])
        self.assert_daemon_says("S3 TLS certificate verification failed",
                                "SSL_CERT_FILE can name the file of the authorities to trust; TLS.Insecure is not for S3",
                                volume=volume, TLS={"Insecure": True})
        daemon = self.start([volume], env={"SSL_CERT_FILE": self.server["ca_file"]})
        daemon.log.wait(msg="S3 bucket can be used")
        self.assertEqual(self.put(daemon, b"a block").status, 200)

    def test_keys_that_may_not_list(self):
        """GET and PUT work; operations that need a listing fail with that reason."""
        proxy = self.fault_proxy()
        # Amazon does not distinguish missing from forbidden objects; this server does for the owner.
        proxy.rules({"fault": "status", "status": 403, "code": "AccessDenied", "method": ["GET", "HEAD"],
                     "path": md5(b"never stored")})
        self.plant(b"planted")
        self.deny("ListBucket")
        daemon = self.start([self.volume(endpoint=proxy.endpoint)])
        entry = daemon.log.wait(level="warning", condition=lambda e: "does not allow these keys to list" in e["msg"])
        self.assertIn("allow s3:ListBucket", entry["msg"])
        self.assertIn("S3 list: 403 AccessDenied", entry["error"])
        self.assertEqual(daemon.request("GET", "/_health/ready").status, 200)
        for data in (b"small", os.urandom(1 << 20)):
            for _ in range(2):  # New, and there already.
                self.assertEqual(self.put(daemon, data).status, 200)
            got = self.get(daemon, data)
            self.assertEqual((got.status, got.body), (200, data))
        self.assertEqual(self.get(daemon, b"planted").body, b"planted")
        # A 404 would mean that the block is lost.
        self.assertEqual(self.get(daemon, b"never stored").status, 503)
        self.assertEqual(self.get(daemon, b"never stored, either").status, 404)
        index = daemon.admin("GET", f"/mounts/{volume_uuid(0)}/blocks")
        self.assertGreaterEqual(index.status, 500, index)
        log = daemon.log.wait(condition=lambda e: "/blocks" in e.get("reqPath", ""))
        self.assertIn("S3 list: 403 AccessDenied", json.dumps(log) + index.text)
        # No volume has become unavailable by this.
        self.assertEqual(daemon.request("GET", "/_health/ready").status, 200)
        self.assertEqual(daemon.log.entries(msg="S3 bucket can be used"), [])

    def test_the_permission_comes_later(self):
        self.deny("ListBucket", "PutObject", "GetObject")
        daemon = self.start([self.volume()])
        daemon.log.wait(level="error", condition=lambda e: "diagnosis" in e)
        self.s3.succeed("DELETE", self.bucket, query={"policy": ""})
        daemon.log.wait(msg="S3 responds again", timeout=15)
        self.assertEqual(daemon.request("GET", "/_health/ready").status, 200)


if __name__ == "__main__":
    main()
