"""Whole volumes: the index, the scrub, the start on one."""

import collections
import ctypes
import json
import os
import shutil
import subprocess
import tempfile
import time

from bench.scenarios.registry import Failure, scenario
from bench.scenarios.rows import GIB, MIB, median, ratio, spread, verdict
from bench.scenarios.servers import Daemon, request

CACHESTAT = 451  # The system call's number, the same on all architectures.
SCRUB_SECONDS_MAX = 300


def read_index(daemon):
    """Reads /index; seconds to the first body byte and to the end, lines, resident peak."""
    started = time.monotonic()
    first = None
    head = b""
    lines = 0
    tail = b""
    peak = 0
    buffer = bytearray(MIB)
    with daemon.connect() as s:
        s.sendall(request("/index", daemon.host))
        while got := s.recv_into(buffer):
            data = bytes(buffer[:got])
            if first is None:
                head += data
                if b"\r\n\r\n" not in head:
                    continue
                head, data = head.split(b"\r\n\r\n", 1)
                if not data:
                    head += b"\r\n\r\n"
                    continue
                first = time.monotonic() - started
            lines += data.count(b"+")  # each line has exactly one, and a chunk's frame none
            tail = (tail + data)[-16:]
            if lines % 1000 < 20:
                peak = max(peak, daemon.memory()["VmRSS"])
    total = time.monotonic() - started
    if b" 200 " not in head.split(b"\r\n")[0]:
        raise Failure("index: " + head.split(b"\r\n")[0].decode(errors="replace"))
    # The last line is empty: its newline is the last chunk's last byte, or the body's.
    plain = tail.removesuffix(b"\r\n0\r\n\r\n")
    if not plain.endswith(b"\n") or (plain == tail and b"chunked" in head.lower()):
        raise Failure(f"index without its terminator: {tail!r}")
    return {"first": first or total, "total": total, "lines": lines,
            "peak": max(peak, daemon.memory()["VmRSS"])}


@scenario("index")
def index(bench):
    """Index of 1,000,000 blocks against find -printf."""
    count = bench.size(1000000, 10000)
    root = tempfile.mkdtemp(prefix="index-", dir=bench.folder)
    try:
        subprocess.run([bench.tool("keepstore_make_blocks"), root, str(count)], check=True, timeout=300)
        command = ["find", root, "-type", "f", "-printf", "%f+%s %T@\n"]

        def find():
            started = time.monotonic()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=300)
            return time.monotonic() - started

        with Daemon(bench, root=root) as daemon:
            before = daemon.memory()["VmRSS"]
            results = bench.interleaved({"find": find, "index": lambda: read_index(daemon)})
    except subprocess.SubprocessError as e:
        raise Failure(str(e)) from e
    finally:
        shutil.rmtree(root, ignore_errors=True)
    runs = results["index"]
    if any(r["lines"] != count for r in runs):
        raise Failure(f"index has {[r['lines'] for r in runs]} lines, not {count}")
    total = median(r["total"] for r in runs)
    base = median(results["find"])
    bench.row(f"index of {count} blocks",
              f"{total:.2f} s, first byte {median(r['first'] for r in runs) * 1000:.1f} ms, RSS grew by "
              f"{(max(r['peak'] for r in runs) - before) / MIB:.1f} MiB",
              f"{ratio(total, base)} x find ({base:.2f} s)", "index")


def block_paths(root):
    for folder, _, names in os.walk(root):
        for name in names:
            if len(name) == 32:
                yield os.path.join(folder, name)


