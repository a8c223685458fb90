"""keepctl clone: services that are slow, go away, or lack what a job is written with."""

import json
import signal
import time

from support import keepctl
from support.case import main
from support.clone_case import OUTCOMES, CloneCase
from support.wait import PATIENCE, until


class Outages(CloneCase):
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
