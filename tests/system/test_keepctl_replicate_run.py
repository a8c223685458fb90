"""keepctl replicate as a run: bandwidth, order, signals in each phase, passes without end, and what it tells systemd."""

import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import termios
import time

from support import keepctl
from support.case import main
from support.locator import md5
from support.mounts import Tmpfs
from support.replicate_case import ReplicateCase, ReplicateServerCase, count
from support.stub import Stub
from support.systemd import NotifySocket, check_unit
from support.wait import PATIENCE, stable_port, until

KIB, MIB = 1 << 10, 1 << 20
# The slowest run that there is: a block of 300 kB takes more than a second.
SLOW = ("--bandwidth", "256KiB", "--progress", "none")
MOUNTS = json.dumps([{"uuid": "zzzzz-nyw5e-000000000000000", "device_id": "x", "allow_write": True}]).encode()


class Runs(ReplicateCase):
    def start_slow(self, a, b, *more, blocks=1, **options):
        """A run that goes on for a while, and has copied some blocks."""
        running = keepctl.start(self.dir.path, "replicate", "--json", f"dir:{a}", f"dir:{b}", *SLOW, *more, **options)
        until(lambda: count(b) >= blocks or running.poll() is not None, 20, f"{blocks} blocks")
        self.assertIsNone(running.poll(), "it ended too early")
        return running

    def test_bandwidth(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 8, 256 * KIB)
        begun = time.monotonic()
        done = self.replicate(f"dir:{a}", f"dir:{b}", "--bandwidth", "1MiB")
        took = time.monotonic() - begun
        self.assert_counts(done, copied=len(blocks))
        # Without the burst of a tenth of a second, and one read beyond the rate.
        self.assertGreater(took, (2 * MIB - 256 * KIB - MIB / 10) / MIB)
        self.assertEqual(keepctl.stored(b), blocks)
        done = self.replicate(f"dir:{a}", f"dir:{b}", "--bandwidth", "1KiB")
        self.assertEqual(done.code, 2, done)

    def test_files_of_a_run_survive_a_power_cut(self):
        """Each is synced, renamed, and its folder is synced, in this order."""
        strace = shutil.which("strace")
        if not strace:
            self.skipTest("strace is not installed")
        a, b, log, metrics = self.dir.make("a"), self.dir.make("b"), self.path("log"), self.path("metrics/m.prom")
        self.fill(a, 3, 1000)
        self.dir.make("metrics")
        done = subprocess.run([strace, "-f", "-y", "-e", "trace=fsync,rename", "-o", log, keepctl.program(), "replicate", f"dir:{a}",
                               f"dir:{b}", "--metrics-file", metrics], env=keepctl.environment(self.dir.path), capture_output=True,
                              timeout=60 * PATIENCE, check=False)
        if b"ptrace" in done.stderr:
            self.skipTest("strace is not allowed to trace here")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(log, encoding="utf-8") as file:
            calls = re.findall(r'(fsync)\(\d+<(.*)>\) += 0|(rename)\("(.*)", "(.*)"\) = 0', file.read())
        synced = [path for call, path, *_ in calls if call]
        for i, (_, _, renamed, temp, path) in enumerate(calls):
            if renamed:
                self.assertIn(temp, [c[1] for c in calls[:i]], "renamed before it was synced")
                self.assertIn(os.path.dirname(path), [c[1] for c in calls[i:]], "the new name was not synced")
        renamed = {os.path.dirname(c[4]) for c in calls if c[2]}
        self.assertEqual(renamed, {self.path("state/runs"), self.path("metrics")}, synced)

    def test_two_runs_at_once(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 6, 300_000)
        first = self.start_slow(a, b)
        second = self.replicate(f"dir:{a}", f"dir:{b}")
        self.assertEqual(second.code, 5, second)
        self.assertIsNone(first.poll(), "the first run was over: the test proves nothing")
        # Others may run: of another destination, and one that changes nothing.
        self.assertEqual(self.replicate(f"dir:{a}", f"dir:{self.dir.make('c')}").code, 0)
        self.assertEqual(self.replicate(f"dir:{a}", f"dir:{b}", "--dry-run").code, 0)
        stdout, stderr = first.communicate()
        self.assertEqual(first.returncode, 0, stderr)
        self.assertEqual(self.summary_of(stdout)["copied"], len(blocks))
        self.assertEqual(keepctl.stored(b), blocks)

    def test_newest_first(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 60, 1000)
        ages = {}
        for i, name in enumerate(blocks):
            band = i % 4
            ages[name] = band
            age = (600, 7200, 3 * 86400, 90 * 86400)[band]
            os.utime(os.path.join(a, name[:3], name), (0, time.time() - age))
        some = [n for n in blocks if ages[n] == 2][:5]
        for name in some:
            keepctl.store(b, blocks[name])
        done = self.replicate(f"dir:{a}", f"dir:{b}", "--newest-first", "--jobs", "1", "--digits", "1")
        self.assert_counts(done, listed=len(blocks), present=len(some), copied=len(blocks) - len(some), shards_done=16)
        # Those of one tick of the kernel's clock have one time: their order is not known.
        written = sorted(set(blocks) - set(some), key=lambda n: (os.stat(os.path.join(b, n[:3], n)).st_mtime_ns, ages[n]))
        order = [ages[n] for n in written]
        self.assertEqual(order, sorted(order))
        self.assertEqual(keepctl.stored(b), blocks)
        self.assertEqual(self.state_files(), [])

    def test_a_block_of_an_early_band_counts_once(self):
        """It failed, so it is still missing when its shard is listed again for older blocks."""
        a, b = self.dir.make("a"), self.dir.make("b")
        self.fill(a, 4, 1000)
        for name in keepctl.stored(a):
            os.utime(os.path.join(a, name[:3], name), (1_600_000_000, 1_600_000_000))
        rotten = keepctl.store(a, b"rotten", md5(b"something else"))
        os.utime(os.path.join(a, rotten[:3], rotten), (0, time.time() - 60))
        done = self.replicate(f"dir:{a}", f"dir:{b}", "--newest-first", "--digits", "0")
        self.assert_counts(done, 1, listed=5, copied=4, bad_source=1)
        # A warning at once, and once in the list.
        self.assertEqual(["warning" in line for line in done.stderr.splitlines() if rotten in line], [True, False])

    def test_verify(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 4, 200_000)
        running = self.start_slow(a, b, "--verify", "--jobs", "1", "--failures", self.path("failures"))
        lost = next(iter(keepctl.stored(b)))
        os.unlink(os.path.join(b, lost[:3], lost))
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 1, stderr)
        summary = self.summary_of(stdout)
        self.assertEqual((summary["copied"], summary["failed"], summary["verify_missing"]), (len(blocks), 0, 1))
        with open(self.path("failures"), encoding="utf-8") as file:
            self.assertEqual([json.loads(line)["hash"] for line in file], [lost])
        done = self.replicate(f"dir:{a}", f"dir:{b}", "--verify", "--only", self.path("failures"))
        self.assert_counts(done, copied=1, verify_missing=0)

        # What failed is not counted twice.
        keepctl.store(a, b"rotten", md5(b"something else"))
        done = self.replicate(f"dir:{a}", f"dir:{b}", "--verify")
        self.assert_counts(done, 1, bad_source=1, verify_missing=0, present=len(blocks))

    def test_a_block_that_is_trashed_after_the_listing(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 5, 200_000)
        # Without shards there is one listing, at the start.
        running = self.start_slow(a, b, "--jobs", "1", "--digits", "0")
        last = max(blocks)
        os.unlink(os.path.join(a, last[:3], last))
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 0, stderr)
        summary = self.summary_of(stdout)
        self.assertEqual((summary["copied"], summary["gone"], summary["failed"]), (len(blocks) - 1, 1, 0))

    def test_signals_while_blocks_are_copied(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(code):
                a, b = self.dir.make(f"a{code}"), self.dir.make(f"b{code}")
                blocks = self.fill(a, 8, 150_000)
                running = self.start_slow(a, b, "--jobs", "2")
                running.send_signal(number)
                stdout, stderr = running.communicate()
                self.assertEqual(running.returncode, code, stderr)
                summary = self.summary_of(stdout)
                self.assertEqual(summary["exit_code"], code)
                # Those that were under way have ended.
                self.assertGreater(summary["left"], 0)
                self.assertEqual(summary["copied"], count(b))
                self.assert_no_leftovers(b)
                self.assertEqual({n: d for n, d in keepctl.stored(b).items() if blocks[n] != d}, {})

    def test_a_second_signal_ends_at_once(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        self.fill(a, 2, 8_000_000)
        running = keepctl.start(self.dir.path, "replicate", "--json", f"dir:{a}", f"dir:{b}", *SLOW)
        until(lambda: self.is_writing(running.pid, b), what="a block under way")
        running.send_signal(signal.SIGINT)
        line = running.stderr.readline()
        self.assertIn(b"a second signal", line)
        begun = time.monotonic()
        running.send_signal(signal.SIGINT)
        stdout, _ = running.communicate()
        # The block under way would have taken half a minute, and the first signal alone gives it ten seconds.
        self.assertLess(time.monotonic() - begun, 8)
        self.assertEqual((running.returncode, stdout), (130, b""))
        self.assertEqual(keepctl.stored(b), {})
        self.assertEqual(self.replicate(f"dir:{a}", f"dir:{b}").code, 0)

    def is_writing(self, pid, root):
        """Whether it has a file open there, also one without a name."""
        for fd in os.listdir(f"/proc/{pid}/fd"):
            try:
                path = os.readlink(f"/proc/{pid}/fd/{fd}")
            except OSError:
                continue
            if path.startswith(root + "/") and len(path.removeprefix(root + "/").split("/")) > 1:
                return True
        return False

    def test_signals_before_blocks_are_copied(self):
        """While a server is contacted, and while it is listed."""
        b = self.dir.make("b")
        for phase in "mounts", "blocks":
            for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
                with self.subTest(phase=phase, code=code):
                    stub = Stub(lambda path, _, phase=phase: None if phase in path.split("?")[0].split("/")[-1] else (200, MOUNTS, {}))
                    self.addCleanup(stub.close)
                    running = keepctl.start(self.dir.path, "replicate", "--json", f"keep:{stub.url}", f"dir:{b}")
                    until(lambda stub=stub, phase=phase: stub.count(phase), what=f"a request for {phase}")
                    begun = time.monotonic()
                    running.send_signal(number)
                    stdout, stderr = running.communicate()
                    self.assertEqual(running.returncode, code, stderr)
                    self.assertLess(time.monotonic() - begun, 5 * PATIENCE)
                    self.assertEqual(json.loads(stdout.splitlines()[-1])["type"], "summary")

    def test_timeout(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        self.fill(a, 8, 300_000)
        done = self.replicate(f"dir:{a}", f"dir:{b}", *SLOW, "--timeout", "2s")
        self.assertEqual(done.code, 6, done)
        self.assertGreater(done.summary["left"], 0)
        self.assertIn("to go on: keepctl replicate", done.stderr)

    def test_a_closed_stdout(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 3, 1000)
        for option in ("--json",), ():
            reader, writer = os.pipe()
            os.close(reader)
            try:
                done = subprocess.run([keepctl.program(), "replicate", *option, f"dir:{a}", f"dir:{b}"], stdout=writer,
                                      stderr=subprocess.PIPE, env=keepctl.environment(self.dir.path), check=False,
                                      timeout=60 * PATIENCE)
            finally:
                os.close(writer)
            self.assertEqual(done.returncode, 6, done.stderr)
        self.assertEqual(keepctl.stored(b), blocks)

    def test_a_state_folder_that_becomes_full(self):
        a, b, state = self.dir.make("a"), self.dir.make("b"), self.dir.make("state-tmpfs")
        mount = Tmpfs(state, "size=256k")
        self.addCleanup(mount.close)
        blocks = self.fill(a, 6, 200_000)
        running = self.start_slow(a, b, "--jobs", "1", "--state-dir", state)
        with open(os.path.join(state, "junk"), "wb", buffering=0) as junk:
            try:
                while True:
                    junk.write(bytes(4096))
            except OSError:
                pass
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 6, stderr)
        self.assertEqual(stderr.count(b"going on without a checkpoint"), 1, stderr)
        self.assertEqual(self.summary_of(stdout)["copied"], len(blocks))
        self.assertEqual(keepctl.stored(b), blocks)

    def test_progress(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 6, 200_000)
        running = keepctl.start(self.dir.path, "replicate", f"dir:{a}", f"dir:{b}", "--bandwidth", "256KiB", "--progress",
                                "json", "--jobs", "1")
        _, stderr = running.communicate()
        lines = [json.loads(line) for line in stderr.decode().splitlines() if line.startswith("{")]
        self.assertGreater(len(lines), 2)
        for before, after in zip(lines, lines[1:]):
            for name in "listed", "copied", "bytes", "planned", "planned_bytes", "shards_done":
                self.assertLessEqual(before[name], after[name])
        for line in lines:
            self.assertLessEqual(line["copied"], line["planned"])
            if line["all_planned"]:
                self.assertEqual((line["planned"], line["planned_bytes"]), (len(blocks), 200_000 * len(blocks)))
        self.assertIsNotNone(lines[-1]["eta_seconds"])

    def test_progress_on_a_terminal(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        self.fill(a, 4, 150_000)
        control, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
        env = keepctl.environment(self.dir.path, {"TERM": "xterm"})
        running = subprocess.Popen([keepctl.program(), "replicate", f"dir:{a}", f"dir:{b}", "--bandwidth", "256KiB", "--jobs", "1"],
                                   stderr=terminal, stdout=subprocess.PIPE, env=env)
        os.close(terminal)
        seen = b""
        while True:
            try:
                piece = os.read(control, 4096)
            except OSError:  # The other end is closed.
                break
            if not piece:
                break
            seen += piece
        os.close(control)
        running.communicate()
        self.assertEqual(running.returncode, 0)
        shown = [line for line in seen.decode().split("\r\x1b[K") if line]
        self.assertGreater(len(shown), 3)
        self.assertTrue(shown[0].startswith("replicate  shard "), shown)
        self.assertLess(max(map(len, shown)), 40)
        self.assertTrue(seen.endswith(b"\r\x1b[K"), seen[-80:])  # Nothing is left of it.


class Unit(ReplicateCase):
    def test_the_example_for_systemd(self):
        check_unit(self, "keepctl-replicate.service", "replicate")


class Continuous(ReplicateServerCase):
    def setUp(self):
        super().setUp()
        self.systemd = NotifySocket(self)
        self.wait_for = self.systemd.wait_for

    def run_continuously(self, a, b, *more, interval="1h"):
        running = keepctl.start(self.dir.path, "replicate", "--json", a, b, "--continuous", "--interval", interval, *more,
                                env=self.systemd.env)
        self.addCleanup(running.stderr.close)
        self.addCleanup(running.stdout.close)
        self.addCleanup(running.wait)
        self.addCleanup(running.kill)
        return running

    def stop(self, running, code):
        running.send_signal(signal.SIGTERM)
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, code, stderr)
        objects = [json.loads(line) for line in stdout.splitlines()]
        self.assertEqual(objects[-1]["type"], "summary")
        return [o for o in objects if o["type"] == "pass"], stderr.decode()

    def test_passes(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 5, 1000)
        running = self.run_continuously(f"dir:{a}", f"dir:{b}")
        self.wait_for("READY=1")
        self.wait_for("STATUS=pass 1 has ended with 0")
        self.assertEqual(keepctl.stored(b), blocks)
        self.wait_for("WATCHDOG=1")
        # A signal instead of the interval.
        for number in 2, 3:
            blocks |= self.fill(a, 2, 2000)
            running.send_signal(signal.SIGHUP)
            self.wait_for(f"STATUS=pass {number} has ended with 0")
            self.assertEqual(keepctl.stored(b), blocks)
        passes, stderr = self.stop(running, 0)
        self.assertEqual([p["copied"] for p in passes], [5, 2, 2])
        self.assertEqual([p["present"] for p in passes], [0, 5, 7])
        self.assertNotIn("to go on", stderr)
        self.assertEqual(self.state_files(), [])

    def test_the_interval(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 2, 1000)
        running = self.run_continuously(f"dir:{a}", f"dir:{b}", interval="200ms")
        self.wait_for("STATUS=pass 2 ")
        blocks |= self.fill(a, 2, 2000)
        until(lambda: keepctl.stored(b) == blocks, what="the new blocks")
        self.stop(running, 0)

    def test_failures_do_not_end_it(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        blocks = self.fill(a, 3, 1000)
        rotten = keepctl.store(a, b"rotten", md5(b"something else"))
        running = self.run_continuously(f"dir:{a}", f"dir:{b}", "--failures", self.path("failures"))
        self.wait_for("STATUS=pass 1 has ended with 1")
        # Mended; but it is not tried again before a minute is over, and counts as failed until then.
        keepctl.store(a, b"something else", rotten)
        running.send_signal(signal.SIGHUP)
        self.wait_for("STATUS=pass 2 has ended with 1")
        self.assertEqual(keepctl.stored(b), blocks)
        with open(self.path("failures"), encoding="utf-8") as file:
            self.assertEqual([json.loads(line)["hash"] for line in file], [rotten])
        passes, _ = self.stop(running, 1)
        self.assertEqual([p["bad_source"] + p["failed"] for p in passes], [1, 1])

        running = self.run_continuously(f"dir:{a}", f"dir:{b}", interval="100ms")
        self.wait_for("STATUS=pass 1 has ended with 0")
        keepctl.store(a, b"rotten", md5(b"another"))
        self.wait_for("has ended with 1")
        self.stop(running, 1)

    def test_exit_on_failure(self):
        a, b = self.dir.make("a"), self.dir.make("b")
        self.fill(a, 3, 1000)
        running = self.run_continuously(f"dir:{a}", f"dir:{b}", "--exit-on-failure", interval="100ms")
        self.wait_for("STATUS=pass 2 has ended with 0")
        keepctl.store(a, b"rotten", md5(b"something else"))
        running.wait(30 * PATIENCE)
        self.assertEqual(running.returncode, 1)
        done = self.replicate(f"dir:{a}", f"dir:{b}", "--exit-on-failure")
        self.assertEqual(done.code, 2, done)

    def test_a_server_that_is_away_between_two_passes(self):
        url = f"http://127.0.0.1:{stable_port()}/"
        daemon = self.start([self.dir.make("v0")], url=url)
        root, b = daemon.roots()[0], self.dir.make("b")
        blocks = self.fill(root, 3, 1000)
        running = self.run_continuously(self.place(daemon), f"dir:{b}", *self.secrets, "--give-up-after", "1s")
        self.wait_for("STATUS=pass 1 has ended with 0")
        daemon.stop()
        running.send_signal(signal.SIGHUP)
        self.wait_for("STATUS=pass 2 has ended with 6")
        again = self.start([root], url=url)
        blocks |= self.fill(again.roots()[0], 2, 2000)
        running.send_signal(signal.SIGHUP)
        self.wait_for("STATUS=pass 3 has ended with 0")
        self.stop(running, 0)
        self.assertEqual(keepctl.stored(b), blocks)

    def test_a_source_that_cannot_be_reached_at_first(self):
        b = self.dir.make("b")
        running = self.run_continuously("keep:http://127.0.0.1:1", f"dir:{b}")
        running.wait(30 * PATIENCE)
        self.assertEqual(running.returncode, 3)


if __name__ == "__main__":
    main()
