"""/metrics and /metrics.json: names, labels, values."""

import hashlib
import json
import os
import re
import unittest

from support.case import KeepstoreCase, SharedDaemonCase, main
from support.daemon import MANAGEMENT_TOKEN, directory_volume, parse_metrics, volume_uuid
from support.held import Held
from support.locator import md5, plain
from support.s3_case import S3Case
from support.s3_volumes import s3_volume
from support.wait import until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# name -> (type, labels): every series of the Go daemon, of a Directory volume (docs/interface.md 6.2).
SERIES = {
    "request_duration_seconds": ("summary", {"code", "method"}),
    "time_to_status_seconds": ("summary", {"code", "method"}),
    "arvados_max_active_request_age_seconds": ("gauge", set()),
    "arvados_max_abandoned_request_age_seconds": ("gauge", set()),
    "arvados_concurrent_requests": ("gauge", {"queue"}),
    "arvados_max_concurrent_requests": ("gauge", {"queue"}),
    "arvados_max_queued_requests": ("gauge", {"queue"}),
    "arvados_queued_requests": ("gauge", {"priority", "queue"}),
    "arvados_config_source_timestamp_seconds": ("gauge", {"sha256"}),
    "arvados_config_load_timestamp_seconds": ("gauge", {"sha256"}),
    "arvados_version_running": ("gauge", {"version"}),
    "keepstore_blob_signing_ttl_seconds": ("gauge", set()),
    "arvados_keepstore_bufferpool_allocated_bytes": ("gauge", set()),
    "arvados_keepstore_bufferpool_max_buffers": ("gauge", set()),
    "arvados_keepstore_bufferpool_inuse_buffers": ("gauge", set()),
    "arvados_keepstore_pull_queue_pending_entries": ("gauge", set()),
    "arvados_keepstore_pull_queue_inprogress_entries": ("gauge", set()),
    "arvados_keepstore_trash_queue_pending_entries": ("gauge", set()),
    "arvados_keepstore_trash_queue_inprogress_entries": ("gauge", set()),
    "arvados_keepstore_volume_operations": ("counter", {"device_id", "operation"}),
    "arvados_keepstore_volume_io_bytes": ("counter", {"device_id", "direction"}),
    "arvados_keepstore_volume_errors": ("counter", {"device_id", "error_type"}),
    "arvados_queue_delay_seconds": ("summary", {"priority", "queue"}),
    "arvados_queue_timeout_seconds": ("summary", {"priority", "queue"}),
}


