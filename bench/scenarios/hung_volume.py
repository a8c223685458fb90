"""One of two volumes hangs: what requests notice of it."""

import hashlib
import os
import shutil
import sys
import tempfile
import time
import unittest

from bench.scenarios.registry import Failure, Skip, scenario
from bench.scenarios.rows import group_of, verdict
from bench.scenarios.servers import TOKEN, Daemon

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "system"))
from support.fuse import FuseMount  # noqa: E402: the tests' own file system

HEALTHY_SECONDS_MAX = 30
# Requests that do not meet the hang take milliseconds; one that does, until the volume has stalled.
MET_SECONDS_MIN = 0.3


def is_healthy(daemon):
    return daemon.metric("keepstore_volume_healthy") == 2


def wait_until(condition, what):
    end = time.monotonic() + HEALTHY_SECONDS_MAX
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"not within {HEALTHY_SECONDS_MAX} s: {what}")
        time.sleep(0.05)


def timed(daemon, method, path, body=b""):
    begun = time.monotonic()
    with daemon.connect() as s:
        s.sendall(f"{method} {path} HTTP/1.1\r\nHost: {daemon.host}\r\nAuthorization: Bearer {TOKEN}\r\n"
                  f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
        reply = b""
        while data := s.recv(65536):
            reply += data
    if reply.split(b" ", 2)[1] != b"200":
        raise Failure(f"{method} on a hung volume: {reply[:100]!r}")
    return time.monotonic() - begun


def first_that_meets_it(calls):
    """How long the first request that meets the hang takes. Half of all names have the hung volume first."""
    for call in calls:
        if (took := call()) >= MET_SECONDS_MIN:
            return took
    raise Failure("no request met the hang")


def put_new(daemon, size):
    data = os.urandom(size)
    return timed(daemon, "PUT", "/" + hashlib.md5(data).hexdigest(), data)


@scenario("hung-volume")
def hung_volume(bench):
    """GET and PUT of 64 KiB while one of two volumes hangs: before, first request, during, after."""
    folder = tempfile.mkdtemp(prefix="hung-", dir=bench.folder)
    back, point, other = (os.path.join(folder, name) for name in ("back", "fuse", "other"))
    for path in (back, point, other):
        os.mkdir(path)
    try:
        mount = FuseMount(back, point)
    except unittest.SkipTest as e:
        raise Skip(str(e)) from None
    hung, healthy = ({"Driver": "Directory", "DriverParameters": {"Root": root, "Sync": False}} for root in (point, other))
    locators = os.path.join(bench.folder, "hung.locators")
    rows = {}
    try:
        with Daemon(bench, volume=hung, extra={"Volumes": {"zzzzz-nyw5e-000000000000001": healthy}}) as daemon:
            bench.load(daemon, "--mode", "put", "--size", "64k", "--count", bench.size(1000, 100), "--save-locators", locators)
            for source, target in ((back, other), (other, back)):
                shutil.copytree(source, target, dirs_exist_ok=True)
            with open(locators) as file:
                names = [line.split()[0] for line in file]

            def measure(phase):
                for connections in (1, 16):
                    for mode in ("get", "put"):
                        options = ("--locators", locators) if mode == "get" else ("--size", "64k")
                        result = bench.load(daemon, "--mode", mode, *options, "--connections", connections, "--seconds",
                                            bench.seconds(4), "--warmup", bench.warmup())
                        rows[mode, connections, phase] = group_of(result, mode)

            measure("before")
            firsts = {}
            for what, calls in (("get", [lambda n=n: timed(daemon, "GET", "/" + n) for n in names[:64]]),
                                ("put", [lambda: put_new(daemon, 64 << 10)] * 64)):
                mount.stop()
                firsts[what] = first_that_meets_it(calls)
                mount.resume()
                wait_until(lambda: is_healthy(daemon), "healthy")
            mount.stop()
            timed(daemon, "GET", "/" + names[0])
            wait_until(lambda: not is_healthy(daemon), "known to hang")
            measure("during")
            mount.resume()
            begun = time.monotonic()
            wait_until(lambda: is_healthy(daemon), "healthy")
            recovery = time.monotonic() - begun
            measure("after")
    finally:
        mount.resume()
        mount.close()
        shutil.rmtree(folder, ignore_errors=True)
    for mode in ("get", "put"):
        for connections in (1, 16):
            text = "; ".join(f"{phase} p50 {g['latency']['p50_ms']:.1f} p99 {g['latency']['p99_ms']:.1f} ms, {g['failed']} failed"
                             for phase in ("before", "during", "after") for g in [rows[mode, connections, phase]])
            bench.row(f"{mode.upper()} 64 KiB, one of two volumes hangs, c={connections}", text, "", "hung-volume")
        bench.row(f"{mode.upper()}, the first that meets the hang", f"{firsts[mode]:.2f} s",
                  "2 s" + verdict(firsts[mode] <= 2, "at most 2 s"), "hung-volume")
    bench.row("recovery", f"{recovery:.2f} s", "2 s", "hung-volume")
