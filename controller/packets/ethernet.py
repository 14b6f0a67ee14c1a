"""Ethernet frames, with or without one 802.1Q tag (IEEE 802.3, 802.1Q)."""

from __future__ import annotations

from dataclasses import dataclass

IPV4 = 0x0800
ARP = 0x0806
VLAN = 0x8100
BROADCAST = 0xFFFFFFFFFFFF


@dataclass(frozen=True, slots=True)
class Ethernet:
    """A frame; addresses as 48-bit numbers. `tag` is the tag control information, None if there
    is no tag; `ethertype` is the one behind it."""

    destination: int
    source: int
    ethertype: int
    payload: bytes
    tag: int | None = None


def parse(data: bytes) -> Ethernet | None:
    """The frame, or None when the bytes end before its payload. A frame check is not expected."""
    if len(data) < 14:
        return None
    destination, source = int.from_bytes(data[:6], "big"), int.from_bytes(data[6:12], "big")
    ethertype = int.from_bytes(data[12:14], "big")
    if ethertype != VLAN:
        return Ethernet(destination, source, ethertype, data[14:])
    if len(data) < 18:
        return None
    tag, ethertype = int.from_bytes(data[14:16], "big"), int.from_bytes(data[16:18], "big")
    return Ethernet(destination, source, ethertype, data[18:], tag)


def build(frame: Ethernet) -> bytes:
    """The frame's bytes, without padding and frame check."""
    tag = b"" if frame.tag is None else VLAN.to_bytes(2, "big") + frame.tag.to_bytes(2, "big")
    return (frame.destination.to_bytes(6, "big") + frame.source.to_bytes(6, "big") + tag
            + frame.ethertype.to_bytes(2, "big") + frame.payload)
