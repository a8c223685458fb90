"""The base of all test cases, and the entry point of a test file."""

import os
import random
import sys
import unittest

from .daemon import Daemon, TempDir, binary, check_no_secret, cluster_config, merge

CORS = {
    "Access-Control-Allow-Methods": "GET, HEAD, PUT, OPTIONS",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "Authorization, Content-Length, Content-Type, X-Keep-Desired-Replicas, "
                                    "X-Keep-Signature, X-Keep-Storage-Classes",
    "Access-Control-Expose-Headers": "X-Keep-Locator, X-Keep-Replicas-Stored, X-Keep-Storage-Classes-Confirmed",
    "Access-Control-Max-Age": "86486400",
}


def seed():
    """The seed of random tests, printed so that a failure can be repeated with KEEPSTORE_TEST_SEED."""
    value = int(os.environ.get("KEEPSTORE_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"KEEPSTORE_TEST_SEED={value}", file=sys.stderr)
    return value


def rounds(default):
    """How often the crash tests repeat: KEEPSTORE_TEST_ROUNDS, else `default`."""
    return int(os.environ.get("KEEPSTORE_TEST_ROUNDS") or default)


class KeepstoreCase(unittest.TestCase):
    """Gives every test a temporary folder and daemons whose logs are checked at the end."""

    maxDiff = None

    def setUp(self):
        self.dir = TempDir()
        self.addCleanup(self.dir.remove)

    def start(self, volumes=None, env=None, check_log=True, daemon_options=None, **sections):
        """A daemon that lives until the end of the test. Default: one volume named "vol0"."""
        if volumes is None:
            volumes = [self.dir.make("vol0")]
        cluster = cluster_config(volumes, **sections)
        daemon = Daemon(cluster, env=env, **(daemon_options or {}))
        self.addCleanup(self._finish, daemon, check_log)
        return daemon

    def _finish(self, daemon, check_log):
        was_running = daemon.running()
        code = daemon.stop()
        if check_log:
            daemon.check_log()
        if was_running:
            self.assertEqual(code, 0, "exit code after SIGTERM:\n" + "\n".join(daemon.log.lines()[-15:]))

    def assert_cors(self, response):
        self.assertEqual({n: response.header(n) for n in CORS}, CORS)

    def assert_no_cors(self, response):
        self.assertEqual([n for n, _ in response.headers if n.lower().startswith("access-control-")], [])

    def assert_reply(self, response, status, body=None, cors=True):
        """Asserts a complete response with this status and body; error bodies carry no secret and no path of the server."""
        self.assertEqual(response.status, status, response)
        self.assertTrue(response.complete, response)
        if body is not None:
            self.assertEqual(response.body, body if isinstance(body, bytes) else body.encode())
        if cors is True:
            self.assert_cors(response)
        elif cors is False:
            self.assert_no_cors(response)
        if status >= 400:
            check_no_secret(response.text)
            self.assertNotIn(self.shared_path(), response.text)
        self.assertIsNotNone(response.header("Date"))
        self.assertIsNone(response.header("Server"))
        return response

    def shared_path(self):
        return self.dir.path


class SharedDaemonCase(KeepstoreCase):
    """One daemon for all tests of a class; `volume_count` and `sections` configure it."""

    volume_count = 1
    sections = {}
    env = None

    @classmethod
    def volumes(cls):
        return [cls.class_dir.make(f"vol{i}") for i in range(cls.volume_count)]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.class_dir = TempDir()
        cls.addClassCleanup(cls.class_dir.remove)
        cls.daemon = Daemon(cluster_config(cls.volumes(), **cls.sections), env=cls.env)
        cls.addClassCleanup(cls._finish_class)
        cls.roots = cls.daemon.roots()

    @classmethod
    def _finish_class(cls):
        if not cls.daemon.running():
            lines = "\n".join(cls.daemon.log.lines()[-15:])
            raise AssertionError(f"the daemon died with code {cls.daemon.process.returncode}:\n{lines}")
        code = cls.daemon.stop()
        cls.daemon.check_log()
        if code != 0:
            raise AssertionError(f"exit code {code} after SIGTERM")

    def shared_path(self):
        return self.class_dir.path


def main():
    """Runs the tests of the calling file. Exit code 77 when every one of them was skipped (ctest: not run)."""
    if binary() is None:
        print("skipped: no keepstore binary; set KEEPSTORE_BINARY", file=sys.stderr)
        sys.exit(77)
    program = unittest.main(module="__main__", exit=False, verbosity=2)
    result = program.result
    # A sub-test that is skipped stands for its test.
    skipped = {getattr(test, "test_case", test).id() for test, _ in result.skipped}
    if result.testsRun and len(skipped) == result.testsRun and result.wasSuccessful():
        for _, reason in result.skipped:
            print(f"skipped: {reason}", file=sys.stderr)
        sys.exit(77)
    sys.exit(0 if result.wasSuccessful() else 1)


__all__ = ["CORS", "KeepstoreCase", "SharedDaemonCase", "main", "merge", "rounds", "seed"]
