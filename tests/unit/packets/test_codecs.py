"""Codecs: what is built is read again, and any bytes are read to an end."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.packets import arp, ethernet, icmp, ipv4
from controller.packets.arp import Arp
from controller.packets.ethernet import Ethernet
from controller.packets.icmp import Icmp
from controller.packets.ipv4 import Ipv4

MACS = st.integers(0, (1 << 48) - 1)
SHORTS = st.integers(0, 0xFFFF)
OCTETS = st.integers(0, 255)
ADDRESSES = st.ip_addresses(v=4)
FRAMES = st.builds(Ethernet, MACS, MACS, SHORTS.filter(lambda number: number != ethernet.VLAN),
                   st.binary(max_size=80), st.none() | SHORTS)
ARPS = st.builds(Arp, SHORTS, MACS, ADDRESSES, MACS, ADDRESSES)
DATAGRAMS = st.builds(
    Ipv4, ADDRESSES, ADDRESSES, OCTETS, st.binary(max_size=80), ttl=OCTETS, identification=SHORTS,
    fragment=SHORTS, tos=OCTETS,
    options=st.integers(0, 10).flatmap(lambda words: st.binary(min_size=4 * words,
                                                               max_size=4 * words)))
ICMPS = st.builds(Icmp, OCTETS, OCTETS, st.integers(0, (1 << 32) - 1), st.binary(max_size=80))


@given(FRAMES)
def test_frames(frame: Ethernet) -> None:
    assert ethernet.parse(ethernet.build(frame)) == frame


@given(ARPS, st.binary(max_size=20))
def test_arp_with_the_padding_of_a_frame(message: Arp, padding: bytes) -> None:
    assert arp.parse(arp.build(message) + padding) == message


@given(DATAGRAMS, st.binary(max_size=20))
def test_datagrams_with_the_padding_of_a_frame(datagram: Ipv4, padding: bytes) -> None:
    assert ipv4.parse(ipv4.build(datagram) + padding) == datagram


@given(ICMPS)
def test_icmp(message: Icmp) -> None:
    assert icmp.parse(icmp.build(message)) == message


PARSERS: list[Callable[[bytes], object]] = [ethernet.parse, arp.parse, ipv4.parse, icmp.parse]


@pytest.mark.parametrize("parse", PARSERS, ids=lambda parse: parse.__module__.split(".")[-1])
@given(data=st.binary(max_size=200))
def test_parsers_are_total(parse: Callable[[bytes], object], data: bytes) -> None:
    parse(data)


@given(DATAGRAMS, st.data())
def test_a_damaged_or_cut_datagram_is_none(datagram: Ipv4, data: st.DataObject) -> None:
    whole = ipv4.build(datagram)
    assert ipv4.parse(whole[:data.draw(st.integers(0, len(whole) - 1))]) is None
    bit = data.draw(st.integers(0, 8 * (20 + len(datagram.options)) - 1))
    damaged = bytearray(whole)
    damaged[bit // 8] ^= 1 << bit % 8
    assert ipv4.parse(bytes(damaged)) is None


def test_what_does_not_fit_is_refused() -> None:
    somewhere = IPv4Address("10.0.0.1")
    for datagram in (Ipv4(somewhere, somewhere, 1, bytes(65516)),
                     Ipv4(somewhere, somewhere, 1, b"", options=b"abc"),
                     Ipv4(somewhere, somewhere, 1, b"", options=bytes(44))):
        with pytest.raises(ValueError, match="do not fit"):
            ipv4.build(datagram)


@given(MACS, ADDRESSES, ADDRESSES, MACS)
def test_who_asks_by_arp_learns_the_address(
        asker: int, asker_ip: IPv4Address, wanted: IPv4Address, holder: int) -> None:
    """Client against server, through bytes."""
    asked = arp.parse(arp.build(Arp(arp.REQUEST, asker, asker_ip, 0, wanted)))
    assert asked is not None
    given_back = arp.answer(asked, holder)
    assert given_back is not None
    heard = arp.parse(arp.build(given_back))
    assert heard == Arp(arp.REPLY, holder, wanted, asker, asker_ip)
    assert arp.answer(heard, holder) is None, "a reply is not answered"


@given(st.integers(0, (1 << 32) - 1), st.binary(max_size=60))
def test_an_echo_comes_back_as_it_went(number: int, payload: bytes) -> None:
    asked = icmp.parse(icmp.build(Icmp(icmp.ECHO_REQUEST, 0, number, payload)))
    assert asked is not None
    reply = icmp.answer(asked)
    assert reply == Icmp(icmp.ECHO_REPLY, 0, number, payload)
    assert reply is not None and icmp.answer(reply) is None
