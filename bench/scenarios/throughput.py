"""Large blocks, whole and in parts, and how their bytes leave."""

import os

from bench.scenarios.registry import Failure, Skip, scenario
from bench.scenarios.rows import MIB, bulk_row, failures_text, group_of, kernel_text, median, ratio, spread, verdict, window
from bench.scenarios.servers import Daemon, Nginx, SendPaths
from bench.scenarios.volumes import block_paths, make_cold, make_warm

WAYPOINTS = "user.keepstore.waypoints"


def connection_counts(bench):
    return (1, 4) if bench.quick else (1, 4, 16)


def stored_blocks(bench, daemon, name):
    """Blocks of 64 MiB (--quick: 16) written by the daemon, with waypoints therefore, and read, so that they are in the
    page cache. Returns the file with their locators."""
    locators = os.path.join(bench.folder, name + ".locators")
    bench.load(daemon, "--mode", "put", "--size", bench.size("64m", "16m"), "--count", bench.size(24, 4),
               "--connections", 4, "--save-locators", locators)
    result = bench.load(daemon, "--mode", "get", "--locators", locators, "--count", bench.size(48, 8))
    if group_of(result, "get")["failed"] > 0:
        raise Failure("the blocks cannot be read" + failures_text([result], "get"))
    return locators


@scenario("get64")
def get64(bench):
    """GET of warm 64 MiB blocks, c = 1, 4, 16: CPU-s/GiB against md5 + pread + send, and against nginx's sendfile."""
    with Daemon(bench) as daemon:
        locators = stored_blocks(bench, daemon, "get64")

        def get(server, c):
            return bench.load(server, "--mode", "get", "--locators", locators, "--connections", c,
                              "--seconds", bench.seconds(5), "--warmup", bench.warmup())

        variants = {("keepstore", c): lambda c=c: get(daemon, c) for c in connection_counts(bench)}
        try:
            nginx = Nginx(bench, daemon.root)
        except Skip as e:
            bench.note("get64", f"nginx left out: {e}")
            results = bench.interleaved(variants)
        else:
            with nginx:
                variants |= {("nginx", c): lambda c=c: get(nginx, c) for c in connection_counts(bench)}
                results = bench.interleaved(variants)
    for c in connection_counts(bench):
        runs, others = results["keepstore", c], results.get(("nginx", c))
        times = median(group_of(r, "get")["mb_per_s"] for r in runs) / bench.unit("md5")["mb_per_s"]
        cpu = median(window(r)["server"]["cpu_s_per_gib"] for r in runs)
        extra = f"; {times:.2f} x one MD5 stream's speed"
        if c == 1:
            extra += verdict(times >= 4, "at least 4")
        if c == 16:
            extra += "; CPU-s/GiB" + verdict(cpu <= 0.40, "at most 0.40")
        if others:
            other = median(window(r)["server"]["cpu_s_per_gib"] for r in others)
            extra += f"; {ratio(cpu, other)} x nginx's CPU"
        bulk_row(bench, "get64", f"GET 64 MiB, c={c}", runs, "get", ("md5", "pread", "send"), extra)
        if others:
            bulk_row(bench, "get64", f"  nginx sendfile, unverified, c={c}", others, "get", ("sendfile",))


@scenario("range")
def range_(bench):
    """GET of random 1 MiB ranges of warm 64 MiB blocks, c = 1, 16: first byte, whole, CPU for each."""
    with Daemon(bench) as daemon:
        locators = stored_blocks(bench, daemon, "range")
        results = bench.interleaved({c: lambda c=c: bench.load(
            daemon, "--mode", "get", "--locators", locators, "--range", "1m", "--connections", c,
            "--seconds", bench.seconds(5), "--warmup", bench.warmup()) for c in (1, 16)})
    for c, runs in results.items():
        gets = [group_of(r, "get") for r in runs]
        if not all(g["ok"] for g in gets):
            raise Failure("no range was served" + failures_text(runs, "get"))
        first = median(g["first_byte"]["p50_ms"] for g in gets)
        bench.row(f"GET random 1 MiB of 64 MiB, c={c}",
                  f"first byte p50 {first:.2f} p99 {median(g['first_byte']['p99_ms'] for g in gets):.2f} ms, whole p50 "
                  f"{median(g['latency']['p50_ms'] for g in gets):.2f} p99 "
                  f"{median(g['latency']['p99_ms'] for g in gets):.2f} ms, {median(g['ops_per_s'] for g in gets):.0f} op/s, "
                  f"{median(window(r)['server']['cpu_us_per_op'] for r in runs):.0f} us CPU each"
                  + failures_text(runs, "get"),
                  (f"first byte p50{verdict(first < 3, 'below 3 ms')}; " if c == 1 else "")
                  + bench.units_text("md5", "pread", "send"), "range")


