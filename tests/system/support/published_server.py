"""Servers that ctest starts once for all tests that need them, or else a test file for itself (python3 tests/system/test_x.py)."""

import atexit
import json
import os
import unittest

from .daemon import TempDir

_own = {}


def find_server(variable, what, missing, rig):
    """Where the server is, as its rig publishes it in the file that the environment's `variable` names. `missing` and `rig`
    are the rig's function and class. SkipTest with the reason if there is no server."""
    file = os.environ.get(variable)
    if file:
        try:
            with open(file, encoding="utf-8") as published:
                info = json.load(published)
        except FileNotFoundError:
            raise unittest.SkipTest(f"no {what} has been started ({file})") from None
        if "skipped" in info:
            raise unittest.SkipTest(info["skipped"])
        return info
    if missing():
        raise unittest.SkipTest(missing())
    if variable not in _own:
        folder = TempDir()
        atexit.register(folder.remove)
        own = rig(folder.path)
        atexit.register(own.stop)
        own.start(owner=os.getpid())
        _own[variable] = own
    return _own[variable].info
