"""IPv4 headers (RFC 791) and the Internet checksum (RFC 1071)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

ICMP, TCP, UDP = 1, 6, 17


@dataclass(frozen=True, slots=True)
class Ipv4:
    """A datagram, or a fragment of one: `fragment` are the flags and the offset as they travel.
    `options` have a multiple of four bytes, 40 at most."""

    source: IPv4Address
    destination: IPv4Address
    protocol: int
    payload: bytes
    ttl: int = 64
    identification: int = 0
    fragment: int = 0
    tos: int = 0
    options: bytes = b""


def checksum(octets: bytes) -> int:
    """The Internet checksum; 0 over bytes that contain their own correct one."""
    octets += b"\0" * (len(octets) % 2)
    total = sum(int.from_bytes(octets[at:at + 2], "big") for at in range(0, len(octets), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def parse(data: bytes) -> Ipv4 | None:
    """The datagram, without what pads the frame behind it; None when a length does not fit or the
    header's checksum is wrong."""
    if len(data) < 20 or data[0] >> 4 != 4:
        return None
    head, length = (data[0] & 15) * 4, int.from_bytes(data[2:4], "big")
    if not 20 <= head <= length <= len(data) or checksum(data[:head]):
        return None
    return Ipv4(IPv4Address(data[12:16]), IPv4Address(data[16:20]), data[9], data[head:length],
                ttl=data[8], identification=int.from_bytes(data[4:6], "big"),
                fragment=int.from_bytes(data[6:8], "big"), tos=data[1], options=data[20:head])


def build(datagram: Ipv4) -> bytes:
    """The datagram's bytes; ValueError when it is longer than IPv4 can say."""
    words, left = divmod(20 + len(datagram.options), 4)
    length = words * 4 + len(datagram.payload)
    if left or words > 15 or length > 0xFFFF:
        raise ValueError("options or payload do not fit an IPv4 datagram")
    head = (bytes([0x40 | words, datagram.tos]) + length.to_bytes(2, "big")
            + datagram.identification.to_bytes(2, "big") + datagram.fragment.to_bytes(2, "big")
            + bytes([datagram.ttl, datagram.protocol, 0, 0])
            + datagram.source.packed + datagram.destination.packed + datagram.options)
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + datagram.payload
