"""Actions and instructions: the pipeline's verbs as bytes and back.

Owns how each action is said. The one idea: a verb is one entry in `_SAY` and one in `_HEAR`, and
what was said is heard as exactly the same value. Everything else a switch may do is `NotOurs`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct

from controller.pipeline.actions import (
    Action, Actions, Goto, Load, Move, Output, Police, Return, Subroutine, ToGroup,
)
from controller.southbound.openflow import wire
from controller.southbound.openflow.carriers import (
    BY_SET_FIELD, BY_TARGET, CARRIERS, Carrier, Malformed, NotOurs, Unspeakable, pad,
)

_HEADER = Struct("!HH")
_OUTPUT = Struct("!HHIH6x")
_GROUP = Struct("!HHI")
_NICIRA = Struct("!HHIH")
_REG_LOAD = Struct("!HHIHHIQ")
_REG_MOVE = Struct("!HHIHHHHII")
_RESUBMIT = Struct("!HHIHHB3x")
_GOTO = Struct("!HHB3x")
_METER = Struct("!HHI")
_APPLY = Struct("!HH4x")

_RETURN = _OUTPUT.pack(wire.ACTION_OUTPUT, 16, wire.PORT_IN_PORT, 0)


def _place(name: str, offset: int, width: int) -> Carrier:
    carrier = CARRIERS.get(name)
    if carrier is None or width < 1 or offset < 0 or offset + width > carrier.width:
        raise Unspeakable(f"{name}[{offset}+{width}] is no place in a packet")
    return carrier


def _load(action: Load) -> bytes:
    carrier = _place(action.carrier, action.offset, action.width)
    value = action.value
    if value < 0 or value >> action.width:
        raise Unspeakable(f"{value:#x} does not fit {action.width} bits of {action.carrier}")
    if action.width == carrier.width and not carrier.register:
        length = 8 + carrier.size
        padding = pad(length)
        return b"".join((_HEADER.pack(wire.ACTION_SET_FIELD, length + len(padding)),
                         carrier.exact, value.to_bytes(carrier.size, "big"), padding))
    return _REG_LOAD.pack(wire.ACTION_EXPERIMENTER, 24, wire.NICIRA, wire.NXAST_REG_LOAD,
                          action.offset << 6 | action.width - 1, carrier.target, value)


def _move(action: Move) -> bytes:
    source = _place(action.source, action.source_offset, action.width)
    target = _place(action.target, action.target_offset, action.width)
    return _REG_MOVE.pack(wire.ACTION_EXPERIMENTER, 24, wire.NICIRA, wire.NXAST_REG_MOVE,
                          action.width, action.source_offset, action.target_offset,
                          source.target, target.target)


def _output(action: Output) -> bytes:
    if not 0 < action.port <= 0xFFFFFFFF or action.port == wire.PORT_IN_PORT:
        raise Unspeakable(f"{action.port:#x} is no port to put a packet out of")
    return _OUTPUT.pack(wire.ACTION_OUTPUT, 16, action.port, 0)


def _to_group(action: ToGroup) -> bytes:
    return _GROUP.pack(wire.ACTION_GROUP, 8, action.group)


def _subroutine(action: Subroutine) -> bytes:
    if not 0 <= action.table < wire.TABLE_ALL:
        raise Unspeakable(f"{action.table} is not a table")
    return _RESUBMIT.pack(wire.ACTION_EXPERIMENTER, 16, wire.NICIRA, wire.NXAST_RESUBMIT_TABLE,
                          wire.NX_IN_PORT, action.table)


def _return(_action: Return) -> bytes:
    return _RETURN


_SAY: dict[type, Callable[..., bytes]] = {
    Load: _load, Move: _move, Output: _output, Return: _return, ToGroup: _to_group,
    Subroutine: _subroutine,
}


def encode_actions(actions: Actions) -> bytes:
    """A list of actions, as in a bucket or a packet-out; no goto and no police."""
    parts = []
    for action in actions:
        say = _SAY.get(type(action))
        if say is None:
            raise Unspeakable(f"{type(action).__name__} is not possible here")
        parts.append(say(action))
    return b"".join(parts)


def encode_instructions(actions: Actions) -> bytes:
    """A rule's actions as instructions: meter, apply-actions, goto (7.2.4: run in that order)."""
    parts = [b""]
    first, last = 0, len(actions)
    if last and type(actions[0]) is Police:
        parts.append(_METER.pack(wire.INSTRUCTION_METER, 8, actions[0].meter))
        first = 1
    goto = actions[-1] if last > first and type(actions[-1]) is Goto else None
    if goto is not None:
        last -= 1
    if last > first:
        applied = encode_actions(actions[first:last])
        parts.append(_APPLY.pack(wire.INSTRUCTION_APPLY, 8 + len(applied)))
        parts.append(applied)
    if goto is not None:
        if not 0 <= goto.table < wire.TABLE_ALL:
            raise Unspeakable(f"{goto.table} is not a table")
        parts.append(_GOTO.pack(wire.INSTRUCTION_GOTO, 8, goto.table))
    return b"".join(parts)


def _hear_output(data: bytes) -> Action:
    if len(data) != 16:
        raise Malformed("output action has a wrong length")
    _, _, port, max_length = _OUTPUT.unpack(data)
    if port == wire.PORT_IN_PORT:
        return Return()
    if port == wire.PORT_CONTROLLER and max_length:
        raise NotOurs("output to a controller")
    return Output(port)


