"""An HTTP client that sends exactly the given bytes and reads responses strictly.

Responses that violate the framing of HTTP/1.1 raise ProtocolError, so that every test also tests the daemon's framing.
"""

import socket
import ssl
import struct

from .wait import PATIENCE

TIMEOUT = 15.0 * PATIENCE


class ProtocolError(AssertionError):
    """The daemon sent a malformed response."""


class Closed(Exception):
    """The connection ended before the first byte of a response."""


class Response:
    """A response. `complete` is False when the connection ended before the end of the body."""

    def __init__(self, version, status, reason, headers):
        self.version = version
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = b""
        self.complete = True
        self.trailers = []

    def all(self, name):
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name):
        """The value of a header that occurs at most once; None without it."""
        values = self.all(name)
        if len(values) > 1:
            raise ProtocolError(f"{name} occurs {len(values)} times")
        return values[0] if values else None

    @property
    def text(self):
        return self.body.decode("utf-8", "surrogateescape")

    def __repr__(self):
        tail = "" if self.complete else " INCOMPLETE"
        return f"<{self.status} {self.reason!r} {len(self.body)} bytes {self.body[:80]!r}{tail}>"


def build_request(method, target, headers=(), body=None, host="keep.example", version="HTTP/1.1"):
    """Bytes of a request. `headers`: dict or list of pairs. A body sets Content-Length unless the headers frame it."""
    pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
    names = {n.lower() for n, _ in pairs}
    lines = [f"{method} {target} {version}"]
    if host is not None and "host" not in names:
        lines.append(f"Host: {host}")
    lines += [f"{n}: {v}" for n, v in pairs]
    if body is not None and not names & {"content-length", "transfer-encoding"}:
        lines.append(f"Content-Length: {len(body)}")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head + (body or b"")


def chunked(data, piece=65536, extension=b"", trailers=b""):
    """`data` in chunked coding."""
    out = bytearray()
    for i in range(0, len(data), piece):
        part = data[i:i + piece]
        out += b"%x%s\r\n" % (len(part), extension) + part + b"\r\n"
    return bytes(out) + b"0\r\n" + trailers + b"\r\n"


