"""Addresses: what is malformed is refused, and the next free one is found."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.model.addresses import (
    default_pools, first_free, hosts, mac_number, mac_of, parse_mac,
)


@pytest.mark.parametrize("text", ["fa:16:3e:00:00:01", "FA:16:3E:00:00:01", "fa-16-3e-00-00-01"])
def test_a_mac_has_one_canonical_form(text: str) -> None:
    assert parse_mac(text) == "fa:16:3e:00:00:01"


@pytest.mark.parametrize("text", [
    "", "fa:16:3e:00:00", "fa:16:3e:00:00:01:02", "fa:16-3e:00:00:01", "fa163e000001",
    "fa:16:3e:00:00:0g", "01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00",
    " fa:16:3e:00:00:01", "fa:16:3e:00:00:01\n", "fa:16:3e:00:00:0١", None, 7,
])
def test_what_is_no_machines_mac_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_mac(text)


@given(st.integers(1, 2**48 - 1))
def test_a_mac_is_a_number(number: int) -> None:
    assert mac_number(mac_of(number)) == number
    if not number >> 40 & 1:
        assert parse_mac(mac_of(number).upper()) == mac_of(number)


@pytest.mark.parametrize(("cidr", "first", "last"), [
    ("10.0.0.0/24", "10.0.0.1", "10.0.0.254"), ("10.0.0.0/30", "10.0.0.1", "10.0.0.2"),
    ("10.0.0.0/31", "10.0.0.0", "10.0.0.1"), ("10.0.0.7/32", "10.0.0.7", "10.0.0.7"),
])
def test_hosts_leave_out_network_and_broadcast_where_there_are_such(
        cidr: str, first: str, last: str) -> None:
    assert hosts(IPv4Network(cidr)) == (IPv4Address(first), IPv4Address(last))


networks = st.builds(lambda number, prefix: IPv4Network((number, prefix), strict=False),
                     st.integers(0, 2**32 - 1), st.integers(24, 32))


@given(networks, st.data())
def test_default_pools_are_the_hosts_but_the_gateway(cidr: IPv4Network, data: st.DataObject
                                                     ) -> None:
    gateway = data.draw(st.one_of(st.none(), st.sampled_from(list(cidr))))
    first, last = hosts(cidr)
    pooled = [IPv4Address(number) for low, high in default_pools(cidr, gateway)
              for number in range(int(low), int(high) + 1)]
    wanted = [IPv4Address(number) for number in range(int(first), int(last) + 1)
              if IPv4Address(number) != gateway]
    assert pooled == wanted


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), max_size=4),
       st.sets(st.integers(0, 40)), st.one_of(st.none(), st.integers(0, 40)))
def test_the_first_free_address_lies_behind_the_last_one_or_at_the_start(
        spans: list[tuple[int, int]], taken: set[int], after: int | None) -> None:
    pools = [(IPv4Address(low), IPv4Address(low + size)) for low, size in spans]
    free = {number for low, size in spans for number in range(low, low + size + 1)} - taken
    found = first_free(pools, lambda address: int(address) in taken,
                       IPv4Address(after) if after is not None else None)
    assert (found is None) == (not free)
    if found is not None:
        assert int(found) in free
        if any(number > (-1 if after is None else after) for number in free):
            assert int(found) > (-1 if after is None else after)
