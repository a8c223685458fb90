"""Bounded waiting for an observable condition, the only kind of waiting in these tests; and free ports."""

import os
import random
import socket
import time

# Timeouts are written for an idle machine. This is how many times as long things may take on one that is busy or runs under
# a sanitizer; it costs time only when a test fails. What must not take long is measured by the test itself.
PATIENCE = float(os.environ.get("KEEPSTORE_TEST_PATIENCE") or 4)


def until(condition, timeout=10.0, what="condition", interval=0.01):
    """Polls `condition` until it returns something true, and returns that. AssertionError after `timeout` seconds (see
    PATIENCE)."""
    timeout *= PATIENCE
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(interval)


def free_port():
    """A port that was free a moment ago, for the few tests that cannot learn it from the daemon."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def stable_port(avoid=()):
    """A free port below those that the kernel gives to outgoing connections, so that a server which ends comes back to it."""
    for _ in range(200):
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in avoid:
            return port
    raise AssertionError("no free port")


def refusing_port(case):
    """A port without a listener, reserved until the end of the test."""
    probe = socket.socket()
    case.addCleanup(probe.close)
    probe.bind(("127.0.0.1", 0))
    return probe.getsockname()[1]


def port_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False
