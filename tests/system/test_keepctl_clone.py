"""keepctl clone: from bucket to bucket, inside the service and through this host, with what goes wrong on the way."""

import json
import os
import re
import shlex
import signal
import time

from support import keepctl
from support.case import main, rounds
from support.clone_case import OUTCOMES, CloneCase
from support.locator import md5
from support.wait import until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

class Clone(CloneCase):
    def test_inside_the_service(self):
        blocks = self.fill(30)
        large = max(blocks, key=lambda n: len(blocks[n]))
        self.s3.succeed("PUT", self.bucket, "recent/" + large, headers={"x-amz-meta-keepstore-waypoints": "AAECAw=="})
        unmarked = md5(b"unmarked")
        self.s3.put(self.bucket, unmarked, b"unmarked")
        blocks[unmarked] = b"unmarked"
        size = sum(map(len, blocks.values()))
        before = self.s3.list(self.bucket)
        proxy = self.fault_proxy()
        ends = {"source": self.place(self.bucket, proxy.endpoint), "target": self.place(self.target, proxy.endpoint)}

        done = self.clone("--dry-run", **ends)
        self.assert_counts(done, listed=len(blocks), copied=len(blocks), bytes=size)
        self.assertEqual({r["method"] for r in proxy.requests()}, {"GET"})
        self.assertEqual(self.s3.list(self.target), {})

        proxy.forget()
        done = self.clone(**ends)
        self.assert_counts(done, copied=len(blocks), bytes=size, mode="server-side", failed=0, read_to_verify=0)
        self.assert_target(blocks)
        self.assertEqual(self.s3.list(self.bucket), before)
        marker = self.s3.head(self.target, "recent/" + large)
        self.assertEqual(marker.headers.get("x-amz-meta-keepstore-waypoints"), "AAECAw==")
        # Two requests for a new block, and a handful of listings.
        counted = proxy.counters()["requests"]
        self.assertEqual(counted.get("copy"), 2 * len(blocks) - 1)
        self.assertEqual(counted.get("put"), 1)
        self.assertLess(sum(counted.values()), 2 * len(blocks) + 16, counted)

        proxy.forget()
        done = self.clone("--error-on-no-change", **ends)
        self.assert_counts(done, 9, present=len(blocks), copied=0)
        self.assertEqual(set(proxy.counters()["requests"]), {"list"})

    def test_through_this_host(self):
        blocks = self.fill(18)
        done = self.clone("--mode", "stream")
        self.assert_counts(done, copied=len(blocks), mode="stream", failed=0)
        self.assert_target(blocks)
        for name, data in blocks.items():
            waypoints = self.s3.head(self.target, "recent/" + name).headers.get("x-amz-meta-keepstore-waypoints")
            self.assertEqual(waypoints is not None, len(data) > 262_144, len(data))
        self.assert_counts(self.clone("--mode", "stream"), present=len(blocks), copied=0)

    def test_bandwidth(self):
        blocks = self.fill(8, 256 << 10)
        for mode in "server-side", "stream":
            self.target = self.make_bucket()
            begun = time.monotonic()
            done = self.clone("--mode", mode, "--bandwidth", "1MiB", "--digits", "1", "--progress", "json")
            took = time.monotonic() - begun
            progress = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
            # Most segments have no block, and end at once.
            self.assertTrue(any(line["eta_seconds"] is not None for line in progress), done)
            self.assert_counts(done, copied=len(blocks))
            # Without the burst of a tenth of a second, and one block beyond the rate.
            self.assertGreater(took, 2 - 0.25 - 0.1, mode)
            self.assert_target(blocks)
        done = self.clone("--bandwidth", "512KiB")
        self.assertEqual((done.code, "expected a size from 1MiB" in done.stderr), (2, True), done)

    def test_prefix_lengths_differ(self):
        blocks = self.fill(12, 100, length=3)
        source = self.place(self.bucket, **{"prefix-length": "3"})
        for length, digits, mode in ((0, "0", "auto"), (3, "1", "stream"), (1, "2", "auto")):
            target = self.make_bucket()
            done = self.clone("--digits", digits, "--mode", mode, source=source,
                              target=self.place(target, **{"prefix-length": str(length)}))
            self.assert_counts(done, copied=len(blocks), segments=16 ** int(digits))
            self.assert_target(blocks, length, target)
        # A wrong prefix-length finds no block.
        done = self.clone()
        self.assertEqual(done.code, 4, done)
        self.assertIn("prefix-length", done.stderr)

    def test_trash(self):
        blocks = self.fill(3, 50)
        for data in (b"one", b"two"):
            self.s3.put(self.bucket, "trash/" + md5(data), data)
            self.s3.put(self.bucket, "recent/" + md5(data), b"")
        self.assert_counts(self.clone(), listed=3, copied=3)
        self.assert_target(blocks)
        for mode in "auto", "stream":
            target = self.make_bucket()
            done = self.clone("--trash", "--mode", mode, target=self.place(target))
            self.assert_counts(done, listed=5, copied=5)
            self.assertIn("into the trash", keepctl.run(self.dir.path, "clone", self.place(self.bucket), self.place(target),
                                                     "--trash", env=self.keys).stderr)
            found = self.s3.list(target)
            self.assertEqual(set(found), set(blocks) | {f"trash/{md5(d)}" for d in (b"one", b"two")} | {
                f"recent/{n}" for n in (*blocks, md5(b"one"), md5(b"two"))})
            self.assertEqual(self.s3.get(target, "trash/" + md5(b"two")), b"two")

    def test_other_keys_are_counted_and_left(self):
        blocks = self.fill(3, 50)
        for key in ("README", "0123", "recent/odd", "trash/odd", "zebra", "fff/" + "f" * 32, "=x"):
            self.s3.put(self.bucket, key, b"x")
        done = self.clone("--trash")
        self.assert_counts(done, listed=3, copied=3, foreign=7)
        self.assert_target(blocks)

    def test_an_empty_source_is_taken_for_a_mistake(self):
        self.assertEqual(self.clone().code, 4)
        self.s3.put(self.bucket, "README", b"x")
        self.assertIn("--allow-empty-source", self.clone().stderr)
        self.assert_counts(self.clone("--allow-empty-source"), listed=0, copied=0)

    def test_usage(self):
        def usage(*arguments, text):
            done = keepctl.run(self.dir.path, "clone", *arguments, env=self.keys)
            self.assertEqual(done.code, 2, done)
            self.assertIn(text, done.stderr)

        one, two = self.place(self.bucket), self.place(self.target)
        usage(one, one, text="same bucket")
        usage(one, f"dir:{self.dir.path}", text="replicate")
        usage(one, text="SOURCE and DESTINATION")
        usage(one, two, "--mode", "fast", text="server-side")
        usage(one, two, "--worker", "/nowhere", text="--worker")
        usage("--worker", os.path.join(self.dir.path, "none"), text="no job")
        usage("status", os.path.join(self.dir.path, "none"), text="no job")
        usage("status", "s3://bucket", text="prefix")
        usage(one, two, "--claim-time", "0s", text="1s to 1h")
        usage("volume:zzzzz-nyw5e-000000000000000", two, text="configuration")


