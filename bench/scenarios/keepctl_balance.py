"""keepctl balance over a synthetic cluster: memory, time for a decision, and the run as a whole next to fetching the
indexes."""

import http.client
import json
import os
import subprocess
import threading
import time

from bench.scenarios.commands import measured
from bench.scenarios.registry import Failure, scenario
from bench.scenarios.rows import MIB, median, ratio, spread, verdict

TOKEN = "bench-token"
# limits::balance_shard_entries_max.
SHARD_ENTRIES_MAX = 250_000


class Stubs:
    """Four servers with a volume each, together a cluster of `blocks` with two copies."""

    def __init__(self, bench, blocks, mounts=4):
        self.processes = [subprocess.Popen(
            [bench.tool("keepstore_index_stub"), "--blocks", str(blocks), "--copies", "2", "--mounts", "1", "--first-mount",
             str(i), "--all-mounts", str(mounts)], stdout=subprocess.PIPE, text=True) for i in range(mounts)]
        self.ports = [int(p.stdout.readline()) for p in self.processes]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in self.processes:
            p.kill()
            p.wait()
            p.stdout.close()


def digits_of(entries):
    """As keepctl cuts so many entries."""
    digits = 1
    while entries // 16 ** digits >= SHARD_ENTRIES_MAX:
        digits += 1
    return digits


def fetch_all(ports, digits):
    """Seconds for the requests that balance makes, by a client that looks at nothing: all servers concurrently, and one
    shard after the other from each."""
    def fetch(number, port):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for shard in range(16 ** digits):
            connection.request("GET", f"/mounts/zzzzz-nyw5e-{number:015}/blocks?prefix={shard:0{digits}x}")
            response = connection.getresponse()
            last = b""
            while some := response.read(1 << 20):
                last = some
            if response.status != 200 or not last.endswith(b"\n"):
                failed.append(response.status)
                return

    failed = []
    threads = [threading.Thread(target=fetch, args=(i, port)) for i, port in enumerate(ports)]
    began = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failed:
        raise Failure(f"the index stub responds with {failed}")
    return time.monotonic() - began


def balance(bench, ports):
    """One run: its summary, seconds, CPU seconds, and peak memory in MiB."""
    token = os.path.join(bench.folder, "token")
    with open(token, "w", encoding="ascii") as file:
        file.write(TOKEN)
    state = os.path.join(bench.folder, "balance-state")
    command = [bench.tool("keepctl"), "balance", "--json", "--token-file", token, "--state-dir", state, "--progress", "none"]
    for i, port in enumerate(ports):
        command += ["--server", f"http://127.0.0.1:{port}=zzzzz-bi6l4-{i:015}"]
    result = measured(command)
    return result | {"summary": json.loads(result["stdout"].splitlines()[-1])}


@scenario("keepctl-balance")
def keepctl_balance(bench):
    """A plan for 10,000,000 blocks with two copies on four servers."""
    blocks = bench.size(10_000_000, 100_000)
    digits = digits_of(2 * blocks)
    with Stubs(bench, blocks) as stubs:
        results = bench.interleaved({"fetch": lambda: fetch_all(stubs.ports, digits),
                                     "balance": lambda: balance(bench, stubs.ports)})
    runs = results["balance"]
    for run in runs:
        seen = run["summary"]
        if (seen["blocks"], seen["copies"], seen["shards"]) != (blocks, 2 * blocks, 16 ** digits):
            raise Failure(f"it has seen {seen}")
    fetch = median(results["fetch"])
    seconds = [run["seconds"] for run in runs]
    peak = max(run["peak"] for run in runs) / MIB
    decide = median(run["summary"]["decide_cpu_us"] / blocks for run in runs)
    name = f"balance, {blocks:,} blocks x 2"
    cpu = median(run["cpu"] for run in runs)
    bench.row(f"{name}: time", f"{median(seconds):.1f} s ({spread(seconds)}), {cpu / blocks * 1e6:.2f} CPU-us for each block",
              f"{ratio(median(seconds), fetch)} x fetching the indexes, {fetch:.1f} s" +
              verdict(median(seconds) <= 2 * fetch, "at most 2"), "keepctl-balance")
    bench.row(f"{name}: decisions", f"{decide:.2f} CPU-us for each block", verdict(decide <= 2, "at most 2").strip(),
              "keepctl-balance")
    bench.row(f"{name}: memory", f"{peak:.0f} MiB peak", verdict(peak <= 256, "at most 256 MiB").strip(), "keepctl-balance")
