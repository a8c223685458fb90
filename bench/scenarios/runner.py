"""A run of scripts/bench: its options, its tools, its rows."""

import contextlib
import json
import os
import shlex
import subprocess
import sys

from bench.scenarios.registry import Failure

# Steps that are measured together when the first of them is asked for.
UNIT_GROUPS = [
    ("md5", "pread", "recv", "send", "sendfile"),
    ("write_buffered", "write_direct", "write_direct_parallel"),
    ("read_direct", "read_direct_parallel", "read_small"),
    ("create_durable", "create_synced"),
]


class Bench:
    def __init__(self, options, folder):
        self.options = options
        self.quick = options.quick
        self.folder = folder
        self.rounds = options.rounds or (1 if self.quick else 4)
        self.daemon = options.daemon or os.path.join(options.build, "keepstore")
        self.rows = []
        self.figures = []  # What charts.py draws, as dicts.
        # What a row's command must repeat of our own.
        self.options_text = " --quick" if options.quick else ""
        for name in ("dir", "rounds", "daemon", "against"):
            if f"--{name}" in sys.argv:
                self.options_text += f" --{name} {shlex.quote(str(getattr(options, name)))}"
        self.units = {}
        # What scenarios share; closed at the end of the run.
        self.resources = contextlib.ExitStack()
        self.gateway = None

    def tool(self, name):
        return os.path.join(self.options.build, "bin", name)

    def seconds(self, wanted):
        return 0.5 if self.quick else wanted

    def warmup(self):
        return 0.1 if self.quick else 0.5

    def size(self, wanted, quick):
        return quick if self.quick else wanted

    def load(self, server, *arguments, limit=300):
        """One run of keepstore_load; its JSON. Failed operations are figures, not an error of ours."""
        command = [self.tool("keepstore_load"), "--url", server.url, "--token", server.token,
                   "--server-pid", ",".join(map(str, server.pids())), "--json", *map(str, arguments)]
        if self.options.verbose:
            print("+", shlex.join(command), file=sys.stderr, flush=True)
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        except subprocess.TimeoutExpired as e:
            raise Failure(f"no end within {limit} s: {shlex.join(command)}") from e
        if done.returncode not in (0, 1) or not done.stdout:
            raise Failure(f"{shlex.join(command)}: {done.stderr.strip()}")
        if self.options.verbose:
            print(done.stdout, file=sys.stderr, flush=True)
        if server.process.poll() is not None:
            raise Failure(f"the server has died ({server.process.returncode}) during {shlex.join(command)}")
        return json.loads(done.stdout)

    def unit(self, name):
        """What a step costs in this run: measured when first asked for, with the steps that belong to it."""
        if name not in self.units:
            group = next(g for g in UNIT_GROUPS if name in g)
            command = [self.tool("keepstore_unit_costs"), "--json", "--dir", self.folder,
                       "--only", ",".join(group), "--rounds", "1" if self.quick else "4",
                       "--seconds", "0.1" if self.quick else "0.5", "--files", "4" if self.quick else "16"]
            self.units.update(json.loads(self.run_tool(command)))
        return self.units[name]

    def units_text(self, *names):
        """The unit costs of this run, to print next to figures that are not their sum."""
        parts = [f"{name} {self.unit(name)['cpu_s_per_gib']:.3f}" for name in names if self.unit(name)]
        return ", ".join(parts) + " CPU-s/GiB"

    def run_tool(self, command, limit=300):
        """A tool's standard output."""
        if self.options.verbose:
            print("+", shlex.join(command), file=sys.stderr, flush=True)
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
        if done.returncode != 0:
            raise Failure(f"{shlex.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def interleaved(self, variants):
        """{name: callable} -> {name: [result of each counted round]}; round 1 warms up, if there are others."""
        results = {name: [] for name in variants}
        for number in range(self.rounds):
            for name, run in variants.items():
                result = run()
                if number > 0 or self.rounds == 1:
                    results[name].append(result)
        return results

    def note(self, scenario_name, text):
        print(f"{scenario_name}: {text}", flush=True)

    def figure(self, what, **values):
        """Keeps figures of a row for the charts; None is left out."""
        self.figures.append({"what": what.strip()} | {k: round(v, 4) for k, v in values.items() if v is not None})

    def row(self, what, measured, compared, scenario_name):
        command = f"scripts/bench {scenario_name}" + self.options_text
        self.rows.append((what, measured, compared, command))
        print(f"{what:<42} {measured:<84} {compared:<76} {command}", flush=True)
