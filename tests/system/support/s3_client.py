#!/usr/bin/env python3
"""A thin S3 client for tests: signature version 4 and one request at a time on one kept connection.

Made of the standard library only and independent of the code under test, so that a test can look at a bucket from outside.
It retries nothing and follows nothing. An object belongs to one thread. As a command, for the tests written in C++:
    s3_client.py URL-OF-A-BUCKET make | remove | list | put KEY < DATA | get KEY > DATA | head KEY | delete KEY
with the keys of the account in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.
"""

import argparse
import datetime
import email.utils
import hashlib
import hmac
import http.client
import os
import ssl
import sys
import time
import xml.etree.ElementTree as xml
from urllib.parse import quote, urlsplit

UNSIGNED = "UNSIGNED-PAYLOAD"
TIMEOUT = 30.0
IDLE_MAX = 2.0  # A service closes connections that were idle for some seconds; before that, a new one is made.
_UNRESERVED = "-_.~"  # And the alphanumeric ones, which quote() never touches.


def canonical_query(query):
    """Encoded once, sorted by the encoded name: what is signed is also what is sent."""
    return "&".join(f"{n}={v}" for n, v in sorted((quote(n, safe=_UNRESERVED), quote(v, safe=_UNRESERVED))
                                                  for n, v in query.items()))


def sign(method, host, path, query, headers, payload_hash, access_key, secret_key, region, now):
    """The headers to add to a request. `path` is already encoded; of `headers`, all are signed. `now`: UTC seconds."""
    stamp = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    added = {"x-amz-date": stamp, "x-amz-content-sha256": payload_hash}
    signed = {"host": host} | {n.lower(): " ".join(str(v).split()) for n, v in headers.items()} | added
    names = ";".join(sorted(signed))
    canonical = "\n".join([method, path, query, *(f"{n}:{signed[n]}" for n in sorted(signed)), "", names, payload_hash])
    scope = f"{stamp[:8]}/{region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    added["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, "
                              f"Signature={signature}")
    return added


class S3Error(AssertionError):
    """A response that is no success, from a method that promises one."""

    def __init__(self, what, response):
        super().__init__(f"{what}: {response}")
        self.response = response


class S3Response:
    """A response; `headers` with names in lower case."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def etag(self):
        return self.headers.get("etag", "").strip('"')

    @property
    def code(self):
        """S3's name for the error, from the body; None without one."""
        try:
            root = xml.fromstring(self.body)
        except xml.ParseError:
            return None
        return root.findtext("Code") if root.tag == "Error" else None

    @property
    def ok(self):
        return 200 <= self.status < 300 and self.code is None

    @property
    def mtime(self):
        """Last-Modified as seconds since 1970."""
        return email.utils.parsedate_to_datetime(self.headers["last-modified"]).timestamp()

    def find(self, path):
        """Texts of the elements of the XML body at `path`, whatever their name space."""
        parts = "/".join(f"{{*}}{p}" for p in path.split("/"))
        return [e.text or "" for e in xml.fromstring(self.body).findall(parts)]

    def __repr__(self):
        return f"<S3 {self.status} {self.body[:300]!r}>"


