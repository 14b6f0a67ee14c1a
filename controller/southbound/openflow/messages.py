"""Messages of a switch: frames, and what each message says.

Owns the reading of everything that comes in, except the entries of dumps (`items`). Every parser
is total: any bytes give a value or `Malformed`, in time that grows with their number only, because
each length is checked against what is left before it moves anything. The messages on which Ryu's
parsers loop for ever (its issues 188 to 196) are among the tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from struct import Struct, error as StructError

from controller.pipeline.fields import Match
from controller.southbound.openflow import errors, wire
from controller.southbound.openflow.carriers import Malformed, decode_match


@dataclass(frozen=True, slots=True)
class Message:
    """Any message; by itself, one of a type that the session has no use for."""

    type: int
    xid: int


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """The versions that the peer speaks, as a bitmap; None when it names only its highest."""

    version: int
    bitmap: int | None


@dataclass(frozen=True, slots=True)
class Refusal(Message):
    """An error of the switch about the message with the same xid."""

    kind: int
    code: int
    reason: str
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Echo(Message):
    """An echo request or reply."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Features(Message):
    """Who the switch is."""

    datapath_id: int
    tables: int
    auxiliary: int


@dataclass(frozen=True, slots=True)
class Multipart(Message):
    """One part of a reply; `more` says that another follows."""

    kind: int
    more: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class Experimenter(Message):
    """A message or a multipart reply of an experimenter that is known here."""

    experimenter: int
    exp_type: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Bundle(Message):
    """A reply about a bundle."""

    bundle: int
    kind: int


