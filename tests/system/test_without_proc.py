"""A daemon in a container without /proc works as any other, and says once what it does without."""

import json
import os
import unittest

from support.case import KeepstoreCase, main
from support.daemon import block_path, store, trash_copies
from support.locator import md5, plain
from support.mounts import WITHOUT_PROC, require_no_sanitizer, require_root
from support.wait import until


class WithoutProc(KeepstoreCase):
    def test_blocks_lists_and_scrub(self):
        require_root()
        require_no_sanitizer()
        roots = [self.dir.make("vol0"), self.dir.make("vol1")]
        old = b"an old block"
        path = store(roots[0], md5(old), old, age=5000)
        stamp = os.stat(path).st_mtime_ns
        daemon = self.start(roots, daemon_options={"wrapper": WITHOUT_PROC}, Keepstore={"ScrubRate": 1 << 40},
                            Collections={"BlobSigningTTL": "1h"})
        for size in (0, 5, 300_000, 5 << 20):
            data = os.urandom(size)
            for _ in range(2):
                self.assert_reply(daemon.put(data), 200)
            self.assertTrue(daemon.get(plain(data)).body == data)
        index = daemon.admin("GET", "/index").text
        self.assertTrue(index.endswith("\n\n"))
        self.assertIn(f"{plain(old)} {stamp}\n", index)
        wanted = [{"locator": plain(old), "block_mtime": stamp, "mount_uuid": ""}]
        self.assertEqual(daemon.admin("PUT", "/trash", json.dumps(wanted).encode()).status, 200)
        until(lambda: trash_copies(roots[0], md5(old)), 10, "the old block is trashed")
        self.assertEqual(daemon.admin("PUT", "/untrash/" + md5(old)).status, 200)
        self.assertTrue(os.path.exists(block_path(roots[0], md5(old))))
        until(lambda: daemon.admin("PUT", "/_scrub").status == 200, 10, "the scrub can start")
        until(lambda: len(daemon.log.entries(msg="scrub finished")) == 2, 20, "the scrubs end")
        warnings = [e for e in daemon.log.entries(level="warning") if "/proc" in e["msg"]]
        self.assertEqual(len(warnings), 1, warnings)


if __name__ == "__main__":
    main()
