"""From the tools' JSON to rows of the table."""

import collections
import statistics

MIB = 1 << 20
GIB = 1 << 30


def window(result, which=-1):
    return result["windows"][which]


def group_of(result, name, which=-1):
    empty = {"ok": 0, "failed": 0, "failures": {}, "ops_per_s": 0, "mb_per_s": 0, "body_bytes": 0,
             "latency": {"p50_ms": 0, "p99_ms": 0, "max_ms": 0}, "first_byte": {"p50_ms": 0, "p99_ms": 0}}
    return window(result, which).get("groups", {}).get(name, empty)


def median(values):
    return statistics.median(list(values))


def spread(values):
    values = list(values)
    return f"{min(values):.3g}..{max(values):.3g}"


def failures_text(results, group):
    sums = collections.Counter()
    for r in results:
        sums.update(group_of(r, group)["failures"])
    return "" if not sums else "; FAILED " + ", ".join(f"{n} x {cause}" for cause, n in sums.items())


def ratio(value, base):
    return f"{value / base:.2f}" if base else "n/a"


def peak_mib(results):
    return max(window(r)["server"]["rss_peak_bytes"] for r in results) / MIB


def lane_counters(daemon):
    return {name: daemon.metric(f"keepstore_digest_{name}_total")
            for name in ("bytes", "single_bytes", "passes", "lanes_used")}


def lanes_between(before, after):
    return {name: after[name] - before[name] for name in after}


def lanes_text(runs):
    occupancy = [n["lanes_used"] / n["passes"] if n["passes"] else 0 for n in runs]
    alone = [n["single_bytes"] / n["bytes"] if n["bytes"] else 0 for n in runs]
    return (f"{median(occupancy):.1f} lanes a pass ({spread(occupancy)}), "
            f"{100 * median(alone):.0f}% of the bytes hashed alone")


def bulk_row(bench, name, title, results, group, steps, extra=""):
    """A row for large blocks: CPU per byte against the sum of the mandatory steps."""
    cpu = [window(r)["server"]["cpu_s_per_gib"] for r in results]
    rate = median(group_of(r, group)["mb_per_s"] for r in results)
    latency = [group_of(r, group)["latency"] for r in results]
    floor = sum(bench.unit(s)["cpu_s_per_gib"] for s in steps if bench.unit(s))
    bench.figure(title, mb_per_s=rate, md5_mb_per_s=bench.unit("md5")["mb_per_s"] if "md5" in steps else None,
                 cpu_s_per_gib=median(cpu), steps_cpu_s_per_gib=floor or None)
    bench.row(title,
              f"{rate:.0f} MB/s, {median(cpu):.3f} CPU-s/GiB ({spread(cpu)}), p50 {median(l['p50_ms'] for l in latency):.0f} "
              f"p99 {median(l['p99_ms'] for l in latency):.0f} ms, RSS {peak_mib(results):.0f} MiB"
              + failures_text(results, group),
              f"{ratio(median(cpu), floor)} x ({' + '.join(steps)} = {floor:.3f} CPU-s/GiB){extra}", name)


def small_row(bench, name, title, results, group, compared=""):
    rate = [group_of(r, group)["ops_per_s"] for r in results]
    cpu = median(window(r)["server"]["cpu_us_per_op"] for r in results)
    latency = [group_of(r, group)["latency"] for r in results]
    bench.row(title,
              f"{median(rate):.0f} op/s ({spread(rate)}), {cpu:.0f} us CPU/op, p50 {median(l['p50_ms'] for l in latency):.2f} "
              f"p99 {median(l['p99_ms'] for l in latency):.2f} ms" + failures_text(results, group), compared, name)


def kernel_text(result):
    w = window(result)
    return f"kernel {w['tcp_memory_peak_bytes'] / MIB:.0f} MiB for {w['tcp_sockets_peak']} sockets of both sides"


def verdict(met, target):
    return f" ({target}: {'met' if met else 'MISSED'})"
