"""The operator's tool as a process, and directories of blocks for it."""

import glob
import json
import os
import subprocess

from .daemon import _ROOT, check_no_secret
from .locator import md5
from .wait import PATIENCE


def program():
    """The keepctl under test: next to the daemon, or the newest build."""
    path = os.environ.get("KEEPCTL_BINARY")
    if path:
        return path
    found = [p for p in glob.glob(f"{_ROOT}/build/*/bin/keepctl") if os.path.isfile(p)]
    return max(found, key=os.path.getmtime) if found else None


class Outcome:
    """What a finished command printed."""

    def __init__(self, arguments, code, stdout, stderr):
        self.arguments = arguments
        self.code = code
        self.stdout = stdout
        self.stderr = stderr

    @property
    def lines(self):
        return self.stdout.decode().splitlines()

    @property
    def objects(self):
        """The lines of --json."""
        return [json.loads(line) for line in self.lines]

    @property
    def summary(self):
        last = self.objects[-1]
        if last["type"] != "summary":
            raise AssertionError(f"the last line is no summary: {last}")
        return last

    def rows(self, kind):
        return [o for o in self.objects if o["type"] == kind]

    def __repr__(self):
        return f"<keepctl {' '.join(self.arguments)}: {self.code}\n{self.stdout[-2000:]!r}\n{self.stderr[-4000:]}>"


def environment(folder, extra=None):
    """Nothing of the developer's own configuration; state in `folder`."""
    out = {k: v for k, v in os.environ.items()
           if not k.startswith(("ARVADOS_", "AWS_", "KEEPCTL_")) and not k.lower().endswith("_proxy")}
    out["STATE_DIRECTORY"] = os.path.join(folder, "state")
    out.update(extra or {})
    return out


def start(folder, *arguments, env=None, **options):
    return subprocess.Popen([program(), *arguments], env=environment(folder, env), stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)


def run(folder, *arguments, env=None, stdin=b"", timeout=60.0):
    """Runs it to its end. Neither stream may hold a secret."""
    done = subprocess.run([program(), *arguments], env=environment(folder, env), input=stdin, capture_output=True,
                          timeout=timeout * PATIENCE, check=False)
    stderr = done.stderr.decode(errors="replace")
    check_no_secret(stderr)
    return Outcome(arguments, done.returncode, done.stdout, stderr)


def store(root, data, name=None):
    """Writes a block into the layout of a Directory volume, past every daemon. Returns its hash."""
    name = name or md5(data)
    folder = os.path.join(root, name[:3])
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as file:
        file.write(data)
    return name


def stored(root):
    """{hash: bytes} of a Directory volume's visible blocks."""
    found = {}
    for path in glob.glob(f"{root}/???/*"):
        name = os.path.basename(path)
        if len(name) == 32:
            with open(path, "rb") as file:
                found[name] = file.read()
    return found