class Connection:
    """One connection. `window` limits the kernel's receive buffer (small windows for slow readers)."""

    def __init__(self, address, tls=None, server_name=None, timeout=TIMEOUT, window=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        if window is not None:
            # A small segment size keeps the sender's buffer small too: loopback's 64 KiB segments make it 2.5 MB.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1000)
        try:
            self.socket.connect(address)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                self.socket = tls.wrap_socket(self.socket, server_hostname=server_name)
        except BaseException:
            self.socket.close()
            raise
        self._buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data):
        self.socket.sendall(data)

    def send_tolerant(self, data):
        """Sends as much as the daemon accepts; a connection closed early is no error."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError, ssl.SSLEOFError):
            return False

    def widen(self):
        """Undoes `window`, so that the rest of the response is fast."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Ends the connection with RST, as a crashed client would."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    def set_timeout(self, seconds):
        self.socket.settimeout(seconds)

    def _fill(self):
        """One more piece into the buffer; False at the end of the stream."""
        try:
            data = self.socket.recv(1 << 18)
        except (ConnectionResetError, ssl.SSLEOFError):
            return False
        self._buffer += data
        return bool(data)

    def receive_some(self, count):
        """Reads at most `count` of the next bytes; b"" at the end."""
        if not self._buffer:
            try:
                return self.socket.recv(count)
            except (ConnectionResetError, ssl.SSLEOFError):
                return b""
        part = bytes(self._buffer[:count])
        del self._buffer[:count]
        return part

    def _line(self):
        while True:
            end = self._buffer.find(b"\r\n")
            if end >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[:end + 2]
                return line
            if len(self._buffer) > 1 << 16:
                raise ProtocolError(f"line without end: {bytes(self._buffer[:100])!r}")
            if not self._fill():
                return None

    def _exactly(self, count):
        """`count` bytes, fewer at the end of the stream. Keeps memory linear for large bodies."""
        out = bytearray(self._buffer[:count])
        del self._buffer[:count]
        while len(out) < count:
            try:
                data = self.socket.recv(min(1 << 20, count - len(out)))
            except (ConnectionResetError, ssl.SSLEOFError):
                break
            if not data:
                break
            out += data
        return bytes(out)

    def read_head(self):
        """Status line and headers. Closed when the connection ends before any byte."""
        line = self._line()
        if line is None:
            if self._buffer:
                raise ProtocolError(f"connection ended inside the status line: {bytes(self._buffer)!r}")
            raise Closed("connection closed without a reply")
        parts = line.decode("latin-1").split(" ", 2)
        if len(parts) < 2 or parts[0] not in ("HTTP/1.1", "HTTP/1.0") or not parts[1].isdigit() or len(parts[1]) != 3:
            raise ProtocolError(f"bad status line {line!r}")
        headers = []
        while True:
            line = self._line()
            if line is None:
                raise ProtocolError("connection ended inside the headers")
            if line == b"":
                break
            name, colon, value = line.decode("latin-1").partition(":")
            if not colon or not name or name != name.strip() or "\n" in line.decode("latin-1"):
                raise ProtocolError(f"bad header line {line!r}")
            headers.append((name, value.strip(" \t")))
        response = Response(parts[0], int(parts[1]), parts[2] if len(parts) > 2 else "", headers)
        if len(response.all("Content-Length")) > 1 or (
                response.all("Content-Length") and response.all("Transfer-Encoding")):
            raise ProtocolError(f"ambiguous framing: {headers}")
        return response

    def read_body(self, response, method="GET"):
        if method == "HEAD" or response.status in (204, 304) or 100 <= response.status < 200:
            return response
        length = response.header("Content-Length")
        if response.header("Transfer-Encoding") is not None:
            if response.header("Transfer-Encoding").lower() != "chunked":
                raise ProtocolError(f"transfer coding {response.header('Transfer-Encoding')}")
            self._read_chunks(response)
        elif length is not None:
            if not length.isdigit():
                raise ProtocolError(f"Content-Length {length!r}")
            response.body = self._exactly(int(length))
            response.complete = len(response.body) == int(length)
        else:
            parts = []
            while True:
                data = self.receive_some(1 << 18)
                if not data:
                    break
                parts.append(data)
            response.body = b"".join(parts)
        return response

    def _read_chunks(self, response):
        parts = []
        response.complete = False
        while True:
            line = self._line()
            if line is None:
                break
            size = int(line.split(b";")[0], 16)
            if size == 0:
                while True:
                    line = self._line()
                    if line is None:
                        break
                    if line == b"":
                        response.complete = True
                        break
                    response.trailers.append(line)
                break
            data = self._exactly(size)
            parts.append(data)
            if len(data) < size:
                break
            end = self._line()
            if end is None:
                break
            if end != b"":
                raise ProtocolError(f"chunk is followed by {end!r}")
        response.body = b"".join(parts)

    def read_response(self, method="GET", skip_continue=True):
        while True:
            response = self.read_head()
            if response.status == 100 and skip_continue:
                continue
            return self.read_body(response, method)

    def request(self, method, target, headers=(), body=None, **options):
        self.send_tolerant(build_request(method, target, headers, body, **options))
        return self.read_response(method)

    def is_open(self, seconds=0.0):
        """Whether the daemon still holds the connection open (nothing may be waiting to be read)."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data = self.socket.recv(1, socket.MSG_PEEK)
            return bool(data)
        except (TimeoutError, ssl.SSLWantReadError):
            return True
        except ConnectionResetError:
            return False
        finally:
            self.socket.settimeout(TIMEOUT)

    def is_quiet(self):
        """Whether nothing has arrived that was not read, and the connection is open."""
        self.socket.setblocking(False)
        try:
            self.socket.recv(1, socket.MSG_PEEK)
            return False
        except (BlockingIOError, ssl.SSLWantReadError):
            return not self._buffer
        finally:
            self.socket.settimeout(TIMEOUT)

    def rest(self, timeout=15.0):
        """Reads until the daemon closes. AssertionError if it keeps the connection open that long (see PATIENCE)."""
        timeout *= PATIENCE
        self.socket.settimeout(timeout)
        out = bytes(self._buffer)
        self._buffer.clear()
        while True:
            try:
                data = self.socket.recv(1 << 18)
            except ConnectionResetError:
                return out
            except TimeoutError:
                raise AssertionError(f"connection still open after {timeout} s; read so far: {out[:300]!r}") from None
            if not data:
                return out
            out += data