@scenario("first-byte")
def first_byte(bench):
    """First byte of a 64 MiB block, c = 1: with waypoints, and the first read of one without them, warm and cold."""
    with Daemon(bench) as daemon:
        locators = os.path.join(bench.folder, "first-byte.locators")
        bench.load(daemon, "--mode", "put", "--size", bench.size("64m", "16m"), "--count", 1, "--connections", 1,
                   "--save-locators", locators)
        (path,) = block_paths(daemon.root)

        def get(prepare):
            result = None
            for _ in range(bench.size(5, 1)):
                prepare()
                one = bench.load(daemon, "--mode", "get", "--locators", locators, "--connections", 1, "--count", 1,
                                 "--body", "verify")
                if group_of(one, "get")["failed"] > 0:
                    raise Failure("the block cannot be read" + failures_text([one], "get"))
                result = min(result, one, key=lambda r: group_of(r, "get")["first_byte"]["p50_ms"]) if result else one
            return result

        def forget(make):
            if WAYPOINTS in os.listxattr(path):
                os.removexattr(path, WAYPOINTS)
            make([path])

        results = bench.interleaved({
            "with waypoints, warm": lambda: get(lambda: make_warm([path])),
            "without waypoints, warm, first read": lambda: get(lambda: forget(make_warm)),
            "without waypoints, cold, first read": lambda: get(lambda: forget(make_cold)),
            "the read after it, warm": lambda: get(lambda: None),
        })
        if WAYPOINTS not in os.listxattr(path):
            bench.note("first-byte", "the file system keeps no attributes: nothing is verified before it is sent")
    # One segment of the block, read and hashed by one chain.
    floor = sum(MIB / bench.unit(step)["mb_per_s"] / 1e3 for step in ("md5", "pread"))
    for what, runs in results.items():
        first = [group_of(r, "get")["first_byte"]["p50_ms"] for r in runs]
        bench.row(f"first byte of 64 MiB, {what}",
                  f"{median(first):.2f} ms ({spread(first)}), whole "
                  f"{median(group_of(r, 'get')['latency']['p50_ms'] for r in runs):.0f} ms",
                  f"{median(first) / floor:.2f} x (one segment by md5 + pread = {floor:.2f} ms)"
                  + (verdict(median(first) <= 1.5 * floor, "at most 1.5") if what.startswith("with ") else ""),
                  "first-byte")


# Without it the kernel takes megabytes ahead of each slow reader.
UNSENT_BYTES = 65536
SEND_PATHS = ("copy", "sendfile-read", "sendfile-map", "sendfile-plain")


