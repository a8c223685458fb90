"""keepctl clone: a bucket to another one on radosgw, next to other tools; listings; memory."""

import base64
import hashlib
import os
import random
import secrets
import shutil

from bench.scenarios.clone_rivals import Rivals
from bench.scenarios.commands import measured
from bench.scenarios.listing_stub import ListingStub
from bench.scenarios.registry import Failure, scenario
from bench.scenarios.rows import MIB, median, spread, verdict
from bench.scenarios.s3_server import gateway

FAR_SECONDS = 0.020
PAGE_SECONDS = 0.075
# The gateway keeps its objects in memory, so that 8,000 MB twice are out of reach of most machines: the number of
# blocks is that of the task, their size is not.
BLOCKS, MEGABYTES = 7500, 1000


def make_bucket(server, prefix="clone"):
    bucket = f"{prefix}-{secrets.token_hex(4)}"
    server.client.make_bucket(bucket)
    return bucket


def remove_bucket(server, bucket):
    """A thousand keys a request: one after the other takes longer than what is measured."""
    keys = list(server.client.list(bucket))
    for i in range(0, len(keys), 1000):
        body = ("<Delete><Quiet>true</Quiet>" + "".join(f"<Object><Key>{k}</Key></Object>" for k in keys[i:i + 1000])
                + "</Delete>").encode()
        server.client.succeed("POST", bucket, query={"delete": ""}, body=body,
                              headers={"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()})
    server.client.succeed("DELETE", bucket)


def fill(server, blocks, megabytes):
    """A bucket of blocks of random sizes, with their markers."""
    bucket = make_bucket(server)
    source = random.Random(1)
    mean = megabytes * 1_000_000 // blocks
    for _ in range(blocks):
        data = source.randbytes(source.randint(1, 2 * mean))
        name = hashlib.md5(data).hexdigest()
        server.client.put(bucket, name, data)
        server.client.put(bucket, "recent/" + name, b"")
    return bucket


def copied_once(server, rival, source, endpoint, keys):
    """One run into a new bucket, which must have all keys afterwards."""
    target = make_bucket(server)
    try:
        result = rival(source, target, endpoint)
        found = len(server.client.list(target))
        if found != keys:
            raise Failure(f"{found} keys were copied, of {keys}")
        return result
    finally:
        remove_bucket(server, target)


def rows_of_rivals(bench, server, source, keys, title, endpoint, targets):
    rivals = Rivals(bench, server).available()
    results = bench.interleaved({name: lambda rival=rival: copied_once(server, rival, source, endpoint, keys)
                                 for name, rival in rivals.items()})
    ours = median(r["seconds"] for r in results["keepctl"])
    cpu = median(r["cpu"] for r in results["keepctl"])
    blocks = keys // 2
    parts = []
    for name, runs in results.items():
        if name == "keepctl":
            continue
        seconds, their_cpu = median(r["seconds"] for r in runs), median(r["cpu"] for r in runs)
        faster, lighter = targets.get(name, (None, None))
        parts.append(f"{name} {seconds:.1f} s, {seconds / ours:.1f} times as long"
                     + (verdict(seconds >= faster * ours, f"at least {faster}") if faster else "")
                     + f", {1000 * their_cpu / blocks:.2f} CPU-s per 1,000"
                     + (verdict(their_cpu >= lighter * cpu, f"at least {lighter} times ours") if lighter else ""))
    bench.row(f"clone {blocks} blocks{title}",
              f"{ours:.1f} s ({spread(r['seconds'] for r in results['keepctl'])}), {1000 * cpu / blocks:.2f} CPU-s per 1,000 blocks",
              "; ".join(parts), "keepctl-clone")


@scenario("keepctl-clone")
def keepctl_clone(bench):
    """A bucket to another one inside radosgw, on loopback and 20 ms away: keepctl, a serial loop, rclone, s5cmd."""
    server = gateway(bench)
    blocks, megabytes = bench.size(BLOCKS, 60), bench.size(MEGABYTES, 6)
    source = fill(server, blocks, megabytes)
    keys = 2 * blocks
    rows_of_rivals(bench, server, source, keys, f" ({megabytes} MB), loopback", server.info["endpoint"],
                   {"serial": (1.3, None), "rclone": (None, 3), "s5cmd": (None, 2)})
    with server.far_away("delay", seconds=FAR_SECONDS) as far:
        rows_of_rivals(bench, server, source, keys, f" ({megabytes} MB), each request {1000 * FAR_SECONDS:.0f} ms later",
                       far.endpoint, {"serial": (2.6, None), "rclone": (1.5, None), "s5cmd": (1.0, None)})
        counts = {}
        for name, rival in Rivals(bench, server).available().items():
            if name == "serial":
                continue
            far.forget()
            copied_once(server, rival, source, far.endpoint, keys)
            counts[name] = sum(far.counters()["requests"].values()) / blocks
    bench.row(f"clone {blocks} blocks: requests", f"{counts['keepctl']:.2f} each" + verdict(counts["keepctl"] < 2.1, "2 and listings"),
              ", ".join(f"{name} {n:.2f}" for name, n in counts.items() if name != "keepctl"), "keepctl-clone")
    remove_bucket(server, source)


@scenario("keepctl-clone-nothing")
def keepctl_clone_nothing(bench):
    """Both buckets have the same 100,000 blocks, pages come 75 ms late: keepctl, and the four listings in sequence."""
    server = gateway(bench)
    blocks = bench.size(100_000, 1_200)
    first = server.bucket
    server.new_bucket()
    source, target = server.bucket, make_bucket(server)
    rivals = Rivals(bench, server)
    for i in range(blocks):
        name = hashlib.md5(str(i).encode()).hexdigest()
        server.client.put(source, name, str(i).encode())
        server.client.put(source, "recent/" + name, b"")
    rivals.keepctl(source, target, server.info["endpoint"])

    def in_sequence():
        seconds = 0
        for bucket in source, target:
            server.bucket = bucket
            seconds += server.list_in_sequence(far.endpoint)[0]
        return {"seconds": seconds}

    with server.far_away("delay", operation="list", seconds=PAGE_SECONDS) as far:
        results = bench.interleaved({"keepctl": lambda: rivals.keepctl(source, target, far.endpoint), "sequence": in_sequence})
    ours, theirs = (median(r["seconds"] for r in results[name]) for name in ("keepctl", "sequence"))
    bench.row(f"clone {blocks} blocks: nothing to do, pages {1000 * PAGE_SECONDS:.0f} ms late",
              f"{ours:.2f} s ({spread(r['seconds'] for r in results['keepctl'])}), "
              f"{median(r['cpu'] for r in results['keepctl']):.2f} CPU-s",
              f"pages in sequence {theirs:.2f} s: {theirs / ours:.1f} times as long" + verdict(theirs >= 6 * ours, "at least 6"),
              "keepctl-clone-nothing")
    for bucket in source, target:
        remove_bucket(server, bucket)
    server.bucket = first


@scenario("keepctl-clone-memory")
def keepctl_clone_memory(bench):
    """Peak memory of a clone with nothing to do, of 100,000 and of 1,000,000 blocks that a stub lists."""
    peaks = {}
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "ARVADOS_"))}
    env |= {"AWS_ACCESS_KEY_ID": "stub", "AWS_SECRET_ACCESS_KEY": "stub"}
    for count in (bench.size(100_000, 10_000), bench.size(1_000_000, 30_000)):
        state = os.path.join(bench.folder, "clone-memory")
        with ListingStub(count) as stub:
            places = [f"s3://{b}?endpoint={stub.endpoint}&region=us-east-1&path-style=1" for b in ("one", "two")]
            command = [bench.tool("keepctl"), "clone", "-q", "--plain", "--error-on-no-change", *places]
            peaks[count] = measured(command, env | {"STATE_DIRECTORY": state}, codes=(9,))["peak"]
        shutil.rmtree(state, ignore_errors=True)
    few, many = peaks
    grown = (peaks[many] - peaks[few]) / MIB
    bench.row(f"clone: peak memory at {many} blocks", f"{peaks[many] / MIB:.0f} MiB" + verdict(peaks[many] <= 160 * MIB, "at most 160 MiB"),
              f"at {few} blocks {peaks[few] / MIB:.0f} MiB: {grown:+.1f} MiB" + verdict(grown < 8, "below 8 MiB"),
              "keepctl-clone-memory")
