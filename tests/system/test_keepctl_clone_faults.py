"""keepctl clone: what services, keys, networks and certificates do to it."""

import json
import os
import signal
import time

from support import keepctl
from support.case import main, seed
from support.clone_case import OUTCOMES, CloneCase
from support.wait import PATIENCE, until


class Faults(CloneCase):
    def through(self, proxy, **more):
        """Source and target, both through the proxy."""
        return {"source": self.place(self.bucket, proxy.endpoint, **more),
                "target": self.place(self.target, proxy.endpoint, **more)}

    def test_copies_that_are_refused(self):
        blocks = self.fill(6, 1000)
        for status, code in ((403, "AccessDenied"), (404, "NoSuchBucket"), (501, "NotImplemented")):
            with self.subTest(code):
                self.target = self.make_bucket()
                proxy = self.fault_proxy()
                proxy.add("status", status=status, code=code, operation="copy")
                ends = self.through(proxy)
                done = self.clone("--mode", "server-side", "--state-dir", os.path.join(self.dir.path, code), **ends)
                self.assertIn(done.code, (1, 3), done)
                self.assertIn(code, done.stderr)
                self.assertEqual(self.s3.list(self.target), {})
                done = self.clone(**ends)
                self.assert_counts(done, copied=len(blocks), mode="stream")
                self.assertIn("go through this host", done.stderr)
                self.assert_target(blocks)

    def test_two_services(self):
        blocks = self.fill(3, 1000)
        done = self.clone(target=self.place(self.target, self.fault_proxy().endpoint))
        self.assert_counts(done, copied=len(blocks), mode="stream")
        self.assertIn("different services", done.stderr)
        self.assert_target(blocks)

    def test_throttling(self):
        blocks = self.fill(60, 100)
        proxy = self.fault_proxy(seed=seed())
        proxy.add("slow_down", operation=["copy", "put", "list", "get"], probability=0.3)
        for mode in "server-side", "stream":
            self.target = self.make_bucket()
            done = self.clone("--mode", mode, "--digits", "1", **self.through(proxy))
            self.assert_counts(done, copied=len(blocks), failed=0)
            self.assert_target(blocks)
        self.assertGreater(proxy.counters()["faults"]["slow_down"], 20)

    def test_faults_that_pass(self):
        blocks = self.fill(10, 300_000)
        proxy = self.fault_proxy()
        for fault, more in (("region_wrong", {"count": 1}), ("region_redirect", {"count": 1}), ("internal_error", {}), ("reset", {}),
                            ("answer_lost", {}), ("error_in_200", {}), ("truncated_xml", {}), ("wrong_etag", {}),
                            ("time_skewed", {"seconds": 3600, "count": 1}), ("html", {})):
            proxy.rules()
            for operation in "copy", "put":
                proxy.add(fault, operation=operation, **{"count": 2} | more)
            for mode in "server-side", "stream":
                with self.subTest(fault=fault, mode=mode):
                    self.target = self.make_bucket()
                    done = self.clone("--mode", mode, **self.through(proxy))
                    self.assert_counts(done, copied=len(blocks), failed=0, bad_source=0)
                    self.assert_target(blocks)

    def test_a_block_that_fails_is_tried_again_by_the_next_run(self):
        blocks = self.fill(32, 100)
        name = min(blocks)
        proxy = self.fault_proxy()
        proxy.add("status", status=400, code="InvalidArgument", operation="copy", path=f"{self.target}/{name}")
        done = self.clone("--digits", "1", **self.through(proxy))
        self.assert_counts(done, 1, failed=1, copied=len(blocks) - 1)
        self.assertIn(name, done.stderr)
        proxy.rules()
        proxy.forget()
        done = self.clone("--digits", "1", **self.through(proxy))
        self.assert_counts(done, copied=1, job_listed=len(blocks), job_copied=len([n for n in blocks if n[0] != name[0]]) + 1)
        self.assert_target(blocks)
        listed = {r["target"] for r in proxy.requests(operation="list") if "prefix=" + name[0] in r["target"]}
        others = [r["target"] for r in proxy.requests(operation="list") if f"prefix={'1' if name[0] == '0' else '0'}" in r["target"]]
        self.assertTrue(listed)
        self.assertEqual(others, [], "only the segment with the failure is listed")

    def test_listings_that_are_cut(self):
        blocks = self.fill(40, 10)
        proxy = self.fault_proxy()
        # Markers are listed with the segments; the first looks succeed.
        bad = min(blocks)[0]
        proxy.add("truncated_xml", operation="list", path=f"prefix=recent%2F{bad}")
        done = self.clone("--digits", "1", **self.through(proxy), timeout=120)
        self.assertEqual(done.code, 6, done)
        self.assertEqual(done.summary["segments_incomplete"], 1)
        # The other segments are done; of this one nothing is concluded.
        others = {n: d for n, d in blocks.items() if n[0] != bad}
        self.assert_target(others)
        proxy.rules()
        self.assert_counts(self.clone("--digits", "1", **self.through(proxy)), copied=len(blocks) - len(others))
        self.assert_target(blocks)

    def test_keys_that_are_wrong_or_expired(self):
        self.fill(2, 10)
        done = self.clone(env={"AWS_SECRET_ACCESS_KEY": "SECRETCANARY"})
        self.assertEqual(done.code, 3, done)
        self.assertNotIn("SECRETCANARY", done.stderr)
        for side in "source", "target":
            proxy = self.fault_proxy()
            proxy.add("expired_token")
            done = self.clone(**{side: self.place(self.bucket if side == "source" else self.target, proxy.endpoint)})
            self.assertEqual(done.code, 3, done)
            self.assertIn("expired", done.stderr)
        done = self.clone(target=self.place("no-such-bucket-at-all"))
        self.assertEqual(done.code, 3, done)
        self.assertIn("NoSuchBucket", done.stderr)

    def test_keys_of_one_side(self):
        self.fill(2, 10)
        path = os.path.join(self.dir.path, "credentials")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"[right]\naws_access_key_id = {self.server['access_key']}\naws_secret_access_key = "
                       f"{self.server['secret_key']}\n[wrong]\naws_access_key_id = {self.server['access_key']}\n"
                       "aws_secret_access_key = SECRETCANARY\n")
        for wrong in "source", "target":
            ends = {side: self.place(bucket, profile="wrong" if side == wrong else "right")
                    for side, bucket in (("source", self.bucket), ("target", self.target))}
            done = self.clone(env={"AWS_SHARED_CREDENTIALS_FILE": path}, **ends)
            self.assertEqual(done.code, 3, done)
            self.assertIn(ends[wrong].split("?")[0], done.stderr)
            self.assertNotIn("SECRETCANARY", done.stderr)
        self.assertEqual(self.s3.list(self.target), {})

    def test_a_destination_that_may_not_be_written(self):
        blocks = self.fill(40, 100)
        for mode, written in (("server-side", "copy"), ("stream", "put"), ("auto", ["copy", "put"])):
            proxy = self.fault_proxy()
            proxy.add("status", status=403, code="AccessDenied", operation=written)
            done = self.clone("--mode", mode, "--jobs", "4", **self.through(proxy))
            self.assertEqual(done.code, 3, done)
            self.assertIn("ended early", done.stderr)
            self.assertLessEqual(done.summary["failed"], 4, "not block by block")
            self.assertLessEqual(proxy.fired()[0], 10)
            self.assertEqual(self.s3.list(self.target), {})
        proxy.rules()
        self.assertEqual(self.clone(**self.through(proxy)).code, 0)
        self.assert_target(blocks)

    def test_a_slow_destination(self):
        """Slow is no failure; and a signal does not wait for it."""
        blocks = self.fill(4, 500_000)
        proxy = self.fault_proxy()
        proxy.add("slow_request", operation="put", path=self.target, rate=1_000_000)
        self.assert_counts(self.clone("--mode", "stream", **self.through(proxy)), copied=len(blocks), failed=0)
        self.assert_target(blocks)
        self.target = self.make_bucket()
        proxy.rules({"fault": "slow_request", "operation": "put", "path": self.target, "rate": 20_000})
        running = self.start_clone("--mode", "stream", **self.through(proxy))
        until(lambda: proxy.fired() == [len(blocks)], what="the uploads under way")
        running.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 143, stderr)
        self.assertLess(time.monotonic() - begun, 10 + 4 * PATIENCE)
        self.assertEqual(json.loads(stdout.splitlines()[-1])["left"], len(blocks))
        self.assertEqual(self.s3.list(self.target), {})

    def test_keys_that_end_in_the_middle(self):
        blocks = self.fill(40, 100)
        proxy = self.fault_proxy()
        proxy.add("status", status=403, code="InvalidAccessKeyId", operation="copy", skip=20)
        done = self.clone(**self.through(proxy))
        self.assertEqual(done.code, 6, done)
        self.assertIn("ended early", done.stderr)
        self.assertIn("to go on", done.stderr)
        self.assertEqual(done.summary["listed"], sum(done.summary[k] for k in OUTCOMES))
        proxy.rules()
        self.assertEqual(self.clone(**self.through(proxy)).code, 0)
        self.assert_target(blocks)

    def test_certificates(self):
        if "tls_endpoint" not in self.server:
            self.skipTest("the S3 server has no TLS")
        blocks = self.fill(2, 10)
        secure, trusted = self.server["tls_endpoint"], {"ca-file": self.server["ca_file"]}
        for ends in ({"source": self.place(self.bucket, secure)}, {"target": self.place(self.target, secure)}):
            done = self.clone(**ends)
            self.assertEqual(done.code, 3, done)
            self.assertIn("ertificate", done.stderr)
        done = self.clone(source=self.place(self.bucket, secure, **trusted), target=self.place(self.target, secure, **trusted))
        self.assert_counts(done, copied=len(blocks), mode="server-side")

    def test_a_job_where_conditional_puts_are_unknown(self):
        blocks = self.fill(20, 10)
        proxy = self.fault_proxy()
        proxy.add("status", status=501, code="NotImplemented", operation="put", path="job.json", count=1)
        folder = self.make_bucket()
        job = self.place(folder, proxy.endpoint).replace(f"s3://{folder}", f"s3://{folder}/deep/job")
        self.assert_counts(self.clone("--job", job, "--digits", "1"), copied=len(blocks), job_copied=len(blocks))
        self.assertEqual(proxy.fired(), [1])
        later = [r for r in proxy.requests(operation="put") if r["status"] == 200]
        self.assertEqual([r for r in later if any(n.lower().startswith("if-") for n in r["headers"])], [])
        names = set(self.s3.list(folder))
        self.assertLessEqual({"deep/job/job.json", "deep/job/result.json", "deep/job/segments/0.json"}, names)
        done = keepctl.run(self.dir.path, "clone", "--json", "status", job, env=self.keys)
        self.assertEqual((done.code, done.rows("job")[0]["done"]), (0, 16), done)

    def test_two_accounts(self):
        blocks = self.fill(3, 10)
        path = os.path.join(self.dir.path, "credentials")
        with open(path, "w", encoding="ascii") as file:
            for name in "from", "to":
                file.write(f"[{name}]\naws_access_key_id = {self.server['access_key']}\n"
                           f"aws_secret_access_key = {self.server['secret_key']}\n")
        done = self.clone(source=self.place(self.bucket, profile="from"), target=self.place(self.target, profile="to"),
                          env={"AWS_SHARED_CREDENTIALS_FILE": path, "AWS_ACCESS_KEY_ID": "WRONG"})
        self.assert_counts(done, copied=len(blocks))

    def test_an_outage(self):
        blocks = self.fill(30, 1000)
        proxy = self.fault_proxy()
        proxy.add("delay", seconds=0.1, operation="copy")
        running = self.start_clone("--jobs", "2", **self.through(proxy))
        until(lambda: len(self.s3.list(self.target)) > 6, what="some blocks")
        proxy.outage("refuse")
        stderr = b""
        while b"waiting for the buckets" not in stderr:
            line = running.stderr.readline()
            self.assertTrue(line, stderr)
            stderr += line
        proxy.outage("none")
        stdout, rest = running.communicate()
        self.assertEqual(running.returncode, 0, stderr + rest)
        self.assertIn(b"work again", rest)
        self.assertEqual(json.loads(stdout.splitlines()[-1])["copied"], len(blocks))
        self.assert_target(blocks)

    def test_an_outage_that_lasts(self):
        blocks = self.fill(30, 1000)
        proxy = self.fault_proxy()
        proxy.add("delay", seconds=0.1, operation="copy")
        running = self.start_clone("--jobs", "2", "--give-up-after", "1s", **self.through(proxy))
        until(lambda: len(self.s3.list(self.target)) > 6, what="some blocks")
        proxy.outage("refuse")
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 6, stderr)
        summary = json.loads(stdout.splitlines()[-1])
        self.assertEqual(summary["listed"], sum(summary[k] for k in OUTCOMES))
        proxy.outage("none")
        self.assertEqual(self.clone(**self.through(proxy)).code, 0)
        self.assert_target(blocks)


if __name__ == "__main__":
    main()
