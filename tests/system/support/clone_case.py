"""The base of tests of keepctl clone: two buckets, and what must hold of them afterwards."""

import random

from . import keepctl
from .case import seed
from .locator import md5
from .s3_case import S3Case

SIZES = (0, 1, 65_536, 262_144, 262_145, 1_000_000)
OUTCOMES = ("present", "copied", "replaced", "gone", "failed", "bad_source", "left")


class CloneCase(S3Case):
    def setUp(self):
        super().setUp()
        self.random = random.Random(seed())
        self.target = self.make_bucket()

    def place(self, bucket, endpoint=None, **more):
        query = {"endpoint": endpoint or self.server["endpoint"], "region": self.server["region"], "path-style": "1"} | more
        return f"s3://{bucket}?" + "&".join(f"{k}={v}" for k, v in query.items())

    def through(self, proxy, **more):
        """Source and target, both through the proxy."""
        return {"source": self.place(self.bucket, proxy.endpoint, **more),
                "target": self.place(self.target, proxy.endpoint, **more)}

    @property
    def keys(self):
        return {"AWS_ACCESS_KEY_ID": self.server["access_key"], "AWS_SECRET_ACCESS_KEY": self.server["secret_key"]}

    @staticmethod
    def key(name, length=0):
        return f"{name[:length]}/{name}" if length else name

    def fill(self, count, size=None, length=0, bucket=None):
        """Blocks with their markers in the source. Returns {hash: bytes}."""
        blocks = {}
        for i in range(count):
            data = self.random.randbytes(SIZES[i % len(SIZES)] if size is None else size)
            name = md5(data)
            self.s3.put(bucket or self.bucket, self.key(name, length), data)
            self.s3.put(bucket or self.bucket, "recent/" + self.key(name, length), b"")
            blocks[name] = data
        return blocks

    def clone(self, *arguments, source=None, target=None, env=None, **options):
        done = keepctl.run(self.dir.path, "clone", "--json", source or self.place(self.bucket),
                           target or self.place(self.target), *arguments, env=self.keys | (env or {}), **options)
        self.assertNotIn(self.server["secret_key"], done.stderr + done.stdout.decode())
        return done

    def start_clone(self, *arguments, source=None, target=None):
        return keepctl.start(self.dir.path, "clone", "--json", source or self.place(self.bucket),
                             target or self.place(self.target), *arguments, env=self.keys)

    def assert_counts(self, done, code=0, **counts):
        self.assertEqual(done.code, code, done)
        found = done.summary
        self.assertEqual({k: found[k] for k in counts}, counts, done)
        self.assertEqual(found["listed"], sum(found[k] for k in OUTCOMES), done)

    def assert_target(self, blocks, length=0, bucket=None):
        """The target has exactly these blocks, with their markers."""
        keys = self.s3.list(bucket or self.target)
        wanted = {self.key(n, length) for n in blocks} | {"recent/" + self.key(n, length) for n in blocks}
        self.assertEqual(set(keys), wanted)
        wrong = [n for n, d in blocks.items() if self.s3.get(bucket or self.target, self.key(n, length)) != d]
        self.assertEqual(wrong, [])

    def put_parts(self, bucket, name, data):
        """An object whose ETag is no MD5."""
        upload = self.s3.create_upload(bucket, name)
        middle = 5 << 20
        etags = [self.s3.put_part(bucket, name, upload, 1, data[:middle]), self.s3.put_part(bucket, name, upload, 2, data[middle:])]
        self.s3.complete_upload(bucket, name, upload, etags)
        self.s3.put(bucket, "recent/" + name, b"")
