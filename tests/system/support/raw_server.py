"""A server of raw bytes, for responses that no HTTP library would send."""

import re
import socket
import threading


class RawServer:
    """Responds to each request with `answer(method, target)`: bytes, or an iterable of pieces, sent as they come. Then the connection is
    closed. `requests` has (method, target, head) of each. Use with addCleanup(server.close)."""

    def __init__(self, answer):
        self.requests = []
        self._answer = answer
        self._lock = threading.Lock()
        self.over = threading.Event()  # For answers that wait.
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                connection.settimeout(120)
                received = b""
                while b"\r\n\r\n" not in received:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    received += piece
                head, body = received.split(b"\r\n\r\n", 1)
                length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
                while length and len(body) < int(length[1]):
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    body += piece
                method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
                with self._lock:
                    self.requests.append((method, target, head.decode()))
                reply = self._answer(method, target)
                for piece in [reply] if isinstance(reply, bytes) else reply:
                    connection.sendall(piece)
                connection.shutdown(socket.SHUT_WR)
                # Otherwise unread bytes of the client would make it a reset.
                connection.settimeout(1)
                connection.recv(65536)
            except OSError:
                pass  # Clients that leave are part of the tests.

    def targets(self, method=None):
        with self._lock:
            return [t for m, t, _ in self.requests if method in (None, m)]

    def close(self):
        self.over.set()
        self._listener.close()


def response(body=b"", status="200 OK", headers=(), length=None):
    """A whole response. `length`: what Content-Length says, if not the truth."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length is None else length}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body
