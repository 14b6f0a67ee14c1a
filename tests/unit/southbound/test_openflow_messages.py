"""Reading a switch's messages: every parser is total, and each says what was sent."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.southbound.openflow import items, wire
from controller.southbound.openflow.carriers import Malformed
from controller.southbound.openflow.messages import (
    Bundle, Echo, Experimenter, Features, FlowRemoved, Framer, Hello, Message, Multipart, PacketIn,
    PortStatus, Refusal, read, read_description, read_ports,
)


def framed(kind: int, body: bytes, xid: int = 5, version: int = 4) -> bytes:
    """A message with its header."""
    return pack("!BBHI", version, kind, 8 + len(body), xid) + body


def zero_length_messages() -> dict[str, bytes]:
    """The kinds of messages on which Ryu's parsers never end, by the number of its issue."""
    match = wire.EMPTY_MATCH
    flow_mod = bytes(40) + match
    part = pack("!HH4x", wire.MP_FLOW, 0)
    flow = pack("!HBxIIHHHHxxxxQQQ", 64, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + match
    groups = pack("!HH4x", wire.MP_GROUP_DESC, 0)
    return {
        "188 flow mod, instruction": framed(14, flow_mod + pack("!HH4x", 4, 0)),
        "189 flow mod, action": framed(14, flow_mod + pack("!HH4x", 4, 16) + bytes(8)),
        "190 queue property": framed(23, pack("!I4x", 1) + pack("!IIH6x", 1, 1, 24) + bytes(8)),
        "191 multipart, entry": framed(19, part + bytes(56)),
        "192 flow, instruction": framed(19, part + flow + pack("!HH4x", 4, 0)),
        "193 bucket": framed(19, groups + pack("!HBxI", 24, 0, 1) + bytes(16)),
        "194 bucket, action": framed(
            19, groups + pack("!HBxI", 32, 0, 1) + pack("!HHII4x", 24, 0, 0, 0) + bytes(8)),
        "195 hello, element": framed(0, pack("!HH", 1, 0) + bytes(4)),
        "196 table feature, property": framed(
            19, pack("!HH4x", 12, 0) + pack("!HB61x", 72, 0) + bytes(8)),
    }


def read_all(data: bytes) -> None:
    """Read a message with all that is in it, whatever it is."""
    message = read(data)
    if isinstance(message, Multipart):
        readers = {wire.MP_FLOW: items.FlowReader().read, wire.MP_GROUP_DESC: items.decode_groups,
                   wire.MP_METER_CONFIG: items.decode_meters, wire.MP_PORT_DESC: read_ports,
                   wire.MP_DESC: read_description}
        if message.kind in readers:
            readers[message.kind](message.body)
    elif isinstance(message, Experimenter) and message.exp_type == wire.ONF_FLOW_MONITOR:
        items.decode_updates(message.body)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("data", zero_length_messages().values(), ids=zero_length_messages())
def test_zero_lengths_end(data: bytes) -> None:
    try:
        read_all(data)
    except Malformed:
        return
    # These types have no meaning from a switch and are not looked into.
    assert type(read(data)) in (Message, Multipart)
    assert data[1] in (14, 23) or data[8:10] == b"\x00\x0c"


def update(event: int, length: int, rest: bytes) -> bytes:
    """An entry of a flow monitor's reply."""
    return pack("!HH", length, event) + rest


SAMPLES: dict[str, tuple[bytes, type]] = {
    "hello": (framed(0, pack("!HHI", 1, 8, 0x12)), Hello),
    "error": (framed(1, pack("!HH", 5, 1) + b"abc"), Refusal),
    "experimenter error": (framed(1, pack("!HHI", 0xFFFF, 2313, wire.ONF) + b"x"), Refusal),
    "echo request": (framed(2, b"hello"), Echo),
    "echo reply": (framed(3, b""), Echo),
    "features": (framed(6, pack("!QIBBxxII", 0xAA, 0, 254, 0, 0x4F, 0)), Features),
    "barrier": (framed(21, b""), Message),
    "flows": (framed(19, pack("!HH4x", 1, 1)), Multipart),
    "monitor": (framed(19, pack("!HH4xII", 0xFFFF, 0, wire.ONF, 1870)
                       + update(3, 8, pack("!I", 7))), Experimenter),
    "bundle": (framed(4, pack("!IIIHH", wire.ONF, 2300, 1, 5, 3)), Bundle),
    "packet-in": (framed(10, pack("!IHBBQ", 0xFFFFFFFF, 3, 1, 7, 99) + wire.EMPTY_MATCH
                         + b"\x00\x00frame"), PacketIn),
    "packet-in 2": (framed(4, pack("!II", wire.NICIRA, 30) + pack("!HH", 0, 9) + b"frame"
                           + bytes(7) + pack("!HHB3x", 3, 5, 7)), PacketIn),
    "port status": (framed(12, pack("!B7x", 1) + pack("!I4x6s2x16sII24x", 3, b"\x02" + bytes(5),
                                                      b"eth0", 0, 1)), PortStatus),
    "flow removed": (framed(11, pack("!QHBBIIHHQQ", 5, 6, 2, 7, 0, 0, 0, 0, 0, 0)
                            + wire.EMPTY_MATCH), FlowRemoved),
}


@pytest.mark.parametrize(("data", "kind"), SAMPLES.values(), ids=SAMPLES)
def test_each_message_is_known(data: bytes, kind: type) -> None:
    assert type(read(data)) is kind
    read_all(data)


def test_messages_say_what_was_sent() -> None:
    assert read(SAMPLES["hello"][0]) == Hello(0, 5, 4, 0x12)
    assert read(SAMPLES["error"][0]) == Refusal(1, 5, 5, 1, "FLOW_MOD_FAILED/TABLE_FULL", b"abc")
    experimenter = read(SAMPLES["experimenter error"][0])
    assert isinstance(experimenter, Refusal)
    assert experimenter.reason == "BUNDLE_FAILED/MSG_FAILED"
    assert read(SAMPLES["features"][0]) == Features(6, 5, 0xAA, 254, 0)
    assert read(SAMPLES["bundle"][0]) == Bundle(4, 5, 1, 5)
    assert read(SAMPLES["packet-in"][0]) == PacketIn(10, 5, 1, 7, 99, (), b"frame")
    status = read(SAMPLES["port status"][0])
    assert isinstance(status, PortStatus)
    assert (status.reason, status.port.number, status.port.name) == (1, 3, "eth0")


def test_names_from_a_peer_are_plain() -> None:
    port = pack("!I4x6s2x16sII24x", 3, bytes(6), b"a\x1b[31m\xff\n", 0, 0)
    assert read_ports(port)[0].name == "a?[31m??"


@pytest.mark.parametrize("data", [
    b"", b"\x04\x00\x00", framed(1, b"\x00"), framed(6, bytes(23)), framed(19, b""),
    framed(19, pack("!HH4x", 0xFFFF, 0)), framed(12, bytes(20)), framed(2, b"", version=1),
    framed(10, bytes(16) + pack("!HH", 1, 600)), framed(10, bytes(16) + pack("!HH", 0, 4)),
    pack("!BBHI", 4, 2, 9, 0),
])
def test_a_cut_message_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        read(data)


kinds = st.sampled_from((0, 1, 2, 3, 4, 6, 10, 11, 12, 19, 21, 255))


@given(kinds, st.binary(max_size=200))
def test_reading_is_total(kind: int, body: bytes) -> None:
    try:
        read_all(framed(kind, body))
    except Malformed:
        pass


@given(st.sampled_from(sorted(SAMPLES)), st.data())
def test_reading_damaged_messages_is_total(name: str, data: st.DataObject) -> None:
    message = bytearray(SAMPLES[name][0])
    for _ in range(data.draw(st.integers(1, 4))):
        message[data.draw(st.integers(4, len(message) - 1))] = data.draw(st.integers(0, 255))
    try:
        read_all(bytes(message))
    except Malformed:
        pass


@given(st.lists(st.sampled_from(sorted(SAMPLES)), max_size=6), st.data())
def test_frames_come_whole_however_they_are_cut(names: list[str], data: st.DataObject) -> None:
    stream = b"".join(SAMPLES[name][0] for name in names)
    framer, seen = Framer(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        framer.feed(stream[:size])
        stream = stream[size:]
        while (message := framer.next()) is not None:
            seen.append(message)
    assert seen == [SAMPLES[name][0] for name in names]
    assert not framer


@pytest.mark.parametrize("length", range(8))
def test_a_frame_cannot_be_shorter_than_its_header(length: int) -> None:
    framer = Framer()
    framer.feed(pack("!BBHI", 4, 2, length, 0))
    with pytest.raises(Malformed):
        framer.next()
