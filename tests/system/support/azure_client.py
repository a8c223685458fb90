#!/usr/bin/env python3
"""A small client of Azure Blob storage, to look at a container without the code under test.

As a command: azure_client.py ENDPOINT/CONTAINER make|remove|list
ENDPOINT is http://host:port/account; the account's key is in the environment, as AZURE_STORAGE_KEY."""

import base64
import email.utils
import hashlib
import hmac
import http.client
import os
import sys
import time
import urllib.parse
import xml.etree.ElementTree

IDLE_MAX = 2.0  # The service closes connections that were idle for some seconds; before that, a new one is made.
VERSION = "2021-12-02"
SIGNED = ("content-encoding", "content-language", "content-length", "content-md5", "content-type", "date", "if-modified-since",
          "if-match", "if-none-match", "if-unmodified-since", "range")


class AzureError(AssertionError):
    """A request failed."""


class AzureClient:
    """Requests to one account: one connection, one at a time."""

    def __init__(self, endpoint, key, timeout=30):
        where = urllib.parse.urlsplit(endpoint)
        self.path = where.path.rstrip("/")
        self.account = self.path.rpartition("/")[2]
        self._key = base64.b64decode(key)
        self._connection = http.client.HTTPConnection(where.hostname, where.port, timeout=timeout)
        self._used = 0

    def close(self):
        self._connection.close()

    def request(self, method, name, query=(), headers=(), body=b"", signed=True):
        """Sends a request for "container" or "container/blob". Returns status, headers (in lower case) and body."""
        path = f"{self.path}/{urllib.parse.quote(name)}"
        query = dict(query)
        sent = {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": VERSION,
                **{n.lower(): v for n, v in dict(headers).items()}}
        if body or method == "PUT":
            sent["content-length"] = str(len(body))
        if signed:
            sent["authorization"] = f"SharedKey {self.account}:{self._signature(method, path, query, sent)}"
        target = path + ("?" + urllib.parse.urlencode(query, quote_via=urllib.parse.quote) if query else "")
        if time.monotonic() - self._used > IDLE_MAX:
            self._connection.close()
        try:
            self._connection.request(method, target, body or None, sent)
            response = self._connection.getresponse()
            return response.status, {n.lower(): v for n, v in response.getheaders()}, response.read()
        except BaseException:
            self._connection.close()
            raise
        finally:
            self._used = time.monotonic()

    def _signature(self, method, path, query, headers):
        plain = [headers.get(n, "") for n in SIGNED]
        if plain[2] == "0":
            plain[2] = ""
        own = [f"{n}:{v}" for n, v in sorted(headers.items()) if n.startswith("x-ms-")]
        resource = [f"/{self.account}{path}"] + [f"{n.lower()}:{v}" for n, v in sorted(query.items())]
        text = "\n".join([method, *plain, *own, *resource])
        return self._sign(text)

    def signature_of(self, container, permissions="rl"):
        """A shared access signature of the container, good for an hour."""
        end = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
        text = "\n".join([permissions, "", end, f"/blob/{self.account}/{container}", "", "", "", VERSION, "c", *[""] * 7])
        return urllib.parse.urlencode({"sv": VERSION, "sr": "c", "sp": permissions, "se": end, "sig": self._sign(text)})

    def _sign(self, text):
        return base64.b64encode(hmac.new(self._key, text.encode(), hashlib.sha256).digest()).decode()

    def expect(self, expected, method, name, **options):
        """Sends a request whose status must be among `expected`. Returns headers and body."""
        status, headers, body = self.request(method, name, **options)
        if status not in expected:
            raise AzureError(f"{method} {name}: {status} {headers.get('x-ms-error-code', '')} {body[:300]}")
        return headers, body

    # --- containers ---

    def make_container(self, name):
        self.expect((201,), "PUT", name, query={"restype": "container"})

    def remove_container(self, name):
        self.expect((202, 404), "DELETE", name, query={"restype": "container"})

    # --- blobs ---

    def put(self, container, name, body, metadata=None):
        headers = {"x-ms-blob-type": "BlockBlob", **{f"x-ms-meta-{n}": v for n, v in (metadata or {}).items()}}
        return self.expect((201,), "PUT", f"{container}/{name}", headers=headers, body=body)[0]

    def put_blocks(self, container, name, body):
        """Stores a blob of two blocks, of which the service keeps no MD5."""
        middle = len(body) // 2
        ids = []
        for number, part in enumerate((body[:middle], body[middle:])):
            ids.append(base64.b64encode(b"%04d" % number).decode())
            self.expect((201,), "PUT", f"{container}/{name}", query={"comp": "block", "blockid": ids[-1]}, body=part)
        listed = "".join(f"<Latest>{i}</Latest>" for i in ids)
        self.expect((201,), "PUT", f"{container}/{name}", query={"comp": "blocklist"},
                    body=f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode())

    def get(self, container, name):
        """Returns the content, or None without the blob."""
        status, headers, body = self.request("GET", f"{container}/{name}")
        if status == 404 and headers.get("x-ms-error-code") == "BlobNotFound":
            return None
        if status != 200:
            raise AzureError(f"GET {container}/{name}: {status}")
        return body

    def delete(self, container, name):
        self.expect((202, 404), "DELETE", f"{container}/{name}")

    def metadata(self, container, name):
        """Returns the metadata of a blob, with names in lower case, or None without the blob."""
        status, headers, _ = self.request("HEAD", f"{container}/{name}")
        if status == 404:
            return None
        return {n.removeprefix("x-ms-meta-"): v for n, v in headers.items() if n.startswith("x-ms-meta-")}

    def set_metadata(self, container, name, metadata):
        return self.expect((200,), "PUT", f"{container}/{name}", query={"comp": "metadata"},
                           headers={f"x-ms-meta-{n}": v for n, v in metadata.items()})[0]

    def names(self, container, prefix=""):
        """Returns the names of all blobs."""
        found = []
        marker = ""
        while True:
            query = {"restype": "container", "comp": "list", "prefix": prefix}
            if marker:
                query["marker"] = marker
            _, body = self.expect((200,), "GET", container, query=query)
            page = xml.etree.ElementTree.fromstring(body.decode("utf-8-sig"))
            found += [e.text for e in page.iterfind("Blobs/Blob/Name")]
            marker = page.findtext("NextMarker") or ""
            if not marker:
                return found


def command_line():
    if len(sys.argv) != 3 or sys.argv[2] not in ("make", "remove", "list"):
        sys.exit(__doc__)
    endpoint, _, container = sys.argv[1].rpartition("/")
    client = AzureClient(endpoint, os.environ["AZURE_STORAGE_KEY"])
    if sys.argv[2] == "make":
        client.make_container(container)
    elif sys.argv[2] == "remove":
        client.remove_container(container)
    else:
        print("\n".join(client.names(container)))


if __name__ == "__main__":
    command_line()
