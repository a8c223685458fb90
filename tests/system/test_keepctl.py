"""keepctl against real daemons: what it prints, and with which exit codes."""

import json
import os
import re
import shlex
import shutil
import subprocess

from support import keepctl
from support.case import main
from support.keepctl_case import KeepctlCase as Case
from support.locator import EMPTY, md5, plain
from support.wait import refusing_port

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOO = md5(b"foo")
BAR = md5(b"bar")


class CommandLine(Case):
    def test_wrong_command_lines(self):
        for words, part in (
                ([], "Commands:"),
                (["stats"], "did you mean status?"),
                (["status", "--jason"], "did you mean --json?"),
                (["status", "--json", "--plain"], "excludes"),
                (["status", "extra"], 'unexpected argument "extra"'),
                (["status", "--json", "--json"], "--json"),
                (["ls", "XYZ"], "hex digits"),
                (["ls", "a" * 33], "hex digits"),
                (["head", "xyz"], 'HASH: "xyz" is no hash'),
                (["get"], "HASH is required"),
                (["get", FOO, EMPTY], "HASH: At Most 1"),
                (["get", FOO, "--json"], "--output FILE"),
                (["ls", "3f", "4f"], "two prefixes"),
                (["ls", "dir:/a", "dir:/b"], "two places"),
                (["ls", "dir:/a", "--place", "dir:/b"], "two places"),
                (["ls", "dir:/a", "3f", "x"], "At Most 2"),
                (["ls", "dir:a"], "no absolute path"),
                (["ls", "/mnt/keep"], "dir:/mnt/keep"),
                (["ls", "--jsno"], "did you mean --json?"),
                (["status", "--watch", "1ms"], "at least 100ms"),
                (["status", "--timeout", "1s", "--timeout", "2s"], "--timeout"),
                (["status", "--config", "a", "--config", "b"], "--config"),
                (["compare", "dir:/a", "dir:/b", "--subset", "0/4"], "1/16"),
                (["compare", "dir:/a", "dir:/b", "--subset", "5/4"], "1/16"),
                (["compare", "dir:/a", "dir:/b", "--subset", "1/4097"], "4096"),
                (["compare", "dir:/a", "dir:/b", "--data", "--size-only"], "excludes"),
                (["replicate", "dir:/a"], "DESTINATION is required"),
                (["compare", "dir:/a"], "B is required"),
                (["replicate", "dir:a", "dir:/b"], "absolute"),
                (["replicate", "dir:/a", "s3://b?secret=Canary"], "command line"),
                (["replicate", "dir:/a", "dir:/b", "--jobs", "0"], "1 to 256"),
                (["replicate", "dir:/a", "dir:/b", "--memory", "1MiB"], "64MiB"),
                (["replicate", "dir:/a", "dir:/b", "--since", "yesterday"], "--since"),
                (["replicate", "dir:/a", "dir:/b", "--progress", "bar"], "--progress"),
                (["status", "--timeout", "soon"], "duration"),
                (["status", "--token", "x"], "no option --token")):
            with self.subTest(words):
                done = keepctl.run(self.dir.path, *words)
                self.assertEqual(done.code, 2, done)
                self.assertIn(part, done.stderr)
                # With --json the last line is a summary, also when nothing else was understood.
                last = {"v": 1, "type": "summary", "command": words[0], "exit_code": 2} if "--json" in words else None
                self.assertEqual([json.loads(line) for line in done.lines], [last] if last else [])
                self.assertNotIn("Canary", done.stderr)

    def test_help_and_version(self):
        self.assertRegex(keepctl.run(self.dir.path, "--version").stdout, rb"^keepctl \d+\.\d+\.\d+\n$")
        for words in (["--help"], ["replicate", "--help"], ["status", "-h"]):
            done = keepctl.run(self.dir.path, *words)
            self.assertEqual((done.code, done.stderr), (0, ""), words)
            self.assertIn(b"sage: keepctl", done.stdout)

    def test_help_has_the_words_that_the_parser_takes(self):
        for command, usage in (("get", "HASH[+SIZE]"), ("head", "HASH..."), ("touch", "HASH..."), ("trash", "[HASH...]"),
                               ("untrash", "[HASH...]"), ("put", "[FILE]"), ("ls", "[PLACE] [PREFIX]"), ("compare", "A B"),
                               ("replicate", "SOURCE DESTINATION"), ("probe", "[PLACE]")):
            text = keepctl.run(self.dir.path, command, "--help").stdout.decode()
            self.assertEqual(text.splitlines()[0], f"Usage: keepctl {command} [OPTIONS] {usage}")
            page = keepctl.run(self.dir.path, "man", command).stdout.decode().replace("\\-", "-")
            synopsis = re.sub(r"\\f.", "", page.split(".PP\n")[1].split(".TP\n")[0])
            self.assertEqual(synopsis, f".B keepctl {command}\n[OPTIONS] {usage}\n")

    def test_missing_and_malformed_inputs(self):
        empty = self.path("empty")
        with open(empty, "w", encoding="ascii"):
            pass
        server = 'Services: {Keepstore: {InternalURLs: {"http://127.0.0.1:1/": {}}}}'
        config = {}
        key = f"Collections: {{BlobSigningKey: {'k' * 50}}}"
        for name, lines in (("cut", ["SystemRootToken: [x", server]), ("no token", [key, server]),
                            ("no servers", ["SystemRootToken: x", key]),
                            ("bad value", ["SystemRootToken: x", "Collections: {BlobSigningTTL: soon}", server])):
            config[name] = ["--config", self.path(name)]
            with open(self.path(name), "w", encoding="ascii") as file:
                file.write("Clusters:\n  zzzzz:\n" + "".join(f"    {line}\n" for line in lines))
        for words, part in (
                (["ls", *config["cut"]], "line 4"),
                (["ls", *config["no token"]], "Clusters.zzzzz.SystemRootToken is missing"),
                (["compare", "cluster", f"dir:{self.dir.path}", *config["no token"]], "--token-file"),
                (["ls", *config["no servers"]], "Services.Keepstore.InternalURLs"),
                (["ls", *config["bad value"]], "Clusters.zzzzz.Collections.BlobSigningTTL"),
                (["status"], "no servers"),
                (["status", "--config", self.path("absent")], "absent"),
                (["status", "--server", "keep1:25107"], "URL"),
                (["status", "--server", "http://127.0.0.1:1", "--token-file", self.path("absent")], "absent"),
                (["status", "--server", "http://127.0.0.1:1", "--token-file", empty], "empty"),
                (["status", "--server", "http://127.0.0.1:1", "--ca-file", empty], "--ca-file"),
                (["ls", "--place", "volume:zzzzz-nyw5e-000000000000000"], "configuration"),
                (["ls", "--place", f"dir:{self.path('absent')}"], "no such directory"),
                (["replicate", f"dir:{self.dir.path}", f"dir:{self.dir.path}"], "same"),
                (["replicate", f"dir:{self.dir.path}", "dir:/tmp", "--only", empty + "x"], "--only")):
            with self.subTest(words):
                done = keepctl.run(self.dir.path, *words, "--json")
                self.assertEqual(done.code, 2, done)
                self.assertIn(part, done.stderr)
                self.assertEqual(done.summary["exit_code"], 2)


