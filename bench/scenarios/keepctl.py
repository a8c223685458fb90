"""The operator's tool: its start, and the comparison of two indexes."""

import os

from bench.scenarios.commands import measured
from bench.scenarios.index_server import IndexServer
from bench.scenarios.registry import scenario
from bench.scenarios.rows import MIB, median, ratio, spread, verdict

HELP_MS_MAX = 20
HELP_MIB_MAX = 20
COMPARE_RATIO_MAX = 1.5
COMPARE_GROWTH_MIB_MAX = 8


@scenario("keepctl-help")
def keepctl_help(bench):
    """keepctl --help, as a shell's completion starts it."""
    times = bench.size(40, 5)
    runs = [measured([bench.tool("keepctl"), "--help"]) for _ in range(times)]
    base = [measured(["/bin/true"]) for _ in range(times)]
    milliseconds = median(r["seconds"] for r in runs) * 1000
    peak = max(r["peak"] for r in runs) / MIB
    met = milliseconds <= HELP_MS_MAX and peak <= HELP_MIB_MAX
    bench.row("keepctl --help", f"{milliseconds:.1f} ms ({spread(r['seconds'] * 1000 for r in runs)}), "
              f"{median(r['cpu'] for r in runs) * 1000:.1f} ms CPU, resident peak {peak:.1f} MiB",
              f"/bin/true {median(r['seconds'] for r in base) * 1000:.1f} ms"
              + verdict(met, f"at most {HELP_MS_MAX} ms and {HELP_MIB_MAX} MiB"), "keepctl-help")


def compare_once(bench, count, rounds):
    """{what: [run]} for two servers with this many blocks, of which 0.1 % are missing in the second one; and the peak of compare."""
    empty = os.path.join(bench.folder, "empty")
    os.makedirs(empty, exist_ok=True)
    with IndexServer(count) as a, IndexServer(count, skip=1000) as b:
        commands = {"compare": [bench.tool("keepctl"), "compare", f"keep:{a.url}", f"keep:{b.url}"],
                    "alone": [bench.tool("keepctl"), "compare", f"keep:{a.url}", f"dir:{empty}"],
                    "fetch": ["curl", "-sf", "-o", "/dev/null", f"{a.url}/index"]}
        results = {what: [] for what in commands}
        for number in range(rounds):
            for what, command in commands.items():
                run = measured(command, codes=(0,) if what == "fetch" else (1,))
                if number > 0 or rounds == 1:
                    results[what].append(run)
        return results, max(r["peak"] for r in results["compare"])


@scenario("keepctl-compare")
def keepctl_compare(bench):
    """keepctl compare of two servers that send their indexes as fast as the network takes them."""
    small, large = bench.size(100_000, 5_000), bench.size(1_000_000, 50_000)
    peaks = {}
    for count in (small, large):
        runs, peak = compare_once(bench, count, bench.rounds)
        seconds = {what: median(r["seconds"] for r in found) for what, found in runs.items()}
        peaks[count] = peak / MIB
        cpu = median(r["cpu"] for r in runs["compare"])
        bench.row(f"keepctl compare, 2 x {count:,} blocks",
                  f"{seconds['compare']:.2f} s ({spread(r['seconds'] for r in runs['compare'])}), "
                  f"{cpu / count / 2 * 1e9:.0f} ns CPU an entry, resident peak {peaks[count]:.1f} MiB",
                  f"{ratio(seconds['compare'], seconds['alone'])} x the index of one of them alone, {seconds['alone']:.2f} s"
                  + verdict(seconds["compare"] <= COMPARE_RATIO_MAX * seconds["alone"], f"at most {COMPARE_RATIO_MAX}")
                  + f"; curl of its index {seconds['fetch']:.2f} s", "keepctl-compare")
    growth = peaks[large] - peaks[small]
    bench.row("  memory", f"{growth:+.1f} MiB for {large // small} times as many blocks",
              verdict(growth < COMPARE_GROWTH_MIB_MAX, f"less than {COMPARE_GROWTH_MIB_MAX} MiB").strip(), "keepctl-compare")
