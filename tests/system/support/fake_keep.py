"""A server that a balance tool takes for a keepstore, with an index of any content. Records what is sent to it."""

import email.utils
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from .daemon import MANAGEMENT_TOKEN, SYSTEM_ROOT_TOKEN

OLD = 1_600_000_000_000_000_000


class FakeKeep:
    """`mounts`: {uuid: {"device_id", ...}}, with `blocks` {uuid: {hash: (size, mtime)}}. `puts` has (path, list) of each PUT
    in order, with its number in `order`, which several servers may share."""

    def __init__(self, mounts, order=None):
        self.mounts = {uuid: {"device_id": f"disk-{uuid}", "allow_write": True, "allow_trash": True, "replication": 1,
                              "storage_classes": {"default": True}} | extra for uuid, extra in mounts.items()}
        self.blocks = {uuid: {} for uuid in mounts}
        self.order = [] if order is None else order
        self.puts = []
        self.gets = []
        self.clock_ahead = 0
        self.date = True
        self.token = SYSTEM_ROOT_TOKEN
        self.index_end = b"\n"          # What follows the last line.
        self.index_status = 200
        self.put_status = {}            # By path.
        self.has_work = True            # /_work, as ours.
        self.outcomes = {"pulled": 0, "present": 0, "failed": 0}  # Of all pull lists.
        self.work = {}                  # Of a list: {"pending": 3, "in_progress": 0, "sha256": "..."}
        self.held = None                # An event that indexes wait for.
        self.heads = []                 # Hashes of the blocks that it verified.
        self.head_held = None           # An event that they wait for.
        self.bad = {}                   # {hash: status} of those that it does not find good.
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def date_time_string(self, timestamp=None):
                return email.utils.formatdate(time.time() + outer.clock_ahead, usegmt=True)

            def send_response(self, code, message=None):
                self.send_response_only(code, message)
                if outer.date:
                    self.send_header("Date", self.date_time_string())

            def reply(self, status, body, content_type="application/json"):
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                with outer._lock:
                    outer.gets.append(self.path)
                path = urlsplit(self.path)
                token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
                if path.path == "/metrics":
                    status, body = outer.metrics(token)
                    return self.reply(status, body, "text/plain")
                if token != outer.token:
                    return self.reply(401, b"Unauthorized\n", "text/plain")
                if path.path == "/mounts":
                    found = [{"uuid": uuid} | m for uuid, m in outer.mounts.items()]
                    return self.reply(200, json.dumps(found).encode())
                if path.path == "/_work" and outer.has_work:
                    return self.reply(200, json.dumps(outer.work_report()).encode())
                parts = path.path.split("/")
                if len(parts) == 4 and parts[1] == "mounts" and parts[3] == "blocks":
                    if outer.held:
                        outer.held.wait(60)
                    prefix = parse_qs(path.query).get("prefix", [""])[0]
                    return self.reply(outer.index_status, outer.index(parts[2], prefix), "text/plain")
                return self.reply(404, b"404 page not found\n", "text/plain")

            def do_HEAD(self):
                name = self.path[1:33]
                with outer._lock:
                    outer.heads.append(name)
                if outer.head_held:
                    outer.head_held.wait(60)
                sizes = [blocks[name][0] for blocks in outer.blocks.values() if name in blocks]
                self.send_response(outer.bad.get(name, 200 if sizes else 404))
                self.send_header("Content-Length", str(sizes[0] if sizes else 0))
                self.end_headers()

            def do_PUT(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
                status = 401 if token != outer.token else outer.put_status.get(self.path, 200)
                with outer._lock:
                    outer.order.append((outer, self.path))
                    if status in (200, 204):
                        outer.puts.append((self.path, json.loads(body)))
                        outer.work[self.path[1:]] = {"pending": 0, "in_progress": 0,
                                                     "sha256": hashlib.sha256(body).hexdigest()}
                self.reply(status, b"")

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64
            block_on_close = False

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def index(self, uuid, prefix):
        lines = "".join(f"{h}+{size} {mtime}\n" for h, (size, mtime) in self.blocks[uuid].items() if h.startswith(prefix))
        return lines.encode() + self.index_end

    def work_report(self):
        def of(name):
            found = self.work.get(name, {})
            return {"pending": found.get("pending", 0), "in_progress": found.get("in_progress", 0),
                    "outcomes": self.outcomes if name == "pull" else {},
                    "last": {"items": 1, "sha256": found["sha256"]} if "sha256" in found else None}
        return {"pull": of("pull"), "trash": of("trash")}

    def metrics(self, token):
        if token != MANAGEMENT_TOKEN:
            return 401, b""
        text = ""
        for name in "pull", "trash":
            found = self.work.get(name, {})
            text += f"arvados_keepstore_{name}_queue_inprogress_entries {found.get('in_progress', 0)}\n"
            text += f"arvados_keepstore_{name}_queue_pending_entries {found.get('pending', 0)}\n"
        return 200, text.encode()

    def sent(self, path):
        """The lists that came to this path."""
        with self._lock:
            return [items for where, items in self.puts if where == path]

    def close(self):
        if self.held:
            self.held.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(5)
