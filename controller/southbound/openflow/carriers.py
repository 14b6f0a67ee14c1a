"""Carriers on the wire: where each one stands in a match or an action.

Owns the one table that names a carrier's numbers: a carrier is added by one line there (and one in
`controller.pipeline.fields`). Refuses tests that a switch would answer with something else than
what was asked: values outside of their mask, masks that test nothing, masks on what has none.

A match is a list of OXM fields (OpenFlow 1.3.5, 7.2.3.2): a header of 32 bits (class 16, field 7,
has-mask 1, payload length 8) and the value, with its mask if it has one. Open vSwitch names the
targets of its own actions by the older NXM numbers where there are such, so a carrier may have a
second header for these.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from controller.pipeline.fields import CARRIER_WIDTH, Match
from controller.southbound.openflow.wire import MATCH_OXM

RAW: Final = "oxm"
"""The carrier of a foreign match, which no carrier of ours can express: value and length of it."""

RAW_MAX: Final = 1700
"""Bytes of a foreign match: no real one is longer, and Python still prints such a number."""


class Unspeakable(ValueError):
    """A value of the pipeline that cannot be said in OpenFlow."""


class Malformed(ValueError):
    """Bytes from a switch that are not what they claim to be."""


class NotOurs(Exception):
    """Well-formed OpenFlow that the pipeline's language cannot express."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """One carrier's numbers on the wire, worked out once."""

    name: str
    width: int
    size: int
    full: int
    exact: bytes
    """OXM header of a test of all bits, and of a set-field."""
    masked: bytes | None
    """OXM header of a test of some bits."""
    target: int
    """Header by which Nicira's actions name the carrier."""
    register: bool
    rank: int
    """Carriers of a lower rank stand first in a match: a prerequisite comes before what needs it
    (7.2.3.6)."""


def _carrier(name: str, oxm: tuple[int, int], nxm: tuple[int, int] | None = None,
             maskable: bool = True, register: bool = False, rank: int = 2) -> Carrier:
    width = CARRIER_WIDTH[name]
    size = (width + 7) // 8
    exact = oxm[0] << 16 | oxm[1] << 9 | size
    masked = (oxm[0] << 16 | oxm[1] << 9 | 1 << 8 | 2 * size).to_bytes(4, "big")
    target = exact if nxm is None else nxm[0] << 16 | nxm[1] << 9 | size
    return Carrier(name, width, size, (1 << width) - 1, exact.to_bytes(4, "big"),
                   masked if maskable else None, target, register, rank)


_BASIC = 0x8000  # OFPXMC_OPENFLOW_BASIC (7.2.3.7)
_NXM0 = 0x0000  # NXM_OF_*: fields of OpenFlow 1.0 (nicira-ext.h)
_NXM1 = 0x0001  # NXM_NX_*: Nicira's fields (nicira-ext.h)

CARRIERS: dict[str, Carrier] = {carrier.name: carrier for carrier in (
    _carrier("in_port", (_BASIC, 0), maskable=False),
    _carrier("metadata", (_BASIC, 2), register=True),
    _carrier("eth_dst", (_BASIC, 3), (_NXM0, 1)),
    _carrier("eth_src", (_BASIC, 4), (_NXM0, 2)),
    _carrier("eth_type", (_BASIC, 5), (_NXM0, 3), maskable=False, rank=0),
    _carrier("vlan_vid", (_BASIC, 6)),
    _carrier("ip_proto", (_BASIC, 10), (_NXM0, 6), maskable=False, rank=1),
    _carrier("ipv4_src", (_BASIC, 11), (_NXM0, 7)),
    _carrier("ipv4_dst", (_BASIC, 12), (_NXM0, 8)),
    _carrier("arp_op", (_BASIC, 21), (_NXM0, 15), maskable=False),
    _carrier("arp_spa", (_BASIC, 22), (_NXM0, 16)),
    _carrier("arp_tpa", (_BASIC, 23), (_NXM0, 17)),
    _carrier("arp_sha", (_BASIC, 24), (_NXM1, 17)),
    _carrier("arp_tha", (_BASIC, 25), (_NXM1, 18)),
    _carrier("tun_id", (_BASIC, 38), (_NXM1, 16), register=True),
    _carrier("tun_src", (_NXM1, 31)),
    _carrier("tun_dst", (_NXM1, 32)),
    *(_carrier(f"reg{number}", (_NXM1, number), register=True) for number in range(16)),
)}
BY_TARGET: dict[int, Carrier] = {carrier.target: carrier for carrier in CARRIERS.values()}
BY_SET_FIELD: dict[bytes, Carrier] = {carrier.exact: carrier for carrier in CARRIERS.values()}

