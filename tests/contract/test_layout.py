"""The page, the fields and the cookies keep their contracts; what breaks one is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controller.pipeline import layout
from controller.pipeline.actions import Goto, Load, Output, Police, Subroutine, load
from controller.pipeline.cookie import Purpose
from controller.pipeline.fields import (
    ENCAPSULATION, ETH_DST, ETH_SRC, HEADERS, NETWORK, OUT_CHASSIS, OUT_PORT, REGISTERS, VLAN,
    Field, Stage, check_registers,
)
from controller.pipeline.table import Priority, Table, objection
from controller.reconciliation.engine import Engine
from controller.reconciliation.feature import Feature, check_features

WHY = Purpose(9, 1, "a test", owner="port")
NUMBERS = {"misses": 1, "classification": 2, "port_security": 3, "arp_responder": 4,
           "l2_forwarding": 5, "overlay": 6}
"""Cookie numbers are for ever: a new feature gets a new line, and no line ever changes."""
PURPOSES = {
    (1, 1), (2, 1), (2, 2), (2, 3), (3, 1), (3, 2), (3, 3), (4, 1), (4, 2), (5, 1), (5, 2), (5, 3),
    (6, 1), (6, 2), (6, 3), (6, 4),
}


def test_every_table_has_an_owner_that_is_loaded(features: tuple[Feature, ...]) -> None:
    owned = [table.id for feature in features for table in feature.owns]
    assert sorted(owned) == sorted(layout.BY_ID)


def test_tables_use_registers_only_while_these_live() -> None:
    for table in layout.TABLES:
        for field in (*table.matches, *table.loads):
            if field.live is not None:
                assert field.live[0] <= table.stage <= field.live[1], f"{table.name}: {field.name}"


def test_every_match_after_classification_names_a_tenant() -> None:
    for table in layout.TABLES:
        assert table.tenancy is not None or table.stage == Stage.CLASSIFY, table.name


def test_field_names_are_unique() -> None:
    names = [field.name for field in (*HEADERS, *REGISTERS)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("broken", [
    replace(NETWORK, name="twin"),
    replace(ENCAPSULATION, name="overlapping", offset=0, width=8),
    Field("too wide", "reg3", 33, live=(Stage.GUARD, Stage.ROUTE)),
    Field("nowhere", "reg16", 1, live=(Stage.GUARD, Stage.ROUTE)),
    Field("immortal", "reg3", 1),
    Field("backwards", "reg3", 1, live=(Stage.ROUTE, Stage.GUARD)),
], ids=lambda field: field.name)
def test_registers_that_overlap_or_leave_their_carrier_are_refused(broken: Field) -> None:
    with pytest.raises(ValueError):
        check_registers((*REGISTERS, broken))


def test_two_fields_may_share_bits_in_different_stages() -> None:
    early = Field("early", "reg3", 8, live=(Stage.GUARD, Stage.SERVICE))
    check_registers((*REGISTERS, early, replace(early, name="late",
                                                live=(Stage.ROUTE, Stage.SWITCH))))


def _mutations() -> list[tuple[str, tuple[Table, ...]]]:
    tables = layout.TABLES
    first, last = tables[0], tables[-1]
    return [
        ("same number", (*tables, replace(last, name="twin"))),
        ("same name", (*tables, replace(last, slot=5))),
        ("out of order", (last, *tables[:-1])),
        ("enters an unknown table", (replace(first, enters=("nowhere",)), *tables[1:])),
        ("enters itself", (replace(first, enters=(first.name,)), *tables[1:])),
        ("goes back", (*tables[:-1], replace(last, enters=(first.name,)))),
        ("misses back", (*tables[:-1], replace(last, miss=first.name))),
        ("cannot match its tenancy", (*tables[:-1], replace(last, tenancy=NETWORK))),
    ]


@pytest.mark.parametrize(("what", "tables"), _mutations(), ids=[what for what, _ in _mutations()])
def test_a_broken_page_is_refused(what: str, tables: tuple[Table, ...]) -> None:
    layout.check_layout(layout.TABLES)
    with pytest.raises(ValueError):
        layout.check_layout(tables)


RULE = layout.L2_FORWARD.rule(
    WHY, 1, Priority.EXACT, NETWORK.equals(1), ETH_DST.equals(5),
    do=(load(OUT_PORT, 1), load(OUT_CHASSIS, 2), Goto(layout.LOCATE.id)))


@pytest.mark.parametrize("rule", [
    replace(RULE, table=5),
    replace(RULE, match=RULE.match[:1]),
    replace(RULE, match=(("metadata", 1, 1), *RULE.match[:1])),
    replace(RULE, match=tuple(sorted((*RULE.match, VLAN.equals(0))))),
    replace(RULE, priority=Priority.MISS),
    replace(RULE, actions=(load(ETH_SRC, 1), Goto(layout.LOCATE.id))),
    replace(RULE, actions=(Load("reg15", 0, 32, 1), Load("reg9", 0, 32, 1), Load("reg9", 3, 32, 1),
                           Goto(layout.CLASSIFY_PORT.id))),
    replace(RULE, actions=(Goto(layout.DELIVER.id),)),
    replace(RULE, actions=(Subroutine(layout.DELIVER.id),)),
    replace(RULE, actions=(Goto(layout.LOCATE.id), load(OUT_PORT, 1))),
    replace(RULE, actions=(load(OUT_PORT, 1), Police(1))),
    replace(RULE, actions=(Output(1),)),
], ids=["unknown table", "no tenancy", "half a tenancy", "undeclared match", "miss with a match",
        "undeclared load", "goes back", "undeclared goto", "undeclared call", "goto not last",
        "police not first", "may not output"])
def test_a_rule_against_its_tables_contract_is_refused(rule: object) -> None:
    assert objection(RULE, layout.BY_ID) is None
    assert objection(rule, layout.BY_ID) is not None  # type: ignore[arg-type]


def test_cookie_numbers_are_unique_and_stable(features: tuple[Feature, ...]) -> None:
    everything = Engine(features).features
    assert {feature.name: feature.cookie for feature in everything} == NUMBERS
    said = [(purpose.feature, purpose.number) for feature in everything
            for purpose in feature.purposes]
    assert len(set(said)) == len(said) and set(said) == PURPOSES


def test_features_that_clash_are_refused(features: tuple[Feature, ...]) -> None:
    first, second = features[:2]
    check_features(features)
    for clash in (replace(second, cookie=first.cookie, purposes=()),
                  replace(second, name=first.name),
                  replace(second, owns=first.owns),
                  replace(second, purposes=first.purposes),
                  replace(second, purposes=second.purposes * 2),
                  replace(second, cookie=0, purposes=())):
        with pytest.raises(ValueError):
            check_features((first, clash))
