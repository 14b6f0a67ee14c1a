"""What a hypervisor says of itself over OVSDB: the seam between the listener and the store.

Owns the values that cross it. Refuses to know how they were learned, and imports no Ryu.
The one idea: a fact is complete. A chassis is told as a whole each time, so that a consumer
that missed one loses nothing; `changes` only spares it the search for what differs.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class InterfaceFact:
    """An interface of br-int that carries an iface-id; its name is unique on its chassis.

    `ofport` is None until ovs-vswitchd has opened the interface and -1 when it could not.
    """

    name: str
    ofport: int | None
    iface_id: str
    attached_mac: str
    error: str
    type: str = ""
    mtu: int | None = None


@dataclass(frozen=True, slots=True)
class InterfaceChanges:
    """Interfaces that are new or different since the fact before, and the names of lost ones."""

    seen: tuple[InterfaceFact, ...]
    gone: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChassisFact:
    """A hypervisor.

    `encap_types` and `tunnel_ofports` (type, port number) are those that the hypervisor announces
    and those that ovs-vswitchd has really opened. `interfaces` stand in the order in which they
    appeared on this connection, so of two with one iface-id the later one is the newer.
    `changes` is None in the first fact of a connection: compare all of `interfaces` then.
    """

    system_id: str
    hostname: str
    encap_ip: str
    encap_types: tuple[str, ...]
    datapath_id: int | None
    tunnel_ofports: tuple[tuple[str, int], ...]
    bridge_mappings: tuple[tuple[str, str], ...]
    ovs_version: str
    interfaces: tuple[InterfaceFact, ...]
    problems: tuple[str, ...]
    changes: InterfaceChanges | None = field(default=None, compare=False)
