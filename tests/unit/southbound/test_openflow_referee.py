"""Ryu reads and writes the same bytes: an independent judge of what our codec says."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest
from hypothesis import given
from ryu.ofproto import ofproto_parser, ofproto_v1_3, ofproto_v1_3_parser
from ryu.ofproto.ofproto_protocol import ProtocolDesc

from controller.pipeline.actions import (
    Action, Actions, Goto, Load, Move, Output, Police, Return, Subroutine, ToGroup,
)
from controller.pipeline.fields import CARRIER_WIDTH
from controller.pipeline.rule import Group, Meter, Rule
from controller.southbound.openflow import items, talks, wire
from controller.southbound.openflow.carriers import CARRIERS
from tests import pipeline_items as our

SWITCH = ProtocolDesc(version=ofproto_v1_3.OFP_VERSION)
SPEECH = ofproto_v1_3_parser
RYU_NAME = {"tun_id": "tunnel_id", "tun_src": "tun_ipv4_src", "tun_dst": "tun_ipv4_dst"}
# Ryu names what OpenFlow 1.0 had by its NXM name when a header is Nicira's.
NXM_NAME = {"eth_dst": "eth_dst_nxm", "eth_src": "eth_src_nxm", "eth_type": "eth_type_nxm",
            "ip_proto": "ip_proto_nxm", "ipv4_src": "ipv4_src_nxm", "ipv4_dst": "ipv4_dst_nxm",
            "arp_op": "arp_op_nxm", "arp_spa": "arp_spa_nxm", "arp_tpa": "arp_tpa_nxm",
            "arp_sha": "arp_sha_nxm", "arp_tha": "arp_tha_nxm", "tun_id": "tunnel_id_nxm"}


def heard(body: items.Body, xid: int = 7) -> Any:
    """The message as Ryu's parser reads it."""
    data = talks.message(body, xid)
    version, kind, length, number = ofproto_parser.header(data)
    return ofproto_parser.msg(SWITCH, version, kind, length, number, data)


def number(value: Any) -> int:
    """A value as Ryu gives it, as a number."""
    if isinstance(value, str):
        return int(value.replace(":", ""), 16) if ":" in value else int(IPv4Address(value))
    return int(value)


def said_match(match: Any) -> tuple[tuple[str, int, int], ...]:
    """Ryu's match as our tests."""
    ours = {name: own for own, name in RYU_NAME.items()}
    tests = []
    for name, value in match.items():
        carrier = ours.get(name, name)
        full = (1 << CARRIER_WIDTH[carrier]) - 1
        value, mask = value if isinstance(value, tuple) else (value, full)
        tests.append((carrier, number(value), number(mask)))
    return tuple(sorted(tests))


def same_target(ours: str, theirs: str) -> bool:
    """Whether a name of Ryu's is our carrier."""
    return theirs in (ours, RYU_NAME.get(ours), NXM_NAME.get(ours))


def assert_same(action: Action, theirs: Any) -> None:
    """Ryu's action means ours."""
    match action:
        case Load() if isinstance(theirs, SPEECH.OFPActionSetField):
            assert same_target(action.carrier, theirs.key)
            assert number(theirs.value) == action.value
            assert (action.offset, action.width) == (0, CARRIER_WIDTH[action.carrier])
        case Load():
            assert same_target(action.carrier, theirs.dst)
            bits = theirs.ofs_nbits
            assert (bits >> 6, (bits & 63) + 1) == (action.offset, action.width)
            assert theirs.value == action.value
        case Move():
            assert same_target(action.source, theirs.src_field)
            assert same_target(action.target, theirs.dst_field)
            assert (theirs.n_bits, theirs.src_ofs, theirs.dst_ofs) == (
                action.width, action.source_offset, action.target_offset)
        case Output():
            assert (theirs.type, theirs.port, theirs.max_len) == (0, action.port, 0)
        case Return():
            assert (theirs.type, theirs.port) == (0, ofproto_v1_3.OFPP_IN_PORT)
        case ToGroup():
            assert (theirs.type, theirs.group_id) == (22, action.group)
        case Subroutine():
            assert (theirs.in_port, theirs.table_id) == (0xFFF8, action.table)


def assert_all_same(actions: Actions, theirs: list[Any]) -> None:
    """Ryu's actions mean ours, one by one."""
    assert len(actions) == len(theirs)
    for action, other in zip(actions, theirs, strict=True):
        assert_same(action, other)


