"""The codec: what was said is heard as the same value; what cannot be said is refused."""

from __future__ import annotations

from struct import Struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.pipeline.actions import (
    Actions, Goto, Load, Move, Output, Police, Return, Subroutine, ToGroup,
)
from controller.pipeline.fields import CARRIER_WIDTH
from controller.pipeline.rule import Bucket, Foreign, Group, Meter, Rule
from controller.southbound.openflow import items, wire
from controller.southbound.openflow.carriers import (
    CARRIERS, Malformed, Unspeakable, decode_match, encode_match,
)
from tests import pipeline_items as our

FLOW = Struct("!HBxIIHHHHxxxxQQQ")


def as_flow_entry(body: bytes, idle: int = 0, flags: int = 0) -> bytes:
    """A flow mod's body as the entry by which a switch would list that flow."""
    cookie, _, table, _, _, _, priority, _, _, _, _ = wire.FLOW_MOD_BODY.unpack_from(body)
    rest = body[wire.FLOW_MOD_BODY.size:]
    return FLOW.pack(48 + len(rest), table, 1, 2, priority, idle, 0, flags, cookie, 3, 4) + rest


def as_group_entry(body: bytes) -> bytes:
    """A group mod's body as the entry of a group description."""
    return (len(body)).to_bytes(2, "big") + body[2:]


def as_meter_entry(body: bytes) -> bytes:
    """A meter mod's body as the entry of a meter configuration."""
    return (len(body)).to_bytes(2, "big") + body[2:]


def read_flow(entry: bytes) -> object:
    """The one flow of a dump."""
    return items.FlowReader().read(entry)[0]


@given(our.rules)
def test_rule_survives(rule: Rule) -> None:
    kind, body = items.encode(rule)
    assert kind == wire.FLOW_MOD
    assert read_flow(as_flow_entry(body)) == rule


@pytest.mark.parametrize("name", sorted(CARRIER_WIDTH))
def test_every_carrier_survives(name: str) -> None:
    full = (1 << CARRIER_WIDTH[name]) - 1
    masks = {full} if name in our.UNMASKABLE else {full, 1, full >> 1, full ^ 1}
    for mask in masks:
        for value in (0, mask, mask & 0x5555555555555555):
            match = ((name, value, mask),)
            data = encode_match(match)
            assert len(data) % 8 == 0
            assert decode_match(data, 0, len(data)) == (match, len(data))


def test_the_table_of_carriers_is_complete() -> None:
    assert set(CARRIERS) == set(CARRIER_WIDTH)


EVERY_VERB: tuple[Actions, ...] = (
    (), (Output(7),), (Return(),), (ToGroup(5),), (Subroutine(3),), (Goto(9),), (Police(2),),
    (Load("reg3", 4, 8, 255),), (Load("tun_id", 0, 64, 1 << 63),), (Load("eth_src", 0, 48, 99),),
    (Load("arp_op", 0, 16, 2),), (Load("ipv4_dst", 8, 8, 1),), (Load("metadata", 0, 32, 5),),
    (Move("arp_sha", 0, "arp_tha", 0, 48),), (Move("metadata", 3, "reg1", 5, 27),),
    (Police(1), Load("reg0", 0, 32, 1), Subroutine(4), Output(1), Goto(5)),
)


@pytest.mark.parametrize("actions", EVERY_VERB)
def test_every_verb_survives(actions: Actions) -> None:
    rule = Rule(1, 2, (), actions, 3)
    assert read_flow(as_flow_entry(items.encode(rule)[1])) == rule


@given(our.groups)
def test_group_survives(group: Group) -> None:
    kind, body = items.encode(group)
    assert kind == wire.GROUP_MOD
    assert items.decode_groups(as_group_entry(body)) == [group]


@given(our.meters, st.booleans())
def test_meter_survives(meter: Meter, replaces: bool) -> None:
    kind, body = items.encode(meter, replaces)
    assert kind == wire.METER_MOD
    assert items.decode_meters(as_meter_entry(body)) == [meter]


def test_many_entries_stand_one_after_another() -> None:
    rules = [Rule(1, number, (("reg1", number, 0xFFFFFFFF),), (Goto(2),), 0)
             for number in range(100)]
    body = b"".join(as_flow_entry(items.encode(rule)[1]) for rule in rules)
    assert items.FlowReader().read(body) == rules


def test_a_prerequisite_stands_before_what_needs_it() -> None:
    match = (("arp_op", 1, 0xFFFF), ("eth_type", 0x0806, 0xFFFF))
    data = encode_match(match)
    assert data.index(CARRIERS["eth_type"].exact) < data.index(CARRIERS["arp_op"].exact)


@pytest.mark.parametrize("test", [
    ("ip_proto", 1, 0x0F), ("reg1", 0, 0), ("reg1", 2, 1), ("reg1", 1 << 32, 1 << 32),
    ("reg1", -1, 0xFFFFFFFF), ("no_such", 1, 1), ("vlan_vid", 1 << 13, (1 << 14) - 1),
])
def test_an_impossible_test_is_refused(test: tuple[str, int, int]) -> None:
    with pytest.raises(Unspeakable, match=test[0]):
        encode_match((test,))


