"""Tenants of the lab and their guests: addresses that collide on purpose.

The one idea: a guest's number decides its address and its MAC, so guests of the same number are
twins in all that a frame can show.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass, field

from api import Api, Resource
from hypervisor import Hypervisor
from nodes import VirtualMachine
from witness import Pair

CIDR = "10.0.0.0/24"


@dataclass(slots=True)
class Guest:
    """A virtual machine with its port."""

    vm: VirtualMachine
    port: Resource
    home: Hypervisor

    @property
    def address(self) -> str:
        return str(self.port["fixed_ips"][0]["ip_address"])


@dataclass(slots=True)
class Tenant:
    """A project with one network, as its own user sees it."""

    name: str
    api: Api
    network: Resource
    subnet: Resource
    vni: int = 0
    guests: dict[int, Guest] = field(default_factory=dict)

    @property
    def pairs(self) -> list[Pair]:
        vms = [guest.vm for guest in self.guests.values()]
        return [(source, target) for source in vms for target in vms if source is not target]

    @classmethod
    def create(cls, admin: Api, name: str) -> Tenant:
        api = admin.create_tenant(name, secrets.token_urlsafe(12))
        network = api.create("network", name="private")
        subnet = api.create("subnet", network_id=network["id"], ip_version=4, cidr=CIDR)
        # Which number the overlay carries is the operator's business, not the tenant's.
        vni = admin.get("network", network["id"])["provider:segmentation_id"]
        return cls(name, api, network, subnet, vni)

    def create_ports(self, numbers: Collection[int]) -> list[Resource]:
        """A port for each number, with the address and the MAC that go with it."""
        return self.api.create_many("port", [self._port(number) for number in numbers])

    def _port(self, number: int) -> Resource:
        return {
            "network_id": self.network["id"],
            "name": f"{self.name}{number}",
            "mac_address": f"fa:16:3e:00:00:1{number}",
            "fixed_ips": [{"subnet_id": self.subnet["id"], "ip_address": f"10.0.0.1{number}"}],
        }
