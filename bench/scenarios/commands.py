"""One command, run to its end: time, CPU, memory, output."""

import os
import re
import subprocess
import threading
import time

from bench.scenarios.registry import Failure

LIMIT = 1200


class _Peak(threading.Thread):
    """The resident peak of a process. wait4() tells one, too, which includes that of this program, from which it is forked: that of
    a stub with an index in memory is larger than what is measured. VmHWM only grows, so that the last look before the end is close
    to it."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.bytes = 0
        self.ended = threading.Event()
        self.status = open(f"/proc/{pid}/status", encoding="ascii")  # noqa: SIM115: run() closes it
        self.start()

    def run(self):
        with self.status:
            pause = 0.0005
            while not self.ended.wait(pause):
                self.status.seek(0)
                try:
                    found = re.search(r"VmHWM:\s+(\d+) kB", self.status.read())
                except ProcessLookupError:
                    return
                self.bytes = int(found[1]) * 1024 if found else self.bytes
                pause = min(pause * 1.1, 0.02)

    def stop(self):
        self.ended.set()
        self.join()
        return self.bytes


def measured(command, env=None, codes=(0,), limit=LIMIT):
    """Seconds, CPU seconds, peak memory in bytes and stdout of a command that must end with one of these codes."""
    started = time.monotonic()
    with subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        peak = _Peak(process.pid)
        errors = []
        reader = threading.Thread(target=lambda: errors.append(process.stderr.read()), daemon=True)
        reader.start()
        killer = threading.Timer(limit, process.kill)
        killer.start()
        output = process.stdout.read()
        reader.join()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        killer.cancel()
        result = {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "peak": peak.stop(), "stdout": output.decode()}
    if seconds >= limit:
        raise Failure(f"no end within {limit} s: {' '.join(command)}")
    if process.returncode not in codes:
        tail = (result["stdout"] + b"".join(errors).decode(errors="replace"))[-600:].strip()
        raise Failure(f"exit code {process.returncode}: {' '.join(command)}: {tail}")
    return result
