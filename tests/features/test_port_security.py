"""A port speaks as itself: its MAC, its addresses, IPv4 and ARP."""

from __future__ import annotations

from ipaddress import IPv4Address

from controller.testing.packets import (
    ANYWHERE, BROADCAST, ETHERTYPE_IPV6, REQUEST, arp, arp_reply, arp_request, echo, ethernet, udp,
)
from tests.features.conftest import Scene, tenant


def test_own_addresses_pass_and_anybody_elses_do_not(scene: Scene) -> None:
    red, send = scene.red, scene.fabric.send
    web, db = red.web1, red.db1
    own, theirs = web.fixed_ips[0].ip_address, db.fixed_ips[0].ip_address
    assert send(web, echo(web.mac, db.mac, own, theirs)).reaches(db)
    assert send(web, echo(web.mac, db.mac, theirs, own)).reaches_nobody
    assert send(web, echo(web.mac, db.mac, ANYWHERE, theirs)).reaches_nobody
    assert send(web, echo(red.log1.mac, db.mac, own, theirs)).reaches_nobody
    assert send(web, ethernet(web.mac, db.mac, ETHERTYPE_IPV6)).reaches_nobody


def test_arp_speaks_for_the_port_alone(scene: Scene) -> None:
    red, send = scene.red, scene.fabric.send
    web, db = red.web1, red.db1
    own, theirs = web.fixed_ips[0].ip_address, db.fixed_ips[0].ip_address
    assert send(web, arp_reply(web.mac, own, db.mac, theirs)).reaches(db)
    assert send(web, arp_reply(web.mac, theirs, db.mac, own)).reaches_nobody, "poison"
    assert send(web, arp(REQUEST, web.mac, BROADCAST, (db.mac, own), (0, own))).reaches_nobody
    assert send(web, arp_request(web.mac, own, own)).reaches(red.log1, db), "gratuitous"


def test_several_addresses_are_all_the_ports_own(scene: Scene) -> None:
    red = scene.red
    both = scene.site.port(red.network, "both", 40, 41)
    scene.site.plug(both, scene.hypervisors[2])
    for fixed in both.fixed_ips:
        frame = udp(both.mac, red.db1.mac, fixed.ip_address, red.db1.fixed_ips[0].ip_address)
        assert scene.fabric.send(both, frame).reaches(red.db1)
    frame = udp(both.mac, red.db1.mac, IPv4Address("10.0.0.42"),
                red.db1.fixed_ips[0].ip_address)
    assert scene.fabric.send(both, frame).reaches_nobody


def test_without_port_security_anything_untagged_passes_inside_the_network(scene: Scene) -> None:
    lax = tenant(scene.site, "lax", scene.hypervisors, secure=False)
    frame = ethernet(scene.red.db1.mac, lax.db1.mac, ETHERTYPE_IPV6)
    assert scene.fabric.send(lax.web1, frame).reaches(lax.db1)
    assert not scene.fabric.send(lax.web1, frame).reaches(scene.red.db1)


def test_a_port_without_addresses_speaks_neither_ip_nor_arp(scene: Scene) -> None:
    mute = scene.site.port(scene.red.network, "mute")
    scene.site.plug(mute, scene.hypervisors[0])
    there = scene.red.db1.fixed_ips[0].ip_address
    for own in (ANYWHERE, there, IPv4Address("10.0.0.50")):
        assert scene.fabric.send(mute, arp_request(mute.mac, own, there)).reaches_nobody
        assert scene.fabric.send(mute, udp(mute.mac, BROADCAST, own, there)).reaches_nobody
    assert mute.id in {delivery.port for delivery in scene.fabric.flood(scene.red.web1).deliveries}
