"""Two tenants with the same machines, the same addresses, on three hypervisors."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from controller.model.resources import Chassis, Network, Port
from controller.testing.fake_fabric import FakeFabric
from controller.testing.site import Site


@dataclass(frozen=True, slots=True)
class Tenant:
    """web1 and log1 on hv1, db1 on hv2; nas1 is not plugged in."""

    network: Network
    web1: Port
    log1: Port
    db1: Port
    nas1: Port


@dataclass(frozen=True, slots=True)
class Scene:
    """The fabric and who is in it."""

    site: Site
    fabric: FakeFabric
    hypervisors: tuple[Chassis, ...]
    red: Tenant
    blue: Tenant


def tenant(site: Site, name: str, hypervisors: tuple[Chassis, ...], *, secure: bool = True,
           network_type: str = "vxlan") -> Tenant:
    """A tenant whose machines have the addresses that every tenant's machines have."""
    network = site.network(name, network_type, secure=secure)
    web1, log1, db1, nas1 = (site.port(network, port, host, secure=secure)
                             for host, port in enumerate(("web1", "log1", "db1", "nas1"), 11))
    for port, chassis in ((web1, hypervisors[0]), (log1, hypervisors[0]), (db1, hypervisors[1])):
        site.plug(port, chassis)
    return Tenant(network, web1, log1, db1, nas1)


@pytest.fixture
def scene(site: Site, fabric: FakeFabric) -> Scene:
    """Red and blue."""
    hypervisors = tuple(site.chassis(name) for name in ("hv1", "hv2", "hv3"))
    return Scene(site, fabric, hypervisors,
                 tenant(site, "red", hypervisors), tenant(site, "blue", hypervisors))