@dataclass(frozen=True, slots=True)
class PacketIn(Message):
    """A packet that a rule, or a miss, sent to the controller."""

    reason: int
    table: int
    cookie: int
    match: Match
    data: bytes


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the switch."""

    number: int
    address: int
    name: str
    config: int
    state: int


@dataclass(frozen=True, slots=True)
class PortStatus(Message):
    """A port came (0), went (1) or changed (2)."""

    reason: int
    port: Port


@dataclass(frozen=True, slots=True)
class FlowRemoved(Message):
    """A flow ended."""

    reason: int
    table: int
    priority: int
    cookie: int
    match: Match


@dataclass(frozen=True, slots=True)
class Description:
    """What the switch says it is made of."""

    manufacturer: str = ""
    hardware: str = ""
    software: str = ""
    serial: str = ""
    datapath: str = ""


_HELLO_ELEMENT = Struct("!HH")
_ERROR = Struct("!HH")
_EXPERIMENTER_ERROR = Struct("!HI")
_FEATURES = Struct("!QIBBxxII")
_MULTIPART = Struct("!HH4x")
_PACKET_IN = Struct("!IHBBQ")
_PORT = Struct("!I4x6s2x16sII24x")
_STATUS = Struct("!B7x")
_REMOVED = Struct("!QHBBIIHHQQ")
_PROPERTY = Struct("!HH")


def _hello(version: int, xid: int, body: bytes) -> Message:
    # 7.5.1: elements are padded to eight bytes, unknown ones are skipped.
    bitmap: int | None = None
    at = 0
    while at + 4 <= len(body):
        kind, length = _HELLO_ELEMENT.unpack_from(body, at)
        if length < 4 or at + length > len(body):
            raise Malformed("an element of the hello has a wrong length")
        if kind == 1 and length >= 8 and bitmap is None:
            bitmap = int.from_bytes(body[at + 4:at + 8], "big")
        at += (length + 7) // 8 * 8
    return Hello(wire.HELLO, xid, version, bitmap)


def _error(xid: int, body: bytes) -> Message:
    kind, code = _ERROR.unpack_from(body)
    if kind == 0xFFFF:
        code, experimenter = _EXPERIMENTER_ERROR.unpack_from(body, 2)
        return Refusal(wire.ERROR, xid, kind, code,
                       errors.experimenter_name(experimenter, code), body[8:])
    return Refusal(wire.ERROR, xid, kind, code, errors.name(kind, code), body[4:])


def _features(xid: int, body: bytes) -> Message:
    datapath_id, _, tables, auxiliary, _, _ = _FEATURES.unpack_from(body)
    return Features(wire.FEATURES_REPLY, xid, datapath_id, tables, auxiliary)


def _multipart(xid: int, body: bytes) -> Message:
    kind, flags = _MULTIPART.unpack_from(body)
    if kind == wire.MP_EXPERIMENTER:
        experimenter, exp_type = wire.EXPERIMENTER_HEADER.unpack_from(body, 8)
        return Experimenter(wire.MULTIPART_REPLY, xid, experimenter, exp_type, body[16:])
    return Multipart(wire.MULTIPART_REPLY, xid, kind, bool(flags & wire.MP_MORE), body[8:])


def _experimenter(xid: int, body: bytes) -> Message:
    experimenter, exp_type = wire.EXPERIMENTER_HEADER.unpack_from(body)
    if experimenter == wire.ONF and exp_type == wire.ONF_BUNDLE_CONTROL:
        bundle, kind, _ = wire.BUNDLE_CONTROL.unpack_from(body, 8)
        return Bundle(wire.EXPERIMENTER, xid, bundle, kind)
    if experimenter == wire.NICIRA and exp_type == wire.NXT_PACKET_IN2:
        return _packet_in2(xid, body[8:])
    return Experimenter(wire.EXPERIMENTER, xid, experimenter, exp_type, body[8:])


def _packet_in(xid: int, body: bytes) -> Message:
    _, _, reason, table, cookie = _PACKET_IN.unpack_from(body)
    match, after = decode_match(body, 16, len(body))
    return PacketIn(wire.PACKET_IN, xid, reason, table, cookie, match, body[after + 2:])


def _packet_in2(xid: int, body: bytes) -> Message:
    # nicira-ext.h, enum nx_packet_in2_prop_type: 0 packet, 3 table, 4 cookie, 5 reason.
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(body):
        kind, length = _PROPERTY.unpack_from(body, at)
        if length < 4 or at + length > len(body):
            raise Malformed("a property of a packet-in has a wrong length")
        found[kind] = body[at + 4:at + length]
        at += (length + 7) // 8 * 8
    return PacketIn(wire.PACKET_IN, xid, int.from_bytes(found.get(5, b"")[-1:], "big"),
                    int.from_bytes(found.get(3, b"")[:1], "big"),
                    int.from_bytes(found.get(4, b"")[-8:], "big"), (), found.get(0, b""))


def _text(raw: bytes) -> str:
    # What a peer says is shown in logs: nothing but plain printable characters.
    text = raw.split(b"\x00", 1)[0].decode("latin-1")
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


def _port(body: bytes, at: int) -> Port:
    number, address, name, config, state = _PORT.unpack_from(body, at)
    return Port(number, int.from_bytes(address, "big"), _text(name), config, state)


def _port_status(xid: int, body: bytes) -> Message:
    return PortStatus(wire.PORT_STATUS, xid, _STATUS.unpack_from(body)[0], _port(body, 8))


def _flow_removed(xid: int, body: bytes) -> Message:
    cookie, priority, reason, table, _, _, _, _, _, _ = _REMOVED.unpack_from(body)
    match, _ = decode_match(body, 40, len(body))
    return FlowRemoved(wire.FLOW_REMOVED, xid, reason, table, priority, cookie, match)


_READ: dict[int, Callable[[int, bytes], Message]] = {
    wire.ERROR: _error,
    wire.ECHO_REQUEST: lambda xid, body: Echo(wire.ECHO_REQUEST, xid, body),
    wire.ECHO_REPLY: lambda xid, body: Echo(wire.ECHO_REPLY, xid, body),
    wire.EXPERIMENTER: _experimenter,
    wire.FEATURES_REPLY: _features,
    wire.PACKET_IN: _packet_in,
    wire.FLOW_REMOVED: _flow_removed,
    wire.PORT_STATUS: _port_status,
    wire.MULTIPART_REPLY: _multipart,
}


def read(message: bytes) -> Message:
    """What a message of OpenFlow 1.3 (or a hello of any version) says; Malformed if it is none."""
    if len(message) < 8:
        raise Malformed("shorter than a header")
    version, kind, length, xid = wire.HEADER.unpack_from(message)
    if length != len(message):
        raise Malformed("length is not that of the message")
    body = message[8:]
    try:
        if kind == wire.HELLO:
            return _hello(version, xid, body)
        if version != wire.VERSION and kind != wire.ERROR:
            raise Malformed(f"a message of version {version:#04x}")
        reader = _READ.get(kind)
        return Message(kind, xid) if reader is None else reader(xid, body)
    except StructError:
        raise Malformed(f"message of type {kind} is cut off") from None


def read_ports(body: bytes) -> list[Port]:
    """The ports of one multipart reply (7.3.5.7)."""
    if len(body) % _PORT.size:
        raise Malformed("a port is cut off")
    return [_port(body, at) for at in range(0, len(body), _PORT.size)]


def read_description(body: bytes) -> Description:
    """The reply to a description request (7.3.5.1)."""
    if len(body) != 1056:
        raise Malformed("description has a wrong length")
    return Description(_text(body[:256]), _text(body[256:512]), _text(body[512:768]),
                       _text(body[768:800]), _text(body[800:]))


@dataclass(slots=True)
class Framer:
    """Cuts a stream into messages; a length that no message can have ends it (Malformed)."""

    _buffer: bytearray = field(default_factory=bytearray)
    _at: int = 0

    def feed(self, data: bytes) -> None:
        """Take bytes as they came."""
        if self._at:
            del self._buffer[:self._at]
            self._at = 0
        self._buffer += data

    def next(self) -> bytes | None:
        """The next whole message, or None until more bytes came."""
        buffer, at = self._buffer, self._at
        if len(buffer) - at < 8:
            return None
        length = buffer[at + 2] << 8 | buffer[at + 3]
        if length < 8:
            raise Malformed(f"a message says that it has {length} bytes")
        if len(buffer) - at < length:
            return None
        self._at = at + length
        return bytes(buffer[at:self._at])

    def __len__(self) -> int:
        return len(self._buffer) - self._at
