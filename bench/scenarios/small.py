"""Small blocks, alone and together with large ones."""

import os

from bench.scenarios.registry import scenario
from bench.scenarios.rows import (failures_text, group_of, lane_counters, lanes_between, lanes_text, median, peak_mib, ratio,
                                  small_row, spread, window)
from bench.scenarios.servers import Daemon


@scenario("small")
def small(bench):
    """GET and PUT of 4 KiB blocks, sync off, c = 16."""
    locators = os.path.join(bench.folder, "small.locators")
    with Daemon(bench) as daemon:
        bench.load(daemon, "--mode", "put", "--size", "4k", "--count", bench.size(10000, 1000),
                   "--save-locators", locators)
        common = ("--connections", 16, "--seconds", bench.seconds(5), "--warmup", bench.warmup())
        results = bench.interleaved({
            "get": lambda: bench.load(daemon, "--mode", "get", "--locators", locators, *common),
            "put": lambda: bench.load(daemon, "--mode", "put", "--size", "4k", *common),
        })
    small_row(bench, "small", "GET 4 KiB, c=16", results["get"], "get")
    small_row(bench, "small", "PUT 4 KiB, sync off, c=16", results["put"], "put")


@scenario("small-durable")
def small_durable(bench):
    """Durable PUT of 64 KiB blocks, c = 16, against a plain loop of 16 threads that does the same."""
    with Daemon(bench, sync=True) as daemon:
        loop = []

        def plain():
            bench.units.pop("create_durable", None)
            loop.append(bench.unit("create_durable")["ops_per_s"])
            return loop[-1]

        results = bench.interleaved({
            "put": lambda: bench.load(daemon, "--mode", "put", "--size", "64k", "--connections", 16,
                                      "--seconds", bench.seconds(5), "--warmup", bench.warmup()),
            "loop": plain,
        })
    rate = median(group_of(r, "put")["ops_per_s"] for r in results["put"])
    base = median(results["loop"])
    small_row(bench, "small-durable", "PUT 64 KiB durable, c=16", results["put"], "put",
              f"{ratio(rate, base)} x plain loop's {base:.0f}/s ({bench.unit('create_synced')['ops_per_s']:.0f}/s "
              "without folder fsync)")


# Most operations are small, most bytes are in large ones: as in a store that holds both.
MIX = "4k:16,64k:8,1m:4,16m:2,64m:1"


@scenario("mixed")
def mixed(bench):
    """GET and durable PUT of 4 KiB to 64 MiB at c = 64: latency by size, how full the lanes are."""
    lanes = []

    def one():
        locators = os.path.join(bench.folder, "mixed.locators")
        # A volume for each run: the disk does not fill up.
        with Daemon(bench, sync=True) as daemon:
            bench.load(daemon, "--mode", "put", "--size", MIX, "--count", bench.size(400, 60), "--connections", 16,
                       "--save-locators", locators)
            bench.load(daemon, "--mode", "get", "--locators", locators, "--count", bench.size(400, 60))
            before = lane_counters(daemon)
            result = bench.load(daemon, "--mode", "mixed", "--size", MIX, "--locators", locators, "--connections", 64,
                                "--seconds", bench.seconds(10), "--warmup", bench.warmup())
            after = lane_counters(daemon)
            lanes.append(lanes_between(before, after))
        return result

    runs = bench.interleaved({"mixed": one})["mixed"]
    lanes = lanes[-len(runs):]
    cpu = [window(r)["server"]["cpu_s_per_gib"] for r in runs]
    rate = median(sum(group_of(r, g)["mb_per_s"] for g in ("get", "put")) for r in runs)
    bench.row("mixed 4 KiB..64 MiB, c=64",
              f"{rate:.0f} MB/s both ways, {median(cpu):.3f} CPU-s/GiB ({spread(cpu)}), "
              f"{lanes_text(lanes)}, RSS {peak_mib(runs):.0f} MiB"
              + failures_text(runs, "get") + failures_text(runs, "put"),
              bench.units_text("md5", "pread", "recv", "send", "write_direct"), "mixed")
    for group in ("get", "put"):
        for size in ("<=4k", "<=64k", "<=1m", "<=16m", ">16m"):
            parts = [group_of(r, group).get("by_size", {}).get(size) for r in runs]
            parts = [p for p in parts if p]
            if not parts:
                bench.row(f"  {group.upper()} {size}", "none ended in the window", "", "mixed")
                continue
            p50, p99 = (median(p[key] for p in parts) for key in ("p50_ms", "p99_ms"))
            # Starvation would show as a few operations that take many times what the others do.
            bench.row(f"  {group.upper()} {size}",
                      f"{sum(p['ok'] for p in parts)} ok, p50 {p50:.2f} p99 {p99:.2f} max "
                      f"{max(p['max_ms'] for p in parts):.2f} ms", f"p99 is {ratio(p99, p50)} x p50", "mixed")
