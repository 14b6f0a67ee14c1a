"""ARP for IPv4 over Ethernet (RFC 826), and its responder.

The responder is the specification of what the `arp_responder` feature's rules do in the switch.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

REQUEST, REPLY = 1, 2
_HEAD = bytes.fromhex("0001" "0800" "06" "04")
"""Hardware Ethernet, protocol IPv4, and the lengths of their addresses."""
LENGTH = 28


@dataclass(frozen=True, slots=True)
class Arp:
    """A message; hardware addresses as 48-bit numbers."""

    operation: int
    sender_mac: int
    sender_ip: IPv4Address
    target_mac: int
    target_ip: IPv4Address


def parse(data: bytes) -> Arp | None:
    """The message, or None when it is cut short or not about IPv4 over Ethernet."""
    if len(data) < LENGTH or data[:6] != _HEAD:
        return None
    return Arp(int.from_bytes(data[6:8], "big"),
               int.from_bytes(data[8:14], "big"), IPv4Address(data[14:18]),
               int.from_bytes(data[18:24], "big"), IPv4Address(data[24:28]))


def build(message: Arp) -> bytes:
    """The message's 28 bytes."""
    return (_HEAD + message.operation.to_bytes(2, "big")
            + message.sender_mac.to_bytes(6, "big") + message.sender_ip.packed
            + message.target_mac.to_bytes(6, "big") + message.target_ip.packed)


def answer(request: Arp, mac: int) -> Arp | None:
    """The reply that `request.target_ip` is at `mac`; None when nothing was asked."""
    if request.operation != REQUEST:
        return None
    return Arp(REPLY, mac, request.target_ip, request.sender_mac, request.sender_ip)
