"""What keepctl prints and how it ends: terminals, --json and --plain, errors and exit codes, signals, closed and full outputs."""

import concurrent.futures
import fcntl
import glob
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from support import keepctl
from support.case import main
from support.daemon import MANAGEMENT_TOKEN, SIGNING_KEY, SYSTEM_ROOT_TOKEN
from support.keepctl_case import KeepctlCase
from support.locator import md5, plain
from support.raw_server import RawServer, response
from support.wait import PATIENCE, refusing_port, until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOO = md5(b"foo")
OLD = 1_600_000_000
MOUNT = "zzzzz-nyw5e-000000000000000"


class Terminal:
    """keepctl on a terminal of its own, with all three streams."""

    def __init__(self, folder, words, columns=80, env=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environment = {k: v for k, v in keepctl.environment(folder).items()
                       if k not in ("NO_COLOR", "LANG") and not k.startswith("LC_")}
        environment.update({"TERM": "xterm", "LC_ALL": "C.UTF-8", **(env or {})})
        # The terminal is that of the process, so that its keys make signals.
        self.process = subprocess.Popen([keepctl.program(), *words], stdin=slave, stdout=slave, stderr=slave, env=environment,
                                        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.shown = b""

    def read_until(self, condition, timeout=20):
        """Reads until the condition holds for what was shown, or to the end."""
        deadline = time.monotonic() + timeout * PATIENCE
        while not condition(self.shown):
            ready, _, _ = select.select([self.master], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                raise AssertionError(f"not shown in time: {self.shown[-500:]!r}")
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                piece = b""  # The other side was closed.
            if not piece:
                return
            self.shown += piece

    def type(self, keys):
        os.write(self.master, keys)

    def end(self):
        """The exit code, and the lines that were shown."""
        self.read_until(lambda _: False)
        code = self.process.wait(20 * PATIENCE)
        os.close(self.master)
        return code, self.shown.replace(b"\r\n", b"\n").decode(errors="surrogateescape").splitlines()


class Case(KeepctlCase):
    def terminal(self, *words, **options):
        return Terminal(self.dir.path, words, **options)

    def old_block(self, root, data=b"foo"):
        name = keepctl.store(root, data)
        os.utime(os.path.join(root, name[:3], name), (0, OLD))
        return name


class Terminals(Case):
    def test_columns(self):
        """The header is bold where that can be shown, and nothing else differs."""
        daemon = self.start()
        daemon.put(b"foo")
        words = ["ls", "--server", self.url(daemon), *self.secrets]
        code, lines = self.terminal(*words).end()
        self.assertEqual((code, lines[0]), (0, "\x1b[1mBLOCK" + " " * 31 + "COPIES  NOTE\x1b[0m"))
        for more, env in ([[], {"NO_COLOR": "1"}], [["--no-color"], {}], [[], {"TERM": "dumb"}], [[], {"TERM": ""}],
                          [["--plain"], {}], [["--json"], {}]):
            code, plain_lines = self.terminal(*words, *more, env=env).end()
            self.assertEqual(code, 0)
            self.assertFalse(any("\x1b" in line for line in plain_lines), plain_lines)
            if not more or more == ["--no-color"]:
                self.assertEqual(plain_lines[1:], lines[1:])

    def test_characters(self):
        folder = os.path.join(self.dir.path, "gr\u00fc\u00df")
        for env, expected in (({}, "gr\u00fc\u00df"), ({"LC_ALL": "C"}, "gr??"), ({"LC_ALL": "", "LANG": "de_DE.ISO-8859-1"}, "gr??"),
                              ({"LC_ALL": "", "LANG": "de_DE.utf8"}, "gr\u00fc\u00df")):
            for columns in (40, 80):
                code, lines = self.terminal("ls", f"dir:{folder}", columns=columns, env=env).end()
                self.assertEqual(code, 2)
                self.assertIn(expected + ":", lines[0])
                if "?" in expected:
                    self.assertTrue("\n".join(lines).isascii())

    def test_progress_fits_the_width(self):
        """The bandwidth makes the run last for seven of the line's intervals, however fast the machine is."""
        source = self.dir.make("source")
        for i in range(150):
            keepctl.store(source, str(i).encode() * 2_000)
        for columns in (40, 80):
            target = self.dir.make(f"target{columns}")
            terminal = self.terminal("replicate", f"dir:{source}", f"dir:{target}", "--bandwidth", "512K", columns=columns)
            self.assertEqual(terminal.end()[0], 0)
            shown = [part for part in terminal.shown.split(b"\r\x1b[K") if part.startswith(b"replicate")]
            self.assertGreater(len(shown), 0)
            self.assertLess(max(map(len, shown)), columns)
            terminal = self.terminal("replicate", f"dir:{source}", f"dir:{target}", columns=columns, env={"TERM": "dumb"})
            self.assertEqual(terminal.end()[0], 0)
            self.assertFalse(set(b"\x1b\r") & set(terminal.shown.replace(b"\r\n", b"\n")), terminal.shown)

    def test_the_question(self):
        daemon = self.start(Collections={"BlobSigningTTL": "1s"})
        self.old_block(daemon.roots()[0])
        words = ["trash", FOO, "--config", self.config_file([daemon])]
        there = os.path.join(daemon.roots()[0], FOO[:3], FOO)
        for keys, code in ((b"n\n", 4), (b"\n", 4), (b"yes please\n", 4), (b"\x04", 4), (b"\x03", 130)):
            with self.subTest(keys):
                terminal = self.terminal(*words)
                terminal.read_until(lambda shown: b"move 1 block to the trash of all servers? [y/N]" in shown)
                terminal.type(keys)
                self.assertEqual(terminal.end()[0], code)
                self.assertTrue(os.path.exists(there))
        terminal = self.terminal(*words, "--timeout", "1s")
        self.assertEqual(terminal.end()[0], 6)
        self.assertTrue(os.path.exists(there))
        terminal = self.terminal(*words)
        terminal.read_until(lambda shown: b"[y/N]" in shown)
        terminal.type(b"y\n")
        code, lines = terminal.end()
        self.assertEqual((code, os.path.exists(there)), (0, False), lines)
        self.assertIn("keepctl: 1 block trashed, 0 kept, 0 not found", lines)

    def test_watch_clears_the_screen(self):
        daemon = self.start()
        terminal = self.terminal("status", "--watch", "200ms", "--server", self.url(daemon), *self.secrets)
        terminal.read_until(lambda shown: shown.count(b"\x1b[H\x1b[2J") >= 3)
        terminal.type(b"\x03")
        self.assertEqual(terminal.end()[0], 130)
        terminal = self.terminal("status", "--watch", "200ms", "--server", self.url(daemon), *self.secrets, env={"TERM": "dumb"})
        terminal.read_until(lambda shown: shown.count(b"ready") >= 3)
        terminal.type(b"\x03")
        code, lines = terminal.end()
        self.assertEqual((code, any("\x1b" in line for line in lines)), (130, False))


class Machines(Case):
    """What other programs read."""

    def setUp(self):
        super().setUp()
        self.daemon = self.start()
        self.root = self.daemon.roots()[0]
        self.old_block(self.root)
        self.dead = f"http://127.0.0.1:{refusing_port(self)}"

    def commands(self):
        """Each command, in a form that works with one server that has one block."""
        other = self.dir.make("other")
        return [["status"], ["ls"], ["ls", "--long", f"dir:{self.root}"], ["head", FOO],
                ["get", f"{FOO}+3", "-o", self.path("out")], ["put", self.path("token-free")], ["touch", FOO],
                ["trash", FOO, "--dry-run"], ["untrash", FOO], ["check-config", "--config", self.config_file([self.daemon])],
                ["probe"], ["scrub", "start"], ["scrub", "wait"], ["scrub", "status"], ["scrub", "stop"],
                ["compare", "cluster", f"dir:{other}", "--combined", "-"], ["replicate", "cluster", f"dir:{other}"],
                ["compare", "cluster", f"dir:{other}", "--data"]]

    def check_json(self, done):
        for found in done.objects:
            self.assertEqual((found["v"], type(found["type"])), (1, str), done)
        self.assertEqual([o["type"] == "summary" for o in done.objects], [False] * (len(done.objects) - 1) + [True], done)
        self.assertEqual((done.summary["exit_code"], done.summary["command"]), (done.code, done.arguments[0]), done)

    def test_every_line_is_an_object_and_no_output_has_a_secret(self):
        """Of each command: when it works, with a dead server, with wrong tokens, with too little time."""
        with open(self.path("token-free"), "wb") as file:
            file.write(b"some block")
        canaries = {"token": "WrongRootTokenCanary", "key": "WrongSigningKeyCanary", "management": "WrongManagementCanary"}
        wrong = []
        for name, option in (("token", "--token-file"), ("key", "--signing-key-file"), ("management", "--management-token-file")):
            with open(self.path("wrong-" + name), "w", encoding="ascii") as file:
                file.write(canaries[name] + "\n")
            wrong += [option, self.path("wrong-" + name)]
        secrets = [SYSTEM_ROOT_TOKEN, SIGNING_KEY, MANAGEMENT_TOKEN, "EnvironmentCanary", *canaries.values()]
        env = {"ARVADOS_API_TOKEN": "EnvironmentCanary1", "AWS_SECRET_ACCESS_KEY": "EnvironmentCanary2"}

        def run(words, server, more):
            servers = [] if words[0] == "check-config" else ["--server", server, *more]
            return keepctl.run(self.dir.path, *words, "--json", "-v", "-v", *servers, env=env)

        def check(done):
            self.check_json(done)
            for text in (done.stdout.decode(), done.stderr):
                self.assertEqual([s for s in secrets if s in text], [], done)
        for words in self.commands():
            with self.subTest(words):
                done = run(words, self.url(self.daemon), self.secrets)
                check(done)
                if words[0] not in ("untrash", "scrub", "compare"):
                    self.assertEqual(done.code, 0, done)
        # Waiting takes most of the time of these.
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            calls = [(w, pool.submit(run, w, server, more)) for w in self.commands() if w[0] != "check-config"
                     for server, more in ((self.dead, self.secrets), (self.url(self.daemon), wrong),
                                          (self.url(self.daemon), [*self.secrets, "--timeout", "1ms"]))]
            for words, call in calls:
                with self.subTest(words):
                    check(call.result())

    def test_plain_output_does_not_depend_on_the_terminal(self):
        keepctl.store(self.root, b"bar")
        other = self.dir.make("other")
        self.old_block(other)
        for words in (["ls", f"dir:{self.root}", "--plain", "--long"],
                      ["compare", f"dir:{self.root}", f"dir:{other}", "--plain", "--combined", "-"]):
            outputs = {keepctl.run(self.dir.path, *words, env=env).stdout
                       for env in ({"LC_ALL": "C", "TERM": "dumb"}, {"LC_ALL": "C.UTF-8", "TERM": "xterm", "COLUMNS": "20"},
                                   {"NO_COLOR": "1"}, {"TZ": "Asia/Tokyo"})}
            self.assertEqual(len(outputs), 1)
        self.assertEqual(outputs.pop().decode().splitlines(), sorted([f"+ {plain(b'bar')}", f"= {plain(b'foo')}"], key=lambda l: l[2:]))
        done = keepctl.run(self.dir.path, "ls", f"dir:{other}", "--plain", "--long", env={"TZ": "Asia/Tokyo"})
        self.assertEqual(done.lines, [f"{plain(b'foo')}\t1\tdir:{other}\t2020-09-13T12:26:40Z\t2020-09-13T12:26:40Z\t-"])

    def test_lists_on_stdout(self):
        other = self.dir.make("other")
        keepctl.store(other, b"bar")
        both = [f"dir:{self.root}", f"dir:{other}"]
        done = keepctl.run(self.dir.path, "compare", *both, "--json", "--missing", "-", "--extra", "-", "--combined", "-")
        self.check_json(done)
        self.assertEqual((done.code, [r["block"] for r in done.rows("missing")], [r["block"] for r in done.rows("extra")]),
                         (1, [plain(b"foo")], [plain(b"bar")]), done)
        self.assertEqual([(r["mark"], r["block"]) for r in done.rows("combined")],
                         sorted([("+", plain(b"foo")), ("-", plain(b"bar"))], key=lambda r: r[1]))
        done = keepctl.run(self.dir.path, "compare", *both, "--missing", "-", "--extra", "-")
        self.assertEqual((done.code, done.stdout), (2, b""), done)
        done = keepctl.run(self.dir.path, "compare", *both)
        self.assertEqual(done.lines, [f"same 0 blocks, missing in {both[1]} 1 block, missing in {both[0]} 1 block, different 0 blocks"])

    def test_outputs_that_are_closed_or_full(self):
        """Whatever a command does: without a reader of its results it has not finished."""
        with open(self.path("token-free"), "wb") as file:
            file.write(b"some block")
        commands = [w for w in self.commands() if w[0] not in ("untrash", "scrub") and "-o" not in w]
        commands += [["get", f"{FOO}+3"], ["man"], ["completion", "bash"], ["--help"], ["--version"], ["ls", "--help"],
                     ["status", "--watch", "100ms"]]
        for words in commands:
            alone = words[0] in ("check-config", "man", "completion") or words[-1].startswith("--help") or words[0] == "--version"
            words = words if alone else [*words, "--server", self.url(self.daemon), *self.secrets]
            for closed in (False, True):
                with self.subTest(words, closed=closed):
                    if closed:
                        read_end, write_end = os.pipe()
                        os.close(read_end)
                    else:
                        write_end = os.open("/dev/full", os.O_WRONLY)
                    done = subprocess.run([keepctl.program(), *words], env=keepctl.environment(self.dir.path), stdout=write_end,
                                          stderr=subprocess.PIPE, text=True, timeout=60 * PATIENCE, check=False)
                    os.close(write_end)
                    self.assertEqual(done.returncode, 6, done.stderr)
                    self.assertEqual("standard output" in done.stderr, not closed, done.stderr)

    def test_a_reader_that_leaves(self):
        many = self.dir.make("many")
        for i in range(3000):
            keepctl.store(many, b"", md5(str(i).encode()))
        for shape in ([], ["--plain"], ["--json"]):
            process = keepctl.start(self.dir.path, "ls", f"dir:{many}", *shape)
            process.stdout.read(100)
            process.stdout.close()
            with process.stderr:
                self.assertEqual((process.wait(60 * PATIENCE), process.stderr.read()), (6, b""))


class Errors(Case):
    def test_one_place_prints_errors(self):
        """The exit code follows from the errors that were printed, since all of them go through output::error: no other code of keepctl
        writes to stderr or stdout, but progress and the details of -v, which have no errors, or ends the process."""
        streams = re.compile(r"\b(STDERR_FILENO|STDOUT_FILENO|stderr|stdout|std::cerr|std::cout|std::clog|v?d?f?printf|puts|fputs|perror|log::(error|warning|info|debug|write)|_?_[Ee]xit|std::exit|quick_exit|abort)\b(?!\.)")
        allowed = {"commands/output.cpp": {"STDERR_FILENO", "STDOUT_FILENO"}, "commands/progress.cpp": {"STDERR_FILENO"},
                   "commands/main.cpp": {"STDERR_FILENO", "STDOUT_FILENO", "log::warning"}, "commands/session.cpp": {"_exit"},
                   "cluster/keep_server.cpp": {"log::info"}}
        found = {}
        folder = os.path.join(ROOT, "keepctl")
        for path in glob.glob(f"{folder}/**/*.?pp", recursive=True):
            with open(path, encoding="utf-8") as file:
                code = re.sub(r'//.*|R"\((?s:.*?)\)"|"(?:\\.|[^"\\\n])*"', "", file.read())
            for word in streams.finditer(code):
                name = os.path.relpath(path, folder)
                if word[0].removeprefix("log::level::") not in allowed.get(name, set()):
                    found.setdefault(name, set()).add(word[0])
        self.assertEqual(found, {})

    def test_errors_of_each_phase(self):
        """Something fails in each phase of a command: a line says so, and the exit code is that of its kind."""
        root, other = self.dir.make("root"), self.dir.make("other")
        good, rotten = keepctl.store(root, b"good"), keepctl.store(root, b"rotten", md5(b"what it was"))
        mounts = json.dumps([{"uuid": MOUNT, "device_id": "a"}]).encode()
        cut = RawServer(lambda _, target: response(mounts if target == "/mounts" else b"cut"))
        self.addCleanup(cut.close)
        not_there = f"{self.dir.path}/absent/file"
        listing = ["ls", "--server", cut.url, *self.secrets]
        for phase, words, code, part in (
                ("options", ["ls", "--nonsense"], 2, "no option"),
                ("options", ["ls", "--server", "nonsense"], 2, "URL"),
                ("options", ["ls", "--token-file", not_there, "--server", "http://127.0.0.1:1"], 2, not_there),
                ("options", ["compare", f"dir:{root}", f"dir:{other}", "--missing", not_there], 2, not_there),
                ("options", ["get", FOO, "-o", not_there, "--server", cut.url, *self.secrets], 2, not_there),
                ("options", ["untrash", "--from", not_there, "--server", cut.url, *self.secrets], 2, not_there),
                ("connection", ["ls", "--server", f"http://127.0.0.1:{refusing_port(self)}", *self.secrets], 3, "refused"),
                ("planning", ["compare", f"dir:{root}", f"dir:{root}"], 2, "same"),
                ("planning", ["replicate", f"dir:{other}", f"dir:{root}"], 4, "--allow-empty-source"),
                ("planning", ["trash", FOO, "--yes", "--server", cut.url, *self.secrets], 4, "--allow-permanent-delete"),
                ("listing", listing, 6, "index"),
                ("listing", ["compare", f"keep:{cut.url}", f"dir:{other}", *self.secrets], 6, "index"),
                ("transfer", ["replicate", f"dir:{root}", f"dir:{other}"], 1, md5(b"what it was")),
                ("transfer", ["compare", f"dir:{root}", f"dir:{other}", "--data"], 1, md5(b"what it was")),
                ("commit", ["compare", f"dir:{root}", f"dir:{other}", "--combined", "/dev/full"], 6, "/dev/full"),
                ("report", ["--version"], 0, "")):
            with self.subTest(phase, words=words[:3]):
                if phase == "transfer" and words[0] == "compare":
                    keepctl.store(other, b"rotten", rotten)
                done = keepctl.run(self.dir.path, *words, timeout=40)
                self.assertEqual(done.code, code, done)
                self.assertIn(part, done.stderr)
        self.assertEqual(keepctl.stored(other), {good: b"good", rotten: b"rotten"})


class Signals(Case):
    def setUp(self):
        super().setUp()
        mounts = json.dumps([{"uuid": MOUNT, "device_id": "a", "allow_write": True}]).encode()
        line = f"{FOO}+3 1767225600123456789\n".encode()

        def answer(_, target):
            if target == "/mounts":
                return response(mounts)
            if "blocks" in target:
                prefix = target.split("=")[1]
                return response((line if FOO.startswith(prefix) else b"") + b"\n")
            return self.hang()
        self.server = RawServer(answer)
        self.addCleanup(self.server.close)

    def hang(self):
        self.server.over.wait(120)
        yield b""

    def begin(self, *words):
        """A command that waits for a response."""
        process = keepctl.start(self.dir.path, *words, "--json")
        until(lambda: any(t[1:33] == FOO for t in self.server.targets()), 30, "the command waits")
        return process

    def finish(self, process):
        out, err = process.communicate(timeout=60 * PATIENCE)
        return process.returncode, [json.loads(line) for line in out.splitlines()], err.decode()

    def test_one_signal_stops(self):
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            for words in (["head", FOO], ["touch", FOO], ["get", f"{FOO}+3", "-o", self.path("out")]):
                self.server.requests.clear()
                process = self.begin(*words, "--server", self.server.url, *self.secrets)
                process.send_signal(number)
                ended, lines, err = self.finish(process)
                self.assertEqual((ended, lines[-1]["type"], lines[-1]["exit_code"]), (code, "summary", code), err)
                self.assertNotIn("out", " ".join(os.listdir(self.dir.path)))

    def test_a_second_signal_ends_at_once(self):
        """A run that stops waits for the blocks under way; not at the second signal, whatever the first one was."""
        target = self.dir.make("target")
        for first in (signal.SIGINT, signal.SIGTERM):
            self.server.requests.clear()
            process = self.begin("replicate", f"keep:{self.server.url}", f"dir:{target}", *self.secrets)
            process.send_signal(first)
            self.assertIn(b"stopping", process.stderr.readline())
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(60 * PATIENCE), 130)
            self.assertLess(time.monotonic() - begun, 2 * PATIENCE)
            process.communicate()

    def test_input_that_does_not_come(self):
        read_end, write_end = os.pipe()
        for number, more, code in ((signal.SIGINT, [], 130), (None, ["--timeout", "300ms"], 6)):
            process = subprocess.Popen([keepctl.program(), "put", "--server", self.server.url, "--json", *self.secrets, *more],
                                       stdin=read_end, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       env=keepctl.environment(self.dir.path))
            if number:
                os.write(write_end, b"beginning")
                until(lambda: not select.select([read_end], [], [], 0)[0], 20, "keepctl has read what there is")
                process.send_signal(number)
            ended, lines, err = self.finish(process)
            self.assertEqual((ended, lines[-1]["exit_code"]), (code, code), err)
        os.close(read_end)
        os.close(write_end)
        self.assertEqual(self.server.targets("PUT"), [])


if __name__ == "__main__":
    main()
