"""Block names, locators and their signatures, computed independently of the daemon.

The signature is HMAC-SHA1(key, hash "@" token "@" expiry "@" ttl), expiry as at least eight hex digits of a Unix time and
ttl in hex seconds without padding. Known answers are in test_signatures.py.
"""

import hashlib
import hmac
import time

EMPTY = "d41d8cd98f00b204e9800998ecf8427e"


def md5(data):
    return hashlib.md5(data).hexdigest()


def plain(data):
    return f"{md5(data)}+{len(data)}"


def signature(block_hash, token, expiry, ttl, key):
    """`expiry` is the hex text, `ttl` whole seconds."""
    message = f"{block_hash}@{token}@{expiry}@{ttl:x}"
    return hmac.new(key.encode(), message.encode(), hashlib.sha1).hexdigest()


def sign(locator, token, key, ttl=1209600, expiry=None):
    """`locator` with a signature hint at its end; valid for an hour unless `expiry` (Unix seconds) says otherwise."""
    text = f"{int(time.time()) + 3600 if expiry is None else int(expiry):08x}"
    block_hash = locator.split("+")[0]
    return f"{locator}+A{signature(block_hash, token, text, ttl, key)}@{text}"
