"""The Debian package: built by scripts/package around the program under test, checked by lintian, installed, upgraded, removed
and purged in a copy-on-write view of this system."""

import glob
import os
import re
import shutil
import subprocess
import unittest

from support.case import main
from support.daemon import TempDir, binary

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Runs in a chroot. Each line must succeed.
LIFE = r"""
set -eux
mkdir -p /etc/arvados /var/lib/keepstore/acb
echo "Clusters: {}" > /etc/arvados/config.yml
echo foo > /var/lib/keepstore/acb/acbd18db4cc2f85cedef654fccc4a4d8
unchanged() {
    [ "$(cat /etc/arvados/config.yml)" = "Clusters: {}" ]
    [ "$(cat /var/lib/keepstore/acb/acbd18db4cc2f85cedef654fccc4a4d8)" = foo ]
}
dpkg -i /package.deb
getent passwd keepstore
keepstore -version
keepctl --version
test -f /lib/systemd/system/keepstore.service
test -f /usr/share/man/man8/keepstore.8.gz
[ -L /etc/systemd/system/multi-user.target.wants/keepstore.service ]
test -f /lib/systemd/system/keepstore.socket
[ ! -e /etc/systemd/system/sockets.target.wants/keepstore.socket ]
unchanged
dpkg -i /package.deb
unchanged
dpkg -r keepstore > /said
grep "blocks.*stay as they are" /said
[ ! -e /usr/bin/keepstore ]
unchanged
dpkg -P keepstore
unchanged
"""

VIEW = r"""
set -eu
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount -t proc proc "$1/root/proc"
mount -t devtmpfs dev "$1/root/dev" 2>/dev/null || mount --rbind /dev "$1/root/dev"
cp "$2" "$1/root/package.deb"
exec chroot "$1/root" /bin/sh -c "$3"
"""


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not shutil.which("dh") or not shutil.which("dpkg-buildpackage"):
            raise unittest.SkipTest("debhelper is not installed")
        cls.dir = TempDir()
        cls.addClassCleanup(cls.dir.remove)
        out = cls.dir.make("out")
        run = subprocess.run([os.path.join(ROOT, "scripts", "package"), binary(), out], capture_output=True, text=True)
        if run.returncode != 0:
            raise AssertionError(run.stdout + run.stderr)
        (cls.package,) = [p for p in glob.glob(os.path.join(out, "*.deb")) if "dbgsym" not in p]

    def test_contents(self):
        listed = subprocess.run(["dpkg-deb", "--contents", self.package], check=True, capture_output=True,
                                text=True).stdout
        files = {line.split()[5][1:] for line in listed.splitlines() if not line.startswith("d")}
        self.assertLessEqual({"/usr/bin/keepstore", "/lib/systemd/system/keepstore.service",
                              "/usr/share/man/man8/keepstore.8.gz", "/usr/lib/sysusers.d/keepstore.conf",
                              "/usr/share/bash-completion/completions/keepstore", "/usr/bin/keepctl",
                              "/usr/share/man/man1/keepctl.1.gz", "/usr/share/bash-completion/completions/keepctl",
                              "/usr/share/doc/keepstore/examples/keepctl-balance.service",
                              "/usr/share/doc/keepstore/examples/keepctl-replicate.service",
                              "/usr/share/doc/keepstore/examples/keepstore.full.yml"}, files)
        # The configuration is the operator's.
        self.assertEqual([f for f in files if f.startswith(("/etc", "/var"))], [])

    def test_lintian_has_nothing_to_say(self):
        if not shutil.which("lintian"):
            self.skipTest("lintian is not installed")
        run = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", self.package], capture_output=True,
                             text=True)
        self.assertEqual((run.returncode, run.stdout), (0, ""))

    def test_install_upgrade_remove_purge(self):
        if os.geteuid() != 0:
            self.skipTest("needs root")
        run = subprocess.run(["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", VIEW, "view",
                              self.dir.make("view"), self.package, LIFE], capture_output=True, text=True)
        refused = re.search(r"^(mount|unshare): .*", run.stderr, re.MULTILINE)
        if refused:
            self.skipTest(f"no overlay file system here: {refused.group()}")
        self.assertEqual(run.returncode, 0, run.stdout[-2000:] + run.stderr[-4000:])

    def test_the_completion_knows_the_options(self):
        script = f'keepstore() {{ "{binary()}" "$@"; }}; . "$0"; COMP_WORDS=(keepstore -ch); COMP_CWORD=1; _keepstore; ' \
                 'echo "${COMPREPLY[@]}"'
        run = subprocess.run(["bash", "-c", script, os.path.join(ROOT, "packaging", "keepstore.bash")],
                             capture_output=True, text=True)
        self.assertEqual(run.stdout.strip(), "-check", run.stderr)

    def test_the_manual_page_has_each_option_that_does_something(self):
        usage = subprocess.run([binary(), "-help"], capture_output=True, text=True)
        options = [line.split()[0] for line in (usage.stdout + usage.stderr).splitlines() if line.startswith("  -")]
        with open(os.path.join(ROOT, "packaging", "keepstore.8"), encoding="utf-8") as file:
            page = file.read().replace("\\-", "-")
        self.assertEqual([o for o in options if o not in page and "legacy" not in o and o != "-pprof"], [])


if __name__ == "__main__":
    main()
