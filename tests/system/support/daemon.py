"""A keepstore process: its configuration, its log, its end."""

import copy
import glob
import json
import mmap
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from urllib.parse import urlsplit

from . import locator as locators
from .client import Connection
from .wait import PATIENCE, until

CLUSTER = "zzzzz"
# Canaries: none of these may appear in a log line or an error body.
SYSTEM_ROOT_TOKEN = "SystemRootCanary4axaw8zxe0qm22wa6urpp5nskcne8z88cv"
MANAGEMENT_TOKEN = "ManagementCanaryjg3ajndnq63sywcd50gbs5dskdc9ckkys"
SIGNING_KEY = "SigningKeyCanaryzfhgfenhffzltr9dixws36j1yhksjoll2grmku38mi7yxd66h5j4q9w4"
ACTIVE_TOKEN = "v2/zzzzz-gj3su-077z32aux8dg2s1/ActiveCanary6lzmp9kj5cpkcoxie963cmvjahbt2fod9zru30k"
CANARIES = (SYSTEM_ROOT_TOKEN, MANAGEMENT_TOKEN, SIGNING_KEY, "ActiveCanary")
SIGNATURE_IN_TEXT = re.compile(r"(\+|%2[Bb])(A|R[a-z0-9]{5}-)[0-9a-f]{40}@[0-9a-f]{8}")
# A token salted for another cluster gives access to that cluster.
SALTED_IN_TEXT = re.compile(r"v2/[a-z0-9]{5}-gj3su-[a-z0-9]{15}/[0-9a-f]{40}")
SIGNING_TTL = 1209600

_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))


def binary():
    """The daemon under test, or None."""
    path = os.environ.get("KEEPSTORE_BINARY")
    if path:
        return path
    found = [p for pattern in ("build/*/bin/keepstore", "build/*/keepstore") for p in glob.glob(f"{_ROOT}/{pattern}")
             if os.path.isfile(p) and os.access(p, os.X_OK)]
    return max(found, key=os.path.getmtime) if found else None


def sanitized():
    """Whether the binary has a sanitizer, whose own memory makes measurements of memory meaningless."""
    if binary() is None:
        return False
    with open(binary(), "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as image:
        return image.find(b"__asan_init") >= 0 or image.find(b"__tsan_init") >= 0


def volume_uuid(number):
    return f"{CLUSTER}-nyw5e-{number:015d}"


def merge(into, extra):
    """Deep merge of dicts, `extra` wins. Returns `into`."""
    for key, value in extra.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)
    return into


def directory_volume(root, **extra):
    return merge({"Driver": "Directory", "DriverParameters": {"Root": root}, "Replication": 1}, extra)


def cluster_config(volumes, url="http://127.0.0.1:0/", **sections):
    """The section of one cluster. `volumes`: list of roots or of ready volume dicts, or a dict by uuid."""
    if not isinstance(volumes, dict):
        volumes = {volume_uuid(i): v if isinstance(v, dict) else directory_volume(v) for i, v in enumerate(volumes)}
    config = {
        "SystemRootToken": SYSTEM_ROOT_TOKEN,
        "ManagementToken": MANAGEMENT_TOKEN,
        "Services": {"Keepstore": {"InternalURLs": {url: {}}}},
        "Collections": {"BlobSigningKey": SIGNING_KEY, "BlobSigningTTL": "336h"},
        "Volumes": volumes,
    }
    return merge(config, sections)


class Log:
    """The lines of a daemon's stderr, read as they are written."""

    def __init__(self, stream):
        self._condition = threading.Condition()
        self._lines = []
        self._stream = stream
        self._ended = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self._stream:
            with self._condition:
                self._lines.append(line.rstrip("\n"))
                self._condition.notify_all()
        with self._condition:
            self._ended = True
            self._condition.notify_all()

    def lines(self):
        with self._condition:
            return list(self._lines)

    def entries(self, **fields):
        """The JSON lines whose fields have these values."""
        found = []
        for line in self.lines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and all(entry.get(k) == v for k, v in fields.items()):
                found.append(entry)
        return found

    def wait(self, condition=None, timeout=10.0, what=None, **fields):
        """The first entry that has these fields and satisfies `condition`."""
        end = time.monotonic() + timeout * PATIENCE
        seen = 0
        with self._condition:
            while True:
                for line in self._lines[seen:]:
                    try:
                        entry = json.loads(line)
                    except ValueError:
                        continue
                    if isinstance(entry, dict) and all(entry.get(k) == v for k, v in fields.items()) and (
                            condition is None or condition(entry)):
                        return entry
                seen = len(self._lines)
                left = end - time.monotonic()
                if left <= 0 or self._ended:
                    tail = "\n".join(self._lines[-15:])
                    raise AssertionError(f"no such log line: {what or fields}; the last ones:\n{tail}")
                self._condition.wait(left)

    def finish(self):
        self._thread.join(10 * PATIENCE)


