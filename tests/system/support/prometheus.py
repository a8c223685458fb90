"""The real Prometheus (Debian's package), which scrapes daemons for the length of a test."""

import json
import os
import shutil
import subprocess
import unittest
import urllib.error
import urllib.parse
import urllib.request

from .daemon import MANAGEMENT_TOKEN
from .wait import PATIENCE, stable_port, until


class Prometheus:
    """Scrapes `targets` (HOST:PORT) as job "keepstore" twice a second, and evaluates the rules of the file `rules`."""

    def __init__(self, case, targets, rules=None):
        if not shutil.which("prometheus"):
            raise unittest.SkipTest("prometheus is not installed")
        self.port = stable_port()
        config = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"},
            "scrape_configs": [{"job_name": "keepstore", "authorization": {"credentials": MANAGEMENT_TOKEN},
                                "static_configs": [{"targets": targets}]}],
            "rule_files": [rules] if rules else [],
        }
        path = os.path.join(case.dir.path, "prometheus.yml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)  # JSON is YAML.
        log = open(os.path.join(case.dir.path, "prometheus.log"), "w+b")
        case.addCleanup(log.close)
        self.process = subprocess.Popen(
            ["prometheus", "--config.file", path, "--storage.tsdb.path", case.dir.make("prometheus"),
             "--web.listen-address", f"127.0.0.1:{self.port}"], stdout=log, stderr=log)
        case.addCleanup(self._stop)
        until(self._ready, what="Prometheus is ready")

    def _stop(self):
        self.process.terminate()
        self.process.wait(20 * PATIENCE)

    def _ready(self):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=10 * PATIENCE) as response:
                return response.status == 200
        except OSError:  # Not listening yet, or 503.
            return False

    def get(self, path, **parameters):
        """The data of a response of its API; AssertionError with its message for an expression that it refuses."""
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}{query}", timeout=10 * PATIENCE) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{parameters}: {refused.read().decode()}") from None

    def query(self, expression):
        """The series of an expression at this moment."""
        return self.get("query", query=expression)["result"]

    def wait_for_scrapes(self, targets, count=3):
        """Waits until each of these targets has been scraped so many times: two make a rate."""
        def scraped():
            found = {r["metric"]["instance"]: int(r["value"][1]) for r in
                     self.query('count_over_time(keepstore_connections_max{job="keepstore"}[10m])')}
            return all(found.get(t, 0) >= count for t in targets)
        until(scraped, what="scrapes")
