"""HTTP/1.1 framing for the fault proxy: heads, and bodies that are forwarded in pieces and never held whole.

Works on plain non-blocking sockets with one reused buffer each, which costs a third of asyncio's streams for large bodies.
"""

import asyncio
import socket
import struct

PIECE = 256 << 10
HEAD_MAX = 64 << 10
_LINGER_NOT = struct.pack("ii", 1, 0)
_ESTABLISHED = 1


class Broken(Exception):
    """The peer closed the connection, or did not speak HTTP, before the end of a message."""


class Stream:
    """A connected socket. What piece() returns is valid until the next read."""

    def __init__(self, connection):
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = connection
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(PIECE))
        self._first = self._last = 0

    @classmethod
    async def connect(cls, address):
        found = cls(socket.socket())
        try:
            await found._loop.sock_connect(found.socket, address)
        except BaseException:
            found.close()
            raise
        return found

    async def _fill(self):
        """Reads more bytes after the buffered ones; False at the end of the stream."""
        if self._first == self._last:
            self._first = self._last = 0
        elif self._last == len(self._buffer):
            left = bytes(self._buffer[self._first:self._last])
            self._buffer[:len(left)] = left
            self._first, self._last = 0, len(left)
        count = await self._loop.sock_recv_into(self.socket, self._buffer[self._last:])
        self._last += count
        return count > 0

    async def _until(self, mark):
        """The bytes up to and with `mark`; None if the stream ends before the first one."""
        searched = 0
        while True:
            found = self._buffer.obj.find(mark, self._first + searched, self._last)
            if found >= 0:
                taken = bytes(self._buffer[self._first:found + len(mark)])
                self._first = found + len(mark)
                return taken
            have = self._last - self._first
            if have > HEAD_MAX:
                raise Broken("endless head")
            searched = max(0, have - len(mark))
            if not await self._fill():
                if have == 0:
                    return None
                raise Broken("ended inside a head")

    async def head(self):
        """The next message's head; None if the stream ended instead."""
        data = await self._until(b"\r\n\r\n")
        return None if data is None else Head(data)

    async def line(self):
        data = await self._until(b"\r\n")
        if data is None:
            raise Broken("ended between chunks")
        return data[:-2]

    async def piece(self, most):
        """At least one byte and at most `most`; empty at the end of the stream."""
        if self._first == self._last:
            await self._fill()
        count = min(most, self._last - self._first)
        self._first += count
        return self._buffer[self._first - count:self._first]

    async def write(self, data):
        await self._loop.sock_sendall(self.socket, data)

    def ended(self):
        """Whether an idle connection was ended by the peer (or says something unasked)."""
        if self._first != self._last:
            return True
        try:
            self.socket.recv(1, socket.MSG_PEEK)
            return True
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def until_ended(self, seconds=None):
        """Waits until the peer closes the connection, at most `seconds`. Bytes that still arrive are dropped."""
        async def drop():
            while len(await self.piece(PIECE)):
                pass
        try:
            await asyncio.wait_for(drop(), seconds)
        except (asyncio.TimeoutError, OSError):
            pass

    async def left(self):
        """Returns when the peer, which should send nothing, has closed the connection."""
        loop, wake = self._loop, self._loop.create_future()
        loop.add_reader(self.socket, lambda: wake.done() or wake.set_result(None))
        try:
            await wake
        finally:
            loop.remove_reader(self.socket)
        try:
            if not self.socket.recv(1, socket.MSG_PEEK):
                return
        except OSError:
            return
        await loop.create_future()  # It sends unrequested bytes: they are for the next reader.

    async def gone_within(self, seconds=None):
        """Waits for `seconds` without reading. Broken when the peer has ended the connection meanwhile; a peer whose data fills
        all buffers cannot signal it, therefore also after a minute without limit."""
        end = self._loop.time() + (60 if seconds is None else seconds)
        while self._loop.time() < end:
            if self.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED:
                raise Broken("the client left")
            await asyncio.sleep(0.02)
        if seconds is None:
            raise Broken("stalled")

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends the connection with RST instead of FIN."""
        try:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
        except OSError:
            pass
        self.socket.close()


class Head:
    """A start line and headers; `raw` has its bytes. Names are compared without case."""

    def __init__(self, raw):
        self.raw = raw
        lines = raw[:-4].decode("latin-1").split("\r\n")
        self.start = lines[0].split(" ", 2)
        if len(self.start) < 2:
            raise Broken("no HTTP")
        self.headers = [(n.strip().lower(), v.strip()) for n, _, v in (line.partition(":") for line in lines[1:])]

    def get(self, name, default=""):
        return next((v for n, v in self.headers if n == name), default)

    @property
    def status(self):
        try:
            return int(self.start[1])
        except ValueError:
            raise Broken("no status") from None

    def replaced(self, **values):
        """The bytes of this head with other values of headers (underscores stand for hyphens); None: without the header."""
        new = {n.replace("_", "-").lower(): v for n, v in values.items()}
        lines = [self.raw.split(b"\r\n", 1)[0]]
        lines += [f"{n}: {v}".encode("latin-1") for n, v in self.headers if n not in new]
        lines += [f"{n}: {v}".encode("latin-1") for n, v in new.items() if v is not None]
        return b"\r\n".join(lines) + b"\r\n\r\n"


class Body:
    """The body that follows a head on a stream. `taken` counts its bytes so far."""

    def __init__(self, stream, head, answers=None):
        """`answers`: the method of the request that this message responds to; None for a request."""
        self.stream = stream
        self.chunked = head.get("transfer-encoding").lower() == "chunked"
        self.length = None
        self.taken = 0
        self.complete = False
        if answers == "HEAD" or (answers and (head.status < 200 or head.status in (204, 304))):
            self.chunked, self.length = False, 0
        elif not self.chunked:
            given = head.get("content-length")
            if given:
                self.length = int(given)
            elif answers is None:
                self.length = 0
        self.complete = self.length == 0

    async def pieces(self):
        """The content, without the framing of chunks. Broken if it ends too early."""
        if self.chunked:
            while size := int((await self.stream.line()).split(b";")[0], 16):
                async for piece in self._exactly(size):
                    yield piece
                await self.stream.line()
            while await self.stream.line():  # Trailers: unused by S3.
                pass
        elif self.length is not None:
            async for piece in self._exactly(self.length):
                yield piece
        else:
            while len(piece := await self.stream.piece(PIECE)):
                self.taken += len(piece)
                yield piece
        self.complete = True

    async def _exactly(self, size):
        while size:
            piece = await self.stream.piece(min(size, PIECE))
            if not len(piece):
                raise Broken("ended inside a body")
            size -= len(piece)
            self.taken += len(piece)
            yield piece

    async def all(self, most=16 << 20):
        data = bytearray()
        async for piece in self.pieces():
            data += piece
            if len(data) > most:
                raise Broken("a large body where a small one was expected")
        return bytes(data)

    async def drop(self):
        async for _ in self.pieces():
            pass

    async def send_to(self, out, pieces=None, tee=None):
        """Writes the content (or `pieces`, made from it) to the stream `out`, framed as this message is."""
        async for piece in self.pieces() if pieces is None else pieces:
            if tee is not None:
                tee.write(piece)
            await out.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece)
        if self.chunked:
            await out.write(b"0\r\n\r\n")


# --- changes to content in transit ---

async def first(pieces, count):
    """Only the first `count` bytes; the source is not read any further."""
    while count > 0:
        try:
            piece = await pieces.__anext__()
        except StopAsyncIteration:
            return
        yield piece[:count]
        count -= len(piece)


async def flipped(pieces, at):
    """With the lowest bit of byte `at` inverted."""
    position = 0
    async for piece in pieces:
        if position <= at < position + len(piece):
            piece = bytearray(piece)
            piece[at - position] ^= 1
        position += len(piece)
        yield piece


async def throttled(pieces, rate):
    """At `rate` bytes per second, in twenty steps per second."""
    step = max(1, int(rate / 20))
    async for piece in pieces:
        for start in range(0, len(piece), step):
            part = piece[start:start + step]
            yield part
            await asyncio.sleep(len(part) / rate)


async def held(pieces, after, pause):
    """With the coroutine `pause` awaited after the first `after` bytes."""
    position = 0
    async for piece in pieces:
        if pause is not None and position + len(piece) > after:
            if after > position:
                yield piece[:after - position]
            await pause
            pause = None
            piece, position = piece[max(0, after - position):], max(after, position)
        yield piece
        position += len(piece)
    if pause is not None:
        await pause
