"""Tables: a named place in the pipeline and the contract of the rules in it.

Owns the contract and its judgement (`objection`). The one idea: a layout is not a comment, so a
rule that matches, loads or enters what its table did not declare is refused before it is sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from controller.pipeline.actions import (
    Action, Actions, Goto, Load, Move, Output, Police, Return, Subroutine, ToGroup,
)
from controller.pipeline.cookie import Purpose
from controller.pipeline.fields import Field, Match, Stage, Test
from controller.pipeline.fields import match as canonical
from controller.pipeline.rule import Rule


class Priority(IntEnum):
    """The ladder on which rules of one table stand; nobody writes a number."""

    MISS = 0
    DEFAULT = 100
    WILDCARD = 200
    EXACT = 300
    GUARD = 400


@dataclass(frozen=True, slots=True)
class Table:
    """A table: stage plus slot is its number; `owner` is the one feature that may fill it.

    `tenancy` is the field that every match must name in full (None: the table's keys are unique
    by themselves); `enters` the tables its rules may go to; `miss` what happens without a rule:
    a table's name, or None to drop.
    """

    name: str
    stage: Stage
    slot: int
    owner: str
    purpose: str
    matches: tuple[Field, ...]
    tenancy: Field | None = None
    loads: tuple[Field, ...] = ()
    enters: tuple[str, ...] = ()
    miss: str | None = None
    outputs: bool = False

    @property
    def id(self) -> int:
        """The table's number in the switch."""
        return int(self.stage) + self.slot

    def rule(self, why: Purpose, key: int, priority: Priority, *tests: Test,
             do: Actions, requires: Match = ()) -> Rule:
        """A rule of this table, for the owner `key`."""
        return Rule(self.id, int(priority), canonical(*tests, requires=requires), do,
                    why.cookie(key))


Shape = tuple[int, bool, tuple[tuple[str, int], ...], tuple[tuple[object, ...], ...]]


def shape(rule: Rule) -> Shape:
    """What of a rule the contract depends on: everything but values. Small, so it is cached."""
    return (rule.table, rule.priority == Priority.MISS,
            tuple((carrier, mask) for carrier, _, mask in rule.match),
            tuple(_action_shape(action) for action in rule.actions))


def _action_shape(action: Action) -> tuple[object, ...]:
    match action:
        case Load():
            return ("load", action.carrier, ((1 << action.width) - 1) << action.offset)
        case Move():
            return ("load", action.target, ((1 << action.width) - 1) << action.target_offset)
        case Goto():
            return ("goto", action.table)
        case Subroutine():
            return ("call", action.table)
        case Output() | Return() | ToGroup():
            return ("output",)
        case Police():
            return ("police",)


def objection(rule: Rule, tables: dict[int, Table]) -> str | None:
    """Why the contract forbids a rule, in words, or None. `tables` is the layout by number."""
    table = tables.get(rule.table)
    if table is None:
        return f"table {rule.table} is not in the layout"
    if rule.priority != Priority.MISS:
        if table.tenancy is not None and not _covers(rule.match, table.tenancy):
            return f"{table.name}: no test of {table.tenancy.name}, the tenancy field"
        allowed = _bits(table.matches)
        for field in table.matches:
            for carrier, _, mask in field.requires:
                allowed[carrier] = allowed.get(carrier, 0) | mask
        for carrier, _, mask in rule.match:
            if mask & ~allowed.get(carrier, 0):
                return f"{table.name}: match on {carrier} is not declared"
    elif rule.match:
        return f"{table.name}: a miss matches everything"
    return _actions_objection(rule, table, tables)


def _actions_objection(rule: Rule, table: Table, tables: dict[int, Table]) -> str | None:
    loadable = _bits(table.loads)
    entered = {table.miss, *table.enters}
    for number, action in enumerate(rule.actions):
        verb, *what = _action_shape(action)
        if verb == "load" and what[1] & ~loadable.get(str(what[0]), 0):  # type: ignore[operator]
            return f"{table.name}: load of {what[0]} is not declared"
        if verb in ("goto", "call"):
            target = tables.get(int(str(what[0])))
            if target is None or target.name not in entered:
                return f"{table.name}: may not enter {target.name if target else what[0]}"
            if target.id <= table.id:
                return f"{table.name}: {target.name} lies behind"
        if verb == "goto" and number != len(rule.actions) - 1:
            return f"{table.name}: goto is not the last action"
        if verb == "police" and number:
            return f"{table.name}: police is not the first action"
        if verb == "output" and not table.outputs:
            return f"{table.name}: may not output"
    return None


def _covers(tests: Match, field: Field) -> bool:
    return any(carrier == field.carrier and mask & field.bits == field.bits
               for carrier, _, mask in tests)


def _bits(fields: tuple[Field, ...]) -> dict[str, int]:
    united: dict[str, int] = {}
    for field in fields:
        united[field.carrier] = united.get(field.carrier, 0) | field.bits
    return united
