"""Conversations with a switch: greet, dump, apply; each a generator that is fed messages.

Owns the order of what is asked and how answers end it. A talk yields when it waits and is sent
each message that answers one of its own; it ends with its outcome. It speaks through a `Voice`,
which numbers messages and sends them when the peer has room, so a plan of any size is encoded only
as fast as the switch takes it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from controller.pipeline.rule import Group, Installed, Item, Key, Meter, Rule
from controller.reconciliation.differ import Plan
from controller.southbound.openflow import items, wire
from controller.southbound.openflow.carriers import Unspeakable
from controller.southbound.openflow.messages import (
    Bundle, Description, Experimenter, Features, Hello, Message, Multipart, Port, Refusal,
    read_description, read_ports,
)

Talk = Generator[None, Message, Any]
BUNDLE = 1


class Violation(Exception):
    """The peer cannot be talked to any longer: the text says why, `farewell` is said to it."""

    def __init__(self, reason: str, farewell: bytes = b"") -> None:
        super().__init__(reason)
        self.farewell = farewell


class Voice(Protocol):
    """What a talk may do to the connection."""

    def reserve(self, count: int) -> int:
        """The first of `count` message numbers that nobody else uses."""

    def send(self, messages: Iterable[bytes]) -> None:
        """Send messages in order, drawing each one when there is room for it."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a switch said of itself; `watches` when it will report what others change."""

    features: Features
    description: Description
    ports: tuple[Port, ...]
    watches: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """The switch holds what the plan asked for."""

    plan: Plan


@dataclass(frozen=True, slots=True)
class Refused:
    """The switch refused `key` (None: all of it); of the plan it holds `took`, meters at most.

    Nothing of the bundle is in the switch. A refusal may mean that the switch holds something else
    than was thought: dump it before the next plan.
    """

    key: Key | None
    reason: str
    took: Plan


def message(body: items.Body, xid: int) -> bytes:
    """A whole message."""
    kind, data = body
    return wire.HEADER.pack(wire.VERSION, kind, 8 + len(data), xid) + data


def simple(kind: int, xid: int, data: bytes = b"") -> bytes:
    """A message of a type that has little to say."""
    return message((kind, data), xid)


def _multipart(kind: int, xid: int, data: bytes = b"") -> bytes:
    return simple(wire.MULTIPART_REQUEST, xid, kind.to_bytes(2, "big") + bytes(6) + data)


def _experimenter(experimenter: int, kind: int, xid: int, data: bytes = b"") -> bytes:
    return simple(wire.EXPERIMENTER, xid,
                  wire.EXPERIMENTER_HEADER.pack(experimenter, kind) + data)


HELLO = simple(wire.HELLO, 0, b"\x00\x01\x00\x08" + (1 << wire.VERSION).to_bytes(4, "big"))
_NAMES = {1: "1.0", 2: "1.1", 3: "1.2", 4: "1.3", 5: "1.4", 6: "1.5"}


def offer(hello: Hello) -> str | None:
    """Why a hello leaves no common version, or None if 1.3 is common (6.3.1)."""
    if hello.bitmap is not None:
        if hello.bitmap >> wire.VERSION & 1:
            return None
        offered = [_NAMES[number] for number in _NAMES if hello.bitmap >> number & 1]
    else:
        if hello.version >= wire.VERSION:
            return None
        offered = [_NAMES.get(hello.version, f"version {hello.version:#04x}")]
    known = ", ".join(offered) if offered else "of no known version"
    return f"switch offers OpenFlow {known} only: set protocols=OpenFlow13"


