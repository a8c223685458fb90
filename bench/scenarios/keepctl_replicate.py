"""keepctl replicate: against the daemon's pulls, a loop of curl, its unavoidable steps, and its own memory."""

import json
import os
import shutil
import subprocess
import tempfile
import time

from bench.scenarios.commands import measured
from bench.scenarios.index_stub import IndexStub
from bench.scenarios.pull import pull_once
from bench.scenarios.registry import Failure, Skip, scenario
from bench.scenarios.rows import GIB, MIB, median, ratio, spread, verdict
from bench.scenarios.servers import TOKEN, Daemon
from bench.scenarios.volumes import block_paths

SECONDS_MAX = 600
# What keepctl does without --jobs.
JOBS_BETWEEN_SERVERS = 16
# One pair of curl for each block, as an operator's script would do.
CURL_LOOP = """
while read -r hash size; do
    curl -sf -H "Authorization: Bearer $TOKEN" "$SOURCE/$hash+$size" |
        curl -sf -X PUT -H "Authorization: Bearer $TOKEN" --data-binary @- "$TARGET/$hash" >"$OUT" || exit 1
done
"""


def replicate(bench, source, target, *more):
    """Runs it to its end: seconds, CPU seconds, resident peak, the summary."""
    with tempfile.TemporaryDirectory(dir=bench.folder) as state:
        environment = {**os.environ, "STATE_DIRECTORY": state, "KEEPCTL_TOKEN": TOKEN, "ARVADOS_CONFIG": ""}
        command = [bench.tool("keepctl"), "replicate", "--json", "--progress", "none", source, target, *more]
        result = measured(command, environment, limit=SECONDS_MAX)
    return result | {"summary": json.loads(result["stdout"].splitlines()[-1])}


def check_copied(result, count):
    if result["summary"]["copied"] != count:
        raise Failure(f"{result['summary']['copied']} blocks of {count} were copied")


def to_directory(bench, root, count):
    target = tempfile.mkdtemp(prefix="volume-", dir=bench.folder)
    try:
        result = replicate(bench, f"dir:{root}", f"dir:{target}")
        check_copied(result, count)
        return result
    finally:
        shutil.rmtree(target, ignore_errors=True)


def to_server(bench, source, count):
    with Daemon(bench) as target:
        result = replicate(bench, f"keep:{source.url}", f"keep:{target.url}")
        check_copied(result, count)
        return result


def by_curl(bench, source, names, size):
    with Daemon(bench) as target:
        environment = {**os.environ, "TOKEN": TOKEN, "SOURCE": source.url, "TARGET": target.url,
                       "OUT": os.path.join(bench.folder, "curl-response")}
        started = time.monotonic()
        subprocess.run(["bash", "-c", CURL_LOOP], input="".join(f"{n} {size}\n" for n in names).encode(), env=environment,
                       check=True, timeout=SECONDS_MAX)
        seconds = time.monotonic() - started
        if sum(1 for _ in block_paths(target.root)) != len(names):
            raise Failure("the loop of curl lost blocks")
        return {"seconds": seconds}


def fill(bench, source, size, count):
    bench.load(source, "--mode", "put", "--size", size, "--count", count, "--connections", 4)
    names = [os.path.basename(path) for path in block_paths(source.root)]
    if len(names) != count:
        raise Failure(f"{len(names)} blocks were made, not {count}")
    return names


def lanes_cpu_s_per_gib(bench):
    """MD5 of as many streams as there are jobs between servers, one core."""
    lanes = json.loads(bench.run_tool([bench.tool("keepstore_digest_bench"), "--json", "0.02" if bench.quick else "0.3"]))
    rates = [max(k["gb_per_s"].values()) for k in lanes["kernels"] if k["streams"] == JOBS_BETWEEN_SERVERS]
    if not rates:
        raise Failure(f"no figure for {JOBS_BETWEEN_SERVERS} streams")
    return GIB / 1e9 / rates[0]


