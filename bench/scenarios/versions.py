"""Two versions of the daemon in one run: --daemon (or what is built) next to that of --against.

Each round measures old, new, new, old, so that what drifts in the meantime (the disk, the host, memory that fills up) meets both
alike. A row says how much faster or dearer the new one is.
"""

import contextlib
import os

from bench.scenarios.registry import Failure, Skip, scenario
from bench.scenarios.rows import failures_text, group_of, median, spread, verdict, window
from bench.scenarios.s3_server import S3Daemon, gateway
from bench.scenarios.servers import Daemon
from bench.scenarios.small import MIX
from bench.scenarios.throughput import connection_counts, stored_blocks

# What the new one may need, of the time or the CPU of the old one.
RATIO_MAX = 1.03
TURNS = (("old", 0), ("new", 0), ("new", 1), ("old", 1))


def binaries(bench):
    if not bench.options.against:
        raise Skip("needs --against BINARY, the other version")
    return {"old": bench.options.against, "new": bench.daemon}


def in_turn(bench, run):
    """{version: the results of run(version) in the rounds that count}"""
    results = bench.interleaved({turn: lambda version=turn[0]: run(version) for turn in TURNS})
    return {version: [r for turn in TURNS if turn[0] == version for r in results[turn]] for version, _ in TURNS}


def rate_of(result, groups, key):
    return sum(group_of(result, group)[key] for group in groups)


def version_row(bench, name, title, results, groups, small=False):
    rate_key, rate_unit = ("ops_per_s", "op/s") if small else ("mb_per_s", "MB/s")
    cost_key, cost_unit = ("cpu_us_per_op", "us CPU") if small else ("cpu_s_per_gib", "CPU-s/GiB")
    rates = {v: [rate_of(r, groups, rate_key) for r in runs] for v, runs in results.items()}
    costs = {v: [window(r)["server"][cost_key] for r in runs] for v, runs in results.items()}
    if not all(all(values) for values in (*rates.values(), *costs.values())):
        raise Failure("none succeeded" + "".join(failures_text(results["new"], g) for g in groups))
    texts = {v: f"{median(rates[v]):.0f} {rate_unit} ({spread(rates[v])}), {median(costs[v]):.3g} {cost_unit} "
                f"({spread(costs[v])})" + "".join(failures_text(results[v], g) for g in groups) for v in results}
    time = median(rates["old"]) / median(rates["new"])
    cost = median(costs["new"]) / median(costs["old"])
    target = f"at most {RATIO_MAX}"
    bench.row(title, texts["new"],
              f"old {texts['old']}; {time:.3f} of its time" + verdict(time <= RATIO_MAX, target)
              + f", {cost:.3f} of its CPU" + verdict(cost <= RATIO_MAX, target), name)


def unit_row(bench, name, *steps):
    bench.row("  unit costs of the run", bench.units_text(*steps), "", name)


@scenario("versions-get64")
def versions_get64(bench):
    """GET of warm 64 MiB blocks by two versions of the daemon (--against), c = 1, 4, 16."""
    with contextlib.ExitStack() as stack:
        daemons = {v: stack.enter_context(Daemon(bench, binary=b)) for v, b in binaries(bench).items()}
        locators = {v: stored_blocks(bench, d, f"versions-{v}") for v, d in daemons.items()}
        for c in connection_counts(bench):
            version_row(bench, "versions-get64", f"GET 64 MiB, c={c}", in_turn(bench, lambda v, c=c: bench.load(
                daemons[v], "--mode", "get", "--locators", locators[v], "--connections", c,
                "--seconds", bench.seconds(3), "--warmup", bench.warmup())), ("get",))
    unit_row(bench, "versions-get64", "md5", "pread", "send")


@scenario("versions-put64")
def versions_put64(bench):
    """PUT of new 64 MiB blocks by two versions of the daemon (--against), durable and not, c = 1, 16."""
    of = binaries(bench)

    def one(version, c, sync):
        # A volume for each run, as in put64.
        with Daemon(bench, binary=of[version], sync=sync) as daemon:
            bench.load(daemon, "--mode", "put", "--size", "64m", "--connections", c, "--count", bench.size(2 * c, c))
            return bench.load(daemon, "--mode", "put", "--size", "64m", "--connections", c,
                              "--count", bench.size(max(16, 3 * c), 2 * c), "--time-limit", 60)

    for what, sync in (("durable", True), ("sync off", False)):
        for c in bench.size((1, 16), (4,)):
            version_row(bench, "versions-put64", f"PUT 64 MiB {what}, c={c}",
                        in_turn(bench, lambda v, c=c, sync=sync: one(v, c, sync)), ("put",))
    unit_row(bench, "versions-put64", "md5", "recv", "write_buffered", "write_direct")


