"""keepctl clone: a bucket to another one on radosgw, next to other tools; listings; memory."""

import base64
import concurrent.futures
import hashlib
import os
import random
import re
import secrets
import shutil
import threading
import time

from bench.scenarios.clone_rivals import Rivals
from bench.scenarios.commands import measured
from bench.scenarios.listing_stub import ListingStub
from bench.scenarios.registry import Failure, scenario
from bench.scenarios.rows import MIB, median, spread, verdict
from bench.scenarios.s3_server import gateway, s3_client

FAR_SECONDS = 0.020
PAGE_SECONDS = 0.075
# The gateway keeps its objects in memory, so that 8,000 MB twice are out of reach of most machines: the number of
# blocks is that of the task, their size is not.
BLOCKS, MEGABYTES = 7500, 1000
# Connections that fill a bucket.
FILLERS = 8


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
    mean = megabytes * 1_000_000 // blocks
    own = threading.local()

    def put(number):
        if not hasattr(own, "client"):
            own.client = s3_client.S3Client(server.info["endpoint"], server.info["access_key"], server.info["secret_key"])
        source = random.Random(number)
        data = source.randbytes(source.randint(1, 2 * mean))
        name = hashlib.md5(data).hexdigest()
        own.client.put(bucket, name, data)
        own.client.put(bucket, "recent/" + name, b"")

    with concurrent.futures.ThreadPoolExecutor(FILLERS) as pool:
        list(pool.map(put, range(blocks)))
    return bucket


def copied_once(server, rival, source, keys, far=None):
    """One run into a new bucket, which must have all keys afterwards, or the part of them that was copied; with the number of
    requests, if it goes through a proxy."""
    target = make_bucket(server)
    try:
        if far:
            far.forget()
        result = rival(source, target, far.endpoint if far else server.info["endpoint"])
        if far:
            result["requests"] = sum(far.counters()["requests"].values()) * result.get("part", 1)
        found = len(server.client.list(target))
        if found != keys // result.get("part", 1):
            raise Failure(f"{found} keys were copied, of {keys // result.get('part', 1)}")
        return result
    finally:
        remove_bucket(server, target)


def rows_of_rivals(bench, server, source, keys, title, targets, name_of_scenario, far=None):
    rivals = Rivals(bench, server).available()
    results = bench.interleaved({name: lambda rival=rival: copied_once(server, rival, source, keys, far)
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
              "; ".join(parts), name_of_scenario)
    if not far:
        return
    each = {name: median(r["requests"] for r in runs) / blocks for name, runs in results.items()}
    bench.row(f"clone {blocks} blocks: requests", f"{each['keepctl']:.2f} each" + verdict(each["keepctl"] < 2.1, "2 and listings"),
              ", ".join(f"{name} {n:.2f}" for name, n in each.items() if name != "keepctl"), name_of_scenario)


@scenario("keepctl-clone")
def keepctl_clone(bench):
    """A bucket to another one inside radosgw, on loopback: keepctl, a serial loop, rclone, s5cmd."""
    server = gateway(bench)
    blocks, megabytes = bench.size(BLOCKS, 60), bench.size(MEGABYTES, 6)
    source = fill(server, blocks, megabytes)
    rows_of_rivals(bench, server, source, 2 * blocks, f" ({megabytes} MB), loopback",
                   {"serial": (1.3, None), "rclone": (None, 3), "s5cmd": (None, 2)}, "keepctl-clone")
    remove_bucket(server, source)


@scenario("keepctl-clone-far")
def keepctl_clone_far(bench):
    """The same 20 ms away, and the number of requests."""
    server = gateway(bench)
    blocks, megabytes = bench.size(BLOCKS, 60), bench.size(MEGABYTES, 6)
    source = fill(server, blocks, megabytes)
    with server.far_away("delay", seconds=FAR_SECONDS) as far:
        rows_of_rivals(bench, server, source, 2 * blocks, f" ({megabytes} MB), each request {1000 * FAR_SECONDS:.0f} ms later",
                       {"serial": (2.6, None), "rclone": (1.5, None), "s5cmd": (1.0, None)}, "keepctl-clone-far", far)
    remove_bucket(server, source)


def places_of(stub):
    return [f"s3://{bucket}?endpoint={stub.endpoint}&region=us-east-1&path-style=1" for bucket in ("one", "two")]


def clone_of_equals(bench, stub):
    """One run between two buckets of a stub that list the same."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "ARVADOS_"))}
    state = os.path.join(bench.folder, "clone-of-equals")
    env |= {"AWS_ACCESS_KEY_ID": "stub", "AWS_SECRET_ACCESS_KEY": "stub", "STATE_DIRECTORY": state}
    try:
        return measured([bench.tool("keepctl"), "clone", "-q", "--plain", "--error-on-no-change", *places_of(stub)], env, codes=(9,))
    finally:
        shutil.rmtree(state, ignore_errors=True)


def pages_in_sequence(stub):
    """Seconds of the listings of blocks and markers of both buckets, page after page, of which nothing is made."""
    started = time.monotonic()
    client = s3_client.S3Client(stub.endpoint, "stub", "stub")
    for bucket in "one", "two":
        query = {"list-type": "2", "max-keys": "1000"}
        while True:
            after = re.search(rb"<NextContinuationToken>([^<]*)<", client.succeed("GET", bucket, query=query).body)
            if not after:
                break
            query["continuation-token"] = after.group(1).decode()
    client.close()
    return {"seconds": time.monotonic() - started}


@scenario("keepctl-clone-nothing")
def keepctl_clone_nothing(bench):
    """Both buckets, of a stub that only lists, have the same 100,000 blocks; pages come 75 ms late."""
    blocks = bench.size(100_000, 1_200)
    with ListingStub(blocks, PAGE_SECONDS) as stub:
        results = bench.interleaved({"keepctl": lambda: clone_of_equals(bench, stub), "sequence": lambda: pages_in_sequence(stub)})
    ours, theirs = (median(r["seconds"] for r in results[name]) for name in ("keepctl", "sequence"))
    bench.row(f"clone {blocks} blocks: nothing to do, pages {1000 * PAGE_SECONDS:.0f} ms late",
              f"{ours:.2f} s ({spread(r['seconds'] for r in results['keepctl'])}), "
              f"{median(r['cpu'] for r in results['keepctl']):.2f} CPU-s",
              f"pages in sequence {theirs:.2f} s: {theirs / ours:.1f} times as long" + verdict(theirs >= 6 * ours, "at least 6"),
              "keepctl-clone-nothing")


@scenario("keepctl-clone-memory")
def keepctl_clone_memory(bench):
    """Peak memory of a clone with nothing to do, of 100,000 and of 1,000,000 blocks that a stub lists."""
    peaks = {}
    for count in (bench.size(100_000, 10_000), bench.size(1_000_000, 30_000)):
        with ListingStub(count) as stub:
            peaks[count] = clone_of_equals(bench, stub)["peak"]
    few, many = peaks
    grown = (peaks[many] - peaks[few]) / MIB
    bench.row(f"clone: peak memory at {many} blocks", f"{peaks[many] / MIB:.0f} MiB" + verdict(peaks[many] <= 160 * MIB, "at most 160 MiB"),
              f"at {few} blocks {peaks[few] / MIB:.0f} MiB: {grown:+.1f} MiB" + verdict(grown < 8, "below 8 MiB"),
              "keepctl-clone-memory")
