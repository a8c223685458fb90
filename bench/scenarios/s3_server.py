"""radosgw for the S3 scenarios, started by the rig of the system tests, and a daemon with a volume on it."""

import contextlib
import json
import os
import re
import secrets
import sys
import tempfile
import time

from bench.scenarios.registry import Failure, Skip
from bench.scenarios.servers import Daemon, Server

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/system"))

from support import radosgw, s3_client, s3_fault_proxy  # noqa: E402: the tests' folder is not on the path


class Gateway(Server):
    """radosgw and its store. As a server that is measured it is a public bucket: blocks are read and written by their hash,
    nothing is signed, checked or marked, so that its figures are what S3 itself can do here."""

    token = ""

    def __init__(self, bench):
        if radosgw.missing():
            raise Skip(f"no S3 server: {radosgw.missing()}")
        self.rig = radosgw.Radosgw(tempfile.mkdtemp(prefix="radosgw-", dir=bench.folder))
        self.process = self
        self.bucket = None
        self.info = None
        self.client = None

    def __enter__(self):
        try:
            self.info = self.rig.start(owner=os.getpid())
        except radosgw.RadosgwError as e:
            raise Failure(f"radosgw does not start: {e}") from e
        self.client = self.rig.client()
        self.new_bucket()
        return self

    def __exit__(self, *unused):
        if self.client:
            self.client.close()
        self.rig.stop()

    def new_bucket(self):
        """Measured from now on, and open to everybody."""
        self.bucket = "bench-" + secrets.token_hex(4)
        self.client.make_bucket(self.bucket)
        everything = {"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": "*", "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{self.bucket}", f"arn:aws:s3:::{self.bucket}/*"]}]}
        self.client.succeed("PUT", self.bucket, query={"policy": ""}, body=json.dumps(everything).encode())
        self.url = f"{self.info['endpoint']}/{self.bucket}"

    def poll(self):
        """As of a process: what it ended with, None while it runs."""
        return None if self.rig.running() and self.rig.running("osd") else "?"

    def pids(self):
        return [self.rig.pid("gateway"), self.rig.pid("osd")]

    def delete(self, locators):
        """Blocks that were written, with their markers; the store gives their memory back within 20 s."""
        with open(locators, encoding="ascii") as file:
            for line in file:
                self.client.delete(self.bucket, line[:32])
                self.client.delete(self.bucket, "recent/" + line[:32])

    def list_in_sequence(self, endpoint=None):
        """The index as one client gets it that asks for page after page, first of the blocks, then of their markers, and
        does nothing with them: seconds, number of blocks."""
        started = time.monotonic()
        blocks = 0
        client = s3_client.S3Client(endpoint or self.info["endpoint"], self.info["access_key"], self.info["secret_key"])
        for prefix in ("", "recent/"):
            query = {"list-type": "2", "prefix": prefix, "max-keys": "1000"}
            while True:
                page = client.succeed("GET", self.bucket, query=query).body
                keys = re.findall(rb"<Key>([^<]*)</Key>", page)
                ours = sum(1 for key in keys if len(key) == 32)
                blocks += ours
                after = re.search(rb"<NextContinuationToken>([^<]*)<", page)
                if not after or ours < len(keys) and not prefix:
                    break
                query["continuation-token"] = after.group(1).decode()
        client.close()
        return time.monotonic() - started, blocks

    @contextlib.contextmanager
    def far_away(self, fault, **rule):
        """A proxy that lets the service behave as a rule of s3_faults.py says, for every request."""
        proxy = s3_fault_proxy.FaultProxy(self.info["host"], self.info["port"])
        try:
            proxy.add(fault, **rule)
            yield proxy
        finally:
            proxy.close()


def gateway(bench):
    """The one of this run: it starts with the first scenario that wants it and ends with the run."""
    if bench.gateway is None:
        bench.gateway = bench.resources.enter_context(Gateway(bench))
    return bench.gateway


class S3Daemon(Daemon):
    """A keepstore on the gateway's bucket."""

    def __init__(self, bench, server, endpoint=None, extra=None, binary=None):
        volume = {"Driver": "S3", "DriverParameters": {
            "Endpoint": endpoint or server.info["endpoint"], "Region": server.info["region"], "Bucket": server.bucket,
            "AccessKeyID": server.info["access_key"], "SecretAccessKey": server.info["secret_key"], "UsePathStyle": True}}
        super().__init__(bench, volume=volume, extra=extra, binary=binary)

    def requests(self):
        """To S3, since the start."""
        return self.metric("arvados_keepstore_volume_operations")
