"""Packets: frames as values, with builders for the kinds that tests send.

Owns `Frame`: header fields under the names of their carriers, and the bytes that real switches
need. Refuses parsing: frames are made here, never read from anybody.

The one idea: a header that a frame does not have is absent from `headers`, so that a match on it
fails as it does on a switch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from ipaddress import IPv4Address

from controller.model.addresses import mac_number, mac_of
from controller.model.resources import Mac

BROADCAST = Mac("ff:ff:ff:ff:ff:ff")
ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD
ETHERTYPE_VLAN = 0x8100
TAGGED = 0x1000
"""The bit of `vlan_vid` that says "has an 802.1Q tag" (OFPVID_PRESENT)."""
ICMP, UDP = 1, 17
REQUEST, REPLY = 1, 2
ANYWHERE = IPv4Address(0)


@dataclass(frozen=True, slots=True)
class Frame:
    """An Ethernet frame. None: the frame has no such header."""

    eth_src: int
    eth_dst: int
    eth_type: int
    vlan_vid: int = 0
    ip_proto: int | None = None
    ipv4_src: int | None = None
    ipv4_dst: int | None = None
    arp_op: int | None = None
    arp_spa: int | None = None
    arp_tpa: int | None = None
    arp_sha: int | None = None
    arp_tha: int | None = None
    payload: bytes = b""

    @property
    def headers(self) -> dict[str, int]:
        """The headers that the frame has, by carrier."""
        return {name: value for name in CARRIERS if (value := getattr(self, name)) is not None}

    def with_headers(self, headers: dict[str, int]) -> Frame:
        """The same frame with other values in its headers."""
        known = {name: headers[name] for name in CARRIERS if name in headers}
        return replace(self, **known)  # type: ignore[arg-type]

    def to_bytes(self) -> bytes:
        """The frame on the wire, without padding and checksum."""
        tag = b""
        if self.vlan_vid & TAGGED:
            tag = ETHERTYPE_VLAN.to_bytes(2, "big") + (self.vlan_vid & 0xFFF).to_bytes(2, "big")
        return (self.eth_dst.to_bytes(6, "big") + self.eth_src.to_bytes(6, "big") + tag
                + self.eth_type.to_bytes(2, "big") + self._body())

    def _body(self) -> bytes:
        if self.arp_op is not None:
            assert self.arp_sha is not None and self.arp_spa is not None
            assert self.arp_tha is not None and self.arp_tpa is not None
            return (bytes.fromhex("000108000604") + self.arp_op.to_bytes(2, "big")
                    + self.arp_sha.to_bytes(6, "big") + self.arp_spa.to_bytes(4, "big")
                    + self.arp_tha.to_bytes(6, "big") + self.arp_tpa.to_bytes(4, "big"))
        if self.ipv4_src is not None and self.ipv4_dst is not None:
            head = (b"\x45\x00" + (20 + len(self.payload)).to_bytes(2, "big") + bytes(4) + b"\x40"
                    + bytes([self.ip_proto or 0]) + bytes(2)
                    + self.ipv4_src.to_bytes(4, "big") + self.ipv4_dst.to_bytes(4, "big"))
            return (head[:10] + checksum(head).to_bytes(2, "big") + head[12:]) + self.payload
        return self.payload

    def __str__(self) -> str:
        parts = [f"{mac_of(self.eth_src)} > {mac_of(self.eth_dst)}"]
        if self.vlan_vid:
            parts.append(f"vlan {self.vlan_vid & 0xFFF}")
        if self.arp_op is not None:
            assert self.arp_spa is not None and self.arp_tpa is not None
            verb = {REQUEST: "who-has", REPLY: "is-at"}.get(self.arp_op, f"op {self.arp_op}")
            parts.append(f"arp {IPv4Address(self.arp_spa)} {verb} {IPv4Address(self.arp_tpa)}")
        elif self.ipv4_src is not None and self.ipv4_dst is not None:
            parts.append(f"ip {IPv4Address(self.ipv4_src)} > {IPv4Address(self.ipv4_dst)} "
                         f"proto {self.ip_proto}")
        else:
            parts.append(f"type {self.eth_type:#06x}")
        return ", ".join(parts)


CARRIERS: tuple[str, ...] = tuple(
    field.name for field in fields(Frame) if field.name != "payload")
"""The carriers that travel with a frame."""


def checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    octets += b"\0" * (len(octets) % 2)
    total = sum(int.from_bytes(octets[at:at + 2], "big") for at in range(0, len(octets), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(src: Mac, dst: Mac, eth_type: int, payload: bytes = bytes(46)) -> Frame:
    """A frame of any other ethertype."""
    return Frame(mac_number(src), mac_number(dst), eth_type, payload=payload)


def tagged(frame: Frame, vlan: int) -> Frame:
    """The frame with an 802.1Q tag; VLAN 0 is a priority tag, which is a tag as well."""
    return replace(frame, vlan_vid=TAGGED | vlan)


def udp(src: Mac, dst: Mac, ip_src: IPv4Address, ip_dst: IPv4Address, port: int = 4789,
        data: bytes = b"tenet") -> Frame:
    """A UDP datagram over IPv4 (checksum 0: none, RFC 768)."""
    head = b"\x30\x39" + port.to_bytes(2, "big") + (8 + len(data)).to_bytes(2, "big") + bytes(2)
    return Frame(mac_number(src), mac_number(dst), ETHERTYPE_IPV4, ip_proto=UDP,
                 ipv4_src=int(ip_src), ipv4_dst=int(ip_dst), payload=head + data)


def echo(src: Mac, dst: Mac, ip_src: IPv4Address, ip_dst: IPv4Address) -> Frame:
    """An ICMP echo request."""
    head = b"\x08\x00\x00\x00\x00\x01\x00\x01"
    head = head[:2] + checksum(head).to_bytes(2, "big") + head[4:]
    return Frame(mac_number(src), mac_number(dst), ETHERTYPE_IPV4, ip_proto=ICMP,
                 ipv4_src=int(ip_src), ipv4_dst=int(ip_dst), payload=head)


def arp(operation: int, src: Mac, dst: Mac, sender: tuple[Mac, IPv4Address],
        target: tuple[int, IPv4Address]) -> Frame:
    """An ARP message with everything chosen freely, as an attacker would."""
    return Frame(mac_number(src), mac_number(dst), ETHERTYPE_ARP, arp_op=operation,
                 arp_sha=mac_number(sender[0]), arp_spa=int(sender[1]),
                 arp_tha=target[0], arp_tpa=int(target[1]))


def arp_request(mac: Mac, ip: IPv4Address, target: IPv4Address, dst: Mac = BROADCAST) -> Frame:
    """Who has `target`? Tell `ip`. With `ip` 0.0.0.0 it is a probe (RFC 5227, 2.1.1)."""
    return arp(REQUEST, mac, dst, (mac, ip), (0, target))


def arp_reply(mac: Mac, ip: IPv4Address, to: Mac, to_ip: IPv4Address) -> Frame:
    """`ip` is at `mac`."""
    return arp(REPLY, mac, to, (mac, ip), (mac_number(to), to_ip))
