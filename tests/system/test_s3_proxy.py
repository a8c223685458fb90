#!/usr/bin/env python3
"""S3 through the proxy of the environment: the daemon, its check and its probe. Pulls and everything else go directly."""

import json
import os
import subprocess

from support.case import main
from support.daemon import CLUSTER, binary, cluster_config
from support.proxy import Proxy
from support.s3_volumes import S3VolumeCase

PASSWORD = "ProxyCanary7h2k"


class ProxyCase(S3VolumeCase):
    def setUp(self):
        super().setUp()
        self.proxy = Proxy(f"operator:{PASSWORD}")
        self.addCleanup(self.proxy.close)
        self.url = f"http://operator:{PASSWORD}@127.0.0.1:{self.proxy.port}"
        self.authority = self.server["endpoint"].removeprefix("http://").rstrip("/")

    def run_program(self, *arguments, volume, env):
        text = json.dumps({"Clusters": {CLUSTER: cluster_config([volume])}})
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("ARVADOS_", "AWS_"))
                       and not k.lower().endswith("_proxy")} | env
        result = subprocess.run([binary(), *arguments, "-config=-"], input=text, capture_output=True, text=True, timeout=60,
                                env=environment, check=False)
        for secret in (PASSWORD, self.server["secret_key"]):
            self.assertNotIn(secret, result.stdout + result.stderr)
        return result

    def test_blocks_come_and_go_through_the_proxy(self):
        daemon = self.start([self.volume()], env={"HTTP_PROXY": self.url})
        entry = daemon.log.wait(msg="S3 requests go through a proxy")
        self.assertEqual(entry["proxy"], f"http://127.0.0.1:{self.proxy.port}")
        daemon.log.wait(msg="S3 bucket can be used", timeout=20)
        for data in (b"small", os.urandom(3_000_000)):
            self.assertEqual(self.put(daemon, data).status, 200)
            got = self.get(daemon, data)
            self.assertTrue(got.ok and got.body == data, got)
        seen = self.proxy.requests()
        self.assertTrue(all(f" http://{self.authority}/" in line for line in seen), seen)
        self.assertTrue({"GET", "PUT"} <= {line.split(" ")[0] for line in seen}, seen)
        self.assertNotIn(PASSWORD, "\n".join(daemon.log.lines()))

    def test_a_server_of_no_proxy_is_asked_directly(self):
        env = {"http_proxy": self.url, "no_proxy": "127.0.0.0/8,localhost"}
        daemon = self.start([self.volume()], env=env)
        daemon.log.wait(msg="S3 bucket can be used", timeout=20)
        self.assertEqual(self.put(daemon, b"direct").status, 200)
        self.assertEqual(self.proxy.requests(), [])
        self.assertEqual(daemon.log.entries(msg="S3 requests go through a proxy"), [])

    def test_tls_through_a_tunnel_with_the_authorities_of_aws_tools(self):
        if "tls_endpoint" not in self.server:
            self.skipTest("the S3 server has no TLS")
        endpoint = self.server["tls_endpoint"]
        env = {"https_proxy": self.url}
        result = self.run_program("probe-s3", volume=self.volume(endpoint), env=env)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("certificate is not accepted", result.stdout)
        env["AWS_CA_BUNDLE"] = self.server["ca_file"]
        result = self.run_program("probe-s3", volume=self.volume(endpoint), env=env)
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn(f"  ok: name: looked up by the proxy http://127.0.0.1:{self.proxy.port} of the environment", result.stdout)
        daemon = self.start([self.volume(endpoint)], env=env)
        daemon.log.wait(msg="S3 bucket can be used", timeout=20)
        self.assertEqual(self.put(daemon, b"secret").status, 200)
        authority = endpoint.removeprefix("https://").rstrip("/")
        self.assertEqual(set(self.proxy.requests()), {f"CONNECT {authority} HTTP/1.1"})

    def test_the_check_names_the_proxy_without_its_password(self):
        result = self.run_program("-check", volume=self.volume(), env={"http_proxy": self.url})
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn(f"http://127.0.0.1:{self.proxy.port}, of the environment", result.stdout + result.stderr)

    def test_a_proxy_that_cannot_be_used_ends_the_check_and_the_start(self):
        env = {"HTTP_PROXY": f"socks5://operator:{PASSWORD}@127.0.0.1:1080"}
        for arguments in (["-check"], []):
            result = self.run_program(*arguments, volume=self.volume(), env=env)
            self.assertNotEqual(result.returncode, 0)
            self.assertIn("environment variable HTTP_PROXY: only proxies with http:// are supported",
                          result.stdout + result.stderr)

    def test_a_wrong_password_is_named_as_such(self):
        env = {"http_proxy": f"http://operator:{PASSWORD}x@127.0.0.1:{self.proxy.port}"}
        result = self.run_program("probe-s3", volume=self.volume(), env=env)
        self.assertEqual(result.returncode, 1, result.stdout)
        self.assertIn("407", result.stdout)


if __name__ == "__main__":
    main()
