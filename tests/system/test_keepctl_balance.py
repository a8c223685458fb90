"""keepctl balance against servers that are not what they should be: what is refused, and that nothing is sent then."""

import errno
import hashlib
import json
import os
import signal
import threading
import time

from support import keepctl
from support.balance_case import BalanceCase, names
from support.case import main, rounds
from support.daemon import SYSTEM_ROOT_TOKEN, volume_uuid
from support.fake_keep import OLD
from support.locator import md5
from support.mounts import Tmpfs
from support.wait import refusing_port, until


class Plans(BalanceCase):
    def test_a_plan_sends_nothing(self):
        self.fill(copies=1)
        done = self.balance()
        self.assert_nothing_sent()
        self.assertGreater(done.summary["pulls"], 30)
        self.assertEqual(done.summary["trashes"], 0)
        self.assertEqual(done.summary["blocks"], 60)
        self.assertEqual(sum(row["pulls"] for row in done.rows("server")), done.summary["pulls"])
        self.assertEqual(len(done.rows("server")), 3)

    def test_pull_lists(self):
        self.fill(copies=1)
        changes, lost = self.path("changes"), self.path("lost")
        done = self.balance("--apply", "pulls", "--changes", changes, "--lost", lost)
        urls = {keep.url for keep in self.keeps}
        pulled = set()
        for keep in self.keeps:
            self.assertEqual(keep.sent("/trash"), [])
            (items,) = keep.sent("/pull")
            for item in items:
                self.assertEqual(set(item), {"locator", "servers", "mount_uuid"})
                name, size = item["locator"].split("+")
                self.assertEqual(size, "3")
                self.assertIn(item["mount_uuid"], keep.mounts)
                self.assertNotIn(name, keep.blocks[item["mount_uuid"]])
                self.assertNotIn(keep.url, item["servers"])
                self.assertLessEqual(set(item["servers"]), urls)
                for url in item["servers"]:
                    source = next(k for k in self.keeps if k.url == url)
                    self.assertTrue(any(name in blocks for blocks in source.blocks.values()))
                pulled.add(name)
        self.assertEqual(pulled, set(names(60)))
        with open(changes, encoding="utf-8") as file:
            found = [json.loads(line) for line in file]
        self.assertEqual(len(found), done.summary["pulls"])
        self.assertEqual({c["action"] for c in found}, {"pull"})
        self.assertEqual({c["why"] for c in found}, {"last copy"})
        with open(lost, encoding="utf-8") as file:
            self.assertEqual(file.read(), "")

    def test_lists_are_sent_in_order_and_empty_ones_too(self):
        arguments = self.surplus()
        self.keeps.append(self.keep({volume_uuid(9): {"allow_write": False, "allow_trash": False}}))
        done = self.balance("--apply", "all", *arguments)
        self.assertEqual([path for _, path in self.order], ["/trash"] * 4 + ["/pull"] * 4 + ["/trash"] * 4)
        self.assertGreater(done.summary["trashes"], 0)
        trashed = 0
        for keep in self.keeps:
            first, second = keep.sent("/trash")
            self.assertEqual(first, [])
            trashed += len(second)
            for item in second:
                self.assertEqual(set(item), {"locator", "block_mtime", "mount_uuid"})
                name = item["locator"].split("+")[0]
                self.assertEqual(keep.blocks[item["mount_uuid"]][name], (3, item["block_mtime"]))
        self.assertEqual(trashed, done.summary["trashes"])
        self.assertEqual(self.keeps[3].puts, [("/trash", []), ("/pull", []), ("/trash", [])])

    def test_references(self):
        self.fill()
        some = self.write("some", "".join(f"{n}+3\n" for n in names(57)) + "\n")
        self.balance("--references", some, "--apply", "all", "--max-trash", "10")
        trashed = {item["locator"] for keep in self.keeps for item in keep.sent("/trash")[1]}
        self.assertEqual(trashed, {f"{n}+3" for n in names(3, 57)})
        # What an earlier run had is kept for as long as signatures are valid.
        for keep in self.keeps:
            keep.puts.clear()
        fewer = self.write("fewer", "".join(f"{n}+3\n" for n in names(50)) + "\n")
        self.balance("--references", fewer, "--apply", "all", "--max-trash", "10")
        trashed = {item["locator"] for keep in self.keeps for item in keep.sent("/trash")[1]}
        self.assertEqual(trashed, {f"{n}+3" for n in names(3, 57)})

    def test_lost_blocks(self):
        self.fill()
        lost = self.path("lost")
        some = self.write("some", "".join(f"{n}+3\n" for n in names(62)) + "\n")
        done = self.balance("--references", some, "--lost", lost, code=1)
        self.assertEqual(done.summary["lost"], 2)
        with open(lost, encoding="utf-8") as file:
            self.assertEqual(set(file.read().splitlines()), {f"{n} 3" for n in names(2, 60)})

    def test_metrics_have_the_names_of_keep_balance(self):
        self.fill(copies=1)
        file = self.path("balance.prom")
        self.balance("--metrics-file", file, "--apply", "pulls")
        with open(file, encoding="utf-8") as text:
            found = dict(line.rsplit(" ", 1) for line in text if not line.startswith("#"))
        self.assertEqual(int(found["arvados_keep_total_blocks"]), 60)
        self.assertEqual(int(found["arvados_keep_underreplicated_blocks"]), 60)
        self.assertEqual(int(found["arvados_keep_lost_blocks"]), 0)
        self.assertGreaterEqual(int(found["arvados_keep_pull_entries_sent_count"]), 60)
        self.assertEqual(int(found['arvados_keep_replicated_block_count{replicas="1"}']), 60)
        self.assertIn('arvados_keep_usage_bytes{storage_class="default",status="pulling"}', found)
        self.assertIn('keepctl_run_exit_code{command="balance",job=""}', found)

    def test_limits_of_lists(self):
        self.fill(copies=1)
        rules = self.write("rules.yml", "limits: {pull_per_server: 5}\n")
        done = self.balance("--rules", rules, "--apply", "pulls")
        self.assertEqual([len(keep.sent("/pull")[0]) for keep in self.keeps], [5, 5, 5])
        self.assertEqual(done.summary["pulls"], 15)
        self.assertGreater(done.summary["pulls_deferred"], 15)

    def test_entries_that_are_no_blocks(self):
        # A file of more than 64 MiB, old and wanted by nothing, is neither pulled nor trashed, and is counted.
        arguments = self.surplus()
        (large,) = names(1, start=1000)
        for keep in self.keeps[:2]:
            keep.blocks[next(iter(keep.blocks))][large] = ((64 << 20) + 1, OLD)
        changes = self.path("changes")
        done = self.balance("--apply", "all", "--changes", changes, *arguments)
        self.assertEqual(done.summary["too_large"], 2)
        self.assertEqual(done.summary["blocks"], 60)
        self.assertIn("2 entries over 64 MiB, no blocks, left out", done.stderr)
        with open(changes, encoding="utf-8") as file:
            self.assertNotIn(large, file.read())

    def test_the_order_of_servers(self):
        # With one copy wanted everything is pulled to the first server of each block, by the identities in force.
        self.fill(copies=1)
        rules = ("desired: {default: 1}\nservers:\n" +
                 "".join(f'  - {{url: "{k.url}", uuid: zzzzz-bi6l4-{i:015}}}\n' for i, k in enumerate(self.keeps)))
        for arguments, identity in (
                (["--identity", "position"], lambda i, k: f"{i:015}"),
                (["--identity", "api"], lambda i, k: "zzzzz-bi6l4-" + md5((k.url + "/").encode())[:16]),
                ([], lambda i, k: md5((k.url + "/").encode())[:15]),
                (["--rules", self.write("order.yml", rules)], lambda i, k: f"{i:015}")):
            changes = self.path("changes")
            one = [] if "--rules" in arguments else ["--rules", self.write("one.yml", "desired: {default: 1}\n")]
            self.balance("--changes", changes, *arguments, *one)
            # The order of a configuration is that of its URLs.
            keeps = list(enumerate(sorted(self.keeps, key=lambda k: k.url + "/") if "position" in arguments else self.keeps))
            with open(changes, encoding="utf-8") as file:
                found = [json.loads(line) for line in file]
            self.assertGreater(len(found), 10)
            for c in found:
                best = max(keeps, key=lambda pair: md5((c["hash"] + identity(*pair)).encode()))
                self.assertEqual(c["server"], best[1].url, (arguments, c))


