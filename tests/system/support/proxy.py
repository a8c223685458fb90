"""A small HTTP proxy on loopback: absolute targets and CONNECT. Names under .invalid, which only it can find, are this host."""

import base64
import contextlib
import socket
import threading


def _head(connection):
    """The first head that comes, and the bytes after it; empty at the end."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b"", b""
        data += piece
    head, rest = data.split(b"\r\n\r\n", 1)
    return head + b"\r\n\r\n", rest


def _pump(source, target):
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


class Proxy:
    """`user`: "name:password" that requests must have."""

    def __init__(self, user=""):
        self._demanded = f"Proxy-Authorization: Basic {base64.b64encode(user.encode()).decode()}\r\n".encode() if user else b""
        self._lock = threading.Lock()
        self._requests = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._threads = []
        self._open = []
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    def requests(self):
        """First lines."""
        with self._lock:
            return list(self._requests)

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join(10)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.append(client)
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client):
        with client, contextlib.suppress(OSError):
            head, rest = _head(client)
            if not head:
                return
            first = head.split(b"\r\n", 1)[0].decode()
            with self._lock:
                self._requests.append(first)
            if self._demanded not in head:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
                return
            method, target, _ = first.split(" ")
            authority = target if method == "CONNECT" else target.removeprefix("http://").split("/", 1)[0]
            host, port = authority.rsplit(":", 1) if ":" in authority else (authority, "80")
            with socket.create_connection(("127.0.0.1" if host.endswith(".invalid") else host, int(port)), 10) as server:
                server.settimeout(60)
                with self._lock:
                    self._open.append(server)
                if method == "CONNECT":
                    client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    # One request for each connection.
                    head = head.replace(b"http://" + authority.encode(), b"", 1).replace(self._demanded, b"", 1)
                    server.sendall(head[:-2] + b"Connection: close\r\n\r\n")
                server.sendall(rest)
                back = threading.Thread(target=_pump, args=(server, client))
                back.start()
                _pump(client, server)
                back.join(60)
