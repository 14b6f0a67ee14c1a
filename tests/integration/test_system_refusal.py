"""A switch that refuses rules: who is told, who is not disturbed, and how it ends."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.integration.system import Cloud, Hypervisor, Lab, eventually, losers

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def tenants(lab: Lab) -> Iterator[Cloud]:
    with Cloud.opened(lab) as cloud:
        cloud.tenant("red", {11: "hv1", 12: "hv2"})
        cloud.tenant("blue", {11: "hv1", 12: "hv2"})
        cloud.await_active()
        assert cloud.unanswered() == set()
        yield cloud


@contextmanager
def full_table(one: Hypervisor, table: int) -> Iterator[None]:
    """No rule more than now in one of its tables."""
    number = sum(f" table={table}," in line for line in one.flows())
    one.vsctl("--", "--id=@full", "create", "Flow_Table", f"flow_limit={number}",
              "overflow_policy=refuse", "--", "set", "bridge", "br-int",
              f"flow_tables:{table}=@full")
    try:
        yield
    finally:
        one.vsctl("clear", "bridge", "br-int", "flow_tables")


def deliver_table(one: Hypervisor) -> int:
    """The table that puts frames out of switch ports."""
    return int(next(re.findall(r"table=(\d+)", line)[0] for line in one.flows()
                    if re.search(r"reg15=\S+ actions=output", line)))


def test_refused_rule_is_told_and_heals(lab: Lab, tenants: Cloud) -> None:
    red, blue = tenants.tenants
    hv1, hv2, since = tenants.hv["hv1"], tenants.hv["hv2"], lab.written()
    with tenants.pinging() as results:
        with full_table(hv1, deliver_table(hv1)):
            refused = red.machine(13, hv1)
            eventually(lambda: refused.status == "ERROR", 5, "ERROR")
            fine = blue.machine(13, hv2)
            eventually(lambda: fine.status == "ACTIVE", 5, "ACTIVE elsewhere")
            assert all(machine.status == "ACTIVE" for tenant in tenants.tenants
                       for machine in tenant.machines.values() if machine is not refused)
            assert lab.realised()
            problems = lab.switches()["hv1"]["problems"]
            assert len(problems) == 1 and "efuse" in problems[0]
            assert lab.switches()["hv2"]["problems"] == []
            said = [line for line in lab.log(since).splitlines() if "refuses" in line]
            assert len(said) == 1 and "deliver" in said[0], said
            renamed = red.api.update("port", refused.port["id"], name="again", wait="realised")
            assert renamed["status"] == "ERROR"
        eventually(lambda: refused.status == "ACTIVE", 12, "ACTIVE after the cause has gone")
        assert lab.switches()["hv1"]["problems"] == []
        assert tenants.unanswered() == set()
        with full_table(hv1, deliver_table(hv1)):
            again = blue.machine(14, hv1)
            eventually(lambda: again.status == "ERROR", 5, "ERROR")
            again.unplug()  # The wish goes, and the refusal with it.
            eventually(lambda: again.status == "DOWN", 5, "DOWN")
            eventually(lambda: not lab.switches()["hv1"]["problems"], 3, "no problem any more")
    assert losers(results, spared=10) == {}


def test_many_refused_rules_hold_nobody_up(lab: Lab, tenants: Cloud) -> None:
    red, blue = tenants.tenants
    hv1 = tenants.hv["hv1"]
    with full_table(hv1, deliver_table(hv1)):
        ports = red.api.create_many("port", [red.body(number) for number in range(50, 100)])
        hv1.plug_many([(port["id"], port["mac_address"]) for port in ports])
        fine = blue.machine(15, tenants.hv["hv2"])
        eventually(lambda: fine.status == "ACTIVE", 15, "ACTIVE elsewhere")
        eventually(lambda: sum(port["status"] == "ERROR" for port in red.api.find("port")) == 50,
                   15, "fifty in ERROR")
        assert tenants.unanswered() == set()
    eventually(lambda: not any(port["status"] == "ERROR" for port in red.api.find("port")), 15)
    hv1.unplug(*[port["id"] for port in ports])
    for port in ports:
        red.api.delete("port", port["id"])
    fine.unplug()
    lab.await_realised()
