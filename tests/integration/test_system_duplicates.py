"""Two that claim to be one: interfaces with one port, hypervisors with one name; and status."""

from __future__ import annotations

import time

import pytest

from tests.integration.system import (
    ApiError, Cloud, Eyewitness, Lab, drain, eventually, ip, losers, received, run,
)

pytestmark = pytest.mark.root


def bound(lab: Lab, id: str) -> str:
    return str(lab.admin.get("port", id)["binding:host_id"])


def test_of_two_interfaces_with_one_port_the_newer_counts(lab: Lab, cloud: Cloud) -> None:
    red = cloud.tenant("red", {11: "hv1", 12: "hv2"})
    cloud.await_active()
    asker, claimed = red.machines[11], red.machines[12]
    twin, hv3 = cloud.guest(), cloud.hv["hv3"]
    run(asker.vm, "ping", "-c1", "-W2", claimed.address)
    name = hv3.plug(twin, claimed.port["id"], claimed.mac, f"{claimed.address}/24")
    cloud.witnesses[twin] = Eyewitness.in_guest(twin)
    eventually(lambda: bound(lab, claimed.port["id"]) == "hv3", 5)
    cloud.await_active()
    assert who_answers(cloud, asker.vm, claimed.address) == {twin}
    held = lab.rules()
    assert not [rule for rule in held["hv2"] - cloud.before["hv2"]]
    # After a restart the order in which they came is still known.
    lab.controller.kill()
    lab.controller.restart()
    lab.await_realised()
    time.sleep(1)
    assert bound(lab, claimed.port["id"]) == "hv3"
    assert lab.rules() == held
    hv3.unplug(claimed.port["id"])
    cloud.witnesses.pop(twin).close()
    eventually(lambda: bound(lab, claimed.port["id"]) == "hv2", 10)
    cloud.await_active()
    assert who_answers(cloud, asker.vm, claimed.address) == {claimed.vm}
    assert name not in hv3.vsctl("list-ports", "br-int")


def who_answers(cloud: Cloud, asker: object, address: str) -> set[object]:
    """In which guests a ping for this address arrives."""
    drain(cloud.witnesses.values())
    run(asker, "ping", "-c3", "-i0.1", "-W1", address)
    return {vm for vm, witness in cloud.witnesses.items() if vm is not asker
            and any(frame[12:14] == b"\x08\x00" and frame[34] == 8
                    for frame, _ in received(witness.frames))}


def test_port_that_asks_for_a_host_is_bound_only_there(lab: Lab, cloud: Cloud) -> None:
    red = cloud.tenant("red", {11: "hv1"})
    body = red.body(12, **{"binding:host_id": "hv2", "project_id": red.api.project_id})
    port = lab.admin.create("port", **body)
    machine = red.machine(12, cloud.hv["hv3"], port)
    lab.await_realised()
    time.sleep(0.3)
    assert machine.status == "DOWN"
    assert cloud.unanswered() == set(cloud.pairs)
    machine.move(cloud.hv["hv2"])
    eventually(lambda: machine.status == "ACTIVE", 5)
    assert cloud.unanswered() == set()
    lab.admin.update("port", port["id"], **{"binding:host_id": "hv1"}, wait="realised")
    assert machine.status == "DOWN"
    machine.move(cloud.hv["hv1"])
    eventually(lambda: machine.status == "ACTIVE", 5)
    assert cloud.unanswered() == set()


def test_second_hypervisor_with_one_system_id_is_refused(lab: Lab, cloud: Cloud) -> None:
    cloud.tenant("red", {11: "hv1", 12: "hv2", 13: "hv3"})
    cloud.await_active()
    hv2, hv3, since = cloud.hv["hv2"], cloud.hv["hv3"], lab.written()
    with cloud.pinging() as results:
        hv3.vsctl("set", "Open_vSwitch", ".", f"external_ids:system-id={hv2.system_id}")
        eventually(lambda: "another connection is chassis" in lab.log(since), 5, "refusal")
        time.sleep(1)
        assert lab.switches()["hv2"]["connected"]
        hv3.vsctl("set", "Open_vSwitch", ".", f"external_ids:system-id={hv3.system_id}")
        eventually(lambda: lab.log(since).count(f"chassis 'hv3' ('{hv3.system_id}'): connected")
                   > 0, 15, "hv3 is back")
        lab.await_realised()
    assert losers(results, spared=10) == {}
    assert lab.switches()["hv2"]["problems"] == []
    assert cloud.unanswered() == set()


def test_status_follows_what_was_asked(lab: Lab, cloud: Cloud) -> None:
    red = cloud.tenant("red")
    first = lab.admin.status()["revision"]
    machine = red.machine(11)
    assert machine.status == "DOWN"
    assert lab.admin.status()["revision"] > first
    machine.plug(cloud.hv["hv1"])
    eventually(lambda: machine.status == "ACTIVE", 5)
    port = red.api.update("port", machine.port["id"], wait="realised", name="renamed")
    assert port["status"] == "ACTIVE"
    assert port["revision_number"] > machine.port["revision_number"]
    lab.await_realised()
    status = lab.admin.status()
    assert {one["realised"] for one in status["switches"]} == {status["revision"]}
    assert {one["desired"] for one in status["switches"]} == {status["revision"]}
    with pytest.raises(ApiError) as refused:
        red.api.status()
    assert refused.value.status == 403
    # With its own hypervisor away, what is asked anew of the port is being built.
    hv1 = cloud.hv["hv1"]
    hv1.ofctl("show", "br-int")
    ip(None, f"link set {hv1.name}-mgmt down")
    try:
        eventually(lambda: not lab.switches()["hv1"]["connected"], 15)
        lab.admin.update("port", machine.port["id"], mac_address="fa:16:3e:00:00:99")
        assert machine.status == "BUILD"
        assert lab.switches()["hv1"]["pending"] is True
    finally:
        ip(None, f"link set {hv1.name}-mgmt up")
    eventually(lambda: machine.status == "ACTIVE", 15)
