"""The library tests/support/process_shim.c below a daemon: threads, name lookups and files that are withheld."""

import os
import unittest

from .daemon import sanitized


class Shim:
    """Control files in `folder`; `env` is for the daemon. Skips the test where there is no such library."""

    def __init__(self, folder):
        library = os.environ.get("KEEPSTORE_PROCESS_SHIM")
        if not library or not os.path.exists(library):
            raise unittest.SkipTest("KEEPSTORE_PROCESS_SHIM names no library")
        if sanitized():
            raise unittest.SkipTest("a sanitizer has functions of its own in these places")
        self.folder = folder
        self.env = {"LD_PRELOAD": library, "KEEPSTORE_SHIM": folder}

    def path(self, name):
        return os.path.join(self.folder, name)

    def set(self, name, text=""):
        with open(self.path(name) + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(self.path(name) + ".new", self.path(name))

    def clear(self, name):
        if os.path.exists(self.path(name)):
            os.unlink(self.path(name))
