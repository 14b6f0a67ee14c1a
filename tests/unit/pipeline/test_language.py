"""The switch language: matches, actions, cookies and their text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.pipeline.actions import Load, Move, load, move
from controller.pipeline.cookie import FORMAT, Origin, Purpose, group_id, origin
from controller.pipeline.describe import (
    actions_text, fields_of, items_text, match_text, purposes_of, why,
)
from controller.pipeline.fields import (
    CARRIER_WIDTH, ENCAPSULATION, ETH_DST, ETH_SRC, FROM_TUNNEL, HEADERS, IN_PORT, IPV4_SRC,
    NETWORK, REGISTERS, match,
)
from controller.pipeline.rule import Bucket, Group, Meter, Rule

PURPOSE = Purpose(9, 4, "because", owner="port")
field = st.sampled_from((*HEADERS, *REGISTERS))


@given(field, st.data())
def test_a_test_stays_inside_the_fields_bits(field: object, data: st.DataObject) -> None:
    assert hasattr(field, "width")
    value = data.draw(st.integers(0, (1 << field.width) - 1))
    mask = data.draw(st.integers(0, (1 << field.width) - 1))
    for carrier, held, bits in (field.equals(value), field.masked(value, mask)):
        assert held & ~bits == 0 and bits & ~field.bits == 0
        assert field.bits < 1 << CARRIER_WIDTH[carrier]


@pytest.mark.parametrize("value", [-1, 2])
def test_what_does_not_fit_is_refused(value: int) -> None:
    with pytest.raises(ValueError):
        FROM_TUNNEL.equals(value)
    with pytest.raises(ValueError):
        FROM_TUNNEL.masked(0, value)
    with pytest.raises(ValueError):
        load(FROM_TUNNEL, value)


def test_a_match_is_canonical_and_unites_fields_of_one_carrier() -> None:
    united = match(FROM_TUNNEL.equals(1), NETWORK.equals(5), ENCAPSULATION.equals(2))
    assert united == match(ENCAPSULATION.equals(2), FROM_TUNNEL.equals(1), NETWORK.equals(5))
    assert united == (("metadata", 5, 0xFFFFFFFF), ("reg10", 0x21, 0x71))


def test_contradictory_tests_are_refused_and_agreeing_ones_are_not() -> None:
    assert match(NETWORK.equals(1), NETWORK.equals(1)) == match(NETWORK.equals(1))
    with pytest.raises(ValueError, match="metadata"):
        match(NETWORK.equals(1), NETWORK.equals(2))
    with pytest.raises(ValueError, match="eth_type"):
        match(IPV4_SRC.equals(1), ("eth_type", 0x86DD, 0xFFFF), requires=IPV4_SRC.requires)


def test_loads_and_moves_say_where() -> None:
    assert load(ENCAPSULATION, 3) == Load("reg10", 4, 3, 3)
    assert move(ETH_SRC, ETH_DST) == Move("eth_src", 0, "eth_dst", 0, 48)
    with pytest.raises(ValueError):
        move(ETH_SRC, IN_PORT)


@given(st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_a_cookie_says_who_and_why(feature: int, number: int, key: int) -> None:
    cookie = Purpose(feature, number, "", owner="port").cookie(key)
    assert 0 <= cookie < 2**64
    assert origin(cookie) == Origin(feature, number, key)
    assert origin(cookie ^ 1 << 60) is None


@pytest.mark.parametrize("key", [-1, 2**32])
def test_a_key_that_does_not_fit_a_cookie_is_refused(key: int) -> None:
    with pytest.raises(ValueError):
        PURPOSE.cookie(key)


@pytest.mark.parametrize(("feature", "key"), [(0, 1), (255, 1), (5, -1), (5, 1 << 24)])
def test_group_ids_that_would_meet_others_are_refused(feature: int, key: int) -> None:
    assert group_id(5, 1) == 0x05000001
    with pytest.raises(ValueError):
        group_id(feature, key)


@given(st.sampled_from(sorted(CARRIER_WIDTH)), st.data())
def test_every_bit_of_a_match_appears_in_its_text_once(carrier: str, data: st.DataObject) -> None:
    mask = data.draw(st.integers(1, (1 << CARRIER_WIDTH[carrier]) - 1))
    parts = [bits for _, bits in fields_of(carrier, mask)]
    assert sum(parts) == mask
    assert match_text(((carrier, 0, mask),)).count("=") == len(parts)


def test_items_read_as_sentences() -> None:
    rule = Rule(70, 300, match(NETWORK.equals(1), ETH_DST.masked(1 << 40, 1 << 40)),
                (load(IN_PORT, 3),), PURPOSE.cookie(7))
    group = Group(0x05000001, "select", (Bucket((), weight=2), Bucket((load(IN_PORT, 3),))))
    items = {item.key: item for item in (Meter(1, 100, 10), group, rule)}
    assert items_text(items, purposes_of([PURPOSE])) == (
        "l2_forward (70)\n"
        "  exact    eth_dst=01:00:00:00:00:00/01:00:00:00:00:00, network=1 -> "
        "in_port_key := 3   # because (port 7)\n"
        "groups\n  0x5000001 select\n    weight 2: drop\n    in_port_key := 3\n"
        "meters\n  1: 100/s, burst 10\n")
    assert why(0xBAD, {}) == "cookie 0xbad is not ours"
    assert why(FORMAT << 56 | 5, {}) == "feature 0, purpose 0, key 5"
    assert actions_text(()) == "drop" and match_text(()) == "anything"