class Description(Case):
    """The manual page and the completions have what the parser has."""

    def options(self):
        """{command: [option]}, as --help shows them."""
        overview = keepctl.run(self.dir.path, "--help").stdout.decode()
        commands = re.findall(r"^  ([a-z-]+)  ", overview.split("Commands:")[1].split("Examples:")[0], re.MULTILINE)
        self.assertIn("replicate", commands)
        found = {}
        while commands:
            command = commands.pop(0)
            text = keepctl.run(self.dir.path, *command.split(), "--help").stdout.decode()
            self.assertIn(f"Usage: keepctl {command} [OPTIONS]", text)
            if "Subcommands:" in text:
                # A group has nothing but commands of its own.
                below = re.findall(r"^  ([a-z-]+)  ", text.split("Subcommands:")[1], re.MULTILINE)
                commands += [f"{command} {name}" for name in below]
                self.assertEqual(keepctl.run(self.dir.path, command).code, 2)
                continue
            found[command] = re.findall(r"(?<=[ ,])(--?[a-z][a-z-]*)(?=[ ,\n])", text.split("Options:")[1])
            self.assertIn("--help", found[command])
        return found

    def test_the_manual_page(self):
        page = keepctl.run(self.dir.path, "man")
        self.assertEqual(page.code, 0, page)
        sections = page.stdout.decode().replace("\\-", "-").split(".SS ")
        for command, options in self.options().items():
            (section,) = [s for s in sections if s.startswith(command + "\n")]
            self.assertEqual([o for o in options if o not in section], [], command)
            alone = keepctl.run(self.dir.path, "man", *command.split())
            self.assertEqual(alone.code, 0, alone)
            self.assertLess(len(alone.stdout), len(page.stdout))
        self.assertEqual(keepctl.run(self.dir.path, "man", "absent").code, 2)
        # The forms of places are those of --help, and where there is no place there are none.
        forms = keepctl.run(self.dir.path, "replicate", "--help").stdout.decode().split("A place is one of:\n")[1]
        forms = re.findall(r"^  (\S+)", forms, re.MULTILINE)
        self.assertEqual(len(forms), 5)
        for text in page, keepctl.run(self.dir.path, "man", "replicate"):
            places = text.stdout.decode().replace("\\-", "-").split(".SH PLACES")[1].split(".SH")[0]
            self.assertEqual(re.findall(r"^\\fB(.*)\\fR$", places, re.MULTILINE), forms)
        self.assertNotIn(b"PLACES", keepctl.run(self.dir.path, "man", "get").stdout)
        self.assertIn(b"status JOB", keepctl.run(self.dir.path, "man", "clone").stdout)
        if shutil.which("groff"):
            done = subprocess.run(["groff", "-man", "-Tascii", "-ww", "-z"], input=page.stdout, capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_completions(self):
        options = self.options()
        script = keepctl.run(self.dir.path, "completion", "bash").stdout.decode()
        for words, expected in ((["keepctl", "rep"], ["replicate"]), (["keepctl", "replicate", "--allow"], ["--allow-empty-source"]),
                                (["keepctl", "status", "--dry"], []), (["keepctl", "snapshot", "cr"], ["create"]),
                                (["keepctl", "snapshot", "create", "--allow-m"], ["--allow-missing"])):
            line = f'COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1}; _keepctl; echo "${{COMPREPLY[@]}}"'
            done = subprocess.run(["bash", "-c", script + line], capture_output=True, text=True, check=False)
            self.assertEqual((done.stdout.split(), done.stderr), (expected, ""))
        for shell in "zsh", "fish":
            done = keepctl.run(self.dir.path, "completion", shell)
            self.assertEqual(done.code, 0, done)
            for command, names in options.items():
                for word in command.split():
                    self.assertIn(word, done.stdout.decode())
                for name in names:
                    self.assertIn(name.lstrip("-"), done.stdout.decode())
        self.assertEqual(keepctl.run(self.dir.path, "completion", "tcsh").code, 2)


class Administration(Case):
    def setUp(self):
        super().setUp()
        self.daemons = [self.start([self.dir.make(f"vol{i}")], Collections={"BlobSigningTTL": "1s"}) for i in range(2)]
        self.roots = [d.roots()[0] for d in self.daemons]
        for root in self.roots:
            for data in (b"foo", b"bar"):
                name = keepctl.store(root, data)
                os.utime(os.path.join(root, name[:3], name), (0, 1_600_000_000))
        self.config = ["--config", self.config_file(self.daemons)]

    def command(self, *arguments, **options):
        return keepctl.run(self.dir.path, *arguments, *self.config, **options)

    def visible(self):
        return [sorted(keepctl.stored(root)) for root in self.roots]

    def test_touch(self):
        done = self.command("touch", FOO, "--json")
        self.assertEqual(done.code, 0, done)
        self.assertEqual([b["state"] for b in done.rows("block")], ["touched", "touched"])
        for root in self.roots:
            self.assertGreater(os.stat(os.path.join(root, FOO[:3], FOO)).st_mtime, 1_700_000_000)
            self.assertEqual(os.stat(os.path.join(root, BAR[:3], BAR)).st_mtime, 1_600_000_000)
        self.assertEqual(self.command("touch", md5(b"none")).code, 1)
        # The success of one server is not that of another.
        self.daemons[1].kill()
        done = self.command("touch", FOO, "--json")
        self.assertEqual((done.code, sorted(b["state"] for b in done.rows("block"))), (1, ["failed", "touched"]), done)

    def test_trash_and_untrash(self):
        both = [sorted([FOO, BAR])] * 2
        done = self.command("trash", FOO, "--dry-run", "--json")
        self.assertEqual((done.code, len(done.rows("copy"))), (0, 2), done)
        done = self.command("trash", FOO)
        self.assertEqual(done.code, 4, done)
        self.assertIn("--yes", done.stderr)
        self.assertEqual(self.visible(), both)

        done = self.command("trash", FOO, "--yes", "--json")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(self.visible(), [[BAR]] * 2)
        self.assertEqual(self.command("trash", FOO, "--yes").code, 1)

        with open(self.path("lost"), "w", encoding="ascii") as file:
            file.write(f"{FOO} zzzzz-4zz18-000000000000000\n")
        done = self.command("untrash", "--from", self.path("lost"), "--json")
        self.assertEqual(done.code, 0, done)
        self.assertEqual([b["state"] for b in done.rows("block")], ["back", "back"])
        self.assertEqual(self.visible(), both)
        self.assertEqual(self.command("untrash", md5(b"none")).code, 1)
        self.assertEqual(self.command("untrash").code, 2)
        # One that is not there is a failure next to one that is trashed.
        self.assertEqual(self.command("trash", BAR, md5(b"none"), "--yes").code, 1)
        self.assertEqual(self.visible(), [[FOO]] * 2)

    def test_a_copy_that_is_back_and_bad(self):
        """What the trash has is only worth what it is: each server verifies it."""
        keepctl.store(self.roots[0], b"fop", FOO)
        os.utime(os.path.join(self.roots[0], FOO[:3], FOO), (0, 1_600_000_000))
        self.assertEqual(self.command("trash", FOO, "--yes").code, 0)
        done = self.command("untrash", FOO, "--json")
        found = {b["server"].rstrip("/"): b for b in done.rows("block")}
        self.assertEqual((done.code, [found[self.url(d)]["state"] for d in self.daemons]), (1, ["failed", "back"]), done)
        self.assertIn("bad", found[self.url(self.daemons[0])]["note"])

    def test_dry_runs(self):
        both = [sorted([FOO, BAR])] * 2
        none = md5(b"none")
        for command, code in (("touch", 1), ("untrash", 0)):
            done = self.command(command, FOO, none, "--dry-run", "--json")
            self.assertEqual(done.code, code, done)
            self.assertEqual([(c["block"], c["state"]) for c in done.rows("copy")], [(FOO + "+3", "found")] * 2)
            self.assertEqual(self.command(command, FOO, "-n").code, 0)
        self.assertEqual(os.stat(os.path.join(self.roots[0], FOO[:3], FOO)).st_mtime, 1_600_000_000)
        with open(self.path("new"), "wb") as file:
            file.write(b"new")
        done = self.command("put", self.path("new"), "--replication", "2", "--dry-run", "--json")
        (planned,) = done.rows("planned")
        self.assertEqual((done.code, planned["locator"], len(planned["servers"])), (0, md5(b"new") + "+3", 2), done)
        done = self.command("put", self.path("new"), "-n")
        self.assertEqual(done.stdout.decode(), md5(b"new") + "+3\n")
        self.assertEqual(self.visible(), both)
        for action in "start", "stop":
            done = self.command("scrub", action, "--dry-run", "--json")
            self.assertEqual({r["state"] for r in done.rows("scrub")}, {"idle"}, done)
        self.assertEqual([d.metric("keepstore_block_duration_seconds_count", method="put") or 0 for d in self.daemons], [0, 0])

    def test_new_copies_are_kept(self):
        path = os.path.join(self.roots[0], FOO[:3], FOO)
        os.utime(path, (0, 4_000_000_000))
        done = self.command("trash", FOO, "--yes", "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual([c["state"] for c in done.rows("copy")], ["found", "found", "kept: too new"])
        self.assertEqual([FOO in names for names in self.visible()], [True, False])

    def test_what_cannot_be_undone_is_refused(self):
        self.daemons[0].cluster["Collections"]["BlobTrashLifetime"] = "0s"
        self.config = ["--config", self.config_file(self.daemons)]
        done = self.command("trash", FOO, "--yes")
        self.assertEqual(done.code, 4, done)
        self.assertIn("--allow-permanent-delete", done.stderr)
        done = self.run_with(self.daemons, "trash", FOO, "--yes")
        self.assertEqual(done.code, 4, done)
        self.assertEqual(self.visible(), [sorted([FOO, BAR])] * 2)

    def test_scrub(self):
        keepctl.store(self.roots[0], b"rotten", BAR)
        done = self.command("scrub", "start", "--rate", "0", "--json")
        self.assertEqual(len(done.rows("scrub")), 2, done)
        done = self.command("scrub", "wait", "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual({r["state"] for r in done.rows("scrub")}, {"finished"})
        self.assertEqual(sorted((r["checked"], r["irreparable"]) for r in done.rows("scrub")), [(2, 0), (2, 1)])
        self.assertEqual([r["block"] for r in done.rows("irreparable")], [BAR])
        self.assertEqual(self.command("scrub", "status").code, 1)
        self.assertEqual(self.command("scrub", "stop").code, 1)
        self.assertEqual(self.command("scrub", "pause").code, 2)
        self.assertEqual(self.command("scrub", "start", "--rate", "fast").code, 2)

    def test_compare(self):
        a, b = self.roots
        done = self.command("compare", f"dir:{a}", f"dir:{b}", "--json")
        self.assertEqual((done.code, done.summary["same"]), (0, 2), done)
        missing, extra = keepctl.store(a, b"missing"), keepctl.store(b, b"extra!")
        keepctl.store(b, b"ba", BAR)
        done = self.command("compare", f"dir:{a}", f"keep:{self.url(self.daemons[1])}", "--json", *(
            word for name in ("missing", "extra", "differ") for word in (f"--{name}", self.path(name))))
        self.assertEqual(done.code, 1, done)
        self.assertEqual([done.summary[k] for k in ("same", "missing", "extra", "differ")], [1, 1, 1, 1])
        for name, line in (("missing", f"{missing}+7"), ("extra", f"{extra}+6"), ("differ", f"{BAR}+3")):
            with open(self.path(name), encoding="ascii") as file:
                self.assertEqual(file.read(), line + "\n")
        done = self.command("compare", f"dir:{a}", f"dir:{b}", "--missing", "-", "--prefix", missing[:3])
        self.assertEqual((done.code, done.lines), (1, [f"{missing}+7"]), done)
        # What compare finds missing, replicate copies.
        done = self.command("replicate", f"dir:{a}", f"dir:{b}", "--only", self.path("missing"), "--json")
        self.assertEqual((done.code, done.summary["copied"]), (0, 1), done)
        self.assertEqual(self.command("compare", f"dir:{a}", f"dir:{a}").code, 2)
        done = self.command("compare", f"dir:{a}", f"dir:{b}", "--extra", "/dev/full")
        self.assertEqual(done.code, 6, done)


class Setup(Case):
    def test_check_config(self):
        daemons = [self.start([self.dir.make(f"vol{i}")]) for i in range(2)]
        config = ["--config", self.config_file(daemons)]
        done = keepctl.run(self.dir.path, "check-config", "--json", *config)
        self.assertEqual(done.code, 0, done)
        self.assertEqual({v["server"].rstrip("/") for v in done.rows("volume")}, {self.url(d) for d in daemons})
        self.assertEqual({(v["driver"], v["writes"]) for v in done.rows("volume")}, {("Directory", True)})
        daemons[0].cluster["Volumes"]["zzzzz-nyw5e-000000000000000"]["Driver"] = "Tape"
        done = keepctl.run(self.dir.path, "check-config", "--config", self.config_file(daemons))
        self.assertEqual(done.code, 2, done)
        self.assertIn("Tape", done.stderr)
        self.assertEqual(keepctl.run(self.dir.path, "check-config", "--server", "http://127.0.0.1:1").code, 2)

    def test_probe(self):
        daemon = self.start()
        done = self.run_with([daemon], "probe", "--json")
        self.assertEqual(done.code, 0, done)
        self.assertEqual([(s["step"], s["result"]) for s in done.rows("step")],
                         [(s, "ok") for s in ("connection", "clock", "token", "put", "get", "head", "touch", "trash")])
        self.assertEqual([len(d) for d in keepctl.stored(daemon.roots()[0]).values()], [64])
        dead = f"http://127.0.0.1:{refusing_port(self)}"
        done = self.run_with([daemon, dead], "probe")
        self.assertEqual(done.code, 1, done)
        done = keepctl.run(self.dir.path, "probe", f"keep:{dead}", *self.secrets)
        self.assertEqual(done.code, 3, done)
        with open(self.path("key"), "w", encoding="ascii") as file:
            file.write("anotherkey")
        with open(self.path("token"), "w", encoding="ascii") as file:
            file.write("anothertoken")
        done = self.run_with([daemon], "probe", "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual({s["step"] for s in done.rows("step") if s["result"] == "FAILED"},
                         {"token", "get", "head", "touch", "trash"} & {s["step"] for s in done.rows("step")})
        done = keepctl.run(self.dir.path, "probe", f"dir:{self.dir.path}")
        self.assertEqual(done.code, 2, done)

    def test_the_tour_is_right(self):
        """Every option that docs/keepctl.md shows is one of its command; its commands are those of the program."""
        with open(os.path.join(ROOT, "docs", "keepctl.md"), encoding="utf-8") as file:
            text = file.read()
        lines = re.findall(r"(?m)^    (keepctl .*)$", text.replace("\\\n", " "))
        self.assertGreater(len(lines), 10)
        seen = set()
        for line in lines:
            for words in re.split(r"&&|\|", line):
                words = shlex.split(words, comments=True)
                if words[:1] != ["keepctl"]:
                    continue
                seen.add(words[1])
                done = keepctl.run(self.dir.path, words[1], "--help")
                if "Subcommands:" in done.stdout.decode():
                    done = keepctl.run(self.dir.path, words[1], words.pop(2), "--help")
                self.assertEqual(done.code, 0, line)
                options = re.findall(r"--?[a-z][a-z-]*", done.stdout.decode())
                self.assertEqual([w for w in words[2:] if w.startswith("-") and w != "-" and w not in options], [], line)
        self.assertLessEqual({"status", "ls", "get", "put", "compare", "replicate", "probe", "trash"}, seen)


class Servers(Case):
    def test_status(self):
        daemons = [self.start([self.dir.make(f"vol{i}")]) for i in range(2)]
        done = self.run_with(daemons, "status", "--json")
        self.assertEqual(done.code, 0, done)
        servers = done.rows("server")
        self.assertEqual([s["server"] for s in servers], [self.url(d) for d in daemons])
        for server in servers:
            self.assertEqual(server["state"], "ready")
            self.assertRegex(server["version"], r"^\d")
            self.assertEqual(server["clock"], "0s")
            self.assertEqual((server["requests"], server["oldest_seconds"]), (0, 0))
            self.assertEqual((server["pulls_pending"], server["trash_pending"]), (0, 0))
        self.assertEqual([(m["health"], m["scrub"]) for m in done.rows("mount")], [("healthy", "idle")] * 2)
        self.assertEqual({type(m["free"]) for m in done.rows("mount")}, {int})
        self.assertEqual(done.summary["reachable"], 2)

        # Different volumes make different configurations: of two both are marked, of three the one that is alone.
        self.assertEqual(["configuration differs" in str(s["notes"]) for s in servers], [True, True])
        three = self.run_with([daemons[0], daemons[0], daemons[1]], "status", "--json")
        self.assertEqual(["configuration differs" in str(s["notes"]) for s in three.rows("server")], [False, False, True])

        # Without the management token its columns are empty.
        done = keepctl.run(self.dir.path, "status", "--server", self.url(daemons[0]), *self.secrets[:2])
        self.assertEqual(done.code, 0, done)
        self.assertRegex(done.lines[1], r"ready +- +0s +- +- +- +- +- +- +- +-$")

        # By the configuration.
        done = keepctl.run(self.dir.path, "status", "--plain", "--config", self.config_file(daemons))
        self.assertEqual(done.code, 0, done)
        self.assertEqual(len(done.lines), 4)

    def test_servers_that_cannot_be_reached(self):
        daemon = self.start()
        dead = f"http://127.0.0.1:{refusing_port(self)}"
        done = self.run_with([daemon, dead], "status", "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual([s["state"] for s in done.rows("server")], ["ready", "unreachable"])
        for command in (["status"], ["ls"], ["head", FOO], ["get", f"{FOO}+3"], ["put", self.path("token")]):
            done = self.run_with([dead], *command)
            self.assertEqual(done.code, 3, done)

    def test_a_wrong_token(self):
        daemon = self.start()
        with open(self.path("token"), "w", encoding="ascii") as file:
            file.write("WrongTokenCanary")
        done = self.run_with([daemon], "ls")
        self.assertEqual(done.code, 3, done)
        self.assertIn(self.path("token"), done.stderr)
        self.assertIn("403", done.stderr)
        self.assertNotIn("WrongTokenCanary", done.stderr)

    def test_a_signing_key_that_is_missing_or_wrong(self):
        daemon = self.start()
        daemon.put(b"foo")
        with open(self.path("wrong-key"), "w", encoding="ascii") as file:
            file.write("WrongKeyCanary")
        connection = ["--server", self.url(daemon), "--token-file", self.path("token")]
        for more, advice in (([], "--signing-key-file"), (["--signing-key-file", self.path("wrong-key")], "same signing key")):
            for command in ("head", "get"):
                with self.subTest(command, more=more):
                    done = keepctl.run(self.dir.path, command, f"{FOO}+3", *connection, *more)
                    self.assertEqual(done.code, 3, done)
                    self.assertIn(advice, done.stderr + done.stdout.decode())
                    self.assertNotIn("WrongKeyCanary", done.stderr)

    def test_blocks(self):
        daemons = [self.start([self.dir.make(f"vol{i}")]) for i in range(3)]
        data = {md5(d): d for d in (b"foo", b"", os.urandom(1 << 20), os.urandom((1 << 20) + 17))}
        for name, content in data.items():
            done = self.run_with(daemons, "put", "--json", "--replication", "2", stdin=content)
            self.assertEqual(done.code, 0, done)
            stored = done.rows("stored")[0]
            self.assertRegex(stored["locator"], rf"^{name}\+{len(content)}\+A[0-9a-f]{{40}}@[0-9a-f]{{8}}$")
            self.assertEqual((stored["copies"], len(set(stored["servers"]))), (2, 2))

            for locator in f"{name}+{len(content)}", name:
                done = self.run_with(daemons, "get", locator)
                self.assertEqual((done.code, done.stdout == content), (0, True), done.stderr)
            done = self.run_with(daemons, "get", f"{name}+{len(content)}", "-o", self.path("out"))
            self.assertEqual(done.code, 0, done)
            with open(self.path("out"), "rb") as file:
                self.assertEqual(file.read(), content)

        done = self.run_with(daemons, "ls", "--json")
        self.assertEqual(done.code, 0, done)
        self.assertEqual([b["block"] for b in done.rows("block")], sorted(f"{n}+{len(d)}" for n, d in data.items()))
        self.assertEqual({b["copies"] for b in done.rows("block")}, {2})
        self.assertEqual((done.summary["blocks"], done.summary["copies"]), (4, 8))
        done = self.run_with(daemons, "ls", FOO[:5], "--plain")
        self.assertEqual(done.lines, [f"{FOO}+3\t2\t-"])
        done = self.run_with(daemons, "ls", FOO[:2], "--long")
        self.assertRegex(done.lines[1], rf"^{FOO}\+3 +2 +zzzzz-nyw5e-0{{15}}")

        done = self.run_with(daemons, "head", FOO, "--json")
        self.assertEqual(done.code, 0, done)
        self.assertEqual(sorted(c["state"] for c in done.rows("copy")), ["absent", "good", "good"])
        done = self.run_with(daemons, "head", md5(b"none"))
        self.assertEqual(done.code, 1, done)

    def test_bad_copies(self):
        daemons = [self.start([self.dir.make(f"vol{i}")], check_log=False) for i in range(2)]
        content = os.urandom(3 << 20)
        name = md5(content)
        roots = [d.roots()[0] for d in daemons]
        keepctl.store(roots[0], content[:-1] + bytes([content[-1] ^ 1]), name)
        done = self.run_with(daemons, "get", f"{name}+{len(content)}", "-o", self.path("out"))
        self.assertEqual(done.code, 1, done)
        self.assertFalse([n for n in os.listdir(self.dir.path) if n.startswith("out")])
        done = self.run_with(daemons, "head", name, "--json")
        self.assertEqual(done.code, 1, done)
        self.assertEqual([c["state"] for c in done.rows("copy")], ["bad", "absent"])

        # The other server's copy is used, whichever comes first in probe order.
        keepctl.store(roots[1], content)
        done = self.run_with(daemons, "get", f"{name}+{len(content)}")
        self.assertEqual((done.code, done.stdout == content), (0, True), done.stderr)
        # A good copy makes the bad one no better.
        done = self.run_with(daemons, "head", name, "--json")
        self.assertEqual((done.code, [c["state"] for c in done.rows("copy")]), (1, ["bad", "good"]), done)

    def test_blocks_that_are_too_large(self):
        daemon = self.start()
        done = self.run_with([daemon], "put", "--json", stdin=bytes((64 << 20) + 1))
        self.assertEqual(done.code, 2, done)
        self.assertIn("64 MiB", done.stderr)
        self.assertEqual(keepctl.stored(daemon.roots()[0]), {})

    def test_stdout_that_is_closed_or_full(self):
        daemon = self.start()
        daemon.put(b"foo")
        words = [keepctl.program(), "ls", "--server", self.url(daemon), *self.secrets]
        with open("/dev/full", "wb") as full:
            done = subprocess.run(words, env=keepctl.environment(self.dir.path), stdout=full, stderr=subprocess.PIPE,
                                  check=False, timeout=120)
        self.assertEqual(done.returncode, 6, done.stderr)

    def test_places_other_than_servers(self):
        daemon = self.start()
        daemon.put(b"foo")
        daemon.put(b"")
        root = daemon.roots()[0]
        expected = sorted([f"{EMPTY}+0", plain(b"foo")])
        config = ["--config", self.config_file([daemon])]
        for words in ([], ["acbd18"], [FOO]):
            done = keepctl.run(self.dir.path, "ls", *words, f"dir:{root}", "--plain")
            self.assertEqual(done.lines, [f"{b}\t1\t-" for b in expected if b.startswith("".join(words))])
        for place, more in ((f"dir:{root}", []), (f"keep:{self.url(daemon)}", self.secrets),
                            (f"keep:{self.url(daemon)}#zzzzz-nyw5e-000000000000000", self.secrets),
                            ("volume:zzzzz-nyw5e-000000000000000", config), ("cluster", config)):
            with self.subTest(place):
                done = keepctl.run(self.dir.path, "ls", "--json", "--place", place, *more)
                self.assertEqual(done.code, 0, done)
                self.assertEqual([b["block"] for b in done.rows("block")], expected)
        done = keepctl.run(self.dir.path, "ls", "--place", f"keep:{self.url(daemon)}#zzzzz-nyw5e-000000000000009",
                           *self.secrets)
        self.assertEqual(done.code, 2, done)
        self.assertIn("no mount", done.stderr)

    def test_output_has_no_control_characters(self):
        daemon = self.start()
        done = self.run_with([daemon], "status")
        self.assertFalse(re.search(rb"[\x00-\x09\x0b-\x1f]", done.stdout), done)


if __name__ == "__main__":
    main()
