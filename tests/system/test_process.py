"""The program as a process: flags, exit codes, where the configuration comes from, start-up refusals, -check."""

import json
import os
import socket
import subprocess
import time
import unittest

from support.case import KeepstoreCase, main
from support.certificate import certificate
from support.client import Connection
from support.daemon import (CLUSTER, Daemon, SYSTEM_ROOT_TOKEN, binary, check_no_secret, cluster_config,
                            directory_volume, volume_uuid)
from support.locator import md5
from support.wait import PATIENCE, port_open, stable_port, until


class Process(KeepstoreCase):
    def run_program(self, *arguments, stdin="", env=None, argv0=None):
        environment = {k: v for k, v in os.environ.items() if not k.startswith("ARVADOS_")}
        environment.update(env or {})
        return subprocess.run([argv0 or binary(), *arguments], executable=binary(), input=stdin, capture_output=True, text=True,
                              timeout=20 * PATIENCE, env=environment, check=False)

    def config(self, **changes):
        volumes = changes.pop("volumes", [self.dir.make("vol0")])
        return {"Clusters": {CLUSTER: cluster_config(volumes, **changes)}}

    def assert_refused(self, result, *texts, code=1):
        """Asserts the exit code, and a JSON line "exiting" with the error."""
        self.assertEqual(result.returncode, code, result.stderr)
        lines = [json.loads(line) for line in result.stderr.splitlines()]
        last = [e for e in lines if e["msg"] == "exiting"]
        self.assertEqual(len(last), 1, result.stderr)
        self.assertEqual(last[0]["level"], "error")
        check_no_secret(result.stderr)
        for text in texts:
            self.assertIn(text, last[0]["error"])
        return lines

    # --- flags ---

    def test_version(self):
        for flag in ("-version", "--version", "-version=true"):
            result = self.run_program(flag, argv0="keepstore")
            self.assertEqual(result.returncode, 0)
            self.assertRegex(result.stdout, r"^keepstore \S+ \(.*\)\n$")
            self.assertEqual(result.stderr, "")

    def test_help(self):
        for flag in ("-help", "-h", "--help"):
            result = self.run_program(flag)
            self.assertEqual((result.returncode, result.stdout), (0, ""))
            self.assertIn("-config", result.stderr)

    def test_usage_errors_exit_with_2(self):
        for arguments in (["-nonsense"], ["--nonsense=1"], ["stray"], ["-config"], ["-version=maybe"], ["-config=-", "stray"]):
            with self.subTest(arguments):
                result = self.run_program(*arguments)
                self.assertEqual(result.returncode, 2)
                self.assertTrue(result.stderr.rstrip().endswith("(try -help)"), result.stderr)

    def test_flag_forms(self):
        path = os.path.join(self.dir.path, "c.yml")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"Clusters": {}}, file)
        for arguments in (["-config", path], ["--config", path], [f"-config={path}"], [f"--config={path}"],
                          ["-skip-legacy", "-config", path], ["-skip-legacy=true", "-config", path],
                          ["-legacy-keepstore-config", "", "-config", path]):
            with self.subTest(arguments):
                self.assert_refused(self.run_program(*arguments))

    def test_config_from_the_environment(self):
        path = os.path.join(self.dir.path, "c.yml")
        with open(path, "w", encoding="utf-8") as file:
            file.write("Clusters: {xx: {}}\n")
        self.assert_refused(self.run_program(env={"ARVADOS_CONFIG": path}), "xx")
        self.assert_refused(self.run_program("-config", "-", stdin="Clusters: {}", env={"ARVADOS_CONFIG": path}))

    # --- configurations that are refused ---

    def test_refused_configurations(self):
        good = self.config()
        root = self.dir.make("vol0")

        def change(**sections):
            return json.dumps(self.config(**sections))

        for what, text, words in [
            ("no clusters on stdin", "{}", ["clusters"]),
            ("empty stdin", "", []),
            ("null clusters", "Clusters:\n", []),
            ("two clusters", json.dumps({"Clusters": {"aaaaa": good["Clusters"][CLUSTER], "bbbbb": {}}}), ["multiple clusters"]),
            ("bad cluster id", json.dumps({"Clusters": {"TOOLONG": {}}}), ["TOOLONG"]),
            ("not YAML", "Clusters: [", []),
            ("a tab", "Clusters:\n\tzzzzz: {}\n", []),
            ("text", "just text", []),
            ("token with a dash", change(SystemRootToken="not-allowed"), ["SystemRootToken"]),
            ("signing on without key", change(Collections={"BlobSigningKey": ""}), []),
            ("bad duration", change(Collections={"BlobSigningTTL": "10 minutes"}), ["BlobSigningTTL"]),
            ("duration without unit", change(API={"RequestTimeout": 300}), ["RequestTimeout"]),
            ("days", change(Collections={"BlobSigningTTL": "14d"}), ["BlobSigningTTL"]),
            ("quoted number", change(API={"MaxConcurrentRequests": "64"}), ["MaxConcurrentRequests"]),
            ("quoted bool", change(Collections={"BlobSigning": "true"}), ["BlobSigning"]),
            ("number for a string", "Clusters: {zzzzz: {SystemRootToken: 12345678901234567890}}", ["SystemRootToken"]),
            ("no buffers", change(API={"MaxKeepBlobBuffers": 0}), ["MaxKeepBlobBuffers"]),
            ("no volumes", change(volumes={}), ["no volumes configured"]),
            ("volumes of others", change(volumes=[directory_volume(root, AccessViaHosts={"http://other.example/": {}})]),
             ["no volumes configured for"]),
            ("unknown driver", change(volumes=[{"Driver": "directory", "DriverParameters": {"Root": root}}]), ["directory"]),
            ("missing root", change(volumes=[directory_volume(self.dir.path + "/missing")]), []),
            ("relative root", change(volumes=[directory_volume("relative")]), []),
            ("no parameters", change(volumes=[{"Driver": "Directory"}]), []),
            ("undefined class", change(volumes=[directory_volume(root, StorageClasses={"x": True})]), ["x"]),
            ("no default class", change(volumes=[directory_volume(root, StorageClasses={"x": True})], StorageClasses={"x": {}}), []),
            ("volume without class", change(StorageClasses={"x": {"Default": True}}), [volume_uuid(0)]),
            ("no listen address", change(Services={"Keepstore": {"InternalURLs": {}}}, url="http://192.0.2.1:1/"), []),
            ("not for this host", change(url="http://192.0.2.1:25107/"), ["keepstore"]),
            ("port too large", change(url="http://127.0.0.1:99999/"), ["port"]),
            ("other scheme", change(url="ftp://127.0.0.1:0/"), ["scheme"]),
            ("pull host with a path", change(Keepstore={"PullHosts": ["keep1/path"]}), ["PullHosts"]),
            ("root is a file", change(volumes=[directory_volume(self.file("a file"))]), ["not a directory"]),
            *self.refused_buckets(),
            *self.refused_certificates(),
        ]:
            with self.subTest(what):
                lines = self.assert_refused(self.run_program("-config=-", stdin=text), *words)
                # -check refuses it, too, with the same words.
                checked = self.run_program("-check", "-config=-", stdin=text)
                self.assertEqual(checked.returncode, 1, checked.stdout)
                self.assertIn([e for e in lines if e["msg"] == "exiting"][0]["error"], checked.stdout)
                check_no_secret(checked.stdout + checked.stderr)

    def file(self, name, content="x"):
        path = os.path.join(self.dir.path, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        return path

    def refused_buckets(self):
        good = {"Bucket": "keep", "Region": "us-east-1", "AccessKeyID": "a", "SecretAccessKey": "b"}
        for what, changes, word in [
            ("bucket with a path", {"Bucket": "keep/blocks"}, "Bucket"),
            ("bucket as a URL", {"Bucket": "s3://keep"}, "Bucket"),
            ("endpoint without a host", {"Endpoint": "https://"}, "Endpoint"),
            ("endpoint of another scheme", {"Endpoint": "ftp://s3.example"}, "Endpoint"),
            ("endpoint with a port too large", {"Endpoint": "https://s3.example:99999"}, "Endpoint"),
            ("endpoint with a query", {"Endpoint": "https://s3.example/?a"}, "Endpoint"),
            ("region with a space", {"Region": "us east"}, "Region"),
        ]:
            yield what, json.dumps(self.config(volumes=[{"Driver": "S3", "DriverParameters": {**good, **changes}}])), [word]

    def refused_certificates(self):
        cert, key = certificate(self.dir.path, "server", 1)
        _, other = certificate(self.dir.path, "other", 2)
        garbage = self.file("garbage.pem")
        for what, files, word in [
            ("key of another certificate", {"Certificate": cert, "Key": other}, "key"),
            ("no certificate", {"Certificate": garbage, "Key": key}, "certificate"),
            ("no key", {"Certificate": cert, "Key": garbage}, "key"),
            ("missing certificate", {"Certificate": cert + ".missing", "Key": key}, "TLS.Certificate"),
            ("certificate not given", {"Key": key}, "TLS.Certificate"),
            ("ACME", {"ACME": {"Server": "LE"}}, "ACME"),
        ]:
            yield what, json.dumps(self.config(url="https://127.0.0.1:0/", TLS=files)), [word]

    def test_unknown_log_level_is_fatal(self):
        for logs, word in (({"LogLevel": "loud"}, "loud"), ({"Format": "xml"}, "xml")):
            result = self.run_program("-config=-", stdin=json.dumps(self.config(SystemLogs=logs)))
            self.assertEqual(result.returncode, 1)
            self.assertEqual(len(result.stderr.splitlines()), 1)
            self.assertIn(word, result.stderr)

    def test_files(self):
        for what, content in (("missing", None), ("without clusters", "{}"), ("empty", ""), ("null", "Clusters:\n")):
            with self.subTest(what):
                path = os.path.join(self.dir.path, what)
                if content is not None:
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(content)
                # Exit 1 whatever the program is called, so that systemd tries again.
                for argv0 in ("keepstore", "/usr/bin/keepstore"):
                    self.assert_refused(self.run_program("-config", path, argv0=argv0), path if content is not None else "")

    def test_port_in_use(self):
        first = self.start()
        result = self.run_program("-config=-", stdin=json.dumps(self.config(url=f"http://127.0.0.1:{first.address[1]}/")))
        self.assert_refused(result)
        self.assertEqual(first.put(b"foo").status, 200)

    def test_check_before_a_restart(self):
        """The address is in use by the service to be restarted: a note. By another program: a problem."""
        for scheme in ("http", "https"):
            with self.subTest(scheme):
                url = f"{scheme}://127.0.0.1:{stable_port()}/"
                cert, key = certificate(self.dir.path, scheme, 1)
                sections = {"url": url, "TLS": {"Certificate": cert, "Key": key}}
                daemon = self.start(**sections)
                checked = self.run_program("-check", "-config=-", stdin=json.dumps(self.config(**sections)))
                self.assertEqual(checked.returncode, 0, checked.stdout)
                self.assertIn(f"{url} is in use by a running keepstore", checked.stdout)
                daemon.stop()
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            text = json.dumps(self.config(url=f"http://127.0.0.1:{other.getsockname()[1]}/"))
            checked = self.run_program("-check", "-config=-", stdin=text)
            self.assertEqual(checked.returncode, 1, checked.stdout)
            self.assertIn("Address already in use", checked.stdout)

    # --- configurations that are accepted ---

    def test_unknown_keys_are_warnings(self):
        daemon = self.start(Unknown={"a": 1}, API={"MaxConcurrentrequests": 1, "Nonsense": 2})
        warnings = " ".join(e["msg"] for e in daemon.log.entries(level="warning"))
        self.assertIn("Unknown", warnings)
        self.assertIn("perhaps you meant MaxConcurrentRequests?", warnings)
        daemon.put(b"foo")
        until(lambda: daemon.metric("arvados_max_concurrent_requests", queue="api") == 64, 5, "the default limit stays")

    def test_null_sections_keep_defaults(self):
        daemon = self.start(API=None, StorageClasses=None, SystemLogs=None)
        self.assertEqual(daemon.put(b"foo").status, 200)

    def test_yaml_file(self):
        path = os.path.join(self.dir.path, "config.yml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"""# A comment
Clusters:
  {CLUSTER}:
    SystemRootToken: {SYSTEM_ROOT_TOKEN}
    ManagementToken: &token manage0123456789abcdefghijklmnopqrs
    API: {{MaxConcurrentRequests: 0x10, MaxKeepBlobBuffers: 1_0, RequestTimeout: 1m30s}}
    Collections: {{BlobSigning: no, BlobTrash: off}}
    Services: {{Keepstore: {{InternalURLs: {{"http://127.0.0.1:0": {{}}}}}}}}
    Volumes:
      {volume_uuid(0)}:
        Driver: Directory
        DriverParameters: {{Root: "{self.dir.make('yaml')}"}}
      {volume_uuid(1)}:
---
ignored: document
""")
        result = self.run_program("-check", "-config", path)
        self.assertEqual(result.returncode, 0, result.stderr + result.stdout)

    def test_address_from_the_environment(self):
        root = self.dir.make("vol0")
        cluster = cluster_config([root], url="http://unlisted.example:25107/")
        daemon = Daemon(cluster, env={"ARVADOS_SERVICE_INTERNAL_URL": "http://127.0.0.1:0"})
        self.addCleanup(self._finish, daemon, True)
        self.assertEqual(daemon.put(b"foo").status, 200)
        self.assertTrue([e for e in daemon.log.entries(level="warning") if "possible configuration error" in e["msg"]])

    def test_access_follows_the_service_url(self):
        mine, other = "http://127.0.0.1:0/", "http://192.0.2.1:1/"
        daemon = self.start([directory_volume(self.dir.make("a"), AccessViaHosts={"http://127.0.0.1:0": {}}),
                             directory_volume("/nonexistent", AccessViaHosts={other: {}})], url=mine)
        self.assertEqual(len(json.loads(daemon.admin("GET", "/mounts").text)), 1)

    def test_listen_url_is_the_address_and_the_key_the_identity(self):
        key = "http://keep0.example:25107/"
        daemon = self.start([directory_volume(self.dir.make("a"), AccessViaHosts={key: {}})],
                            url=key, Services={"Keepstore": {"InternalURLs": {key: {"ListenURL": "http://127.0.0.1:0/"}}}})
        self.assertEqual(daemon.put(b"foo").status, 200)

    def test_json_on_stdin_needs_no_environment(self):
        # As a container runner starts it: only these two variables.
        process = subprocess.run(["env", "-i", "GOGC=10", "ARVADOS_SERVICE_INTERNAL_URL=http://127.0.0.1:0", binary(), "-check",
                                  "-config=-"], input=json.dumps(self.config(Collections={"BlobTrash": False})),
                                 capture_output=True, text=True, timeout=20 * PATIENCE, check=False)
        self.assertEqual(process.returncode, 0, process.stderr)

    def test_start_is_quick(self):
        times = []
        for _ in range(3):
            begun = time.monotonic()
            self.start().stop()
            times.append(time.monotonic() - begun)
        self.assertLess(min(times), 3.0)  # Generous: sanitizer builds and a busy machine; the figure itself is in bench/.

    # --- -check ---

    def test_check_lists_the_volumes_that_would_be_served(self):
        result = self.run_program("-check", "-config=-", stdin=json.dumps(self.config()))
        self.assertEqual(result.returncode, 0, result.stderr)
        text = result.stdout + result.stderr
        self.assertIn(volume_uuid(0), text)
        self.assertIn(os.path.join(self.dir.path, "vol0"), text)
        check_no_secret(text)

    def test_check_lists_errors(self):
        result = self.run_program("-check", "-config=-", stdin=json.dumps(self.config(Collections={"BlobSigningTTL": "14d"})))
        self.assertEqual(result.returncode, 1)
        self.assertIn("BlobSigningTTL", result.stdout + result.stderr)
        check_no_secret(result.stdout + result.stderr)

    def test_check_changes_no_files(self):
        self.run_program("-check", "-config=-", stdin=json.dumps(self.config()))
        self.assertEqual(os.listdir(os.path.join(self.dir.path, "vol0")), [])

    def test_secrets_are_in_neither_arguments_nor_environment(self):
        daemon = self.start()
        for name in ("cmdline", "environ"):
            with open(f"/proc/{daemon.pid}/{name}", "rb") as file:
                check_no_secret(file.read().decode("utf-8", "replace"))

    def test_a_log_reader_that_has_gone_does_not_stop_the_service(self):
        read, write = os.pipe()
        port = stable_port()
        config = self.config(url=f"http://127.0.0.1:{port}/")
        process = subprocess.Popen([binary(), "-config=-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=write)
        self.addCleanup(process.wait, 10)
        self.addCleanup(process.kill)
        os.close(write)
        process.stdin.write(json.dumps(config).encode())
        process.stdin.close()
        until(lambda: port_open(port), 10, "the port is open")
        os.close(read)
        for n in range(20):
            with Connection(("127.0.0.1", port)) as connection:
                self.assertEqual(connection.request("PUT", "/" + md5(b"%d" % n), {}, b"%d" % n).status, 200)
        self.assertIsNone(process.poll())


if __name__ == "__main__":
    main()
