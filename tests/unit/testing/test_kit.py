"""The kit itself: what FakeSwitch refuses, what it does, and that traces and frames read well."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from controller.model.resources import Mac
from controller.pipeline import layout
from controller.pipeline.actions import (
    Goto, Output, Police, Return, Subroutine, ToGroup, load, move,
)
from controller.pipeline.cookie import Purpose
from controller.pipeline.fields import (
    ARP_SENDER_IP, ARP_TARGET_IP, ETH_DST, IN_PORT, NETWORK, OUT_CHASSIS, OUT_PORT, SWITCH_PORT,
    TUNNEL_DESTINATION, TUNNEL_ID, VLAN,
)
from controller.pipeline.rule import Bucket, Group, Item, Meter, Rule
from controller.pipeline.table import Priority
from controller.reconciliation.differ import Plan, plan
from controller.testing.fake_switch import FakeSwitch, Sent, SwitchError, Tunnel
from controller.packets.ipv4 import checksum
from controller.testing.packets import (
    BROADCAST, arp_request, echo, ethernet, tagged, udp,
)

WHY = Purpose(5, 1, "a test", owner="port")
A, B = Mac("fa:16:3e:00:00:01"), Mac("fa:16:3e:00:00:02")
IP_A, IP_B = IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")
FRAME = udp(A, B, IP_A, IP_B)
ENTRY = layout.CLASSIFY_PORT.rule(
    WHY, 1, Priority.EXACT, SWITCH_PORT.equals(1), VLAN.equals(0),
    do=(load(NETWORK, 7), load(TUNNEL_ID, 9), load(IN_PORT, 3), Goto(layout.PORT_SECURITY.id)))
PASS = layout.PORT_SECURITY.rule(WHY, 1, Priority.DEFAULT, IN_PORT.equals(3),
                                 do=(Goto(layout.L2_FORWARD.id),))
TO_FLOOD = layout.L2_FORWARD.rule(WHY, 0, Priority.MISS, do=(Goto(layout.FLOOD.id),))
COPIES = layout.FLOOD.rule(WHY, 1, Priority.EXACT, NETWORK.equals(7), do=(ToGroup(0x05000007),))
GROUP = Group(0x05000007, "all", (
    Bucket((load(OUT_PORT, 1), Subroutine(layout.DELIVER.id))),
    Bucket((load(OUT_PORT, 2), Subroutine(layout.DELIVER.id))),
    Bucket((load(OUT_CHASSIS, 5), Subroutine(layout.LOCATE.id)))))
DELIVERY = [layout.DELIVER.rule(WHY, key, Priority.EXACT, OUT_PORT.equals(key), do=(Output(key),))
            for key in (1, 2)]
FAR = layout.LOCATE.rule(WHY, 5, Priority.DEFAULT, OUT_CHASSIS.equals(5),
                         do=(load(TUNNEL_DESTINATION, 0xAC1F0002), Output(60)))
ITEMS: list[Item] = [GROUP, ENTRY, PASS, TO_FLOOD, COPIES, *DELIVERY, FAR]


@pytest.fixture
def switch() -> FakeSwitch:
    made = FakeSwitch("hv1", {60: "vxlan"})
    made.apply(plan({}, {item.key: item for item in ITEMS}))
    return made


def test_a_group_copies_to_each_bucket_and_never_back(switch: FakeSwitch) -> None:
    trace = switch.trace(1, FRAME)
    assert trace.sent == (Sent(2, FRAME), Sent(60, FRAME, Tunnel(9, 0xAC1F0002)))
    assert [step.table for step in trace.steps] == [0, 10, 70, 71, 90, 90, 72]


def test_what_nothing_matches_is_dropped(switch: FakeSwitch) -> None:
    for trace in (switch.trace(5, FRAME), switch.trace(1, tagged(FRAME, 3))):
        assert not trace.sent and trace.steps[-1].rule is None


def test_a_trace_reads_like_ofproto_trace(switch: FakeSwitch) -> None:
    text = str(switch.trace(1, FRAME))
    assert "hv1: fa:16:3e:00:00:01 > fa:16:3e:00:00:02, ip 10.0.0.1 > 10.0.0.2 proto 17" in text
    assert "  0. classify_port: in_port=1, vlan_vid=0, exact, cookie 0x5405000100000001" in text
    assert "in tunnel 0.0.0.0 > 172.31.0.2 segment 9" in text
    assert str(switch.trace(5, FRAME)).endswith("classify_port: no match, drop\n  => dropped")


def test_headers_are_rewritten_and_returned() -> None:
    switch = FakeSwitch()
    switch.put(layout.CLASSIFY_PORT.rule(WHY, 1, Priority.EXACT, SWITCH_PORT.equals(1), do=(
        load(NETWORK, 7), Goto(layout.PORT_SECURITY.id))))
    switch.put(layout.PORT_SECURITY.rule(WHY, 1, Priority.EXACT, IN_PORT.equals(0),
                                         do=(Goto(layout.ARP_RESPONDER.id),)))
    switch.put(layout.ARP_RESPONDER.rule(
        WHY, 1, Priority.EXACT, NETWORK.equals(7),
        do=(move(ARP_SENDER_IP, ARP_TARGET_IP), load(ARP_SENDER_IP, 5), Return())))
    request = arp_request(A, IP_A, IP_B)
    assert switch.trace(1, request).sent == (
        Sent(1, replace(request, arp_tpa=int(IP_A), arp_spa=5)),)
    with pytest.raises(SwitchError, match="has no arp_spa"):
        switch.trace(1, FRAME)


def test_rules_of_one_priority_that_disagree_are_found(switch: FakeSwitch) -> None:
    clash = layout.FLOOD.rule(WHY, 2, Priority.EXACT, NETWORK.equals(7),
                              ETH_DST.masked(1 << 40, 1 << 40), do=())
    switch.put(clash)
    switch.trace(1, FRAME)
    with pytest.raises(SwitchError, match="two rules of one priority"):
        switch.trace(1, udp(A, BROADCAST, IP_A, IP_B))
    switch.put(replace(clash, priority=Priority.GUARD))
    assert not switch.trace(1, udp(A, BROADCAST, IP_A, IP_B)).sent


def test_a_tunnel_needs_a_destination(switch: FakeSwitch) -> None:
    switch.put(replace(FAR, actions=(Output(60),)))
    with pytest.raises(SwitchError, match="without a destination"):
        switch.trace(1, FRAME)


@pytest.mark.parametrize("broken", [
    Plan(put=(ENTRY,)),
    Plan(put=(replace(ENTRY, priority=Priority.GUARD),),
         replaced=frozenset({replace(ENTRY, priority=Priority.GUARD).key})),
    Plan(delete=(replace(ENTRY, priority=Priority.GUARD).key,)),
    Plan(delete=(GROUP.key,)),
    Plan(put=(replace(COPIES, priority=Priority.GUARD, actions=(ToGroup(1),)),)),
    Plan(put=(replace(PASS, priority=Priority.GUARD, actions=(Police(4), *PASS.actions)),)),
    Plan(put=(replace(PASS, priority=Priority.GUARD, actions=(Output(1),)),)),
    Plan(put=(Rule(55, 1, (), (), 0),)),
], ids=["put of what is there", "replace of what is not", "delete of what is not",
        "delete of a group in use", "a group that is not there", "a meter that is not there",
        "against the contract", "a table that is not there"])
def test_a_plan_that_a_switch_would_not_take_is_refused(switch: FakeSwitch, broken: Plan) -> None:
    with pytest.raises(SwitchError):
        switch.apply(broken)


def test_meters_come_and_go_with_their_rules(switch: FakeSwitch) -> None:
    policed = replace(PASS, actions=(Police(4), *PASS.actions))
    wanted = {item.key: item for item in (*ITEMS, Meter(4, 100), policed)}
    switch.apply(plan(switch.items, wanted))
    assert switch.items == wanted and switch.trace(1, FRAME).sent
    switch.apply(plan(switch.items, {}))
    assert not switch.items


def test_damage_by_hand_takes_what_a_switch_would_take(switch: FakeSwitch) -> None:
    switch.delete_by_hand(GROUP.key)
    assert COPIES.key not in switch.items and ENTRY.key in switch.items


def test_a_plan_can_be_cut_off_anywhere(switch: FakeSwitch) -> None:
    whole = plan({}, {item.key: item for item in ITEMS})
    for steps in range(len(whole) + 1):
        partly = FakeSwitch()
        partly.apply(whole, steps)
        assert len(partly.items) == steps


def test_bytes_are_what_the_headers_say() -> None:
    octets = tagged(echo(A, B, IP_A, IP_B), 7).to_bytes()
    assert octets[:18].hex() == "fa163e000002fa163e000001810000070800"
    assert checksum(octets[18:38]) == 0 and checksum(octets[38:]) == 0
    request = arp_request(A, IP_A, IP_B).to_bytes()
    assert request[12:].hex() == ("0806" "0001080006040001" "fa163e000001" "0a000001"
                                  "000000000000" "0a000002")
    assert ethernet(A, B, 0x86DD, b"x").to_bytes()[12:] == b"\x86\xddx"
