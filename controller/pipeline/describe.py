"""Descriptions: rules, groups and the layout as text for people.

Owns the one spelling of items that golden files, traces and `docs/pipeline.md` share. Refuses
parsing: nothing reads this text back.

`python -m controller.pipeline.describe > docs/pipeline.md` writes the pipeline page.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address
from pathlib import Path

from controller.pipeline.actions import (
    Action, Actions, Goto, Load, Move, Output, Police, Return, Subroutine, ToGroup,
)
from controller.pipeline.cookie import Purpose, origin
from controller.pipeline.fields import CARRIER_WIDTH, HEADERS, REGISTERS, Field, Match, Stage
from controller.pipeline.layout import BY_ID, TABLES
from controller.pipeline.rule import Group, Item, Key, Meter, Rule
from controller.pipeline.table import Priority, Table

Purposes = Mapping[tuple[int, int], Purpose]
"""Purposes by (feature number, purpose number)."""

_MACS = frozenset({"eth_src", "eth_dst", "arp_sha", "arp_tha"})
_ADDRESSES = frozenset({"ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa", "tun_src", "tun_dst"})
_HEXADECIMAL = frozenset({"eth_type"})


def purposes_of(purposes: Iterable[Purpose]) -> Purposes:
    """Purposes in the form in which cookies name them."""
    return {(purpose.feature, purpose.number): purpose for purpose in purposes}


def value_text(carrier: str, value: int) -> str:
    """A carrier's value as people write it."""
    if carrier in _MACS:
        digits = f"{value:012x}"
        return ":".join(digits[at:at + 2] for at in range(0, 12, 2))
    if carrier in _ADDRESSES:
        return str(IPv4Address(value))
    return f"{value:#06x}" if carrier in _HEXADECIMAL else str(value)


def fields_of(carrier: str, mask: int) -> Iterator[tuple[Field | None, int]]:
    """The fields that the masked bits of a carrier belong to, each with its part of the mask;
    bits that no field owns come last, with None."""
    for field in (*HEADERS, *REGISTERS):
        if field.carrier == carrier and field.bits & mask:
            yield field, field.bits & mask
            mask &= ~field.bits
    if mask:
        yield None, mask


def match_text(match: Match) -> str:
    """A match in the names of fields; `anything` when it is empty."""
    parts = []
    for carrier, value, mask in match:
        for field, bits in fields_of(carrier, mask):
            if field is None:
                parts.append(f"{carrier}={value & bits:#x}/{bits:#x}")
                continue
            held = value_text(carrier, (value & bits) >> field.offset)
            if bits != field.bits:
                held += f"/{value_text(carrier, bits >> field.offset)}"
            parts.append(f"{field.name}={held}")
    return ", ".join(parts) or "anything"


def _slot(carrier: str, offset: int, width: int) -> str:
    bits = ((1 << width) - 1) << offset
    for field in (*HEADERS, *REGISTERS):
        if field.carrier == carrier and field.bits == bits:
            return field.name
    return f"{carrier}[{offset}..{offset + width - 1}]"


def action_text(action: Action) -> str:
    """One action in the names of fields and tables."""
    match action:
        case Load(carrier, offset, width, value):
            return f"{_slot(carrier, offset, width)} := {value_text(carrier, value)}"
        case Move(source, source_offset, target, target_offset, width):
            return (f"{_slot(target, target_offset, width)} := "
                    f"{_slot(source, source_offset, width)}")
        case Output(port):
            return f"output {port}"
        case Return():
            return "return to sender"
        case ToGroup(group):
            return f"group {group:#x}"
        case Subroutine(table):
            return f"call {table_name(table)}"
        case Goto(table):
            return f"goto {table_name(table)}"
        case Police(meter):
            return f"police {meter}"


def actions_text(actions: Actions) -> str:
    """Actions in their order; `drop` when there are none."""
    return "; ".join(map(action_text, actions)) or "drop"


def table_name(number: int) -> str:
    """A table's name, or its number when the layout does not know it."""
    return BY_ID[number].name if number in BY_ID else f"table {number}"


def priority_text(priority: int) -> str:
    """A rung of the ladder by name."""
    known = {int(rung): rung.name.lower() for rung in Priority}
    return known.get(priority, str(priority))


def why(cookie: int, purposes: Purposes) -> str:
    """What a cookie says, in words."""
    said = origin(cookie)
    if said is None:
        return f"cookie {cookie:#x} is not ours"
    purpose = purposes.get((said.feature, said.purpose))
    if purpose is None:
        return f"feature {said.feature}, purpose {said.purpose}, key {said.key}"
    return f"{purpose.text} ({purpose.owner} {said.key})"


