"""Addresses: parsing at the border, and the choice of a free one.

Owns canonical forms of MAC addresses and subnets. Refuses to guess: what is malformed raises
ValueError with the offending text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network

from controller.model.resources import Mac

_MAC = re.compile(r"[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4}")
Range = tuple[IPv4Address, IPv4Address]


def parse_mac(text: str) -> Mac:
    """The canonical form of a unicast MAC address; ValueError when it is none."""
    if not isinstance(text, str) or not _MAC.fullmatch(text):
        raise ValueError(f"'{text}' is not a MAC address")
    mac = text.lower().replace("-", ":")
    if int(mac[:2], 16) & 1:
        raise ValueError(f"'{text}' is a multicast address")
    if mac == "00:00:00:00:00:00":
        raise ValueError(f"'{text}' is no address of a machine")
    return Mac(mac)


def mac_number(mac: Mac) -> int:
    """A MAC address as a 48-bit integer."""
    return int(mac.replace(":", ""), 16)


def mac_of(number: int) -> Mac:
    """The MAC address with this 48-bit number."""
    digits = f"{number:012x}"
    return Mac(":".join(digits[at:at + 2] for at in range(0, 12, 2)))


def hosts(cidr: IPv4Network) -> Range:
    """The first and the last address of a subnet that a host may have (RFC 1122, RFC 3021)."""
    first, last = int(cidr.network_address), int(cidr.broadcast_address)
    if cidr.prefixlen < 31:
        first, last = first + 1, last - 1
    return IPv4Address(first), IPv4Address(last)


def default_pools(cidr: IPv4Network, gateway: IPv4Address | None) -> tuple[Range, ...]:
    """The whole subnet but the gateway, as ranges."""
    first, last = (int(end) for end in hosts(cidr))
    if gateway is None or not first <= int(gateway) <= last:
        spans = [(first, last)]
    else:
        spans = [(first, int(gateway) - 1), (int(gateway) + 1, last)]
    return tuple((IPv4Address(low), IPv4Address(high)) for low, high in spans if low <= high)


def first_free(pools: Iterable[Range], taken: Callable[[IPv4Address], bool],
               after: IPv4Address | None = None) -> IPv4Address | None:
    """The next address of the pools behind `after`, going round once, that is not taken."""
    spans = [(int(low), int(high)) for low, high in pools]
    start = -1 if after is None else int(after)
    ahead = [(max(low, start + 1), high) for low, high in spans]
    behind = [(low, min(high, start)) for low, high in spans]
    for low, high in (*ahead, *behind):
        for number in range(low, high + 1):
            address = IPv4Address(number)
            if not taken(address):
                return address
    return None
