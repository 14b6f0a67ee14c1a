"""Rules, groups and meters: the items that a switch holds.

Owns their identity: `key` names the place an item takes in a switch, so two items with one key
compete for it. Refuses no combination by itself: the linker judges rules against the layout.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from controller.pipeline.actions import Actions
from controller.pipeline.fields import Match

Key = tuple[str, int] | tuple[int, int, Match]
"""A flow: (table, priority, match). A group or a meter: ("group" or "meter", id)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A flow of one table. `cookie` says why it exists (see `cookie`)."""

    table: int
    priority: int
    match: Match
    actions: Actions
    cookie: int

    @property
    def key(self) -> Key:
        """(table, priority, match): the place of the rule in the switch."""
        return (self.table, self.priority, self.match)


@dataclass(frozen=True, slots=True)
class Bucket:
    """One copy that a group makes."""

    actions: Actions
    weight: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """A group of buckets: `all` copies to each, `select` picks one by the packet's hash."""

    id: int
    type: Literal["all", "select", "indirect"]
    buckets: tuple[Bucket, ...]

    @property
    def key(self) -> Key:
        """("group", id)."""
        return ("group", self.id)


@dataclass(frozen=True, slots=True)
class Meter:
    """A limit of `rate` packets a second with `burst` packets on top; what is over is dropped."""

    id: int
    rate: int
    burst: int = field(default=0)

    @property
    def key(self) -> Key:
        """("meter", id)."""
        return ("meter", self.id)


Item = Rule | Group | Meter


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a switch holds and these values cannot say: equal to no item, so the diff removes it.

    Its key is the place that it takes. A match that no carriers can express stands there as one
    test of the carrier "oxm": the bytes of the match as a number, and how many they are.
    """

    key: Key
    text: str


Installed = Item | Foreign
