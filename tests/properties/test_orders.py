"""Order does not matter, a change undone leaves nothing, and one change touches only its own.

Facts reach the controller in any order: an interface before its port, a port's chassis last. The
same rows must lead to the same tables by every path.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from controller.model.resources import Chassis, Interface, Network, Port, Row
from controller.pipeline.rule import Item, Key
from controller.store.store import Store
from controller.testing.fake_fabric import FakeFabric
from controller.testing.features import load_features
from controller.testing.site import Site
from tests import strategies as our

FEATURES = load_features()
Tables = dict[str, dict[Key, Item]]


@st.composite
def sites(draw: st.DrawFn) -> Site:
    """Two hypervisors or three, networks with the same addresses, most ports plugged."""
    site = Site()
    chassis = [site.chassis(name, types=draw(our.overlay_types) or ("vxlan",))
               for name in our.CHASSIS[:draw(st.integers(2, 3))]]
    for name in our.NETWORKS[:draw(st.integers(1, 3))]:
        network = site.network(name, draw(our.network_types), secure=draw(st.booleans()))
        for host, port_name in enumerate(our.PORTS[:draw(st.integers(1, 4))], 1):
            port = site.port(network, port_name, host, secure=draw(st.booleans()),
                             host=draw(st.sampled_from(("", "", "hv1"))))
            for one in draw(st.lists(st.sampled_from(chassis), max_size=2, unique=True)):
                site.plug(port, one)
    return site


def rows_of(site: Site) -> list[Row]:
    """What was asked for and observed, without what follows from it."""
    return [row for row, _ in site.store.snapshot.rows.values() if type(row).PERSISTENT]


def held(fabric: FakeFabric) -> Tables:
    """What all switches hold."""
    return {name: dict(switch.items) for name, switch in fabric.switches.items()}


@given(sites(), st.randoms(use_true_random=False), st.data())
def test_any_order_of_the_same_facts_leads_to_the_same_tables(
        site: Site, random: Any, data: st.DataObject) -> None:
    expected = held(FakeFabric(FEATURES, site.store))
    rows = rows_of(site)
    random.shuffle(rows)
    store = Store()
    fabric = FakeFabric(FEATURES, store)
    while rows:
        count = data.draw(st.integers(1, len(rows)), "rows in one transaction")
        together, rows = rows[:count], rows[count:]

        def work(draft: Any, together: list[Row] = together) -> None:
            for row in together:
                draft.put(row)
        store.transact(work)
    assert held(fabric) == expected


def changed(draw: Any, row: Row) -> Row | None:
    """The row with one thing changed, or None: deleted."""
    choices: list[Row | None] = [None]
    match row:
        case Network():
            choices += [replace(row, admin_state_up=not row.admin_state_up),
                        replace(row, port_security_enabled=not row.port_security_enabled)]
        case Port():
            choices += [replace(row, admin_state_up=False), replace(row, mac=our.mac(7)),
                        replace(row, fixed_ips=()), replace(row, host="nowhere"),
                        replace(row, port_security_enabled=not row.port_security_enabled)]
        case Chassis():
            choices += [replace(row, encap_types=("geneve",)), replace(row, hostname="other"),
                        replace(row, encap_ip=None, tunnel_ports=())]
        case Interface():
            choices += [replace(row, ofport=77), replace(row, iface_id="nobody")]
    return draw(st.sampled_from(choices))


@given(sites(), st.data())
def test_a_change_that_is_reverted_leaves_the_original(site: Site, data: st.DataObject) -> None:
    fabric = FakeFabric(FEATURES, site.store)
    before = held(fabric)
    row = data.draw(st.sampled_from(sorted(rows_of(site), key=repr)))
    after = changed(data.draw, row)

    def put(wanted: Row | None) -> None:
        if wanted is None:
            site.store.transact(lambda draft: draft.delete(type(row), row.id))
        else:
            site.store.transact(lambda draft: draft.put(wanted))
    put(after)
    put(row)
    assert held(fabric) == before


@given(sites())
def test_what_changes_nothing_sends_nothing(site: Site) -> None:
    fabric = FakeFabric(FEATURES, site.store)
    sent = {name: switch.messages for name, switch in fabric.switches.items()}
    for row in rows_of(site):
        site.store.transact(lambda draft, row=row: draft.put(row))
    for name in fabric.switches:
        fabric.disconnect(name)
        fabric.reconnect(name)
    for row in rows_of(site):
        if isinstance(row, Port):
            site.update(row, name="renamed")
    assert {name: switch.messages for name, switch in fabric.switches.items()} == sent


@given(sites(), st.data())
def test_deleting_a_port_removes_exactly_its_rules(site: Site, data: st.DataObject) -> None:
    ports = site.store.snapshot.where(Port, "all")
    gone = data.draw(st.sampled_from(ports))
    never = Store()
    without = FakeFabric(FEATURES, never)
    for row in rows_of(site):
        if row != gone:
            never.transact(lambda draft, row=row: draft.put(row))
    fabric = FakeFabric(FEATURES, site.store)
    site.store.transact(lambda draft: draft.delete(Port, gone.id))
    assert held(fabric) == held(without)
