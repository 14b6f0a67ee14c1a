"""Actions: what a rule or a bucket does with a packet, as values.

Owns the few verbs of the pipeline. Refuses anything the codec cannot say exactly in both
directions: every action here survives rule -> bytes -> rule.
"""

from __future__ import annotations

from dataclasses import dataclass

from controller.pipeline.fields import Field


@dataclass(frozen=True, slots=True)
class Load:
    """Write `value` into `width` bits of `carrier` from bit `offset` (NXAST_REG_LOAD)."""

    carrier: str
    offset: int
    width: int
    value: int


@dataclass(frozen=True, slots=True)
class Move:
    """Copy `width` bits between carriers (NXAST_REG_MOVE)."""

    source: str
    source_offset: int
    target: str
    target_offset: int
    width: int


@dataclass(frozen=True, slots=True)
class Output:
    """Send the packet out of an OpenFlow port; never back to where it came from."""

    port: int


@dataclass(frozen=True, slots=True)
class Return:
    """Send the packet back out of the port that it came in by (OFPP_IN_PORT)."""


@dataclass(frozen=True, slots=True)
class ToGroup:
    """Hand the packet to a group."""

    group: int


@dataclass(frozen=True, slots=True)
class Subroutine:
    """Look the packet up in `table` and come back (NXAST_RESUBMIT_TABLE)."""

    table: int


@dataclass(frozen=True, slots=True)
class Goto:
    """Go on in `table`; the last action of a rule, never in a bucket (OFPIT_GOTO_TABLE)."""

    table: int


@dataclass(frozen=True, slots=True)
class Police:
    """Pass the packet through a meter first, which may drop it (OFPIT_METER)."""

    meter: int


Action = Load | Move | Output | Return | ToGroup | Subroutine | Goto | Police
Actions = tuple[Action, ...]
"""In order: `Police` first, `Goto` last, each at most once. Empty: drop."""


def load(field: Field, value: int) -> Load:
    """Write `value` into a field; ValueError if it does not fit."""
    if value < 0 or value >> field.width:
        raise ValueError(f"{field.name}: {value:#x} does not fit {field.width} bits")
    return Load(field.carrier, field.offset, field.width, value)


def move(source: Field, target: Field) -> Move:
    """Copy one field into another of the same width."""
    if source.width != target.width:
        raise ValueError(f"{source.name} and {target.name} differ in width")
    return Move(source.carrier, source.offset, target.carrier, target.offset, source.width)
