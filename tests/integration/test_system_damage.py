"""Somebody damages a switch: it is repaired, the repair is logged, traffic recovers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.integration.system import Cloud, Hypervisor, Lab, eventually, rules

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def tenants(lab: Lab) -> Iterator[Cloud]:
    with Cloud.opened(lab) as cloud:
        cloud.tenant("red", {11: "hv1", 12: "hv2", 13: "hv1"})
        cloud.tenant("blue", {11: "hv1", 12: "hv3"})
        cloud.await_active()
        yield cloud


def find(hypervisor: Hypervisor, pattern: str) -> str:
    """Match of the first rule that looks like this, as ovs-ofctl takes it."""
    for line in hypervisor.flows()[1:]:
        if re.search(pattern, line):
            cookie, table = re.findall(r"cookie=(\S+?),|table=(\d+)", line)
            match = line.split("n_bytes=")[1].split(", ", 1)[1].split(" actions=")[0]
            return f"table={table[1]},{match.split('idle_age')[0].strip().strip(',')}"
    raise AssertionError(f"no rule like {pattern}")


def delete_rule(one: Hypervisor) -> None:
    one.ofctl("--strict", "del-flows", "br-int", find(one, "actions=output"))


def delete_all_rules(one: Hypervisor) -> None:
    one.ofctl("del-flows", "br-int")


def add_rule(one: Hypervisor) -> None:
    one.ofctl("add-flow", "br-int", "table=0,priority=65000,actions=NORMAL")


def add_rule_with_our_cookie(one: Hypervisor) -> None:
    cookie = re.findall(r"cookie=(0x\w+)", one.flows()[1])[0]
    one.ofctl("add-flow", "br-int", f"cookie={cookie},table=0,priority=65000,actions=drop")


def change_rule(one: Hypervisor) -> None:
    one.ofctl("--strict", "mod-flows", "br-int", find(one, r"actions=output") + ",actions=drop")


def delete_groups(one: Hypervisor) -> None:
    one.ofctl("del-groups", "br-int")


def change_group(one: Hypervisor) -> None:
    found = re.findall(r"group_id=(\d+)", one.ofctl("dump-groups", "br-int"))
    assert found
    one.ofctl("mod-group", "br-int", f"group_id={found[0]},type=all,bucket=actions=drop")


def add_group(one: Hypervisor) -> None:
    one.ofctl("add-group", "br-int", "group_id=7,type=all,bucket=actions=drop")


def unset_controller(one: Hypervisor) -> None:
    one.vsctl("del-controller", "br-int")


def set_other_controller(one: Hypervisor) -> None:
    one.vsctl("set-controller", "br-int", "tcp:127.0.0.1:6699")


def change_fail_mode(one: Hypervisor) -> None:
    one.vsctl("set-fail-mode", "br-int", "standalone")


def change_protocols(one: Hypervisor) -> None:
    one.vsctl("set", "bridge", "br-int", "protocols=OpenFlow10")


def delete_tunnel_port(one: Hypervisor) -> None:
    one.vsctl("del-port", "tenet-vxlan")


def change_tunnel_port(one: Hypervisor) -> None:
    one.vsctl("set", "interface", "tenet-vxlan", "options:remote_ip=172.31.0.77")


DAMAGES = [delete_rule, delete_all_rules, add_rule, add_rule_with_our_cookie, change_rule,
           delete_groups, change_group, add_group, unset_controller, set_other_controller,
           change_fail_mode, change_protocols, delete_tunnel_port, change_tunnel_port]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damage_is_repaired(lab: Lab, tenants: Cloud,
                            damage: Callable[[Hypervisor], None]) -> None:
    one = tenants.hv["hv1"]
    before, configured, since = rules(one), configuration(one), lab.written()
    damage(one)
    took = eventually(lambda: "repaired" in lab.log(since), 12, "the repair is logged")
    eventually(lambda: configuration(one) == configured, 5, "configuration")
    eventually(lambda: one.connected() and rules(one) == before, 5, "rules")
    print(f"{damage.__name__}: {took:.2f} s")
    assert "hv1" in lab.log(since) or one.system_id in lab.log(since)
    assert "hv2" not in lab.log(since) and "hv3" not in lab.log(since)
    eventually(lambda: not tenants.unanswered(), 3, "pings")
    lab.await_realised()


def configuration(one: Hypervisor) -> list[str]:
    """br-int as the database has it."""
    tunnel = one.vsctl("--if-exists", "get", "interface", "tenet-vxlan", "options", "ofport")
    try:
        bridge = one.vsctl("get", "bridge", "br-int", "fail_mode", "protocols", "datapath_type")
        return [one.vsctl("get-controller", "br-int"), bridge, tunnel]
    except Exception as reason:
        return [str(reason)]


def test_deleted_bridge_is_made_again(lab: Lab, tenants: Cloud) -> None:
    one, since = tenants.hv["hv1"], lab.written()
    before = rules(one)
    one.vsctl("del-br", "br-int")
    eventually(lambda: one.vsctl("list-br").split().count("br-int"), 5, "br-int")
    eventually(one.connected, 10, "connection")
    assert re.search("repaired: bridge br-int was missing", lab.log(since))
    # The interfaces went with the bridge; whoever made them makes them again.
    for tenant in tenants.tenants:
        for machine in tenant.machines.values():
            if machine.home is one:
                name = "tap" + machine.port["id"][:11]
                one.bind(name, machine.port["id"], machine.mac)
    tenants.await_active()
    lab.await_realised()
    assert len(rules(one)) == len(before)
    eventually(lambda: not tenants.unanswered(), 3, "pings")