class Daemon:
    """A running keepstore. `cluster` is the cluster's section as made by cluster_config."""

    def __init__(self, cluster, env=None, arguments=(), wait=True, via_file=None, umask=None, top_level=None, argv0=None,
                 wrapper=(), pass_fds=()):
        path = binary()
        # A program to run each daemon under, with its arguments, one a line (test_unit.py).
        if os.environ.get("KEEPSTORE_TEST_WRAPPER"):
            wrapper = (*os.environ["KEEPSTORE_TEST_WRAPPER"].split("\n"), *wrapper)
        self.cluster = cluster
        text = json.dumps({"Clusters": {CLUSTER: cluster}} if top_level is None else top_level)
        if via_file is not None:
            with open(via_file, "w", encoding="utf-8") as file:
                file.write(text)
        environment = {k: v for k, v in os.environ.items()
                       if not k.startswith(("ARVADOS_", "AWS_")) and not k.lower().endswith("_proxy") and
                       k not in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "CREDENTIALS_DIRECTORY")}
        environment.update(env or {})
        self.process = subprocess.Popen(
            [*wrapper, argv0 or path, f"-config={via_file or '-'}", *arguments], executable=None if wrapper else path,
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, text=True,
            encoding="utf-8", errors="surrogateescape", umask=-1 if umask is None else umask,
            pass_fds=pass_fds)
        self.pid = self.process.pid
        self.log = Log(self.process.stderr)
        self.url = None
        self.address = None
        self.tls = None
        try:
            if via_file is None:
                self.process.stdin.write(text)
            self.process.stdin.close()
            if wait:
                self.wait_ready()
        except BaseException:
            self.kill()
            raise

    def wait_ready(self, timeout=15.0):
        entry = self.log.wait(msg="listening", timeout=timeout, what="the daemon's line 'listening'")
        self.url = urlsplit(entry["URL"])
        port = self.url.port
        if not port:
            raise AssertionError(f"the listening line does not name the port: {entry}")
        self.address = (self.url.hostname, port)

    # --- requests ---

    def connect(self, **options):
        if self.tls is not None:
            options.setdefault("tls", self.tls)
        return Connection(self.address, **options)

    def request(self, method, target, token=None, headers=(), body=None, **options):
        """One request on its own connection. `token` goes into "Authorization: Bearer"."""
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        if token is not None:
            pairs.append(("Authorization", f"Bearer {token}"))
        timeout = options.pop("timeout", None)
        with self.connect(**({"timeout": timeout} if timeout else {})) as connection:
            return connection.request(method, target, pairs, body, **options)

    def admin(self, method, target, body=None, headers=()):
        return self.request(method, target, SYSTEM_ROOT_TOKEN, headers, body)

    def ttl(self):
        return parse_seconds(self.cluster.get("Collections", {}).get("BlobSigningTTL", "336h"))

    def sign(self, locator, token=ACTIVE_TOKEN, **options):
        options.setdefault("ttl", self.ttl())
        return locators.sign(locator, token, SIGNING_KEY, **options)

    def put(self, data, token=ACTIVE_TOKEN, headers=(), **options):
        return self.request("PUT", "/" + locators.md5(data), token, headers, data, **options)

    def get(self, locator, token=ACTIVE_TOKEN, method="GET", headers=(), **options):
        """GET of an unsigned locator, which is signed here."""
        return self.request(method, "/" + self.sign(locator, token), token, headers, **options)

    # --- observation from outside ---

    def metrics(self):
        """{(name, ((label, value), ...)): float}."""
        response = self.request("GET", "/metrics", MANAGEMENT_TOKEN)
        if response.status != 200:
            raise AssertionError(f"/metrics: {response}")
        return parse_metrics(response.text)

    def metric(self, name, **labels):
        """The sum over all series of that name that carry these labels; None when there is none."""
        values = [v for (n, pairs), v in self.metrics().items()
                  if n == name and all(dict(pairs).get(k) == w for k, w in labels.items())]
        return sum(values) if values else None

    def inspect(self):
        response = self.request("GET", "/_inspect/requests", MANAGEMENT_TOKEN)
        if response.status != 200:
            raise AssertionError(f"/_inspect/requests: {response}")
        return json.loads(response.text)

    def wait_active(self, count, timeout=10.0):
        """Until exactly `count` requests, more than none, are running or queued. Returns them."""
        return until(lambda: (lambda found: found if len(found) == count else None)(self.inspect()), timeout,
                     f"{count} requests under way")

    def roots(self):
        """Of the volumes that are directories."""
        parameters = [v["DriverParameters"] for v in self.cluster["Volumes"].values()]
        return [p["Root"] for p in parameters if "Root" in p]

    def descriptors(self):
        """The targets of the process's descriptors."""
        found = []
        for name in os.listdir(f"/proc/{self.pid}/fd"):
            try:
                found.append(os.readlink(f"/proc/{self.pid}/fd/{name}"))
            except OSError:
                pass
        return found

    def open_block_files(self):
        """Descriptors of regular files below the volumes' roots (a directory held open does no harm)."""
        found = []
        for target in self.descriptors():
            path = target.removesuffix(" (deleted)")
            if any(path.startswith(r + "/") for r in self.roots()) and not os.path.isdir(path) and not path.endswith(".lock"):
                found.append(target)
        return found

    def sockets(self):
        return sum(1 for t in self.descriptors() if t.startswith("socket:"))

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read()).group(1)) * 1024

    def assert_nothing_held(self, timeout=10.0):
        """Waits until no request, buffer, open block file or temporary file is left after all clients have disconnected."""
        until(lambda: not self.inspect(), timeout, "no request under way")
        until(lambda: self.metric("arvados_keepstore_bufferpool_inuse_buffers") == 0, timeout, "no buffer in use")
        until(lambda: not self.open_block_files(), timeout, "no block file open")
        until(lambda: not temp_files(self.roots()), timeout, "no temporary file")

    # --- the end ---

    def running(self):
        return self.process.poll() is None

    def pending_signals(self):
        """The mask of signals that have come to the process and that no thread has taken."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as file:
            return int(re.search(r"ShdPnd:\s+(\w+)", file.read()).group(1), 16)

    def signal(self, number):
        os.kill(self.pid, number)

    def wait_exit(self, timeout=10.0):
        """Exit code; negative for the signal that ended it."""
        try:
            code = self.process.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon did not exit within {timeout * PATIENCE} s") from None
        self.log.finish()
        return code

    def kill(self):
        if self.running():
            self.process.kill()
        self.process.wait(30)
        self.log.finish()
        self.process.stderr.close()

    def stop(self, timeout=15.0):
        """SIGTERM, then SIGKILL. Returns the exit code."""
        if self.running():
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(timeout * PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(f"SIGTERM did not end the daemon within {timeout * PATIENCE} s") from None
        self.log.finish()
        self.process.stderr.close()
        return self.process.returncode

    def check_log(self):
        """Every line is a JSON object with time, level and msg, and none carries a secret."""
        for line in self.log.lines():
            check_no_secret(line)
            try:
                entry = json.loads(line)
            except ValueError:
                raise AssertionError(f"log line is no JSON: {line!r}") from None
            for name in ("time", "level", "msg"):
                if name not in entry:
                    raise AssertionError(f"log line without {name}: {line}")


def check_no_secret(text):
    for canary in CANARIES:
        if canary in text:
            raise AssertionError(f"secret {canary[:14]}... in: {text[:400]}")
    if SIGNATURE_IN_TEXT.search(text):
        raise AssertionError(f"signature in: {text[:400]}")
    if SALTED_IN_TEXT.search(text):
        raise AssertionError(f"salted token in: {text[:400]}")


def parse_metrics(text):
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)", line)
        if not match:
            raise AssertionError(f"metrics line {line!r}")
        labels = tuple(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', match.group(2) or ""))
        found[(match.group(1), labels)] = float(match.group(3))
    return found


def parse_seconds(duration):
    """Whole seconds of a Go duration, for the few forms these tests use."""
    total = 0.0
    for number, unit in re.findall(r"([\d.]+)(ms|h|m|s)", duration):
        total += float(number) * {"h": 3600, "m": 60, "s": 1, "ms": 0.001}[unit]
    return int(total)


def block_path(root, block_hash):
    return os.path.join(root, block_hash[:3], block_hash)


def store(root, block_hash, data, age=0.0):
    """Places a file as a block without the daemon's help, `age` seconds old. Returns its path."""
    path = block_path(root, block_hash)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    stamp = time.time_ns() - int(age * 1e9)
    os.utime(path, ns=(stamp, stamp))
    return path


def temp_files(roots):
    """All files below the roots that are neither block, nor trash, nor the mark of a full volume."""
    found = []
    for root in roots:
        for directory, _, names in os.walk(root):
            found += [os.path.join(directory, n) for n in names if n.startswith("tmp") or ".tmp" in n]
    return found


def trash_copies(root, block_hash):
    return sorted(glob.glob(block_path(root, block_hash) + ".trash.*"))


class TempDir:
    """A temporary folder for a test, removed afterwards."""

    def __init__(self):
        self.path = os.path.realpath(tempfile.mkdtemp(prefix="keepstore-system-"))

    def make(self, name):
        path = os.path.join(self.path, name)
        os.makedirs(path, exist_ok=True)
        return path

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)
