"""keepctl clone: services that ask it to slow down, and listings that it tries again."""

import concurrent.futures

from support.case import main, seed
from support.clone_case import CloneCase


class Waits(CloneCase):
    def test_throttling(self):
        """Both modes at the same time: they mostly wait."""
        blocks = self.fill(60, 100)
        proxy = self.fault_proxy(seed=seed())
        proxy.add("slow_down", operation=["copy", "put", "list", "get"], probability=0.3)
        modes = "server-side", "stream"
        targets = [self.make_bucket() for _ in modes]

        def cloned(mode, target):
            return self.clone("--mode", mode, "--digits", "1", source=self.place(self.bucket, proxy.endpoint),
                              target=self.place(target, proxy.endpoint))

        with concurrent.futures.ThreadPoolExecutor(len(modes)) as pool:
            outcomes = list(pool.map(cloned, modes, targets))
        for mode, target, done in zip(modes, targets, outcomes):
            self.assert_counts(done, copied=len(blocks), failed=0, mode=mode)
            self.assert_target(blocks, bucket=target)
        self.assertGreater(proxy.counters()["faults"]["slow_down"], 20)

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


if __name__ == "__main__":
    main()
