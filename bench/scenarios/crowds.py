"""Many connections: slow, idle, hostile."""

from bench.scenarios.registry import scenario
from bench.scenarios.rows import MIB, failures_text, group_of, kernel_text, peak_mib, ratio, verdict, window
from bench.scenarios.servers import Daemon
from bench.scenarios.slow_disk import SlowDisk


RSS_MIB_MAX = 512


def crowd_row(bench, name, title, result, group, wanted):
    g = group_of(result, group)
    server = window(result)["server"]
    bench.figure(title, rss_mib=server["rss_peak_bytes"] / MIB, rss_mib_max=RSS_MIB_MAX)
    bench.row(title,
              f"{g['ok']} of {wanted} served in {window(result)['seconds']:.0f} s, RSS peak "
              f"{server['rss_peak_bytes'] / MIB:.0f} MiB (anonymous {server['rss_anon_peak_bytes'] / MIB:.0f}), "
              f"{server['cpu_s_per_gib']:.2f} CPU-s/GiB" + failures_text([result], group),
              "all served, below 512 MiB", name)


@scenario("slow-readers")
def slow_readers(bench):
    """1000 clients that each read a 64 MiB block at 2 MB/s."""
    n = bench.size(1000, 50)
    size = bench.size("64m", "4m")
    with Daemon(bench) as daemon:
        result = bench.load(daemon, "--mode", "get", "--size", size, "--preload", bench.size(16, 4), "--warm-reads",
                            "--connections", n, "--count", n, "--rate", 2000000, "--time-limit", 280, limit=360)
    crowd_row(bench, "slow-readers", f"{n} readers of {size} at 2 MB/s", result, "get", n)


@scenario("slow-writers")
def slow_writers(bench):
    """1000 clients that each write an 8 MiB block at 0.5 MB/s, sync off and durable."""
    n = bench.size(1000, 50)
    size = bench.size("8m", "512k")
    for mode, sync in (("sync off", False), ("durable", True)):
        with Daemon(bench, sync=sync) as daemon:
            result = bench.load(daemon, "--mode", "put", "--size", size, "--connections", n, "--count", n,
                                "--rate", 500000, "--time-limit", 200, limit=280)
        crowd_row(bench, "slow-writers", f"{n} writers of {size} at 0.5 MB/s, {mode}", result, "put", n)


