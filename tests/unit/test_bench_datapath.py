"""Reading what Open vSwitch prints of its datapath. The texts are its own."""

from __future__ import annotations

import pytest

from bench.datapath import Megaflow, count_actions

PUSH = ("tnl_push(tnl_port(3),header(size=50,type=4,eth(dst=3e:e5:86:00:e1:81,"
        "src=8e:dd:31:3d:72:87,dl_type=0x0800),vxlan(flags=0x8000000,vni=0x2)),out_port(1))")


@pytest.mark.parametrize(("text", "count"), [
    ("drop", 0), ("6", 1), (f"{PUSH},2", 2), (f"8,9,{PUSH},2", 4),
    ("ct(zone=1,nat),recirc(0x1)", 2),
])
def test_actions_are_counted_outside_brackets(text: str, count: int) -> None:
    assert count_actions(text) == count


def test_recirculations_are_those_actions() -> None:
    assert Megaflow("recirc_id(0x1),in_port(5)", "ct(zone=1),recirc(0x2)").recirculations == 1
    assert Megaflow("recirc_id(0x1),in_port(5)", "6").recirculations == 0


def test_the_order_of_copies_does_not_matter() -> None:
    assert Megaflow("in_port(5)", f"7,6,{PUSH}").effect == Megaflow(
        "in_port(5)", f"6,7,{PUSH}").effect
    assert Megaflow("in_port(5)", "7,6").effect != Megaflow("in_port(5)", "7,8").effect
