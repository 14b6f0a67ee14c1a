"""The differ: what a switch should hold against what it holds, as a plan.

Owns order. Groups and meters stand before the flows that use them and go after; flows are put
before others are deleted, so that a packet in between meets the old way or the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.pipeline.rule import Group, Item, Key, Meter, Rule


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send to one switch. `replaced` are the keys of `put` that the switch has already."""

    put: tuple[Item, ...] = ()
    delete: tuple[Key, ...] = ()
    replaced: frozenset[Key] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.put or self.delete)

    def __len__(self) -> int:
        return len(self.put) + len(self.delete)


def _rank(item: Item) -> int:
    match item:
        case Meter():
            return 0
        case Group():
            return 1
        case Rule():
            return 2


_DELETE_RANK = {"group": 1, "meter": 2}


def plan(installed: Mapping[Key, Item], desired: Mapping[Key, Item],
         keys: Iterable[Key] | None = None) -> Plan:
    """The plan that leads from `installed` to `desired`, looking only at `keys` if given."""
    looked_at = keys if keys is not None else {**installed, **desired}
    put: list[Item] = []
    delete: list[Key] = []
    replaced: set[Key] = set()
    for key in looked_at:
        want = desired.get(key)
        have = installed.get(key)
        if want is None:
            if have is not None:
                delete.append(key)
        elif want != have:
            put.append(want)
            if have is not None:
                replaced.add(key)
    # Later tables first: a packet never meets a goto into a table that is not ready.
    put.sort(key=lambda item: (_rank(item), -item.table if isinstance(item, Rule) else item.id))
    delete.sort(key=lambda key: (_DELETE_RANK.get(str(key[0]), 0),
                                 key[0] if isinstance(key[0], int) else key[1]))
    return Plan(tuple(put), tuple(delete), frozenset(replaced))
