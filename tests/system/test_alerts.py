"""conf/prometheus-rules.yml and docs/runbook.md: the real Prometheus loads the rules and scrapes a running daemon."""

import json
import os
import re
import shutil
import subprocess
import unittest
import urllib.parse
import urllib.request

from support.case import KeepstoreCase, main
from support.daemon import MANAGEMENT_TOKEN
from support.wait import PATIENCE, stable_port, until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RULES = os.path.join(ROOT, "conf", "prometheus-rules.yml")
RUNBOOK = os.path.join(ROOT, "docs", "runbook.md")


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def alerts():
    return re.findall(r"(?m)^\s+- alert: (\w+)$", text_of(RULES))


class Alerts(KeepstoreCase):
    def test_each_alert_has_its_paragraph_in_the_runbook(self):
        self.assertGreater(len(alerts()), 5)
        self.assertEqual(re.findall(r"(?m)^## (\w+)$", text_of(RUNBOOK)), alerts())

    def test_promtool_accepts_the_rules(self):
        if not shutil.which("promtool"):
            self.skipTest("prometheus is not installed")
        run = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    def test_each_metric_of_a_rule_is_exported(self):
        daemon = self.start()
        daemon.put(b"foo")
        exported = {name for name, _ in daemon.metrics()}
        expressions = " ".join(re.findall(r"(?s)expr: (?:>-)?(.*?)(?=\n\s+(?:for|labels|- |#)|\Z)", text_of(RULES)))
        used = set(re.findall(r"\b((?:arvados|keepstore|request)_\w+)", expressions))
        self.assertGreater(len(used), 10)
        self.assertEqual(used - exported, set())


class RealPrometheus(KeepstoreCase):
    def ask(self, path, **parameters):
        query = "?" + urllib.parse.urlencode(parameters) if parameters else ""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/{path}{query}", timeout=10 * PATIENCE) as answer:
            return json.load(answer)["data"]

    def test_it_scrapes_a_daemon_and_evaluates_every_rule(self):
        if not shutil.which("prometheus"):
            self.skipTest("prometheus is not installed")
        daemon = self.start()
        daemon.put(b"foo")
        self.port = stable_port()
        config = {
            "global": {"scrape_interval": "250ms", "scrape_timeout": "250ms", "evaluation_interval": "250ms"},
            "scrape_configs": [{"job_name": "keepstore", "authorization": {"credentials": MANAGEMENT_TOKEN},
                                "static_configs": [{"targets": [daemon.url.netloc, "127.0.0.1:1"]}]}],
            "rule_files": [RULES],
        }
        path = os.path.join(self.dir.path, "prometheus.yml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)  # JSON is YAML.
        log = open(os.path.join(self.dir.path, "log"), "w+b")
        self.addCleanup(log.close)
        process = subprocess.Popen(
            ["prometheus", "--config.file", path, "--storage.tsdb.path", self.dir.make("data"),
             "--web.listen-address", f"127.0.0.1:{self.port}"], stdout=log, stderr=log)

        def stop():
            process.terminate()
            process.wait(20 * PATIENCE)
        self.addCleanup(stop)

        def ready():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/-/ready", timeout=10 * PATIENCE) as answer:
                    return answer.status == 200
            except OSError:  # Not listening yet, or 503.
                return False
        until(ready, what="Prometheus is ready")

        def scraped():
            found = self.ask("query", query='up{job="keepstore"} == 1')["result"]
            return [r["metric"]["instance"] for r in found]
        self.assertEqual(until(scraped, what="a scrape"), [daemon.url.netloc])

        def evaluated():
            rules = [r for g in self.ask("rules")["groups"] for r in g["rules"]]
            return rules if rules and all(r["health"] == "ok" for r in rules) else None
        rules = until(evaluated, what="all rules are evaluated without an error")
        self.assertEqual({r["name"] for r in rules if r["type"] == "alerting"}, set(alerts()))

        def firing():
            return {(a["labels"]["alertname"], a["labels"]["instance"]) for a in self.ask("alerts")["alerts"]}
        # Of the two targets one does not exist. A healthy daemon causes no alert.
        self.assertEqual(until(firing, what="an alert"), {("KeepstoreDown", "127.0.0.1:1")})


if __name__ == "__main__":
    main()
