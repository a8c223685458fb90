#!/usr/bin/env python3
"""Volumes without keys of their own: the daemon gets those of the machine's role from the instance metadata service. On a machine
without a role the daemon starts, and the first use fails."""

import datetime
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from support.case import main
from support.s3_volumes import S3VolumeCase
from support.wait import until

ROLES = "/latest/meta-data/iam/security-credentials/"
TOKEN = "metadata-session-token"


class MetadataService:
    """IMDSv2: every request needs a session token. `keys`: by role."""

    def __init__(self):
        self.keys = {}
        self.refused = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def reply(self, status, text):
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def do_PUT(self):
                asked = self.path == "/latest/api/token" and self.headers["x-aws-ec2-metadata-token-ttl-seconds"]
                self.reply(*((200, TOKEN) if asked else (404, "")))

            def do_GET(self):
                if self.headers["x-aws-ec2-metadata-token"] != TOKEN:
                    outer.refused += 1
                    self.reply(401, "")
                elif self.path == ROLES and outer.keys:
                    self.reply(200, "\n".join(outer.keys))
                elif self.path.removeprefix(ROLES) in outer.keys:
                    self.reply(200, json.dumps(outer.keys[self.path.removeprefix(ROLES)]))
                else:
                    self.reply(404, "")

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class InstanceRole(S3VolumeCase):
    def setUp(self):
        super().setUp()
        self.metadata = MetadataService()
        self.addCleanup(self.metadata.close)
        self.env = {"HOME": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "false",
                    "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.metadata.url}

    def keys_of_the_role(self):
        hour = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        return {"Code": "Success", "AccessKeyId": self.server["access_key"], "SecretAccessKey": self.server["secret_key"],
                "Token": "", "Expiration": hour.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def start_without_keys(self):
        volume = self.volume(DriverParameters={"AccessKeyID": "", "SecretAccessKey": ""})
        return self.start([volume], env=self.env)

    def assert_stores(self, daemon, data):
        until(lambda: self.put(daemon, data).ok, 10, "the volume can be used")
        self.assertEqual(self.get(daemon, data).body, data)
        self.assertEqual(self.metadata.refused, 0)

    def test_the_only_role_of_the_machine(self):
        self.metadata.keys["keep-role"] = self.keys_of_the_role()
        self.assert_stores(self.start_without_keys(), b"by the machine's role")

    def test_a_missing_role_is_reported_at_the_first_use_and_may_be_added_later(self):
        daemon = self.start_without_keys()
        put = self.put(daemon, b"unknown keys")
        self.assertEqual(put.status, 503, put)
        ready = daemon.request("GET", "/_health/ready")
        self.assertEqual(ready.status, 503)
        self.assertIn("no role is attached to this instance", ready.text)
        self.metadata.keys["keep-role"] = self.keys_of_the_role()
        until(lambda: self.put(daemon, b"unknown keys").ok, 20, "recovery when the machine got a role")
        until(lambda: daemon.request("GET", "/_health/ready").status == 200, 20, "readiness follows")


if __name__ == "__main__":
    main()