def greet(voice: Voice) -> Talk:
    """Agree on the version, learn who the switch is, subscribe to changes that others make."""
    said = yield
    if not isinstance(said, Hello):
        raise Violation("the first message is not a hello")
    objection = offer(said)
    if objection is not None:
        # HELLO_FAILED, INCOMPATIBLE, with a text (7.4.4.1).
        raise Violation(objection, simple(wire.ERROR, said.xid, bytes(4) + objection.encode()))
    first = voice.reserve(6)
    request = wire.EXPERIMENTER_HEADER.pack(wire.ONF, wire.ONF_FLOW_MONITOR)
    voice.send([
        simple(wire.FEATURES_REQUEST, first),
        _experimenter(wire.NICIRA, wire.NXT_TLV_TABLE_REQUEST, first + 1),
        _multipart(wire.MP_DESC, first + 2),
        _multipart(wire.MP_PORT_DESC, first + 3),
        _multipart(wire.MP_EXPERIMENTER, first + 4, request + items.encode_monitor(1)),
        simple(wire.BARRIER_REQUEST, first + 5),
    ])
    features: Features | None = None
    nicira = False
    description, ports, watches = Description(), [], True
    while True:
        said = yield
        match said:
            case Features():
                features = said
            case Experimenter(experimenter=wire.NICIRA, exp_type=wire.NXT_TLV_TABLE_REPLY):
                nicira = True
            case Multipart(kind=wire.MP_DESC):
                description = read_description(said.body)
            case Multipart(kind=wire.MP_PORT_DESC):
                ports += read_ports(said.body)
                if len(ports) > 1 << 16:
                    raise Violation("switch lists more ports than there can be")
            case Refusal() if said.xid == first + 4:
                watches = False
            case Message(type=wire.BARRIER_REPLY):
                break
    if features is None:
        raise Violation("switch does not tell its datapath id")
    if not nicira:
        raise Violation("switch has no Nicira extensions: Open vSwitch is needed")
    if features.auxiliary:
        raise Violation("an auxiliary connection is of no use here")
    return Greeting(features, description, tuple(ports), watches)


def dump(voice: Voice, most_bytes: int) -> Talk:
    """Everything that the switch holds, by key; Violation when it never ends."""
    first = voice.reserve(3)
    flows = bytes((wire.TABLE_ALL, 0, 0, 0)) + b"\xff" * 8 + bytes(20) + wire.EMPTY_MATCH
    voice.send([
        _multipart(wire.MP_METER_CONFIG, first, wire.METER_ALL.to_bytes(4, "big") + bytes(4)),
        _multipart(wire.MP_GROUP_DESC, first + 1),
        _multipart(wire.MP_FLOW, first + 2, flows),
    ])
    readers = {wire.MP_METER_CONFIG: items.decode_meters, wire.MP_GROUP_DESC: items.decode_groups,
               wire.MP_FLOW: items.FlowReader().read}
    kinds = {first: wire.MP_METER_CONFIG, first + 1: wire.MP_GROUP_DESC, first + 2: wire.MP_FLOW}
    held: dict[Key, Installed] = {}
    size = 0
    while kinds:
        said = yield
        kind = kinds.get(said.xid)
        if kind is None:
            continue
        if isinstance(said, Refusal):
            # A datapath without meters refuses to list them.
            if kind == wire.MP_FLOW:
                raise Violation(f"switch refuses to list its flows: {said.reason}")
            del kinds[said.xid]
        elif isinstance(said, Multipart) and said.kind == kind:
            size += len(said.body) + 16
            if size > most_bytes:
                raise Violation(f"dump is larger than {most_bytes} bytes")
            for item in readers[kind](said.body):
                held[item.key] = item
            if not said.more:
                del kinds[said.xid]
    return held


_ENVELOPE = wire.EXPERIMENTER_HEADER.pack(wire.ONF, wire.ONF_BUNDLE_ADD) \
    + wire.BUNDLE_ADD.pack(BUNDLE, wire.BUNDLE_ATOMIC_ORDERED)


def bundle_control(kind: int, xid: int) -> bytes:
    """Open, close, commit or discard our bundle."""
    return _experimenter(wire.ONF, wire.ONF_BUNDLE_CONTROL, xid, wire.BUNDLE_CONTROL.pack(
        BUNDLE, kind, wire.BUNDLE_ATOMIC_ORDERED))


def in_bundle(body: items.Body, xid: int) -> bytes:
    """A message on its way into our bundle; both headers carry the same number."""
    kind, data = body
    pack, size = wire.HEADER.pack, len(data)
    return b"".join((pack(wire.VERSION, wire.EXPERIMENTER, 32 + size, xid), _ENVELOPE,
                     pack(wire.VERSION, kind, 8 + size, xid), data))


def _key(step: Item | Key) -> Key:
    return step.key if isinstance(step, (Rule, Group, Meter)) else step


