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
from controller.packets import arp as arp_codec
from controller.packets import ethernet as ethernet_codec
from controller.packets import icmp as icmp_codec
from controller.packets import ipv4 as ipv4_codec
from controller.packets.arp import REPLY, REQUEST, Arp
from controller.packets.ethernet import ARP as ETHERTYPE_ARP
from controller.packets.ethernet import IPV4 as ETHERTYPE_IPV4
from controller.packets.ethernet import Ethernet
from controller.packets.icmp import ECHO_REQUEST, Icmp
from controller.packets.ipv4 import ICMP, UDP, Ipv4

BROADCAST = Mac("ff:ff:ff:ff:ff:ff")
ETHERTYPE_IPV6 = 0x86DD
TAGGED = 0x1000
"""The bit of `vlan_vid` that says "has an 802.1Q tag" (OFPVID_PRESENT)."""
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
        """The frame on the wire, without padding."""
        tag = self.vlan_vid & 0xFFF if self.vlan_vid & TAGGED else None
        return ethernet_codec.build(Ethernet(self.eth_dst, self.eth_src, self.eth_type,
                                             self._body(), tag))

    def _body(self) -> bytes:
        if self.arp_op is not None:
            assert self.arp_sha is not None and self.arp_spa is not None
            assert self.arp_tha is not None and self.arp_tpa is not None
            return arp_codec.build(Arp(self.arp_op, self.arp_sha, IPv4Address(self.arp_spa),
                                       self.arp_tha, IPv4Address(self.arp_tpa)))
        if self.ipv4_src is not None and self.ipv4_dst is not None:
            return ipv4_codec.build(Ipv4(IPv4Address(self.ipv4_src), IPv4Address(self.ipv4_dst),
                                         self.ip_proto or 0, self.payload))
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
    request = icmp_codec.build(Icmp(ECHO_REQUEST, 0, 0x00010001, b""))
    return Frame(mac_number(src), mac_number(dst), ETHERTYPE_IPV4, ip_proto=ICMP,
                 ipv4_src=int(ip_src), ipv4_dst=int(ip_dst), payload=request)


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
