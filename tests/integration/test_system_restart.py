"""Sudden deaths and absences: of the controller, of a switch, of a database, of a link."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator

import pytest

from tests.integration.system import ApiError, Cloud, Lab, Pair, eventually, losers, rules

pytestmark = pytest.mark.root

HOMES = {11: "hv1", 12: "hv2", 13: "hv3"}
SEED = 20240711


@pytest.fixture(scope="module")
def tenants(lab: Lab) -> Iterator[Cloud]:
    with Cloud.opened(lab) as cloud:
        cloud.tenant("red", {**HOMES, 14: "hv1"})
        cloud.tenant("blue", HOMES)
        cloud.await_active()
        assert cloud.unanswered() == set()
        lab.await_realised()
        yield cloud


def away_from(cloud: Cloud, name: str) -> list[Pair]:
    """The pairs that have nothing to do with one hypervisor."""
    there = {machine.vm for tenant in cloud.tenants for machine in tenant.machines.values()
             if machine.home is cloud.hv[name]}
    return [pair for pair in cloud.pairs if not there & set(pair)]


def test_killed_controller_costs_no_packet_and_no_rule(lab: Lab, tenants: Cloud) -> None:
    before = lab.rules()
    with tenants.pinging() as results:
        time.sleep(0.3)
        lab.controller.kill()
        time.sleep(1)
        lab.controller.restart()
        lab.await_realised()
        tenants.await_active()
        time.sleep(0.5)
    assert sum(result.sent for result in results.values()) > 1000
    assert losers(results) == {}
    assert {name: one["sent"] for name, one in lab.switches().items()} == dict.fromkeys(
        lab.hypervisors, 0)
    assert lab.rules() == before


def test_changes_made_while_the_controller_was_dead_are_found(lab: Lab, tenants: Cloud) -> None:
    red = tenants.tenants[0]
    machine = red.machine(21)
    lab.await_realised()
    lab.controller.kill()
    machine.plug(tenants.hv["hv2"])
    gone = red.machines[14]
    gone.unplug()
    lab.controller.restart()
    lab.await_realised()
    # ovsdb-server waits up to 8 s (its own limit) before it connects again.
    took = eventually(lambda: (machine.status, gone.status) == ("ACTIVE", "DOWN"), 10, "changes")
    print(f"known {took:.1f} s after the start")
    assert tenants.unanswered() == set()
    gone.plug(tenants.hv["hv1"])
    machine.unplug()
    tenants.await_active()
    assert tenants.unanswered() == set()


def test_no_acknowledged_write_is_lost(lab: Lab, tenants: Cloud) -> None:
    """Kill -9 at random moments of bulk creates and deletes, while tenants ping."""
    moment = random.Random(SEED)
    red, blue = tenants.tenants
    before = lab.rules()
    acknowledged: set[str] = set()
    deleted: set[str] = set()
    with tenants.pinging() as results:
        for _ in range(2):
            kill_while_writing(lab, tenants, moment.uniform(0.15, 1.0), acknowledged, deleted)
            found = {port["id"] for port in red.api.find("port", name="burst")}
            assert acknowledged - deleted <= found
            assert not deleted & found
            assert len(found - acknowledged) % 10 == 0, "half of a bulk create"
    assert acknowledged and deleted
    assert losers(results) == {}
    lab.await_realised()
    assert lab.rules() == before  # None of these ports is plugged anywhere.
    for port in red.api.find("port", name="burst"):
        red.api.delete("port", port["id"])


def kill_while_writing(lab: Lab, cloud: Cloud, after: float, acknowledged: set[str],
                       deleted: set[str]) -> None:
    red = cloud.tenants[0]
    body = {"network_id": red.network["id"], "name": "burst"}
    dead = threading.Event()

    def write() -> None:
        while not dead.is_set():
            try:
                ports = red.api.create_many("port", [body] * 10)
                acknowledged.update(port["id"] for port in ports)
                red.api.delete("port", ports[0]["id"])
                deleted.add(ports[0]["id"])
            except (OSError, ApiError, ValueError):
                if not dead.wait(0.05):
                    continue
            except Exception:
                if not dead.is_set():
                    raise

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(after)
    lab.controller.kill()
    dead.set()
    writer.join()
    # What was being deleted when the controller died may be there or not: it was not answered.
    lab.controller.restart()
    lab.await_realised()


def test_killed_switch_is_filled_again(lab: Lab, tenants: Cloud) -> None:
    hv3 = tenants.hv["hv3"]
    before = rules(hv3)
    with tenants.pinging(away_from(tenants, "hv3")) as results:
        hv3.kill_vswitchd()
        hv3.restart_vswitchd()
        eventually(lambda: rules(hv3) == before, 10, "rules of hv3")
        eventually(lambda: not tenants.unanswered(), 5, "pings")
    tenants.await_active()
    assert results
    assert losers(results) == {}


def test_killed_database_disturbs_nobody(lab: Lab, tenants: Cloud) -> None:
    hv2 = tenants.hv["hv2"]
    before, sent = lab.rules(), {name: one["sent"] for name, one in lab.switches().items()}
    with tenants.pinging() as results:
        hv2.kill_database()
        time.sleep(0.5)
        hv2.restart_database()
        machine = tenants.tenants[0].machine(22, hv2)
        eventually(lambda: machine.status == "ACTIVE", 15, "new port on hv2")
        machine.unplug()
        eventually(lambda: machine.status == "DOWN", 5, "port is down")
        lab.await_realised()
    assert lab.rules() == before
    others = away_from(tenants, "hv2")
    assert losers(results, others, spared=10) == {}
    # In user space ovs-vswitchd forwards in the thread that looks for its database: up to a
    # second of silence is its own.
    assert max(result.silence for result in results.values()) < 2
    assert lab.switches()["hv1"]["sent"] - sent["hv1"] < 20


def test_hypervisor_without_its_controller_goes_on(lab: Lab, tenants: Cloud) -> None:
    """The management link is cut, changes are made meanwhile, the link returns."""
    red, blue = tenants.tenants
    hv3, since = tenants.hv["hv3"], lab.written()
    waited: list[float] = []
    pairs, switched = tenants.pairs, red.machine(24, tenants.hv["hv1"])
    tenants.await_active()
    lab.await_realised()
    with tenants.pinging(pairs) as results:
        hv3.set_management(up=False)
        for _ in range(4):  # From the very first moment on, nobody may hang on it.
            begun = time.monotonic()
            red.api.update("port", switched.port["id"], wait="realised",
                           admin_state_up=len(waited) % 2 == 1)
            waited.append(time.monotonic() - begun)
        added = red.machine(23, tenants.hv["hv1"])
        eventually(lambda: lab.switches()["hv3"]["connected"] is False, 20, "hv3 is missed")
        assert lab.switches()["hv3"]["pending"] is True
        eventually(lambda: added.status == "ACTIVE", 2, "ACTIVE without hv3")
        assert red.machines[13].status == "ACTIVE"
        begun = time.monotonic()
        red.api.update("port", added.port["id"], wait="realised", name="renamed")
        assert time.monotonic() - begun < 1
        hv3.set_management(up=True)
        lab.await_realised(20)
    print("writes waited", waited)
    assert max(waited) < 12
    assert losers(results, spared=10) == {}
    assert tenants.unanswered() == set()  # Also from and to the one that was added.
    assert f"{hv3.management}:" in lab.log(since)
    added.unplug()
    switched.unplug()


def test_hypervisor_without_underlay_returns(lab: Lab, tenants: Cloud) -> None:
    hv3 = tenants.hv["hv3"]
    others = away_from(tenants, "hv3")
    mine = [pair for pair in tenants.pairs if pair not in others]
    with tenants.pinging(others) as results:
        hv3.set_underlay(up=False)
        assert tenants.unanswered(mine) == set(mine)
        hv3.set_underlay(up=True)
        eventually(lambda: not tenants.unanswered(mine), 10, "pings of hv3")
    assert losers(results) == {}
