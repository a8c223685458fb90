"""Servers with an index of any length and no volumes: what a client of indexes costs, not what makes them."""

import bisect
import hashlib
import json
import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class IndexStub:
    """Two keepstores in this process: `source` lists `count` blocks, `target` the same but for `missing` of them, which
    can be read at the one and stored at the other. Use with `with`."""

    def __init__(self, count, missing):
        made = random.Random(count)
        contents = [b"block %d" % i for i in range(missing)]
        self.blocks = {hashlib.md5(c).hexdigest(): c for c in contents}
        lines = [f"{made.randbytes(16).hex()}+1048576 1600000000000000000\n" for _ in range(count - missing)]
        self.stored = {}
        self.source = _Server(self, "source", lines + [self._line(n) for n in self.blocks])
        self.target = _Server(self, "target", lines)

    def _line(self, name):
        return f"{name}+{len(self.blocks[name])} 1600000000000000000\n"

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.source.close()
        self.target.close()


class _Server:
    def __init__(self, stub, name, lines):
        lines.sort()
        mounts = json.dumps([{"uuid": f"zzzzz-nyw5e-{name:0<15.15}", "device_id": name, "allow_write": True}]).encode()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                path, _, query = self.path.partition("?")
                if path == "/mounts":
                    self.respond(200, mounts)
                elif path.endswith("/blocks"):
                    prefix = query.removeprefix("prefix=")
                    first, end = bisect.bisect_left(lines, prefix), bisect.bisect_left(lines, prefix + "g")
                    self.respond(200, ("".join(lines[first:end]) + "\n").encode())
                else:
                    data = stub.blocks.get(path[1:33])
                    self.respond(404 if data is None else 200, data or b"")

            def do_PUT(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                name = hashlib.md5(data).hexdigest()
                stub.stored[name] = data
                self.respond(200 if name == self.path[1:] else 422, f"{name}+{len(data)}\n".encode(), {"X-Keep-Replicas-Stored": "1"})

            def respond(self, status, body, headers=None):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                for key, value in (headers or {}).items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *unused):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
