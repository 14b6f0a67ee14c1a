"""What br-int has to be, and that the repairs of any damage lead there and nowhere else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ovsdb_peer import IDS, Database

from controller.southbound.ovsdb.desired import (
    Desired, RepairKind, datapath_id_of, desired_configuration, repairs, transaction)
from controller.southbound.ovsdb.replica import Replica
from controller.southbound.ovsdb.settings import read_settings

TARGET = "tcp:10.0.0.1:6653"


def desired_of(database: Database, target: str = TARGET) -> Desired:
    root = replica_of(database).root()
    assert root is not None
    return desired_configuration(read_settings(*root), target)


def replica_of(database: Database) -> Replica:
    replica = Replica()
    replica.apply(database.dump())
    return replica


def repair(database: Database) -> list[RepairKind]:
    """One round: what was found, and done in one transaction."""
    found = repairs(replica_of(database), desired_of(database)).repairs
    if found:
        name, *operations = transaction(found)
        assert name == "Open_vSwitch"
        database.transact(operations)
    return [each.kind for each in found]


def ready(**external_ids: str) -> Database:
    database = Database({**IDS, **{key.replace("_", "-"): value
                                   for key, value in external_ids.items()}})
    repair(database)
    return database


def other_bridge(database: Database, name: str = "br-ex", port: str = "own0") -> None:
    uuid = database.uuid()
    bridges = database.rows["Open_vSwitch"][database.root]["bridges"]
    database.change("Bridge", uuid, name=name, ports=set())
    database.change("Open_vSwitch", database.root, bridges=bridges | {uuid})
    database.plug(port, name)


def test_desired_configuration() -> None:
    database = Database({**IDS, "tenet-encap-type": "vxlan,geneve,gre"})
    desired = desired_of(database)
    assert desired.datapath_type == "netdev" and desired.fail_mode == "secure"
    assert dict(desired.controller) == {
        "target": TARGET, "connection_mode": "out-of-band", "inactivity_probe": 5000,
        "max_backoff": 1000}
    assert {tunnel.name: dict(tunnel.options) for tunnel in desired.tunnels} == {
        "tenet-vxlan": {"remote_ip": "flow", "key": "flow", "local_ip": "172.31.0.1",
                        "csum": "false"},
        "tenet-geneve": {"remote_ip": "flow", "key": "flow", "local_ip": "172.31.0.1",
                         "csum": "false"},
        "tenet-gre": {"remote_ip": "flow", "key": "flow", "local_ip": "172.31.0.1"}}
    kernel = desired_of(Database({**IDS, "tenet-datapath-type": "system"}))
    assert dict(kernel.tunnels[0].options)["csum"] == "true"
    assert len({tunnel.ofport for tunnel in desired.tunnels}) == 3


def test_the_datapath_id_follows_from_the_system_id_alone() -> None:
    assert datapath_id_of("a") == 0xCA978112CA1BBDCA  # Written down: it must never change.
    ids = {datapath_id_of(f"chassis-{number}") for number in range(10_000)}
    assert len(ids) == 10_000 and all(0 < id < 1 << 64 for id in ids)
    assert desired_of(Database()).other_config["datapath-id"] == (
        f"{datapath_id_of(IDS['system-id']):016x}")


def test_setting_up_is_one_transaction_and_then_there_is_nothing_to_do() -> None:
    database = Database({**IDS, "tenet-encap-type": "vxlan,gre"})
    assert repair(database) == [
        RepairKind.BRIDGE_MISSING, RepairKind.CONTROLLER_CHANGED,
        RepairKind.TUNNEL_MISSING, RepairKind.TUNNEL_MISSING]
    assert repair(database) == []
    assert database.names("Port") == {"br-int", "tenet-vxlan", "tenet-gre"}
    bridge = database.rows["Bridge"][database.named("Bridge", "br-int")]
    assert bridge["fail_mode"] == "secure" and len(bridge["controller"]) == 1


def change(table: str, name: str, **values: object) -> Callable[[Database], object]:
    return lambda database: database.change(table, database.named(table, name), **values)


def change_controller(**values: object) -> Callable[[Database], object]:
    return lambda database: [database.change("Controller", uuid, **values)
                             for uuid in list(database.rows["Controller"])]


def second_controller(database: Database) -> None:
    uuid, bridge = database.uuid(), database.named("Bridge", "br-int")
    database.change("Controller", uuid, target="tcp:6.6.6.6:6653")
    database.change("Bridge", bridge,
                    controller=database.rows["Bridge"][bridge]["controller"] | {uuid})


def delete_bridge(database: Database) -> None:
    root = database.rows["Open_vSwitch"][database.root]
    root["bridges"] = root["bridges"] - {database.named("Bridge", "br-int")}
    database.collect()


def bond(database: Database) -> None:
    port = database.named("Port", "tenet-vxlan")
    second = database.uuid()
    database.change("Interface", second, name="tap7")
    database.change("Port", port,
                    interfaces=database.rows["Port"][port]["interfaces"] | {second})


DAMAGE: list[tuple[Callable[[Database], object], RepairKind, str]] = [
    (delete_bridge, RepairKind.BRIDGE_MISSING, "bridge br-int was missing"),
    (change("Bridge", "br-int", fail_mode="standalone"), RepairKind.BRIDGE_CHANGED,
     "bridge br-int: fail_mode was 'standalone'"),
    (change("Bridge", "br-int", fail_mode=None), RepairKind.BRIDGE_CHANGED,
     "bridge br-int: fail_mode was unset"),
    (change("Bridge", "br-int", datapath_type="system"), RepairKind.BRIDGE_CHANGED,
     "bridge br-int: datapath_type was 'system'"),
    (change("Bridge", "br-int", protocols=set()), RepairKind.BRIDGE_CHANGED,
     "bridge br-int: OpenFlow13 was not among its protocols"),
    (change("Bridge", "br-int", other_config={"datapath-id": "00" * 8}),
     RepairKind.BRIDGE_CHANGED, "bridge br-int: other_config lacked datapath-id, disable-in-band"),
    (lambda database: database.unplug("br-int"), RepairKind.LOCAL_PORT_MISSING,
     "port br-int was missing"),
    (change("Bridge", "br-int", controller=set()), RepairKind.CONTROLLER_CHANGED,
     "the controller was unset"),
    (second_controller, RepairKind.CONTROLLER_CHANGED,
     "the controller was 'tcp:10.0.0.1:6653, tcp:6.6.6.6:6653'"),
    (change_controller(target="tcp:6.6.6.6:6653"), RepairKind.CONTROLLER_CHANGED,
     "the controller was 'tcp:6.6.6.6:6653'"),
    (change_controller(max_backoff=None), RepairKind.CONTROLLER_CHANGED,
     "the controller's max_backoff was unset"),
    (lambda database: database.unplug("tenet-vxlan"), RepairKind.TUNNEL_MISSING,
     "tunnel port tenet-vxlan was missing"),
    (change("Interface", "tenet-vxlan", type="gre"), RepairKind.TUNNEL_CHANGED,
     "tunnel port tenet-vxlan: type was 'gre'"),
    (change("Interface", "tenet-vxlan", options={}), RepairKind.TUNNEL_CHANGED,
     "tunnel port tenet-vxlan: options was {}"),
    (change("Interface", "tenet-vxlan", ofport_request=7), RepairKind.TUNNEL_CHANGED,
     "tunnel port tenet-vxlan: ofport_request was 7"),
    (bond, RepairKind.TUNNEL_CHANGED, "tunnel port tenet-vxlan was another kind of port"),
]


@pytest.mark.parametrize(("damage", "kind", "reason"), DAMAGE, ids=[each[2] for each in DAMAGE])
def test_each_damage_is_named_and_ended(
    damage: Callable[[Database], object], kind: RepairKind, reason: str
) -> None:
    database = ready()
    damage(database)
    found = repairs(replica_of(database), desired_of(database)).repairs
    assert (found[0].kind, found[0].reason) == (kind, reason)
    repair(database)
    assert repair(database) == []


@given(st.lists(st.sampled_from(DAMAGE), max_size=4), st.booleans())
def test_any_damage_is_ended_in_one_transaction_and_nothing_else_is_touched(
    damages: list[tuple[Callable[[Database], object], RepairKind, str]], plugged: bool
) -> None:
    database = ready()
    other_bridge(database)
    if plugged:
        database.plug("tap0", external_ids={"iface-id": "port"})

    def others() -> object:
        return copy.deepcopy([database.rows["Bridge"][database.named("Bridge", "br-ex")],
                              database.rows["Port"][database.named("Port", "own0")]])

    before = others()
    for damage, _, _ in damages:
        try:
            damage(database)
        except StopIteration:
            pass  # An earlier damage took what this one would have changed.
    if plugged and "tap0" in database.names("Port"):
        before_port = database.named("Port", "tap0")
    else:
        before_port = None
    repair(database)
    assert repair(database) == []
    assert others() == before
    if before_port is not None:
        assert database.named("Port", "tap0") == before_port


def test_a_name_held_elsewhere_is_a_problem_and_the_rest_is_done() -> None:
    database = Database({**IDS, "tenet-encap-type": "vxlan,gre"})
    other_bridge(database, port="tenet-vxlan")
    repair(database)
    found = repairs(replica_of(database), desired_of(database))
    assert found.repairs == () and len(found.problems) == 1
    assert "tenet-vxlan" in found.problems[0]
    assert "tenet-gre" in database.names("Port")


def test_a_port_named_as_the_bridge_elsewhere_stops_the_set_up() -> None:
    database = Database()
    other_bridge(database, port="br-int")
    found = repairs(replica_of(database), desired_of(database))
    assert found.repairs == () and "cannot make that bridge" in found.problems[0]


def test_no_longer_announced() -> None:
    database = ready(tenet_encap_type="vxlan,gre")
    root = database.rows["Open_vSwitch"][database.root]
    database.change("Open_vSwitch", database.root,
                    external_ids={**root["external_ids"], "tenet-encap-type": "gre"})
    assert repair(database) == [RepairKind.TUNNEL_UNWANTED]
    assert database.names("Port") == {"br-int", "tenet-gre"}
    assert repair(database) == []


def test_foreign_ports_and_keys_stay() -> None:
    database = ready()
    database.plug("by-hand")
    bridge = database.named("Bridge", "br-int")
    config = database.rows["Bridge"][bridge]["other_config"]
    database.change("Bridge", bridge, other_config={**config, "mac-aging-time": "60"},
                    protocols={"OpenFlow13", "OpenFlow15"})
    assert repair(database) == []


def test_the_transaction_says_why() -> None:
    found = repairs(replica_of(Database()), desired_of(Database())).repairs
    comment = json.loads(json.dumps(transaction(found)))[-1]
    assert comment["op"] == "comment" and "bridge br-int was missing" in comment["comment"]


def test_an_empty_database_is_a_problem() -> None:
    assert repairs(Replica(), desired_of(Database())).problems
