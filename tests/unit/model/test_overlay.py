"""Overlay types: what a frame costs, and what two chassis share."""

from __future__ import annotations

import pytest

from controller.model.overlay import (
    NETWORK_TYPES, OVERHEAD, common_types, largest_mtu, type_number,
)
from controller.model.resources import Chassis
from controller.pipeline.fields import ENCAPSULATION


@pytest.mark.parametrize(("network_type", "in_use", "mtu"), [
    ("vxlan", (), 1450), ("geneve", (), 1450), ("gre", (), 1458), ("local", ("vxlan",), 1500),
    ("gre", ("vxlan",), 1450), ("vxlan", ("gre",), 1450),
])
def test_the_mtu_leaves_room_for_the_largest_encapsulation(
        network_type: str, in_use: tuple[str, ...], mtu: int) -> None:
    assert largest_mtu(1500, network_type, in_use) == mtu


def test_every_type_has_an_overhead_and_a_number_that_the_pipeline_can_carry() -> None:
    assert set(OVERHEAD) == set(NETWORK_TYPES)
    numbers = [type_number(name) for name in NETWORK_TYPES]
    assert numbers[0] == 0 and len(set(numbers)) == len(numbers)
    assert max(numbers) < 1 << ENCAPSULATION.width


def test_both_ends_see_the_shared_types_alike() -> None:
    here = Chassis(id="a", key=1, encap_types=("gre", "vxlan"))
    there = Chassis(id="b", key=2, encap_types=("vxlan", "geneve", "gre"))
    assert common_types(here, there) == common_types(there, here) == ("vxlan", "gre")
    assert common_types(here, Chassis(id="c", key=3, encap_types=("geneve",))) == ()
