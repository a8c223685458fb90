"""Azure and S3 volumes of the daemon on the same service, which is in memory and not the limit."""

import base64
import os

from bench.scenarios.registry import Failure, scenario
from bench.scenarios.rows import failures_text, group_of, median, spread, verdict, window
from bench.scenarios.servers import Daemon
from bench.scenarios.stub_process import StubProcess

LARGE = "64m"
# What the daemon may cost with an Azure volume, of what it costs with an S3 volume.
RATIO_MAX = 1.1


def azure_volume(stub):
    return {"Driver": "Azure", "DriverParameters": {
        "Endpoint": stub.url + "/account", "StorageAccountName": "account", "ContainerName": "keep",
        "StorageAccountKey": base64.b64encode(b"the key of the bench").decode()}}


def s3_volume(stub):
    return {"Driver": "S3", "DriverParameters": {
        "Endpoint": stub.url, "Region": "us-east-1", "Bucket": "keep", "UsePathStyle": True,
        "AccessKeyID": "id", "SecretAccessKey": "the key of the bench"}}


@scenario("azure")
def azure(bench):
    """GET and PUT of 64 MiB and 64 KiB blocks on a service in memory, as Azure and as S3: CPU of the daemon, requests."""
    sizes = {bench.size(LARGE, "16m"): (bench.size(16, 4), (1, 4, 16)), "64k": (bench.size(3000, 100), (1, 4, 16))}
    with StubProcess(bench, "keepstore_object_stub") as stub, Daemon(bench, volume=azure_volume(stub)) as one, \
            Daemon(bench, volume=s3_volume(stub)) as other:
        daemons = {"Azure": one, "S3": other}
        for size, (count, connections) in sizes.items():
            files = {}
            for name, daemon in daemons.items():
                files[name] = os.path.join(bench.folder, f"azure-{name}-{size}.locators")
                stored = bench.load(daemon, "--mode", "put", "--size", size, "--count", min(count, 100), "--connections", 4,
                                    "--save-locators", files[name])
                checked = bench.load(daemon, "--mode", "get", "--locators", files[name], "--connections", 4, "--count", 4,
                                     "--body", "verify")
                if group_of(stored, "put")["failed"] or group_of(checked, "get")["failed"]:
                    raise Failure("blocks cannot be written and read" + failures_text([stored], "put")
                                  + failures_text([checked], "get"))
            modes = {"get": lambda name: ("--mode", "get", "--locators", files[name]),
                     "put": lambda name, size=size: ("--mode", "put", "--size", size)}
            for group, mode in modes.items():
                for c in connections:
                    def run(name, c=c, mode=mode, count=count):
                        daemon = daemons[name]
                        before = daemon.metric("arvados_keepstore_volume_operations")
                        result = bench.load(daemon, *mode(name), "--connections", c, "--count", count, "--time-limit", 120)
                        result["requests"] = daemon.metric("arvados_keepstore_volume_operations") - before
                        return result
                    results = bench.interleaved({name: lambda name=name: run(name) for name in daemons})
                    add_row(bench, group, size, c, results)


def add_row(bench, group, size, c, results):
    what = "cpu_us_per_op" if size == "64k" else "cpu_s_per_gib"
    unit = "us CPU" if size == "64k" else "CPU-s/GiB"
    texts, costs = {}, {}
    for name, runs in results.items():
        good = [group_of(r, group) for r in runs]
        if not all(g["ok"] for g in good):
            raise Failure("none succeeded" + failures_text(runs, group))
        cpu = [window(r)["server"][what] for r in runs]
        costs[name] = median(cpu)
        rate = (f"{median(g['ops_per_s'] for g in good):.0f} op/s" if size == "64k"
                else f"{median(g['mb_per_s'] for g in good):.0f} MB/s")
        texts[name] = (f"{rate}, {costs[name]:.3g} {unit} ({spread(cpu)}), "
                       f"{median(r['requests'] / g['ok'] for r, g in zip(runs, good)):.2f} requests each"
                       + failures_text(runs, group))
    ratio = costs["Azure"] / costs["S3"] if costs["S3"] else 0
    bench.row(f"Azure: {group.upper()} {size}, c={c}", texts["Azure"],
              f"S3 {texts['S3']}; {ratio:.2f} of it" + verdict(ratio <= RATIO_MAX, f"at most {RATIO_MAX}"), "azure")
