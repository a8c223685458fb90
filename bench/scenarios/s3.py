"""S3 volumes: the daemon on radosgw, and radosgw alone in the same run."""

import os

from bench.scenarios.registry import Failure, scenario
from bench.scenarios.rows import (MIB, failures_text, group_of, lane_counters, lanes_between, lanes_text, median, spread, verdict,
                                  window)
from bench.scenarios.s3_server import S3Daemon, gateway
from bench.scenarios.volumes import read_index

# Runs are by count and not by time, so that every request to S3 belongs to an operation that counts.
LARGE = "64m"
# What a page takes at Amazon at least; 300 ms at most.
LIST_SECONDS = 0.075
# Bytes per second that a connection takes: about half of what Amazon gives one, so that the proxy is not the limit.
FAR_RATE = 25_000_000


def counted(bench, daemon, *arguments, **options):
    """A run of the load whose requests to S3 are counted."""
    before, lanes = daemon.requests(), lane_counters(daemon)
    result = bench.load(daemon, *arguments, **options)
    result["requests"] = daemon.requests() - before
    result["lanes"] = lanes_between(lanes, lane_counters(daemon))
    return result


def stored(bench, server, name, size, count):
    """Blocks written by a daemon that has ended, so that no connection or state of it is left. The locators' file."""
    locators = os.path.join(bench.folder, name + ".locators")
    with S3Daemon(bench, server) as daemon:
        result = bench.load(daemon, "--mode", "put", "--size", size, "--count", count, "--connections", 4,
                            "--save-locators", locators)
    if group_of(result, "put")["ok"] != count:
        raise Failure("the blocks cannot be written" + failures_text([result], "put"))
    return locators


def large_row(bench, name, title, group, runs, alone, steps, extra):
    """A row of 64 MiB blocks through the daemon, and of radosgw alone."""
    good = [group_of(r, group) for r in runs]
    if not all(g["ok"] for g in good):
        raise Failure("none succeeded" + failures_text(runs, group))
    cpu = [window(r)["server"]["cpu_s_per_gib"] for r in runs]
    rate = median(g["mb_per_s"] for g in good)
    limit = median(group_of(r, group)["mb_per_s"] for r in alone)
    first = f"first byte p50 {median(g['first_byte']['p50_ms'] for g in good):.1f} ms, " if group == "get" else ""
    alone_first = (f", first byte {median(group_of(r, group)['first_byte']['p50_ms'] for r in alone):.1f} ms"
                   if group == "get" else "")
    bench.row(title,
              f"{rate:.0f} MB/s ({spread(g['mb_per_s'] for g in good)}), {median(cpu):.2f} CPU-s/GiB ({spread(cpu)}), {first}"
              f"p50 {median(g['latency']['p50_ms'] for g in good):.0f} ms, "
              f"{median(r['requests'] / g['ok'] for r, g in zip(runs, good)):.2f} requests each, "
              f"{lanes_text([r['lanes'] for r in runs])}, RSS "
              f"{max(window(r)['server']['rss_peak_bytes'] for r in runs) / MIB:.0f} MiB" + failures_text(runs, group),
              f"radosgw alone {limit:.0f} MB/s{alone_first}, "
              f"{median(window(r)['server']['cpu_s_per_gib'] for r in alone):.2f} CPU-s/GiB of its own"
              + failures_text(alone, group) + f"; {bench.units_text(*steps)}{extra(median(cpu), rate, good)}", name)


@scenario("s3-get")
def s3_get(bench):
    """GET of 64 MiB blocks on radosgw, c = 1, 4, 16, and of radosgw alone: MB/s, CPU-s/GiB, first byte, requests."""
    server = gateway(bench)
    size = bench.size(LARGE, "16m")
    locators = stored(bench, server, "s3-get", size, bench.size(20, 4))

    def get(target, c, run):
        return run(target, "--mode", "get", "--locators", locators, "--connections", c,
                   "--count", bench.size(max(16, 2 * c), max(4, c)), "--time-limit", 120)

    counts = (1, 4) if bench.quick else (1, 4, 16)
    with S3Daemon(bench, server) as daemon:
        # Once with every byte checked: a fast wrong answer is none.
        checked = bench.load(daemon, "--mode", "get", "--locators", locators, "--connections", 4, "--count", 4,
                             "--body", "verify")
        if group_of(checked, "get")["failed"] > 0:
            raise Failure("the blocks cannot be read" + failures_text([checked], "get"))
        variants = {("daemon", c): lambda c=c: get(daemon, c, lambda *a, **o: counted(bench, *a, **o)) for c in counts}
        variants |= {("alone", c): lambda c=c: get(server, c, bench.load) for c in counts}
        results = bench.interleaved(variants)
    server.delete(locators)
    for c in counts:
        def extra(cpu, _rate, good, c=c):
            text = "; CPU" + verdict(cpu <= 0.75, "at most 0.75")
            if c == 1:
                first = median(g["first_byte"]["p50_ms"] for g in good)
                text += "; first byte" + verdict(first <= 8, "at most 8 ms")
            return text
        large_row(bench, "s3-get", f"S3: GET {size}, c={c}", "get", results["daemon", c], results["alone", c],
                  ("md5", "recv", "send"), extra)


