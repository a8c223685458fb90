"""An S3 service that only lists: buckets of any number of blocks with their markers, made up page by page."""

import http.server
import multiprocessing
import re
import time
from urllib.parse import parse_qs, urlsplit

PAGE = 1000
HASHES = 1 << 128
HEAD = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'


def page_of(count, query):
    """The XML of one page of a bucket of `count` blocks whose names are evenly spread."""
    prefix = query.get("prefix", [""])[0]
    most = min(PAGE, int(query.get("max-keys", [PAGE])[0]))
    after = query.get("continuation-token", query.get("start-after", [""]))[0]
    step = HASHES // count
    contents, truncated = [], False
    # Blocks come first, then markers.
    for folder in ("", "recent/"):
        if not (folder.startswith(prefix) or prefix.startswith(folder)) or (folder == "" and prefix.startswith("r")):
            continue
        digits = prefix[len(folder):] if prefix.startswith(folder) else ""
        if not re.fullmatch("[0-9a-f]*", digits):
            continue
        first = -(-int((digits + "0" * 32)[:32], 16) // step)
        last = int((digits + "f" * 32)[:32], 16) // step
        if after >= folder + "g" or (folder == "" and after.startswith("recent/")):
            continue
        if after > folder and after.startswith(folder):
            begun = after[len(folder):]
            if re.fullmatch("[0-9a-f]{32}", begun):
                first = max(first, int(begun, 16) // step + 1)
            elif begun:
                first = max(first, -(-int((re.match("[0-9a-f]*", begun).group() + "f" * 32)[:32], 16) // step))
        last = min(last, count - 1)
        for i in range(first, last + 1):
            if len(contents) == most:
                truncated = True
                break
            name = f"{i * step:032x}"
            size = 0 if folder else 1048576
            contents.append((folder + name, f"<Contents><Key>{folder}{name}</Key><LastModified>2026-01-01T00:00:00.000Z"
                             f"</LastModified><ETag>&quot;{name}&quot;</ETag><Size>{size}</Size></Contents>"))
    text = HEAD + f"<IsTruncated>{'true' if truncated else 'false'}</IsTruncated>"
    if truncated:
        text += f"<NextContinuationToken>{contents[-1][0]}</NextContinuationToken>"
    return (text + "".join(c for _, c in contents) + "</ListBucketResult>").encode()


def _serve(count, port, delay):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self):
            begun = time.monotonic()
            body = page_of(count, parse_qs(urlsplit(self.path).query))
            time.sleep(max(0.0, begun + delay - time.monotonic()))
            self.send_response(200)
            self.send_header("Content-Type", "application/xml")
            self.send_header("x-amz-request-id", "stub")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        port.send(server.server_address[1])
        server.serve_forever()


class ListingStub:
    """A process of its own, with `with`. Each page comes `delay` seconds after its request, or later."""

    def __init__(self, count, delay=0.0):
        ours, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("fork").Process(target=_serve, args=(count, theirs, delay), daemon=True)
        self._process.start()
        self.endpoint = f"http://127.0.0.1:{ours.recv()}"

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self._process.terminate()
        self._process.join()
