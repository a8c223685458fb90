"""Waypoints computed independently of the daemon: MD5's chaining states in plain Python (about a second per MiB), and the
attribute that keeps them (docs/waypoints.md)."""

import errno
import hashlib
import math
import os
import struct

ATTRIBUTE = "user.keepstore.waypoints"
KiB = 1 << 10
MiB = 1 << 20
STRIDE_MIN = 64 * KiB
SEGMENTS_MAX = 64
ENCODED_MAX = 1024
# Blocks up to this size are verified whole before the first byte, and have no waypoints.
WITHOUT = 256 * KiB

_SHIFTS = (7, 12, 17, 22) * 4 + (5, 9, 14, 20) * 4 + (4, 11, 16, 23) * 4 + (6, 10, 15, 21) * 4


def _compile_md5_block():
    """The compression function of RFC 1321, written out step by step from the loop that defines it."""
    lines = ["def block(a0, b0, c0, d0, m):", " a, b, c, d = a0, b0, c0, d0"]
    for i, shift in enumerate(_SHIFTS):
        mix, word = (("d ^ (b & (c ^ d))", i), ("c ^ (d & (b ^ c))", (5 * i + 1) % 16), ("b ^ c ^ d", (3 * i + 5) % 16),
                     ("c ^ (b | (d ^ 4294967295))", 7 * i % 16))[i // 16]
        constant = int(abs(math.sin(i + 1)) * (1 << 32))
        lines.append(f" t = (a + ({mix}) + m[{word}] + {constant}) & 4294967295")
        lines.append(f" a, d, c, b = d, c, b, (b + (t << {shift} | t >> {32 - shift})) & 4294967295")
    lines.append(" return a0 + a & 4294967295, b0 + b & 4294967295, c0 + c & 4294967295, d0 + d & 4294967295")
    scope = {}
    exec("\n".join(lines), scope)
    return scope["block"]


_block = _compile_md5_block()
_WORDS = struct.Struct("<16I")
_STATE = struct.Struct("<4I")


def md5_states(data, stride):
    """The states at stride, 2 * stride, ... inside `data` as 16 bytes each, and the digest of all of it."""
    state = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
    padded = data + b"\x80" + bytes((55 - len(data)) % 64) + struct.pack("<Q", 8 * len(data))
    states = []
    for number, words in enumerate(_WORDS.iter_unpack(padded)):
        at = 64 * number
        if at and at % stride == 0 and at < len(data):
            states.append(_STATE.pack(*state))
        state = _block(*state, words)
    return states, _STATE.pack(*state)


def stride_for(length):
    stride = STRIDE_MIN
    while stride * SEGMENTS_MAX < length:
        stride *= 2
    return stride


def seal(content, data):
    """`content` followed by the checksum that ties it to the block `data`."""
    return content + hashlib.md5(content + hashlib.md5(data).digest()).digest()[:8]


def encode(length, stride, states, data, version=1):
    return seal(struct.pack("<BBHI", version, stride.bit_length() - 1, len(states), length) + b"".join(states), data)


def of(data, stride=None, block=None):
    """The attribute that a block should have; `block`: sealed for that one instead."""
    stride = stride or stride_for(len(data))
    states, digest = md5_states(data, stride)
    if digest != hashlib.md5(data).digest():
        raise AssertionError("this MD5 is wrong")
    return encode(len(data), stride, states, data if block is None else block)


def usable(attribute, data):
    """Whether a reader accepts this attribute for the block `data`."""
    length = len(data)
    if attribute is None or not 16 <= len(attribute) <= ENCODED_MAX or seal(attribute[:-8], data) != attribute:
        return False
    version, log2, count, size = struct.unpack_from("<BBHI", attribute)
    if version != 1 or not 16 <= log2 <= 26 or size != length:
        return False
    segments = -(-length >> log2) if length else 1
    return segments <= SEGMENTS_MAX and count == segments - 1 and len(attribute) == 16 + 16 * count


def with_state(attribute, number, state, data):
    """`attribute` of the block `data` with another state before segment `number` (from 1), and a right checksum."""
    at = 8 + 16 * (number - 1)
    return seal(attribute[:at] + state + attribute[at + 16:-8], data)


def load(path):
    """The attribute of a file, None if it has none."""
    try:
        return os.getxattr(path, ATTRIBUTE)
    except OSError as e:
        if e.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        raise


def save(path, attribute):
    """Sets or removes it."""
    if attribute is not None:
        os.setxattr(path, ATTRIBUTE, attribute)
    elif load(path) is not None:
        os.removexattr(path, ATTRIBUTE)


def identity(path):
    """Everything that must not change when waypoints are written."""
    status = os.stat(path)
    with open(path, "rb") as file:
        content = hashlib.md5(file.read()).digest()
    return content, status.st_size, status.st_mtime_ns, status.st_ino, status.st_nlink, status.st_mode, status.st_uid


def supported(folder):
    """Whether files in this folder can have attributes of this kind."""
    path = os.path.join(folder, "attribute-probe")
    with open(path, "wb"):
        pass
    try:
        os.setxattr(path, ATTRIBUTE, bytes(ENCODED_MAX))
        return True
    except OSError:
        return False
    finally:
        os.unlink(path)
