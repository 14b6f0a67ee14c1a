"""Requests for known addresses are answered where they enter, from the asker's network."""

from __future__ import annotations

from ipaddress import IPv4Address

from controller.model.addresses import mac_number
from controller.testing.packets import ANYWHERE, arp_reply, arp_request
from tests.features.conftest import Scene, tenant


def test_a_known_address_is_answered_and_the_request_goes_no_further(scene: Scene) -> None:
    red = scene.red
    ask, own = red.web1, red.web1.fixed_ips[0].ip_address
    for holder in (red.log1, red.db1):
        there = holder.fixed_ips[0].ip_address
        sent = scene.fabric.send(ask, arp_request(ask.mac, own, there))
        assert sent.answer == arp_reply(holder.mac, there, ask.mac, own)
        assert not sent.tunnels


def test_the_answer_comes_from_the_askers_network(scene: Scene) -> None:
    """The same address has another MAC in another network."""
    other = scene.site.network("green")
    ask = scene.site.port(other, "ask", 11)
    twin = scene.site.port(other, "twin", 13, mac=0xFA163EABCDEF)
    for port in (ask, twin):
        scene.site.plug(port, scene.hypervisors[0])
    request = arp_request(ask.mac, ask.fixed_ips[0].ip_address, twin.fixed_ips[0].ip_address)
    answer = scene.fabric.send(ask, request).answer
    assert answer is not None and answer.arp_sha == mac_number(twin.mac)
    red_answer = scene.fabric.send(scene.red.web1, request).answer
    assert red_answer is not None and red_answer.arp_sha == mac_number(scene.red.db1.mac)


def test_unknown_and_unplugged_addresses_are_asked_of_everybody(scene: Scene) -> None:
    red = scene.red
    own = red.web1.fixed_ips[0].ip_address
    for target in (IPv4Address("10.0.0.200"), red.nas1.fixed_ips[0].ip_address):
        assert scene.fabric.send(red.web1, arp_request(red.web1.mac, own, target)).reaches(
            red.log1, red.db1)


def test_duplicate_detection_is_not_answered_by_oneself(scene: Scene) -> None:
    red = scene.red
    own = red.web1.fixed_ips[0].ip_address
    probe = scene.fabric.send(red.web1, arp_request(red.web1.mac, ANYWHERE, own))
    assert probe.reaches(red.log1, red.db1)
    taken = scene.fabric.send(
        red.web1, arp_request(red.web1.mac, ANYWHERE, red.db1.fixed_ips[0].ip_address))
    assert taken.answer is not None and taken.answer.arp_sha == mac_number(red.db1.mac)


def test_a_local_network_answers_for_its_own_chassis_only(scene: Scene) -> None:
    one = tenant(scene.site, "islands", scene.hypervisors, network_type="local")
    own = one.web1.fixed_ips[0].ip_address
    ask = scene.fabric.send
    assert ask(one.web1, arp_request(one.web1.mac, own, one.log1.fixed_ips[0].ip_address)).answer
    far = ask(one.web1, arp_request(one.web1.mac, own, one.db1.fixed_ips[0].ip_address))
    assert far.reaches(one.log1)
