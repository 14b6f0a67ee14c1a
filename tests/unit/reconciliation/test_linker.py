"""The linker: several owners, several scopes, conflicts, chassis that come and go."""

from __future__ import annotations

import itertools

from controller.model.resources import Network, Port
from controller.pipeline.actions import Actions, Goto, Output
from controller.pipeline.cookie import Purpose
from controller.pipeline.fields import OUT_PORT
from controller.pipeline.layout import DELIVER
from controller.pipeline.rule import Group, Rule
from controller.pipeline.table import Priority
from controller.reconciliation.feature import (
    EVERYWHERE, Feature, Placed, across_network, everywhere, on_chassis,
)
from controller.reconciliation.linker import Linker, Unit

WHY = Purpose(2, 1, "because", owner="port")
ONE, TWO = Unit("classification", Port, "one"), Unit("classification", Network, "two")


def linker() -> Linker:
    made = Linker([Feature("classification", 2, (DELIVER,), (WHY,), ())])
    made.move(EVERYWHERE, "hv1", joins=True)
    made.move(("chassis", "hv1"), "hv1", joins=True)
    return made


def rule(owner: int = 1, out: int = 7, to: int = 3) -> Rule:
    return DELIVER.rule(WHY, owner, Priority.EXACT, OUT_PORT.equals(to), do=(Output(out),))


def test_an_item_stays_until_its_last_owner_lets_go() -> None:
    made = linker()
    wanted = (on_chassis("hv1", rule()),)
    made.replace(ONE, (), wanted)
    made.replace(TWO, (), wanted)
    assert made.owners("hv1", rule().key) == [TWO, ONE]
    made.collect("hv1")
    made.replace(ONE, wanted, ())
    assert made.tables["hv1"] == {rule().key: rule()}
    assert made.collect("hv1") == set()
    made.replace(TWO, wanted, ())
    assert made.tables["hv1"] == {}
    assert made.collect("hv1") == {rule().key}


def test_owners_on_different_scopes_count_as_well() -> None:
    made = linker()
    made.move(("network", "n"), "hv1", joins=True)
    here, net = (on_chassis("hv1", rule(5)),), (across_network("n", rule(4)),)
    made.replace(ONE, (), here)
    made.replace(TWO, (), net)
    assert made.tables["hv1"] == {rule().key: rule(4)}, "the lower cookie stands for both"
    made.move(("network", "n"), "hv1", joins=False)
    assert made.tables["hv1"] == {rule().key: rule(5)}
    made.move(("network", "n"), "hv1", joins=True)
    made.replace(ONE, here, ())
    assert made.tables["hv1"] == {rule().key: rule(4)}
    assert not made.conflicts


def test_a_conflict_is_settled_the_same_way_in_any_order_and_reported() -> None:
    results: dict[Unit, tuple[Placed, ...]] = {
        ONE: (on_chassis("hv1", rule(2, out=8)),), TWO: (everywhere(rule(1, out=9)),)}
    for order in itertools.permutations(results):
        made = linker()
        for unit in order:
            made.replace(unit, (), results[unit])
        assert made.tables["hv1"] == {rule().key: rule(1, out=9)}
        assert [conflict.other for conflict in made.conflicts.values()] == [rule(2, out=8)]
        made.replace(TWO, results[TWO], ())
        assert made.tables["hv1"] == {rule().key: rule(2, out=8)}
        assert not made.conflicts


def test_a_chassis_that_leaves_is_forgotten_and_gets_all_when_it_returns() -> None:
    made = linker()
    made.replace(ONE, (), (everywhere(rule()),))
    made.move(EVERYWHERE, "hv1", joins=False)
    made.move(("chassis", "hv1"), "hv1", joins=False)
    assert "hv1" not in made.tables and "hv1" not in made.touched
    made.move(EVERYWHERE, "hv1", joins=True)
    assert made.tables["hv1"] == {rule().key: rule()}


def test_what_the_contract_forbids_is_never_placed() -> None:
    bad: list[tuple[Actions, str]] = [
        ((Goto(0),), "may not enter"), ((Goto(DELIVER.id),), "may not enter"),
        ((Output(1), Goto(99)), "may not enter")]
    for actions, reason in bad:
        made = linker()
        made.replace(ONE, (), (on_chassis("hv1", DELIVER.rule(
            WHY, 1, Priority.EXACT, OUT_PORT.equals(1), do=actions)),))
        assert reason in made.objections[ONE]
        assert not made.tables.get("hv1")
        made.replace(ONE, (), ())
        assert not made.objections


def test_a_group_outside_the_features_numbers_is_refused() -> None:
    made = linker()
    made.replace(ONE, (), (on_chassis("hv1", Group(3 << 24 | 1, "all", ())),))
    assert "outside the numbers of classification" in made.objections[ONE]
    assert not made.tables.get("hv1")


def test_one_unit_may_not_want_two_things_in_one_place() -> None:
    made = linker()
    made.replace(ONE, (), (on_chassis("hv1", rule(out=1)), on_chassis("hv1", rule(out=2))))
    assert "two different items" in made.objections[ONE]