@scenario("s3-put")
def s3_put(bench):
    """PUT of new 64 MiB blocks on radosgw, c = 1, 4, 16, and of radosgw alone: MB/s, CPU-s/GiB, requests."""
    server = gateway(bench)
    size = bench.size(LARGE, "16m")
    locators = os.path.join(bench.folder, "s3-put.locators")

    def put(target, c, run):
        result = run(target, "--mode", "put", "--size", size, "--connections", c,
                     "--count", bench.size(max(16, 2 * c), 2 * c), "--time-limit", 120, "--save-locators", locators)
        server.delete(locators)
        return result

    counts = (1, 4) if bench.quick else (1, 4, 16)
    with S3Daemon(bench, server) as daemon:
        variants = {("daemon", c): lambda c=c: put(daemon, c, lambda *a, **o: counted(bench, *a, **o)) for c in counts}
        variants |= {("alone", c): lambda c=c: put(server, c, bench.load) for c in counts}
        results = bench.interleaved(variants)
    for c in counts:
        large_row(bench, "s3-put", f"S3: PUT {size}, c={c}", "put", results["daemon", c], results["alone", c],
                  ("md5", "recv", "send"), lambda cpu, _rate, _good: "; CPU" + verdict(cpu <= 1.0, "at most 1.0"))


@scenario("s3-far")
def s3_far(bench):
    """64 MiB blocks where each connection to S3 is slow, c = 1, 2, 4, 8: whole at first, then in parts."""
    server = gateway(bench)
    size = bench.size(LARGE, "16m")
    written = os.path.join(bench.folder, "s3-far.locators")
    locators = stored(bench, server, "s3-far-get", size, bench.size(16, 4))
    counts = (1, 4) if bench.quick else (1, 2, 4, 8)
    modes = {"put": ("--mode", "put", "--size", size, "--save-locators", written), "get": ("--mode", "get", "--locators", locators)}

    def move(target, group, c, count):
        result = counted(bench, target, *modes[group], "--connections", c, "--count", count, "--time-limit", 120)
        if group == "put":
            server.delete(written)
        return result

    def runs(endpoint):
        # A daemon that knows nothing yet. Of each kind of company it learns with the first blocks.
        out = {}
        with S3Daemon(bench, server, endpoint) as daemon:
            for group in modes:
                out[group, "c=1, the first one"] = move(daemon, group, 1, 1)
                for c in counts:
                    move(daemon, group, c, 2 * c)
                    out[group, f"c={c}"] = move(daemon, group, c, bench.size(4 * c, 2 * c))
        return out

    with server.far_away("slow_request", operation=["put", "multipart_part"], rate=FAR_RATE) as far:
        far.add("slow", operation="get", rate=FAR_RATE)
        results = [runs(far.endpoint) for _ in range(bench.rounds)]
    server.delete(locators)
    for group, title in results[0]:
        these = [r[group, title] for r in results]
        good = [group_of(r, group) for r in these]
        if not all(g["ok"] for g in good):
            raise Failure("none succeeded" + failures_text(these, group))
        bench.row(f"S3: {group.upper()} {size}, {FAR_RATE / 1e6:.0f} MB/s a connection, {title}",
                  f"{median(g['mb_per_s'] for g in good):.0f} MB/s ({spread(g['mb_per_s'] for g in good)}), "
                  f"{median(window(r)['server']['cpu_s_per_gib'] for r in these):.2f} CPU-s/GiB, "
                  f"{median(r['requests'] / g['ok'] for r, g in zip(these, good)):.1f} requests each, RSS "
                  f"{max(window(r)['server']['rss_peak_bytes'] for r in these) / MIB:.0f} MiB" + failures_text(these, group),
                  bench.units_text("md5", "recv", "send"), "s3-far")


