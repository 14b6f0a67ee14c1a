"""Features: declarations of what fills which tables, and from what.

Owns the shape of a feature. A feature is a value: the tables that it alone may fill, a number for
its cookies, and one pure function per kind of row that it compiles. The function is given a row
and a view, and returns items, each placed on a scope. It never removes anything: what is missing
from its next result is removed by the diff.

A scope says on which chassis an item belongs. Items placed across a network are compiled once,
however many chassis hold the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from controller.model.resources import Row
from controller.pipeline.cookie import Purpose
from controller.pipeline.rule import Item
from controller.pipeline.table import Table
from controller.reconciliation.view import View

Scope = tuple[str, str]
EVERYWHERE: Scope = ("everywhere", "")


class Placed(NamedTuple):
    """An item and the chassis it belongs on."""

    scope: Scope
    item: Item


def on_chassis(id: str, item: Item) -> Placed:
    """Place an item on one chassis."""
    return Placed(("chassis", id), item)


def across_network(id: str, item: Item) -> Placed:
    """Place an item on every chassis that a port of the network is plugged into."""
    return Placed(("network", id), item)


def everywhere(item: Item) -> Placed:
    """Place an item on every chassis."""
    return Placed(EVERYWHERE, item)


Compile = Callable[[Any, View], Iterable[Placed]]


@dataclass(frozen=True, slots=True)
class Each:
    """One unit for each row of `kind`; `compile(row, view)` gives its items. Pure."""

    kind: type[Row]
    compile: Compile


@dataclass(frozen=True, slots=True)
class Feature:
    """What one file in `apps/` declares. `cookie` is stable for ever, 1 to 254."""

    name: str
    cookie: int
    owns: tuple[Table, ...]
    purposes: tuple[Purpose, ...]
    units: tuple[Each, ...]


def check_features(features: Iterable[Feature]) -> None:
    """ValueError when two features share a name, a number or a table, or one takes a table that
    the layout gives to another, or a purpose speaks for another feature."""
    names: dict[object, str] = {}
    for feature in features:
        if not 0 < feature.cookie < 255:
            raise ValueError(f"{feature.name}: cookie number {feature.cookie} is out of range")
        claims: list[object] = [("name", feature.name), ("cookie", feature.cookie)]
        claims += [("table", table.id) for table in feature.owns]
        for claim in claims:
            if claim in names:
                raise ValueError(f"{feature.name} and {names[claim]} both claim {claim}")
            names[claim] = feature.name
        for table in feature.owns:
            if table.owner != feature.name:
                raise ValueError(f"{feature.name}: table {table.name} belongs to {table.owner}")
        numbers = [purpose.number for purpose in feature.purposes]
        if len(set(numbers)) != len(numbers):
            raise ValueError(f"{feature.name}: two purposes share a number")
        if any(purpose.feature != feature.cookie for purpose in feature.purposes):
            raise ValueError(f"{feature.name}: a purpose carries another feature's number")
