"""A site: networks, ports and hypervisors of a test, made by real transactions.

Owns short verbs for what the API and the switches do to the store. Refuses to know what follows
from it: that is the product's work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from uuid import UUID, uuid5

from controller.model.addresses import mac_of
from controller.model.resources import (
    Chassis, FixedIp, Interface, Network, Port, Subnet,
)
from controller.store.store import Store, Transaction

PROJECT = "0" * 32
_NAMES = UUID("8b0e0d0c-6f0f-4ad4-9b63-0f5b6d1c7a11")
CIDR = IPv4Network("10.0.0.0/24")
FIRST_TUNNEL_PORT = 60000


def uuid_of(*names: str) -> str:
    """The same UUID for the same names, so that tests and golden files repeat."""
    return str(uuid5(_NAMES, "/".join(names)))


class Site:
    """Rows in a store. Names are unique by kind within a site; ports by network and name."""

    def __init__(self, store: Store | None = None) -> None:
        self.store = store if store is not None else Store()

    def network(self, name: str, network_type: str = "vxlan", *, secure: bool = True,
                **attributes: Any) -> Network:
        """A network with one subnet, 10.0.0.0/24: every tenant's favourite."""
        def work(draft: Transaction) -> Network:
            segment = draft.numbers.take("segment") if network_type != "local" else None
            network = Network(
                id=uuid_of("network", name), project_id=attributes.pop("project_id", PROJECT),
                key=draft.numbers.take("network"), network_type=network_type,
                segmentation_id=segment, mtu=1450, name=name, port_security_enabled=secure,
                **attributes)
            draft.put(network)
            draft.put(Subnet(id=uuid_of("subnet", name), project_id=network.project_id,
                             network_id=network.id, cidr=CIDR, gateway_ip=None,
                             allocation_pools=()))
            return network
        return self.store.transact(work).value

    def port(self, network: Network, name: str, *hosts: int, mac: int | None = None,
             secure: bool = True, **attributes: Any) -> Port:
        """A port with the addresses 10.0.0.`hosts`; its MAC ends in the first of them."""
        def work(draft: Transaction) -> Port:
            key = draft.numbers.take("port")
            number = mac if mac is not None else 0xFA163E000000 + (hosts[0] if hosts else key)
            port = Port(
                id=uuid_of("port", network.name, name), project_id=network.project_id,
                network_id=network.id, key=key, mac=mac_of(number), name=name,
                fixed_ips=tuple(self.fixed_ip(network, host) for host in hosts),
                port_security_enabled=secure, **attributes)
            draft.put(port)
            return port
        return self.store.transact(work).value

    def fixed_ip(self, network: Network, host: int) -> FixedIp:
        """The address 10.0.0.`host` of a network."""
        return FixedIp(uuid_of("subnet", network.name), CIDR[host])

    def chassis(self, name: str, address: str | None = None,
                types: Iterable[str] = ("vxlan",), **attributes: Any) -> Chassis:
        """A hypervisor joins. Its tunnel ports are the types that it offers."""
        def work(draft: Transaction) -> Chassis:
            known = draft.get(Chassis, name)
            key = known.key if known is not None else draft.numbers.take("chassis")
            ip = IPv4Address(address) if address else IPv4Address("172.31.0.0") + key
            chassis = Chassis(
                id=name, key=key, hostname=attributes.pop("hostname", name),
                encap_ip=attributes.pop("encap_ip", ip), encap_types=tuple(types),
                tunnel_ports=attributes.pop("tunnel_ports", tunnel_ports(types)), **attributes)
            draft.put(chassis)
            return chassis
        return self.store.transact(work).value

    def plug(self, port: Port | str, chassis: Chassis | str, ofport: int | None = None, *,
             name: str | None = None) -> Interface:
        """An interface with the port's id shows up on a hypervisor; the port may come later."""
        port_id = port if isinstance(port, str) else port.id
        chassis_id = chassis if isinstance(chassis, str) else chassis.id

        def work(draft: Transaction) -> Interface:
            held = {seen.ofport for seen in draft.where(Interface, "chassis", chassis_id)}
            number = ofport if ofport is not None else min(set(range(1, len(held) + 2)) - held)
            label = name or f"tap{port_id[:11]}"
            seen = Interface(id=f"{chassis_id}/{label}", chassis_id=chassis_id, name=label,
                             iface_id=port_id, ofport=number,
                             seen=draft.numbers.take("sighting"))
            draft.put(seen)
            return seen
        return self.store.transact(work).value

    def unplug(self, *interfaces: Interface) -> None:
        """Interfaces vanish."""
        self.delete(*interfaces)

    def move(self, port: Port, chassis: Chassis) -> Interface:
        """The port's interfaces vanish, and one shows up on another hypervisor."""
        self.unplug(*self.store.snapshot.where(Interface, "iface", port.id))
        return self.plug(port, chassis)

    def forget(self, chassis: Chassis) -> None:
        """A hypervisor leaves for good, with all that was seen on it."""
        seen = self.store.snapshot.where(Interface, "chassis", chassis.id)
        self.delete(*seen, chassis)

    def update(self, row: Network | Port | Chassis | Interface, **attributes: Any) -> None:
        """Change some attributes of a row."""
        self.store.transact(lambda draft: draft.put(replace(row, **attributes)))

    def delete(self, *rows: Network | Subnet | Port | Chassis | Interface) -> None:
        """Delete rows in one transaction, and give their numbers back."""
        def work(draft: Transaction) -> None:
            for row in rows:
                if isinstance(row, Network):
                    for subnet in draft.where(Subnet, "network", row.id):
                        draft.delete(Subnet, subnet.id)
                    if row.segmentation_id is not None:
                        draft.numbers.release("segment", row.segmentation_id, draft.revision)
                if isinstance(row, (Network, Port, Chassis)):
                    pool = type(row).__name__.lower()
                    draft.numbers.release(pool, row.key, draft.revision)
                draft.delete(type(row), row.id)
        self.store.transact(work)


def tunnel_ports(types: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """One OpenFlow port for each type, the same on every chassis but for that unlike any other."""
    return tuple((name, FIRST_TUNNEL_PORT + number)
                 for number, name in enumerate(("vxlan", "geneve", "gre")) if name in set(types))
