"""A change costs what it touches: the counts of `./run bench incremental`, at small sizes."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bench.incremental import PORTS, SPREAD, Seen, Site, measure, spoken
from controller.model.resources import Binding, Presence
from controller.reconciliation.feature import Feature

SAMPLES = 6


@pytest.fixture(scope="module")
def small(features: Sequence[Feature]) -> Seen:
    return measure(features, 1_000, SAMPLES)


@pytest.fixture(scope="module")
def large(features: Sequence[Feature]) -> Seen:
    return measure(features, 5_000, SAMPLES)


def test_one_more_port_costs_the_same_whatever_the_size(small: Seen, large: Seen) -> None:
    assert len(small.added) == 1, "the cost depends on the network"
    assert large.added == small.added


def test_one_port_less_costs_the_same_whatever_the_size(small: Seen, large: Seen) -> None:
    assert len(small.removed) == 1, "the cost depends on the network"
    assert large.removed == small.removed


def test_what_is_added_is_taken_away_again(small: Seen) -> None:
    [[_, added]], [[_, removed]] = small.added, small.removed
    assert added == removed > 0


def test_nothing_is_refused(small: Seen, large: Seen) -> None:
    assert small.faults == large.faults == 0


def test_one_port_changes_one_chassis_in_full_and_the_others_by_what_they_must_know(
        features: Sequence[Feature]) -> None:
    site = Site(features, 1_000)
    site.fill()
    before = {id: dict(table) for id, table in site.engine.linker.tables.items()}
    site.one_more(0)
    home = f"c{site.chassis_of(0, PORTS)}"
    changed = {id: sum(before[id].get(key) != item for key, item in table.items())
               for id, table in site.engine.linker.tables.items()}
    there = {changed[id] for id in changed if id != home}
    assert len(there) == 1, "a chassis of the network knows something that another one does not"
    assert changed[home] > there.pop() > 0


def test_the_site_is_what_it_says(features: Sequence[Feature]) -> None:
    site = Site(features, 2_000)
    site.fill()
    snapshot = site.store.snapshot
    for network in range(site.networks):
        assert len(snapshot.ids(Binding, "network", f"n{network}")) == PORTS
        assert len(snapshot.ids(Presence, "network", f"n{network}")) == SPREAD
    assert site.networks * PORTS == 2_000


def test_counts_are_spoken() -> None:
    assert spoken([[5, 27]]) == "5 and 27"
    assert spoken([[1, 2], [3, 4]]) == "1 and 2 or 3 and 4"
