"""keepctl balance as a service, and the options that look more closely: --wait, --verify-kept, --keep-snapshots, and what is
taken from the configuration."""

import glob
import json
import os
import signal
import threading
import time

from support import keepctl
from support.balance_case import BalanceCase, names
from support.case import main
from support.systemd import NotifySocket, check_unit
from support.wait import until


class Unit(BalanceCase):
    def test_the_example_for_systemd(self):
        check_unit(self, "keepctl-balance.service", "balance")


class Service(BalanceCase):
    def serve(self, *arguments):
        self.systemd = NotifySocket(self)
        running = keepctl.start(self.dir.path, "balance", "--json", "--apply", "pulls", "--config", self.config(), *arguments,
                                env=self.systemd.env)
        for end in running.stdout.close, running.stderr.close, running.wait, running.kill:
            self.addCleanup(end)
        return running

    def test_what_systemd_is_told(self):
        self.fill(copies=1)
        running = self.serve("--every", "1h")
        self.systemd.wait_for("READY=1")
        status = self.systemd.wait_for("STATUS=run 1 has ended with 0")
        self.assertRegex(status, r"60 blocks, \d+ pulls, 0 trashes \(not sent\), 0 lost")
        self.systemd.wait_for("WATCHDOG=1")
        # A signal instead of the interval.
        running.send_signal(signal.SIGHUP)
        self.systemd.wait_for("STATUS=run 2 has ended with 0")
        # What goes wrong is said, and does not end it.
        self.keeps[1].mounts[next(iter(self.keeps[1].mounts))]["device_id"] = "another"
        running.send_signal(signal.SIGHUP)
        self.systemd.wait_for("STATUS=run 3 has ended with 4: no plan was made")
        running.send_signal(signal.SIGTERM)
        stdout, _ = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 4, "the code of the last run")
        self.assertEqual(json.loads(stdout.splitlines()[-1])["type"], "summary")

    def test_the_watchdog_is_fed_while_servers_are_waited_for(self):
        self.fill(copies=1)
        self.keeps[0].work_report = lambda: {"pull": {"pending": 1, "in_progress": 0, "last": None, "outcomes": {}},
                                             "trash": {"pending": 0, "in_progress": 0, "last": None, "outcomes": {}}}
        running = self.serve("--every", "1h", "--wait", "1h", "--take-over")
        until(lambda: self.keeps[0].sent("/pull"), what="a pull list")
        for _ in range(4):
            self.systemd.wait_for("WATCHDOG=1")
        # It can be ended then.
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
        self.assertEqual(running.returncode, 143)

    def test_files_that_become_wrong_do_not_end_it(self):
        self.fill()
        good = "".join(f"{n}+3\n" for n in names(60)) + "\n"
        references = self.write("references", good)
        running = self.serve("--every", "1h", "--references", references)
        self.systemd.wait_for("STATUS=run 1 has ended with 0")
        self.write("references", "hello\n")
        running.send_signal(signal.SIGHUP)
        self.systemd.wait_for("STATUS=run 2 has ended with 2")
        self.write("references", good)
        running.send_signal(signal.SIGHUP)
        self.systemd.wait_for("STATUS=run 3 has ended with 0")


class Wait(BalanceCase):
    def work_off(self, keep, **outcomes):
        """The server has done so much of what it was sent, in addition to what it had done before."""
        keep.outcomes = {"pulled": 7, "present": 1, "failed": 2}

        def report():
            found = type(keep).work_report(keep)
            if keep.sent("/pull"):
                found["pull"]["outcomes"] = {k: v + outcomes.get(k, 0) for k, v in keep.outcomes.items()}
            return found

        keep.work_report = report

    def test_pulls_that_were_not_carried_out(self):
        self.fill(copies=1)
        changes = self.path("changes")
        self.balance("--changes", changes)
        with open(changes, encoding="utf-8") as file:
            found = [json.loads(line)["server"] for line in file]
        wanted = {keep.url: found.count(keep.url) for keep in self.keeps}
        self.work_off(self.keeps[0], pulled=wanted[self.keeps[0].url])
        self.work_off(self.keeps[1], pulled=wanted[self.keeps[1].url] - 3, present=1, failed=2)
        self.work_off(self.keeps[2], pulled=wanted[self.keeps[2].url] - 1, present=1)
        done = self.balance("--apply", "pulls", "--wait", "60s", code=1)
        rows = {row["server"]: row for row in done.rows("pulls")}
        self.assertEqual([rows[k.url]["not_carried_out"] for k in self.keeps], [0, 2, 0])
        bad = rows[self.keeps[1].url]
        self.assertEqual((bad["sent"], bad["pulled"], bad["present"], bad["failed"]),
                         (wanted[self.keeps[1].url], wanted[self.keeps[1].url] - 3, 1, 2))
        self.assertIn(f"{self.keeps[1].url} did not carry out 2 of {bad['sent']} pulls", done.stderr)

    def test_a_server_that_does_not_say_what_came_of_it(self):
        self.fill(copies=1)
        for keep in self.keeps[:2]:
            self.work_off(keep, pulled=1000)
        self.keeps[2].has_work = False
        done = self.balance("--apply", "pulls", "--wait", "60s")
        self.assertIn(f"{self.keeps[2].url} does not say what came of its", done.stderr)
        self.assertEqual(len(done.rows("pulls")), 2)