class Documents(CloneCase):
    def test_the_transcript_is_right(self):
        with open(os.path.join(ROOT, "docs", "keepctl.md"), encoding="utf-8") as file:
            text = file.read().split("<!-- A test runs this transcript. -->")[1]
        lines = [line[4:] for line in re.match(r"\s*((?:    .*\n)+)", text).group(1).splitlines()]
        buckets = {"old": self.bucket, "new": self.target, "more": self.make_bucket()}
        for data in (b"foo", b"bar", b"hello"):
            self.s3.put(self.bucket, md5(data), data)
            self.s3.put(self.bucket, "recent/" + md5(data), b"")

        def real(line):
            for name, bucket in buckets.items():
                line = line.replace(f"s3://{name}?endpoint=https://s3.example", self.place(bucket))
            return line.replace("./job", os.path.join(self.dir.path, "job"))

        commands, done = 0, None
        for line in lines:
            if line.startswith("$ "):
                self.assertEqual(done.lines if done else [], [], "printed, and not in the transcript")
                done = keepctl.run(self.dir.path, *shlex.split(real(line))[2:], env=self.keys)
                self.assertEqual((done.code, done.stderr), (0, ""), done)
                done.stdout = re.sub(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", b"TIME", done.stdout)
                commands += 1
            else:
                self.assertEqual(done.lines[0], real(line))
                done.stdout = done.stdout.partition(b"\n")[2]
        self.assertEqual(commands, 4)


class Proofs(CloneCase):
    def test_etags_that_are_no_md5(self):
        data = self.random.randbytes((5 << 20) + 1000)
        self.put_parts(self.bucket, md5(data), data)
        bad = self.random.randbytes((5 << 20) + 1)
        self.put_parts(self.bucket, md5(b"something else"), bad)
        for proof, counts in (("etag", {"copied": 1, "bad_source": 1, "read_to_verify": 2}),
                              ("none", {"copied": 2, "bad_source": 0, "read_to_verify": 0}),
                              ("read", {"copied": 1, "bad_source": 1, "read_to_verify": 2})):
            target = self.make_bucket()
            done = self.clone("--mode", "server-side", "--verify", proof, target=self.place(target))
            self.assert_counts(done, 1 if counts["bad_source"] else 0, **counts)
            self.assertEqual(self.s3.get(target, md5(data)), data)
            # What is not proven has no marker.
            self.assertEqual(self.s3.head(target, "recent/" + md5(b"something else")) is None, proof != "none")
        self.assert_counts(self.clone("--mode", "stream"), 1, copied=1, bad_source=1)
        self.assertEqual(set(self.s3.list(self.target)), {md5(data), "recent/" + md5(data)})

    def test_every_copy_can_be_read(self):
        blocks = self.fill(6, 1000)
        self.assert_counts(self.clone("--verify", "read"), copied=len(blocks), read_to_verify=len(blocks))

    def test_a_bad_source(self):
        blocks = self.fill(4, 1000)
        bad = md5(b"not these bytes")
        self.s3.put(self.bucket, bad, b"other bytes")
        self.s3.put(self.bucket, "recent/" + bad, b"")
        for mode in "server-side", "stream":
            target = self.make_bucket()
            done = self.clone("--mode", mode, "--failures", os.path.join(self.dir.path, "failures"), target=self.place(target))
            self.assert_counts(done, 1, copied=len(blocks), bad_source=1, failed=0)
            self.assert_target(blocks, bucket=target)
            self.assertIn(bad, done.stderr)
            with open(os.path.join(self.dir.path, "failures"), encoding="utf-8") as file:
                self.assertEqual([json.loads(line)["hash"] for line in file], [bad])
        # Mended, it is copied by the same command.
        self.assertEqual(self.clone().code, 1)
        self.s3.put(self.bucket, bad, b"not these bytes")
        self.assert_counts(self.clone(), copied=1, bad_source=0)
        self.assert_target(blocks | {bad: b"not these bytes"})

    def test_bad_copies_at_the_destination_are_replaced(self):
        blocks = self.fill(6, 1000)
        shorter, flipped, unmarked, good, both, in_parts = sorted(blocks)
        self.s3.put(self.target, shorter, blocks[shorter][:-1])
        self.s3.put(self.target, flipped, blocks[flipped][:-1] + bytes([blocks[flipped][-1] ^ 1]))
        for name in unmarked, good:
            self.s3.put(self.target, name, blocks[name])
        for name in shorter, flipped, good, both:
            self.s3.put(self.target, "recent/" + name, b"")
        # The good copy of the destination stays whatever the source has.
        self.s3.put(self.target, both, blocks[both])
        self.s3.put(self.bucket, both, b"rotten")
        # Only its size shows that it is another object.
        self.put_parts(self.target, in_parts, self.random.randbytes((5 << 20) + 7))
        done = self.clone()
        self.assert_counts(done, 1, replaced=3, present=1, copied=1, bad_source=1)
        self.assert_target(blocks)

    def test_a_block_that_goes_between_listing_and_copy(self):
        blocks = self.fill(3, 1000)
        name = min(blocks)
        for mode in "server-side", "stream":
            proxy = self.fault_proxy()
            proxy.add("delay", seconds=3.0, path=name, operation=["copy", "get"], count=1)
            target = self.make_bucket()
            running = self.start_clone("--mode", mode, source=self.place(self.bucket, proxy.endpoint),
                                       target=self.place(target, proxy.endpoint))
            until(lambda proxy=proxy: proxy.fired() == [1], what="the copy under way")
            self.s3.delete(self.bucket, name)
            stdout, stderr = running.communicate()
            self.assertEqual(running.returncode, 0, stderr)
            summary = json.loads(stdout.splitlines()[-1])
            self.assertEqual((summary["gone"], summary["copied"], summary["failed"]), (1, 2, 0))
            self.assertNotIn(name, self.s3.list(target))
            self.s3.put(self.bucket, name, blocks[name])


class Jobs(CloneCase):
    def segments(self, folder):
        """{segment: response} of a local job."""
        out = {}
        for name in os.listdir(os.path.join(folder, "segments")):
            if name.endswith(".json"):
                with open(os.path.join(folder, "segments", name), encoding="utf-8") as file:
                    out[name[:-5]] = json.load(file)
        return out

    def slow(self, seconds=0.05):
        proxy = self.fault_proxy()
        proxy.add("delay", seconds=seconds, operation="copy")
        return {"source": self.place(self.bucket, proxy.endpoint), "target": self.place(self.target, proxy.endpoint)}, proxy

    def status(self, job):
        return keepctl.run(self.dir.path, "clone", "--json", "status", job, env=self.keys)

    def test_the_files_of_a_job(self):
        blocks = self.fill(20, 100)
        folder = os.path.join(self.dir.path, "job")
        done = self.clone("--job", folder, "--digits", "1")
        self.assert_counts(done, copied=len(blocks), job=folder)
        files = {}
        for path in ("job.json", "result.json"):
            with open(os.path.join(folder, path), encoding="utf-8") as file:
                text = file.read()
            self.assertNotIn(self.server["secret_key"], text)
            self.assertTrue(text.endswith("}\n"))
            files[path] = json.loads(text)
        job = files["job.json"]
        self.assertEqual({k: job[k] for k in ("format", "source", "destination", "mode", "digits", "options")}, {
            "format": "keepctl-clone-1", "source": self.place(self.bucket), "destination": self.place(self.target),
            "mode": "auto", "digits": 1, "options": {"trash": False, "verify": "etag"}})
        responses = self.segments(folder)
        self.assertEqual(set(responses), set("0123456789abcdef"))
        self.assertEqual(sum(r["copied"] for r in responses.values()), len(blocks))
        self.assertEqual({n[0]: responses[n[0]]["listed"] for n in blocks},
                         {n[0]: sum(m[0] == n[0] for m in blocks) for n in blocks})
        self.assertEqual((files["result.json"]["copied"], files["result.json"]["failed_total"]), (len(blocks), 0))
        self.assertEqual(self.status(folder).code, 0)
        self.assertEqual(self.status(folder).rows("job")[0]["copied"], len(blocks))

        # It is finished, and is not begun again by chance; nor is it taken for another clone's.
        done = self.clone("--job", folder)
        self.assertEqual((done.code, "has been finished" in done.stderr), (2, True), done)
        done = self.clone("--job", folder, "--trash")
        self.assertEqual((done.code, "another clone" in done.stderr), (2, True), done)
        # What was proven in one way is not in another.
        done = self.clone("--job", folder, "--verify", "read")
        self.assertEqual((done.code, "--verify etag" in done.stderr), (2, True), done)
        self.assert_counts(self.clone("--job", folder, "--fresh"), present=len(blocks))
        with open(os.path.join(folder, "job.json"), "w", encoding="utf-8") as file:
            file.write('{"format":"keepctl-clone-2"}\n')
        self.assertEqual(self.clone("--job", folder).code, 2)

    def test_a_run_that_was_killed_goes_on(self):
        blocks = self.fill(64, 100)
        folder = os.path.join(self.dir.path, "job")
        ends, proxy = self.slow()
        arguments = ("--job", folder, "--digits", "1", "--jobs", "1")
        running = self.start_clone(*arguments, **ends)
        until(lambda: os.path.isdir(folder + "/segments") and len(self.segments(folder)) > 3, what="some segments")
        running.kill()
        running.communicate()
        before = self.segments(folder)
        self.assertLess(len(before), 16)
        self.assertEqual(self.status(folder).code, 6)
        proxy.rules()
        proxy.forget()
        done = self.clone(*arguments, **ends)
        self.assertEqual(done.code, 0, done)
        self.assertEqual(done.summary["job_listed"], len(blocks))
        self.assertLess(done.summary["listed"], len(blocks))
        listed = "".join(r["target"] + "\n" for r in proxy.requests(operation="list"))
        for digit in before:
            self.assertNotIn(f"prefix={digit}\n", listed.replace("&", "\n"), "segments that are done are not listed")
        self.assertEqual({d: self.segments(folder)[d] for d in before}, before)
        self.assert_target(blocks)

    def test_a_stop(self):
        blocks = self.fill(64, 100)
        ends, proxy = self.slow()
        running = self.start_clone("--digits", "1", "--jobs", "2", **ends)
        until(lambda: len(self.s3.list(self.target)) > 10, what="some blocks")
        running.send_signal(signal.SIGTERM)
        stdout, stderr = running.communicate()
        self.assertEqual(running.returncode, 143, stderr)
        summary = json.loads(stdout.splitlines()[-1])
        self.assertEqual(summary["listed"], sum(summary[k] for k in OUTCOMES))
        self.assertIn(b"to go on: keepctl clone", stderr)
        # Blocks that were under way are whole.
        for name in (k for k in self.s3.list(self.target) if "/" not in k):
            self.assertIsNotNone(self.s3.head(self.target, "recent/" + name))
        proxy.rules()
        self.assertEqual(self.clone("--digits", "1", **ends).code, 0)
        self.assert_target(blocks)

    def test_the_same_command_twice(self):
        self.fill(32, 100)
        ends, proxy = self.slow()
        running = self.start_clone("--jobs", "1", **ends)
        until(lambda: len(self.s3.list(self.target)) > 1, what="a block")
        done = self.clone("--jobs", "1", **ends)
        self.assertEqual(done.code, 5, done)
        proxy.rules()
        self.assertEqual(running.wait(), 0)
        running.communicate()

    def test_a_job_in_a_bucket_that_is_far_away(self):
        blocks = self.fill(8, 10)
        folder = self.make_bucket()
        proxy = self.fault_proxy()
        job = self.place(folder, proxy.endpoint).replace(f"s3://{folder}", f"s3://{folder}/job")
        self.assert_counts(self.clone("--job", job, "--digits", "2"), copied=len(blocks))
        self.s3.delete(folder, "job/result.json")
        self.s3.delete(folder, f"job/segments/{min(blocks)[:2]}.json")
        proxy.add("delay", seconds=0.1, operation="get")
        begun = time.monotonic()
        done = self.status(job)
        self.assertEqual((done.code, done.rows("job")[0]["done"]), (6, 255), done)
        done = self.clone("--job", job, "--digits", "2")
        self.assert_counts(done, listed=sum(n[:2] == min(blocks)[:2] for n in blocks), job_listed=len(blocks))
        self.assertIn("255 of 256 segments done", done.stderr)
        # One after the other, the 512 files would take 51 s.
        self.assertLess(time.monotonic() - begun, 40)

    def test_workers_share_a_job_in_a_bucket(self):
        blocks = self.fill(128, 100)
        ends, proxy = self.slow(0.1)
        folder = self.make_bucket()
        job = self.place(folder).replace(f"s3://{folder}", f"s3://{folder}/jobs/one")
        more = ("--jobs", "2", "--claim-time", "2s")

        def responses():
            """The workers that have finished a segment, each with its segments."""
            found = {}
            for key in self.s3.list(folder, "jobs/one/segments/"):
                if key.endswith(".json"):
                    found.setdefault(json.loads(self.s3.get(folder, key))["worker"].split(":")[1], []).append(key)
            return found

        first = self.start_clone("--job", job, "--digits", "2", *more, **ends)
        until(lambda: self.s3.list(folder, "jobs/one/segments/"), what="the job")
        second, third = (keepctl.start(self.dir.path, "clone", "--json", "--worker", job, *more, env=self.keys) for _ in range(2))
        self.addCleanup(third.kill)
        until(lambda: {str(second.pid), str(third.pid)} <= set(responses()), what="responses of all")
        # The second's segments are free at once, since its process is gone; the third one only seems to work on.
        second.kill()
        second.communicate()
        third.send_signal(signal.SIGSTOP)
        stdout, stderr = first.communicate()
        self.assertEqual(first.returncode, 0, stderr)
        summary = json.loads(stdout.splitlines()[-1])
        self.assertEqual(summary["job_listed"], len(blocks))
        self.assertEqual(len(set(sum(responses().values(), []))), 256)
        self.assert_target(blocks)
        third.send_signal(signal.SIGCONT)
        proxy.rules()
        stdout, stderr = third.communicate()
        self.assertEqual(third.returncode, 0, stderr)
        self.assertEqual(json.loads(stdout.splitlines()[-1])["job_listed"], len(blocks))
        done = self.status(job)
        self.assertEqual((done.code, done.rows("job")[0]["done"]), (0, 256), done)
        self.assert_target(blocks)

    def test_kill_9_at_random_moments(self):
        blocks = self.fill(40, 2000)
        self.put_parts(self.bucket, *(lambda d: (md5(d), d))(self.random.randbytes((5 << 20) + 7)))
        blocks |= {n: self.s3.get(self.bucket, n) for n in self.s3.list(self.bucket) if "/" not in n and n not in blocks}
        proxy = self.fault_proxy()
        proxy.add("delay", seconds=0.01, operation=["copy", "put"])
        for number in range(rounds(6)):
            self.target = self.make_bucket()
            ends = {"source": self.place(self.bucket, proxy.endpoint), "target": self.place(self.target, proxy.endpoint)}
            arguments = ("--digits", "1", "--mode", ("server-side", "stream")[number % 2], "--state-dir",
                         os.path.join(self.dir.path, f"state{number}"))
            for _ in range(3):
                running = self.start_clone(*arguments, **ends)
                try:
                    running.wait(self.random.uniform(0.02, 0.5))
                except Exception:  # pylint: disable=broad-except  # It runs on.
                    running.kill()
                running.communicate()
                for name in (k for k in self.s3.list(self.target) if "/" not in k):
                    self.assertEqual(md5(self.s3.get(self.target, name)), name, "a wrong byte is visible")
            done = self.clone(*arguments, **ends)
            self.assertEqual(done.code, 0, done)
            self.assert_target(blocks)


if __name__ == "__main__":
    main()