def large_blocks(bench):
    size, count = MIB, bench.size(1000, 40)
    with Daemon(bench) as source:
        names = fill(bench, source, size, count)
        results = bench.interleaved({
            "pulls": lambda: pull_once(bench, source, names, size, True),
            "directories": lambda: to_directory(bench, source.root, count),
            "servers": lambda: to_server(bench, source, count),
        })
    total = size * count
    rates = {kind: [total / r["seconds"] / 1e6 for r in runs] for kind, runs in results.items()}
    against = median(rates["directories"]) / median(rates["pulls"])
    bench.row(f"replicate of {count} blocks of 1 MiB, dir to dir, durable",
              f"{median(rates['directories']):.0f} MB/s ({spread(rates['directories'])}), "
              f"{median(r['cpu'] for r in results['directories']) / total * GIB:.2f} CPU-s/GiB, RSS peak "
              f"{max(r['peak'] for r in results['directories']) / MIB:.0f} MiB",
              f"{against:.2f} x the daemon's pulls, {median(rates['pulls']):.0f} MB/s" + verdict(against >= 0.9, ">= 0.9"),
              "keepctl-replicate")
    cpu = median(r["cpu"] for r in results["servers"]) / total * GIB
    # The destination proves the block, so the tool computes no MD5; the target is that of one that does.
    moved = sum(bench.unit(n)["cpu_s_per_gib"] for n in ("recv", "send") if bench.unit(n))
    steps = lanes_cpu_s_per_gib(bench) + moved
    bench.row(f"replicate of {count} blocks of 1 MiB, server to server",
              f"{median(rates['servers']):.0f} MB/s ({spread(rates['servers'])}), {cpu:.2f} CPU-s/GiB of keepctl",
              f"{ratio(cpu, steps)} x (MD5 in lanes + recv + send = {steps:.3f} CPU-s/GiB), {ratio(cpu, moved)} x recv + send"
              + verdict(cpu <= 1.2 * steps, "<= 1.2"),
              "keepctl-replicate")


def small_blocks(bench):
    if not shutil.which("curl"):
        raise Skip("there is no curl to compare with")
    size, count = 64 << 10, bench.size(4000, 40)
    looped = bench.size(400, 10)  # The loop takes as long for each block, however many there are.
    with Daemon(bench) as source:
        names = fill(bench, source, size, count)
        results = bench.interleaved({
            "keepctl": lambda: to_server(bench, source, count),
            "curl": lambda: by_curl(bench, source, names[:looped], size),
        })
    rates = [count / r["seconds"] for r in results["keepctl"]]
    loop = looped / median(r["seconds"] for r in results["curl"])
    bench.row(f"replicate of {count} blocks of 64 KiB, server to server",
              f"{median(rates):.0f} blocks/s ({spread(rates)}), {1e6 * median(r['cpu'] for r in results['keepctl']) / count:.0f} us "
              "CPU/block of keepctl",
              f"{median(rates) / loop:.1f} x a loop of curl GET | curl PUT, {loop:.0f} blocks/s"
              + verdict(median(rates) >= 10 * loop, ">= 10"), "keepctl-replicate")


@scenario("keepctl-replicate")
def keepctl_replicate(bench):
    """keepctl replicate: blocks of 1 MiB against the daemon's pulls, of 64 KiB against a loop of curl."""
    large_blocks(bench)
    small_blocks(bench)


@scenario("keepctl-replicate-memory")
def keepctl_replicate_memory(bench):
    """Resident peak of keepctl replicate with 100,000 and 1,000,000 blocks in the indexes of both servers."""
    peaks = {}
    missing = 50
    for count in (100_000, 1_000_000) if not bench.quick else (2_000, 20_000):
        with IndexStub(count, missing) as stub:
            result = replicate(bench, f"keep:{stub.source.url}", f"keep:{stub.target.url}")
            check_copied(result, missing)
            if result["summary"]["listed"] != count or stub.stored != stub.blocks:
                raise Failure(f"{result['summary']['listed']} blocks listed, {len(stub.stored)} stored")
        peaks[count] = result["peak"] / MIB
        bench.row(f"replicate, indexes of {count} blocks", f"RSS peak {peaks[count]:.0f} MiB, {result['seconds']:.1f} s, "
                  f"{1e6 * result['cpu'] / count:.1f} us CPU an entry", verdict(peaks[count] <= 160, "<= 160 MiB").strip(),
                  "keepctl-replicate-memory")
    few, many = peaks.values()
    bench.row("replicate, memory for ten times the blocks", f"{many - few:+.1f} MiB", verdict(many - few < 8, "< 8 MiB").strip(),
              "keepctl-replicate-memory")
