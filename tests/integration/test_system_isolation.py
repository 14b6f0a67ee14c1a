"""Two tenants with the same addresses: who reaches whom, and what the wire shows."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.integration.system import (
    EVERYBODY, NOBODY, Cloud, Lab, Wire, arp, drain, ethernet, is_arp, receivers, run, send, udp,
)

pytestmark = pytest.mark.root

RED = {11: "hv1", 12: "hv2", 13: "hv3", 14: "hv1"}
BLUE = {11: "hv1", 12: "hv3", 13: "hv2", 14: "hv1"}


@pytest.fixture(scope="module")
def tenants(lab: Lab) -> Iterator[Cloud]:
    with Cloud.opened(lab) as cloud:
        cloud.tenant("red", RED)
        cloud.tenant("blue", BLUE)
        cloud.await_active()
        yield cloud


def test_everyone_reaches_the_own_tenant_only(tenants: Cloud) -> None:
    assert len(tenants.pairs) == 24
    assert tenants.unanswered() == set()
    expected, seen = tenants.letters()
    assert expected.total() == 48
    assert seen == expected
    # Isolation is not the witness being blind: what it saw includes copies to everybody.
    assert sum(mark.endswith(f"{EVERYBODY}>") for _, mark in seen.elements()) == 24
    assert not any(mark.endswith(f"{NOBODY}>") for _, mark in seen)


def test_first_packet_between_hypervisors_is_answered(cloud: Cloud) -> None:
    for _ in range(3):
        cloud.tenant("fresh", {11: "hv1", 12: "hv2", 13: "hv3"})
    cloud.await_active()
    assert cloud.unanswered() == set()


def test_wire_carries_each_tenants_segment(tenants: Cloud) -> None:
    red, blue = tenants.tenants
    assert red.vni != blue.vni
    hv1, hv2, hv3 = (tenants.hv[name].underlay_address for name in ("hv1", "hv2", "hv3"))
    peers = {red.name: hv2, blue.name: hv3}  # Where 10.0.0.12 lives.
    with Wire(tenants.hv["hv1"]) as wire:
        for tenant in (red, blue):
            wire.frames()
            run(tenant.machines[11].vm, "ping", "-c3", "-i0.05", "-W2", "10.0.0.12")
            seen = [one for one in wire.tunnelled() if not is_arp(one.inner)
                    and one.inner[12:14] == b"\x08\x00"]
            assert {one.vni for one in seen} == {tenant.vni}
            assert {one.type for one in seen} == {"vxlan"}
            ways = [(one.source, one.target) for one in seen]
            assert ways.count((hv1, peers[tenant.name])) == 3
            assert ways.count((peers[tenant.name], hv1)) == 3
            assert len(ways) == 6


def test_arp_is_answered_by_the_own_hypervisor(tenants: Cloud) -> None:
    red, blue = tenants.tenants
    asker = red.machines[11]
    run(asker.vm, "ip", "neigh", "flush", "dev", "eth0")
    drain(tenants.witnesses.values())
    with Wire(tenants.hv["hv1"]) as wire:
        run(asker.vm, "ping", "-c1", "-W2", "10.0.0.12")
        assert not [one for one in wire.tunnelled() if is_arp(one.inner)]
    neighbour = run(asker.vm, "ip", "neigh", "show", "10.0.0.12")
    assert red.machines[12].mac in neighbour
    question = arp(1, "10.0.0.11", asker.mac, "10.0.0.12")[:8]  # What makes it a question.
    assert receivers(tenants, b"\x08\x06" + question) == []


def test_frames_to_unknown_macs_end_at_once(tenants: Cloud) -> None:
    """The negative of all that follows: a frame whose MAC nobody of the network owns."""
    red, blue = tenants.tenants
    source = red.machines[11]
    mark = b"to whom it may concern"
    with Wire(tenants.hv["hv1"]) as wire:
        drain(tenants.witnesses.values())
        for target, expected in (("fa:16:3e:00:00:0c", 1), ("fa:16:3e:00:00:77", 0)):
            send(tenants.witnesses[source.vm], ethernet(
                source.mac, target, 0x0800, udp("10.0.0.11", "10.0.0.12", mark)))
            time.sleep(0.3)
            assert sum(mark in one.inner for one in wire.tunnelled()) == expected
            assert receivers(tenants, mark) == ([str(red.machines[12].vm)] if expected else [])


def test_local_network_stays_on_its_hypervisor(cloud: Cloud) -> None:
    tenant = cloud.tenant("near", {11: "hv1", 12: "hv1", 13: "hv2"},
                          **{"provider:network_type": "local"})
    cloud.await_active()
    assert tenant.vni is None and tenant.network["mtu"] == 1500
    one, two, three = (tenant.machines[number].vm for number in (11, 12, 13))
    assert cloud.unanswered([(one, two), (two, one), (one, three), (three, one)]) == {
        (one, three), (three, one)}


def test_largest_packet_of_a_network_crosses_the_underlay(tenants: Cloud, lab: Lab) -> None:
    red, _ = tenants.tenants
    assert red.network["mtu"] == 1450
    size = str(red.network["mtu"] - 28)
    with Wire(tenants.hv["hv1"]) as wire:
        run(red.machines[11].vm, "ping", "-c1", "-W2", "-M", "do", "-s", size, "10.0.0.12")
        frames = [frame for frame in wire.frames() if len(frame) > 1400]
    assert frames and max(map(len, frames)) == 14 + 1500