class Metrics(SharedDaemonCase):
    sections = {"API": {"MaxConcurrentRequests": 7, "MaxQueuedRequests": 9, "MaxKeepBlobBuffers": 11}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.data = os.urandom(100_000)
        cls.daemon.put(cls.data)
        cls.daemon.get(plain(cls.data))
        cls.daemon.admin("TOUCH", "/" + md5(cls.data))
        cls.daemon.admin("GET", "/index")
        cls.daemon.get("a" * 32 + "+3")
        # A request is counted after its response.
        counted = [("200", "put"), ("200", "get"), ("200", "unknown"), ("404", "get")]
        until(lambda: all(cls.daemon.metric("request_duration_seconds_count", code=c, method=m) for c, m in counted)
              and cls.daemon.metric("time_to_status_seconds_count", code="200", method="touch"), 5, "all of these requests")
        cls.daemon.assert_nothing_held()

    def text(self):
        return self.daemon.request("GET", "/metrics", MANAGEMENT_TOKEN).text

    def test_names_types_and_labels(self):
        text = self.text()
        types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.M))
        labels = {}
        for (name, pairs), _ in parse_metrics(text).items():
            base = re.sub(r"_(sum|count)$", "", name) if re.sub(r"_(sum|count)$", "", name) in types else name
            labels.setdefault(base, set()).update(k for k, _ in pairs if k != "quantile")
        for name, (kind, wanted) in SERIES.items():
            with self.subTest(name):
                self.assertEqual(types.get(name), kind)
                self.assertEqual(labels.get(name), wanted)
        self.assertEqual([n for n in types if n.startswith(("go_", "process_", "promhttp_"))], [])

    def test_every_family_has_help_and_type_once_and_no_duplicate_series(self):
        text = self.text()
        for word in ("HELP", "TYPE"):
            names = re.findall(rf"^# {word} (\S+)", text, re.M)
            self.assertEqual(len(names), len(set(names)))
        series = [line.rsplit(" ", 1)[0] for line in text.splitlines() if line and not line.startswith("#")]
        self.assertEqual(len(series), len(set(series)))
        for line in text.splitlines():
            # The quantile of a summary and the bound of a bucket are not among the labels and stand at the end.
            pairs = [k for k in re.findall(r'(\w+)="', line) if k not in ("quantile", "le")] if not line.startswith("#") else []
            self.assertEqual(pairs, sorted(pairs), line)

    def test_content_type(self):
        response = self.daemon.request("GET", "/metrics", MANAGEMENT_TOKEN)
        self.assertTrue(response.header("Content-Type").startswith("text/plain; version=0.0.4"))
        self.assertTrue(response.text.endswith("\n"))

    def test_values(self):
        metric = self.daemon.metric
        self.assertEqual(metric("arvados_max_concurrent_requests", queue="api"), 7)
        self.assertEqual(metric("arvados_max_queued_requests", queue="api"), 9)
        self.assertEqual(metric("arvados_keepstore_bufferpool_max_buffers"), 11)
        self.assertEqual(metric("arvados_keepstore_bufferpool_inuse_buffers"), 0)
        for priority in ("low", "normal", "high"):
            self.assertEqual(metric("arvados_queued_requests", priority=priority, queue="api"), 0)
        self.assertGreaterEqual(metric("request_duration_seconds_count", code="200", method="put"), 1)
        self.assertGreaterEqual(metric("request_duration_seconds_count", code="404", method="get"), 1)
        self.assertGreaterEqual(metric("request_duration_seconds_count", code="200", method="unknown"), 1)
        self.assertGreaterEqual(metric("time_to_status_seconds_count", code="200", method="touch"), 1)
        self.assertGreater(metric("request_duration_seconds_sum", code="200", method="put"), 0)

    def test_volume_counters_move(self):
        before = self.daemon.metrics()
        data = os.urandom(300_000)
        self.daemon.put(data)
        self.assertEqual(self.daemon.get(plain(data)).status, 200)
        after = self.daemon.metrics()

        def moved(name, **labels):
            return sum(v - before.get(k, 0) for k, v in after.items()
                       if k[0] == name and all(dict(k[1]).get(a) == b for a, b in labels.items()))

        self.assertEqual(moved("arvados_keepstore_volume_io_bytes", direction="out"), len(data))
        self.assertEqual(moved("arvados_keepstore_volume_io_bytes", direction="in"), len(data))
        for operation in ("open", "rename"):
            self.assertGreaterEqual(moved("arvados_keepstore_volume_operations", operation=operation), 1, operation)
        self.assertEqual(moved("arvados_keepstore_volume_errors"), 0, "a new PUT is no error")

    def test_json(self):
        response = self.daemon.request("GET", "/metrics.json", MANAGEMENT_TOKEN)
        families = {f["name"]: f for f in json.loads(response.text)}
        for name, (kind, labels) in SERIES.items():
            with self.subTest(name):
                family = families[name]
                self.assertEqual(family["type"], kind.upper())
                self.assertIn("help", family)
                for metric in family["metric"]:
                    self.assertEqual({p["name"] for p in metric.get("label", [])}, labels)
                    self.assertTrue(all(isinstance(p["value"], str) for p in metric.get("label", [])))
        summary = families["request_duration_seconds"]["metric"][0]["summary"]
        self.assertRegex(summary["sampleCount"], r"^\d+$")
        self.assertIsInstance(summary["sampleSum"], (int, float))
        self.assertIn("value", families["arvados_keepstore_bufferpool_max_buffers"]["metric"][0]["gauge"])
        self.assertIn("value", families["arvados_keepstore_volume_io_bytes"]["metric"][0]["counter"])

    def test_metrics_are_neither_logged_nor_given_an_id(self):
        response = self.daemon.request("GET", "/metrics", MANAGEMENT_TOKEN, {"X-Request-Id": "req-metrics-canary"})
        self.assertIsNone(response.header("X-Request-Id"))
        self.assertEqual(self.daemon.log.entries(RequestID="req-metrics-canary"), [])

    def test_head(self):
        response = self.daemon.request("HEAD", "/metrics", MANAGEMENT_TOKEN)
        self.assertEqual((response.status, response.body), (200, b""))


def documented():
    """{name: (type, labels)} of the tables of docs/metrics.md."""
    with open(os.path.join(ROOT, "docs", "metrics.md"), encoding="utf-8") as file:
        rows = re.findall(r"(?m)^\| (\w+) \| (counter|gauge|summary|histogram) \| ([\w, ]*)\|", file.read())
    return {name: (kind, frozenset(re.findall(r"\w+", labels))) for name, kind, labels in rows}