def cached_fraction(paths):
    """How much of the files is in the page cache (cachestat(2), Linux 6.5); None where the kernel cannot say."""
    libc = ctypes.CDLL(None, use_errno=True)
    cached = pages = 0
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            answer = (ctypes.c_uint64 * 5)()  # cached, dirty, under writeback, evicted, recently evicted
            if libc.syscall(CACHESTAT, fd, (ctypes.c_uint64 * 2)(0, 0), answer, 0) != 0:
                return None
            cached += answer[0]
            pages += -(-os.fstat(fd).st_size // os.sysconf("SC_PAGE_SIZE"))
        finally:
            os.close(fd)
    return cached / max(pages, 1)


def make_cold(paths):
    os.sync()
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


def make_warm(paths):
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.read(MIB):
                pass


def scrub_request(daemon, method, query=""):
    """The state of the one volume's scrub."""
    status, text = daemon.ask(method, "/_scrub" + query)
    if status != 200:
        raise Failure(f"{method} /_scrub: {status} {text.strip()[:200]}")
    return json.loads(text)["scrubs"][0]


def scrub_pass(daemon, blocks, total):
    """One pass from its start to its end: seconds and the daemon's CPU seconds."""
    before = daemon.metric("keepstore_scrub_bytes_total")
    cpu = daemon.cpu_seconds()
    started = time.monotonic()
    now = scrub_request(daemon, "PUT", "?fresh=1&rate=0")
    # "finished" may still be the state of the pass before: what this one has read tells.
    while now["state"] != "finished" or daemon.metric("keepstore_scrub_bytes_total") < before + total:
        if now["state"] == "failed" or time.monotonic() - started > SCRUB_SECONDS_MAX:
            raise Failure(f"the scrub does not come to its end: {now}")
        time.sleep(0.02)
        now = scrub_request(daemon, "GET")
    seconds = time.monotonic() - started
    if now["blocks_checked"] != blocks or now["bytes_read"] != total or now["bad"] or now["unreadable"]:
        raise Failure(f"the scrub did not check {blocks} good blocks: {now}")
    return {"seconds": seconds, "cpu": daemon.cpu_seconds() - cpu}


# Sizes of blocks and how many of each; in small for --quick.
SCRUB_VOLUMES = {
    "64 MiB": ([(64 * MIB, 32)], [(64 * MIB, 3)]),
    "64 KiB": ([(65536, 16384)], [(65536, 300)]),
    "4 KiB": ([(4096, 65536)], [(4096, 1000)]),
    "4 to 250 KiB": ([(4096, 4096), (20000, 4096), (65536, 4096), (150000, 2048), (256000, 1024)],
                     [(4096, 100), (20000, 100), (65536, 100), (150000, 50), (256000, 25)]),
}


@scenario("scrub")
def scrub(bench):
    """A scrub of a cold and of a warm volume of large, small, tiny and mixed blocks, and the disk's own cold read rate."""
    disk = bench.unit("read_direct")
    small_files = bench.unit("read_small")
    for name, (sizes, few) in SCRUB_VOLUMES.items():
        blocks = bench.size(sizes, few)
        count = sum(n for _, n in blocks)
        total = sum(size * n for size, n in blocks)
        with Daemon(bench) as daemon:
            # One stream of large blocks writes as fast as several, and files that are written together lie mixed on disk.
            for size, number in blocks:
                bench.load(daemon, "--mode", "put", "--size", size, "--count", number,
                           "--connections", 1 if size > MIB else 16)
            paths = list(block_paths(daemon.root))
            # Not measured: what is to be written (missing waypoints) is written now.
            make_warm(paths)
            scrub_pass(daemon, count, total)
            cached = collections.defaultdict(list)

            def one(kind, prepare):
                prepare(paths)
                cached[kind].append(cached_fraction(paths))
                return scrub_pass(daemon, count, total)

            results = bench.interleaved({"cold": lambda: one("cold", make_cold), "warm": lambda: one("warm", make_warm)})
            peak = daemon.memory()["VmHWM"]
        for kind, runs in results.items():
            rate = median(total / r["seconds"] / 1e6 for r in runs)
            cpu = median(r["cpu"] / total * GIB for r in runs)
            share = [f"{100 * c:.0f}%" for c in cached[kind][-1:] if c is not None]
            targets = f"CPU-s/GiB{verdict(cpu <= 0.35, 'at most 0.35')}"
            if sizes[0][0] < MIB:
                targets += f", {cpu / GIB * total / count * 1e6:.1f} us CPU a block"
            if kind == "warm":
                # Per core: what the pass did in a second of one core's time.
                per_core = total / max(median(r["cpu"] for r in runs), 0.01) / 1e9
                targets += f"; {per_core:.2f} GB/s per core{verdict(per_core >= 3, 'at least 3')}"
            elif disk:
                share_of_disk = rate / disk["mb_per_s"]
                targets += f"; {share_of_disk:.2f} x direct read's {disk['mb_per_s']:.0f} MB/s"
                targets += verdict(share_of_disk >= 0.8, "at least 0.8")
                if sizes[0][0] < MIB:
                    targets += f", {ratio(rate, small_files['mb_per_s'])} x 64 KiB files' {small_files['mb_per_s']:.0f} MB/s"
            bench.row(f"scrub of {count} blocks of {name}, {kind}",
                      f"{rate:.0f} MB/s ({spread(total / r['seconds'] / 1e6 for r in runs)}), {cpu:.3f} CPU-s/GiB, "
                      f"{', '.join(share) or '?'} cached before, RSS peak {peak / MIB:.0f} MiB",
                      targets + "; " + bench.units_text("md5", "pread", "read_direct", "read_small"), "scrub")


@scenario("startup")
def startup(bench):
    """Start to the first 200 of /_health/ping, and idle memory."""
    seconds, memory = [], []
    for _ in range(bench.size(7, 2)):
        with Daemon(bench) as daemon:
            seconds.append(daemon.ready_seconds)
            time.sleep(0.2)
            memory.append(daemon.memory()["VmRSS"])
    bench.row("start to ready", f"{median(seconds) * 1000:.0f} ms, idle RSS {max(memory) / MIB:.1f} MiB",
              "below 300 ms, 64 MiB", "startup")
