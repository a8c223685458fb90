"""Thousands of slow readers of blocks in S3."""

from bench.scenarios.crowds import DEFAULTS, READER_RATE, memory_text
from bench.scenarios.registry import scenario
from bench.scenarios.rows import failures_text, group_of, kernel_text, verdict, window
from bench.scenarios.s3 import LARGE, stored
from bench.scenarios.s3_server import S3Daemon, gateway


@scenario("s3-slow-readers")
def s3_slow_readers(bench):
    """1,000 readers of 64 MiB blocks on radosgw at 64 KiB/s, and 10,000 at 8 KiB/s: memory, and what each of them gets."""
    server = gateway(bench)
    size = bench.size(LARGE, "4m")
    locators = stored(bench, server, "s3-slow-readers", size, bench.size(16, 4))
    # More than a few megabytes a second in pieces of 32 KiB is too much for two cores, with radosgw on them.
    for n, rate in bench.size(((1000, READER_RATE), (10_000, READER_RATE // 8)), ((30, READER_RATE), (100, READER_RATE // 8))):
        # Each number on its own daemon: memory that one took would be the other's peak.
        with S3Daemon(bench, server, extra={**DEFAULTS, "Keepstore": {"MinTransferRate": 0}}) as daemon:
            # All have begun, and have begun to read, when the window does.
            ramp = bench.size(n / 220, 0.3)
            before = daemon.requests()
            result = bench.load(daemon, "--mode", "get", "--locators", locators, "--connections", n, "--rate", rate,
                                "--ramp", ramp, "--warmup", ramp + bench.size(10, 0.3), "--seconds", bench.size(30, 1),
                                "--body", "verify", limit=400)
            requests = daemon.requests() - before
        clients = result["clients"]
        title = f"S3: {n} readers of {size} at {rate // 1024} KiB/s"
        memory, small = memory_text(bench, title, result)
        fair = clients["bytes_per_s_p1"] >= 0.9 * rate and clients["without_bytes"] == 0
        failed = group_of(result, "get")["failed"]
        bench.row(title,
                  f"{n - clients['without_bytes']} read in the window, at least {clients['bytes_per_s_min'] / 1024:.0f} KiB/s, "
                  f"1% {clients['bytes_per_s_p1'] / 1024:.0f}, half {clients['bytes_per_s_p50'] / 1024:.0f}; "
                  f"{memory}, {kernel_text(result)}, {window(result)['server']['descriptors_peak']} descriptors, "
                  f"{window(result)['server']['cpu_s_per_gib']:.2f} CPU-s/GiB, {requests / n:.1f} requests each"
                  + failures_text([result], "get"),
                  f"99% at 0.9 of the rate, no failure{verdict(fair and failed == 0, 'all')}; RSS"
                  + verdict(small, "below 512 MiB") + "; " + bench.units_text("md5", "recv", "send"), "s3-slow-readers")
    server.delete(locators)
