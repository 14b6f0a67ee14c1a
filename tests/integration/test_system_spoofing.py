"""What a port may not send, and what nobody may send into a tunnel."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from tests.integration.system import (
    Cloud, Hypervisor, Lab, arp, drain, ethernet, eventually, in_network_namespace, octets,
    receivers, run, send, udp,
)

pytestmark = pytest.mark.root

OWN, NEIGHBOUR, STRANGER = (f"fa:16:3e:00:00:{number}" for number in ("0b", "0c", "77"))
MINE, ITS, NOBODYS = "10.0.0.11", "10.0.0.12", "10.0.0.77"
ALL = "ff:ff:ff:ff:ff:ff"
IPV4, ARP, VLAN, QINQ, IPV6, MPLS, LOCAL = 0x0800, 0x0806, 0x8100, 0x88A8, 0x86DD, 0x8847, 0x88B5
MARK = b"<nobody can have sent this>"


@pytest.fixture(scope="module")
def tenants(lab: Lab) -> Iterator[Cloud]:
    with Cloud.opened(lab) as cloud:
        cloud.tenant("red", {11: "hv1", 12: "hv2", 14: "hv1"})
        cloud.tenant("blue", {11: "hv1", 12: "hv3"})
        cloud.await_active()
        assert cloud.unanswered() == set()
        yield cloud


def arrivals(cloud: Cloud, frame: bytes) -> list[str]:
    """Who receives the frame that red's first machine sends."""
    drain(cloud.witnesses.values())
    send(cloud.witnesses[cloud.tenants[0].machines[11].vm], frame)
    time.sleep(0.15)
    return receivers(cloud, MARK)


def tagged(kind: int, frame: bytes) -> bytes:
    return frame[:12] + kind.to_bytes(2, "big") + b"\x00\x01" + frame[12:]


