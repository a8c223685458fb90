"""docker/: what can be said of an image without a container engine. The Dockerfile is read as its builder reads it, and checked by
the rules of hadolint that apply; its health check and the configuration of its demonstration are tried with the real daemon."""

import fnmatch
import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import unittest

from support.case import KeepstoreCase, main
from support.daemon import binary
from support.wait import free_port, refusing_port, until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCKER = os.path.join(ROOT, "docker")


COMPOSE = r"""#!/bin/bash
set -eu
case " $* " in
    *" --build "*)
        mkdir "$KEEPSTORE_DEMO/volume"
        sed -e "s/0\.0\.0\.0:25107/127.0.0.1:$PORT/" -e 's/Driver: S3/Driver: Directory/' -e '/DriverParameters/,$d' \
            "$KEEPSTORE_DEMO/config.yml" >"$KEEPSTORE_DEMO/own.yml"
        echo "        DriverParameters: {Root: '$KEEPSTORE_DEMO/volume'}" >>"$KEEPSTORE_DEMO/own.yml"
        "$KEEPSTORE" -config "$KEEPSTORE_DEMO/own.yml" </dev/null >"$KEEPSTORE_DEMO/log" 2>&1 &
        echo $! >"$KEEPSTORE_DEMO/pid"
        for ((i = 0; i < 600; ++i)); do ! grep -q '"listening"' "$KEEPSTORE_DEMO/log" || exit 0; sleep 0.1; done
        exit 1 ;;
    *" down "*)
        kill "$(cat "$KEEPSTORE_DEMO/pid")"
        while kill -0 "$(cat "$KEEPSTORE_DEMO/pid")" 2>/dev/null; do sleep 0.1; done ;;
esac
"""


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


def instructions(text):
    """[(NAME, rest)], continued lines joined, comments left out."""
    lines = [line for line in text.splitlines() if not re.match(r"\s*#", line)]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [(name.upper(), re.sub(r"\s+", " ", rest).strip()) for name, _, rest in
            (line.strip().partition(" ") for line in joined.splitlines() if line.strip())]


def stages(parsed):
    """[(name or None, base, instructions)]; what stands before the first FROM is left out."""
    found = []
    for name, rest in parsed:
        if name == "FROM":
            words = rest.split()
            found.append((words[2] if len(words) == 3 and words[1].upper() == "AS" else None, words[0], []))
        elif found:
            found[-1][2].append((name, rest))
    return found


def complaints(text, tree):
    """What is wrong with a Dockerfile whose context has these files."""
    parsed = instructions(text)
    all_stages = stages(parsed)
    names = [name for name, _, _ in all_stages]
    for _, base, steps in all_stages:
        if not base.startswith("$") and (":" not in base or base.endswith(":latest")):
            yield f"{base}: an image without a fixed tag"
        for name, rest in steps:
            if name not in ("RUN", "COPY", "WORKDIR", "USER", "EXPOSE", "ENV", "LABEL", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT",
                            "CMD", "ARG", "VOLUME"):
                yield f"{name}: not in use here (ADD fetches and unpacks; SHELL, ONBUILD and MAINTAINER surprise)"
            if name in ("ENV", "ARG") and re.search(r"TOKEN|SECRET|PASSWORD|KEY", rest, re.I):
                yield f"{name} {rest}: secrets stay in the image"
            if name == "WORKDIR" and not rest.startswith("/"):
                yield f"WORKDIR {rest}: not absolute"
            if name == "RUN" and re.search(r"\bsudo\b|apt-get (dist-)?upgrade|\bapt (install|update)|curl[^|]*\|", rest):
                yield f"RUN {rest[:40]}: sudo, upgrades, apt and piped downloads do not belong in an image"
            if name == "RUN" and "apt-get install" in rest and not ("-y" in rest.split() and "--no-install-recommends" in rest):
                yield f"RUN {rest[:40]}: apt-get install without -y --no-install-recommends"
            if name in ("ENTRYPOINT", "CMD"):
                try:
                    json.loads(rest)
                except ValueError:
                    yield f"{name} {rest}: a shell would get the signals"
            if name == "COPY":
                words = shlex.split(rest)
                origin = next((w.removeprefix("--from=") for w in words if w.startswith("--from=")), None)
                sources = [w for w in words if not w.startswith("--")][:-1]
                if origin is not None and origin not in names:
                    yield f"COPY {rest}: no stage {origin}"
                for source in sources if origin is None else ():
                    if source != "." and not fnmatch.filter(tree, source) and not any(f.startswith(source.rstrip("/") + "/") for f in tree):
                        yield f"COPY {source}: not in the context"
    final = dict((name, rest) for name, rest in all_stages[-1][2])
    if final.get("USER", "root").split(":")[0] in ("root", "0"):
        yield "the last stage runs as root"
    for wanted in ("HEALTHCHECK", "ENTRYPOINT", "EXPOSE", "STOPSIGNAL"):
        if wanted not in final:
            yield f"the last stage has no {wanted}"
    for rest in (rest for name, rest in all_stages[-1][2] if name == "RUN" and "apt-get update" in rest):
        if "rm -rf" not in rest or "/var/lib/apt/lists" not in rest:
            yield f"RUN {rest[:40]}: the package lists stay in the layer"


