"""The oracle: who must receive a frame, from the model alone.

Owns the specification of layer 2, in sentences that a tenant would understand. Refuses any idea
of tables, registers or rules: it reads networks, ports, bindings and chassis.

A frame that enters at a switch port of a chassis (an interface may hold no port) leads to
deliveries: a frame at a port. An ARP answer is a delivery to the sender.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address
from typing import NamedTuple

from controller.model.addresses import mac_number
from controller.model.resources import Binding, Chassis, Network, Port
from controller.model.snapshot import Snapshot
from controller.packets.arp import REQUEST, Arp, answer
from controller.packets.ethernet import ARP, IPV4
from controller.testing.packets import Frame


class Delivery(NamedTuple):
    """`frame` comes out at the interface of the port `port`."""

    port: str
    frame: Frame


def deliveries(rows: Snapshot, chassis_id: str, ofport: int, frame: Frame) -> list[Delivery]:
    """Every delivery that a frame entering at an interface must lead to, and no other."""
    sender = port_at(rows, chassis_id, ofport)
    if sender is None or rows.get(Chassis, chassis_id) is None:
        return []
    network = rows.get(Network, sender.network_id)
    if network is None or not network.admin_state_up or not sender.admin_state_up:
        return []
    if frame.vlan_vid or (sender.port_security_enabled and not may_send(sender, frame)):
        return []
    members = rows.where(Port, "network", network.id)
    known = [port for port in members if is_known(rows, network, chassis_id, port)]
    if frame.arp_op == REQUEST:
        for holder in known:
            if frame.arp_tpa in addresses(holder) and holder.id != sender.id:
                return [Delivery(sender.id, arp_answer(frame, holder))]
    return in_order(Delivery(port.id, frame)
                    for port in addressed(network, members, known, frame.eth_dst)
                    if port.id != sender.id and reaches(rows, network, chassis_id, port))


def in_order(found: Iterable[Delivery]) -> list[Delivery]:
    """Deliveries in an order of their own: copies of one frame have none."""
    return sorted(found, key=repr)


def port_at(rows: Snapshot, chassis_id: str, ofport: int) -> Port | None:
    """The port that is plugged in at an interface."""
    for binding in rows.where(Binding, "chassis", chassis_id):
        if binding.ofport == ofport:
            return rows.get(Port, binding.id)
    return None


def may_send(port: Port, frame: Frame) -> bool:
    """Port security: a port speaks as itself, in IPv4 and ARP. A probe (RFC 5227) speaks for
    nobody yet; a port that owns no address has nothing to probe for."""
    own = addresses(port)
    if frame.eth_src != mac_number(port.mac):
        return False
    if frame.eth_type == IPV4:
        return frame.ipv4_src in own
    if frame.eth_type == ARP:
        return (frame.arp_sha == mac_number(port.mac) and bool(own)
                and frame.arp_spa in own | {0})
    return False


def addresses(port: Port) -> set[int]:
    """The addresses that the port owns."""
    return {int(fixed.ip_address) for fixed in port.fixed_ips}


def is_known(rows: Snapshot, network: Network, here: str, port: Port) -> bool:
    """Whether the network, seen from chassis `here`, knows where the port's MAC and addresses
    are: it is plugged in and up. A local network is one on each chassis, and knows its own."""
    binding = rows.get(Binding, port.id)
    return (binding is not None and port.admin_state_up
            and (network.network_type != "local" or binding.chassis_id == here))


def addressed(network: Network, members: list[Port], known: list[Port], eth_dst: int
              ) -> list[Port]:
    """The ports that a destination address means: its owner, all, or, where somebody unknown may
    live, all for an address that nobody is known to own."""
    owners = [port for port in known if mac_number(port.mac) == eth_dst]
    if eth_dst >> 40 & 1:
        return members
    if owners or network.port_security_enabled:
        return owners
    return members


def reaches(rows: Snapshot, network: Network, here: str, port: Port) -> bool:
    """Whether a frame of the network that starts on chassis `here` can be handed to `port`."""
    binding = rows.get(Binding, port.id)
    if binding is None or not port.admin_state_up:
        return False
    if binding.chassis_id == here:
        return True
    source, target = rows.get(Chassis, here), rows.get(Chassis, binding.chassis_id)
    return (network.network_type != "local" and source is not None and target is not None
            and bool(tunnel_types(source) & tunnel_types(target)))


def tunnel_types(chassis: Chassis) -> set[str]:
    """The types that a chassis speaks now: it offers them, has an address and a way in."""
    if chassis.encap_ip is None:
        return set()
    return set(chassis.encap_types) & {name for name, _ in chassis.tunnel_ports}


def arp_answer(request: Frame, holder: Port) -> Frame:
    """The reply that the holder of the address would give."""
    assert request.arp_op is not None
    assert request.arp_sha is not None and request.arp_spa is not None
    assert request.arp_tha is not None and request.arp_tpa is not None
    mac = mac_number(holder.mac)
    reply = answer(Arp(request.arp_op, request.arp_sha, IPv4Address(request.arp_spa),
                       request.arp_tha, IPv4Address(request.arp_tpa)), mac)
    assert reply is not None
    return replace(request, eth_src=mac, eth_dst=request.eth_src, arp_op=reply.operation,
                   arp_sha=reply.sender_mac, arp_spa=int(reply.sender_ip),
                   arp_tha=reply.target_mac, arp_tpa=int(reply.target_ip))
