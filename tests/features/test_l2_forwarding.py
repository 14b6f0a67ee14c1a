"""Known MACs go straight to their port, broadcast to all members, unknown unicast to nobody."""

from __future__ import annotations

import pytest

from controller.model.resources import Mac
from controller.store import numbers
from controller.store.numbers import PoolExhausted
from controller.testing.packets import BROADCAST, ETHERTYPE_IPV6, ethernet, tagged, udp
from tests.features.conftest import Scene, tenant

MULTICAST = Mac("01:00:5e:00:00:fb")
NOBODY = Mac("fa:16:3e:ff:ff:ff")


def test_unicast_reaches_its_port_and_not_the_twin_of_another_tenant(scene: Scene) -> None:
    red, blue, fabric = scene.red, scene.blue, scene.fabric
    assert red.db1.mac == blue.db1.mac
    assert fabric.send(red.web1, to=red.log1).reaches(red.log1)
    assert fabric.send(red.web1, to=red.db1).reaches(red.db1)
    assert fabric.send(blue.web1, to=blue.db1).reaches(blue.db1)
    assert not fabric.send(red.web1, to=red.db1).reaches(blue.db1)


def test_unicast_across_hypervisors_takes_one_tunnel_with_the_networks_segment(
        scene: Scene) -> None:
    sent = scene.fabric.send(scene.blue.web1, to=scene.blue.db1)
    assert [tunnel.id for tunnel in sent.tunnels] == [scene.blue.network.segmentation_id]
    assert [tunnel.destination for tunnel in sent.tunnels] == [
        int(str_ip) for str_ip in [scene.hypervisors[1].encap_ip or 0]]
    assert not scene.fabric.send(scene.blue.web1, to=scene.blue.log1).tunnels


@pytest.mark.parametrize("destination", [BROADCAST, MULTICAST])
def test_group_frames_reach_each_member_once_and_cross_each_tunnel_once(
        scene: Scene, destination: Mac) -> None:
    red, site = scene.red, scene.site
    more = [site.port(red.network, f"more{number}", 20 + number) for number in range(3)]
    for port in more:
        site.plug(port, scene.hypervisors[1])
    ip = red.web1.fixed_ips[0].ip_address
    sent = scene.fabric.send(red.web1, udp(red.web1.mac, destination, ip, ip))
    assert sent.reaches(red.log1, red.db1, *more)
    assert len(sent.tunnels) == 1, "once per chassis, and none to one without members"


def test_broadcast_from_a_chassis_without_neighbours_stays_there(scene: Scene) -> None:
    site, fabric = scene.site, scene.fabric
    green = site.network("green")
    alone = site.port(green, "alone", 11)
    site.plug(alone, scene.hypervisors[2])
    assert fabric.flood(alone).reaches_nobody
    assert not fabric.flood(alone).tunnels


def test_unknown_unicast_dies_under_port_security_and_floods_without(scene: Scene) -> None:
    red = scene.red
    ip = red.web1.fixed_ips[0].ip_address
    assert scene.fabric.send(red.web1, udp(red.web1.mac, NOBODY, ip, ip)).reaches_nobody
    lax = tenant(scene.site, "lax", scene.hypervisors, secure=False)
    sent = scene.fabric.send(lax.web1, ethernet(lax.web1.mac, NOBODY, ETHERTYPE_IPV6))
    assert sent.reaches(lax.log1, lax.db1)
    assert not sent.reaches(lax.log1, lax.db1, red.log1)


def test_a_tagged_frame_goes_nowhere_whoever_sends_it(scene: Scene) -> None:
    lax = tenant(scene.site, "lax", scene.hypervisors, secure=False)
    frame = udp(lax.web1.mac, BROADCAST, *[lax.web1.fixed_ips[0].ip_address] * 2)
    assert scene.fabric.send(lax.web1, frame).reaches(lax.log1, lax.db1)
    for vlan in (0, 1, 4094):
        assert scene.fabric.send(lax.web1, tagged(frame, vlan)).reaches_nobody


def test_moving_an_interface_moves_its_traffic(scene: Scene) -> None:
    red, fabric = scene.red, scene.fabric
    scene.site.move(red.db1, scene.hypervisors[2])
    sent = fabric.send(red.web1, to=red.db1)
    assert sent.reaches(red.db1)
    assert sent.tunnels[0].destination == int(scene.hypervisors[2].encap_ip or 0)
    assert not fabric.send(red.web1, to=red.db1).reaches(scene.blue.db1)
    assert fabric.send(scene.blue.web1, to=scene.blue.db1).reaches(scene.blue.db1)


@pytest.mark.parametrize("side", ["sender", "receiver", "network"])
def test_what_is_administratively_down_neither_sends_nor_receives(
        scene: Scene, side: str) -> None:
    red, site = scene.red, scene.site
    down = {"sender": red.web1, "receiver": red.db1, "network": red.network}[side]
    site.update(down, admin_state_up=False)
    assert scene.fabric.send(red.web1, to=red.db1).reaches_nobody
    assert scene.fabric.send(scene.blue.web1, to=scene.blue.db1).reaches(scene.blue.db1)
    site.update(down, admin_state_up=True)
    assert scene.fabric.send(red.web1, to=red.db1).reaches(red.db1)


def test_an_interface_without_a_port_is_cut_off(scene: Scene) -> None:
    red = scene.red
    frame = udp(red.web1.mac, BROADCAST, *[red.web1.fixed_ips[0].ip_address] * 2)
    assert scene.fabric.send_from("hv1", 999, frame).reaches_nobody


def test_the_interface_may_come_before_the_port(scene: Scene) -> None:
    site, red = scene.site, scene.red
    late = site.port(red.network, "late", 30)
    site.delete(late)
    site.plug(late, scene.hypervisors[2])
    assert scene.fabric.send(red.web1, to=late).reaches_nobody
    late = site.port(red.network, "late", 30)
    assert scene.fabric.send(red.web1, to=late).reaches(late)


def test_a_number_is_not_reused_while_a_switch_that_knows_it_is_away(
        scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the absent switch would go on sending red's frames into the network that follows."""
    site, fabric, red = scene.site, scene.fabric, scene.red
    for pool in ("network", "segment"):
        monkeypatch.setitem(numbers.POOLS, pool, 2)
    frame = udp(red.web1.mac, BROADCAST, *[red.web1.fixed_ips[0].ip_address] * 2)
    fabric.disconnect("hv1")
    site.delete(red.web1, red.log1, red.db1, red.nas1, red.network)
    assert fabric.send_from("hv1", 1, frame).tunnels, "the absent switch still sends"
    with pytest.raises(PoolExhausted):
        site.network("green")
    fabric.reconnect("hv1")
    assert fabric.send_from("hv1", 1, frame).reaches_nobody
    assert site.network("green").key == red.network.key