def _body(step: Item | Key, replaced: frozenset[Key]) -> items.Body:
    if isinstance(step, (Rule, Group, Meter)):
        return items.encode(step, step.key in replaced)
    return items.encode_delete(step)


def _took(steps: Iterable[Item | Key], plan: Plan) -> Plan:
    put: list[Item] = []
    delete: list[Key] = []
    for step in steps:
        if isinstance(step, (Rule, Group, Meter)):
            put.append(step)
        else:
            delete.append(step)
    return Plan(tuple(put), tuple(delete), plan.replaced & {item.key for item in put})


def apply(voice: Voice, plan: Plan) -> Talk:
    """Bring a plan into the switch: meters, then one atomic bundle, then meters that end.

    Meters do not go into bundles, and deleting one deletes the flows that use it.
    """
    before = [item for item in plan.put if isinstance(item, Meter)]
    after = [key for key in plan.delete if key[0] == "meter"]
    steps: list[Item | Key] = [item for item in plan.put if not isinstance(item, Meter)]
    steps += [key for key in plan.delete if key[0] != "meter"]
    took: list[Item | Key] = []
    for talk, part in ((_meters, before), (_bundle, steps), (_meters, after)):
        if part:
            refusals = yield from talk(voice, part, plan.replaced)
            refused = {key for key, _ in refusals}
            if talk is _meters:
                took += [step for step in part if _key(step) not in refused]
            if refusals:
                key, reason = refusals[0]
                if part is after:
                    took = [*before, *steps, *took[len(before):]]
                return Refused(key, reason, _took(took, plan))
    return Applied(plan)


def _meters(voice: Voice, steps: Sequence[Item | Key], replaced: frozenset[Key]) -> Talk:
    first = voice.reserve(len(steps) + 1)
    last = first + len(steps)
    refusals: list[tuple[Key | None, str]] = []

    def said() -> Iterator[bytes]:
        for number, step in enumerate(steps):
            try:
                yield message(_body(step, replaced), first + number)
            except Unspeakable as reason:
                refusals.append((_key(step), str(reason)))
        yield simple(wire.BARRIER_REQUEST, last)

    voice.send(said())
    while True:
        answer = yield
        if isinstance(answer, Refusal) and first <= answer.xid < last:
            refusals.append((_key(steps[answer.xid - first]), answer.reason))
        elif answer.xid == last:
            return refusals


def _until(xid: int, note: Callable[[Message], None]) -> Talk:
    """Wait for the answer to `xid`, noting all on the way."""
    while True:
        answer = yield
        note(answer)
        if answer.xid == xid:
            return answer


def _bundle(voice: Voice, steps: Sequence[Item | Key], replaced: frozenset[Key]) -> Talk:
    """All of `steps` or nothing (EXT-230); the refusals.

    The bundle is closed before it is committed: a message that cannot be read is refused when it
    is added, and Open vSwitch would commit the others all the same.
    """
    opening = voice.reserve(len(steps) + 4)
    closing = opening + 1 + len(steps)
    committing, discarding = closing + 1, closing + 2
    refusals: list[tuple[Key | None, str]] = []

    def said() -> Iterator[bytes]:
        yield bundle_control(wire.BUNDLE_OPEN, opening)
        for xid, step in enumerate(steps, start=opening + 1):
            try:
                yield in_bundle(_body(step, replaced), xid)
            except Unspeakable as reason:
                refusals.append((_key(step), str(reason)))
                break
        yield bundle_control(wire.BUNDLE_CLOSE, closing)

    def note(answer: Message) -> None:
        if isinstance(answer, Refusal) and opening <= answer.xid <= committing:
            step = answer.xid - opening - 1
            key = _key(steps[step]) if 0 <= step < len(steps) else None
            if key is not None or not refusals:
                refusals.append((key, answer.reason))

    voice.send(said())
    yield from _until(closing, note)
    if refusals:
        voice.send([bundle_control(wire.BUNDLE_DISCARD, discarding)])
        yield from _until(discarding, note)
        return refusals
    voice.send([bundle_control(wire.BUNDLE_COMMIT, committing)])
    answer = yield from _until(committing, note)
    if not refusals and not (isinstance(answer, Bundle)
                             and answer.kind == wire.BUNDLE_COMMIT + wire.BUNDLE_REPLY):
        raise Violation("switch answers a commit with something else")
    return refusals
