"""Overlay types: what a frame costs on the underlay, and which type two chassis share.

Owns overheads and the choice of encapsulation. The number of a type is what the pipeline's
ENCAPSULATION field carries.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.model.resources import Chassis

OVERLAY_TYPES: tuple[str, ...] = ("vxlan", "geneve", "gre")
NETWORK_TYPES: tuple[str, ...] = ("local", *OVERLAY_TYPES)
LAST_SEGMENT = (1 << 24) - 1

OVERHEAD: dict[str, int] = {
    "local": 0,
    "vxlan": 20 + 8 + 8 + 14,
    "geneve": 20 + 8 + 8 + 14,
    "gre": 20 + 4 + 4 + 14,
}
"""Octets by which an inner IP packet grows: outer IPv4, UDP, VXLAN (RFC 7348, 5) or Geneve without
options (RFC 8926, 3.4) or GRE with a key (RFC 2890), and the inner Ethernet header."""


def type_number(overlay_type: str) -> int:
    """The number of a type in ENCAPSULATION; 0 for `local`."""
    return NETWORK_TYPES.index(overlay_type)


def largest_mtu(underlay_mtu: int, network_type: str, in_use: Iterable[str]) -> int:
    """The MTU of a network: the underlay's less the largest overhead that its frames may get.

    A local network never leaves its chassis, so it has the underlay's own.
    """
    if network_type == "local":
        return underlay_mtu
    return underlay_mtu - max(OVERHEAD[name] for name in (network_type, *in_use))


def common_types(here: Chassis, there: Chassis) -> tuple[str, ...]:
    """The types that both chassis offer, in an order that both compute alike."""
    return tuple(name for name in OVERLAY_TYPES
                 if name in here.encap_types and name in there.encap_types)


def obstacle(here: Chassis, there: Chassis) -> str | None:
    """Why no frame can travel between two chassis, in words, or None."""
    for chassis in (here, there):
        if chassis.encap_ip is None:
            return f"{chassis.hostname or chassis.id} has no tenet-encap-ip"
    types = common_types(here, there)
    if not types:
        return (f"no common encapsulation: {here.hostname or here.id} offers "
                f"{', '.join(here.encap_types) or 'none'}, {there.hostname or there.id} offers "
                f"{', '.join(there.encap_types) or 'none'}")
    for chassis in (here, there):
        types = tuple(name for name in types if name in dict(chassis.tunnel_ports))
        if not types:
            return (f"{chassis.hostname or chassis.id} has no open tunnel port of a type that "
                    f"{here.hostname or here.id} and {there.hostname or there.id} share")
    return None
