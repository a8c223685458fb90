"""The base of the tests of keepctl against servers."""

import json
import os

from . import keepctl
from .case import KeepstoreCase
from .daemon import MANAGEMENT_TOKEN, SIGNING_KEY, SYSTEM_ROOT_TOKEN


class KeepctlCase(KeepstoreCase):
    def setUp(self):
        super().setUp()
        for name, secret in (("token", SYSTEM_ROOT_TOKEN), ("key", SIGNING_KEY), ("management", MANAGEMENT_TOKEN)):
            with open(self.path(name), "w", encoding="ascii") as file:
                file.write(secret + "\n")
        self.secrets = ["--token-file", self.path("token"), "--signing-key-file", self.path("key"),
                        "--management-token-file", self.path("management")]

    def path(self, name):
        return os.path.join(self.dir.path, name)

    def url(self, daemon):
        return f"http://{daemon.address[0]}:{daemon.address[1]}"

    def run_with(self, daemons, *arguments, **options):
        """A command with its secrets, about these daemons."""
        servers = [word for d in daemons for word in ("--server", d if isinstance(d, str) else self.url(d))]
        return keepctl.run(self.dir.path, *arguments, *servers, *self.secrets, **options)

    def config_file(self, daemons):
        cluster = json.loads(json.dumps(daemons[0].cluster))
        cluster["Services"]["Keepstore"]["InternalURLs"] = {self.url(d): {} for d in daemons}
        with open(self.path("config.yml"), "w", encoding="utf-8") as file:
            json.dump({"Clusters": {"zzzzz": cluster}}, file)
        return self.path("config.yml")
