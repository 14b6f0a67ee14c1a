"""Tunnel types: chosen, mixed, changed at run time, and without a common one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.integration.system import Cloud, Lab, Wire, eventually, is_arp, run

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def tenants(lab: Lab) -> Iterator[Cloud]:
    with Cloud.opened(lab) as cloud:
        cloud.tenant("red", {11: "hv1", 12: "hv2", 13: "hv3"})
        cloud.tenant("blue", {11: "hv1", 12: "hv2"})
        cloud.await_active()
        assert cloud.unanswered() == set()
        yield cloud
        offer(lab, hv1="", hv2="", hv3="")


def offer(lab: Lab, **types: str) -> None:
    """Hypervisors announce these tunnel types; until the controller and switches agree."""
    for name, chosen in types.items():
        if chosen:
            lab.hypervisors[name].vsctl("set", "Open_vSwitch", ".",
                                        f"external_ids:tenet-encap-type={chosen}")
        else:
            lab.hypervisors[name].vsctl("remove", "Open_vSwitch", ".", "external_ids",
                                        "tenet-encap-type")
    eventually(lambda: all(
        set(lab.switches()[name]["encap_types"]) == set((chosen or "vxlan").split(","))
        for name, chosen in types.items()), 5, f"types {types}")

    def tunnels(name: str) -> set[str]:
        ports = lab.hypervisors[name].vsctl("list-ports", "br-int").split()
        return {port.removeprefix("tenet-") for port in ports if port.startswith("tenet-")}
    eventually(lambda: all(tunnels(name) == set((chosen or "vxlan").split(","))
                           for name, chosen in types.items()), 5, "tunnel ports")
    lab.await_realised()


def types_between(cloud: Cloud, source: int, target: int, tenant: int = 0) -> set[str]:
    """By which types a ping of a tenant's machines travels on the wire."""
    chosen = cloud.tenants[tenant]
    one, two = chosen.machines[source], chosen.machines[target]
    assert one.home is not None
    with Wire(one.home) as wire:
        run(one.vm, "ping", "-c2", "-i0.05", "-W2", two.address)
        seen = [frame for frame in wire.tunnelled()
                if not is_arp(frame.inner) and frame.inner[12:14] == b"\x08\x00"]
    assert {frame.vni for frame in seen} == {chosen.vni}
    return {frame.type for frame in seen}


@pytest.mark.parametrize("kind", ["geneve", "gre"])
def test_another_type(lab: Lab, tenants: Cloud, kind: str) -> None:
    before = lab.rules()
    offer(lab, hv1=kind, hv2=kind, hv3=kind)
    eventually(lambda: not tenants.unanswered(), 5, "pings")
    assert types_between(tenants, 11, 12) == {kind}
    expected, seen = tenants.letters()
    assert seen == expected
    assert all(one["problems"] == [] for one in lab.switches().values())
    offer(lab, hv1="", hv2="", hv3="")
    eventually(lambda: not tenants.unanswered(), 5, "pings")
    assert types_between(tenants, 11, 12) == {"vxlan"}
    assert lab.rules() == before


def test_without_a_common_type_others_keep_working(lab: Lab, tenants: Cloud) -> None:
    since = lab.written()
    offer(lab, hv1="geneve,vxlan", hv2="geneve", hv3="vxlan")
    red, blue = tenants.tenants
    one, two, three = (red.machines[number].vm for number in (11, 12, 13))
    cut = {(two, three), (three, two)}
    eventually(lambda: tenants.unanswered() == cut, 10, "all but the pair that is cut off")
    assert types_between(tenants, 11, 12) == {"geneve"}
    assert types_between(tenants, 11, 13) == {"vxlan"}
    switches = lab.switches()
    for name, other in (("hv2", "hv3"), ("hv3", "hv2")):
        told = [line for line in switches[name]["problems"] if "no common encapsulation" in line]
        assert len(told) == 1 and other in told[0]
    assert switches["hv1"]["problems"] == []
    assert "no common encapsulation" in lab.log(since)
    # Copies to everybody reach everybody who can be reached, once.
    expected, seen = tenants.letters()
    for source, target in cut:
        for mark in (f"<{source}:{target.IP()}>", f"<{source}:10.0.0.255>"):
            del expected[str(target), mark]
    assert seen == expected
    offer(lab, hv1="", hv2="", hv3="")
    eventually(lambda: not tenants.unanswered(), 10, "pings")
    assert all(one["problems"] == [] for one in lab.switches().values())


def test_a_network_travels_in_its_own_type_where_both_can(lab: Lab, cloud: Cloud) -> None:
    offer(lab, hv1="vxlan,geneve", hv2="vxlan,geneve", hv3="vxlan")
    tenant = cloud.tenant("own", {11: "hv1", 12: "hv2", 13: "hv3"},
                          **{"provider:network_type": "geneve"})
    cloud.await_active()
    eventually(lambda: not cloud.unanswered(), 5, "pings")
    assert types_between(cloud, 11, 12) == {"geneve"}
    assert types_between(cloud, 11, 13) == {"vxlan"}
    assert tenant.network["mtu"] == 1450
    offer(lab, hv1="", hv2="", hv3="")
    eventually(lambda: not cloud.unanswered(), 5, "pings")


def test_nonsense_is_reported_and_harms_nobody_else(lab: Lab, tenants: Cloud) -> None:
    since, hv3 = lab.written(), tenants.hv["hv3"]
    hv3.vsctl("set", "Open_vSwitch", ".", "external_ids:tenet-encap-type=carrier-pigeon")
    eventually(lambda: lab.switches()["hv3"]["problems"], 5, "a problem")
    assert "carrier-pigeon" in str(lab.switches()["hv3"]["problems"])
    assert "carrier-pigeon" in lab.log(since)
    others = [pair for pair in tenants.pairs
              if tenants.tenants[0].machines[13].vm not in pair]
    assert tenants.unanswered(others) == set()
    assert len(tenants.unanswered()) == 4
    offer(lab, hv3="")
    eventually(lambda: not tenants.unanswered(), 10, "pings")
