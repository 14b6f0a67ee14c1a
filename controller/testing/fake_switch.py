"""FakeSwitch: executes rules, groups and meters on packet values.

Owns the meaning of our switch language, as Open vSwitch means it (the differential test compares
them). Refuses what a real switch would accept in silence: two overlapping rules of one priority
that disagree, a rule against its table's contract, a plan that puts what is there or deletes what
is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import NamedTuple

from controller.pipeline.actions import (
    Action, Goto, Load, Move, Output, Police, Return, Subroutine, ToGroup,
)
from controller.pipeline.describe import (
    Purposes, actions_text, items_text, match_text, priority_text, table_name, why,
)
from controller.pipeline.fields import CARRIER_WIDTH
from controller.pipeline.layout import BY_ID, TABLES
from controller.pipeline.rule import Group, Item, Key, Meter, Rule
from controller.pipeline.table import objection
from controller.reconciliation.differ import Plan
from controller.testing.packets import CARRIERS, Frame

SEGMENT_MASK = {"vxlan": 0xFFFFFF, "geneve": 0xFFFFFF, "gre": 0xFFFFFFFF}


class SwitchError(Exception):
    """What a correct controller never causes."""


class Tunnel(NamedTuple):
    """What an encapsulated frame carries besides itself."""

    id: int
    destination: int
    source: int = 0


class Sent(NamedTuple):
    """A frame that leaves by a switch port; with a tunnel if the port is one."""

    port: int
    frame: Frame
    tunnel: Tunnel | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One table that a packet met; `rule` None: nothing matched. `depth` counts subroutines."""

    depth: int
    table: int
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Trace:
    """The way of one packet through one switch."""

    switch: str
    in_port: int
    frame: Frame
    tunnel: Tunnel | None
    steps: tuple[Step, ...]
    sent: tuple[Sent, ...]
    purposes: Purposes = field(default_factory=dict, compare=False)

    def __str__(self) -> str:
        lines = [f"{self.switch}: {self.frame} from port {self.in_port}{_via(self.tunnel)}"]
        for step in self.steps:
            head = f"{'    ' * step.depth}{step.table:>3}. {table_name(step.table)}: "
            if step.rule is None:
                lines.append(f"{head}no match, drop")
                continue
            lines.append(f"{head}{match_text(step.rule.match)}, "
                         f"{priority_text(step.rule.priority)}, cookie {step.rule.cookie:#x}")
            lines.append(f"{'    ' * step.depth}     # {why(step.rule.cookie, self.purposes)}")
            lines.append(f"{'    ' * step.depth}     {actions_text(step.rule.actions)}")
        lines += [f"  => port {sent.port}: {sent.frame}{_via(sent.tunnel)}" for sent in self.sent]
        return "\n".join(lines if self.sent else [*lines, "  => dropped"])


def _via(tunnel: Tunnel | None) -> str:
    if tunnel is None:
        return ""
    return (f" in tunnel {IPv4Address(tunnel.source)} > {IPv4Address(tunnel.destination)}"
            f" segment {tunnel.id}")


Masks = tuple[tuple[str, int], ...]


class _Table:
    """Rules by priority and mask, then by value: a look-up costs the number of masks."""

    def __init__(self) -> None:
        self.shapes: dict[tuple[int, Masks], dict[tuple[int, ...], Rule]] = {}

    @staticmethod
    def _place(rule: Rule) -> tuple[tuple[int, Masks], tuple[int, ...]]:
        return ((rule.priority, tuple((carrier, mask) for carrier, _, mask in rule.match)),
                tuple(value for _, value, _ in rule.match))

    def put(self, rule: Rule) -> None:
        shape, values = self._place(rule)
        self.shapes.setdefault(shape, {})[values] = rule

    def delete(self, rule: Rule) -> None:
        shape, values = self._place(rule)
        del self.shapes[shape][values]
        if not self.shapes[shape]:
            del self.shapes[shape]

    def look_up(self, packet: Mapping[str, int]) -> Rule | None:
        found: Rule | None = None
        clash: Rule | None = None
        for (priority, masks), rules in self.shapes.items():
            if found is not None and priority < found.priority:
                continue
            if any(carrier not in packet for carrier, _ in masks):
                continue
            rule = rules.get(tuple(packet[carrier] & mask for carrier, mask in masks))
            if rule is None:
                continue
            if found is None or priority > found.priority:
                found, clash = rule, None
            elif found.actions != rule.actions:
                clash = rule
        if found is not None and clash is not None:
            raise SwitchError(f"{table_name(found.table)}: a packet meets two rules of one "
                              f"priority: {match_text(found.match)} and "
                              f"{match_text(clash.match)}")
        return found