class VerifyKept(BalanceCase):
    def trashed(self):
        return sorted(item["locator"][:32] for keep in self.keeps for item in keep.sent("/trash")[-1])

    def test_each_block_that_is_trashed_has_a_proof(self):
        arguments = self.surplus()
        done = self.balance("--apply", "all", "--verify-kept", *arguments)
        trashed = self.trashed()
        self.assertEqual(trashed, sorted(names(6)))
        self.assertEqual(sorted(name for keep in self.keeps for name in keep.heads), trashed)
        # Those that prove it trash no copy.
        for keep in self.keeps:
            self.assertFalse({item["locator"][:32] for item in keep.sent("/trash")[-1]} & set(keep.heads))
        self.assertEqual((done.summary["kept_proven"], done.summary["kept_bad"]), (6, 0))

    def test_no_proof_no_trash(self):
        arguments = self.surplus()
        bad, away = names(6)[0], names(6)[1]
        for keep in self.keeps:
            keep.bad = {bad: 502}
        done = self.balance("--apply", "all", "--verify-kept", *arguments, code=1)
        self.assertEqual(self.trashed(), sorted(names(5, 1)))
        self.assertIn(bad, done.stderr)
        for keep in self.keeps:
            keep.bad = {bad: 502, away: 503}
        done = self.balance("--apply", "all", "--verify-kept", *arguments, code=6)
        self.assertEqual(self.trashed(), sorted(names(4, 2)))
        self.assertIn(away, done.stderr)
        self.assertTrue(all(len(keep.sent("/pull")) == 2 for keep in self.keeps))

    def test_a_plan_verifies_too_and_sends_nothing(self):
        arguments = self.surplus()
        for keep in self.keeps:
            keep.bad = {names(1)[0]: 404}
        changes = self.path("changes")
        self.balance("--verify-kept", "--changes", changes, *arguments, code=1)
        self.assert_nothing_sent()
        with open(changes, encoding="utf-8") as file:
            found = {c["hash"] for c in map(json.loads, file) if c["action"] == "trash"}
        self.assertEqual(found, set(names(5, 1)))

    def test_a_signal_while_copies_are_verified(self):
        arguments = self.surplus()
        for keep in self.keeps:
            keep.head_held = threading.Event()
        running = keepctl.start(self.dir.path, "balance", "--apply", "all", "--verify-kept", "--config", self.config(), *arguments)
        until(lambda: any(keep.heads for keep in self.keeps), what="a copy is verified")
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
        self.assertEqual(running.returncode, 143)
        for keep in self.keeps:
            keep.head_held.set()
            self.assertEqual((len(keep.sent("/pull")), keep.sent("/trash")), (1, [[]]))


