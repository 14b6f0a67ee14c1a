"""Observations: what hypervisors say, written into the store.

Owns the step from a `ChassisFact` to rows. In words: a fact is the whole truth about its chassis,
so an interface that it does not mention is gone; but one whose OpenFlow port is not known *now*
(its switch is restarting) keeps the last known one. A claim counts as a new sighting when the
interface was not there before, or claims another port than before. Nothing is withdrawn because
a connection ended: that is silence, not news.

A number that no OpenFlow port can have is no number, and no two interfaces of a chassis hold one
number: who names it now takes it from whom it was last known of.
"""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address

from controller.model.resources import Chassis, Interface
from controller.southbound.chassis_facts import ChassisFact, InterfaceFact
from controller.store.store import Transaction

LONGEST_CLAIM = 255
LAST_OFPORT = 0xFEFF
"""The last number that Open vSwitch gives to a port; what follows is reserved (OpenFlow 1.0, 5.2.1,
which it keeps for all versions)."""


def observe(fact: ChassisFact, transaction: Transaction) -> None:
    """Write what a hypervisor says of itself."""
    id = fact.system_id
    known = transaction.get(Chassis, id)
    problems = list(fact.problems)
    encap_ip: IPv4Address | None = None
    try:
        encap_ip = IPv4Address(fact.encap_ip) if fact.encap_ip else None
    except AddressValueError:
        problems.append(f"tenet-encap-ip {fact.encap_ip!r} is not an IPv4 address")
    tunnel_ports = tuple((name, ofport) for name, ofport in fact.tunnel_ofports
                         if 0 < ofport <= LAST_OFPORT)
    transaction.put(Chassis(
        id=id,
        key=known.key if known is not None else transaction.numbers.take("chassis"),
        hostname=fact.hostname, encap_ip=encap_ip, encap_types=fact.encap_types,
        # While br-int is being made again its number and tunnel ports are not known.
        datapath_id=fact.datapath_id if fact.datapath_id is not None or known is None
        else known.datapath_id,
        tunnel_ports=tunnel_ports if tunnel_ports or known is None else known.tunnel_ports,
        bridge_mappings=fact.bridge_mappings, ovs_version=fact.ovs_version,
        problems=tuple(problems)))
    # A chassis that an administrator made us forget tells only its news: look at all of it.
    if fact.changes is None or known is None:
        names = {interface.name for interface in fact.interfaces}
        for row in transaction.where(Interface, "chassis", id):
            if row.name not in names:
                transaction.delete(Interface, row.id)
        seen = fact.interfaces
    else:
        for name in fact.changes.gone:
            transaction.delete(Interface, f"{id}/{name}")
        seen = fact.changes.seen
    for interface in seen:
        _sight(id, interface, transaction)


def _sight(chassis_id: str, interface: InterfaceFact, transaction: Transaction) -> None:
    id = f"{chassis_id}/{interface.name}"
    known = transaction.get(Interface, id)
    same = known is not None and known.iface_id == interface.iface_id
    ofport = interface.ofport
    if ofport is None:
        if known is None or not same:
            return
        ofport = known.ofport
    if not 0 < ofport <= LAST_OFPORT or len(interface.iface_id) > LONGEST_CLAIM:
        transaction.delete(Interface, id)
        return
    for holder in transaction.ids(Interface, "ofport", chassis_id, ofport):
        if holder != id:
            transaction.delete(Interface, holder)
    seen = known.seen if known is not None and same else transaction.numbers.take("sighting")
    transaction.put(Interface(id=id, chassis_id=chassis_id, name=interface.name,
                              iface_id=interface.iface_id, ofport=ofport, seen=seen))
