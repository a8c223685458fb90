"""A small HTTP or HTTPS server for tests: an API server, a misbehaving keep service."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Stub:
    """Responds to GETs with `answer(path, headers)`, which returns (status, body, headers), or None for no response until the end.
    With a Transfer-Encoding among the headers the body is sent as it is.
    `requests` has (path, headers) of each one. Use as a context or with addCleanup(stub.close)."""

    def __init__(self, answer, certificate=None):
        self.requests = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def do_GET(self):
                with outer._lock:
                    outer.requests.append((self.path, dict(self.headers)))
                reply = answer(self.path, dict(self.headers))
                if reply is None:
                    outer._over.wait(60)
                    self.close_connection = True
                    return
                status, body, headers = reply
                self.send_response(status)
                framed = "Transfer-Encoding" in headers
                if "Content-Length" not in headers and not framed:
                    headers = {**headers, "Content-Length": str(len(body))}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(body)
                    self.wfile.flush()
                except OSError:
                    self.close_connection = True
                if not framed and len(body) != int(headers["Content-Length"]):
                    # A body that stops: the connection stays until the end.
                    outer._over.wait(60)
                    self.close_connection = True

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256  # With 5, the default, a burst of connections waits for lost SYNs to be repeated.
            block_on_close = False

            def handle_error(self, *_):
                pass  # Disconnecting clients are part of the tests.

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
            self.scheme = "https"
        self.url = f"{self.scheme}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def count(self, word=""):
        with self._lock:
            return sum(1 for path, _ in self.requests if word in path)

    def close(self):
        self._over.set()
        self.server.shutdown()
        self.server.server_close()
        self._thread.join(5)