def context():
    """The files that a builder gets: those of the tree that .dockerignore leaves."""
    ignored = [line for line in read(".dockerignore").split("\n") if line and not line.startswith("#")]
    found = []
    for folder, folders, names in os.walk(ROOT):
        here = os.path.relpath(folder, ROOT)
        folders[:] = [f for f in folders if not any(
            fnmatch.fnmatch(os.path.normpath(os.path.join(here, f)), p) or (p.startswith("**/") and f == p[3:]) for p in ignored)]
        found += [os.path.normpath(os.path.join(here, n)) for n in names]
    return found


class Image(unittest.TestCase):
    def test_the_dockerfile_is_in_order(self):
        self.assertEqual(list(complaints(read("docker", "Dockerfile"), context())), [])

    def test_the_context_has_what_the_build_reads_and_no_build_of_this_host(self):
        tree = context()
        for path in ("scripts/build", "scripts/package", "CMakeLists.txt", "packaging/debian/control", "docs/interface.md", "daemon/main.cpp"):
            self.assertIn(path, tree)
        self.assertEqual([f for f in tree if f.startswith(("build/", ".git/")) or "__pycache__" in f], [])

    def test_the_rules_find_what_they_are_for(self):
        good = ("FROM debian:bookworm-slim AS build\nCOPY a b /x/\nFROM debian:bookworm-slim\nCOPY --from=build /x /x\nUSER keepstore\n"
                'EXPOSE 1\nSTOPSIGNAL SIGTERM\nHEALTHCHECK CMD ["/x"]\nENTRYPOINT ["/x"]\n')
        tree = ["a", "b"]
        self.assertEqual(list(complaints(good, tree)), [])
        for old, new, what in (("COPY a b", "COPY a c", "COPY c: not in the context"), ("USER keepstore\n", "", "as root"),
                               ("USER keepstore", "USER 0:0", "as root"), ('ENTRYPOINT ["/x"]', "ENTRYPOINT /x", "a shell"),
                               ("HEALTHCHECK", "# HEALTHCHECK", "no HEALTHCHECK"), ("--from=build", "--from=other", "no stage other"),
                               ("FROM debian:bookworm-slim\n", "FROM debian\n", "without a fixed tag"),
                               ("USER", "RUN apt-get update && apt-get install -y --no-install-recommends x\nUSER", "package lists"),
                               ("USER", "RUN apt-get install x\nUSER", "without -y"), ("COPY a b", "ADD a b", "ADD: not"),
                               ("USER", "ENV API_TOKEN=1\nUSER", "secrets")):
            with self.subTest(what):
                found = list(complaints(good.replace(old, new, 1), tree))
                self.assertEqual(len(found), 1, found)
                self.assertIn(what, found[0])


