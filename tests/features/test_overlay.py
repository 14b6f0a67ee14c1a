"""Which tunnel carries a frame, and what a tunnel may bring in."""

from __future__ import annotations

import pytest

from controller.testing.fake_fabric import FakeFabric
from controller.testing.fake_switch import Tunnel
from controller.testing.packets import BROADCAST, udp
from controller.testing.site import FIRST_TUNNEL_PORT, Site
from tests.features.conftest import Scene, tenant

PORT_OF = {name: FIRST_TUNNEL_PORT + at for at, name in enumerate(("vxlan", "geneve", "gre"))}


def _used(site: Site, fabric: FakeFabric, network_type: str, here: tuple[str, ...],
          there: tuple[str, ...]) -> str | None:
    ends = site.chassis("hv1", types=here), site.chassis("hv2", types=there)
    one = tenant(site, "red", ends, network_type=network_type)
    sent = fabric.send(one.web1, to=one.db1)
    ports = [out.port for trace in sent.traces for out in trace.sent if out.tunnel]
    assert sent.reaches(one.db1) == bool(ports)
    return next((name for name, port in PORT_OF.items() if port in ports), None)


@pytest.mark.parametrize(("network_type", "here", "there", "expected"), [
    ("vxlan", ("vxlan",), ("vxlan",), "vxlan"),
    ("gre", ("vxlan", "geneve", "gre"), ("gre", "vxlan"), "gre"),
    ("vxlan", ("vxlan", "geneve"), ("geneve",), "geneve"),
    ("vxlan", ("vxlan",), ("geneve",), None),
    ("local", ("vxlan",), ("vxlan",), None),
])
def test_a_network_travels_in_its_own_type_else_in_a_shared_one(
        site: Site, fabric: FakeFabric, network_type: str, here: tuple[str, ...],
        there: tuple[str, ...], expected: str | None) -> None:
    assert _used(site, fabric, network_type, here, there) == expected


def test_both_ends_need_the_tunnel_port_and_not_only_the_wish(
        site: Site, fabric: FakeFabric) -> None:
    """hv2 offers vxlan, but its bridge has no vxlan port (yet): the pair uses geneve."""
    ends = (site.chassis("hv1", types=("vxlan", "geneve")),
            site.chassis("hv2", types=("vxlan", "geneve"),
                         tunnel_ports=(("geneve", PORT_OF["geneve"]),)))
    one = tenant(site, "red", ends)
    assert fabric.send(one.web1, to=one.db1).reaches(one.db1)
    assert fabric.send(one.db1, to=one.web1).reaches(one.web1)


def _inject(scene: Scene, source: int, segment: int) -> int:
    frame = udp(scene.red.web1.mac, BROADCAST, *[scene.red.web1.fixed_ips[0].ip_address] * 2)
    switch = scene.fabric.switches["hv2"]
    trace = switch.trace(PORT_OF["vxlan"], frame,
                         Tunnel(segment, int(scene.hypervisors[1].encap_ip or 0), source))
    assert not [sent for sent in trace.sent if sent.tunnel], "split horizon"
    return len(trace.sent)


def test_only_known_chassis_may_send_and_only_known_segments_arrive(scene: Scene) -> None:
    peer = int(scene.hypervisors[0].encap_ip or 0)
    segment = scene.red.network.segmentation_id or 0
    assert _inject(scene, peer, segment) == 1
    assert _inject(scene, peer + 99, segment) == 0, "a stranger on the underlay"
    assert _inject(scene, int(scene.hypervisors[2].encap_ip or 0), segment) == 0, \
        "a chassis that shares no network"
    assert _inject(scene, peer, 4242) == 0, "an unknown segment"
