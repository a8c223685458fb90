"""Secrets in $CREDENTIALS_DIRECTORY instead of the configuration, and what an operator reads when a start cannot work."""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys

from support.case import KeepstoreCase, main
from support.certificate import certificate, context
from support.daemon import (CLUSTER, MANAGEMENT_TOKEN, SIGNING_KEY, SYSTEM_ROOT_TOKEN, binary, cluster_config, volume_uuid)
from support.locator import plain
from support.s3_case import S3Case
from support.s3_volumes import s3_volume

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SECRETS = {"SystemRootToken": SYSTEM_ROOT_TOKEN, "ManagementToken": MANAGEMENT_TOKEN, "BlobSigningKey": SIGNING_KEY}


def write_credential(folder, name, content, mode=0o400):
    path = os.path.join(folder, name)
    if os.path.exists(path):
        os.unlink(path)
    with open(path, "w", encoding="utf-8") as file:
        file.write(content)
    os.chmod(path, mode)
    return path


class CredentialsCase(KeepstoreCase):
    def setUp(self):
        super().setUp()
        self.folder = self.dir.make("credentials")

    def without_secrets(self, volumes=None, **sections):
        cluster = cluster_config(volumes or [self.dir.make("vol0")], **sections)
        del cluster["SystemRootToken"], cluster["ManagementToken"], cluster["Collections"]["BlobSigningKey"]
        return cluster

    def options(self, cluster):
        return {"daemon_options": {"top_level": {"Clusters": {CLUSTER: cluster}}},
                "env": {"CREDENTIALS_DIRECTORY": self.folder}}

    def run_program(self, cluster, *arguments, wrapper=(), env=None):
        """Runs it with the configuration on standard input until it ends."""
        return subprocess.run(
            [*wrapper, binary(), "-config=-", *arguments], input=json.dumps({"Clusters": {CLUSTER: cluster}}), text=True,
            capture_output=True, timeout=60, check=False,
            env={**os.environ, "CREDENTIALS_DIRECTORY": self.folder, **(env or {})})

    def assert_no_secret(self, text):
        for secret in SECRETS.values():
            self.assertNotIn(secret, text)


