"""Certificates for tests, made by the openssl command, and clients that accept any."""

import os
import shutil
import ssl
import subprocess
import unittest


def certificate(folder, name, serial, kind="ec"):
    """A self-signed certificate for 127.0.0.1. Returns (certificate path, key path)."""
    if not shutil.which("openssl"):
        raise unittest.SkipTest("the openssl command is not installed")
    cert, key = os.path.join(folder, f"{name}.crt"), os.path.join(folder, f"{name}.key")
    algorithm = ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["rsa:2048"]
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-newkey", *algorithm, "-keyout", key, "-out", cert, "-days", "2",
                    "-set_serial", str(serial), "-subj", "/CN=keepstore.test", "-addext", "subjectAltName=IP:127.0.0.1"],
                   check=True, capture_output=True, timeout=60)
    return cert, key


def context(minimum=None, maximum=None, ciphers=None):
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    found.check_hostname = False
    found.verify_mode = ssl.CERT_NONE
    if minimum:
        found.minimum_version = minimum
    if maximum:
        found.maximum_version = maximum
    if ciphers:
        found.set_ciphers(ciphers)
    return found