HONEST = ethernet(OWN, NEIGHBOUR, IPV4, udp(MINE, ITS, MARK))
LIES = {
    "foreign MAC": ethernet(STRANGER, NEIGHBOUR, IPV4, udp(MINE, ITS, MARK)),
    "MAC of the neighbour": ethernet(NEIGHBOUR, ALL, IPV4, udp(MINE, ITS, MARK)),
    "broadcast as source": ethernet(ALL, NEIGHBOUR, IPV4, udp(MINE, ITS, MARK)),
    "foreign address": ethernet(OWN, NEIGHBOUR, IPV4, udp(NOBODYS, ITS, MARK)),
    "address of the neighbour": ethernet(OWN, NEIGHBOUR, IPV4, udp("10.0.0.14", ITS, MARK)),
    "no address": ethernet(OWN, NEIGHBOUR, IPV4, udp("0.0.0.0", ITS, MARK)),
    "ARP reply for the neighbour": ethernet(OWN, ALL, ARP, arp(2, "10.0.0.14", OWN, ITS, MARK)),
    "ARP reply with a foreign MAC": ethernet(OWN, ALL, ARP, arp(2, MINE, STRANGER, ITS, MARK)),
    "ARP request of another": ethernet(OWN, ALL, ARP, arp(1, NOBODYS, OWN, "10.0.0.99", MARK)),
    "ARP from a foreign MAC": ethernet(STRANGER, ALL, ARP, arp(1, MINE, OWN, "10.0.0.99", MARK)),
    "VLAN tag": tagged(VLAN, HONEST),
    "VLAN tag to everybody": tagged(VLAN, ethernet(OWN, ALL, IPV4, udp(MINE, ITS, MARK))),
    "two VLAN tags": tagged(QINQ, tagged(VLAN, HONEST)),
    "IPv6": ethernet(OWN, ALL, IPV6, MARK),
    "MPLS": ethernet(OWN, ALL, MPLS, MARK),
    "an unknown protocol": ethernet(OWN, ALL, LOCAL, MARK),
    "bridge protocol": octets("01:80:c2:00:00:00") + octets(OWN) + b"\x00\x26\x42\x42\x03" + MARK,
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_do_not_arrive(tenants: Cloud, lie: str) -> None:
    assert arrivals(tenants, LIES[lie]) == []


def test_honest_frames_arrive(tenants: Cloud) -> None:
    """The other half of the test above: the same frames, told truly."""
    red = tenants.tenants[0]
    others = sorted(str(red.machines[number].vm) for number in (12, 14))
    neighbour = str(red.machines[12].vm)
    assert arrivals(tenants, HONEST) == [neighbour]
    assert arrivals(tenants, ethernet(OWN, ALL, IPV4, udp(MINE, ITS, MARK))) == others
    assert arrivals(tenants, ethernet(OWN, "01:00:5e:00:00:05", IPV4,
                                      udp(MINE, "224.0.0.5", MARK))) == others
    asked = ethernet(OWN, ALL, ARP, arp(1, MINE, OWN, "10.0.0.99", MARK))
    assert arrivals(tenants, asked) == others  # Nobody is known there: ask everybody.
    assert arrivals(tenants, ethernet(OWN, NEIGHBOUR, ARP, arp(2, MINE, OWN, ITS, MARK))) == [
        neighbour]


def test_port_without_port_security_may_send_all_but_tags(tenants: Cloud, lab: Lab) -> None:
    red, before = tenants.tenants[0], lab.rules()
    port = red.machines[11].port["id"]
    lab.admin.update("port", port, wait="realised", port_security_enabled=False)
    try:
        # A switch forgets cached decisions a moment after it has confirmed a rule.
        eventually(lambda: arrivals(tenants, LIES["foreign MAC"]) == [str(red.machines[12].vm)], 2)
        assert arrivals(tenants, LIES["foreign address"]) == [str(red.machines[12].vm)]
        assert len(arrivals(tenants, LIES["IPv6"])) == 2
        assert arrivals(tenants, LIES["VLAN tag to everybody"]) == []
        assert arrivals(tenants, LIES["bridge protocol"]) == arrivals(tenants, LIES["MPLS"])
    finally:
        lab.admin.update("port", port, wait="realised", port_security_enabled=True)
    assert lab.rules() == before
    eventually(lambda: arrivals(tenants, LIES["foreign MAC"]) == [], 2)
    assert arrivals(tenants, LIES["IPv6"]) == []


def test_only_a_chassis_may_send_into_a_tunnel(tenants: Cloud) -> None:
    """A stranger on the underlay who knows everything: the VNI, the MACs, the addresses."""
    red = tenants.tenants[0]
    hv1, hv2, hv3 = (tenants.hv[name] for name in ("hv1", "hv2", "hv3"))
    with in_network_namespace(hv2.pid):
        underlay = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    underlay.bind((hv2.underlay_device, 0))
    inner = ethernet(NEIGHBOUR, OWN, IPV4, udp(ITS, MINE, MARK))
    # The true outer MAC: Open vSwitch in user space learns it as the neighbour's.
    source_mac, target = mac_of(hv2), mac_of(hv1)

    def arrives(source: str, vni: int, payload: bytes = inner, via: int = 4789) -> list[str]:
        drain(tenants.witnesses.values())
        vxlan = b"\x08\0\0\0" + vni.to_bytes(3, "big") + b"\0" + payload
        underlay.send(ethernet(source_mac, target, IPV4,
                               udp(source, hv1.underlay_address, vxlan, via)))
        time.sleep(0.15)
        return receivers(tenants, MARK)

    tenants.unanswered()
    with underlay:
        mine = [str(red.machines[11].vm)]
        assert arrives(hv2.underlay_address, red.vni) == mine  # It is a good forgery.
        assert arrives("172.31.0.99", red.vni) == []
        assert arrives(hv2.underlay_address, red.vni + 1000) == []
        assert arrives(hv2.underlay_address, 0) == []
        assert arrives(hv2.underlay_address, red.vni, tagged(VLAN, inner)) == []
        # To a MAC on a third chassis, or of nobody: it does not turn round into a tunnel.
        assert arrives(hv2.underlay_address, red.vni,
                       ethernet(OWN, NEIGHBOUR, IPV4, udp(MINE, ITS, MARK))) == []
        assert arrives(hv2.underlay_address, red.vni,
                       ethernet(OWN, STRANGER, IPV4, udp(MINE, ITS, MARK))) == []
    assert hv3.connected()


def mac_of(hypervisor: Hypervisor) -> str:
    """Of its end of the underlay."""
    return run(hypervisor, "cat", f"/sys/class/net/{hypervisor.underlay_device}/address").strip()
