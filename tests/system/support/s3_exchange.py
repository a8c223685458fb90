"""One request through the fault proxy, and what each fault of s3_faults.py does to it."""

import asyncio
import datetime
import email.utils
import re
import socket
import sys
import tempfile
import traceback

from .s3_faults import REFUSALS, operation, refusal
from .s3_http import Body, Broken, Head, Stream, first, flipped, held, throttled

# A body waits in memory for its second delivery up to this size, then in a file.
_SPOOL_BYTES = 1 << 20
_ENDED = (OSError, Broken, ValueError)


class _Gone(Exception):
    """The fault has ended the connection."""


class Exchange:
    """One request in progress. A method with the name of a fault performs it; `passed` is the one without a fault."""

    def __init__(self, session, head):
        self.session = session
        self.client = session.client
        self.head = head
        self.method, self.target = head.start[0], head.start[1]
        self.body = Body(self.client, head)
        self.expects = head.get("expect").lower() == "100-continue"
        self.operation = operation(self.method, self.target, head.get)
        self.status = None
        self.answer_bytes = 0
        self.keep = head.get("connection").lower() != "close"

    # --- steps ---

    async def take_body(self):
        if self.expects:
            await self.client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await self.body.drop()

    async def deliver(self, pieces=None, tee=None):
        """Forwards the request. Returns the head of the server's response, which may arrive before the end of the body."""
        server = await self.session.server()
        await server.write(self.head.raw)
        if self.expects:
            answer = await self.answer_head(server)
            if answer.status != 100:
                self.keep = False  # Whether the client sends its body now is its own choice.
                return answer
            await self.client.write(answer.raw)
        if self.body.complete:
            return await self._answer_unless_client_leaves(server)
        sending = asyncio.ensure_future(self.body.send_to(server, pieces, tee))
        answering = asyncio.ensure_future(self.answer_head(server))
        try:
            await asyncio.wait([sending, answering], return_when=asyncio.FIRST_COMPLETED)
            if answering.done():  # Before the end of the request: an error, as a rule.
                self.keep = self.keep and sending.done() and sending.exception() is None
                return answering.result()
            try:
                await sending
            except (BrokenPipeError, ConnectionResetError):  # The server stopped reading; its response says why.
                self.keep = False
            return await self._answer_unless_client_leaves(server, answering)
        finally:
            for task in (sending, answering):
                task.cancel()
            await asyncio.gather(sending, answering, return_exceptions=True)

    async def _answer_unless_client_leaves(self, server, answering=None):
        answering = answering or asyncio.ensure_future(self.answer_head(server))
        leaving = asyncio.ensure_future(self.client.left())
        try:
            await asyncio.wait([answering, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                raise Broken("the client left")
            return answering.result()
        finally:
            for task in (answering, leaving):
                task.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)

    async def answer_head(self, server):
        while True:
            answer = await server.head()
            if answer is None:
                raise Broken("the server ended the connection")
            if answer.status != 100 or self.expects:
                return answer

    def answer_body(self, answer):
        return Body(self.session.upstream, answer, self.method)

    async def relay(self, answer, pieces=None, head=None):
        """Sends the response to the client; `pieces`: a function of its content."""
        body = self.answer_body(answer)
        self.status = answer.status
        try:
            await self.client.write(head or answer.raw)
            await body.send_to(self.client, pieces(body.pieces()) if pieces else None)
        finally:
            self.answer_bytes = body.taken
        if (body.length is None and not body.chunked) or answer.get("connection").lower() == "close":
            self.keep = False

    async def relay_text(self, answer, change):
        """Sends a small response with another body; a response without a body is unchanged."""
        body = self.answer_body(answer)
        data = change(await body.all())
        self.status, self.answer_bytes = answer.status, len(data)
        length = answer.get("content-length", None) if self.method == "HEAD" or answer.status == 204 else len(data)
        await self.client.write(answer.replaced(content_length=length, transfer_encoding=None) + data)

    async def reply(self, status, headers, body):
        """Sends a response of our own."""
        self.status, self.answer_bytes = status, len(body)
        lines = [f"HTTP/1.1 {status} Fault", f"Content-Length: {len(body)}"]
        if "Date" not in headers:
            lines.append(f"Date: {email.utils.formatdate(usegmt=True)}")
        lines += [f"{n}: {v}" for n, v in headers.items()]
        if not self.keep:
            lines.append("Connection: close")
        await self.client.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if self.method == "HEAD" else body))

    async def refuse(self, fault, options, ahead=0):
        now = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=ahead)
        if options.get("early"):
            self.keep = self.keep and self.body.complete
        else:
            await self.take_body()
        status, headers, body = refusal(fault, options, self.target, now)
        if ahead:
            headers["Date"] = email.utils.format_datetime(now, usegmt=True)
        await self.reply(status, headers, body)
        if not self.body.complete:
            # A close with unread bytes would be RST, and a client that is still sending would lose the response.
            self.client.socket.shutdown(socket.SHUT_WR)
            await self.client.until_ended(5)

    async def lose(self, how, seconds=None):
        """Closes the connection without a response."""
        if how == "hang":
            await self.client.until_ended(seconds)
        if how == "reset":
            self.client.reset()
        elif how not in ("hang", "close"):
            raise ValueError(f"no way to lose an answer: {how}")
        raise _Gone

    async def cut(self, answer, after):
        """Sends the response's head and this many bytes of its body; without a body, half of the head."""
        body = self.answer_body(answer)
        self.status = answer.status
        if body.length == 0:
            await self.client.write(answer.raw[:len(answer.raw) // 2])
            return
        if after is None:
            after = 100 if body.length is None else body.length // 2
        await self.client.write(answer.raw)
        async for piece in first(body.pieces(), after):
            await self.client.write(b"%x\r\n%b\r\n" % (len(piece), piece) if body.chunked else piece)
        self.answer_bytes = body.taken

    # --- no fault ---

    async def passed(self):
        await self.relay(await self.deliver())

    # --- the request does not reach the server ---

    async def reset(self, after):
        if after:
            if self.expects:
                await self.client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            async for _ in first(self.body.pieces(), after):
                pass
        await self.lose("reset")

    async def hang(self, seconds):
        await self.take_body()
        await self.lose("hang", seconds)

    async def time_skewed(self, seconds):
        await self.refuse("time_skewed", {}, seconds)

    # --- the server gets another request ---

    async def delay(self, seconds):
        await asyncio.sleep(seconds)
        await self.passed()

    async def stall_request(self, after, seconds):
        if after is None:
            after = (self.body.length or 0) // 2
        pause = self.client.gone_within(seconds)
        try:
            await self.relay(await self.deliver(held(self.body.pieces(), after, pause)))
        finally:
            pause.close()  # A request without a body never reached it.

    async def slow_request(self, rate):
        await self.relay(await self.deliver(throttled(self.body.pieces(), rate)))

    async def flip_request(self, at):
        await self.relay(await self.deliver(flipped(self.body.pieces(), at)))

    async def duplicate(self, seconds, answer):
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as content:
            once = await self.deliver(tee=content)
            if answer == "first":
                await self.relay(once)
            else:
                await self.answer_body(once).drop()
            await asyncio.sleep(seconds)
            content.seek(0)
            server = await self.session.server()
            # The first delivery has asked for leave, if it was asked for at all.
            await server.write(self.head.replaced(expect=None, transfer_encoding=None, content_length=self.body.taken))
            while piece := content.read(1 << 18):
                await server.write(piece)
            self.expects = False
            again = await self.answer_head(server)
            self.session.proxy.counters["duplicates"] += 1
            if answer == "first":
                await self.answer_body(again).drop()
            else:
                await self.relay(again)

    # --- the server has carried out the request ---

    async def delay_answer(self, seconds):
        answer = await self.deliver()
        await asyncio.sleep(seconds)
        await self.relay(answer)

    async def answer_lost(self, how, seconds):
        answer = await self.deliver()
        await self.answer_body(answer).drop()
        await self.lose(how, seconds)

    async def instead(self, fault, options):
        answer = await self.deliver()
        await self.answer_body(answer).drop()
        await self.reply(*refusal(fault, options, self.target, datetime.datetime.now(datetime.timezone.utc)))

    async def wrong_etag(self, etag):
        answer = await self.deliver()
        raw = re.sub(rb"(?im)^(etag:)[^\r]*", rb'\1 "%b"' % etag.encode(), answer.raw)
        answer = Head(raw)
        if "xml" not in answer.get("content-type"):
            await self.relay(answer)
            return
        await self.relay_text(answer, lambda data: re.sub(rb"<ETag>[^<]*</ETag>", b"<ETag>%b</ETag>" % etag.encode(), data))

    async def truncated_xml(self, after):
        await self.relay_text(await self.deliver(), lambda data: data[:len(data) // 2 if after is None else after])

    async def truncate(self, after, how):
        await self.cut(await self.deliver(), after)
        await self.lose(how)

    async def stall(self, after, seconds):
        answer = await self.deliver()
        body = self.answer_body(answer)
        if seconds is None or body.length == 0:
            await self.cut(answer, after)
            await self.lose("hang", seconds)
        if after is None:
            after = (body.length or 200) // 2
        await self.relay(answer, lambda pieces: held(pieces, after, asyncio.sleep(seconds)))

    async def slow(self, rate):
        await self.relay(await self.deliver(), lambda pieces: throttled(pieces, rate))

    async def flip(self, at):
        await self.relay(await self.deliver(), lambda pieces: flipped(pieces, at))

    async def junk(self):
        answer = await self.deliver()
        await self.answer_body(answer).drop()
        await self.client.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        await self.lose("close")

    async def close_after(self):
        await self.passed()
        await self.lose("close")

    async def stale(self):
        await self.passed()
        self.session.stale = True

    async def act(self, rule):
        """Does what the rule says, or passes the request on without one."""
        if rule is None:
            await self.passed()
        elif rule.fault in ("status_after", "error_in_200"):
            await self.instead(rule.fault, rule.options)
        elif rule.fault in REFUSALS:
            await self.refuse(rule.fault, rule.options)
        else:
            await getattr(self, rule.fault)(**rule.options)


class Session:
    """A client's connection, and the one to the server that goes with it."""

    def __init__(self, proxy, connection, number):
        self.proxy = proxy
        self.client = Stream(connection)
        self.number = number
        self.upstream = None
        self.stale = False
        self.idle = True

    async def server(self):
        if self.upstream is not None and self.upstream.ended():
            self.upstream.close()
            self.upstream = None
        if self.upstream is None:
            self.upstream = await Stream.connect(self.proxy.target)
        return self.upstream

    async def run(self):
        try:
            while (head := await self.client.head()) is not None:
                if self.stale:
                    self.client.reset()
                    return
                self.idle = False
                exchange = Exchange(self, head)
                await self.proxy.carry_out(exchange, self.number)
                self.idle = True
                if not exchange.keep:
                    return
        except _Gone:
            pass
        except _ENDED as problem:
            # Every error between the proxy and the server appears to the client as a failure of the server.
            if self.proxy.verbose:
                print(f"connection {self.number}: {problem!r}", file=sys.stderr, flush=True)
            self.client.reset()
        except Exception:  # A bug of the proxy must not look like a fault of a rule.
            traceback.print_exc()
            self.client.reset()
        finally:
            self.client.close()
            if self.upstream is not None:
                self.upstream.close()
