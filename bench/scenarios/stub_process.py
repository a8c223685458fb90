"""A stub of a server that is a program of bench/ and prints its port."""

import subprocess


class StubProcess:
    """Use with `with`, or close()."""

    def __init__(self, bench, tool, *arguments):
        self._process = subprocess.Popen([bench.tool(tool), *(str(a) for a in arguments)], stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline())
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()
