"""A keepstore that has nothing but an index: a process of its own, which renders its lines before it says that it is ready, so that serving
them costs no more than sending bytes.

    python3 bench/scenarios/index_server.py COUNT SKIP      # prints its port; ends with its standard input
"""

import collections
import hashlib
import http.server
import json
import re
import subprocess
import sys
import threading

MOUNT = "zzzzz-nyw5e-000000000000000"


def render(count, skip):
    """{three digits: the lines of these blocks}, in the order of hashes. Every `skip`th block is left out."""
    names = sorted(hashlib.md5(b"%d" % i).hexdigest() for i in range(count) if not skip or i % skip)
    found = collections.defaultdict(list)
    for number, name in enumerate(names):
        found[name[:3]].append(f"{name}+67108864 {1_767_225_600_000_000_000 + number}\n")
    return {prefix: "".join(lines).encode() for prefix, lines in found.items()}


def handler(lines, device):
    mounts = json.dumps([{"uuid": MOUNT, "device_id": device, "allow_write": True, "allow_trash": True, "replication": 1,
                          "storage_classes": {"default": True}}]).encode()
    order = sorted(lines)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 0
        disable_nagle_algorithm = True

        def do_GET(self):
            match = re.fullmatch(rf"/(?:index/|index|mounts/{MOUNT}/blocks\?prefix=)([0-9a-f]{{0,3}})", self.path)
            pieces = [mounts] if self.path == "/mounts" else None
            if match:
                pieces = [lines[p] for p in order if p.startswith(match[1])] + [b"\n"]
            if pieces is None:
                return self.send_error(400)
            self.send_response(200)
            self.send_header("Content-Length", str(sum(map(len, pieces))))
            self.end_headers()
            self.wfile.write(b"".join(pieces))

        def log_message(self, *_):
            pass

    return Handler


def main():
    count, skip = map(int, sys.argv[1:])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler(render(count, skip), f"device-{skip}"))
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


class IndexServer:
    """The process, as a context."""

    def __init__(self, count, skip=0):
        self._process = subprocess.Popen([sys.executable, "-B", __file__, str(count), str(skip)], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


if __name__ == "__main__":
    main()