class Demonstration(KeepstoreCase):
    def health(self, port):
        run = subprocess.run([os.path.join(DOCKER, "health")], env={**os.environ, "KEEPSTORE_HEALTH_PORT": str(port)},
                             capture_output=True, text=True, timeout=60)
        return run.returncode

    def test_the_health_check_follows_readiness(self):
        daemon = self.start()
        self.assertEqual(self.health(daemon.address[1]), 0)
        os.rename(daemon.roots()[0], daemon.roots()[0] + ".away")
        self.wait_for_status(daemon, 503)
        self.assertEqual(self.health(daemon.address[1]), 1)
        os.rename(daemon.roots()[0] + ".away", daemon.roots()[0])
        self.wait_for_status(daemon, 200)
        self.assertEqual(self.health(daemon.address[1]), 0)
        self.assertEqual(self.health(refusing_port(self)), 1)

    def wait_for_status(self, daemon, status):
        until(lambda: daemon.request("GET", "/_health/ready").status == status, 20, f"readiness {status}")

    def test_the_configuration_of_the_demonstration_is_accepted(self):
        text = re.search(r'config\.yml" <<YAML\n(.*?)\nYAML\n', read("docker", "smoke"), re.S).group(1)
        self.assertEqual(set(re.findall(r"\$(?:\(random \d+\)|\w+)", text)), {"$token", "$management", "$(random 32)", "$key", "$secret"})
        text = re.sub(r"\$(?:\(random \d+\)|\w+)", "0123456789abcdef" * 3, text)
        # Any free port, so that nothing else on this host matters.
        text = text.replace("0.0.0.0:25107", "127.0.0.1:0")
        for url in ("http://192.0.2.10:25107", "http://192.0.2.11:25107"):
            run = subprocess.run([binary(), "-check", "-config", "-"], input=text, capture_output=True, text=True, timeout=60,
                                 env={"ARVADOS_SERVICE_INTERNAL_URL": url, "PATH": os.environ["PATH"]})
            self.assertEqual(run.returncode, 0, run.stdout)
            self.assertNotIn("unknown", run.stdout)

    @unittest.skipUnless(shutil.which("curl"), "there is no curl")
    def test_smoke_tries_the_daemons_and_removes_everything(self):
        # A program in the place of `docker compose`: its "up" starts one daemon with the configuration that smoke made, with
        # a folder instead of the bucket.
        port = free_port()
        script = os.path.join(self.dir.path, "docker", "smoke")
        shutil.copytree(DOCKER, os.path.dirname(script))
        with open(script, "r+", encoding="utf-8") as file:
            text = file.read().replace("127.0.0.1:25108", f"127.0.0.1:{port}")
            file.seek(0)
            file.write(text)
            file.truncate()
        compose = os.path.join(self.dir.path, "compose")
        with open(compose, "w", encoding="utf-8") as file:
            file.write(COMPOSE)
        os.chmod(compose, 0o755)
        demo = self.dir.make("tmp")
        run = subprocess.run([script], capture_output=True, text=True, timeout=300, env={
            **os.environ, "COMPOSE": compose, "KEEPSTORE": binary(), "PORT": str(port), "TMPDIR": demo,
            "ARVADOS_SERVICE_INTERNAL_URL": "http://192.0.2.10:25107"})
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        self.assertRegex(run.stdout, r"\d+ blocks were written and read meanwhile, none failed")
        self.assertEqual(os.listdir(demo), [])

    def test_compose_and_the_load_balancer_agree(self):
        compose = read("docker", "compose.yml")
        balancer = read("conf", "haproxy.cfg")
        addresses = re.findall(r"ipv4_address: (\S+)", compose)
        self.assertEqual(sorted(addresses), sorted(re.findall(r"(?m)^    server \w+ ([\d.]+):25107", balancer)))
        self.assertEqual(sorted(f"http://{a}:25107" for a in addresses),
                         sorted(re.findall(r"ARVADOS_SERVICE_INTERNAL_URL: (\S+)", compose)))
        (port,) = re.findall(r'"127\.0\.0\.1:(\d+):\d+"', compose)
        self.assertIn(f"bind :{port}", balancer)
        self.assertIn(f"url=http://127.0.0.1:{port}", read("docker", "smoke"))
        for path in re.findall(r"(?m)^      - (\.\.?/[^:]+):", compose):
            self.assertTrue(os.path.exists(os.path.join(DOCKER, path)), path)
        self.assertEqual(re.findall(r"(?i)(?:token|password|secret)\w*: ?\S*[0-9a-f]{8}", compose), [])

    def test_the_scripts_are_well_formed(self):
        for script in glob.glob(os.path.join(DOCKER, "*")):
            with open(script, encoding="utf-8") as file:
                if file.readline().startswith("#!/bin/bash"):
                    self.assertTrue(os.access(script, os.X_OK), script)
                    self.assertEqual(subprocess.run(["bash", "-n", script], check=False).returncode, 0)


if __name__ == "__main__":
    main()
