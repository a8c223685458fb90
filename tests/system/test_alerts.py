"""conf/prometheus-rules.yml and docs/runbook.md: the real Prometheus loads the rules and scrapes a running daemon."""

import os
import re
import shutil
import subprocess

from support.case import KeepstoreCase, main
from support.prometheus import Prometheus
from support.wait import until

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


class RealPrometheus(KeepstoreCase):
    def test_it_scrapes_a_daemon_and_evaluates_every_rule(self):
        daemon = self.start()
        prometheus = Prometheus(self, [daemon.url.netloc, "127.0.0.1:1"], RULES)
        prometheus.wait_for_scrapes([daemon.url.netloc])

        def evaluated():
            rules = [r for g in prometheus.get("rules")["groups"] for r in g["rules"]]
            return rules if rules and all(r["health"] == "ok" for r in rules) else None
        rules = until(evaluated, what="all rules are evaluated without an error")
        self.assertEqual({r["name"] for r in rules if r["type"] == "alerting"}, set(alerts()))

        def firing():
            return {(a["labels"]["alertname"], a["labels"]["instance"]) for a in prometheus.get("alerts")["alerts"]
                    if a["labels"]["alertname"] != "KeepstoreVolumeAlmostFull"}  # The disk of the test may well be.
        # Of the two targets one does not exist. A healthy daemon causes no alert, but for a scrape that a busy machine delays.
        until(lambda: firing() == {("KeepstoreDown", "127.0.0.1:1")}, what="the alert of one target, and no other")

        for rule in rules:
            if rule["type"] == "recording":
                with self.subTest(rule["name"]):
                    found = until(lambda name=rule["name"]: prometheus.query(name), what="a recorded series")
                    self.assertIn(daemon.url.netloc, [r["metric"].get("instance") for r in found])

        # An alert whose series are not there can never fire. The daemon has served no request, so each series exists from
        # the start.
        for rule in rules:
            for selector in re.findall(r"\b[a-z]\w*\{[^}]*\}(?:\[\w+\])?", rule["query"]):
                with self.subTest(rule["name"], selector=selector):
                    series = f"last_over_time({selector})" if selector.endswith("]") else selector
                    found = prometheus.query(series)
                    self.assertIn(daemon.url.netloc, [r["metric"].get("instance") for r in found])


if __name__ == "__main__":
    main()
