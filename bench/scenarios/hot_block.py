"""Many clients that store the same block, as container images and empty files are."""

import os
import threading

from bench.scenarios.registry import scenario
from bench.scenarios.rows import failures_text, group_of, median, ratio, spread, verdict
from bench.scenarios.servers import Daemon

FSYNC_MS = 10


@scenario("hot-block")
def hot_block(bench):
    """Re-PUT of one 2 KB block by 64 clients against 64 blocks, on a disk whose fsync takes 10 ms; another client's PUTs."""
    shim = os.path.join(bench.options.build, "bench", "libkeepstore_slow_fsync.so")
    environment = {"LD_PRELOAD": shim, "SLOW_FSYNC_MS": str(FSYNC_MS)}
    timing = ("--seconds", bench.seconds(5), "--warmup", bench.warmup())

    def reput(daemon, blocks, clients):
        return bench.load(daemon, "--mode", "reput", "--preload", blocks, "--size", 2000, "--connections", clients, *timing)

    def with_other(daemon, blocks):
        """The load, and one client that stores a block of its own meanwhile."""
        other = []
        client = threading.Thread(target=lambda: other.append(reput(daemon, 1, 1)))
        client.start()
        load = reput(daemon, blocks, 64)
        client.join()
        return load, other[0]

    with Daemon(bench, sync=True, environment=environment) as daemon:
        results = bench.interleaved({
            "one": lambda: with_other(daemon, 1),
            "many": lambda: with_other(daemon, 64),
            "alone": lambda: reput(daemon, 1, 1),
        })
    rates = {name: [group_of(load, "put")["ops_per_s"] for load, _ in results[name]] for name in ("one", "many")}
    p50 = {name: median(group_of(r, "put")["latency"]["p50_ms"] for r in runs)
           for name, runs in (("one", [other for _, other in results["one"]]),
                              ("many", [other for _, other in results["many"]]), ("alone", results["alone"]))}
    share = median(rates["one"]) / median(rates["many"]) if median(rates["many"]) else 0
    bench.row("re-PUT of one block, c=64",
              f"{median(rates['one']):.0f} op/s ({spread(rates['one'])})"
              + failures_text([load for load, _ in results["one"]], "put"),
              f"{share:.2f} x 64 blocks' {median(rates['many']):.0f}/s" + verdict(share >= 0.8, "at least 0.8"), "hot-block")
    bench.row("  another client's PUT meanwhile",
              f"p50 {p50['one']:.1f} ms, next to 64 blocks {p50['many']:.1f} ms"
              + failures_text([other for _, other in results["one"]], "put"),
              f"{ratio(p50['one'], p50['alone'])} x alone {p50['alone']:.1f} ms"
              + verdict(p50["one"] <= 1.5 * p50["alone"], "at most 1.5"), "hot-block")
