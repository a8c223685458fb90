"""The base of test cases that need an S3 server: the one of KEEPSTORE_TEST_S3, which ctest starts once for all of them, or
else one of their own (python3 tests/system/test_x.py)."""

import re
import secrets

from .case import KeepstoreCase
from .published_server import find_server
from .radosgw import Radosgw, missing
from .s3_client import S3Client
from .s3_fault_proxy import FaultProxy


def server():
    """Where the server is, as radosgw.py publishes it. SkipTest with the reason if there is none."""
    return find_server("KEEPSTORE_TEST_S3", "S3 server", missing, Radosgw)


class S3Case(KeepstoreCase):
    """Gives every test a bucket of its own. `self.s3` looks into it directly, past every proxy."""

    def setUp(self):
        super().setUp()
        self.server = self.find_server()
        self.s3 = self.s3_client()
        self.bucket = self.make_bucket()

    def find_server(self):
        return server()

    def s3_client(self, endpoint=None, **options):
        given = {"access_key": self.server["access_key"], "secret_key": self.server["secret_key"]} | options
        found = S3Client(endpoint or self.server["endpoint"], **given)
        self.addCleanup(found.close)
        return found

    def make_bucket(self, name=None):
        """A bucket that is there until the end of the test; safe to call from several threads if the name is given."""
        if name:
            client = self.s3_client()
            client.make_bucket(name)
            client.close()
            self.addCleanup(self._remove_bucket, name)
            return name
        name = re.sub(r"[^a-z0-9]+", "-", self.id().rsplit(".", 1)[1].lower())[:40].strip("-")
        bucket = f"{name}-{secrets.token_hex(4)}"
        self.s3.make_bucket(bucket)
        self.addCleanup(self._remove_bucket, bucket)
        return bucket

    def _remove_bucket(self, bucket):
        # The server may have ended the test's connection long ago.
        client = self.s3_client()
        client.remove_bucket(bucket)
        client.close()

    def fault_proxy(self, **options):
        proxy = FaultProxy(self.server["host"], self.server["port"], **options)
        self.addCleanup(proxy.close)
        return proxy
