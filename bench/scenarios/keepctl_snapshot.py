"""keepctl snapshot create: a large index against fetching the same index and doing nothing with it."""

import http.client
import json
import os
import shutil
import subprocess
import time

from bench.scenarios.commands import measured
from bench.scenarios.registry import Failure, scenario
from bench.scenarios.rows import MIB, median, ratio, spread
from bench.scenarios.stub_process import StubProcess

LIMIT = 900
# As keepctl cuts 20,000,000 entries, with at most 900,000 in an object.
DIGITS_MAX_ENTRIES = 900_000


def index_stub(bench, blocks, mounts):
    return StubProcess(bench, "keepstore_index_stub", "--blocks", blocks, "--copies", mounts, "--mounts", mounts)


def fetch(stub, mounts, digits):
    """Seconds to receive all shards of all mounts, one after the other."""
    started = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", stub.port, timeout=120)
    for shard in range(16 ** digits):
        prefix = f"{shard:0{digits}x}" if digits else ""
        for m in range(mounts):
            connection.request("GET", f"/mounts/zzzzz-nyw5e-{m:015}/blocks?prefix={prefix}")
            response = connection.getresponse()
            last = b""
            while some := response.read(MIB):
                last = some
            if response.status != 200 or not last.endswith(b"\n"):
                raise Failure(f"the index stub responds with {response.status}")
    connection.close()
    return {"seconds": time.monotonic() - started}


def create(bench, stub):
    """One snapshot in a new repository: seconds, CPU seconds, peak memory, bytes written."""
    root = os.path.join(bench.folder, "repository")
    shutil.rmtree(root, ignore_errors=True)
    os.makedirs(root)
    environment = os.environ | {"STATE_DIRECTORY": os.path.join(bench.folder, "state"), "KEEPCTL_TOKEN": "x"}
    keepctl, repository = bench.tool("keepctl"), f"file://{root}"
    subprocess.run([keepctl, "snapshot", "init", "-q", repository], env=environment, check=True, stdout=subprocess.DEVNULL)
    result = measured([keepctl, "snapshot", "create", "--json", "--timeout", f"{LIMIT}s", repository, f"keep:{stub.url}"], environment)
    summary = json.loads(result["stdout"].splitlines()[-1])
    size = sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(root) for name in names
               if name.endswith(".kinv"))
    shutil.rmtree(root)
    return result | {"written": size} | summary


@scenario("keepctl-snapshot")
def keepctl_snapshot(bench):
    """A snapshot of 20,000,000 entries (10,000,000 blocks on two mounts) of a server without blocks, into a directory."""
    mounts = 2
    blocks = bench.size(10_000_000, 50_000)
    entries = blocks * mounts
    digits = 0
    while entries / 16 ** digits >= DIGITS_MAX_ENTRIES:
        digits += 1
    with index_stub(bench, blocks, mounts) as stub:
        results = bench.interleaved({"fetch": lambda: fetch(stub, mounts, digits), "create": lambda: create(bench, stub)})
    runs, floor = results["create"], median(r["seconds"] for r in results["fetch"])
    for r in runs:
        if r["replicas"] != entries or r["shards"] != 16 ** digits:
            raise Failure(f"{r['replicas']} entries in {r['shards']} objects instead of {entries} in {16 ** digits}")
    seconds = [r["seconds"] for r in runs]
    bench.row(f"snapshot create of {entries:,} entries",
              f"{median(seconds):.1f} s ({spread(seconds)}), {ratio(median(seconds), floor)} x fetching, "
              f"{median(r['cpu'] for r in runs) / entries * 1e9:.0f} CPU-ns an entry, "
              f"{runs[0]['written'] / entries:.2f} B an entry, RSS peak {max(r['peak'] for r in runs) / MIB:.0f} MiB",
              f"fetching the indexes {floor:.1f} s, " + bench.units_text("recv", "write_buffered"), "keepctl-snapshot")
