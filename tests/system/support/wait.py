"""Bounded waiting for something observable; the only kind of waiting in these tests. And ports."""

import random
import socket
import time


def until(condition, timeout=10.0, what="condition", interval=0.01):
    """Polls `condition` until it returns something true, and returns that. AssertionError after `timeout` seconds."""
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


def port_open(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False
