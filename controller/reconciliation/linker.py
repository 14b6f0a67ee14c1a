"""The linker: merges what units want into one table set per chassis.

Owns the desired state of every chassis, the contract check and the treatment of conflicts. An item
may have several owners, on one scope or on several: it stays until the last one lets go. Two
units that want different things in one place conflict: the one with the lower cookie holds
(then the one that reads first as text), whatever came first, and the conflict is reported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from controller.model.resources import Row
from controller.pipeline.layout import BY_ID
from controller.pipeline.rule import Group, Item, Key, Meter, Rule
from controller.pipeline.table import Priority, Shape, objection, shape
from controller.reconciliation.feature import Feature, Placed, Scope


class Unit(NamedTuple):
    """One run of one compile function: for which feature, and for which row."""

    feature: str
    kind: type[Row]
    id: str


class Conflict(NamedTuple):
    """Two items for one place; `held` is the one on the switch."""

    held: Item
    other: Item


Entry = tuple[tuple[Unit, Item], ...]


class Linker:
    """Desired state. `tables[chassis]` maps keys to items; `touched` what to compare next."""

    def __init__(self, features: Iterable[Feature]) -> None:
        self._owned = {feature.name: {table.id for table in feature.owns} for feature in features}
        self._cookies = {feature.name: feature.cookie for feature in features}
        self._judged: dict[tuple[str, Shape], str | None] = {}
        self._scopes: dict[Scope, dict[Key, Entry]] = {}
        self._members: dict[Scope, set[str]] = {}
        self._scopes_of: dict[str, set[Scope]] = {}
        self._several: dict[str, set[Key]] = {}
        self.tables: dict[str, dict[Key, Item]] = {}
        self.touched: dict[str, set[Key]] = {}
        self.objections: dict[Unit, str] = {}
        self.conflicts: dict[tuple[Scope, Key], Conflict] = {}
        self.changes = 0

    def replace(self, unit: Unit, old: tuple[Placed, ...], new: tuple[Placed, ...]) -> None:
        """A unit's result changed from `old` to `new`."""
        before = {(placed.scope, placed.item.key): placed.item for placed in old}
        after: dict[tuple[Scope, Key], Item] = {}
        self.objections.pop(unit, None)
        for placed in new:
            reason = self._objection(unit, placed.item)
            place = (placed.scope, placed.item.key)
            if reason is None and after.setdefault(place, placed.item) != placed.item:
                reason = f"two different items for {placed.item.key}"
            if reason is not None:
                self.objections[unit] = reason
        for place in before:
            if place not in after:
                self._place(unit, *place, None)
        for place, item in after.items():
            if before.get(place) != item:
                self._place(unit, *place, item)

    def move(self, scope: Scope, chassis: str, *, joins: bool) -> None:
        """A chassis enters or leaves a scope, and with it gets or loses all its items."""
        members = self._members.setdefault(scope, set())
        scopes = self._scopes_of.setdefault(chassis, set())
        if joins:
            members.add(chassis)
            scopes.add(scope)
        else:
            members.discard(chassis)
            scopes.discard(scope)
        for key in list(self._scopes.get(scope, ())):
            self._settle(chassis, key, scope)
        if not members:
            del self._members[scope]
        if not scopes:
            for remains in (self._scopes_of, self.tables, self.touched, self._several):
                remains.pop(chassis, None)

    def collect(self, chassis: str) -> set[Key]:
        """The keys that changed since the last call."""
        return self.touched.pop(chassis, set())

    def owners(self, chassis: str, key: Key) -> list[Unit]:
        """All units that want the item on this chassis."""
        return sorted({unit for scope in self._scopes_of.get(chassis, ())
                       for unit, _ in self._scopes.get(scope, {}).get(key, ())},
                      key=lambda unit: (unit.feature, unit.kind.__name__, unit.id))

    def _place(self, unit: Unit, scope: Scope, key: Key, item: Item | None) -> None:
        items = self._scopes.get(scope)
        if items is None:
            items = self._scopes[scope] = {}
        held = items.get(key, ())
        others = tuple([pair for pair in held if pair[0] != unit]) if held else ()
        entry: Entry = others if item is None else (*others, (unit, item))
        if entry:
            items[key] = entry
        else:
            items.pop(key, None)
            if not items:
                del self._scopes[scope]
        if len(held) > 1 or len(entry) > 1:
            self._judge_conflict(scope, key, entry)
        for chassis in self._members.get(scope, ()):
            self._settle(chassis, key, scope)

    def _settle(self, chassis: str, key: Key, scope: Scope) -> None:
        """Recompute one place of one chassis after `scope` changed there."""
        table = self.tables.get(chassis)
        if table is None:
            table = self.tables[chassis] = {}
        here: Entry = ()
        if scope in self._scopes_of.get(chassis, ()):
            here = self._scopes.get(scope, {}).get(key, ())
        several = self._several.get(chassis, ())
        old = table.get(key)
        if key in several or (here and old is not None and not self._only(chassis, scope, key)):
            several = self._several.setdefault(chassis, set())
            several.add(key)
            entries = [self._scopes.get(other, {}).get(key, ())
                       for other in self._scopes_of.get(chassis, ())]
            if sum(map(bool, entries)) < 2:
                several.discard(key)
            here = tuple(pair for found in entries for pair in found)
            self._judge_conflict(("chassis", chassis), key, here)
        new = _chosen(here)
        if new == old:
            return
        if new is None:
            del table[key]
        else:
            table[key] = new
        touched = self.touched.get(chassis)
        if touched is None:
            touched = self.touched[chassis] = set()
        touched.add(key)
        self.changes += 1

    def _only(self, chassis: str, scope: Scope, key: Key) -> bool:
        return not any(key in self._scopes.get(other, ())
                       for other in self._scopes_of.get(chassis, ()) if other != scope)

    def _judge_conflict(self, scope: Scope, key: Key, entry: Entry) -> None:
        if len(entry) > 1:
            held = _chosen(entry)
            assert held is not None
            for _, item in entry:
                if _content(item) != _content(held):
                    self.conflicts[scope, key] = Conflict(held, item)
                    return
        self.conflicts.pop((scope, key), None)

    def _objection(self, unit: Unit, item: Item) -> str | None:
        if isinstance(item, Rule):
            judged = (unit.feature, shape(item))
            if judged not in self._judged:
                self._judged[judged] = self._judge(unit, item)
            return self._judged[judged]
        if isinstance(item, Group) and item.id >> 24 != self._cookies[unit.feature]:
            return f"group {item.id:#x} is outside the numbers of {unit.feature}"
        return None

    def _judge(self, unit: Unit, rule: Rule) -> str | None:
        if rule.table not in self._owned[unit.feature] and rule.priority != Priority.MISS:
            name = BY_ID[rule.table].name if rule.table in BY_ID else rule.table
            return f"{unit.feature} does not own table {name}"
        return objection(rule, BY_ID)


def _content(item: Item) -> object:
    """What of an item the switch acts by: everything but why."""
    match item:
        case Rule():
            return item.actions
        case Group() | Meter():
            return item


def _chosen(entry: Entry) -> Item | None:
    if not entry:
        return None
    chosen = entry[0][1]
    if len(entry) == 1:
        return chosen
    for _, item in entry[1:]:
        if item != chosen and _rank(item) < _rank(chosen):
            chosen = item
    return chosen


def _rank(item: Item) -> tuple[int, str]:
    return (item.cookie if isinstance(item, Rule) else 0, repr(item))
