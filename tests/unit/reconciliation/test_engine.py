"""The engine re-runs what read a change, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controller.model.resources import Chassis, Network, Port
from controller.pipeline.actions import Goto, load
from controller.pipeline.cookie import Purpose
from controller.pipeline.fields import NETWORK, TUNNEL_ID
from controller.pipeline.layout import L2_FORWARD, TUNNEL_NETWORK
from controller.pipeline.table import Priority
from controller.reconciliation.engine import Engine
from controller.reconciliation.feature import (
    Each, Feature, Placed, check_features, everywhere, on_chassis,
)
from controller.reconciliation.view import View
from controller.store.store import Store, everything
from controller.testing.site import Site

WHY = Purpose(6, 1, "counted", owner="network")


def watched(*units: Each) -> tuple[Site, Engine]:
    """A site whose engine runs one feature, `overlay`, made of these units."""
    engine = Engine([Feature("overlay", 6, (TUNNEL_NETWORK,), (WHY,), units)])
    site = Site()
    site.store.watch(engine.advance)
    return site, engine


def segment(network: Network, number: int) -> Placed:
    return everywhere(TUNNEL_NETWORK.rule(
        WHY, network.key, Priority.EXACT, TUNNEL_ID.equals(number),
        do=(load(NETWORK, network.key), Goto(L2_FORWARD.id))))


def test_only_readers_of_the_changed_bucket_run_again() -> None:
    ran: list[str] = []

    def count_ports(network: Network, view: View) -> Iterator[Placed]:
        ran.append(network.name)
        yield segment(network, 1000 * network.key + len(view.where(Port, "network", network.id)))

    site, engine = watched(Each(Network, count_ports))
    site.chassis("hv1")
    red, _ = site.network("red"), site.network("blue")
    ran.clear()
    site.port(red, "web", 5)
    assert ran == ["red"]
    assert (TUNNEL_NETWORK.id, Priority.EXACT, (TUNNEL_ID.equals(1000 * red.key + 1),)) in \
        engine.linker.tables["hv1"]


def test_reads_of_a_generator_are_recorded_to_its_end() -> None:
    def late(network: Network, view: View) -> Iterator[Placed]:
        yield segment(network, network.key)
        if view.where(Port, "network", network.id):
            yield segment(network, 99)

    site, engine = watched(Each(Network, late))
    site.chassis("hv1")
    site.port(site.network("red"), "web", 5)
    assert len(engine.linker.tables["hv1"]) == 2 + misses(engine)


def misses(engine: Engine) -> int:
    """Rules for misses on a chassis with nothing else."""
    alone = Engine([])
    store = Store()
    store.watch(alone.advance)
    Site(store).chassis("hv1")
    return len(alone.linker.tables["hv1"])


def test_an_unchanged_result_stops_there() -> None:
    def by_key(network: Network, view: View) -> Iterator[Placed]:
        yield segment(network, network.key)

    site, engine = watched(Each(Network, by_key))
    site.chassis("hv1")
    red = site.network("red")
    engine.linker.collect("hv1")
    runs, changes = engine.units_run, engine.linker.changes
    site.update(red, name="crimson")
    assert engine.units_run == runs + 1
    assert engine.linker.changes == changes
    assert engine.linker.collect("hv1") == set()


def test_deleting_a_row_removes_exactly_what_it_made(features: tuple[Feature, ...]) -> None:
    site = Site()
    engine = Engine(features)
    site.store.watch(engine.advance)
    chassis, red = site.chassis("hv1"), site.network("red")
    site.plug(site.port(red, "web", 5), chassis)
    before = dict(engine.linker.tables["hv1"])
    port = site.port(red, "db", 6)
    seen = site.plug(port, chassis)
    assert engine.linker.tables["hv1"] != before
    site.delete(seen, port)
    assert engine.linker.tables["hv1"] == before


def test_starting_late_is_the_same_as_having_watched(features: tuple[Feature, ...]) -> None:
    site = Site()
    early = Engine(features)
    site.store.watch(early.advance)
    red = site.network("red")
    for name, host in (("hv1", 5), ("hv2", 6)):
        site.plug(site.port(red, name, host), site.chassis(name))
    late = Engine(features)
    late.advance(site.store.snapshot, everything(site.store.snapshot))
    assert late.linker.tables == early.linker.tables


@pytest.mark.parametrize("ports", [4, 40])
def test_one_more_port_costs_the_same_in_a_small_and_a_larger_network(
        features: tuple[Feature, ...], ports: int) -> None:
    site = Site()
    engine = Engine(features)
    site.store.watch(engine.advance)
    chassis = [site.chassis(name) for name in ("hv1", "hv2")]
    red = site.network("red")
    for number in range(ports):
        site.plug(site.port(red, f"vm{number}", number + 2), chassis[number % 2])
    port = site.port(red, "one more", ports + 2)
    units, changes = engine.units_run, engine.linker.changes
    site.plug(port, chassis[0])
    # The units of the new binding (four features) and the group of its network on its chassis.
    assert engine.units_run - units == 5
    # Ways in and out, three guards, its own address, a group; MAC and ARP answer on both chassis.
    assert engine.linker.changes - changes == 7 + 2 * 2


def test_a_feature_that_breaks_its_contract_is_named_and_held_back() -> None:
    def stray(chassis: Chassis, view: View) -> Iterator[Placed]:
        yield on_chassis(chassis.id, L2_FORWARD.rule(
            WHY, 1, Priority.EXACT, NETWORK.equals(1), do=()))

    site, engine = watched(Each(Chassis, stray))
    site.chassis("hv1")
    assert len(engine.linker.tables["hv1"]) == misses(engine)
    assert list(engine.linker.objections.values()) == ["overlay does not own table l2_forward"]


def test_a_unit_that_fails_holds_up_nobody_and_is_named() -> None:
    def fails(network: Network, view: View) -> Iterator[Placed]:
        yield segment(network, network.key)
        if network.name == "bad":
            raise ValueError("cannot")

    site, engine = watched(Each(Network, fails))
    site.chassis("hv1")
    site.network("good")
    bad = site.network("bad")
    site.network("also good")
    assert len(engine.linker.tables["hv1"]) == misses(engine) + 2
    assert list(engine.linker.objections.values()) == ["ValueError: cannot"]
    assert engine.revision == site.store.revision
    site.update(bad, name="better")
    assert len(engine.linker.tables["hv1"]) == misses(engine) + 3
    assert not engine.linker.objections
    site.update(bad, name="bad")
    site.delete(bad)
    assert not engine.linker.objections


def test_features_that_claim_the_same_are_refused() -> None:
    one = Feature("overlay", 6, (TUNNEL_NETWORK,), (WHY,), ())
    for other, claim in (
            (Feature("overlay", 7, (), (), ()), "name"),
            (Feature("other", 6, (), (), ()), "cookie"),
            (Feature("other", 7, (L2_FORWARD,), (), ()), "l2_forward"),
            (Feature("other", 7, (), (WHY,), ()), "number"),
            (Feature("other", 255, (), (), ()), "range")):
        with pytest.raises(ValueError, match=claim):
            check_features([one, other])
