"""The bytes on the wire: malformed HTTP/1.1 is refused and the connection closed, so that a proxy and a server cannot disagree
about the end of a request."""

import unittest

from support.case import SharedDaemonCase, main
from support.client import Closed, build_request, chunked
from support.daemon import ACTIVE_TOKEN, SYSTEM_ROOT_TOKEN
from support.locator import md5

FOO = md5(b"foo")
# A request that must get no response when it is smuggled after a refused one.
SMUGGLED = b"OPTIONS /smuggled HTTP/1.1\r\nHost: a\r\nX-Request-Id: smuggled\r\n\r\n"
AUTH = f"Authorization: Bearer {SYSTEM_ROOT_TOKEN}\r\n".encode()


def put(headers, body, version=b"HTTP/1.1", host=b"Host: a\r\n"):
    return b"PUT /" + FOO.encode() + b" " + version + b"\r\n" + host + headers + b"\r\n" + body


# (what, bytes, accepted statuses). Each must close the connection without a second response.
REFUSED = [
    ("length and chunked", put(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", chunked(b"foo")), {400}),
    ("chunked and length", put(b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", chunked(b"foo")), {400}),
    ("length 0 and chunked", put(b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", chunked(b"foo")), {400}),
    ("two different lengths", put(b"Content-Length: 3\r\nContent-Length: 4\r\n", b"foo"), {400}),
    ("two equal lengths", put(b"Content-Length: 3\r\nContent-Length: 3\r\n", b"foo"), {400}),
    ("a list of lengths", put(b"Content-Length: 3, 3\r\n", b"foo"), {400}),
    ("empty length", put(b"Content-Length: \r\n", b""), {400}),
    ("signed length +", put(b"Content-Length: +3\r\n", b"foo"), {400}),
    ("signed length -", put(b"Content-Length: -3\r\n", b"foo"), {400}),
    ("hex length", put(b"Content-Length: 0x3\r\n", b"foo"), {400}),
    ("length with a space inside", put(b"Content-Length: 3 0\r\n", b"foo"), {400}),
    ("length with a letter", put(b"Content-Length: 3f\r\n", b"foo"), {400}),
    ("length beyond 64 bits", put(b"Content-Length: 18446744073709551619\r\n", b"foo"), {400, 413}),
    ("length beyond 65 digits", put(b"Content-Length: " + b"9" * 66 + b"\r\n", b"foo"), {400, 413}),
    ("coding gzip", put(b"Transfer-Encoding: gzip\r\n", b"foo"), {501}),
    ("coding identity", put(b"Transfer-Encoding: identity\r\n", b"foo"), {501}),
    ("coding gzip, chunked", put(b"Transfer-Encoding: gzip, chunked\r\n", chunked(b"foo")), {501}),
    ("coding chunked, gzip", put(b"Transfer-Encoding: chunked, gzip\r\n", chunked(b"foo")), {501, 400}),
    ("coding chunked twice", put(b"Transfer-Encoding: chunked, chunked\r\n", chunked(b"foo")), {501, 400}),
    ("coding chunked in two headers", put(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", chunked(b"foo")),
     {501, 400}),
    ("coding identity before chunked", put(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", chunked(b"foo")),
     {501, 400}),
    ("coding xchunked", put(b"Transfer-Encoding: xchunked\r\n", chunked(b"foo")), {501}),
    ("coding with vertical tab", put(b"Transfer-Encoding: \x0bchunked\r\n", chunked(b"foo")), {501, 400}),
    ("coding with parameter", put(b"Transfer-Encoding: chunked;a=b\r\n", chunked(b"foo")), {501, 400}),
    ("empty coding", put(b"Transfer-Encoding: \r\n", chunked(b"foo")), {501, 400}),
    ("coding and two lengths", put(b"Transfer-Encoding: x\r\nContent-Length: 3\r\n", b"foo"), {501, 400}),
    ("chunked on 1.0", put(b"Transfer-Encoding: chunked\r\n", chunked(b"foo"), b"HTTP/1.0"), {400, 501}),
    ("space before the colon", put(b"Content-Length : 3\r\n", b"foo"), {400}),
    ("space before the colon of the coding", put(b"Transfer-Encoding : chunked\r\n", chunked(b"foo")), {400}),
    ("folded header", put(b"X-A: b\r\n folded\r\nContent-Length: 3\r\n", b"foo"), {400}),
    ("folded with a tab", put(b"X-A: b\r\n\tfolded\r\nContent-Length: 3\r\n", b"foo"), {400}),
    ("folded first header", put(b"", b"", host=b" Host: a\r\nHost: a\r\n"), {400}),
    ("folded coding", put(b"Transfer-Encoding:\r\n chunked\r\n", chunked(b"foo")), {400}),
    ("bare LF after the request line", b"GET / HTTP/1.1\nHost: a\r\n\r\n", {400}),
    ("bare LF after a header", b"GET / HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n", {400}),
    ("bare LF at the end", b"GET / HTTP/1.1\r\nHost: a\r\n\n", {400}),
    ("only bare LF", b"GET / HTTP/1.1\nHost: a\n\n", {400}),
    ("bare CR in a header value", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n", {400}),
    ("bare CR as line end", b"GET / HTTP/1.1\r\nHost: a\rX-A: b\r\n\r\n", {400}),
    ("NUL in a header value", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n", {400}),
    ("NUL in a header name", b"GET / HTTP/1.1\r\nHost: a\r\nX\0A: b\r\n\r\n", {400}),
    ("NUL in the target", b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("control byte in a header value", b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b\x01c\r\n\r\n", {400}),
    ("control byte in the target", b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("no header name", b"GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", {400}),
    ("no colon", b"GET / HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n", {400}),
    ("bracket in a header name", b"GET / HTTP/1.1\r\nHost: a\r\nX[A]: b\r\n\r\n", {400}),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", {400}),
    ("two Hosts", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", {400}),
    ("Host with a space", b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", {400}),
    ("leading empty line", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("lower-case version", b"GET / http/1.1\r\nHost: a\r\n\r\n", {400}),
    ("no version", b"GET /\r\nHost: a\r\n\r\n", {400}),
    ("version 1.11", b"GET / HTTP/1.11\r\nHost: a\r\n\r\n", {400, 505}),
    ("version 2.0 in clear", b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", {505}),
    ("version 0.9", b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", {400, 505}),
    ("two spaces after the method", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("space in the target", b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("space after the version", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", {400}),
    ("tab instead of a space", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("target without a slash", b"GET abc HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("bad method", b"GE(T / HTTP/1.1\r\nHost: a\r\n\r\n", {400}),
    ("TLS hello on a plain port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64 + b"\r\n\r\n", {400}),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, 505}),
    ("Expect something else", put(b"Content-Length: 3\r\nExpect: 200-ok\r\n", b"foo"), {417}),
]

BAD_CHUNKS = [
    ("no hex", b"xyz\r\nfoo\r\n0\r\n\r\n"),
    ("signed", b"+3\r\nfoo\r\n0\r\n\r\n"),
    ("0x", b"0x3\r\nfoo\r\n0\r\n\r\n"),
    ("negative", b"-3\r\nfoo\r\n0\r\n\r\n"),
    ("empty size", b"\r\nfoo\r\n0\r\n\r\n"),
    ("leading space", b" 3\r\nfoo\r\n0\r\n\r\n"),
    ("17 digits", b"10000000000000003\r\nfoo\r\n0\r\n\r\n"),
    ("bare LF after the size", b"3\nfoo\r\n0\r\n\r\n"),
    ("bare CR after the size", b"3\rfoo\r\n0\r\n\r\n"),
    ("bare LF after the data", b"3\r\nfoo\n0\r\n\r\n"),
    ("data longer than its size", b"2\r\nfoo\r\n0\r\n\r\n"),
    ("bare LF in an extension", b"3;a\nb\r\nfoo\r\n0\r\n\r\n"),
    ("bad trailer", b"3\r\nfoo\r\n0\r\nno colon\r\n\r\n"),
]


class Framing(SharedDaemonCase):
    def replies(self, data):
        """Sends `data` and a smuggled request. Returns the one response, and all bytes after it until the daemon closed."""
        with self.daemon.connect() as connection:
            connection.send_tolerant(data + SMUGGLED)
            response = connection.read_response()
            return response, connection.rest(10)

    def test_refused_and_closed(self):
        for what, data, statuses in REFUSED:
            with self.subTest(what):
                response, rest = self.replies(data)
                self.assertIn(response.status, statuses, response)
                self.assertEqual(rest, b"", "a second reply on a refused connection")
                self.assertEqual((response.header("Connection") or "").lower(), "close")

    def test_the_form_of_refusals_by_the_parser(self):
        response, _ = self.replies(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        self.assertTrue(response.text.startswith("400 Bad Request"), response)
        self.assertFalse(response.text.endswith("\n"))
        self.assert_no_cors(response)
        self.assertIsNone(response.header("X-Request-Id"))

    def test_the_form_of_refusals_of_unsupported_codings(self):
        response, _ = self.replies(put(b"Transfer-Encoding: gzip\r\n", b""))
        self.assertIn("Unsupported transfer encoding", response.text)

    def test_bad_chunks(self):
        for what, body in BAD_CHUNKS:
            for path in ("/" + FOO, "/trash"):
                with self.subTest(f"{what} {path}"), self.daemon.connect() as connection:
                    head = f"PUT {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n".encode() + AUTH + b"\r\n"
                    connection.send_tolerant(head + body + SMUGGLED)
                    try:
                        response = connection.read_response()
                        # "data longer than its size" of a list: "fo" is bad JSON, which may be noticed first.
                        self.assertIn(response.status, (400, 500) if path == "/trash" else (400, 499), response)
                    except Closed:
                        pass
                    self.assertNotIn(b"smuggled", connection.rest(10))
        self.assertEqual(self.daemon.admin("GET", "/index/" + FOO).text.count(FOO) <= 1, True)
        self.daemon.assert_nothing_held()

    def test_oversized_headers(self):
        for what, data in (("one header", b"X-Big: " + b"a" * (2 << 20) + b"\r\n\r\n"),
                           ("many headers", b"".join(b"X-%d: %s\r\n" % (i, b"b" * 100) for i in range(20000)) + b"\r\n"),
                           ("no end", b"X-Big: " + b"a" * (2 << 20))):
            with self.subTest(what), self.daemon.connect() as connection:
                connection.send_tolerant(b"GET / HTTP/1.1\r\nHost: a\r\n" + data)
                self.assertEqual(connection.read_response().status, 431)
                self.assertEqual(connection.rest(10), b"")

    def test_oversized_target(self):
        with self.daemon.connect() as connection:
            connection.send_tolerant(b"GET /" + b"a" * (2 << 20) + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(connection.read_response().status, (400, 414, 431))
            self.assertEqual(connection.rest(10), b"")

    def test_proper_requests_with_unusual_parts_are_served(self):
        for what, data, status in [
            ("empty Host", b"OPTIONS / HTTP/1.1\r\nHost:\r\n\r\n", 200),
            ("no Host on 1.0", b"OPTIONS / HTTP/1.0\r\n\r\n", 200),
            ("bytes over 127 in a value", b"OPTIONS / HTTP/1.1\r\nHost: a\r\nX-A: \xff\xfe\xc3\xa4\r\n\r\n", 200),
            ("tabs around a value", b"OPTIONS / HTTP/1.1\r\nHost:\ta\t\r\nX-A: \t b \t\r\n\r\n", 200),
            ("length with zeros", put(b"Content-Length: 003\r\n", b"foo"), 200),
            ("coding in upper case", put(b"Transfer-Encoding: CHUNKED\r\n", chunked(b"foo")), 200),
            ("coding with spaces", put(b"Transfer-Encoding:  chunked \r\n", chunked(b"foo")), 200),
            ("chunk extension", put(b"Transfer-Encoding: chunked\r\n", chunked(b"foo", extension=b";a=b")), 200),
            ("trailers", put(b"Transfer-Encoding: chunked\r\n", chunked(b"foo", trailers=b"X-T: 1\r\n")), 200),
            ("sizes with zeros", put(b"Transfer-Encoding: chunked\r\n", b"0003\r\nfoo\r\n000\r\n\r\n"), 200),
            ("one byte chunks", put(b"Transfer-Encoding: chunked\r\n", chunked(b"foo", piece=1)), 200),
            ("upper-case chunk size", b"PUT /" + md5(b"x" * 10).encode() + b" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
             b"chunked\r\n\r\nA\r\n" + b"x" * 10 + b"\r\n0\r\n\r\n", 200),
            ("body on GET", b"GET /index/ffff HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n" + AUTH + b"\r\nfoo", 200),
            ("body on OPTIONS", b"OPTIONS / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nfoo", 200),
        ]:
            with self.subTest(what), self.daemon.connect() as connection:
                connection.send(data)
                self.assertEqual(connection.read_response().status, status)

    def test_version_1_2_is_served_or_refused_but_not_misread(self):
        with self.daemon.connect() as connection:
            connection.send(b"OPTIONS / HTTP/1.2\r\nHost: a\r\nConnection: close\r\n\r\n")
            self.assertIn(connection.read_response().status, (200, 400, 505))
            self.assertEqual(connection.rest(10), b"")

    def test_pipelining_keeps_order_and_framing(self):
        requests, wanted = b"", []
        for i in range(40):
            body = b"pipelined %d" % i
            if i % 4 == 0:
                requests += build_request("PUT", "/" + md5(body), body=body)
                wanted.append(200)
            elif i % 4 == 1:
                requests += build_request("PUT", "/" + md5(body), [("Transfer-Encoding", "chunked")], chunked(body, 5))
                wanted.append(200)
            elif i % 4 == 2:
                requests += build_request("GET", "/nothing", body=b"unread body")
                wanted.append(400)
            else:
                requests += build_request("PUT", "/" + md5(b"other"), body=body)
                wanted.append(400)
        with self.daemon.connect() as connection:
            connection.send(requests)
            self.assertEqual([connection.read_response().status for _ in wanted], wanted)
            self.assertTrue(connection.is_open())

    def test_pipelined_requests_split_anywhere(self):
        body = b"split anywhere"
        data = (build_request("PUT", "/" + md5(body), [("Transfer-Encoding", "chunked")], chunked(body, 4))
                + build_request("GET", "/index/" + md5(body), {"Authorization": f"Bearer {SYSTEM_ROOT_TOKEN}"}))
        for cut in range(1, len(data), 3):
            with self.daemon.connect() as connection:
                connection.send(data[:cut])
                connection.send(data[cut:])
                self.assertEqual([connection.read_response().status for _ in range(2)], [200, 200], f"cut at {cut}")

    def test_byte_by_byte(self):
        with self.daemon.connect() as connection:
            for byte in build_request("PUT", "/" + FOO, body=b"foo"):
                connection.send(bytes([byte]))
            self.assertEqual(connection.read_response().status, 200)

    def test_expect_100_continue(self):
        body = b"continue"
        head = build_request("PUT", "/" + md5(body), {"Expect": "100-continue", "Content-Length": str(len(body))})
        with self.daemon.connect() as connection:
            connection.send(head)
            response = connection.read_head()
            self.assertEqual(response.status, 100)
            self.assertEqual(response.headers, [])
            connection.send(body)
            self.assertEqual(connection.read_response().status, 200)

    def test_expect_100_continue_in_other_case(self):
        with self.daemon.connect() as connection:
            connection.send(build_request("PUT", "/" + FOO, {"Expect": "100-Continue", "Content-Length": "3"}))
            self.assertEqual(connection.read_head().status, 100)
            connection.send(b"foo")
            self.assertEqual(connection.read_response().status, 200)

    def test_refused_expectation_gets_no_100_and_no_body_is_awaited(self):
        for method, target, status in (("PUT", "/nowhere", 400), ("PUT", "/pull", 401)):
            with self.subTest(target), self.daemon.connect() as connection:
                connection.send(build_request(method, target, {"Expect": "100-continue", "Content-Length": "1000000"}))
                response = connection.read_response(skip_continue=False)
                self.assertEqual(response.status, status)
                self.assertEqual(connection.rest(10), b"")

    def test_too_large_expectation_is_refused_at_once(self):
        with self.daemon.connect() as connection:
            connection.send(build_request("PUT", "/" + FOO, {"Expect": "100-continue", "Content-Length": str((64 << 20) + 1)}))
            self.assertEqual(connection.read_response(skip_continue=False).status, 413)

    def test_early_refusal_does_not_wait_for_the_body(self):
        with self.daemon.connect() as connection:
            connection.send(build_request("PUT", "/pull", {"Content-Length": "100000"}) + b"[")
            self.assertEqual(connection.read_response().status, 401)

    def test_early_refusal_reaches_a_client_that_continues_sending(self):
        for size in (100_000, 4_000_000):
            with self.subTest(size), self.daemon.connect() as connection:
                connection.send_tolerant(build_request("PUT", "/pull", {"Content-Length": str(size)}) + b" " * size)
                self.assertEqual(connection.read_response().status, 401)

    def test_keep_alive_and_close(self):
        with self.daemon.connect() as connection:
            for _ in range(3):
                self.assertEqual(connection.request("OPTIONS", "/").status, 200)
            self.assertEqual(connection.request("OPTIONS", "/", {"Connection": "close"}).status, 200)
            self.assertEqual(connection.rest(10), b"")
        with self.daemon.connect() as connection:
            self.assertEqual(connection.request("OPTIONS", "/", version="HTTP/1.0").status, 200)
            self.assertEqual(connection.rest(10), b"")
        with self.daemon.connect() as connection:
            response = connection.request("OPTIONS", "/", {"Connection": "keep-alive"}, version="HTTP/1.0")
            if (response.header("Connection") or "").lower() == "keep-alive":
                self.assertEqual(connection.request("OPTIONS", "/", version="HTTP/1.0").status, 200)

    def test_index_to_a_1_0_client_is_not_chunked(self):
        with self.daemon.connect() as connection:
            response = connection.request("GET", "/index/ffff", {"Authorization": f"Bearer {SYSTEM_ROOT_TOKEN}"},
                                          version="HTTP/1.0")
            self.assertEqual((response.status, response.body), (200, b"\n"))
            self.assertIsNone(response.header("Transfer-Encoding"))

    def test_head_has_no_body_and_the_connection_goes_on(self):
        self.daemon.put(b"foo")
        with self.daemon.connect() as connection:
            headers = {"Authorization": f"Bearer {ACTIVE_TOKEN}"}
            for _ in range(2):
                response = connection.request("HEAD", "/" + self.daemon.sign(FOO + "+3"), headers)
                self.assertEqual((response.status, response.header("Content-Length")), (200, "3"))
                self.assertEqual(connection.request("HEAD", "/nothing", headers).status, 400)
            self.assertEqual(connection.request("GET", "/" + self.daemon.sign(FOO + "+3"), headers).body, b"foo")

    def test_header_values_are_not_reflected_raw(self):
        response = self.daemon.request("OPTIONS", "/", headers={"X-Request-Id": "a\tb"})
        self.assertNotIn("\n", response.header("X-Request-Id"))
        response = self.daemon.request("OPTIONS", "/", headers={"X-Request-Id": "i" * 5000})
        self.assertEqual(response.status, 200)
        self.assertLessEqual(len(response.header("X-Request-Id")), 5000)


if __name__ == "__main__":
    main()