class Refusals(BalanceCase):
    def assert_refused(self, says, *arguments, code=4, cleared=False, **options):
        done = self.balance("--apply", "all", *arguments, code=code, **options)
        self.assert_nothing_sent(cleared)
        self.assertIn(says, done.stderr)
        return done

    def test_a_server_that_does_not_respond(self):
        self.fill()
        config = self.config()
        gone = self.keeps[2]
        gone.close()
        self.keeps = self.keeps[:2]
        done = self.balance("--apply", "all", "--config", config, code=4, config=False)
        self.assert_nothing_sent()
        self.assertIn(f"--allow-missing {gone.url}", done.stderr)
        done = self.balance("--apply", "pulls", "--config", config, "--allow-missing", gone.url, config=False)
        self.assertGreater(done.summary["pulls"], 0)

    def test_no_server_responds(self):
        url = f"http://127.0.0.1:{refusing_port(self)}"
        done = self.balance("--server", url, "--apply", "all", code=3, config=False)
        self.assertIn(url, done.stderr)

    def test_a_wrong_token(self):
        self.keeps[1].token = "another one"
        done = self.assert_refused("SystemRootToken", code=3)
        self.assertIn(self.keeps[1].url, done.stderr)

    def test_a_mount_of_the_configuration_that_is_absent(self):
        config = self.config()
        self.fill()
        uuid = next(iter(self.keeps[1].mounts))
        self.keeps[1].mounts = {volume_uuid(77): next(iter(self.keeps[1].mounts.values()))}
        self.keeps[1].blocks = {volume_uuid(77): {}}
        done = self.balance("--apply", "all", "--config", config, code=4, config=False)
        self.assert_nothing_sent()
        self.assertIn(f"--allow-missing {uuid}", done.stderr)

    def test_a_device_that_has_changed(self):
        self.fill()
        self.balance()
        uuid = next(iter(self.keeps[1].mounts))
        self.keeps[1].mounts[uuid]["device_id"] = "another"
        self.assert_refused(f"--allow-changed {uuid}")
        # A refusal is not forgotten by repeating the run.
        self.assert_refused(f"--allow-changed {uuid}")
        self.balance("--allow-changed", uuid)
        self.balance()

    def test_a_disk_that_is_not_mounted(self):
        self.fill()
        self.balance()
        uuid = next(iter(self.keeps[1].mounts))
        self.keeps[1].blocks[uuid] = {}
        self.assert_refused(f"--allow-changed {uuid}", cleared=True)
        self.assert_refused_again(uuid)

    def test_blocks_that_we_have_trashed_are_not_missed(self):
        self.fill()
        some = self.write("some", "".join(f"{n}+3\n" for n in names(40)) + "\n")
        arguments = ["--references", some, "--max-trash", "100", "--apply", "all"]
        self.balance(*arguments)
        for keep in self.keeps:
            for item in keep.sent("/trash")[-1]:
                del keep.blocks[item["mount_uuid"]][item["locator"].split("+")[0]]
            self.assertLess(len(keep.blocks[next(iter(keep.mounts))]), 36)
        self.balance(*arguments)

    def assert_refused_again(self, uuid):
        for keep in self.keeps:
            keep.puts.clear()
        self.assert_refused(f"--allow-changed {uuid}", cleared=True)

    def test_one_device_under_two_uuids(self):
        for keep in self.keeps[:2]:
            next(iter(keep.mounts.values()))["device_id"] = "the same"
        self.assert_refused("two volume UUIDs")

    def test_two_servers_with_one_identity(self):
        rules = "servers:\n" + "".join(f'  - {{url: "{k.url}", uuid: zzzzz-bi6l4-000000000000000}}\n' for k in self.keeps)
        self.assert_refused("one identity", "--rules", self.write("rules.yml", rules))

    def test_indexes_that_are_not_whole(self):
        # Each attempt is repeated with pauses, so all of them run at once.
        begun = []
        harms = {"without an end": {"index_end": b""}, "an error inside": {"index_end": b"error: disk\n\n"},
                 "text after the end": {"index_end": b"\nx\n"}, "a status": {"index_status": 500}, "one shard": {}}
        for what, harm in harms.items():
            self.setUp()
            arguments = self.surplus()
            keep, whole = self.keeps[1], self.keeps[1].index
            for name, value in harm.items():
                setattr(keep, name, value)
            if not harm:
                keep.index = lambda u, p, whole=whole: whole(u, p)[:-1] if p.startswith("5") else whole(u, p)
            running = keepctl.start(self.dir.path, "balance", "--json", "--apply", "all", "--config", self.config(),
                                    "--digits", "0" if harm else "1", *arguments)
            begun.append((what, running, self.keeps))
        for what, running, keeps in begun:
            stdout, stderr = running.communicate(timeout=240)
            summary = json.loads(stdout.splitlines()[-1])
            self.keeps = keeps
            with self.subTest(what):
                self.assertEqual(summary["shards_incomplete"], 1, stderr)
                if what == "one shard":
                    # It costs its shard: pulls of the others are sent, but no trash.
                    self.assertEqual(running.returncode, 4, stderr)
                    self.assertEqual(summary["shards_done"], 15)
                    for keep in keeps:
                        self.assertEqual(keep.sent("/trash"), [[]])
                        self.assertEqual(len(keep.sent("/pull")), 1)
                else:
                    self.assertEqual(running.returncode, 6, stderr)
                    self.assert_nothing_sent(cleared=True)

    def test_clocks(self):
        for ahead, date in ((600, True), (-600, True), (7200, True), (-7200, True), (0, False)):
            with self.subTest(ahead=ahead, date=date):
                self.setUp()
                arguments = self.surplus()
                self.keeps[1].clock_ahead = ahead
                self.keeps[1].date = date
                self.assert_trash_withheld(*arguments, says="clock" if date else "what time it is")

    def test_a_clock_that_is_behind_protects_more(self):
        arguments = self.surplus()
        found = self.balance(*arguments).summary["trashes"]
        self.assertGreater(found, 0)
        # Copies that are too new by the earliest clock, although not by ours.
        new = int((time.time() - 336 * 3600 - 330) * 1e9)
        for number, keep in enumerate(self.keeps):
            for blocks in keep.blocks.values():
                for i, name in enumerate(blocks):
                    blocks[name] = (3, new + 1000 * number + i)
        self.assertEqual(self.balance(*arguments).summary["trashes"], found)
        self.keeps[2].clock_ahead = -120
        self.assertEqual(self.balance(*arguments).summary["trashes"], 0)

    def test_too_much_trash(self):
        self.fill()
        some = self.write("some", "".join(f"{n}+3\n" for n in names(40)) + "\n")
        self.assert_trash_withheld("--references", some, says="--max-trash")

    def test_references_that_are_cut_or_old(self):
        self.fill()
        text = "".join(f"{n}+3\n" for n in names(60))
        done = self.balance("--references", self.write("cut", text), "--apply", "all", code=2)
        self.assertIn("cut off", done.stderr)
        done = self.balance("--references", self.write("bad", text + "hello\n\n"), "--apply", "all", code=2)
        self.assertIn("line 61", done.stderr)
        self.assert_nothing_sent()
        good = self.write("good", text + "\n")
        self.balance("--references", good)
        os.utime(good, (0, 0))
        self.assert_trash_withheld("--references", good, says="references_max_age")

    def test_fewer_references(self):
        self.fill()
        self.balance("--references", self.write("all", "".join(f"{n}+3\n" for n in names(60)) + "\n"))
        few = self.write("few", "".join(f"{n}+3\n" for n in names(40)) + "\n")
        self.assert_trash_withheld("--references", few, "--max-trash", "100", says="--allow-fewer-references")
        for keep in self.keeps:
            keep.puts.clear()
        self.assert_trash_withheld("--references", few, "--max-trash", "100", says="--allow-fewer-references")
        self.balance("--references", few, "--max-trash", "100", "--allow-fewer-references")
        self.balance("--references", few, "--max-trash", "100")

    def test_policies(self):
        arguments = self.surplus()
        self.ttl = "59m"
        self.assert_trash_withheld(*arguments, says="BlobSigningTTL")
        self.setUp()
        arguments = self.surplus()
        self.ttl, self.lifetime = "336h", "0s"
        self.assert_trash_withheld(*arguments, says="--allow-permanent-delete")
        self.balance("--apply", "all", "--allow-permanent-delete", *arguments)
        self.assertTrue(any(keep.sent("/trash")[-1] for keep in self.keeps))

    def test_servers_without_a_configuration(self):
        self.fill()
        servers = [word for keep in self.keeps for word in ("--server", keep.url)]
        with open(self.path("token"), "w", encoding="ascii") as file:
            file.write(SYSTEM_ROOT_TOKEN)
        self.balance("--apply", "pulls", *servers, "--token-file", self.path("token"), config=False)
        for keep in self.keeps:
            keep.puts.clear()
        self.assert_trash_withheld(*servers, "--token-file", self.path("token"), config=False,
                                   says="--allow-permanent-delete")

    def test_bad_rules_and_options(self):
        for text in "desierd: {default: 2}\n", "desired: {default: two}\n":
            done = self.balance("--rules", self.write("rules.yml", text), code=2)
            self.assertIn("line 1", done.stderr)
        for arguments in (["--apply", "some"], ["--max-trash", "101"], ["--moves", "perhaps"], ["--identity", "x"],
                          ["--rules", self.path("nothing")], ["--references", self.path("nothing")], ["--every", "0"],
                          ["--rules", self.write("r.yml", 'servers: [{url: "http://other", uuid: x}]\n')]):
            self.balance(*arguments, code=2)
        self.assert_nothing_sent()

    def test_a_state_folder_that_cannot_be_used(self):
        self.fill()
        self.balance("--apply", "all", "--state-dir", "/proc/nothing", code=2)
        self.assert_nothing_sent()