@scenario("slow-disk-writers")
def slow_disk_writers(bench):
    """1000 clients that each write an 8 MiB block durably at 0.5 MB/s, to disks of 60, 200 and 1000 MB/s."""
    n = bench.size(1000, 50)
    size, size_bytes = bench.size(("8m", 8 * MIB), ("512k", MIB // 2))
    for rate in (60, 200, 1000):
        disk_bytes = n * size_bytes * 5 // 4 + 1024 * MIB
        with SlowDisk(bench, disk_bytes, rate * 1_000_000) as disk, Daemon(bench, sync=True, root=disk.root) as daemon:
            disk.throttle(daemon.process.pid)
            result = bench.load(daemon, "--mode", "put", "--size", size, "--connections", n, "--count", n,
                                "--rate", 500000, "--time-limit", 280, limit=360)
        crowd_row(bench, "slow-disk-writers", f"{n} writers of {size} at 0.5 MB/s, disk of {rate} MB/s", result, "put", n)


@scenario("attackers")
def attackers(bench):
    """300 connections at 1 byte/s in addition to 16 good clients: readers, writers and both; the good ones' p99."""
    n = bench.size(300, 30)
    crowds = {"readers": ("--slow-readers", n), "writers": ("--slow-writers", n),
              "both, and slow heads": ("--slow-readers", n // 3, "--slow-writers", n // 3, "--slow-headers", n // 3)}
    if bench.quick:
        crowds = {title: crowd for title, crowd in crowds.items() if title.startswith("both")}
    for title, crowd in crowds.items():
        for mode in ("get", "put"):
            with Daemon(bench) as daemon:
                result = bench.load(daemon, "--mode", mode, "--size", "1m", "--preload", 32, "--connections", 16,
                                    "--seconds", bench.seconds(8), "--warmup", 1 if not bench.quick else 0.3,
                                    "--settle", bench.size(5, 0.5), "--slow-rate", 1, "--compare-alone", *crowd)
            alone, attacked = (group_of(result, mode, i)["latency"]["p99_ms"] for i in (0, 1))
            g = group_of(result, mode)
            bench.row(f"{mode.upper()} 1 MiB, {n} 1 B/s {title}",
                      f"{g['ok']} ok, {g['failed']} failed, p99 {attacked:.1f} ms, RSS peak {peak_mib([result]):.0f} MiB"
                      + failures_text([result], mode),
                      f"{ratio(attacked, alone)} x p99 alone ({alone:.1f} ms)", "attackers")


# What the daemon does by itself: its own defaults instead of those of the other scenarios.
DEFAULTS = {"API": {"MaxConcurrentRequests": 64, "MaxKeepBlobBuffers": 128}}
READER_RATE = 64 * 1024


def memory_text(bench, title, result):
    server = window(result)["server"]
    peak = server["rss_peak_bytes"] / MIB
    bench.figure(title, rss_mib=peak, rss_mib_max=RSS_MIB_MAX)
    return f"RSS peak {peak:.0f} MiB (anonymous {server['rss_anon_peak_bytes'] / MIB:.0f})", peak < RSS_MIB_MAX


@scenario("slow-readers-10k")
def slow_readers_10k(bench):
    """10,000 readers of 64 MiB blocks at 64 KiB/s each; the same after none of them has read for a while."""
    n = bench.size(10000, 200)
    size = bench.size("64m", "4m")
    hold = bench.size(8, 1)
    for title, pause in (("", 0), (f", after {hold} s without reading", hold)):
        # Each variant on its own daemon: memory that one took would be the other's peak.
        with Daemon(bench, extra=DEFAULTS) as daemon:
            # Everybody has begun, and has begun to read, when the window does.
            # A reader holds one of the 64 places until it has shown to be slow, a tenth of a second on average.
            ramp = bench.size(30, 0.6)
            result = bench.load(daemon, "--mode", "get", "--size", size, "--preload", bench.size(32, 4), "--warm-reads",
                                "--connections", n, "--rate", READER_RATE, "--ramp", ramp, "--hold", pause,
                                "--warmup", ramp + bench.size(10, 0.3) + pause, "--seconds", bench.size(30, 1), "--body", "verify",
                                limit=400)
        clients = result["clients"]
        memory, small = memory_text(bench, f"{n} readers of {size} at 64 KiB/s{title}", result)
        fair = clients["bytes_per_s_p1"] >= 0.9 * READER_RATE and clients["without_bytes"] == 0
        failed = group_of(result, "get")["failed"]
        bench.row(f"{n} readers of {size} at 64 KiB/s{title}",
                  f"{n - clients['without_bytes']} read in the window, at least "
                  f"{clients['bytes_per_s_min'] / 1024:.0f} KiB/s, 1% {clients['bytes_per_s_p1'] / 1024:.0f}, half "
                  f"{clients['bytes_per_s_p50'] / 1024:.0f}; "
                  f"{memory}, {kernel_text(result)}, {window(result)['server']['descriptors_peak']} descriptors, "
                  f"{window(result)['server']['cpu_s_per_gib']:.2f} CPU-s/GiB" + failures_text([result], "get"),
                  f"99% at 0.9 of the rate, no failure{verdict(fair and failed == 0, 'all')}; RSS"
                  + verdict(small, "below 512 MiB") + "; " + bench.units_text("md5", "pread", "send"),
                  "slow-readers-10k")


@scenario("idle-10k")
def idle_10k(bench):
    """10,000 idle keep-alive connections after one 4 KiB GET each."""
    n = bench.size(10000, 200)
    with Daemon(bench, extra=DEFAULTS) as daemon:
        ramp = bench.size(10, 0.3)
        result = bench.load(daemon, "--mode", "get", "--size", "4k", "--preload", 16, "--connections", 1,
                            "--rate", 4096, "--idle", n, "--ramp", ramp, "--settle", 2 * ramp, "--seconds", bench.size(10, 1))
        memory, small = memory_text(bench, f"{n} idle connections", result)
    left = result["open_at_end"]["idle"]
    bench.row(f"{n} idle connections",
              f"{left} open at the end, {memory}, {kernel_text(result)}" + failures_text([result], "idle"),
              f"all open{verdict(left == n, 'all')}; RSS{verdict(small, 'below 512 MiB')}", "idle-10k")
