"""The log: fields of every request, omissions, formats; the list of running requests."""

import re
import time
import unittest

from support.case import KeepstoreCase, SharedDaemonCase, main
from support.client import build_request
from support.daemon import ACTIVE_TOKEN, CLUSTER, SYSTEM_ROOT_TOKEN
from support.locator import md5, plain
from support.wait import port_open, stable_port, until

COMMON = {"time", "level", "msg", "PID", "ClusterID", "RequestID", "remoteAddr", "reqForwardedFor", "reqMethod", "reqHost",
          "reqPath", "reqQuery", "reqBytes"}
RESPONSE = COMMON | {"timeTotal", "timeToStatus", "timeWriteBody", "respStatusCode", "respStatus", "respBytes", "queue", "priority"}


class Requests(SharedDaemonCase):
    number = 0

    def pair(self, method, target, token=None, headers=(), body=None, **options):
        """The two log lines of one request."""
        type(self).number += 1
        mark = f"req-log-test-{self.number}"
        pairs = list(headers.items()) if isinstance(headers, dict) else list(headers)
        self.daemon.request(method, target, token, [*pairs, ("X-Request-Id", mark)], body, **options)
        return (self.daemon.log.wait(msg="request", RequestID=mark), self.daemon.log.wait(msg="response", RequestID=mark))

    def test_fields_of_a_put(self):
        request, response = self.pair("PUT", "/" + md5(b"foo") + "?a=b", ACTIVE_TOKEN,
                                      {"X-Forwarded-For": "192.0.2.1"}, b"foo", host="keep.example:99")
        self.assertLessEqual(COMMON, set(request))
        self.assertLessEqual(RESPONSE, set(response))
        for entry in (request, response):
            self.assertEqual(entry["level"], "info")
            self.assertEqual(entry["PID"], self.daemon.pid)
            self.assertEqual(entry["ClusterID"], CLUSTER)
            self.assertEqual(entry["reqMethod"], "PUT")
            self.assertEqual(entry["reqPath"], md5(b"foo"))
            self.assertEqual(entry["reqQuery"], "a=b")
            self.assertEqual(entry["reqHost"], "keep.example:99")
            self.assertEqual(entry["reqBytes"], 3)
            self.assertEqual(entry["reqForwardedFor"], "192.0.2.1")
            self.assertRegex(entry["remoteAddr"], r"^127\.0\.0\.1:\d+$")
            self.assertRegex(entry["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}(Z|[+-]\d\d:\d\d)$")
        self.assertEqual(response["respStatusCode"], 200)
        self.assertIs(type(response["respStatusCode"]), int)
        self.assertEqual(response["respStatus"], "OK")
        self.assertEqual(response["respBytes"], len(md5(b"foo") + "+3+A@\n") + 48)
        self.assertNotIn("respBody", response)
        self.assertEqual((response["queue"], response["priority"]), ("api", 0))

    def test_times_are_numbers_with_six_decimals(self):
        _, response = self.pair("GET", "/nothing")
        line = next(text for text in self.daemon.log.lines()
                    if response["RequestID"] in text and '"msg":"response"' in text.replace('": "', '":"'))
        for name in ("timeTotal", "timeToStatus", "timeWriteBody"):
            self.assertRegex(line, rf'"{name}": ?\d+\.\d{{6}}[,}}]')
        self.assertGreaterEqual(response["timeTotal"], response["timeToStatus"])

    def test_unknown_length(self):
        request, _ = self.pair("PUT", "/trash", SYSTEM_ROOT_TOKEN, {"Transfer-Encoding": "chunked"}, b"2\r\n[]\r\n0\r\n\r\n")
        self.assertEqual(request["reqBytes"], -1)

    def test_errors_carry_their_body(self):
        _, response = self.pair("GET", "/nothing")
        self.assertEqual((response["respStatusCode"], response["respStatus"]), (400, "Bad Request"))
        self.assertEqual(response["respBody"], "Bad Request\n")
        self.assertEqual(response["respBytes"], 12)

    def test_secrets_are_redacted(self):
        self.daemon.put(b"foo")
        request, response = self.pair("GET", f"/{self.daemon.sign(plain(b'foo'))}?api_token={ACTIVE_TOKEN}&b=c", ACTIVE_TOKEN)
        for entry in (request, response):
            self.assertTrue(entry["reqPath"].startswith(plain(b"foo")), entry["reqPath"])
            self.assertNotRegex(entry["reqPath"], r"[0-9a-f]{40}")
            self.assertIn("b=c", entry["reqQuery"])
        self.assertEqual(response["respStatusCode"], 200)

    def test_control_bytes_and_quotes_stay_one_line(self):
        request, _ = self.pair("GET", '/"%0a%00\\{"msg":"fake"}', headers={"X-Forwarded-For": '"\t\xff'})
        self.assertEqual(request["msg"], "request")

    def test_requests_that_are_not_logged(self):
        self.daemon.metrics()
        self.daemon.inspect()
        self.pair("GET", "/nothing")
        paths = {e.get("reqPath") for e in self.daemon.log.entries()}
        self.assertIn("nothing", paths)
        self.assertEqual({p for p in paths if p and ("metrics" in p or "inspect" in p)}, set())

    def test_running_requests_can_be_inspected(self):
        with self.daemon.connect() as holder:
            holder.send(build_request("PUT", "/" + "a" * 32 + "+3?x=y", [
                ("Content-Length", "10"), ("X-Request-Id", "req-inspect-me"), ("X-Forwarded-For", "192.0.2.7"),
                ("Authorization", f"Bearer {ACTIVE_TOKEN}")]) + b"half")
            started = time.monotonic()
            found = until(lambda: [r for r in self.daemon.inspect() if r["RequestID"] == "req-inspect-me"], 10, "it is listed")[0]
            self.assertEqual(sorted(found), ["Elapsed", "Host", "Method", "RemoteAddr", "RequestID", "URL", "XForwardedFor"])
            self.assertEqual((found["Method"], found["RequestID"], found["XForwardedFor"], found["Host"]),
                             ("PUT", "req-inspect-me", "192.0.2.7", "keep.example"))
            self.assertEqual(found["URL"], "/" + "a" * 32 + "+3?x=y")
            self.assertRegex(found["RemoteAddr"], r"^127\.0\.0\.1:\d+$")
            self.assertLessEqual(found["Elapsed"], time.monotonic() - started + 1)
            with self.daemon.connect() as second:
                second.send(build_request("PUT", "/" + "b" * 32, [("Content-Length", "10")]) + b"half")
                elapsed = [r["Elapsed"] for r in self.daemon.wait_active(2)]
                self.assertEqual(elapsed, sorted(elapsed))
        self.daemon.assert_nothing_held()


class Formats(KeepstoreCase):
    def test_listening_line(self):
        daemon = self.start()
        entry = daemon.log.entries(msg="listening")[0]
        self.assertLessEqual({"URL", "Listen", "Service", "Version", "PID"}, set(entry))
        self.assertEqual(entry["Service"], "keepstore")
        self.assertTrue(entry["Listen"].endswith(f":{daemon.address[1]}"))

    def start_quiet(self, **options):
        """A daemon whose log does not have the port, which is therefore fixed beforehand."""
        port = stable_port()
        daemon = self.start(url=f"http://127.0.0.1:{port}/", daemon_options={"wait": False}, **options)
        daemon.address = ("127.0.0.1", port)
        until(lambda: port_open(port), 10, "the port is open")
        return daemon

    def test_level_warning_hides_requests(self):
        daemon = self.start_quiet(SystemLogs={"LogLevel": "warn"})
        self.assertEqual(daemon.request("GET", "/nothing").status, 400)
        self.assertEqual([e for e in daemon.log.entries() if e["level"] == "info"], [])

    def test_text_format(self):
        daemon = self.start_quiet(SystemLogs={"Format": "text"}, check_log=False)
        daemon.request("GET", "/nothing?api_token=" + ACTIVE_TOKEN)
        until(lambda: any(re.search('msg="?response', line) for line in daemon.log.lines()), 5, "the response line")
        for line in daemon.log.lines():
            self.assertNotIn("ActiveCanary", line)
            if not line.startswith("{"):  # Before the configuration is read it is always JSON.
                self.assertRegex(line, r'^time="?[^ ]+"? level=\w+ msg=')


if __name__ == "__main__":
    main()
