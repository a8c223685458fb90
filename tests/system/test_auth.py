"""Authorization: admin and management tokens, the ways to send a token, empty tokens, canaries."""

import base64
import json
import unittest

from support.case import KeepstoreCase, SharedDaemonCase, main
from support.daemon import ACTIVE_TOKEN, MANAGEMENT_TOKEN, SYSTEM_ROOT_TOKEN, volume_uuid
from support.locator import md5

FOO = md5(b"foo")
ADMIN = [("PUT", "/pull"), ("PUT", "/trash"), ("GET", "/index"), ("GET", "/index/"), ("GET", "/index/1234"),
         ("GET", "/index?prefix=12"), ("GET", "/mounts"), ("GET", f"/mounts/{volume_uuid(0)}/blocks"),
         ("GET", "/mounts/unknown/blocks"), ("PUT", f"/untrash/{'a' * 32}"), ("TOUCH", "/" + "a" * 32),
         ("DELETE", "/" + "a" * 32), ("HEAD", "/index")]


def cookie(token, padding=True):
    text = base64.urlsafe_b64encode(token.encode()).decode()
    return "arvados_api_token=" + (text if padding else text.rstrip("="))


def basic(user, password, scheme="Basic"):
    return f"{scheme} " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Admin(SharedDaemonCase):
    def test_admin_endpoints_need_the_system_root_token(self):
        for method, target in ADMIN:
            with self.subTest(f"{method} {target}"):
                head = method == "HEAD"
                response = self.daemon.request(method, target)
                self.assert_reply(response, 401, b"" if head else "Unauthorized\n")
                for token in ("badtoken", MANAGEMENT_TOKEN, ACTIVE_TOKEN, SYSTEM_ROOT_TOKEN[:-1],
                              SYSTEM_ROOT_TOKEN + "x", SYSTEM_ROOT_TOKEN.lower(), SYSTEM_ROOT_TOKEN[1:]):
                    response = self.daemon.request(method, target, token)
                    self.assert_reply(response, 403, b"" if head else "Forbidden\n")
                    if not head:
                        self.assertTrue(response.header("Content-Type").startswith("text/plain"))
                        self.assertEqual(response.header("X-Content-Type-Options"), "nosniff")

    def test_forbidden_touch_and_delete_change_nothing(self):
        self.daemon.put(b"foo")
        before = self.daemon.admin("GET", "/index/" + FOO).body
        for token in ("badtoken", ACTIVE_TOKEN, None):
            self.daemon.request("TOUCH", f"/{FOO}+3", token)
            self.daemon.request("DELETE", f"/{FOO}+3", token)
        self.assertEqual(self.daemon.admin("GET", "/index/" + FOO).body, before)

    def accepted(self, headers=(), query=""):
        return self.daemon.request("GET", "/index/ffff" + query, headers=headers).status

    def test_the_ways_to_send_a_token(self):
        good = SYSTEM_ROOT_TOKEN
        for what, headers, query, status in [
            ("Bearer", {"Authorization": f"Bearer {good}"}, "", 200),
            ("OAuth2", {"Authorization": f"OAuth2 {good}"}, "", 200),
            ("trimmed", {"Authorization": f"Bearer   {good}  "}, "", 200),
            ("the scheme is case-sensitive", {"Authorization": f"bearer {good}"}, "", 401),
            ("unknown scheme", {"Authorization": f"Token {good}"}, "", 401),
            ("no scheme", {"Authorization": good}, "", 401),
            ("Bearer alone", {"Authorization": "Bearer"}, "", 401),
            ("Bearer and a space", {"Authorization": "Bearer "}, "", 401),
            ("Basic", {"Authorization": basic("user", good)}, "", 200),
            ("basic in lower case", {"Authorization": basic("user", good, "basic")}, "", 200),
            ("Basic with spaces in the password", {"Authorization": basic("", f" {good} ")}, "", 200),
            ("Basic, token as the user", {"Authorization": basic(good, "x")}, "", 403),
            ("Basic, empty password", {"Authorization": basic("x", "")}, "", 403),
            ("Basic that does not decode", {"Authorization": "Basic !!!"}, "", 401),
            ("query", {}, f"?api_token={good}", 200),
            ("query, trimmed and escaped", {}, f"?api_token=%20{good}+", 200),
            ("query, second value", {}, f"?api_token=x&api_token={good}", 200),
            ("query, empty", {}, "?api_token=", 403),
            ("query, other name", {}, f"?token={good}", 401),
            ("cookie", {"Cookie": cookie(good)}, "", 200),
            ("cookie among others", {"Cookie": f"a=b; {cookie(good)}; c=d"}, "", 200),
            ("cookie that does not decode", {"Cookie": "arvados_api_token=@@@"}, "", 401),
            ("empty cookie", {"Cookie": "arvados_api_token="}, "", 401),
            ("wrong header, right query", {"Authorization": "Bearer x"}, f"?api_token={good}", 200),
            ("wrong header, right cookie", {"Authorization": "Bearer x", "Cookie": cookie(good)}, "", 200),
            ("only the first Authorization header counts",
             [("Authorization", "Bearer x"), ("Authorization", f"Bearer {good}")], "", 403),
            ("reader_tokens are not read", {}, f"?reader_tokens=[%22{good}%22]", 401),
        ]:
            with self.subTest(what):
                self.assertEqual(self.accepted(headers, query), status)

    def test_reads_use_only_the_first_token(self):
        self.daemon.put(b"foo")
        target = "/" + self.daemon.sign(FOO + "+3", ACTIVE_TOKEN)
        self.assertEqual(self.daemon.request("GET", target, headers={"Authorization": f"OAuth2 {ACTIVE_TOKEN}"}).status, 200)
        self.assertEqual(self.daemon.request("GET", f"{target}?api_token={ACTIVE_TOKEN}").status, 200)
        self.assertEqual(self.daemon.request("GET", target, headers={"Cookie": cookie(ACTIVE_TOKEN)}).status, 200)
        self.assertEqual(self.daemon.request("GET", target, headers={"Authorization": basic("x", ACTIVE_TOKEN)}).status, 200)
        response = self.daemon.request("GET", f"{target}?api_token={ACTIVE_TOKEN}", "other")
        self.assert_reply(response, 400, "invalid signature\n")
        response = self.daemon.request("GET", f"{target}?api_token=")
        self.assert_reply(response, 401, "no token provided in Authorization header\n")

    def test_secrets_in_unusual_places_are_not_logged(self):
        # The log of the shared daemon is searched for every canary at the end.
        self.daemon.request("GET", f"/index?api_token={SYSTEM_ROOT_TOKEN}&x=1")
        self.daemon.request("GET", f"/nowhere?x=1&api_token={ACTIVE_TOKEN}")
        self.daemon.request("GET", f"/nowhere?api%5ftoken={ACTIVE_TOKEN}")
        self.daemon.request("GET", "/" + self.daemon.sign(FOO + "+3", ACTIVE_TOKEN) + "junk", ACTIVE_TOKEN)
        self.daemon.request("GET", "/" + self.daemon.sign(FOO + "+3", ACTIVE_TOKEN).replace("+A", "%2BA"), ACTIVE_TOKEN)
        self.daemon.request("PUT", "/untrash/" + self.daemon.sign(FOO + "+3", ACTIVE_TOKEN), ACTIVE_TOKEN)
        self.daemon.request("PUT", "/" + self.daemon.sign(FOO + "+4", ACTIVE_TOKEN), ACTIVE_TOKEN, body=b"wrong")
        with self.daemon.connect() as connection:
            connection.send(f"GET /index?api_token={SYSTEM_ROOT_TOKEN} HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".encode())
            connection.rest()
        body = json.dumps([{"locator": self.daemon.sign(FOO + "+3", ACTIVE_TOKEN), "servers": ["http://127.0.0.1:1"],
                            "mount_uuid": ""}]).encode()
        self.assertEqual(self.daemon.admin("PUT", "/pull", body).status, 200)
        self.daemon.log.wait(condition=lambda e: FOO in json.dumps(e) and "pull" in json.dumps(e).lower(),
                             what="the answer to the pull item")

    def test_tokens_with_odd_bytes(self):
        for raw in (SYSTEM_ROOT_TOKEN.encode() + b"\xff", b"\xc3\xa4", b"x" * 7000):
            with self.subTest(raw[:60]), self.daemon.connect() as connection:
                connection.send(b"GET /index HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + raw + b"\r\n\r\n")
                self.assertIn(connection.read_response().status, (403, 431))


class Management(SharedDaemonCase):
    def test_metrics(self):
        for target in ("/metrics", "/metrics.json"):
            for method in ("GET", "HEAD"):
                with self.subTest(f"{method} {target}"):
                    head = method == "HEAD"
                    self.assert_reply(self.daemon.request(method, target), 401, b"" if head else "Unauthorized\n", cors=False)
                    self.assert_reply(self.daemon.request(method, target, "x"), 403, b"" if head else "Forbidden\n",
                                      cors=False)
                    self.assertEqual(self.daemon.request(method, target, MANAGEMENT_TOKEN).status, 200)
                    for headers in ({"Cookie": cookie(MANAGEMENT_TOKEN)}, {"Authorization": basic("x", MANAGEMENT_TOKEN)},
                                    {"Authorization": f"OAuth2 {MANAGEMENT_TOKEN}"}):
                        self.assertEqual(self.daemon.request(method, target, headers=headers).status, 200)
                    self.assertEqual(self.daemon.request(method, f"{target}?api_token={MANAGEMENT_TOKEN}").status, 200)

    def test_ping(self):
        request = self.daemon.request
        response = self.assert_reply(request("GET", "/_health/ping", MANAGEMENT_TOKEN), 200, '{"health":"OK"}\n', cors=False)
        self.assertEqual(response.header("Content-Type"), "application/json")
        self.assert_reply(request("GET", "/_health/ping"), 401, "authorization required\n", cors=False)
        self.assert_reply(request("GET", "/_health/ping", "x"), 403, "authorization error\n", cors=False)
        for headers in ({"Authorization": f"OAuth2 {MANAGEMENT_TOKEN}"}, {"Authorization": f"bearer {MANAGEMENT_TOKEN}"}):
            self.assertEqual(request("GET", "/_health/ping", headers=headers).status, 403)
        self.assertIn(request("GET", f"/_health/ping?api_token={MANAGEMENT_TOKEN}").status, (401, 403))

    def test_ping_other_methods(self):
        for method in ("HEAD", "POST", "PUT", "DELETE"):
            with self.subTest(method):
                response = self.daemon.request(method, "/_health/ping", MANAGEMENT_TOKEN)
                self.assertEqual((response.status, response.header("Allow")), (405, "GET, OPTIONS"))
        response = self.daemon.request("OPTIONS", "/_health/ping")
        self.assertEqual((response.status, response.header("Allow")), (200, "GET, OPTIONS"))

    def test_inspect(self):
        response = self.daemon.request("GET", "/_inspect/requests", MANAGEMENT_TOKEN)
        self.assert_reply(response, 200, cors=False)
        self.assertEqual(response.header("Content-Type"), "application/json")
        self.assertEqual(json.loads(response.text), [])
        for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"OAuth2 {MANAGEMENT_TOKEN}"},
                        {"Cookie": cookie(MANAGEMENT_TOKEN)}):
            with self.subTest(headers):
                response = self.daemon.request("GET", "/_inspect/requests", headers=headers)
                self.assert_reply(response, 401, cors=False)
                self.assertEqual(json.loads(response.text), {"errors": ["unauthorized"]})


class NoTokensConfigured(KeepstoreCase):
    def test_empty_management_token(self):
        daemon = self.start(ManagementToken="")
        self.assertEqual(daemon.request("GET", "/metrics").status, 200)
        self.assertEqual(daemon.request("GET", "/metrics.json", "anything").status, 200)
        self.assert_reply(daemon.request("GET", "/_health/ping"), 404, "disabled\n", cors=False)
        self.assert_reply(daemon.request("GET", "/_health/ping", ""), 404, "disabled\n", cors=False)
        for token in (None, "", "x"):
            self.assertEqual(daemon.request("GET", "/_inspect/requests", token).status, 401)

    def test_empty_system_root_token_closes_the_admin_api(self):
        daemon = self.start(SystemRootToken="")
        for method, target in ADMIN:
            for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": basic("x", "")}, {"Authorization": "Bearer "}):
                with self.subTest(f"{method} {target} {headers}"):
                    self.assertIn(daemon.request(method, target, headers=headers).status, (401, 403))
        self.assertIn(daemon.request("GET", "/index?api_token=").status, (401, 403))
        self.assertTrue([e for e in daemon.log.entries(level="warning") if "SystemRootToken" in json.dumps(e)])


if __name__ == "__main__":
    main()