class S3Client:
    """Path-style requests to one endpoint. `skew`: seconds by which its clock is wrong."""

    def __init__(self, endpoint, access_key, secret_key, region="us-east-1", token=None, timeout=TIMEOUT, skew=0, tls=None):
        self.endpoint = urlsplit(endpoint)
        self.access_key = access_key
        self.secret_key = secret_key
        self.region = region
        self.token = token
        self.timeout = timeout
        self.skew = skew
        self._tls = tls
        self._connection = None
        self._used = 0

    def close(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(self, method, bucket="", key="", query=None, headers=None, body=None, sign_body=False):
        """Sends one request and returns the response unchanged. Errors of the connection are raised, and the next request gets a new one.
        `body`: bytes, or a file of known length."""
        path = "/" + "/".join(p for p in (bucket, quote(key, safe=_UNRESERVED + "/")) if p)
        text = canonical_query(query or {})
        headers = dict(headers or {})
        if self.token:
            headers["x-amz-security-token"] = self.token
        payload_hash = hashlib.sha256(body or b"").hexdigest() if sign_body else UNSIGNED
        headers |= sign(method, self.endpoint.netloc, path, text, headers, payload_hash, self.access_key, self.secret_key,
                        self.region, time.time() + self.skew)
        if time.monotonic() - self._used > IDLE_MAX:
            self.close()
        if self._connection is None:
            kind = http.client.HTTPSConnection if self.endpoint.scheme == "https" else http.client.HTTPConnection
            options = {"context": self._tls or ssl.create_default_context()} if self.endpoint.scheme == "https" else {}
            self._connection = kind(self.endpoint.hostname, self.endpoint.port, timeout=self.timeout, **options)
        try:
            self._connection.timeout = self.timeout
            if self._connection.sock is not None:
                self._connection.sock.settimeout(self.timeout)
            self._connection.request(method, path + ("?" + text if text else ""), body, headers)
            answer = self._connection.getresponse()
            body = answer.read()
            self._used = time.monotonic()
            return S3Response(answer.status, {n.lower(): v for n, v in answer.getheaders()}, body)
        except BaseException:
            self.close()
            raise

    def succeed(self, method, bucket="", key="", **options):
        """Like request(), but raises S3Error for anything except a success; an <Error> inside a 200 is no success."""
        response = self.request(method, bucket, key, **options)
        if not response.ok:
            raise S3Error(f"{method} {bucket}/{key}", response)
        return response

    # --- objects ---

    def put(self, bucket, key, data, headers=None):
        """Returns the response, whose ETag has been compared with the MD5 of `data`."""
        response = self.succeed("PUT", bucket, key, headers=headers, body=data)
        if response.etag != hashlib.md5(data).hexdigest():
            raise S3Error("wrong ETag", response)
        return response

    def get(self, bucket, key, first=None, last=None):
        """Returns all bytes, or those from `first` to `last`."""
        span = None if first is None else {"Range": f"bytes={first}-{'' if last is None else last}"}
        return self.succeed("GET", bucket, key, headers=span).body

    def head(self, bucket, key):
        """The response, or None if there is no such object."""
        response = self.request("HEAD", bucket, key)
        if response.status == 404:
            return None
        if response.status != 200:
            raise S3Error(f"HEAD {bucket}/{key}", response)
        return response

    def copy(self, bucket, source, key, headers=None):
        """From one key of a bucket to another (or itself, with a header that replaces the metadata)."""
        return self.succeed("PUT", bucket, key, headers={"x-amz-copy-source": f"/{bucket}/{quote(source)}"} | (headers or {}))

    def delete(self, bucket, key):
        return self.succeed("DELETE", bucket, key)

    def list(self, bucket, prefix="", page=1000):
        """All keys with this prefix, as a dict key -> size."""
        found, query = {}, {"list-type": "2", "prefix": prefix, "max-keys": str(page)}
        while True:
            response = self.succeed("GET", bucket, query=query)
            found |= dict(zip(response.find("Contents/Key"), map(int, response.find("Contents/Size"))))
            if response.find("IsTruncated") != ["true"]:
                return found
            query["continuation-token"] = response.find("NextContinuationToken")[0]

    # --- multipart uploads ---

    def create_upload(self, bucket, key):
        return self.succeed("POST", bucket, key, query={"uploads": ""}).find("UploadId")[0]

    def put_part(self, bucket, key, upload, number, data):
        """Returns the ETag."""
        return self.succeed("PUT", bucket, key, query={"partNumber": str(number), "uploadId": upload}, body=data).etag

    def complete_upload(self, bucket, key, upload, etags):
        parts = "".join(f"<Part><PartNumber>{n}</PartNumber><ETag>{e}</ETag></Part>" for n, e in enumerate(etags, 1))
        return self.succeed("POST", bucket, key, query={"uploadId": upload},
                            body=f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode())

    def abort_upload(self, bucket, key, upload):
        return self.succeed("DELETE", bucket, key, query={"uploadId": upload})

    def uploads(self, bucket):
        """Uploads that are neither complete nor aborted, as pairs (key, id)."""
        response = self.succeed("GET", bucket, query={"uploads": ""})
        return list(zip(response.find("Upload/Key"), response.find("Upload/UploadId")))

    # --- buckets ---

    def make_bucket(self, bucket):
        return self.succeed("PUT", bucket)

    def remove_bucket(self, bucket):
        """With everything in it."""
        for key, upload in self.uploads(bucket):
            self.abort_upload(bucket, key, upload)
        for key in self.list(bucket):
            self.delete(bucket, key)
        return self.succeed("DELETE", bucket)


def command_line():
    parser = argparse.ArgumentParser(description="Looks at and changes a bucket.")
    parser.add_argument("url", help="http://host:port/bucket")
    parser.add_argument("what", choices=["make", "remove", "list", "put", "get", "head", "delete"])
    parser.add_argument("key", nargs="?")
    arguments = parser.parse_args()
    url = urlsplit(arguments.url)
    bucket, key = url.path.strip("/"), arguments.key
    if (key is None) == (arguments.what in ("put", "get", "head", "delete")) or not bucket:
        parser.error("this command needs a bucket, and a key for operations on objects only")
    client = S3Client(f"{url.scheme}://{url.netloc}", os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"],
                      os.environ.get("AWS_REGION", "us-east-1"))
    try:
        if arguments.what == "make":
            client.make_bucket(bucket)
        elif arguments.what == "remove":
            client.remove_bucket(bucket)
        elif arguments.what == "list":
            for name, size in client.list(bucket).items():
                print(size, name)
        elif arguments.what == "put":
            client.put(bucket, key, sys.stdin.buffer.read())
        elif arguments.what == "get":
            sys.stdout.buffer.write(client.get(bucket, key))
        elif arguments.what == "delete":
            client.delete(bucket, key)
        else:
            found = client.head(bucket, key)
            if found is None:
                sys.exit("no such object")
            print("\n".join(f"{n}: {v}" for n, v in found.headers.items()))
    except (S3Error, OSError) as problem:
        sys.exit(f"s3_client: {problem}")


if __name__ == "__main__":
    command_line()
