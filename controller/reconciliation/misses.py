"""Misses: what happens in each table when no rule matches.

A feature of its own, so that the tables of a feature that is not loaded are still passed through
and the rest works. A table that drops needs no rule: OpenFlow 1.3 drops what nothing matches.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.model.resources import Chassis
from controller.pipeline.actions import Goto
from controller.pipeline.cookie import Purpose
from controller.pipeline.layout import BY_NAME, TABLES
from controller.pipeline.table import Priority
from controller.reconciliation.feature import Each, Feature, Placed, on_chassis
from controller.reconciliation.view import View

MISS = Purpose(1, 1, "no rule of this table matches", owner="chassis")


def misses(chassis: Chassis, view: View) -> Iterator[Placed]:
    """One rule for each table that goes on elsewhere."""
    for table in TABLES:
        if table.miss is not None:
            yield on_chassis(chassis.id, table.rule(
                MISS, 0, Priority.MISS, do=(Goto(BY_NAME[table.miss].id),)))


MISSES = Feature("misses", cookie=1, owns=(), purposes=(MISS,), units=(Each(Chassis, misses),))
