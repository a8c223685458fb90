"""What is measured: the daemon, and those that it is compared with. Each is a process of our own, used with `with`."""

import collections
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from bench.scenarios.registry import Failure, Skip

TOKEN = "benchbenchbenchbenchbenchbenchbench0123456789"
READY_SECONDS_MAX = 10


class Server:
    """A process with an HTTP server in it."""

    process = None
    url = None
    token = TOKEN

    @property
    def host(self):
        return self.url.split("//", 1)[1]

    def pids(self):
        return [self.process.pid]

    def memory(self):
        """Resident, anonymous and peak bytes."""
        fields = {}
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                key, _, value = line.partition(":")
                if key in ("VmRSS", "RssAnon", "VmHWM"):
                    fields[key] = int(value.split()[0]) * 1024
        return fields

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self):
        if self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Daemon(Server):
    """A keepstore on a Directory volume of its own (or on `volume`), on a port that the kernel chose. Use with `with`."""

    def __init__(self, bench, sync=False, direct=None, root=None, extra=None, volume=None, environment=None, binary=None):
        self.binary = binary or bench.daemon
        self.environment = environment
        self.root = root
        self.owns_root = root is None and volume is None
        if self.owns_root:
            self.root = tempfile.mkdtemp(prefix="volume-", dir=bench.folder)
        if volume is None:
            parameters = {"Root": self.root, "Sync": sync}
            if direct is not None:
                parameters["DirectIO"] = direct
            volume = {"Driver": "Directory", "DriverParameters": parameters}
        cluster = {
            "SystemRootToken": TOKEN,
            "ManagementToken": TOKEN,
            "Collections": {"BlobSigning": False, "BlobTrash": False},
            "API": {"MaxConcurrentRequests": 2000, "MaxKeepBlobBuffers": 64},
            "Services": {"Keepstore": {"InternalURLs": {"http://127.0.0.1:0/": {}}}},
            "SystemLogs": {"LogLevel": "info"},
            "Volumes": {"zzzzz-nyw5e-000000000000000": volume},
        }
        for key, value in (extra or {}).items():
            cluster.setdefault(key, {}).update(value)
        self.config = json.dumps({"Clusters": {"zzzzz": cluster}})
        self.url = None
        self.log = collections.deque(maxlen=20)
        self.listening = threading.Event()
        self.ready_seconds = 0.0

    def __enter__(self):
        started = time.monotonic()
        self.process = subprocess.Popen([self.binary, "-config=-"], stdin=subprocess.PIPE,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        env=dict(os.environ, **(self.environment or {})))
        self.reader = threading.Thread(target=self._read_log, daemon=True)
        self.reader.start()
        try:
            self.process.stdin.write(self.config.encode())
            self.process.stdin.close()
            if not self.listening.wait(READY_SECONDS_MAX) or self.url is None:
                raise Failure("it did not say that it listens")
            self._wait_for_ping(started + READY_SECONDS_MAX)
        except (OSError, Failure) as e:
            self.__exit__(None, None, None)
            raise Failure(f"the daemon did not start: {e}; its last lines:\n" + "\n".join(self.log)) from e
        self.ready_seconds = time.monotonic() - started
        return self

    def __exit__(self, *unused):
        self.stop()
        self.reader.join(2)
        self.process.stderr.close()
        if self.owns_root:
            shutil.rmtree(self.root, ignore_errors=True)

    def _read_log(self):
        # The pipe is read to its end: a daemon that blocks on its own log would be measured as slow.
        for raw in self.process.stderr:
            line = raw.decode(errors="replace").rstrip()
            if self.url is None and '"listening"' in line:
                try:
                    self.url = json.loads(line).get("URL", "").rstrip("/")
                except ValueError:
                    pass
                else:
                    self.listening.set()
            self.log.append(line)
        self.listening.set()

    def _wait_for_ping(self, until):
        while True:
            try:
                with self.connect() as s:
                    s.sendall(request("/_health/ping", self.host))
                    if b" 200 " in s.recv(4096).split(b"\r\n")[0]:
                        return
            except OSError:
                pass
            if time.monotonic() > until:
                raise Failure("/_health/ping does not answer 200")
            time.sleep(0.002)

    def connect(self):
        address, port = self.host.rsplit(":", 1)
        s = socket.socket()
        s.settimeout(60)
        s.connect((address, int(port)))
        return s

    def ask(self, method, path):
        """One request as the administrator: status and body."""
        with self.connect() as s:
            s.sendall(request(path, self.host, method))
            reply = b""
            while data := s.recv(65536):
                reply += data
        head, _, body = reply.partition(b"\r\n\r\n")
        return int(head.split()[1]), body.decode(errors="replace")

    def metric(self, name, label=""):
        """The sum over a metric's labels, or over those lines that have this one; 0 if there is no such metric (yet)."""
        status, text = self.ask("GET", "/metrics")
        if status != 200:
            raise Failure(f"/metrics: {status}")
        values = [line.rsplit(" ", 1)[1] for line in text.splitlines()
                  if line.split("{")[0].split(" ")[0] == name and label in line]
        return sum(float(v) for v in values)


