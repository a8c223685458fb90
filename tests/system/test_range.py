"""GET of a part of a block: the Range and If-Range headers, the response in each case, and the right bytes."""

import os
import random
import time

from support.case import KeepstoreCase, SharedDaemonCase, main, seed
from support.client import build_request
from support.daemon import ACTIVE_TOKEN, block_path
from support.locator import EMPTY, md5, plain, sign

MiB = 1 << 20
SMALL = 262_144  # Blocks up to this are verified before the first byte, larger ones while they are sent.


def forget_attributes(path):
    """Removes the attributes that the daemon stores with a block's content. Returns their number."""
    names = [n for n in os.listxattr(path) if n.startswith("user.")]
    for name in names:
        os.removexattr(path, name)
    return len(names)


class RangeCase(KeepstoreCase):
    def fetch(self, daemon, data, header, more=(), locator=None):
        return daemon.get(locator or plain(data), headers=[("Range", header), *more])

    def assert_block_headers(self, response, data):
        self.assertEqual(response.header("Accept-Ranges"), "bytes")
        self.assertEqual(response.header("ETag"), f'"{md5(data)}"')

    def assert_part(self, response, data, start, end):
        """A 206 with data[start:end]."""
        self.assert_reply(response, 206)
        self.assertTrue(response.body == data[start:end], f"bytes {start}-{end - 1} of {len(data)}")
        self.assertEqual(response.header("Content-Range"), f"bytes {start}-{end - 1}/{len(data)}")
        self.assertEqual(response.header("Content-Length"), str(end - start))
        self.assertEqual(response.header("Content-Type"), "application/octet-stream")
        self.assert_block_headers(response, data)

    def assert_whole(self, response, data):
        self.assert_reply(response, 200)
        self.assertTrue(response.body == data)
        self.assertIsNone(response.header("Content-Range"))
        self.assert_block_headers(response, data)

    def assert_beyond(self, response, size):
        self.assert_reply(response, 416)
        self.assertEqual(response.header("Content-Range"), f"bytes */{size}")

    def check_random_ranges(self, daemon, data, generator, count):
        for _ in range(count):
            start = generator.randrange(len(data))
            end = min(len(data), start + generator.choice((1, 100, 70_000, SMALL, 3 * MiB, len(data))))
            # Many begin or end near the boundaries of segments and pieces.
            if generator.random() < 0.5:
                start = max(0, min(len(data) - 1, start // 65536 * 65536 + generator.randrange(-2, 3)))
                end = max(end, start + 1)
            self.assert_part(self.fetch(daemon, data, f"bytes={start}-{end - 1}"), data, start, end)


class Ranges(SharedDaemonCase, RangeCase):
    def tearDown(self):
        self.daemon.assert_nothing_held()
        super().tearDown()

    def test_what_a_range_means(self):
        for size in (1, 1000, SMALL, SMALL + 1, 5 * MiB + 3):
            data = os.urandom(size)
            self.daemon.put(data)
            last, middle = size - 1, size // 2
            for header, start, end in (
                    ("bytes=0-0", 0, 1), (f"bytes={last}-{last}", last, size), (f"bytes={middle}-{middle}", middle, middle + 1),
                    ("bytes=-1", last, size), ("bytes=0-", 0, size), (f"bytes=0-{last}", 0, size),
                    (f"bytes={middle}-", middle, size), (f"bytes=0-{middle}", 0, middle + 1), (f"bytes=-{middle + 1}", size - middle - 1, size),
                    # Across the end.
                    (f"bytes={middle}-{size}", middle, size), (f"bytes={last}-99999999999999999999999", last, size),
                    (f"bytes=-{size + 1}", 0, size), ("bytes=-99999999999999999999999", 0, size),
                    # Other allowed spellings.
                    ("BYTES=0-0", 0, 1), ("bytes=000-00", 0, 1), ("bytes=, 0-0 ,,", 0, 1)):
                with self.subTest(size=size, header=header):
                    self.assert_part(self.fetch(self.daemon, data, header), data, start, end)

    def test_ranges_of_the_largest_block(self):
        generator = random.Random(seed())
        data = generator.randbytes(64 * MiB)
        path = block_path(self.roots[0], md5(data))
        self.daemon.put(data)
        self.check_random_ranges(self.daemon, data, generator, 30)
        forget_attributes(path)
        self.assert_part(self.fetch(self.daemon, data, "bytes=30000000-30999999"), data, 30_000_000, 31_000_000)
        for _ in range(3):
            forget_attributes(path)
            self.check_random_ranges(self.daemon, data, generator, 1)
        self.assert_whole(self.daemon.get(plain(data)), data)

    def test_random_ranges_with_and_without_attributes(self):
        generator = random.Random(seed())
        for size in (70_000, SMALL, 2 * MiB, 3 * MiB + 77_777):
            data = generator.randbytes(size)
            self.daemon.put(data)
            path = block_path(self.roots[0], md5(data))
            for forgetful in (False, True):
                with self.subTest(size=size, forgetful=forgetful):
                    for _ in range(15):
                        if forgetful:
                            forget_attributes(path)
                        self.check_random_ranges(self.daemon, data, generator, 1)

    def test_malformed_ranges_get_the_whole_block(self):
        data = os.urandom(300_000)
        self.daemon.put(data)
        for header in ("", "bytes", "bytes=", "bytes=-", "bytes=x", "bytes=5-1", "bytes=0-1,5-6", "bytes=0-0,0-0", "bytes=-1,-1",
                       "bytes= 0-1", "bytes=0 - 1", "bytes=+0-1", "bytes=0-1-2", "bytes=0x0-1", "items=0-1", "bytes 0-1",
                       "bytes=0-1;q=1", "none"):
            with self.subTest(header):
                self.assert_whole(self.fetch(self.daemon, data, header), data)
        with self.subTest("two headers"):
            self.assert_whole(self.fetch(self.daemon, data, "bytes=0-0", [("Range", "bytes=1-1")]), data)

    def test_past_the_end(self):
        for size in (1, 300_000):
            data = os.urandom(size)
            self.daemon.put(data)
            for header in (f"bytes={size}-", f"bytes={size}-{size}", f"bytes={size + 5}-{size + 9}", "bytes=-0",
                           "bytes=18446744073709551615-", "bytes=18446744073709551616-18446744073709551617"):
                with self.subTest(size=size, header=header):
                    self.assert_beyond(self.fetch(self.daemon, data, header), size)

    def test_the_empty_block(self):
        self.daemon.put(b"")
        self.assert_whole(self.daemon.get(EMPTY + "+0"), b"")
        for header in ("bytes=0-", "bytes=0-0", "bytes=-1"):
            with self.subTest(header):
                self.assert_beyond(self.fetch(self.daemon, b"", header), 0)

    def test_head(self):
        for size in (0, 10, 300_000):
            data = os.urandom(size)
            self.daemon.put(data)
            for headers in ((), [("Range", "bytes=0-0")], [("Range", f"bytes={size}-")]):
                with self.subTest(size=size, headers=headers):
                    response = self.assert_reply(self.daemon.get(plain(data), method="HEAD", headers=headers), 200, b"")
                    self.assertEqual(response.header("Content-Length"), str(size))
                    self.assertIsNone(response.header("Content-Range"))
                    self.assert_block_headers(response, data)

    def test_if_range(self):
        data = os.urandom(300_000)
        self.daemon.put(data)
        tag = f'"{md5(data)}"'
        self.assert_part(self.fetch(self.daemon, data, "bytes=7-9", [("If-Range", tag)]), data, 7, 10)
        for other in ("W/" + tag, f'"{md5(b"other")}"', md5(data), f"{tag}, {tag}", "*", "Sat, 21 Nov 2026 04:02:07 GMT", ""):
            with self.subTest(other):
                self.assert_whole(self.fetch(self.daemon, data, "bytes=7-9", [("If-Range", other)]), data)
        with self.subTest("a range past the end that does not count"):
            self.assert_whole(self.fetch(self.daemon, data, "bytes=300000-", [("If-Range", '"x"')]), data)
        with self.subTest("without a range"):
            self.assert_whole(self.daemon.get(plain(data), headers={"If-Range": tag}), data)

    def test_permission_and_presence_come_first(self):
        data = os.urandom(1000)
        self.daemon.put(data)
        for header in ("bytes=0-9", "bytes=1000-"):
            with self.subTest(header):
                headers = {"Range": header}
                signed = "/" + self.daemon.sign(plain(data))
                self.assert_reply(self.daemon.request("GET", signed, None, headers), 401)
                self.assert_reply(self.daemon.request("GET", "/" + plain(data), ACTIVE_TOKEN, headers), 400)
                self.assert_reply(self.daemon.request("GET", signed, "another", headers), 400)
                forged = sign(plain(data), ACTIVE_TOKEN, "wrong key")
                self.assert_reply(self.daemon.request("GET", "/" + forged, ACTIVE_TOKEN, headers), 400)
                expired = "/" + self.daemon.sign(plain(data), expiry=time.time() - 5)
                self.assert_reply(self.daemon.request("GET", expired, ACTIVE_TOKEN, headers), 401)
                missing = self.daemon.get(f"{'e' * 32}+1000", headers=headers)
                self.assertIsNone(self.assert_reply(missing, 404).header("Content-Range"))

    def test_the_connection_stays_open(self):
        data, large = os.urandom(1000), os.urandom(2 * MiB)
        for block in (data, large):
            self.daemon.put(block)
        with self.daemon.connect() as connection:
            for block in (data, large):
                target = "/" + self.daemon.sign(plain(block))

                def get(header, target=target):
                    return connection.request("GET", target, {"Authorization": f"Bearer {ACTIVE_TOKEN}", "Range": header})

                self.assert_part(get("bytes=1-5"), block, 1, 6)
                self.assert_beyond(get(f"bytes={len(block)}-"), len(block))
                self.assert_part(get("bytes=-300"), block, len(block) - 300, len(block))
                self.assert_whole(get("bytes=0-1,2-3"), block)
                self.assert_part(get(f"bytes=0-{len(block) - 1}"), block, 0, len(block))

    def test_pipelined_ranges(self):
        data = os.urandom(600_000)
        self.daemon.put(data)
        target = "/" + self.daemon.sign(plain(data))
        with self.daemon.connect() as connection:
            connection.send(b"".join(
                build_request("GET", target, {"Authorization": f"Bearer {ACTIVE_TOKEN}", "Range": f"bytes={i}-{i + 59_999}"})
                for i in range(0, 600_000, 60_000)))
            for i in range(0, 600_000, 60_000):
                self.assert_part(connection.read_response(), data, i, i + 60_000)

    def test_http_1_0(self):
        data = os.urandom(1000)
        self.daemon.put(data)
        response = self.daemon.get(plain(data), headers={"Range": "bytes=-5"}, version="HTTP/1.0")
        self.assert_part(response, data, 995, 1000)

    def test_log(self):
        data = os.urandom(5000)
        self.daemon.put(data)
        self.fetch(self.daemon, data, "bytes=10-29", [("X-Request-Id", "req-a-part")])
        entry = self.daemon.log.wait(msg="response", RequestID="req-a-part")
        self.assertEqual((entry["respStatusCode"], entry["respStatus"], entry["respBytes"]), (206, "Partial Content", 20))
        response = self.fetch(self.daemon, data, "bytes=5000-", [("X-Request-Id", "req-beyond")])
        entry = self.daemon.log.wait(msg="response", RequestID="req-beyond")
        self.assertEqual((entry["respStatusCode"], entry["respBytes"]), (416, len(response.body)))
        self.assertEqual(entry["respBody"], response.text)

    def test_a_reader_that_leaves(self):
        data = os.urandom(8 * MiB)
        self.daemon.put(data)
        with self.daemon.connect(window=4096) as connection:
            connection.send(build_request("GET", "/" + self.daemon.sign(plain(data)), {
                "Authorization": f"Bearer {ACTIVE_TOKEN}", "Range": "bytes=1-8000000", "X-Request-Id": "req-left"}))
            self.assertEqual(connection.read_head().status, 206)
        entry = self.daemon.log.wait(msg="response", RequestID="req-left")
        self.assertEqual(entry["respStatusCode"], 499)
        self.assertLess(entry["respBytes"], 8_000_000)


class Unsigned(RangeCase):
    def test_without_signatures(self):
        daemon = self.start(Collections={"BlobSigning": False})
        data = os.urandom(1000)
        daemon.put(data)
        headers = {"Range": "bytes=0-9"}
        self.assert_part(daemon.request("GET", "/" + plain(data), None, headers), data, 0, 10)
        self.assert_reply(daemon.request("GET", "/" + md5(data), None, headers), 405)


if __name__ == "__main__":
    main()