@scenario("send-paths")
def send_paths(bench):
    """Ways to send verified 64 MiB blocks, the daemon left out: copies, sendfile; c = 1, 4, 16, 1000 slow readers."""
    slow = bench.size(1000, 50)
    rate = 500000
    with Daemon(bench) as daemon:
        locators = stored_blocks(bench, daemon, "send-paths")
        root, daemon.owns_root = daemon.root, False
    # The daemon has left; its volume goes with the folder of the run.
    servers = {}
    try:
        for path in SEND_PATHS:
            servers[path] = SendPaths(bench, root, path).__enter__()
            if path != "sendfile-plain":
                # Once with every byte compared: a path that sends nonsense fast is no path.
                bench.load(servers[path], "--mode", "get", "--locators", locators, "--count", 2, "--connections", 2,
                           "--body", "verify")
        variants = {(path, c): lambda path=path, c=c: bench.load(
            servers[path], "--mode", "get", "--locators", locators, "--connections", c,
            "--seconds", bench.seconds(4), "--warmup", bench.warmup())
            for c in connection_counts(bench) for path in SEND_PATHS}
        results = bench.interleaved(variants)
    finally:
        for server in servers.values():
            server.__exit__(None, None, None)
    # A new server for each crowd: what it takes for a thousand readers it keeps.
    limits = bench.size((0, UNSENT_BYTES), (UNSENT_BYTES,))
    for path in SEND_PATHS:
        for unsent in limits:
            with SendPaths(bench, root, path, unsent) as server:
                results[path, unsent, "slow"] = bench.load(
                    server, "--mode", "get", "--locators", locators, "--connections", slow, "--rate", rate,
                    "--ramp", bench.size(2, 0.3), "--warmup", bench.size(6, 0.6), "--seconds", bench.seconds(10))
    floors = {"copy": ("pread", "send"), "sendfile-read": ("pread", "sendfile"), "sendfile-map": ("sendfile",),
              "sendfile-plain": ("sendfile",)}
    for path, c in variants:
        bulk_row(bench, "send-paths", f"send 64 MiB by {path}, c={c}", results[path, c], "get", floors[path],
                 "; hashing comes on top")
    for path in SEND_PATHS:
        for unsent in limits:
            result = results[path, unsent, "slow"]
            server = window(result)["server"]
            clients = result["clients"]
            limit = f", TCP_NOTSENT_LOWAT {unsent // 1024} KiB" if unsent else ""
            bench.row(f"{path}, {slow} at {rate / 1e6} MB/s{limit}",
                      f"{group_of(result, 'get')['mb_per_s']:.0f} MB/s, slowest at {clients['bytes_per_s_min'] / 1e6:.2f} "
                      f"MB/s, {server['cpu_s_per_gib']:.3f} CPU-s/GiB, RSS {server['rss_peak_bytes'] / MIB:.0f} MiB "
                      f"(anonymous {server['rss_anon_peak_bytes'] / MIB:.0f}), {kernel_text(result)}"
                      + failures_text([result], "get"),
                      bench.units_text("md5", "pread", "send", "sendfile"), "send-paths")


@scenario("put64")
def put64(bench):
    """PUT of new 64 MiB blocks, c = 1, 4, 16: without sync; durable, direct; durable, buffered."""
    modes = {"sync off": dict(sync=False), "durable": dict(sync=True), "durable, buffered": dict(sync=True, direct=False)}
    if bench.quick:
        del modes["durable, buffered"]
    for mode, settings in modes.items():
        counts = connection_counts(bench) if mode != "durable, buffered" else connection_counts(bench)[-1:]

        def one(c):
            # A volume for each run: the disk does not fill up, and old blocks' pages are free for the next.
            with Daemon(bench, **settings) as daemon:
                bench.load(daemon, "--mode", "put", "--size", "64m", "--connections", c, "--count", bench.size(2 * c, c))
                return bench.load(daemon, "--mode", "put", "--size", "64m", "--connections", c,
                                  "--count", bench.size(max(16, 3 * c), 2 * c), "--time-limit", 60)

        results = bench.interleaved({c: lambda c=c: one(c) for c in counts})
        direct = settings["sync"] and settings.get("direct") is not False and bench.unit("write_direct") is not None
        steps = ("md5", "recv", "write_direct" if direct else "write_buffered")
        for c, runs in results.items():
            rate = median(group_of(r, "put")["mb_per_s"] for r in runs)
            disk = bench.unit("write_direct_parallel" if c > 1 else "write_direct")
            compared = f"; {rate / bench.unit('md5')['mb_per_s']:.2f} x one MD5 stream"
            if direct:
                compared += f"; {ratio(rate, disk['mb_per_s'])} x direct write's {disk['mb_per_s']:.0f} MB/s"
            bulk_row(bench, "put64", f"PUT 64 MiB {mode}, c={c}", runs, "put", steps, compared)