class Credentials(CredentialsCase):
    def test_a_daemon_whose_configuration_has_no_secrets_serves(self):
        for name, value in SECRETS.items():
            write_credential(self.folder, name, value + "\n")
        daemon = self.start(**self.options(self.without_secrets()))
        data = os.urandom(1000)
        response = daemon.put(data)
        self.assertEqual(response.status, 200)
        self.assertEqual(daemon.request("GET", "/" + response.text.strip(), token="wrong").status, 400)
        self.assertEqual(daemon.get(plain(data)).body, data, "signed with the key of the file")
        self.assertEqual(daemon.admin("GET", "/index").status, 200)
        self.assertEqual(daemon.request("GET", "/index", "wrong").status, 403)
        self.assertEqual(daemon.request("GET", "/metrics", MANAGEMENT_TOKEN).status, 200)
        self.assertEqual(daemon.request("GET", "/metrics").status, 401)

    def test_check_shows_the_origin_of_each_secret_and_no_value(self):
        for name, value in SECRETS.items():
            write_credential(self.folder, name, value)
        cluster = self.without_secrets() | {"ManagementToken": "M" + MANAGEMENT_TOKEN}
        run = self.run_program(cluster, "-check")
        self.assertEqual(run.returncode, 0, run.stdout)
        self.assertRegex(run.stdout, rf"(?m)^  SystemRootToken +credential {self.folder}/SystemRootToken$")
        self.assertRegex(run.stdout, rf"(?m)^  Collections.BlobSigningKey +credential {self.folder}/BlobSigningKey$")
        self.assertRegex(run.stdout, r"(?m)^  ManagementToken +configuration$")
        self.assertRegex(run.stdout, r"(?m)^  TLS.Key +none$")
        self.assertIn("ManagementToken is present, but will not be used", run.stdout)
        self.assert_no_secret(run.stdout + run.stderr)

    def test_a_broken_file_ends_the_start_with_what_to_do(self):
        for name, value in SECRETS.items():
            write_credential(self.folder, name, value)
        cluster = self.without_secrets()
        rows = [("", 0o400, "empty; write the secret into it, or remove the file"),
                (SIGNING_KEY, 0o644, "every user can read it (mode 644); run chmod 600 on it"),
                (SIGNING_KEY + "\n" + SIGNING_KEY + "\n", 0o400, "more than one line; expected the secret on one line"),
                (SIGNING_KEY * 2000, 0o400, "larger than 64 KiB; expected the secret and nothing else")]
        for content, mode, text in rows:
            with self.subTest(text):
                path = write_credential(self.folder, "BlobSigningKey", content, mode)
                for arguments in ((), ("-check",)):
                    run = self.run_program(cluster, *arguments)
                    self.assertEqual(run.returncode, 1)
                    self.assertIn(f"credential {path}: {text}", run.stdout + run.stderr)
                    self.assert_no_secret(run.stdout + run.stderr)
        os.unlink(path)
        run = self.run_program(cluster)
        self.assertIn("BlobSigningKey: missing while BlobSigning is true; expected the cluster's signing key here, or in the "
                      "credential BlobSigningKey (LoadCredential=)", run.stderr)

    def test_what_the_user_of_the_daemon_cannot_read_is_an_error(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to become another user")
        for name, value in SECRETS.items():
            write_credential(self.folder, name, value)
        for path in (self.dir.path, self.folder):
            os.chmod(path, 0o755)
        run = self.run_program(self.without_secrets(), wrapper=as_nobody())
        self.assertEqual(run.returncode, 1)
        self.assertIn("/SystemRootToken: Permission denied; make it readable by the user of the daemon", run.stderr)
        os.chmod(self.folder, 0o700)
        run = self.run_program(self.without_secrets(), wrapper=as_nobody())
        self.assertIn(f"CREDENTIALS_DIRECTORY: {self.folder}: Permission denied; expected the folder", run.stderr)

    def test_certificate_and_key_are_read_again_on_sighup(self):
        for name, value in SECRETS.items():
            write_credential(self.folder, name, value)
        pairs = []
        for serial in (1, 2):
            texts = []
            for path in certificate(self.dir.path, f"pair{serial}", serial):
                with open(path, encoding="utf-8") as file:
                    texts.append(file.read())
            pairs.append(texts)

        def use(pair):
            write_credential(self.folder, "TLS.Certificate", pair[0])
            write_credential(self.folder, "TLS.Key", pair[1])
        use(pairs[0])
        daemon = self.start(**self.options(self.without_secrets(url="https://127.0.0.1:0/")))
        daemon.tls = context()
        self.assertEqual(daemon.put(b"foo").status, 200)
        self.assertEqual(ssl.get_server_certificate(daemon.address), pairs[0][0])
        use(pairs[1])
        daemon.process.send_signal(signal.SIGHUP)
        daemon.log.wait(msg="SIGHUP: certificate and key were reloaded")
        self.assertEqual(ssl.get_server_certificate(daemon.address), pairs[1][0])


class Unit(CredentialsCase):
    def test_systemd_accepts_the_lines_of_the_unit_that_load_credentials(self):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        with open(os.path.join(ROOT, "packaging", "keepstore.service"), encoding="utf-8") as file:
            text = file.read()
        lines = re.findall(r"(?m)^# +(LoadCredential=\S+)$", text)
        self.assertGreater(len(lines), 5)
        text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", re.sub(r"(?m)^Documentation=.*\n", "", text))
        path = os.path.join(self.dir.path, "keepstore.service")
        with open(path, "w", encoding="utf-8") as file:
            file.write(re.sub(r"(?m)^\[Service\]\n", "\n".join(("[Service]", *lines, "")), text))
        run = subprocess.run(["systemd-analyze", "verify", path], capture_output=True, text=True, check=False)
        self.assertEqual([line for line in run.stderr.splitlines() if "keepstore.service" in line], [])
        # Each name is one that the daemon takes.
        for line in lines:
            name = line.split("=")[1].split(":")[0]
            write_credential(self.folder, name, SECRETS.get(name, "x"))
        run = self.run_program(self.without_secrets(), "-check")
        unused = re.findall(r"credential \S+/(\S+) is present, but will not be used: no key", run.stdout)
        self.assertEqual(unused, [])


class KeysOfS3(CredentialsCase, S3Case):
    def test_a_volume_takes_its_keys_from_files(self):
        uuid = volume_uuid(0)
        volume = s3_volume(self.server["endpoint"], self.bucket, self.server)
        for key in ("AccessKeyID", "SecretAccessKey"):
            write_credential(self.folder, f"{uuid}.{key}", volume["DriverParameters"].pop(key))
        for name, value in SECRETS.items():
            write_credential(self.folder, name, value)
        cluster = self.without_secrets({uuid: volume})
        daemon = self.start(**self.options(cluster))
        data = os.urandom(1000)
        self.assertEqual(daemon.put(data).status, 200)
        self.assertEqual(daemon.get(plain(data)).body, data)
        run = self.run_program(cluster, "-check")
        self.assertRegex(run.stdout, rf"(?m)^  Volumes.{uuid}.SecretAccessKey +credential {self.folder}/{uuid}.SecretAccessKey$")
        self.assertNotIn(self.server["secret_key"], run.stdout)
        probe = subprocess.run([binary(), "probe-s3", "-config=-"], input=json.dumps({"Clusters": {CLUSTER: cluster}}), text=True,
                               capture_output=True, timeout=60, check=False,
                               env=os.environ | {"CREDENTIALS_DIRECTORY": self.folder, "AWS_EC2_METADATA_DISABLED": "true"})
        self.assertEqual(probe.returncode, 0, probe.stdout + probe.stderr)
        self.assertIn(f"from credential {self.folder}/{uuid}.SecretAccessKey", probe.stdout)


def as_nobody():
    """A prefix that runs a command as another user, without the capabilities of root."""
    return (sys.executable, "-c", "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
                                  "os.execv(sys.argv[1], sys.argv[1:])")


class CannotWork(CredentialsCase):
    def test_a_port_that_needs_a_capability(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to become another user")
        with open("/proc/sys/net/ipv4/ip_unprivileged_port_start", encoding="ascii") as file:
            if int(file.read()) < 2:
                self.skipTest("this host gives all ports to all users")
        for path in (self.dir.path, os.path.dirname(binary())):
            os.chmod(path, os.stat(path).st_mode | 0o755)
        root = self.dir.make("vol0")
        os.chown(root, 65534, 65534)
        cluster = cluster_config([root], url="http://127.0.0.1:1/")
        for arguments in ((), ("-check",)):
            run = self.run_program(cluster, *arguments, wrapper=as_nobody(), env={"CREDENTIALS_DIRECTORY": ""})
            self.assertEqual(run.returncode, 1)
            self.assertIn("listen tcp 127.0.0.1:1: bind: Permission denied; a port below 1024 needs CAP_NET_BIND_SERVICE: "
                          "choose a higher port", run.stdout + run.stderr)

    def test_a_folder_for_dumps_that_cannot_be_written(self):
        file = os.path.join(self.dir.path, "file")
        with open(file, "w", encoding="utf-8"):
            pass
        for path, why in ((os.path.join(self.dir.path, "missing"), "No such file or directory"),
                          (file, "not a directory")):
            with self.subTest(why):
                daemon = self.start(SystemLogs={"RequestQueueDumpDirectory": path})
                entry = daemon.log.wait(lambda e: "RequestQueueDumpDirectory" in e["msg"], level="warning")
                self.assertIn(f"{path}: {why}; requests will not be listed there. Make it a folder that user", entry["msg"])
                self.assertEqual(daemon.put(b"foo").status, 200)


if __name__ == "__main__":
    main()