class Watched(list):
    """Of PUTs; tells of the first one to a path."""

    def __init__(self, path, action):
        super().__init__()
        self.path, self.action = path, action

    def append(self, item):
        super().append(item)
        if item[1] == self.path and self.action:
            action, self.action = self.action, None
            action()


class FullState(BalanceCase):
    def setUp(self):
        super().setUp()
        self.folder = self.dir.make("tmpfs")
        mount = Tmpfs(self.folder, "size=128k")
        self.addCleanup(mount.close)
        self.arguments = ["--apply", "all", "--state-dir", self.folder, *self.surplus()]
        self.balance(*self.arguments)
        for keep in self.keeps:
            keep.puts.clear()

    def fill_up(self):
        with open(os.path.join(self.folder, "filling"), "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * 4096)
            except OSError as e:
                self.assertEqual(e.errno, errno.ENOSPC)

    def test_a_state_folder_that_is_full(self):
        self.fill_up()
        done = self.balance(*self.arguments, code=6)
        self.assertIn("not remembered", done.stderr)
        self.assert_nothing_sent()

    def test_a_state_folder_that_becomes_full_between_the_lists(self):
        self.order = Watched("/pull", self.fill_up)
        for keep in self.keeps:
            keep.order = self.order
        done = self.balance(*self.arguments, code=6)
        self.assertIn("not remembered", done.stderr)
        for keep in self.keeps:
            self.assertEqual([path for path, _ in keep.puts], ["/trash", "/pull"])

    def test_a_state_folder_that_becomes_full(self):
        """Lists that could not be remembered are not sent."""
        for keep in self.keeps:
            keep.gets.clear()
            keep.held = threading.Event()
        running = keepctl.start(self.dir.path, "balance", "--json", "--config", self.config(), *self.arguments)
        until(lambda: any("/blocks" in path for path in self.keeps[0].gets), what="an index is read")
        self.fill_up()
        for keep in self.keeps:
            keep.held.set()
        _, stderr = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 6, stderr)
        self.assertIn(b"not remembered", stderr)
        for keep in self.keeps:
            self.assertEqual(keep.puts, [("/trash", [])])
        os.unlink(os.path.join(self.folder, "filling"))
        self.balance(*self.arguments)
        self.assertTrue(any(keep.sent("/trash")[-1] for keep in self.keeps))