def exported(text):
    """The same of an exposition. The labels of summaries and histograms do not include `quantile` and `le`."""
    types = dict(re.findall(r"(?m)^# TYPE (\S+) (\S+)$", text))
    found = {}
    for name, pairs in parse_metrics(text):
        base = name if name in types else re.sub(r"_(sum|count|bucket)$", "", name)
        found.setdefault(base, set()).add(frozenset(k for k, _ in pairs) - {"quantile", "le"})
    return {name: (types[name], *labels) for name, labels in found.items()}


class Document(S3Case):
    """docs/metrics.md against a daemon with a Directory and an S3 volume that has served no request yet."""

    def test_the_document_lists_what_a_new_daemon_exports(self):
        daemon = self.start({volume_uuid(0): directory_volume(self.dir.make("vol")),
                             volume_uuid(1): s3_volume(self.server["endpoint"], self.bucket, self.server)})
        text = daemon.request("GET", "/metrics", MANAGEMENT_TOKEN).text
        self.assertGreater(len(documented()), 50)
        azure = {name: row for name, row in documented().items() if name.startswith("keepstore_azure_")}
        self.assertEqual(exported(text), {name: row for name, row in documented().items() if name not in azure})
        # An Azure volume has the same counters of requests, and no other of its own.
        self.assertEqual({name.replace("azure", "s3"): row for name, row in azure.items()},
                         {name: row for name, row in documented().items() if name.startswith("keepstore_s3_")})
        for series, value in parse_metrics(text).items():
            name, labels = series[0], dict(series[1])
            if name.startswith(("request_", "time_to", "keepstore_block_", "keepstore_trash_", "keepstore_pull_items")) or \
                    name == "arvados_keepstore_volume_errors" and not labels["device_id"].startswith("s3:"):
                self.assertEqual(value, 0, series)

    def test_work_adds_no_series(self):
        daemon = self.start({volume_uuid(0): directory_volume(self.dir.make("vol")),
                             volume_uuid(1): s3_volume(self.server["endpoint"], self.bucket, self.server)},
                            Collections={"BlobSigningTTL": "1s"})
        before = set(daemon.metrics())
        data = os.urandom(300_000)
        self.assertEqual(daemon.put(data).status, 200)
        self.assertEqual(daemon.get(plain(data)).status, 200)
        self.assertEqual(daemon.get("a" * 32 + "+3").status, 404)
        self.assertEqual(daemon.put(data[1:], headers={"X-Keep-Storage-Classes": "missing"}).status, 507)
        self.assertEqual(daemon.admin("TOUCH", "/" + md5(data)).status, 200)
        self.assertEqual(daemon.admin("DELETE", "/" + "a" * 32).status, 404)
        self.assertEqual(daemon.admin("GET", "/index").status, 200)
        self.assertEqual(daemon.request("GET", "/index").status, 401)
        daemon.assert_nothing_held()
        self.assertEqual(set(daemon.metrics()) - before, set())
        self.assertEqual(daemon.metric("keepstore_block_duration_seconds_count", method="put"), 1)
        self.assertEqual(daemon.metric("keepstore_block_duration_seconds_count", method="get"), 1)


class Config(KeepstoreCase):
    def test_the_hash_of_the_file_as_the_health_checker_reads_it(self):
        path = os.path.join(self.dir.path, "config.yml")
        daemon = self.start(daemon_options={"via_file": path})
        with open(path, "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        text = daemon.request("GET", "/metrics", MANAGEMENT_TOKEN).text
        match = re.search(r'^arvados_config_source_timestamp_seconds\{sha256="([0-9a-f]{64})"\} (\d[\d.e+]+)$', text, re.M)
        self.assertIsNotNone(match, text)
        self.assertEqual(match.group(1), digest)
        self.assertAlmostEqual(float(match.group(2)), os.stat(path).st_mtime, delta=2)
        self.assertRegex(text, r'(?m)^arvados_config_load_timestamp_seconds\{sha256="[0-9a-f]{64}"\} \d[\d.e+]+$')
        self.assertRegex(text, r'(?m)^arvados_version_running\{version="[^"]+"\} 1$')

    def test_health_and_metrics_work_while_the_limiter_is_saturated(self):
        held = Held(self)
        daemon = self.start(API={"MaxConcurrentRequests": 1, "MaxQueuedRequests": 0}, **held.sections)
        held.start(daemon)
        self.assertEqual(daemon.request("GET", "/index").status, 503)
        self.assertEqual(daemon.request("GET", "/_health/ping", MANAGEMENT_TOKEN).status, 200)
        self.assertEqual(daemon.request("GET", "/metrics", MANAGEMENT_TOKEN).status, 200)


if __name__ == "__main__":
    main()