def rule_text(rule: Rule, purposes: Purposes) -> str:
    """A rule in one line, without its table."""
    return (f"{priority_text(rule.priority):<8} {match_text(rule.match)} -> "
            f"{actions_text(rule.actions)}   # {why(rule.cookie, purposes)}")


def group_text(group: Group) -> Iterator[str]:
    """A group, a line for each bucket."""
    yield f"{group.id:#x} {group.type}"
    for bucket in group.buckets:
        weight = f"weight {bucket.weight}: " if bucket.weight else ""
        yield f"  {weight}{actions_text(bucket.actions)}"


def items_text(items: Mapping[Key, Item], purposes: Purposes) -> str:
    """All that a switch holds, table by table, in an order that does not depend on history."""
    lines: list[str] = []
    rules = [item for item in items.values() if isinstance(item, Rule)]
    for number in sorted({rule.table for rule in rules}):
        lines.append(f"{table_name(number)} ({number})")
        held = sorted((rule for rule in rules if rule.table == number),
                      key=lambda rule: (-rule.priority, rule.match))
        lines += [f"  {rule_text(rule, purposes)}" for rule in held]
    groups = sorted((item for item in items.values() if isinstance(item, Group)),
                    key=lambda group: group.id)
    if groups:
        lines.append("groups")
        lines += [f"  {line}" for group in groups for line in group_text(group)]
    meters = sorted((item for item in items.values() if isinstance(item, Meter)),
                    key=lambda meter: meter.id)
    if meters:
        lines.append("meters")
        lines += [f"  {meter.id}: {meter.rate}/s, burst {meter.burst}" for meter in meters]
    return "\n".join(lines) + "\n"


def page(samples: Mapping[str, str]) -> str:
    """The pipeline page. `samples` are golden files, by name."""
    lines = [
        "# The pipeline", "",
        "Generated from `controller/pipeline/layout.py` by "
        "`python -m controller.pipeline.describe > docs/pipeline.md`; do not edit.", "",
        "A packet enters at the first table. A rule may send it only to tables further down that "
        "its table names. Where no rule matches, the table's miss says what happens.", "",
        "## Tables", "",
        "| stage | table | number | owner | enters | miss |", "|---|---|---|---|---|---|",
    ]
    for table in TABLES:
        lines.append(f"| {table.stage.name.lower()} | [{table.name}](#{table.name}) | {table.id} | "
                     f"{table.owner} | {', '.join(table.enters) or '-'} | {table.miss or 'drop'} |")
    for table in TABLES:
        lines += ["", *_section(table, samples)]
    lines += ["", "## Fields", "", "| field | where | live | holds |", "|---|---|---|---|"]
    for field in REGISTERS:
        assert field.live is not None
        first, last = (Stage(stage).name.lower() for stage in field.live)
        lines.append(f"| {field.name} | {_place(field)} | {first} to {last} | {field.purpose} |")
    lines += ["", "## Priorities", "", "| name | number |", "|---|---|"]
    lines += [f"| {rung.name.lower()} | {int(rung)} |" for rung in Priority]
    return "\n".join(lines) + "\n"


def _section(table: Table, samples: Mapping[str, str]) -> Iterator[str]:
    yield f"### {table.name}"
    yield ""
    yield table.purpose
    yield ""
    yield f"- matches: {', '.join(field.name for field in table.matches)}"
    if table.tenancy is not None:
        yield f"- every match names `{table.tenancy.name}`"
    if table.loads:
        yield f"- loads: {', '.join(field.name for field in table.loads)}"
    yield f"- sends out packets: {'yes' if table.outputs else 'no'}"
    found = list(_samples(table, samples))
    if found:
        yield ""
        yield "```"
        yield from found
        yield "```"


def _samples(table: Table, samples: Mapping[str, str]) -> Iterator[str]:
    """One rule of the table for each reason, from the golden files."""
    reasons: set[str] = set()
    for name in sorted(samples):
        inside = False
        for line in samples[name].splitlines():
            if not line.startswith("  "):
                inside = line == f"{table.name} ({table.id})"
            elif inside and "   # " in line:
                rule, reason = line.strip().rsplit("   # ", 1)
                if reason.rsplit(" (", 1)[0] not in reasons:
                    reasons.add(reason.rsplit(" (", 1)[0])
                    yield f"# {reason}"
                    yield rule


def _place(field: Field) -> str:
    if field.width == CARRIER_WIDTH[field.carrier]:
        return field.carrier
    return f"{field.carrier}[{field.offset}..{field.offset + field.width - 1}]"


def golden_files() -> dict[str, str]:
    """The golden files of this checkout, by name."""
    folder = Path(__file__).resolve().parents[2] / "tests" / "golden"
    return {path.stem: path.read_text() for path in sorted(folder.glob("*.txt"))}


if __name__ == "__main__":
    sys.stdout.write(page(golden_files()))
