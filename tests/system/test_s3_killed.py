"""The daemon is killed in the middle of uploads to S3. They stay in the bucket and cost money until they are removed.

KEEPSTORE_TEST_ROUNDS: the number of kills (2).
"""

import random
import sys
import threading
import time

from support.case import main, rounds, seed
from support.client import Connection, build_request, chunked
from support.locator import md5
from support.s3_volumes import BROKEN, Book, S3VolumeCase
from support.wait import until

MIB = 1 << 20


def uploads_page(*uploads):
    """The service's response about uploads (key, id, age in seconds)."""
    entries = "".join(f"<Upload><Key>{k}</Key><UploadId>{i}</UploadId><Initiated>"
                      f"{time.strftime('%Y-%m-%dT%H:%M:%S.000Z', time.gmtime(time.time() - age))}</Initiated></Upload>"
                      for k, i, age in uploads)
    return {"fault": "status", "operation": "multipart_list", "status": 200, "body": '<?xml version="1.0" encoding="UTF-8"?>'
            '<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Bucket>b</Bucket>'
            f"<IsTruncated>false</IsTruncated>{entries}</ListMultipartUploadsResult>"}


class Killed(S3VolumeCase):
    def upload(self, daemon, data, announced, upto):
        """A PUT that has progressed this far."""
        connection = Connection(daemon.address, timeout=30)
        self.addCleanup(connection.close)
        if announced:
            connection.send(build_request("PUT", "/" + md5(data), {"Content-Length": str(len(data))}) + data[:upto])
            return connection, data[upto:]
        body = chunked(data)
        connection.send(build_request("PUT", "/" + md5(data), {"Transfer-Encoding": "chunked"}) + body[:upto])
        return connection, body[upto:]

    def test_left_over_uploads_are_removed(self):
        generator = random.Random(seed())
        proxy = self.fault_proxy()
        daemon = self.start([self.volume(proxy.endpoint)], check_log=False)
        known, whole, parts = generator.randbytes(3 * MIB), generator.randbytes(20 * MIB), generator.randbytes(20 * MIB)
        self.assertTrue(self.put(daemon, known).ok)
        self.upload(daemon, whole, True, 12 * MIB)
        self.upload(daemon, parts, False, 12 * MIB)
        requests = lambda kind: proxy.counters()["requests"].get(kind, 0)
        until(lambda: requests("multipart_part") >= 2 and requests("put") >= 2, 10, "both are under way")
        daemon.kill()
        until(lambda: proxy.counters()["requests_open"] == 0, 10)
        left = self.s3.uploads(self.bucket)
        self.assertEqual([k for k, _ in left], [md5(parts)], "what a PUT of known length sends ends with its connection")
        keys = self.s3.list(self.bucket)
        self.assertNotIn(md5(whole), keys)
        self.assertNotIn(md5(parts), keys)

        # Too young for the next daemon, which may not be the only one; nor are running uploads of another one touched.
        other = self.start([self.volume()])
        data = generator.randbytes(12 * MIB)
        connection, rest = self.upload(other, data, False, 11 * MIB)
        until(lambda: len(self.s3.uploads(self.bucket)) == 2, 10)
        now = {k: i for k, i in self.s3.uploads(self.bucket)}
        foreign = self.s3.create_upload(self.bucket, "other/program")
        day = 24 * 3600
        # The first look is at the start, when nothing is a day old; the second one a day later, as far as the list tells.
        proxy.rules(uploads_page((md5(parts), now[md5(parts)], day + 60), (md5(data), now[md5(data)], day - 60),
                                 ("other/program", foreign, 10 * day)) | {"skip": 1})
        proxy.forget()
        again = self.start([self.volume(proxy.endpoint)], Keepstore={"EmptyTrashStartDelay": "1s"},
                           Collections={"BlobTrashCheckInterval": "1h"})
        until(lambda: requests("multipart_list") == 1, 10)
        self.assertEqual(len(self.s3.uploads(self.bucket)), 3)
        until(lambda: requests("multipart_list") == 2, 10, "uploads are looked at with the trash")
        until(lambda: md5(parts) not in dict(self.s3.uploads(self.bucket)), 10, "the orphan is gone")
        again.log.wait(msg="aborted orphaned multipart uploads", count=1)
        self.assertEqual(sorted(k for k, _ in self.s3.uploads(self.bucket)), sorted([md5(data), "other/program"]))
        connection.send(rest)
        self.assertEqual(connection.read_response().status, 200)
        self.assert_readable(again, {md5(known): len(known), md5(data): len(data)})
        other.assert_nothing_held()

    def test_killed_at_any_moment(self):
        """PUTs, GETs and trashing in progress: acknowledged blocks exist, and every complete block is right."""
        generator = random.Random(seed())
        book = Book()
        for number in range(rounds(2)):
            daemon = self.start([self.volume()], check_log=False)
            stop = threading.Event()

            def write(own, daemon=daemon, stop=stop):
                while not stop.is_set():
                    data = own.randbytes(own.choice((100, 70_000, 300_000, 6 * MIB)))
                    try:
                        with Connection(daemon.address, timeout=20) as connection:
                            body, headers = data, {}
                            if own.random() < 0.3:
                                body, headers = chunked(data), {"Transfer-Encoding": "chunked"}
                            connection.send_tolerant(build_request("PUT", "/" + md5(data), headers, body))
                            if connection.read_response().status == 200:
                                book.add(data)
                    except BROKEN:
                        return
            writers = [threading.Thread(target=write, args=(random.Random(generator.getrandbits(64)),)) for _ in range(6)]
            before = len(book.blocks())
            for writer in writers:
                writer.start()
            until(lambda: len(book.blocks()) > before + 20, 30)
            pause = time.monotonic() + generator.uniform(0, 0.3)
            until(lambda: time.monotonic() > pause, 5)
            daemon.kill()
            stop.set()
            for writer in writers:
                writer.join(30)
        blocks = book.blocks()
        print(f"{len(blocks)} acknowledged blocks, {number + 1} kills, {len(self.s3.uploads(self.bucket))} uploads left",
              file=sys.stderr)
        self.assert_bucket(blocks)
        self.assert_readable(self.start([self.volume()]), blocks)


if __name__ == "__main__":
    main()