@given(our.rules)
def test_ryu_reads_our_flow_mod(rule: Rule) -> None:
    message = heard(items.encode(rule))
    assert isinstance(message, SPEECH.OFPFlowMod)
    assert (message.table_id, message.priority, message.cookie, message.command) == (
        rule.table, rule.priority, rule.cookie, ofproto_v1_3.OFPFC_ADD)
    assert (message.idle_timeout, message.hard_timeout, message.flags) == (0, 0, 0)
    assert said_match(message.match) == rule.match
    actions = list(rule.actions)
    for instruction in message.instructions:
        match instruction:
            case SPEECH.OFPInstructionMeter():
                assert actions.pop(0) == Police(instruction.meter_id)
            case SPEECH.OFPInstructionGotoTable():
                assert actions.pop() == Goto(instruction.table_id)
            case SPEECH.OFPInstructionActions():
                applied = [action for action in actions if not isinstance(action, Goto)]
                assert_all_same(tuple(applied), instruction.actions)
                del actions[:len(applied)]
    assert actions == []


@pytest.mark.parametrize("name", sorted(CARRIERS))
def test_ryu_knows_every_carrier_by_our_numbers(name: str) -> None:
    full = (1 << CARRIER_WIDTH[name]) - 1
    rule = Rule(1, 1, ((name, full & 0x5A5A5A5A5A5A5A5A, full),), (), 0)
    assert said_match(heard(items.encode(rule)).match) == rule.match


@given(our.rules)
def test_ryu_reads_our_deletion(rule: Rule) -> None:
    message = heard(items.encode_delete(rule.key))
    assert (message.table_id, message.priority, message.command) == (
        rule.table, rule.priority, ofproto_v1_3.OFPFC_DELETE_STRICT)
    assert (message.out_port, message.out_group) == (0xFFFFFFFF, 0xFFFFFFFF)
    assert said_match(message.match) == rule.match


def written(message: Any) -> bytes:
    """A message as Ryu's serializer writes it."""
    if message.xid is None:
        message.set_xid(7)
    message.serialize()
    return bytes(message.buf)


@given(our.meters)
def test_ryu_writes_our_meter_mod(meter: Meter) -> None:
    flags = ofproto_v1_3.OFPMF_PKTPS | (ofproto_v1_3.OFPMF_BURST if meter.burst else 0)
    theirs = SPEECH.OFPMeterMod(SWITCH, ofproto_v1_3.OFPMC_MODIFY, flags, meter.id,
                                [SPEECH.OFPMeterBandDrop(meter.rate, meter.burst)])
    assert talks.message(items.encode(meter, True), 7) == written(theirs)


@given(our.groups)
def test_ryu_reads_our_buckets(group: Group) -> None:
    body = items.encode(group)[1]
    entry = len(body).to_bytes(2, "big") + body[2:]
    theirs = SPEECH.OFPGroupDescStats.parser(entry, 0)
    assert (theirs.type, theirs.group_id) == (wire.GROUP_TYPES[group.type], group.id)
    assert len(theirs.buckets) == len(group.buckets)
    for ours, other in zip(group.buckets, theirs.buckets, strict=True):
        assert other.weight == ours.weight
        assert (other.watch_port, other.watch_group) == (0xFFFFFFFF, 0xFFFFFFFF)
        assert_all_same(ours.actions, other.actions)


@pytest.mark.parametrize(("key", "theirs"), [
    (("group", 9), SPEECH.OFPGroupMod(SWITCH, ofproto_v1_3.OFPGC_DELETE, 0, 9, [])),
    (("meter", 9), SPEECH.OFPMeterMod(SWITCH, ofproto_v1_3.OFPMC_DELETE, 0, 9, [])),
])
def test_ryu_writes_our_deletions(key: Any, theirs: Any) -> None:
    assert talks.message(items.encode_delete(key), 7) == written(theirs)


def test_ryu_writes_our_packet_out() -> None:
    theirs = SPEECH.OFPPacketOut(SWITCH, 0xFFFFFFFF, 5, [SPEECH.OFPActionOutput(3, 0)], b"frame")
    assert talks.message(items.encode_packet_out((Output(3),), b"frame", 5), 7) == written(theirs)


def test_ryu_reads_our_hello() -> None:
    version, kind, length, xid = ofproto_parser.header(talks.HELLO)
    theirs = ofproto_parser.msg(SWITCH, version, kind, length, xid, talks.HELLO)
    assert [element.versions for element in theirs.elements] == [[4]]


def test_ryu_writes_our_bundle_messages() -> None:
    meaning = SPEECH.ONFBundleCtrlMsg(SWITCH, 1, wire.BUNDLE_OPEN, wire.BUNDLE_ATOMIC_ORDERED,
                                      [])
    ours = talks.bundle_control(wire.BUNDLE_OPEN, 7)
    assert ours == written(meaning)
    inner = SPEECH.OFPGroupMod(SWITCH, ofproto_v1_3.OFPGC_DELETE, 0, 9, [])
    add = SPEECH.ONFBundleAddMsg(SWITCH, 1, wire.BUNDLE_ATOMIC_ORDERED, inner, [])
    assert talks.in_bundle(items.encode_delete(("group", 9)), 7) == written(add)