class Lists(BalanceCase):
    def test_lists_of_another_balancer(self):
        arguments = self.surplus()
        for name in "pull", "trash":
            with self.subTest(name):
                self.keeps[1].work = {name: {"pending": 3, "sha256": hashlib.sha256(b"other").hexdigest()}}
                done = self.balance("--apply", "all", *arguments, code=5)
                self.assert_nothing_sent()
                self.assertIn("--take-over", done.stderr)
        # Pull lists leave trash lists alone.
        self.balance("--apply", "pulls", *arguments)
        for keep in self.keeps:
            keep.puts.clear()
        self.balance("--apply", "all", "--take-over", *arguments)
        self.assertEqual(len(self.keeps[1].sent("/trash")), 2)

    def test_our_own_lists(self):
        arguments = self.surplus()
        self.balance("--apply", "all", *arguments)
        for keep in self.keeps:
            for list_of_work in keep.work.values():
                list_of_work["pending"] = 2
        self.balance("--apply", "all", *arguments)
        for keep in self.keeps:
            self.assertEqual([path for path, _ in keep.puts], ["/trash", "/pull", "/trash"] * 2)

    def test_servers_of_the_go_kind(self):
        arguments = self.surplus()
        for keep in self.keeps:
            keep.has_work = False
        self.keeps[0].work = {"trash": {"pending": 1, "in_progress": 0}}
        self.balance("--apply", "all", *arguments, code=5)
        self.assert_nothing_sent()
        self.keeps[0].work = {}
        self.balance("--apply", "all", *arguments)
        # What they work on may be what we sent.
        self.keeps[0].work["trash"]["pending"] = 1 if self.keeps[0].sent("/trash")[-1] else 0
        self.balance("--apply", "all", *arguments)

    def test_items_of_an_older_list_are_waited_for(self):
        arguments = self.surplus()
        keep = self.keeps[1]
        reports = []

        def work_report():
            reports.append(list(keep.puts))
            running = 1 if len(reports) in (2, 3, 4) else 0
            return {"pull": {"pending": 0, "in_progress": 0}, "trash": {"pending": 0, "in_progress": running}}

        keep.work_report = work_report
        self.balance("--apply", "all", *arguments)
        self.assertGreaterEqual(len(reports), 5)
        # Indexes are read after that.
        first_index = next(i for i, path in enumerate(keep.gets) if "/blocks" in path)
        self.assertEqual(keep.gets[:first_index].count("/_work"), 5)

    def test_a_trash_list_that_cannot_be_cleared(self):
        arguments = self.surplus()
        self.keeps[1].put_status["/trash"] = 500
        self.balance("--apply", "all", *arguments, code=6)
        for keep in self.keeps:
            self.assertEqual(keep.sent("/pull"), [])
            self.assertFalse(any(keep.sent("/trash")))
            self.assertFalse([path for path in keep.gets if "/blocks" in path])

    def test_a_pull_list_that_is_refused(self):
        arguments = self.surplus()
        self.keeps[1].put_status["/pull"] = 413
        done = self.balance("--apply", "all", *arguments, code=6)
        self.assertIn(self.keeps[1].url, done.stderr)
        for keep in self.keeps:
            self.assertFalse(any(keep.sent("/trash")))
        self.assertEqual(len(self.keeps[2].sent("/pull")), 1)

    def test_a_trash_list_that_is_refused(self):
        arguments = self.surplus()
        keep = self.keeps[1]
        taken = []

        class Second(dict):
            def get(self, path, default=None):
                taken.append(path)
                return 503 if taken.count("/trash") == 2 and path == "/trash" else default

        keep.put_status = Second()
        done = self.balance("--apply", "all", *arguments, code=6)
        self.assertFalse(done.summary["trashes_sent"])
        self.assertEqual(len(self.keeps[0].sent("/trash")), 2)
        self.assertEqual(len(self.keeps[2].sent("/trash")), 2)

    def test_two_runs_at_once(self):
        self.fill()
        for keep in self.keeps:
            keep.held = threading.Event()
        first = keepctl.start(self.dir.path, "balance", "--config", self.config())
        until(lambda: any("/blocks" in path for path in self.keeps[0].gets), what="the first run reads an index")
        done = self.balance(code=5)
        self.assertIn("another balance run", done.stderr)
        for keep in self.keeps:
            keep.held.set()
        first.communicate()
        self.assertEqual(first.returncode, 0)

    def test_stopped_by_a_signal(self):
        arguments = self.surplus()
        for keep in self.keeps:
            keep.held = threading.Event()
        running = keepctl.start(self.dir.path, "balance", "--json", "--apply", "all", "--config", self.config(), *arguments)
        until(lambda: any("/blocks" in path for path in self.keeps[0].gets), what="an index is read")
        running.send_signal(signal.SIGTERM)
        stdout, _ = running.communicate(timeout=60)
        self.assertEqual(running.returncode, 143)
        self.assertEqual(json.loads(stdout.splitlines()[-1])["exit_code"], 143)
        self.assert_nothing_sent(cleared=True)
        for keep in self.keeps:
            keep.held.set()
            keep.held = None
        self.balance("--apply", "all", *arguments)

    def test_again_and_again(self):
        self.fill(copies=1)
        running = keepctl.start(self.dir.path, "balance", "--apply", "pulls", "--every", "200ms", "--config", self.config())
        until(lambda: len(self.keeps[0].sent("/pull")) >= 3, what="three runs")
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=60)
        self.assertEqual(running.returncode, 0, "the code of the last run")

    def test_killed_at_any_moment(self):
        arguments = self.surplus()
        config = self.config()
        for number in range(rounds(12)):
            running = keepctl.start(self.dir.path, "balance", "--apply", "all", "--digits", "1", "--config", config, *arguments)
            goal = number % 9 + 1
            seen = len(self.order)
            until(lambda: running.poll() is not None or len(self.order) - seen >= goal, interval=0.001)
            running.kill()
            running.communicate()
            # Lists that arrived are still to be worked off.
            for keep in self.keeps:
                for list_of_work in keep.work.values():
                    list_of_work["pending"] = 1
        for keep in self.keeps:
            keep.puts.clear()
        self.balance("--apply", "all", *arguments)
        for keep in self.keeps:
            self.assertEqual(len(keep.sent("/trash")), 2)


if __name__ == "__main__":
    main()
