"""Pull lists: blocks from one daemon to another."""

import json
import os
import time

from bench.scenarios.registry import Failure, scenario
from bench.scenarios.rows import GIB, MIB, median, spread
from bench.scenarios.servers import TOKEN, Daemon
from bench.scenarios.volumes import block_paths

PULL_SECONDS_MAX = 300


def send_list(daemon, items):
    body = json.dumps(items).encode()
    with daemon.connect() as s:
        s.sendall((f"PUT /pull HTTP/1.1\r\nHost: {daemon.host}\r\nAuthorization: Bearer {TOKEN}\r\n"
                   f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n").encode() + body)
        status = s.recv(4096).split(b"\r\n")[0]
    if b" 200 " not in status:
        raise Failure(f"PUT /pull: {status.decode(errors='replace')}")


def pull_once(bench, source, names, size, sync):
    """All blocks into an empty volume: seconds, CPU seconds of both daemons, the target's peak memory."""
    items = [{"locator": f"{name}+{size}", "servers": [source.url], "mount_uuid": ""} for name in names]
    with Daemon(bench, sync=sync) as target:
        before = source.cpu_seconds(), target.cpu_seconds()
        started = time.monotonic()
        send_list(target, items)
        # The bytes are counted as each block is in place.
        while target.metric("keepstore_pull_bytes_total") < size * len(names):
            if time.monotonic() - started > PULL_SECONDS_MAX:
                raise Failure(f"the list is not worked off within {PULL_SECONDS_MAX} s:\n" + "\n".join(target.log))
            time.sleep(0.02)
        seconds = time.monotonic() - started
        cpu = source.cpu_seconds() - before[0], target.cpu_seconds() - before[1]
        stored = sum(1 for path in block_paths(target.root) if os.path.getsize(path) == size)
        if stored != len(names):
            raise Failure(f"{stored} blocks of {len(names)} are there")
        return {"seconds": seconds, "source": cpu[0], "target": cpu[1], "peak": target.memory()["VmHWM"]}


@scenario("pull")
def pull(bench):
    """A pull list of 1,000 blocks of 1 MiB from one daemon to another, with and without syncing."""
    size = MIB
    count = bench.size(1000, 40)
    with Daemon(bench) as source:
        bench.load(source, "--mode", "put", "--size", size, "--count", count, "--connections", 4)
        names = [os.path.basename(path) for path in block_paths(source.root)]
        if len(names) != count:
            raise Failure(f"{len(names)} blocks were made, not {count}")
        results = bench.interleaved({
            "durable": lambda: pull_once(bench, source, names, size, True),
            "not synced": lambda: pull_once(bench, source, names, size, False),
        })
    for kind, runs in results.items():
        total = size * count
        rates = [total / r["seconds"] / 1e6 for r in runs]
        bench.row(f"pull of {count} blocks of 1 MiB, {kind}",
                  f"{median(rates):.0f} MB/s ({spread(rates)}), target {median(r['target'] for r in runs) / total * GIB:.2f} and "
                  f"source {median(r['source'] for r in runs) / total * GIB:.2f} CPU-s/GiB, target's RSS peak "
                  f"{max(r['peak'] for r in runs) / MIB:.0f} MiB",
                  bench.units_text("recv", "md5", "write_direct" if kind == "durable" else "write_buffered"), "pull")