@scenario("s3-small")
def s3_small(bench):
    """GET and PUT of 64 KiB blocks on radosgw, c = 1, 8: op/s, CPU and requests of each."""
    server = gateway(bench)
    locators = stored(bench, server, "s3-small", "64k", bench.size(2000, 100))
    count = bench.size(3000, 100)
    modes = {"get": ("--mode", "get", "--locators", locators), "put": ("--mode", "put", "--size", "64k")}
    with S3Daemon(bench, server) as daemon:
        variants = {}
        for group, mode in modes.items():
            for c in (1, 8):
                load = (*mode, "--connections", c, "--count", count, "--time-limit", 120)
                variants[group, c, "daemon"] = lambda load=load: counted(bench, daemon, *load)
                variants[group, c, "alone"] = lambda load=load: bench.load(server, *load)
        results = bench.interleaved(variants)
    for group, c, server_name in variants:
        if server_name == "alone":
            continue
        runs, alone = results[group, c, "daemon"], results[group, c, "alone"]
        good = [group_of(r, group) for r in runs]
        if not all(g["ok"] for g in good):
            raise Failure("none succeeded" + failures_text(runs, group))
        cpu = median(window(r)["server"]["cpu_us_per_op"] for r in runs)
        bench.row(f"S3: {group.upper()} 64 KiB, c={c}",
                  f"{median(g['ops_per_s'] for g in good):.0f} op/s, {cpu:.0f} us CPU each ("
                  f"{spread(window(r)['server']['cpu_us_per_op'] for r in runs)}), p50 "
                  f"{median(g['latency']['p50_ms'] for g in good):.1f} p99 {median(g['latency']['p99_ms'] for g in good):.1f} ms, "
                  f"{median(r['requests'] / g['ok'] for r, g in zip(runs, good)):.2f} requests each" + failures_text(runs, group),
                  f"radosgw alone {median(group_of(r, group)['ops_per_s'] for r in alone):.0f} op/s"
                  + failures_text(alone, group) + f"; {bench.units_text('md5', 'recv', 'send')}"
                  + ("; CPU" + verdict(cpu <= 350, "at most 350 us") if group == "get" else ""), "s3-small")


@scenario("s3-range")
def s3_range(bench):
    """GET of random 1 MiB ranges of 64 MiB blocks on radosgw, c = 1, 8: first byte, whole, requests and bytes from S3."""
    server = gateway(bench)
    locators = stored(bench, server, "s3-range", bench.size(LARGE, "16m"), bench.size(8, 4))
    count = bench.size(200, 16)

    def ranges(target, c):
        arguments = ("--mode", "get", "--locators", locators, "--range", "1m", "--connections", c, "--count", count,
                     "--time-limit", 120)
        if target is server:
            return bench.load(target, *arguments)
        before = target.metric("arvados_keepstore_volume_io_bytes", 'direction="in"')
        result = counted(bench, target, *arguments)
        result["fetched"] = target.metric("arvados_keepstore_volume_io_bytes", 'direction="in"') - before
        return result

    with S3Daemon(bench, server) as daemon:
        results = bench.interleaved({(name, c): lambda target=target, c=c: ranges(target, c)
                                     for c in (1, 8) for name, target in (("daemon", daemon), ("alone", server))})
    server.delete(locators)
    for c in (1, 8):
        runs, alone = results["daemon", c], results["alone", c]
        good = [group_of(r, "get") for r in runs]
        if not all(g["ok"] for g in good):
            raise Failure("no range was served" + failures_text(runs, "get"))
        bench.row(f"S3: GET random 1 MiB, c={c}",
                  f"{median(g['ops_per_s'] for g in good):.0f} op/s, first byte p50 "
                  f"{median(g['first_byte']['p50_ms'] for g in good):.1f} ms, whole p50 "
                  f"{median(g['latency']['p50_ms'] for g in good):.1f} p99 {median(g['latency']['p99_ms'] for g in good):.1f} ms, "
                  f"{median(window(r)['server']['cpu_us_per_op'] for r in runs):.0f} us CPU, "
                  f"{median(r['requests'] / g['ok'] for r, g in zip(runs, good)):.2f} requests and "
                  f"{median(r['fetched'] / g['ok'] for r, g in zip(runs, good)) / MIB:.2f} MiB from S3 each"
                  + failures_text(runs, "get"),
                  f"radosgw alone {median(group_of(r, 'get')['ops_per_s'] for r in alone):.0f} op/s, whole p50 "
                  f"{median(group_of(r, 'get')['latency']['p50_ms'] for r in alone):.1f} ms; "
                  f"{bench.units_text('md5', 'recv', 'send')}", "s3-range")