class KeepSnapshots(BalanceCase):
    def setUp(self):
        super().setUp()
        self.root = self.dir.make("repository")
        self.repository = f"file://{self.root}"
        self.fill()
        # As if taken when there were 57 blocks.
        later = names(3, 57)
        hidden = {keep: {u: {n: b.pop(n) for n in later if n in b} for u, b in keep.blocks.items()} for keep in self.keeps}
        self.snapshot("init")
        self.first = self.snapshot("create").summary["id"]
        self.made_at = time.time()
        for keep, mounts in hidden.items():
            for uuid, blocks in mounts.items():
                keep.blocks[uuid] |= blocks

    def snapshot(self, command, *arguments):
        done = keepctl.run(self.dir.path, "snapshot", command, "--json", self.repository, *arguments, "--config", self.config())
        self.assertEqual(done.code, 0, done)
        return done

    def trashed(self, *arguments, code=0):
        changes = self.path("changes")
        done = self.balance("--changes", changes, "--max-trash", "100", *arguments, code=code)
        if code:
            return done
        with open(changes, encoding="utf-8") as file:
            return {c["hash"] for c in map(json.loads, file) if c["action"] == "trash"}

    def forget(self):
        """Earlier references count for a while."""
        for path in glob.glob(self.path("state/balance/*")):
            if not path.endswith("lock"):
                os.remove(path)

    def test_what_they_have_is_kept(self):
        self.assertEqual(self.trashed("--keep-snapshots", self.repository), set(names(3, 57)))
        self.forget()
        self.assertEqual(self.trashed("--keep-snapshots", f"{self.repository}#{self.first}"), set(names(3, 57)))
        self.forget()
        # Later ones have more; the first one still counts.
        for keep in self.keeps:
            for blocks in keep.blocks.values():
                blocks.pop(names(1)[0], None)
        self.snapshot("create")
        self.assertEqual(self.trashed("--keep-snapshots", f"{self.repository}"), set())
        self.forget()
        done = self.balance("--keep-snapshots", f"{self.repository}#all", code=1)
        self.assertEqual(done.summary["lost"], 1)

    def test_in_addition_to_files_of_references(self):
        some = self.write("some", "".join(f"{n}+3\n" for n in names(1, 57)) + "\n")
        self.assertEqual(self.trashed("--references", some, "--keep-snapshots", self.repository), set(names(2, 58)))

    def test_what_is_refused(self):
        for which, code in ((f"{self.repository}#x", 2), ("https://x", 2), (f"file://{self.path('absent')}", 2),
                            (f"{self.repository}#20200101T000000Z-0123456789abcdef", 4)):
            done = self.trashed("--keep-snapshots", which, code=code)
            self.assertIn("--keep-snapshots" if code == 2 and "absent" not in which else which.split("#")[0], done.stderr)
        path = os.path.join(self.root, "snapshots", self.first, "index.kinv")
        with open(path, "r+b") as file:
            file.seek(100)
            byte = file.read(1)
            file.seek(100)
            file.write(bytes([byte[0] ^ 1]))
        done = self.trashed("--keep-snapshots", self.repository, code=4)
        self.assertIn("index.kinv", done.stderr)
        self.assert_nothing_sent()

    def test_a_snapshot_of_another_place_makes_nothing_garbage(self):
        folder = self.dir.make("blocks")
        keepctl.store(folder, b"foo")
        done = keepctl.run(self.dir.path, "snapshot", "create", "--json", self.repository, f"dir:{folder}")
        self.assertEqual(done.code, 0, done)
        self.assertIn("whole cluster", self.trashed("--keep-snapshots", self.repository, code=4).stderr)
        some = self.write("some", "".join(f"{n}+3\n" for n in names(60)) + "\n")
        done = self.balance("--references", some, "--keep-snapshots", self.repository, code=1)
        self.assertEqual((done.summary["lost"], done.summary["trashes"]), (1, 0))

    def test_an_old_snapshot_withholds_trash(self):
        rules = self.write("rules.yml", "references_max_age: 1ms\n")
        until(lambda: time.time() > self.made_at + 2, what="it is some seconds old")
        self.assert_trash_withheld("--keep-snapshots", self.repository, "--rules", rules, "--max-trash", "100",
                                   says="references_max_age")


class Configured(BalanceCase):
    def test_limits_of_lists(self):
        self.fill(copies=1)
        config = self.config(BalancePullLimit=4)
        done = self.balance("--config", config, "--apply", "pulls", config=False)
        self.assertEqual([len(keep.sent("/pull")[0]) for keep in self.keeps], [4, 4, 4])
        self.assertGreater(done.summary["pulls_deferred"], 4)
        rules = self.write("rules.yml", "limits: {pull_per_server: 5}\n")
        done = self.balance("--config", config, "--rules", rules, config=False)
        self.assertEqual(done.summary["pulls"], 15)
        arguments = self.surplus()
        done = self.balance("--config", self.config(BalanceTrashLimit=0), *arguments, config=False)
        self.assertEqual((done.summary["trashes"], done.summary["trashes_deferred"]), (0, 6))

    def test_the_report_of_lost_blocks(self):
        self.fill()
        report = self.path("lost")
        config = self.config(BlobMissingReport=report)
        some = self.write("some", "".join(f"{n}+3\n" for n in names(61)) + "\n")
        given = ("--config", config, "--references", some)
        self.balance(*given, config=False, code=1)
        self.assertFalse(os.path.exists(report), "a plan changes nothing")
        self.balance(*given, "--apply", "pulls", config=False, code=1)
        with open(report, encoding="utf-8") as file:
            self.assertEqual(file.read(), f"{names(1, 60)[0]} 3\n")
        os.remove(report)
        self.balance(*given, "--apply", "pulls", "--lost", self.path("other"), config=False, code=1)
        self.assertEqual((os.path.exists(report), os.path.exists(self.path("other"))), (False, True))
        done = self.balance("--config", self.config(BlobMissingReport=self.path("no/such/folder")), "--apply", "pulls",
                            config=False, code=2)
        self.assertIn("BlobMissingReport", done.stderr)


if __name__ == "__main__":
    main()