@scenario("versions-small")
def versions_small(bench):
    """GET and PUT of 4 KiB blocks, sync off, c = 16, by two versions of the daemon (--against)."""
    with contextlib.ExitStack() as stack:
        daemons = {v: stack.enter_context(Daemon(bench, binary=b)) for v, b in binaries(bench).items()}
        locators = {v: os.path.join(bench.folder, f"versions-small-{v}.locators") for v in daemons}
        for v, daemon in daemons.items():
            bench.load(daemon, "--mode", "put", "--size", "4k", "--count", bench.size(10000, 1000),
                       "--save-locators", locators[v])
        common = ("--connections", 16, "--seconds", bench.seconds(3), "--warmup", bench.warmup())
        version_row(bench, "versions-small", "GET 4 KiB, c=16", in_turn(bench, lambda v: bench.load(
            daemons[v], "--mode", "get", "--locators", locators[v], *common)), ("get",), small=True)
        version_row(bench, "versions-small", "PUT 4 KiB, sync off, c=16", in_turn(bench, lambda v: bench.load(
            daemons[v], "--mode", "put", "--size", "4k", *common)), ("put",), small=True)


@scenario("versions-mixed")
def versions_mixed(bench):
    """GET and durable PUT of 4 KiB to 64 MiB at c = 64 by two versions of the daemon (--against)."""
    of = binaries(bench)

    def one(version):
        locators = os.path.join(bench.folder, "versions-mixed.locators")
        with Daemon(bench, binary=of[version], sync=True) as daemon:
            bench.load(daemon, "--mode", "put", "--size", MIX, "--count", bench.size(400, 60), "--connections", 16,
                       "--save-locators", locators)
            bench.load(daemon, "--mode", "get", "--locators", locators, "--count", bench.size(400, 60))
            return bench.load(daemon, "--mode", "mixed", "--size", MIX, "--locators", locators, "--connections", 64,
                              "--seconds", bench.seconds(10), "--warmup", bench.warmup())

    version_row(bench, "versions-mixed", "mixed 4 KiB..64 MiB, c=64", in_turn(bench, one), ("get", "put"))
    unit_row(bench, "versions-mixed", "md5", "pread", "recv", "send", "write_direct")


@scenario("versions-s3-get")
def versions_s3_get(bench):
    """GET of 64 MiB and 64 KiB blocks on radosgw by two versions of the daemon (--against)."""
    of = binaries(bench)
    server = gateway(bench)
    with contextlib.ExitStack() as stack:
        daemons = {v: stack.enter_context(S3Daemon(bench, server, binary=b)) for v, b in of.items()}
        for size, count, connections in ((bench.size("64m", "16m"), bench.size(20, 4), connection_counts(bench)),
                                         ("64k", bench.size(400, 20), (8,))):
            locators = os.path.join(bench.folder, f"versions-s3-get-{size}.locators")
            stored = bench.load(daemons["new"], "--mode", "put", "--size", size, "--count", count,
                                "--connections", 4, "--save-locators", locators)
            if group_of(stored, "put")["ok"] != count:
                raise Failure("the blocks cannot be written" + failures_text([stored], "put"))
            small = size == "64k"
            for c in connections:
                gets = bench.size(8000, 100) if small else bench.size(max(16, 2 * c), max(4, c))
                version_row(bench, "versions-s3-get", f"S3: GET {size}, c={c}", in_turn(
                    bench, lambda v, c=c, locators=locators, gets=gets: bench.load(
                        daemons[v], "--mode", "get", "--locators", locators, "--connections", c, "--count", gets,
                        "--time-limit", 120)), ("get",), small)
            server.delete(locators)
    unit_row(bench, "versions-s3-get", "md5", "recv", "send")