def _hear_group(data: bytes) -> Action:
    if len(data) != 8:
        raise Malformed("group action has a wrong length")
    return ToGroup(_GROUP.unpack(data)[2])


def _hear_set_field(data: bytes) -> Action:
    if len(data) < 9:
        raise Malformed("set-field is cut off")
    carrier = BY_SET_FIELD.get(data[4:8])
    if carrier is None or carrier.register:
        raise NotOurs("set-field of an unknown field")
    end = 8 + carrier.size
    if len(data) != end + -end % 8:
        raise Malformed("set-field has a wrong length")
    value = int.from_bytes(data[8:end], "big")
    if value > carrier.full:
        raise NotOurs("set-field of more bits than the field has")
    return Load(carrier.name, 0, carrier.width, value)


def _hear_nicira(data: bytes) -> Action:
    if len(data) < 16:
        raise Malformed("experimenter action is cut off")
    _, _, experimenter, subtype = _NICIRA.unpack_from(data)
    hear = _HEAR_NICIRA.get(subtype)
    if experimenter != wire.NICIRA or hear is None:
        raise NotOurs("unknown experimenter action")
    return hear(data)


def _known(header: int) -> Carrier:
    carrier = BY_TARGET.get(header)
    if carrier is None:
        raise NotOurs("action on an unknown field")
    return carrier


def _hear_load(data: bytes) -> Action:
    if len(data) != 24:
        raise Malformed("load has a wrong length")
    _, _, _, _, bits, header, value = _REG_LOAD.unpack(data)
    carrier = _known(header)
    offset, width = bits >> 6, (bits & 0x3F) + 1
    whole = width == carrier.width and not carrier.register
    if offset + width > carrier.width or value >> width or whole:
        raise NotOurs("load in a form that is not ours")
    return Load(carrier.name, offset, width, value)


def _hear_move(data: bytes) -> Action:
    if len(data) != 24:
        raise Malformed("move has a wrong length")
    _, _, _, _, width, source_offset, target_offset, source, target = _REG_MOVE.unpack(data)
    from_, to = _known(source), _known(target)
    if not width or source_offset + width > from_.width or target_offset + width > to.width:
        raise NotOurs("move in a form that is not ours")
    return Move(from_.name, source_offset, to.name, target_offset, width)


def _hear_resubmit(data: bytes) -> Action:
    if len(data) != 16:
        raise Malformed("resubmit has a wrong length")
    _, _, _, _, in_port, table = _RESUBMIT.unpack(data)
    if in_port != wire.NX_IN_PORT or table == wire.TABLE_ALL:
        raise NotOurs("resubmit in a form that is not ours")
    return Subroutine(table)


_HEAR: dict[int, Callable[[bytes], Action]] = {
    wire.ACTION_OUTPUT: _hear_output, wire.ACTION_GROUP: _hear_group,
    wire.ACTION_SET_FIELD: _hear_set_field, wire.ACTION_EXPERIMENTER: _hear_nicira,
}
_HEAR_NICIRA: dict[int, Callable[[bytes], Action]] = {
    wire.NXAST_REG_LOAD: _hear_load, wire.NXAST_REG_MOVE: _hear_move,
    wire.NXAST_RESUBMIT_TABLE: _hear_resubmit,
}


@lru_cache(maxsize=1 << 14)
def _hear(data: bytes) -> Action:
    """One action; remembered, since a switch holds few different ones many times."""
    hear = _HEAR.get(data[0] << 8 | data[1])
    if hear is None:
        raise NotOurs(f"action {data[0] << 8 | data[1]}")
    return hear(data)


def decode_actions(data: bytes) -> Actions:
    """A list of actions; Malformed if it is none, NotOurs if it says what the pipeline cannot."""
    actions = []
    strange: NotOurs | None = None
    at, end = 0, len(data)
    while at < end:
        if at + 8 > end:
            raise Malformed("an action is cut off")
        length = data[at + 2] << 8 | data[at + 3]
        if length < 8 or length % 8 or at + length > end:
            raise Malformed("an action has a wrong length")
        try:
            actions.append(_hear(data[at:at + length]))
        except NotOurs as reason:
            strange = strange or reason
        at += length
    if strange is not None:
        raise strange
    return tuple(actions)


def decode_instructions(data: bytes) -> Actions:
    """A rule's instructions as actions; Malformed or NotOurs as `decode_actions`."""
    meter: Actions = ()
    applied: Actions = ()
    goto: Actions = ()
    strange: NotOurs | None = None
    at, end, seen = 0, len(data), 0
    while at < end:
        if at + 8 > end:
            raise Malformed("an instruction is cut off")
        kind, length = _HEADER.unpack_from(data, at)
        if length < 8 or length % 8 or at + length > end:
            raise Malformed("an instruction has a wrong length")
        body = data[at:at + length]
        at += length
        if kind < 64:
            if seen >> kind & 1:
                raise Malformed("an instruction stands twice")
            seen |= 1 << kind
        try:
            if kind == wire.INSTRUCTION_APPLY:
                applied = decode_actions(body[8:])
            elif kind == wire.INSTRUCTION_GOTO and length == 8:
                goto = (Goto(body[4]),)
            elif kind == wire.INSTRUCTION_METER and length == 8:
                meter = (Police(_METER.unpack(body)[2]),)
            else:
                raise NotOurs(f"instruction {kind}")
        except NotOurs as reason:
            strange = strange or reason
    if strange is not None:
        raise strange
    return meter + applied + goto
