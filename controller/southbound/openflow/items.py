"""Items as messages: rules, groups and meters to bytes, and what a switch dumps back to items.

Owns flow mods, group mods, meter mods and packet-outs, and the entries of the three dumps. The one
idea: what Open vSwitch dumps compares equal to what was sent, and what it holds beyond that is a
`Foreign` with a key, so that it can be replaced or deleted exactly.

Messages are made without their xid: `Body` is (type, bytes), and the session adds the header.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Literal

from controller.pipeline.actions import Actions
from controller.pipeline.fields import Match
from controller.pipeline.rule import (
    Bucket, Foreign, Group, Installed, Item, Key, Meter, Rule,
)
from controller.southbound.openflow import wire
from controller.southbound.openflow.carriers import (
    Malformed, NotOurs, Unspeakable, decode_match, encode_match,
)
from controller.southbound.openflow.verbs import (
    decode_actions, decode_instructions, encode_actions, encode_instructions,
)

Body = tuple[int, bytes]
"""A message without its header: type and bytes."""

GROUP_MAX = 0xFFFFFF00
METER_MAX = 0xFFFF0000
_ENTRY = Struct("!H")
_FLOW = Struct("!HBxIIHHHHxxxxQQQ")
"""length, table, seconds, nanoseconds, priority, idle, hard, flags, cookie, packets, bytes."""
_GROUP = Struct("!HBxI")
_METER = Struct("!HHI")
_TYPE_NAMES: dict[int, Literal["all", "select", "indirect"]] = {
    0: "all", 1: "select", 2: "indirect"}


def _fitting(kind: int, body: bytes, what: object) -> Body:
    # 24 bytes more when it travels in a bundle, and the header of 8.
    if len(body) > wire.MAX_MESSAGE - 32:
        raise Unspeakable(f"{what} is larger than a message of OpenFlow")
    return kind, body


def encode(item: Item, replaces: bool = False) -> Body:
    """The message that makes a switch hold `item`; `replaces` says that its key is taken."""
    if type(item) is Rule:
        return encode_rule(item)
    if type(item) is Group:
        return encode_group(item)
    if type(item) is Meter:
        return encode_meter(item, wire.METER_MODIFY if replaces else wire.METER_ADD)
    raise Unspeakable(f"{item!r} is not an item")


def encode_rule(rule: Rule) -> Body:
    """A flow mod that adds a rule, in place of one with the same key if there is one."""
    if not 0 <= rule.table < wire.TABLE_ALL or not 0 <= rule.priority <= 0xFFFF:
        raise Unspeakable(f"table {rule.table}, priority {rule.priority}: no place in a switch")
    body = b"".join((
        wire.FLOW_MOD_BODY.pack(rule.cookie, 0, rule.table, wire.FLOW_ADD, 0, 0, rule.priority,
                                wire.NO_BUFFER, wire.PORT_ANY, wire.GROUP_ANY, 0),
        encode_match(rule.match), encode_instructions(rule.actions)))
    return _fitting(wire.FLOW_MOD, body, "rule")


def encode_group(group: Group) -> Body:
    """A group mod that adds a group, or replaces its buckets (Open vSwitch's ADD_OR_MOD)."""
    if not 0 <= group.id < GROUP_MAX:
        raise Unspeakable(f"{group.id:#x} is no id for a group")
    parts = [wire.GROUP_MOD_BODY.pack(wire.GROUP_ADD_OR_MODIFY, wire.GROUP_TYPES[group.type],
                                      group.id)]
    for bucket in group.buckets:
        actions = encode_actions(bucket.actions)
        if len(actions) > wire.MAX_MESSAGE - 16 or not 0 <= bucket.weight <= 0xFFFF:
            raise Unspeakable(f"group {group.id:#x} has a bucket beyond OpenFlow's limits")
        parts.append(wire.BUCKET.pack(16 + len(actions), bucket.weight, wire.PORT_ANY,
                                      wire.GROUP_ANY))
        parts.append(actions)
    return _fitting(wire.GROUP_MOD, b"".join(parts), f"group {group.id:#x}")


def encode_meter(meter: Meter, command: int) -> Body:
    """A meter mod with one band, which drops what is over."""
    if not 0 < meter.id <= METER_MAX:
        raise Unspeakable(f"{meter.id:#x} is no id for a meter")
    flags = wire.METER_PACKETS | (wire.METER_BURST if meter.burst else 0)
    return wire.METER_MOD, (wire.METER_MOD_BODY.pack(command, flags, meter.id)
                            + wire.BAND.pack(wire.BAND_DROP, 16, meter.rate, meter.burst))


def encode_delete(key: Key) -> Body:
    """The message that makes a switch forget exactly what `key` names, if it is there."""
    if key[0] == "group":
        return wire.GROUP_MOD, wire.GROUP_MOD_BODY.pack(wire.GROUP_DELETE, 0, key[1])
    if key[0] == "meter":
        return wire.METER_MOD, wire.METER_MOD_BODY.pack(wire.METER_DELETE, 0, key[1])
    table, priority, match = key  # type: ignore[misc]
    body = wire.FLOW_MOD_BODY.pack(0, 0, table, wire.FLOW_DELETE_STRICT, 0, 0, priority,
                                   wire.NO_BUFFER, wire.PORT_ANY, wire.GROUP_ANY, 0)
    return wire.FLOW_MOD, body + encode_match(match)


def encode_packet_out(actions: Actions, data: bytes, in_port: int) -> Body:
    """A packet-out: run `actions` on the frame `data` as if it had come in by `in_port`."""
    said = encode_actions(actions)
    body = wire.PACKET_OUT_BODY.pack(wire.NO_BUFFER, in_port, len(said)) + said + data
    return _fitting(wire.PACKET_OUT, body, "packet-out")


def entries(body: bytes, smallest: int) -> Iterator[tuple[int, int]]:
    """Start and end of each entry of a list whose entries begin with their length."""
    at, end = 0, len(body)
    while at < end:
        if at + smallest > end:
            raise Malformed("an entry is cut off")
        length = _ENTRY.unpack_from(body, at)[0]
        if length < smallest or at + length > end:
            raise Malformed("an entry has a wrong length")
        yield at, at + length
        at += length


class FlowReader:
    """Reads dumps of flows, remembering instructions that many flows have in common."""

    def __init__(self) -> None:
        self._instructions: dict[bytes, Actions] = {}

    def read(self, body: bytes) -> list[Installed]:
        """The flows of one multipart reply (7.3.5.2)."""
        return [self._flow(body, start, end) for start, end in entries(body, 56)]

    def _flow(self, body: bytes, start: int, end: int) -> Installed:
        _, table, _, _, priority, idle, hard, flags, cookie, _, _ = _FLOW.unpack_from(body, start)
        match, at = decode_match(body, start + 48, end)
        said = body[at:end]
        try:
            actions = self._instructions.get(said)
            if actions is None:
                actions = decode_instructions(said)
                if len(said) <= 256 and len(self._instructions) < 10_000:
                    self._instructions[said] = actions
            if idle or hard or flags:
                raise NotOurs("has a timeout or flags")
        except NotOurs as reason:
            return Foreign((table, priority, match), str(reason))
        rule = Rule(table, priority, match, actions, cookie)
        return Foreign(rule.key, "unknown match") if match and match[0][0] == "oxm" else rule


def decode_groups(body: bytes) -> list[Installed]:
    """The groups of one multipart reply (7.3.5.9)."""
    return [_group(body[start:end]) for start, end in entries(body, 8)]


def _group(data: bytes) -> Installed:
    _, kind, number = _GROUP.unpack_from(data)
    buckets = []
    strange = "" if kind in _TYPE_NAMES else f"group type {kind}"
    for start, end in entries(data[8:], 16):
        _, weight, port, group = wire.BUCKET.unpack_from(data, 8 + start)
        try:
            buckets.append(Bucket(decode_actions(data[8 + start + 16:8 + end]), weight))
        except NotOurs as reason:
            strange = str(reason)
        if port != wire.PORT_ANY or group != wire.GROUP_ANY:
            strange = "bucket that watches a port or group"
    if strange:
        return Foreign(("group", number), strange)
    return Group(number, _TYPE_NAMES[kind], tuple(buckets))


def decode_meters(body: bytes) -> list[Installed]:
    """The meters of one multipart reply (7.3.5.13)."""
    return [_meter(body[start:end]) for start, end in entries(body, 8)]


def _meter(data: bytes) -> Installed:
    _, flags, number = _METER.unpack_from(data)
    bands = []
    at = 8
    while at < len(data):
        if at + 16 > len(data):
            raise Malformed("a band is cut off")
        kind, length, rate, burst = wire.BAND.unpack_from(data, at)
        if length < 16 or at + length > len(data):
            raise Malformed("a band has a wrong length")
        bands.append((kind, rate, burst))
        at += length
    ours = flags & ~wire.METER_STATS & ~wire.METER_BURST == wire.METER_PACKETS
    if not ours or len(bands) != 1 or bands[0][0] != wire.BAND_DROP:
        return Foreign(("meter", number), "meter of another form")
    _, rate, burst = bands[0]
    return Meter(number, rate, burst if flags & wire.METER_BURST else 0)


def encode_monitor(number: int) -> bytes:
    """The request to be told of every change of a flow that others make (EXT-187)."""
    flags = wire.MONITOR_ADD | wire.MONITOR_DELETE | wire.MONITOR_MODIFY
    return wire.MONITOR_REQUEST.pack(number, flags, 4, wire.PORT_ANY, wire.TABLE_ALL) \
        + wire.EMPTY_MATCH


def decode_updates(body: bytes) -> list[Key]:
    """The flows that others changed, as one flow monitor reply tells."""
    keys: list[Key] = []
    for start, end in entries(body, 8):
        event = _ENTRY.unpack_from(body, start + 2)[0]
        if event == wire.UPDATE_ABBREVIATED:
            continue
        if event > wire.UPDATE_ABBREVIATED or end - start < wire.UPDATE.size + 8:
            raise Malformed("flow update is of no known form")
        _, _, _, priority, _, _, _, table, _ = wire.UPDATE.unpack_from(body, start)
        match: Match = decode_match(body, start + wire.UPDATE.size, end)[0]
        keys.append((table, priority, match))
    return keys