class FakeSwitch:
    """A switch. `tunnels` maps the OpenFlow numbers of its tunnel ports to their types."""

    def __init__(self, name: str = "switch", tunnels: Mapping[int, str] | None = None,
                 purposes: Purposes | None = None) -> None:
        self.name = name
        self.tunnels = dict(tunnels or {})
        self.purposes: Purposes = purposes or {}
        self.items: dict[Key, Item] = {}
        self.messages = 0
        self._tables = {table.id: _Table() for table in TABLES}

    def apply(self, plan: Plan, steps: int | None = None) -> None:
        """Do what the plan says, or only its first `steps` messages, as when the line breaks."""
        for count, step in enumerate((*plan.put, *plan.delete)):
            if steps is not None and count >= steps:
                return
            self.messages += 1
            if isinstance(step, (Rule, Group, Meter)):
                if (step.key in self.items) != (step.key in plan.replaced):
                    verb = "replaces nothing" if step.key in plan.replaced else "is there already"
                    raise SwitchError(f"{self.name}: {step} {verb}")
                self.put(step)
            else:
                self.delete(step)

    def put(self, item: Item, *, by_hand: bool = False) -> None:
        """Add or replace one item; SwitchError where a switch would refuse it or, unless somebody
        does it by hand, the layout."""
        lists = item.buckets if isinstance(item, Group) else (item,)
        for actions in (part.actions for part in lists if not isinstance(part, Meter)):
            for reference in _references(actions):
                if reference not in self.items:
                    raise SwitchError(f"{self.name}: {item} names {reference}, which is not there")
        if isinstance(item, Rule):
            refused = objection(item, BY_ID)
            if refused is not None and not by_hand:
                raise SwitchError(f"{self.name}: {refused}")
            if item.key in self.items:
                self.delete(item.key)
            self._tables[item.table].put(item)
        self.items[item.key] = item

    def delete(self, key: Key) -> None:
        """Remove one item; SwitchError if it is not there, or if rules still need it."""
        item = self.items.get(key)
        if item is None:
            raise SwitchError(f"{self.name}: {key} is not there to delete")
        if isinstance(item, Rule):
            self._tables[item.table].delete(item)
        else:
            for other in self.items.values():
                if isinstance(other, Rule) and key in _references(other.actions):
                    raise SwitchError(f"{self.name}: {key} is deleted but {other} needs it")
        del self.items[key]

    def delete_by_hand(self, key: Key) -> None:
        """As somebody's `ovs-ofctl` does it: a group takes the rules that use it with it."""
        for other in list(self.items.values()):
            if isinstance(other, Rule) and key in _references(other.actions):
                self.delete(other.key)
        self.delete(key)

    def trace(self, in_port: int, frame: Frame, tunnel: Tunnel | None = None) -> Trace:
        """Send one frame through; nothing in the switch changes."""
        run = _Run(self, in_port, frame, tunnel)
        run.table(TABLES[0].id, 0)
        return Trace(self.name, in_port, frame, tunnel, tuple(run.steps), tuple(run.sent),
                     self.purposes)

    def look_up(self, table: int, packet: Mapping[str, int]) -> Rule | None:
        """The rule that a packet meets in a table."""
        return self._tables[table].look_up(packet)

    def __str__(self) -> str:
        return items_text(self.items, self.purposes)


def _references(actions: Iterable[Action]) -> Iterator[Key]:
    for action in actions:
        if isinstance(action, ToGroup):
            yield ("group", action.group)
        elif isinstance(action, Police):
            yield ("meter", action.meter)


class _Run:
    """One packet on its way: `packet` holds the carriers as they are now."""

    def __init__(self, switch: FakeSwitch, in_port: int, frame: Frame,
                 tunnel: Tunnel | None) -> None:
        self.switch = switch
        self.in_port = in_port
        self.frame = frame
        self.packet = {carrier: 0 for carrier in CARRIER_WIDTH if carrier not in CARRIERS}
        self.packet |= frame.headers
        self.packet["in_port"] = in_port
        if tunnel is not None:
            self.packet |= {"tun_id": tunnel.id, "tun_src": tunnel.source,
                            "tun_dst": tunnel.destination}
        self.steps: list[Step] = []
        self.sent: list[Sent] = []

    def table(self, number: int, depth: int) -> None:
        rule = self.switch.look_up(number, self.packet)
        self.steps.append(Step(depth, number, rule))
        if rule is not None:
            self.actions(rule.actions, depth)

    def actions(self, actions: Iterable[Action], depth: int) -> None:
        for action in actions:
            match action:
                case Load(carrier, offset, width, value):
                    self._write(carrier, offset, width, value)
                case Move(source, source_offset, target, target_offset, width):
                    value = self._read(source) >> source_offset & (1 << width) - 1
                    self._write(target, target_offset, width, value)
                case Output(port):
                    if port != self.in_port:
                        self._send(port)
                case Return():
                    self._send(self.in_port)
                case ToGroup(group):
                    self._group(group, depth)
                case Subroutine(table):
                    self.table(table, depth + 1)
                case Goto(table):
                    self.table(table, depth)
                case Police():
                    pass

    def _group(self, number: int, depth: int) -> None:
        group = self.switch.items["group", number]
        assert isinstance(group, Group)
        chosen = group.buckets if group.type == "all" else group.buckets[:1]
        for bucket in chosen:
            before = dict(self.packet)
            self.actions(bucket.actions, depth)
            self.packet = before

    def _read(self, carrier: str) -> int:
        if carrier not in self.packet:
            raise SwitchError(f"{self.switch.name}: {self.frame} has no {carrier}")
        return self.packet[carrier]

    def _write(self, carrier: str, offset: int, width: int, value: int) -> None:
        mask = ((1 << width) - 1) << offset
        self.packet[carrier] = self._read(carrier) & ~mask | value << offset

    def _send(self, port: int) -> None:
        tunnel = None
        if port in self.switch.tunnels:
            if not self.packet["tun_dst"]:
                raise SwitchError(f"{self.switch.name}: into a tunnel without a destination")
            segment = self.packet["tun_id"] & SEGMENT_MASK[self.switch.tunnels[port]]
            tunnel = Tunnel(segment, self.packet["tun_dst"])
        self.sent.append(Sent(port, self.frame.with_headers(self.packet), tunnel))
