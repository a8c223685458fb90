#!/usr/bin/env python3
"""A proxy between a client of S3 and its server that injects faults by rules (s3_faults.py) and counts requests.

As a command, in tests/system:   python3 -m support.s3_fault_proxy HOST:PORT-OF-THE-SERVER [--listen PORT]
It prints one line of JSON with its "port" and its "control" port, and ends when its standard input does.

Control: a line of JSON each way, any number of them on a connection. {"ok": true, ...} or {"error": text} comes back.
    {"do": "rules", "rules": [...]}   these instead of all others; [] for none
    {"do": "add", "rule": {...}}      one more, after the others
    {"do": "fired"}                   "fired": how often each rule acted, in their order
    {"do": "counters"}                "counters": requests by operation, by status, by fault, connections, bytes
    {"do": "requests"}                "requests": the latest of them, each with its operation, headers, status, ...
    {"do": "forget"}                  counters and requests start again
    {"do": "disconnect"}              ends all idle connections of clients, as a server that restarts does
    {"do": "outage", "how": H}        until "none" again: "refuse", "reset" or "hang" all connections, also those there are
"""

import argparse
import asyncio
import collections
import json
import os
import random
import re
import socket
import subprocess
import sys
import time

from .s3_exchange import Session
from .s3_faults import Rule
from .wait import stable_port

REQUESTS_KEPT = 10_000
class Proxy:
    """Listens, and keeps the counters."""

    def __init__(self, target, port, seed, verbose):
        self.target = target
        self.port = port or stable_port()
        self.verbose = verbose
        self.rules = []
        self._random = random.Random(seed)
        self._sessions = {}
        self._listener = None
        self._accepting = None
        self._outage = "none"
        self._numbers = 0
        self._open = 0
        self.forget()

    def forget(self):
        self.counters = {"requests": collections.Counter(), "statuses": collections.Counter(), "faults": collections.Counter(),
                         "connections": 0, "requests_open_max": self._open, "request_bytes": 0, "answer_bytes": 0,
                         "duplicates": 0}
        self.requests = collections.deque(maxlen=REQUESTS_KEPT)

    # --- clients ---

    def listen(self):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(1024)
        self._listener.setblocking(False)
        self._accepting = asyncio.ensure_future(self._accept())

    async def _accept(self):
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            self._numbers += 1
            self.counters["connections"] += 1
            session = Session(self, connection, self._numbers)
            task = asyncio.ensure_future(self._serve(session))
            self._sessions[session] = task
            task.add_done_callback(lambda _, session=session: self._sessions.pop(session, None))

    async def _serve(self, session):
        if self._outage == "reset":
            session.client.reset()
        elif self._outage == "hang":
            await session.client.until_ended()
            session.client.close()
        else:
            await session.run()

    async def carry_out(self, exchange, connection):
        """Handles one request, with its rule if there is one, and records it."""
        rule = next((r for r in self.rules
                     if r.takes(exchange.method, exchange.target, exchange.operation, self._random)), None)
        counters, requests = self.counters, self.requests
        counters["requests"][exchange.operation] += 1
        if rule:
            counters["faults"][rule.fault] += 1
        entry = {"operation": exchange.operation, "method": exchange.method, "target": exchange.target,
                 "headers": dict(exchange.head.headers), "connection": connection, "fault": rule.fault if rule else None,
                 "status": None, "request_bytes": 0, "answer_bytes": 0, "began": time.time(), "seconds": None}
        requests.append(entry)
        self._open += 1
        counters["requests_open_max"] = max(counters["requests_open_max"], self._open)
        began = time.monotonic()
        try:
            await exchange.act(rule)
        finally:
            self._open -= 1
            counters["statuses"][str(exchange.status)] += 1
            counters["request_bytes"] += exchange.body.taken
            counters["answer_bytes"] += exchange.answer_bytes
            entry.update(status=exchange.status, request_bytes=exchange.body.taken, answer_bytes=exchange.answer_bytes,
                         seconds=round(time.monotonic() - began, 6))

    # --- control ---

    async def control(self, reader, writer):
        try:
            while line := await reader.readline():
                try:
                    reply = {"ok": True} | (await self._command(json.loads(line)) or {})
                except (ValueError, KeyError, TypeError, AttributeError, re.error) as problem:
                    reply = {"error": f"{type(problem).__name__}: {problem}"}
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def _command(self, command):
        what = command["do"]
        if what == "rules":
            self.rules = [Rule(r) for r in command["rules"]]
        elif what == "add":
            self.rules.append(Rule(command["rule"]))
        elif what == "fired":
            return {"fired": [r.fired for r in self.rules]}
        elif what == "counters":
            return {"counters": self.counters | {"connections_open": len(self._sessions), "requests_open": self._open}}
        elif what == "requests":
            return {"requests": list(self.requests)}
        elif what == "forget":
            self.forget()
        elif what == "disconnect":
            await self._end(lambda session: session.idle, reset=False)
        elif what == "outage":
            await self._set_outage(command["how"])
        else:
            raise ValueError(f"no such command: {what}")
        return None

    async def _end(self, which, reset):
        ended = [(s, t) for s, t in self._sessions.items() if which(s)]
        for session, task in ended:
            if reset:
                session.client.reset()
            task.cancel()
        await asyncio.gather(*(t for _, t in ended), return_exceptions=True)

    async def _set_outage(self, how):
        if how not in ("none", "refuse", "reset", "hang"):
            raise ValueError(f"no such outage: {how}")
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
            self._listener.close()
            self._accepting = None
        self._outage = how
        await self._end(lambda session: True, reset=True)
        if how != "refuse":
            self.listen()


