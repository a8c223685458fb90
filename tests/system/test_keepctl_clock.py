"""keepctl on a host whose clock is wrong, or is set while it runs: durations are not measured by it."""

import json

from support import keepctl
from support.case import main
from support.replicate_case import ReplicateCase, count
from support.shim import Shim
from support.wait import until

HOUR = 3600
DAY = 24 * HOUR


class Clock(ReplicateCase):
    def setUp(self):
        super().setUp()
        self.shim = Shim(self.dir.make("shim"))
        self.a, self.b = self.dir.make("a"), self.dir.make("b")

    def start_run(self, *more):
        running = keepctl.start(self.dir.path, "replicate", "--json", f"dir:{self.a}", f"dir:{self.b}", "--jobs", "1", "--digits", "2",
                                "--bandwidth", "1MiB", *more, env=self.shim.env)
        self.addCleanup(running.kill)
        until(lambda: count(self.b) > 3 and self.state_files(), what="some blocks, and a checkpoint")
        self.assertIsNone(running.poll(), "it ended too early: the test proves nothing")
        return running

    def test_a_clock_that_is_set_while_blocks_are_copied(self):
        for ahead in -2 * HOUR, 2 * HOUR, -400 * DAY:
            with self.subTest(ahead=ahead):
                self.shim.clear("clock")
                blocks = self.fill(self.a, 25, 100_000)
                running = self.start_run("--progress", "json", "--metrics-file", self.path("metrics"), "--timeout", "1h")
                self.shim.set("clock", str(ahead))
                stdout, stderr = running.communicate()
                self.assertEqual(running.returncode, 0, stderr)
                self.assertGreaterEqual(self.summary_of(stdout)["copied"], len(blocks))
                self.assertEqual(keepctl.stored(self.b), keepctl.stored(self.a))
                with open(self.path("metrics"), encoding="utf-8") as file:
                    seconds, = [line.split()[-1] for line in file if line.startswith("keepctl_run_duration_seconds{")]
                self.assertTrue(0 < float(seconds) < 600, seconds)
                self.assertEqual(self.state_files(), [])

    def test_a_run_goes_on_whatever_the_clock_was(self):
        blocks = self.fill(self.a, 60, 50_000)
        words = (f"dir:{self.a}", f"dir:{self.b}", "--jobs", "1", "--digits", "2")
        self.start_run().kill()
        state = self.path("state/runs/" + self.state_files()[0])
        with open(state, "rb") as file:
            saved = file.read()
        self.assertGreater(int(json.loads(saved)["done"], 16), 0)
        # One that began in the future is not too old; what the clock says now is no reason to believe it more or less.
        for ahead, goes_on in ((-2 * HOUR, True), (-30 * DAY, True), (6 * DAY, True), (8 * DAY, False)):
            with self.subTest(ahead=ahead):
                with open(state, "wb") as file:
                    file.write(saved)
                self.shim.set("clock", str(ahead))
                done = self.replicate(*words, env=self.shim.env)
                self.assertEqual(done.code, 0, done)
                self.assertEqual("going on with" in done.stderr, goes_on, done)
                self.assertEqual("more than 7 days ago" in done.stderr, not goes_on, done)
                self.assertEqual(keepctl.stored(self.b), blocks)
                self.assertEqual(self.state_files(), [])


if __name__ == "__main__":
    main()