@pytest.mark.parametrize("actions", [
    (Output(0),), (Output(wire.PORT_IN_PORT),), (Goto(255),), (Goto(1), Output(1)),
    (Output(1), Police(1)), (Load("reg1", 30, 4, 1),), (Load("reg1", 0, 4, 16),),
    (Load("nowhere", 0, 4, 1),), (Move("reg1", 0, "eth_type", 0, 17),), (Subroutine(255),),
])
def test_an_impossible_action_is_refused(actions: Actions) -> None:
    with pytest.raises(Unspeakable):
        items.encode(Rule(1, 1, (), actions, 0))


@pytest.mark.parametrize("item", [
    Rule(255, 1, (), (), 0), Rule(1, 1 << 16, (), (), 0), Group(0xFFFFFF00, "all", ()),
    Group(1, "all", (Bucket((Goto(2),)),)), Group(1, "all", (Bucket((), 1 << 16),)), Meter(0, 1),
    Group(1, "all", (Bucket((Output(1),) * 10),) * 400),
])
def test_an_impossible_item_is_refused(item: Rule | Group | Meter) -> None:
    with pytest.raises(Unspeakable):
        items.encode(item)


def test_a_foreign_action_leaves_the_key() -> None:
    rule = Rule(4, 5, (("reg1", 1, 3),), (), 6)
    push_vlan = bytes.fromhex("0011000881000000")
    entry = bytearray(as_flow_entry(items.encode(rule)[1]))
    entry += Struct("!HH4x").pack(wire.INSTRUCTION_APPLY, 16) + push_vlan
    entry[0:2] = len(entry).to_bytes(2, "big")
    heard = read_flow(bytes(entry))
    assert isinstance(heard, Foreign) and heard.key == rule.key


@pytest.mark.parametrize(("idle", "flags"), [(60, 0), (0, 1)])
def test_a_rule_that_may_end_by_itself_is_foreign(idle: int, flags: int) -> None:
    rule = Rule(4, 5, (), (Output(1),), 6)
    heard = read_flow(as_flow_entry(items.encode(rule)[1], idle, flags))
    assert heard == Foreign(rule.key, "has a timeout or flags")


def test_a_foreign_match_can_be_deleted_exactly() -> None:
    tcp_dst = bytes.fromhex("80000a020800" "80001401" "06" "80001c020050")
    length = 4 + len(tcp_dst)
    match = Struct("!HH").pack(1, length) + tcp_dst + bytes(-length % 8)
    entry = FLOW.pack(48 + len(match), 9, 0, 0, 77, 0, 0, 0, 0, 0, 0) + match
    heard = read_flow(entry)
    assert isinstance(heard, Foreign)
    kind, body = items.encode_delete(heard.key)
    assert kind == wire.FLOW_MOD and body.endswith(match)
    values = wire.FLOW_MOD_BODY.unpack_from(body)
    assert (values[2], values[3], values[6]) == (9, wire.FLOW_DELETE_STRICT, 77)


def test_a_match_longer_than_any_is_malformed() -> None:
    unknown = bytes.fromhex("7fff00c8") + bytes(200)
    for count, malformed in ((8, False), (9, True)):
        fields = unknown * count
        data = Struct("!HH").pack(1, 4 + len(fields)) + fields + bytes(-(4 + len(fields)) % 8)
        if malformed:
            with pytest.raises(Malformed):
                decode_match(data, 0, len(data))
        else:
            match, _ = decode_match(data, 0, len(data))
            assert encode_match(match) == data and str(match)


def test_a_watching_bucket_and_a_meter_of_bytes_are_foreign() -> None:
    bucket = wire.BUCKET.pack(16, 0, 1, wire.GROUP_ANY)
    group = Struct("!HBxI").pack(8 + 16, 3, 77) + bucket
    assert [item.key for item in items.decode_groups(group)] == [("group", 77)]
    assert isinstance(items.decode_groups(group)[0], Foreign)
    meter = Struct("!HHI").pack(24, 1, 5) + wire.BAND.pack(1, 16, 100, 0)
    assert items.decode_meters(meter) == [Foreign(("meter", 5), "meter of another form")]


@given(st.binary(max_size=400))
def test_dumps_are_total(data: bytes) -> None:
    for read in (items.FlowReader().read, items.decode_groups, items.decode_meters,
                 items.decode_updates):
        try:
            read(data)
        except Malformed:
            pass


@given(our.items, st.data())
def test_damaged_dumps_are_total(item: Rule | Group | Meter, data: st.DataObject) -> None:
    body = items.encode(item)[1]
    entry = bytearray({Rule: as_flow_entry, Group: as_group_entry,
                       Meter: as_meter_entry}[type(item)](body))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(entry) - 1))
        entry[at] = data.draw(st.integers(0, 255))
    for read in (items.FlowReader().read, items.decode_groups, items.decode_meters):
        try:
            for heard in read(bytes(entry)):
                items.encode_delete(heard.key)
        except Malformed:
            pass
        except Unspeakable:
            pytest.fail("a key that was read cannot be deleted")
