"""keep-balance's rules for one block, transcribed from their description in docs/interface.md 5.5: what lists it sends.
Not recorded from the program itself, which needs an Arvados cluster with its database, but independent of keepctl's code.

`Differences` are those that docs/balance.md names; without them the rules are keep-balance's own.
"""

import dataclasses

from .locator import md5

UUID_TAIL = 12  # "zzzzz-bi6l4-": what follows orders servers, if the UUID has the usual 27 characters.
UUID_LENGTH = 27


@dataclasses.dataclass(frozen=True)
class Mount:
    server: str          # The UUID of its service.
    uuid: str            # Of the volume.
    classes: frozenset
    replication: int = 1
    allow_write: bool = True
    allow_trash: bool = True


@dataclasses.dataclass(frozen=True)
class Differences:
    """What keepctl does differently."""
    device_once: bool = False     # A volume that several servers mount counts once.
    offering_first: bool = False  # The second mount of one server that offers a class comes before one that does not.


KEEP_BALANCE = Differences()
KEEPCTL = Differences(device_once=True, offering_first=True)


def service_order(block, services):
    """As clients try them: the greatest weight first."""
    def weight(uuid):
        return md5((block + (uuid[UUID_TAIL:] if len(uuid) == UUID_LENGTH else uuid)).encode())
    return sorted(services, key=weight, reverse=True)


@dataclasses.dataclass
class _Slot:
    mount: Mount
    position: int
    weight: str
    mtime: int | None
    want: bool


@dataclasses.dataclass
class Changes:
    pulls: set     # Of mounts.
    trashes: set   # Of (mount, mtime).
    lost: bool


def usable_mounts(mounts):
    """Without read-only ones whose volume another server can write."""
    writable = {m.uuid for m in mounts if m.allow_write}
    return [m for m in mounts if m.allow_write or m.uuid not in writable]


def balance_block(block, mounts, mtimes, desired, cutoff, differences=KEEP_BALANCE):
    """`mtimes`: {volume UUID: mtime of its copy}; `desired`: {class: copies}."""
    mounts = usable_mounts(mounts)
    order = service_order(block, {m.server for m in mounts})
    slots = [_Slot(mount=m, position=order.index(m.server), weight=md5((block + m.uuid).encode()), mtime=mtimes.get(m.uuid),
                   want=m.uuid in mtimes and not m.allow_trash) for m in mounts]
    unsafe = set()
    under = False
    for name in sorted(desired):
        if desired[name] > 0:
            unsafe |= _choose(slots, name, desired[name], differences)
            under = under or _held(slots, name, differences) < desired[name]
    for slot in slots:
        if slot.mtime is not None and (under or slot.mtime in unsafe):
            slot.want = True

    out = Changes(pulls=set(), trashes=set(), lost=False)
    seen = set()
    for slot in sorted(slots, key=lambda s: (s.position, s.weight)):
        if slot.mtime is not None:
            if not slot.want and slot.mtime < cutoff and all(slot.mtime != mtime for _, mtime in out.trashes):
                out.trashes.add((slot.mount, slot.mtime))
        elif slot.want and not mtimes:
            out.lost = True
        elif slot.want and slot.mount.allow_write:
            if differences.device_once and slot.mount.uuid in seen:
                continue
            seen.add(slot.mount.uuid)
            out.pulls.add(slot.mount)
    return out


def _choose(slots, name, desired, differences):
    """Marks the slots that are wanted for a class. Returns the mtimes that must stay."""
    def offers(slot):
        return name in slot.mount.classes
    ranked = sorted(slots, key=lambda s: (not offers(s), not s.want, s.position, s.mtime is None, s.weight))
    servers, devices, shielded, unsafe = set(), set(), set(), set()
    wanted = kept = 0
    groups = [[s for s in ranked if offers(s)], [s for s in ranked if not offers(s)]] if differences.offering_first else [ranked]
    for group in groups:
        for distinct_servers in True, False:
            for slot in group:
                if wanted >= desired and kept >= desired:
                    break
                if distinct_servers and slot.mount.server in servers or slot.mount.uuid in devices:
                    continue
                shield = slot.mount.uuid if differences.device_once else slot.mount
                if kept < desired and slot.mtime is not None and shield not in shielded:
                    unsafe.add(slot.mtime)
                    shielded.add(shield)
                    kept += slot.mount.replication
                if wanted < desired and (slot.mtime is not None or slot.mount.allow_write):
                    slot.want = True
                    servers.add(slot.mount.server)
                    devices.add(slot.mount.uuid)
                    wanted += slot.mount.replication
    return unsafe | {s.mtime for s in slots if s.mtime is not None and s.mount.uuid in devices}


def _held(slots, name, differences):
    """Replication of the copies that a class has."""
    found = [s.mount for s in slots if s.mtime is not None and name in s.mount.classes]
    if differences.device_once:
        found = list({m.uuid: m for m in found}.values())
    return sum(m.replication for m in found)