def request(path, host, method="GET"):
    length = "" if method == "GET" else "Content-Length: 0\r\n"
    return (f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n{length}"
            "Connection: close\r\n\r\n").encode()


NGINX_CONFIGURATION = """
daemon off;
worker_processes {workers};
{user}
pid {folder}/pid;
error_log {folder}/errors;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        root {root};
        rewrite "^/([0-9a-f]{{3}})([0-9a-f]{{29}})" /$1/$1$2 break;
    }}
}}
"""


class Nginx(Server):
    """nginx with sendfile on a volume's files, a worker for each core; nothing is verified."""

    def __init__(self, bench, root):
        self.program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if self.program is None:
            raise Skip("nginx is not installed (apt-get install nginx-light; it need not run as a service)")
        self.folder = tempfile.mkdtemp(prefix="nginx-", dir=bench.folder)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        # The volume is ours alone; a master that is root would run its workers as another user.
        user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
        with open(os.path.join(self.folder, "conf"), "w") as conf:
            conf.write(NGINX_CONFIGURATION.format(workers=len(os.sched_getaffinity(0)), user=user, folder=self.folder,
                                                  port=port, root=root))

    def __enter__(self):
        self.process = subprocess.Popen([self.program, "-p", self.folder, "-e", os.path.join(self.folder, "errors"),
                                         "-c", os.path.join(self.folder, "conf")],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + READY_SECONDS_MAX
        while True:
            try:
                socket.create_connection(("127.0.0.1", int(self.url.rsplit(":", 1)[1])), 5).close()
                return self
            except OSError as e:
                if self.process.poll() is not None or time.monotonic() > until:
                    why = self.errors() or str(e)
                    self.__exit__(None, None, None)
                    raise Failure(f"nginx does not start: {why}") from e
                time.sleep(0.01)

    def __exit__(self, *unused):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def errors(self):
        try:
            with open(os.path.join(self.folder, "errors")) as errors:
                return errors.read()[-500:].strip()
        except OSError:
            return ""

    def pids(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as children:
            return [self.process.pid, *map(int, children.read().split())]


class SendPaths(Server):
    """keepstore_send_paths on a volume's files."""

    def __init__(self, bench, root, path, unsent=0):
        self.command = [bench.tool("keepstore_send_paths"), "--root", root, "--path", path, "--unsent", str(unsent)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, text=True)
        # It reads and hashes all blocks first; if it cannot, it says why on our stderr and the line is empty.
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            self.__exit__(None, None, None)
            raise Failure("it does not start: " + " ".join(self.command))
        return self

    def __exit__(self, *unused):
        self.stop()
        self.process.stdout.close()
