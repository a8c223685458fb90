"""A small S3 service in memory, for what no real one does on request: it ignores conditions, always refuses them, wants ETags
in quotes or bare, has another clock, and answers chosen requests otherwise than it carries them out. It checks no signatures."""

import datetime
import email.utils
import hashlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class MemoryS3:
    """`conditions`: "quoted" or "bare" (the form of an ETag that If-Match takes), "ignored" (or only one of them:
    "if-match ignored", "if-none-match ignored"), "refused" (always 412), "unsupported" (501). `ahead`: seconds that its clock is ahead. Use with addCleanup(close)."""

    def __init__(self, conditions="quoted", ahead=0, has_date=True):
        self.conditions = conditions
        self.ahead = ahead
        self.has_date = has_date
        self.objects = {}  # "bucket/key": (bytes, time)
        self.uploads = {}  # id: (path, {number: bytes}, time)
        self.requests = []  # (method, path)
        self._actions = []
        self._lock = threading.RLock()
        self._numbers = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 60

            def _serve(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer._answer(self, body)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve

            def date_time_string(self, timestamp=None):
                return email.utils.formatdate(outer.now(), usegmt=True)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256
            block_on_close = False

            def handle_error(self, *_):
                pass  # Clients that are killed are part of the tests.

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()

    def now(self):
        return datetime.datetime.now().timestamp() + self.ahead

    def on(self, method, pattern, what, count=1, skip=0):
        """The next `count` requests of this kind, after `skip` others: a status without carrying it out; "lose" or "after:STATUS"
        having carried it out; or a function, called before the request is carried out as usual."""
        with self._lock:
            self._actions.append({"method": method, "pattern": re.compile(pattern), "what": what, "count": count, "skip": skip})

    def keys(self, prefix=""):
        with self._lock:
            return sorted(k for k in self.objects if k.startswith(prefix))

    def _action(self, method, path):
        for action in self._actions:
            if action["count"] > 0 and action["method"] == method and action["pattern"].search(path):
                if action["skip"] > 0:
                    action["skip"] -= 1
                    continue
                action["count"] -= 1
                return action["what"]
        return None

    def _answer(self, handler, body):
        method, url = handler.command, urlsplit(handler.path)
        path = unquote(url.path).lstrip("/")
        query = parse_qs(url.query, keep_blank_values=True)
        with self._lock:
            self.requests.append((method, handler.path))
            what = self._action(method, handler.path)
        if callable(what):
            what()
            what = None
        if isinstance(what, int):
            return self._send(handler, what, self._error({404: "NoSuchKey", 409: "ConditionalRequestConflict",
                                                          412: "PreconditionFailed"}.get(what, "InternalError")))
        with self._lock:
            status, reply, headers = self._carry_out(handler, method, path, query, body)
        if what == "lose":
            handler.close_connection = True
            handler.connection.close()
            return None
        if isinstance(what, str) and what.startswith("after:"):
            return self._send(handler, int(what[6:]), self._error("InternalError"))
        return self._send(handler, status, reply, headers)

    def _send(self, handler, status, body=b"", headers=()):
        handler.send_response_only(status)
        if self.has_date:
            handler.send_header("Date", handler.date_time_string())
        for name, value in headers:
            handler.send_header(name, value)
        if not any(name == "Content-Length" for name, _ in headers):
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    @staticmethod
    def _error(code):
        return f"<Error><Code>{code}</Code><Message>m</Message><RequestId>1</RequestId></Error>".encode()

    @staticmethod
    def _etag(data):
        return '"' + hashlib.md5(data).hexdigest() + '"'

    def _refusal(self, headers, path):
        """The status with which a condition is refused, or None."""
        none_match, match = headers.get("If-None-Match"), headers.get("If-Match")
        if (none_match is None and match is None) or self.conditions == "ignored":
            return None
        if self.conditions == ("if-none-match ignored" if match is None else "if-match ignored"):
            return None
        if self.conditions in ("refused", "unsupported"):
            return 412 if self.conditions == "refused" else 501
        there = self.objects.get(path)
        if none_match is not None:
            return 412 if there else None
        if not there:
            return 404
        etag = self._etag(there[0])
        return None if match == (etag.strip('"') if self.conditions == "bare" else etag) else 412

    def _carry_out(self, handler, method, path, query, body):
        key = path.partition("/")[2]
        if not key:
            return self._uploads(query) if "uploads" in query else self._list(path, query)
        if method == "POST" and "uploads" in query:
            self._numbers += 1
            name = f"upload-{self._numbers}"
            self.uploads[name] = (path, {}, self.now())
            return 200, f"<InitiateMultipartUploadResult><UploadId>{name}</UploadId></InitiateMultipartUploadResult>".encode(), ()
        if "uploadId" in query:
            return self._upload(method, query, body)
        if method == "PUT":
            refused = self._refusal(handler.headers, path)
            if refused:
                code = {404: "NoSuchKey", 412: "PreconditionFailed", 501: "NotImplemented"}[refused]
                return refused, self._error(code), ()
            self.objects[path] = (body, self.now())
            return 200, b"", (("ETag", self._etag(body)),)
        if method == "DELETE":
            self.objects.pop(path, None)
            return 204, b"", ()
        if path not in self.objects:
            return 404, self._error("NoSuchKey"), ()
        data, at = self.objects[path]
        headers = (("ETag", self._etag(data)), ("Last-Modified", email.utils.formatdate(at, usegmt=True)),
                   ("Content-Length", str(len(data))))
        return 200, data, headers

    def _upload(self, method, query, body):
        name = query["uploadId"][0]
        if name not in self.uploads:
            return 404, self._error("NoSuchUpload"), ()
        path, parts, _ = self.uploads[name]
        if method == "PUT":
            parts[int(query["partNumber"][0])] = body
            return 200, b"", (("ETag", self._etag(body)),)
        del self.uploads[name]
        if method == "DELETE":
            return 204, b"", ()
        data = b"".join(parts[n] for n in sorted(parts))
        self.objects[path] = (data, self.now())
        digest = hashlib.md5(b"".join(hashlib.md5(parts[n]).digest() for n in sorted(parts))).hexdigest()
        return 200, (f'<CompleteMultipartUploadResult><ETag>"{digest}-{len(parts)}"</ETag>'
                     "</CompleteMultipartUploadResult>").encode(), ()

    @staticmethod
    def _time(at):
        return datetime.datetime.fromtimestamp(at, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")

    def _uploads(self, query):
        prefix = query.get("prefix", [""])[0]
        items = "".join(f"<Upload><Key>{escape(p.partition('/')[2])}</Key><UploadId>{n}</UploadId><Initiated>{self._time(at)}</Initiated></Upload>"
                        for n, (p, _, at) in sorted(self.uploads.items()) if p.partition("/")[2].startswith(prefix))
        return 200, (f"<ListMultipartUploadsResult>{items}<IsTruncated>false</IsTruncated>"
                     "</ListMultipartUploadsResult>").encode(), ()

    def _list(self, path, query):
        bucket = path.strip("/") + "/"
        prefix = query.get("prefix", [""])[0]
        after = query.get("continuation-token", query.get("start-after", [""]))[0]
        most = min(1000, int(query.get("max-keys", ["1000"])[0]))
        found = sorted(k[len(bucket):] for k in self.objects if k.startswith(bucket + prefix) and k[len(bucket):] > after)
        page = found[:most]
        items = "".join(f"<Contents><Key>{escape(k)}</Key><LastModified>{self._time(self.objects[bucket + k][1])}</LastModified>"
                        f"<ETag>{escape(self._etag(self.objects[bucket + k][0]))}</ETag>"
                        f"<Size>{len(self.objects[bucket + k][0])}</Size></Contents>" for k in page)
        more = len(found) > len(page)
        token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
        return 200, (f"<ListBucketResult><KeyCount>{len(page)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>{items}{token}"
                     "</ListBucketResult>").encode(), ()
