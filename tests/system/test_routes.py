"""Every route and every refusal of the router: status, body, CORS headers, request ids."""

import re
import unittest

from support.case import SharedDaemonCase, main
from support.daemon import ACTIVE_TOKEN, SYSTEM_ROOT_TOKEN, volume_uuid
from support.locator import EMPTY, md5

FOO = md5(b"foo")
MISSING = "a" * 32
BAD_REQUEST = "Bad Request\n"
NOT_FOUND = "file does not exist\n"


class Routes(SharedDaemonCase):
    sections = {"Collections": {"BlobTrashLifetime": "1h"}}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        assert cls.daemon.put(b"foo").status == 200

    def test_everything_else_is_a_bad_request(self):
        for trial in [
            "GET /", "GET /xyz", "GET /untrash", "GET /mounts/blocks/123", "GET /trash",
            "GET /pull", "GET /debug.json", "GET /status.json", "POST /", f"POST /{MISSING}", "POST /trash",
            "PROPFIND /", "MAKE-COFFEE /",
            # Known paths, wrong methods.
            "PUT /index", "POST /index", "DELETE /index", "TOUCH /index", "PUT /mounts", "DELETE /mounts",
            f"PUT /mounts/{volume_uuid(0)}/blocks", "DELETE /pull", "TOUCH /trash", "PUT /",
            f"GET /untrash/{MISSING}", f"TOUCH /untrash/{MISSING}", f"DELETE /untrash/{MISSING}",
            f"PATCH /{MISSING}", f"put /{MISSING}", "PUT /untrash", "PUT /untrash/", "PUT /trash/", "PUT /pull/",
            # Malformed names.
            f"GET /{MISSING[:31]}", f"GET /{MISSING.upper()}", f"PUT /{MISSING[:31]}", f"PUT /{FOO.upper()}",
            f"DELETE /{MISSING[:31]}", f"TOUCH /{MISSING.upper()}", f"GET /g{MISSING[1:]}+3", f"GET /{MISSING}%0A+3",
            # Malformed index prefixes in the path.
            "GET /index/xyz", "GET /index/ABC", f"GET /index/{MISSING}a", "GET /index/abc/", "GET /indexes", "GET /mounts/",
            f"GET /mounts/{volume_uuid(0)}", f"GET /mounts/{volume_uuid(0)}/blocks/xyz",
            # Doubled slashes, except for reading a block.
            f"PUT //{FOO}", "GET //mounts", "GET //index", "GET /index//", f"DELETE //{FOO}", f"TOUCH //{FOO}",
            f"GET ///{FOO}+3", f"PUT /untrash//{FOO}", "PUT //pull",
            # Next to the management endpoints.
            "GET /_health/other", "GET /_inspect", "POST /_inspect/requests", "HEAD /_inspect/requests",
            "POST /metrics", "PUT /metrics.json", "GET /metrics/",
        ]:
            with self.subTest(trial):
                method, target = trial.split(" ")
                response = self.daemon.request(method, target, SYSTEM_ROOT_TOKEN)
                self.assert_reply(response, 400, b"" if method == "HEAD" else BAD_REQUEST)
                self.assertRegex(response.header("X-Request-Id"), r"^req-[a-z0-9]{20}$")

    def test_a_hash_followed_by_junk_is_no_locator(self):
        for target in (MISSING + "bcdefg", MISSING + "junk", MISSING + "a", MISSING + "+", MISSING + "/", MISSING + "-3"):
            with self.subTest(target):
                self.assert_reply(self.daemon.request("GET", "/" + target, ACTIVE_TOKEN), 400)

    def test_path_traversal_reaches_nothing(self):
        for target in ["/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", f"/{MISSING}/../../etc/passwd",
                       f"/{MISSING}%2f..%2f..%2fetc%2fpasswd", "/index/../../etc", "/..%00", "/%00"]:
            with self.subTest(target):
                response = self.daemon.request("GET", target, SYSTEM_ROOT_TOKEN)
                self.assertEqual(response.status, 400, response)
                self.assertNotIn(b"root:", response.body)

    def test_bad_percent_escapes_are_refused(self):
        for target in ["/%", "/%4", "/%zz", f"/{MISSING}%"]:
            with self.subTest(target):
                self.assertEqual(self.daemon.request("GET", target, SYSTEM_ROOT_TOKEN).status, 400)

    def test_paths_are_matched_decoded(self):
        locator = self.daemon.sign(FOO + "+3", ACTIVE_TOKEN)
        self.assert_reply(self.daemon.request("GET", "/%61" + locator[1:], ACTIVE_TOKEN), 200, "foo")
        self.assert_reply(self.daemon.request("GET", "/" + locator.replace("+", "%2B"), ACTIVE_TOKEN), 200, "foo")
        self.assert_reply(self.daemon.request("GET", "/" + locator.replace("@", "%40"), ACTIVE_TOKEN), 200, "foo")
        self.assertEqual(self.daemon.admin("GET", "/%69ndex").status, 200)

    def test_get_and_head_of_a_block(self):
        locator = "/" + self.daemon.sign(FOO + "+3", ACTIVE_TOKEN)
        for target in (locator, "/" + locator, "http://keep.example" + locator):
            with self.subTest(target):
                response = self.assert_reply(self.daemon.request("GET", target, ACTIVE_TOKEN), 200, "foo")
                self.assertEqual(response.header("Content-Length"), "3")
                self.assertEqual(response.header("Vary"), "X-Keep-Signature")
                response = self.assert_reply(self.daemon.request("HEAD", target, ACTIVE_TOKEN), 200, b"")
                self.assertEqual(response.header("Content-Length"), "3")
                self.assertEqual(response.header("Vary"), "X-Keep-Signature")

    def test_the_query_does_not_change_the_route(self):
        locator = "/" + self.daemon.sign(FOO + "+3", ACTIVE_TOKEN)
        self.assert_reply(self.daemon.request("GET", locator + "?a=b&c", ACTIVE_TOKEN), 200, "foo")

    def test_get_without_size_is_not_allowed(self):
        for target in (FOO, self.daemon.sign(FOO, ACTIVE_TOKEN), FOO + "+0", FOO + "+3x", FOO + "+K@xyzzy"):
            with self.subTest(target):
                response = self.daemon.request("GET", "/" + target, ACTIVE_TOKEN)
                self.assertIn(response.status, (400, 405) if target in (FOO + "+0", FOO + "+3x") else (405,), response)
                self.assert_cors(response)

    def test_head_without_size_tells_it(self):
        response = self.daemon.request("HEAD", "/" + self.daemon.sign(FOO, ACTIVE_TOKEN), ACTIVE_TOKEN)
        self.assert_reply(response, 200, b"")
        self.assertEqual(response.header("Content-Length"), "3")

    def test_missing_block(self):
        locator = self.daemon.sign(MISSING + "+3", ACTIVE_TOKEN)
        response = self.assert_reply(self.daemon.request("GET", "/" + locator, ACTIVE_TOKEN), 404, NOT_FOUND)
        self.assertEqual(response.header("Vary"), "X-Keep-Signature")
        self.assertTrue((response.header("Content-Type") or "text/plain").startswith("text/plain"))
        self.assert_reply(self.daemon.request("HEAD", "/" + locator, ACTIVE_TOKEN), 404, b"")
        self.assert_reply(self.daemon.admin("TOUCH", f"/{MISSING}+3"), 404, NOT_FOUND)
        self.assert_reply(self.daemon.admin("DELETE", f"/{MISSING}+3"), 404, NOT_FOUND)
        self.assert_reply(self.daemon.admin("PUT", f"/untrash/{MISSING}"), 404, NOT_FOUND)

    def test_unknown_mount(self):
        for target in ("/mounts/zzzzz-nyw5e-xxxxxxxxxxxxxxx/blocks", "/mounts/X/blocks/abc", "/mounts/X/blocks?prefix=abc"):
            with self.subTest(target):
                self.assert_reply(self.daemon.admin("GET", target), 404, NOT_FOUND)

    def test_put_replies_with_the_locator(self):
        response = self.assert_reply(self.daemon.put(b"routes"), 200)
        self.assertRegex(response.text, "^" + re.escape(md5(b"routes")) + r"\+6\+A[0-9a-f]{40}@[0-9a-f]{8}\n$")
        self.assertEqual(response.header("X-Keep-Replicas-Stored"), "1")
        self.assertEqual(response.header("X-Keep-Storage-Classes-Confirmed"), "default=1")
        self.assert_reply(self.daemon.request("GET", "/" + response.text.strip(), ACTIVE_TOKEN), 200, "routes")

    def test_put_only_needs_the_path_to_start_with_the_hash(self):
        for suffix in ("+3", "junk", "+3+Zfoo", "+999"):
            with self.subTest(suffix):
                response = self.daemon.request("PUT", f"/{FOO}{suffix}", ACTIVE_TOKEN, body=b"foo")
                self.assert_reply(response, 200)
                self.assertTrue(response.text.startswith(FOO + "+3+A"))

    def test_put_without_token_gives_an_unsigned_locator(self):
        response = self.daemon.request("PUT", "/" + FOO, body=b"foo")
        self.assert_reply(response, 200, FOO + "+3\n")

    def test_empty_block(self):
        response = self.assert_reply(self.daemon.request("PUT", "/" + EMPTY, ACTIVE_TOKEN), 200)
        self.assertTrue(response.text.startswith(EMPTY + "+0+A"))
        for locator in (EMPTY + "+0", EMPTY):
            with self.subTest(locator):
                response = self.daemon.get(locator)
                self.assert_reply(response, 200, b"")
                self.assertEqual(response.header("Content-Length"), "0")

    def test_touch_delete_untrash_succeed(self):
        body = b"touch me"
        self.daemon.put(body)
        self.assert_reply(self.daemon.admin("TOUCH", f"/{md5(body)}+8"), 200, b"")
        self.assert_reply(self.daemon.admin("DELETE", f"/{md5(body)}+8"), 200)  # New: kept, and still a success.
        self.assert_reply(self.daemon.get(md5(body) + "+8"), 200, body)

    def test_index_forms(self):
        for target in ("/index", "/index/", "/index/acb", "/index?prefix=acb", f"/index/{FOO}", "/mounts",
                       f"/mounts/{volume_uuid(0)}/blocks", f"/mounts/{volume_uuid(0)}/blocks/",
                       f"/mounts/{volume_uuid(0)}/blocks/acb", f"/mounts/{volume_uuid(0)}/blocks?prefix=acb"):
            with self.subTest(target):
                self.assert_reply(self.daemon.admin("GET", target), 200)
                self.assert_reply(self.daemon.admin("HEAD", target), 200, b"")

    def test_lists_are_accepted(self):
        for target in ("/pull", "/trash"):
            with self.subTest(target):
                self.assert_reply(self.daemon.admin("PUT", target, b"[]"), 200, b"")

    def test_cors_preflight(self):
        for target in ("/", "/whatever", f"/{MISSING}+123", "//x", "/index", "/pull"):
            with self.subTest(target):
                self.assert_reply(self.daemon.request("OPTIONS", target), 200, b"")

    def test_options_star(self):
        response = self.daemon.request("OPTIONS", "*")
        self.assertEqual((response.status, response.header("Content-Length")), (200, "0"))

    def test_request_ids(self):
        for method, target in (("GET", "/"), ("OPTIONS", "/"), ("GET", "/index"), ("GET", "/" + MISSING)):
            with self.subTest(target):
                first = self.daemon.request(method, target).header("X-Request-Id")
                second = self.daemon.request(method, target, headers={"X-Request-Id": ""}).header("X-Request-Id")
                self.assertRegex(first, r"^req-[a-z0-9]{20}$")
                self.assertRegex(second, r"^req-[a-z0-9]{20}$")
                self.assertNotEqual(first, second)
                response = self.daemon.request(method, target, headers={"X-Request-Id": "my-own_ID.1"})
                self.assertEqual(response.header("X-Request-Id"), "my-own_ID.1")

    def test_connect_and_absolute_form_without_path(self):
        for head in (b"CONNECT keep.example:443 HTTP/1.1\r\nHost: keep.example:443\r\n\r\n",
                     b"GET http://keep.example HTTP/1.1\r\nHost: keep.example\r\n\r\n"):
            with self.subTest(head), self.daemon.connect() as connection:
                connection.send(head)
                self.assertEqual(connection.read_response().status, 400)

    def test_error_bodies_show_no_path(self):
        for method, target in (("GET", f"/{MISSING}+3"), ("DELETE", f"/{MISSING}"), ("PUT", f"/untrash/{MISSING}")):
            with self.subTest(target):
                response = self.daemon.admin(method, target)
                self.assertNotIn("/", response.text)


