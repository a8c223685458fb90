"""The digest engine by itself."""

import json
import shutil

from bench.scenarios.registry import Failure, Skip, scenario
from bench.scenarios.rows import median, spread, verdict

# GB/s at 16 streams, times OpenSSL.
TARGETS = {"avx512": 10, "avx2": 5}


def openssl_speed(bench):
    """GB/s of `openssl speed md5`, one stream, 64 KiB at a time."""
    program = shutil.which("openssl")
    if program is None:
        raise Skip("there is no openssl command")
    text = bench.run_tool([program, "speed", "-mr", "-seconds", "1", "-bytes", "65536", "md5"])
    for line in text.splitlines():
        # +F:number:md5:bytes per second
        if line.startswith("+F:"):
            return float(line.split(":")[3]) / 1e9
    raise Failure(f"openssl speed says {text!r}")


@scenario("lanes")
def lanes(bench):
    """MD5 in lanes: GB/s per core by streams and instruction set, and `openssl speed md5`."""
    seconds = "0.02" if bench.quick else "0.3"
    results = bench.interleaved({
        "openssl": lambda: openssl_speed(bench),
        "lanes": lambda: json.loads(bench.run_tool([bench.tool("keepstore_digest_bench"), "--json", seconds])),
    })
    base = median(results["openssl"])
    runs = results["lanes"]
    bench.row("openssl speed md5", f"{base:.3f} GB/s ({spread(results['openssl'])})", "", "lanes")
    for i, first in enumerate(runs[0]["kernels"]):
        rates = {name: median(r["kernels"][i]["gb_per_s"][name] for r in runs) for name in first["gb_per_s"]}
        compared = ""
        if first["streams"] == 16:
            compared = "; ".join(f"{name}{verdict(rates[name] >= times * base, f'at least {times} x')}"
                                 for name, times in TARGETS.items() if name in rates)
        bench.row(f"MD5, one core, {first['streams']} streams",
                  ", ".join(f"{name} {rate:.2f} GB/s ({rate / base:.1f} x)" for name, rate in rates.items()),
                  compared, "lanes")
    for i, first in enumerate(runs[0]["engine"]):
        if first["streams"] not in (1, 2, 4, 8, 16, 32):
            continue
        of = {key: median(r["engine"][i][key] for r in runs) for key in ("gb_per_s", "cpu_s_per_gib", "lanes_per_pass")}
        bench.row(f"engine ({runs[0]['engine_target']}), {first['workers']} workers, {first['streams']} streams",
                  f"{of['gb_per_s']:.2f} GB/s, {of['cpu_s_per_gib']:.3f} CPU-s/GiB, "
                  f"{of['lanes_per_pass']:.1f} lanes a pass",
                  bench.units_text("md5"), "lanes")
