"""The base of test cases that need a Blob service: the one of KEEPSTORE_TEST_AZURE, which ctest starts once for all of them,
or else one of their own (python3 tests/system/test_x.py)."""

import re
import secrets

from .azure_client import AzureClient
from .azurite import Azurite, missing
from .case import KeepstoreCase
from .daemon import merge
from .published_server import find_server


def server():
    """Where the server is, as azurite.py publishes it. SkipTest with the reason if there is none."""
    return find_server("KEEPSTORE_TEST_AZURE", "Blob service", missing, Azurite)


def azure_volume(info, container, **extra):
    """The configuration of a volume, with short timeouts."""
    return merge({"Driver": "Azure", "Replication": 1, "DriverParameters": {
        "Endpoint": info["endpoint"], "StorageAccountName": info["account"], "StorageAccountKey": info["key"],
        "ContainerName": container, "RequestTimeout": "5s", "WriteRaceInterval": "2s", "WriteRacePollTime": "100ms"}}, extra)


class AzureCase(KeepstoreCase):
    """Gives every test a container of its own. `self.azure` looks into it directly. The end of a test looks for the account's
    key in the logs of its daemons."""

    def setUp(self):
        super().setUp()
        self.server = self.find_server()
        self.azure = AzureClient(self.server["endpoint"], self.server["key"])
        self.addCleanup(self.azure.close)
        self.container = self.make_container()

    def find_server(self):
        return server()

    def make_container(self):
        name = re.sub(r"[^a-z0-9]+", "-", self.id().rsplit(".", 1)[1].lower())[:40].strip("-")
        container = f"{name}-{secrets.token_hex(4)}"
        self.azure.make_container(container)
        self.addCleanup(self._remove_container, container)
        return container

    def _remove_container(self, container):
        # The server may have ended the test's connection long ago.
        client = AzureClient(self.server["endpoint"], self.server["key"])
        client.remove_container(container)
        client.close()

    def volume(self, container=None, **extra):
        return azure_volume(self.server, container or self.container, **extra)

    def start(self, *arguments, **sections):  # pylint: disable=signature-differs
        daemon = super().start(*(arguments or ([self.volume()],)), **sections)
        self.addCleanup(self._assert_secret_is_kept, daemon)
        return daemon

    def _assert_secret_is_kept(self, daemon):
        self.assertNotIn(self.server["key"], "\n".join(daemon.log.lines()))
