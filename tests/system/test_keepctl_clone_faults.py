"""keepctl clone: what faults of services and networks do to it."""

import os

from support.case import main
from support.clone_case import CloneCase


class Faults(CloneCase):
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


if __name__ == "__main__":
    main()
