"""conf/grafana-dashboard.json: its form is one that Grafana imports, and the real Prometheus has a series for each query."""

import json
import os
import re

from support.case import KeepstoreCase, main
from support.daemon import directory_volume, volume_uuid
from support.locator import plain
from support.prometheus import Prometheus
from support.s3_case import S3Case
from support.s3_volumes import s3_volume

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
UNITS = {"none", "reqps", "ops", "Bps", "bytes", "s", "percentunit"}  # Those of Grafana that it uses.
KINDS = {"row", "stat", "timeseries", "state-timeline"}


def dashboard():
    with open(os.path.join(ROOT, "conf", "grafana-dashboard.json"), encoding="utf-8") as file:
        return json.load(file)


def panels():
    return [p for p in dashboard()["panels"] if p["type"] != "row"]


class Form(KeepstoreCase):
    def test_an_import_creates_one_dashboard_that_asks_for_its_datasource(self):
        found = dashboard()
        self.assertIsNone(found["id"], "an id is the importing Grafana's to give")
        self.assertRegex(found["uid"], r"^[a-zA-Z0-9_-]{1,40}$")
        self.assertGreaterEqual(found["schemaVersion"], 36)
        variables = {v["name"]: v for v in found["templating"]["list"]}
        self.assertEqual((variables["datasource"]["type"], variables["datasource"]["query"]), ("datasource", "prometheus"))
        for name in ("job", "instance"):
            self.assertEqual((variables[name]["type"], variables[name]["datasource"]), ("query", DATASOURCE))
            self.assertIn("label_values(", variables[name]["query"]["query"])
        self.assertTrue(variables["instance"]["multi"] and variables["instance"]["includeAll"])
        used = set(re.findall(r"\$(?:\{(\w+)\}|(\w+))", json.dumps(found["panels"])))
        self.assertEqual({a or b for a, b in used}, {*variables, "__rate_interval"})

    def test_each_panel_is_complete(self):
        for panel in dashboard()["panels"]:
            with self.subTest(panel["title"]):
                self.assertIn(panel["type"], KINDS)
                if panel["type"] == "row":
                    self.assertEqual((panel["panels"], panel["collapsed"]), ([], False))
                    continue
                self.assertEqual(panel["datasource"], DATASOURCE)
                self.assertIn(panel["fieldConfig"]["defaults"]["unit"], UNITS)
                self.assertEqual(panel["fieldConfig"]["overrides"], [])
                references = [t["refId"] for t in panel["targets"]]
                self.assertTrue(references)
                self.assertEqual(len(references), len(set(references)))
                for target in panel["targets"]:
                    self.assertEqual(target["datasource"], DATASOURCE)
                    self.assertTrue(target["legendFormat"])
                    for selector in re.findall(r"\b\w+\{([^}]*)\}", target["expr"]):
                        self.assertTrue(selector.startswith('job="$job",instance=~"$instance"'), target["expr"])

    def test_ids_and_places_are_unique(self):
        every = dashboard()["panels"]
        self.assertEqual(len({p["id"] for p in every}), len(every))
        taken = set()
        for panel in every:
            place = panel["gridPos"]
            cells = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])}
            self.assertLessEqual(place["x"] + place["w"], 24, panel["title"])
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells

    def test_each_runbook_paragraph_that_a_panel_names_exists(self):
        with open(os.path.join(ROOT, "docs", "runbook.md"), encoding="utf-8") as file:
            paragraphs = re.findall(r"(?m)^## (\w+)$", file.read())
        named = re.findall(r"Runbook: (\w+)", json.dumps(dashboard()))
        self.assertGreater(len(named), 5)
        self.assertEqual(set(named) - set(paragraphs), set())


class Queries(S3Case):
    def test_each_query_returns_a_series_of_a_running_daemon(self):
        daemon = self.start({volume_uuid(0): directory_volume(self.dir.make("vol")),
                             volume_uuid(1): s3_volume(self.server["endpoint"], self.bucket, self.server)})
        prometheus = Prometheus(self, [daemon.url.netloc])
        prometheus.wait_for_scrapes([daemon.url.netloc])
        data = os.urandom(100_000)
        self.assertEqual(daemon.put(data).status, 200)
        self.assertEqual(daemon.get(plain(data)).status, 200)
        for variable, name in (("job", "keepstore"), ("instance", daemon.url.netloc)):
            found = prometheus.get(f"label/{variable}/values", **{"match[]": "keepstore_connections_max"})
            self.assertEqual(found, [name])
        count = 0
        for panel in panels():
            for target in panel["targets"]:
                with self.subTest(panel["title"], query=target["refId"]):
                    expression = (target["expr"].replace("$job", "keepstore").replace("$instance", ".*")
                                  .replace("$__rate_interval", "1m"))
                    found = prometheus.query(expression)
                    self.assertTrue(found, expression)
                    labels = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
                    self.assertLessEqual(labels, set(found[0]["metric"]), "labels of the legend")
                    count += 1
        self.assertGreater(count, 40)


if __name__ == "__main__":
    main()
