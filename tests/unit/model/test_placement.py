"""Placement: which port is plugged in where, whatever came first."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from controller.model.resources import Binding, Chassis, Interface, Port, Presence, Row
from controller.store.store import Store
from controller.testing.site import Site


def binding(site: Site, port: Port) -> tuple[str, int] | None:
    row = site.store.snapshot.get(Binding, port.id)
    return (row.chassis_id, row.ofport) if row is not None else None


@pytest.fixture
def port(site: Site) -> Port:
    site.chassis("hv1", hostname="one")
    site.chassis("hv2", hostname="two")
    return site.port(site.network("red"), "web", 11)


def test_the_newest_claim_wins_and_the_older_one_steps_in(site: Site, port: Port) -> None:
    first = site.plug(port, "hv1", 5)
    assert binding(site, port) == ("hv1", 5)
    second = site.plug(port, "hv2", 6)
    assert binding(site, port) == ("hv2", 6)
    site.unplug(second)
    assert binding(site, port) == ("hv1", 5)
    site.unplug(first)
    assert binding(site, port) is None


def test_an_interface_without_a_number_claims_nothing(site: Site, port: Port) -> None:
    seen = site.plug(port, "hv1", -1)
    assert binding(site, port) is None
    site.update(seen, ofport=4)
    assert binding(site, port) == ("hv1", 4)
    site.update(seen, iface_id="somebody else")
    assert binding(site, port) is None


@pytest.mark.parametrize("host", ["hv1", "one"])
def test_a_port_that_asks_for_a_host_takes_claims_from_there_only(
        site: Site, port: Port, host: str) -> None:
    site.update(port, host=host)
    site.plug(port, "hv2", 6)
    assert binding(site, port) is None
    site.plug(port, "hv1", 5)
    assert binding(site, port) == ("hv1", 5)
    site.plug(port, "hv2", 7, name="again")
    assert binding(site, port) == ("hv1", 5)


def test_a_host_may_get_its_name_later(site: Site, port: Port) -> None:
    site.update(port, host="three")
    site.plug(port, "hv1", 5)
    assert binding(site, port) is None
    chassis = site.store.snapshot.get(Chassis, "hv1")
    assert chassis is not None
    site.update(chassis, hostname="three")
    assert binding(site, port) == ("hv1", 5)
    site.update(replace(chassis, hostname="three"), hostname="one")
    assert binding(site, port) is None


def test_a_host_may_join_after_its_interface_is_known(site: Site, port: Port) -> None:
    site.update(port, host="four")
    site.plug(port, "hv4", 5)
    assert binding(site, port) is None
    site.chassis("hv4", hostname="four")
    assert binding(site, port) == ("hv4", 5)


def test_presence_lasts_as_long_as_one_port_is_there(site: Site, port: Port) -> None:
    network = site.store.snapshot.where(Port, "all")[0].network_id
    other = Port(**{field: getattr(port, field) for field in
                    ("project_id", "network_id", "fixed_ips")}, id="other", key=9, mac=port.mac)
    site.store.transact(lambda draft: draft.put(other))
    seen = [site.plug(one, "hv1") for one in (port, other)]

    def present() -> list[str]:
        return [row.chassis_id for row in site.store.snapshot.where(Presence, "network", network)]
    assert present() == ["hv1"]
    site.unplug(seen[0])
    assert present() == ["hv1"]
    site.delete(other)
    assert present() == []


def test_every_order_of_arrival_gives_the_same_binding(site: Site, port: Port) -> None:
    site.update(port, host="one")
    site.plug(port, "hv1", 5)
    site.plug(port, "hv2", 6)
    rows: list[Row] = [row for (kind, _), (row, _) in site.store.snapshot.rows.items()
                       if kind in (Port, Interface) or (kind is Chassis and row.id == "hv1")]
    for order in itertools.permutations(rows):
        store = Store()
        for row in order:
            store.transact(lambda draft, row=row: draft.put(row))
        assert store.snapshot.where(Binding, "chassis", "hv1")[0].ofport == 5