_BY_HEADER: dict[bytes, tuple[Carrier, bool]] = {
    **{carrier.exact: (carrier, False) for carrier in CARRIERS.values()},
    **{carrier.masked: (carrier, True) for carrier in CARRIERS.values() if carrier.masked},
}
_MATCH_HEADER = Struct("!HH")
_PADDING = [b"\x00" * (-length % 8) for length in range(8)]


def pad(length: int) -> bytes:
    """The zeros that fill `length` bytes up to a multiple of eight."""
    return _PADDING[length & 7]


def encode_match(tests: Match) -> bytes:
    """An `ofp_match` with its padding; Unspeakable if a switch would understand something else."""
    parts = [b"", b"", b""]
    for name, value, mask in tests:
        if name == RAW:
            parts[0] += value.to_bytes(mask, "big")
            continue
        carrier = CARRIERS.get(name)
        if carrier is None:
            raise Unspeakable(f"{name} is not a carrier that OpenFlow has")
        if mask == carrier.full and 0 <= value <= mask:
            parts[carrier.rank] += carrier.exact + value.to_bytes(carrier.size, "big")
        elif carrier.masked and 0 < mask < carrier.full and value >= 0 and not value & ~mask:
            both = value << 8 * carrier.size | mask
            parts[carrier.rank] += carrier.masked + both.to_bytes(2 * carrier.size, "big")
        else:
            raise Unspeakable(f"{name}={value:#x}/{mask:#x} cannot be matched")
    fields = b"".join(parts)
    length = 4 + len(fields)
    return _MATCH_HEADER.pack(MATCH_OXM, length) + fields + _PADDING[length & 7]


def decode_match(data: bytes, start: int, end: int) -> tuple[Match, int]:
    """The `ofp_match` at `start`, and where its padding ends.

    A match that no carriers can express becomes one test of the carrier `RAW`: still a key, by
    which exactly this flow can be deleted.
    """
    if start + 4 > end:
        raise Malformed("match is cut off")
    kind, length = _MATCH_HEADER.unpack_from(data, start)
    after = start + (length + 7) // 8 * 8
    if kind != MATCH_OXM or length < 4 or after > end:
        raise Malformed("match has a wrong type or length")
    return decode_fields(data, start + 4, start + length), after


def decode_fields(data: bytes, start: int, end: int) -> Match:
    """The OXM fields between `start` and `end` (within `data`) as tests."""
    tests = []
    at = start
    while at < end:
        known = _BY_HEADER.get(data[at:at + 4])
        if known is None:
            return _raw(data, start, end)
        carrier, has_mask = known
        size = carrier.size
        middle = at + 4 + size
        value = int.from_bytes(data[at + 4:middle], "big")
        if has_mask:
            at = middle + size
            mask = int.from_bytes(data[middle:at], "big")
            if not 0 < mask < carrier.full or value & ~mask:
                return _raw(data, start, end)
            tests.append((carrier.name, value, mask))
        else:
            at = middle
            if value > carrier.full:
                return _raw(data, start, end)
            tests.append((carrier.name, value, carrier.full))
    if at != end:
        raise Malformed("a field of a match is cut off")
    tests.sort()
    for one, other in zip(tests, tests[1:]):
        if one[0] == other[0]:
            return _raw(data, start, end)
    return tuple(tests)


def _raw(data: bytes, start: int, end: int) -> Match:
    if end - start > RAW_MAX:
        raise Malformed("a match is longer than all the fields there are")
    at = start
    while at < end:
        if at + 4 > end:
            raise Malformed("a field of a match is cut off")
        at += 4 + data[at + 3]
    if at != end:
        raise Malformed("a field of a match is cut off")
    return ((RAW, int.from_bytes(data[start:end], "big"), end - start),)