async def _serve(arguments, target):
    proxy = Proxy(target, arguments.listen, arguments.seed, arguments.verbose)
    proxy.listen()
    control = await asyncio.start_server(proxy.control, "127.0.0.1", 0, limit=1 << 20)
    print(json.dumps({"port": proxy.port, "control": control.sockets[0].getsockname()[1]}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)


def command_line():
    parser = argparse.ArgumentParser(description="Harms what passes between a client and a server of S3.")
    parser.add_argument("server", help="host:port")
    parser.add_argument("--listen", type=int, default=0, metavar="PORT")
    parser.add_argument("--seed", type=int, default=int(os.environ.get("KEEPSTORE_TEST_SEED") or 1))
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    host, _, port = arguments.server.rpartition(":")
    asyncio.run(_serve(arguments, (host, int(port))))


class FaultProxy:
    """A proxy process of a test, in front of the server at `host`:`port`."""

    def __init__(self, host, port, seed=1):
        root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self._process = subprocess.Popen([sys.executable, "-B", "-m", "support.s3_fault_proxy", f"{host}:{port}", "--seed",
                                          str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root, text=True)
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise AssertionError("the fault proxy did not start")
        where = json.loads(line)
        self.pid = self._process.pid
        self.port = where["port"]
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self._control = socket.create_connection(("127.0.0.1", where["control"]), timeout=20)
        self._answers = self._control.makefile("rb")

    def command(self, what, **options):
        self._control.sendall(json.dumps({"do": what} | options).encode() + b"\n")
        answer = json.loads(self._answers.readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer

    def rules(self, *rules):
        """Replaces all rules; none: requests pass unchanged."""
        self.command("rules", rules=rules)

    def add(self, fault, **options):
        self.command("add", rule={"fault": fault} | options)

    def fired(self):
        return self.command("fired")["fired"]

    def counters(self):
        return self.command("counters")["counters"]

    def requests(self, **fields):
        """The latest requests whose fields have these values, in the order in which they came."""
        return [r for r in self.command("requests")["requests"] if all(r[n] == v for n, v in fields.items())]

    def forget(self):
        self.command("forget")

    def disconnect(self):
        self.command("disconnect")

    def outage(self, how):
        self.command("outage", how=how)

    def close(self):
        self._answers.close()
        self._control.close()
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(20)


if __name__ == "__main__":
    command_line()