@scenario("s3-readers")
def s3_readers(bench):
    """200 slow readers of 64 MiB blocks on radosgw: memory; 32 readers of one hot block: fetches."""
    server = gateway(bench)
    size = bench.size(LARGE, "4m")
    locators = stored(bench, server, "s3-readers", size, bench.size(16, 4))
    slow = bench.size(200, 30)
    with S3Daemon(bench, server) as daemon:
        result = counted(bench, daemon, "--mode", "get", "--locators", locators, "--connections", slow, "--count", slow,
                         "--rate", 2000000, "--time-limit", 280, limit=360)
    served = group_of(result, "get")["ok"]
    peak = window(result)["server"]["rss_peak_bytes"] / MIB
    bench.row(f"S3: {slow} readers of {size} at 2 MB/s",
              f"{served} served in {window(result)['seconds']:.0f} s, RSS peak {peak:.0f} MiB, "
              f"{window(result)['server']['cpu_s_per_gib']:.2f} CPU-s/GiB, {result['requests'] / slow:.2f} requests each"
              + failures_text([result], "get"),
              "all served" + verdict(served == slow, "all") + "; RSS" + verdict(peak < 512, "below 512 MiB"), "s3-readers")

    with open(locators, encoding="ascii") as file:
        one = file.readline()
    hot = os.path.join(bench.folder, "s3-hot.locators")
    with open(hot, "w", encoding="ascii") as file:
        file.write(one)
    with S3Daemon(bench, server) as daemon:
        before = daemon.metric("arvados_keepstore_volume_operations", 'operation="get"')
        result = bench.load(daemon, "--mode", "get", "--locators", hot, "--connections", 32, "--count", 32)
        fetches = daemon.metric("arvados_keepstore_volume_operations", 'operation="get"') - before
    server.delete(locators)
    bench.row(f"S3: 32 readers of one {size} block",
              f"{fetches:.0f} fetches, {group_of(result, 'get')['mb_per_s']:.0f} MB/s, "
              f"{window(result)['server']['cpu_s_per_gib']:.2f} CPU-s/GiB of what they got" + failures_text([result], "get"),
              "one fetch" + verdict(fetches == 1, "one"), "s3-readers")


@scenario("s3-index")
def s3_index(bench):
    """Index of 100,000 blocks on radosgw, near and far: the daemon's parallel prefixes against pages in sequence."""
    server = gateway(bench)
    server.new_bucket()  # With nothing else in it.
    count = bench.size(100_000, 20_000)
    with S3Daemon(bench, server) as daemon:
        result = bench.load(daemon, "--mode", "put", "--size", "64", "--count", count, "--connections", 64,
                            "--time-limit", 600, limit=660)
        if group_of(result, "put")["ok"] != count:
            raise Failure("the blocks cannot be written" + failures_text([result], "put"))

    def from_daemon(endpoint):
        with S3Daemon(bench, server, endpoint) as daemon:
            before = daemon.memory()["VmRSS"]
            got = read_index(daemon)
            cpu = daemon.cpu_seconds()
            requests = daemon.metric("arvados_keepstore_volume_operations", 'operation="list"')
        if got["lines"] != count:
            raise Failure(f"{got['lines']} lines for {count} blocks")
        return got | {"grown": got["peak"] - before, "cpu": cpu, "requests": requests}

    def in_sequence(endpoint):
        seconds, blocks = server.list_in_sequence(endpoint)
        if blocks != count:
            raise Failure(f"{blocks} keys for {count} blocks")
        return seconds

    with server.far_away("delay", operation="list", seconds=LIST_SECONDS) as far:
        places = {"": None, f", each page {1000 * LIST_SECONDS:.0f} ms later": far.endpoint}
        for title, endpoint in places.items():
            results = bench.interleaved({"daemon": lambda endpoint=endpoint: from_daemon(endpoint),
                                         "sequence": lambda endpoint=endpoint: in_sequence(endpoint)})
            runs = results["daemon"]
            total, base = median(r["total"] for r in runs), median(results["sequence"])
            bench.row(f"S3: index of {count}{title}",
                      f"{total:.2f} s ({spread(r['total'] for r in runs)}), first byte {median(r['first'] for r in runs):.2f} s, "
                      f"{median(r['cpu'] for r in runs):.2f} CPU-s, {median(r['requests'] for r in runs):.0f} requests, memory "
                      f"grew by {max(r['grown'] for r in runs) / MIB:.0f} MiB",
                      f"pages in sequence {base:.2f} s: {base / total:.1f} times as long"
                      + verdict(base >= 3 * total, "at least 3"), "s3-index")
    server.new_bucket()
