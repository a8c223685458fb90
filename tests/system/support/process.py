"""Servers of other projects that tests start: processes that outlive the command that started them, and are found again."""

import json
import os
import select
import signal
import sys
import time

STOP_SECONDS_MAX = 15
SKIPPED = 77  # The exit code of a command whose server is not installed.
PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class ServerError(AssertionError):
    """A server does not do what it is for; the text says why."""


class Process:
    """A process recorded in a file by its pid and start time, since pids are reused."""

    def __init__(self, file):
        self.file = file

    def spawn(self, command, log, env):
        """Starts it in a session of its own; it outlives us. Its output goes to `log`."""
        opened = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                  (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]
        pid = os.posix_spawn(command[0], command, env, file_actions=opened, setsid=True)
        with open(self.file + ".new", "w", encoding="utf-8") as file:
            json.dump({"pid": pid, "born": _born(pid)}, file)
        os.rename(self.file + ".new", self.file)

    def pid(self):
        """Its number while it runs, else None."""
        try:
            with open(self.file, encoding="utf-8") as file:
                known = json.load(file)
            if known["born"] is None or _born(known["pid"]) != known["born"]:
                return None
            os.waitpid(known["pid"], os.WNOHANG)  # Should it be our child, and have ended.
        except ChildProcessError:
            pass
        except (OSError, ValueError):
            return None
        return known["pid"] if _born(known["pid"]) else None

    def send(self, number):
        pid = self.pid()
        if pid is None:
            raise ServerError(f"{os.path.basename(self.file)} is not running")
        os.kill(pid, number)

    def stopped(self):
        """Whether all of its threads are."""
        folder = f"/proc/{self.pid()}/task"
        try:
            for thread in os.listdir(folder):
                with open(f"{folder}/{thread}/stat", encoding="utf-8", errors="replace") as file:
                    if file.read().rpartition(")")[2].split()[0] != "T":
                        return False
        except OSError:
            return False
        return True

    def end(self, number=signal.SIGTERM):
        """Terminates it, kills it after a timeout, and waits for its end."""
        if self.pid() is not None:
            self.send(signal.SIGCONT)
            self.send(number)
            if not wait_for(lambda: self.pid() is None, STOP_SECONDS_MAX):
                self.send(signal.SIGKILL)
                wait_for(lambda: self.pid() is None, STOP_SECONDS_MAX)
        if os.path.exists(self.file):
            os.unlink(self.file)


def _born(pid):
    """Identifies a process among others with the same pid: the boot and the clock tick of its start."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            # After a kill the first thread is a zombie while others still hold the sockets.
            ended = fields[0] in "ZX" and int(fields[17]) <= 1
            return None if ended else f"{file.read().strip()}/{fields[19]}"
    except (OSError, IndexError):
        return None


def wait_for(condition, seconds, interval=0.02):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(interval)
    return True


def publish(file, info):
    """Writes where the server is (or {"skipped": why there is none}) for the tests that look there."""
    os.makedirs(os.path.dirname(os.path.abspath(file)), exist_ok=True)
    with open(file + ".new", "w", encoding="utf-8") as output:
        os.fchmod(output.fileno(), 0o600)
        json.dump(info, output, indent=1)
    os.rename(file + ".new", file)


def add_start_options(parser):
    """What start_or_stop() looks at, in addition to `what` and `folder`."""
    parser.add_argument("--publish", metavar="FILE", help="where tests look for the server")
    parser.add_argument("--with-parent", action="store_true", help="stop when the process ends that runs this command")


def start_or_stop(arguments, server, missing, contents):
    """Carries out the command "start" or "stop". `server`: its class. `missing`: why this machine cannot run it, or None.
    `contents`: the first argument of start(). Returns the exit code."""
    if arguments.what == "start" and missing:
        if arguments.publish:
            publish(arguments.publish, {"skipped": missing})
        print(f"skipped: {missing}")
        return SKIPPED
    os.makedirs(arguments.folder, mode=0o700, exist_ok=True)
    it = server(arguments.folder)
    if arguments.what == "stop":
        it.stop()
        if arguments.publish and os.path.exists(arguments.publish):
            os.unlink(arguments.publish)
        return 0
    began = time.monotonic()
    info = it.start(contents, os.getppid() if arguments.with_parent else None)
    if arguments.publish:
        publish(arguments.publish, info)
    print(f"{info['endpoint']} after {time.monotonic() - began:.1f} s, state in {it.folder}")
    return 0


class Server:
    """A server whose state is in `folder`: what is known of it, its logs, and a guard that ends it with its owner. Several
    objects, also of several processes, may stand for the same one."""

    def __init__(self, folder):
        self.folder = os.path.realpath(folder)
        self._guard = Process(os.path.join(self.folder, "guard.pid"))
        self._info_file = os.path.join(self.folder, "info.json")
        self.info = self._load()

    def guard(self, owner):
        """Waits for the end of the process `owner`, then ends the server: an interrupted test run leaves no process or file."""
        wait_for_end(owner)
        self.stop_parts()

    def stop(self):
        """Ends everything; harmless if nothing runs. The logs stay."""
        self._guard.end(signal.SIGKILL)
        self.stop_parts()

    def stop_parts(self):
        """Ends all but the guard."""
        raise NotImplementedError

    def _start_guard(self, module, owner):
        """`module`: the name of the one whose command line has "guard FOLDER OWNER"."""
        self._guard.spawn([sys.executable, "-B", "-m", module, "guard", self.folder, str(owner)], self._log("guard"),
                          os.environ | {"PYTHONPATH": PACKAGE_ROOT})

    def _load(self):
        try:
            with open(self._info_file, encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return None

    def _save(self):
        publish(self._info_file, self.info)

    def _forget(self):
        if os.path.exists(self._info_file):
            os.unlink(self._info_file)

    def _log(self, name):
        return os.path.join(self.folder, f"{name}.log")

    def _tail(self, name):
        try:
            with open(self._log(name), encoding="utf-8", errors="replace") as file:
                return "".join(file.readlines()[-15:])
        except OSError:
            return ""


def wait_for_end(owner):
    """Waits for the end of a process, which need not be a child."""
    try:
        handle = os.pidfd_open(owner)
    except OSError:  # Gone already.
        handle = None
    if handle is not None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        select.select([handle], [], [])