class SigningOff(SharedDaemonCase):
    sections = {"Collections": {"BlobSigning": False, "BlobSigningKey": ""}}

    def test_any_token_or_none_reads(self):
        response = self.assert_reply(self.daemon.put(b"foo"), 200, FOO + "+3\n")
        self.assertNotIn("+A", response.text)
        foreign = f"{FOO}+3+A{'0' * 40}@7fffffff"
        for locator in (FOO + "+3", foreign, FOO + "+3+Zhint"):
            for token in (None, "any", ACTIVE_TOKEN):
                with self.subTest(locator=locator, token=token):
                    self.assert_reply(self.daemon.request("GET", "/" + locator, token), 200, "foo")

    def test_head_needs_no_size_but_get_does(self):
        self.daemon.put(b"foo")
        self.assert_reply(self.daemon.request("GET", "/" + FOO), 405)
        response = self.assert_reply(self.daemon.request("HEAD", "/" + FOO), 200, b"")
        self.assertEqual(response.header("Content-Length"), "3")

    def test_wrong_size_hints_never_give_wrong_bytes(self):
        self.daemon.put(b"foo")
        for hint in ("-5", "0x3", " 3", "+3", "67108865", "2147483648", "9223372036854775808",
                     "18446744073709551616", "%203", "3.0", "1e0", "99999999999999999999999999"):
            with self.subTest(hint):
                response = self.daemon.request("GET", f"/{FOO}+{hint}".replace(" ", "%20"))
                self.assertIn(response.status, (400, 405), response)
                self.assert_cors(response)

    def test_a_hint_that_differs_from_the_stored_size_never_gives_a_complete_200(self):
        self.daemon.put(b"foo")
        for hint in ("1", "2", "4", "65536", "67108864"):
            with self.subTest(hint):
                self.assertEqual(self.daemon.request("GET", f"/{FOO}+{hint}").status, 502)


if __name__ == "__main__":
    main()
