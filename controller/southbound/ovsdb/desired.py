"""What br-int has to look like, and what to do where it does not.

Owns the decision, not the doing: `desired_configuration` says what must be, `repairs` compares it
with the rows and gives typed operations with their reasons, `transaction` puts them into one.
Everything here is pure. br-int is wholly ours; of other bridges not even a name is touched, so
what would need that is refused and told as a problem.

The one idea: setting up is repairing a bridge that is missing.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.southbound.ovsdb.replica import Replica, Row
from controller.southbound.ovsdb.settings import INTEGRATION_BRIDGE, Settings

OPENFLOW = "OpenFlow13"
# 1.0 as well, so that ovs-ofctl without options works on the hypervisor.
PROTOCOLS = ("OpenFlow10", OPENFLOW)
PORT_PREFIX = "tenet-"
# The same number on each chassis, and the same one after ovs-vswitchd has restarted.
TUNNEL_OFPORTS = {"vxlan": 65000, "geneve": 65001, "gre": 65002}

Operation = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A flow-based tunnel port: peer and key come from the rules."""

    type: str
    options: tuple[tuple[str, str], ...]
    ofport: int

    @property
    def name(self) -> str:
        return PORT_PREFIX + self.type


@dataclass(frozen=True, slots=True)
class Desired:
    datapath_type: str
    datapath_id: int
    controller: tuple[tuple[str, Any], ...]
    tunnels: tuple[Tunnel, ...]
    fail_mode: str = "secure"

    @property
    def other_config(self) -> dict[str, str]:
        return {"datapath-id": f"{self.datapath_id:016x}", "disable-in-band": "true"}


class RepairKind(enum.Enum):
    BRIDGE_MISSING = "bridge missing"
    BRIDGE_CHANGED = "bridge changed"
    LOCAL_PORT_MISSING = "local port missing"
    CONTROLLER_CHANGED = "controller changed"
    TUNNEL_MISSING = "tunnel port missing"
    TUNNEL_CHANGED = "tunnel port changed"
    TUNNEL_UNWANTED = "tunnel port unwanted"


@dataclass(frozen=True, slots=True)
class Repair:
    """One deviation, in words for the log, and the OVSDB operations that end it."""

    kind: RepairKind
    reason: str
    operations: tuple[Operation, ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    repairs: tuple[Repair, ...]
    problems: tuple[str, ...]


def datapath_id_of(system_id: str) -> int:
    """The same chassis always has the same datapath id, whatever ports its bridge holds."""
    return int.from_bytes(hashlib.sha256(system_id.encode()).digest()[:8], "big") or 1


def desired_configuration(settings: Settings, openflow_target: str) -> Desired:
    return Desired(
        datapath_type=settings.datapath_type,
        datapath_id=datapath_id_of(settings.system_id),
        controller=(
            ("connection_mode", "out-of-band"),
            ("inactivity_probe", 5000),
            ("max_backoff", 1000),
            ("target", openflow_target),
        ),
        tunnels=tuple(_tunnel(settings, encap) for encap in settings.encap_types),
    )


def _tunnel(settings: Settings, encap: str) -> Tunnel:
    """The outer UDP checksum is on in the kernel: network cards check it, and can then merge
    segments by it. User space would compute it over each whole frame, for what the inner
    checksum proves already. In GRE it would be four bytes more in each header: off.
    """
    options = {"remote_ip": "flow", "key": "flow", "local_ip": settings.encap_ip}
    if encap != "gre":
        options["csum"] = "true" if settings.datapath_type == "system" else "false"
    return Tunnel(encap, tuple(sorted(options.items())), TUNNEL_OFPORTS[encap])


def repairs(replica: Replica, desired: Desired) -> Diagnosis:
    """Everything that separates the rows from what is desired. Nothing when they agree."""
    root = replica.root()
    if root is None:
        return Diagnosis((), ("the database has no row in Open_vSwitch",))
    found: list[Repair] = []
    problems: list[str] = []
    bridge = replica.named("Bridge", INTEGRATION_BRIDGE)
    ports: frozenset[str] = bridge[1]["ports"] if bridge else frozenset()
    if _held_elsewhere(replica, INTEGRATION_BRIDGE, ports):
        problems.append(f"another bridge or bond has a port or interface named "
                        f"{INTEGRATION_BRIDGE}: cannot make that bridge")
        if bridge is None:
            return Diagnosis((), tuple(problems))
    if bridge is None:
        found.append(_create_bridge(desired, root[0]))
        found.append(_set_controller(desired, "its controller was unset"))
    else:
        found += _bridge_repairs(replica, desired, bridge[1])
        found += _controller_repairs(replica, desired, bridge[1])
    for tunnel in desired.tunnels:
        if _held_elsewhere(replica, tunnel.name, ports):
            problems.append(f"another bridge or bond has a port or interface named "
                            f"{tunnel.name}: no {tunnel.type} tunnels")
        else:
            found += _tunnel_repairs(replica, tunnel)
    found += _unwanted_tunnels(replica, desired, ports)
    return Diagnosis(tuple(found), tuple(problems))


def transaction(chosen: tuple[Repair, ...], database: str = "Open_vSwitch") -> list[Any]:
    """The parameters of one `transact`: all of the repairs, or none."""
    operations = [operation for repair in chosen for operation in repair.operations]
    comment = "tenet: " + "; ".join(repair.reason for repair in chosen)
    return [database, *operations, {"op": "comment", "comment": comment[:1000]}]


# The bridge


def _create_bridge(desired: Desired, root_uuid: str) -> Repair:
    bridge = {
        "name": INTEGRATION_BRIDGE,
        "ports": ["named-uuid", "local_port"],
        "fail_mode": desired.fail_mode,
        "datapath_type": desired.datapath_type,
        "protocols": _set(PROTOCOLS),
        "other_config": _map(desired.other_config),
    }
    return Repair(RepairKind.BRIDGE_MISSING, f"bridge {INTEGRATION_BRIDGE} was missing", (
        *_insert_port("local", INTEGRATION_BRIDGE, {"type": "internal"}),
        {"op": "insert", "table": "Bridge", "uuid-name": "bridge", "row": bridge},
        {"op": "mutate", "table": "Open_vSwitch",
         "where": [["_uuid", "==", ["uuid", root_uuid]]],
         "mutations": [["bridges", "insert", ["named-uuid", "bridge"]]]},
    ))


def _bridge_repairs(replica: Replica, desired: Desired, bridge: Row) -> Iterator[Repair]:
    changed: dict[str, Any] = {}
    reasons = []
    for column in ("fail_mode", "datapath_type"):
        if bridge[column] != getattr(desired, column):
            changed[column] = getattr(desired, column)
            reasons.append(f"{column} was {_shown(bridge[column])}")
    if OPENFLOW not in bridge["protocols"]:
        changed["protocols"] = _set(sorted(bridge["protocols"].union(PROTOCOLS)))
        reasons.append(f"{OPENFLOW} was not among its protocols")
    config = {**bridge["other_config"], **desired.other_config}
    if config != bridge["other_config"]:
        changed["other_config"] = _map(config)
        keys = [key for key in config if bridge["other_config"].get(key) != config[key]]
        reasons.append(f"other_config lacked {', '.join(sorted(keys))}")
    if changed:
        yield Repair(RepairKind.BRIDGE_CHANGED,
                     f"bridge {INTEGRATION_BRIDGE}: {', '.join(reasons)}",
                     (_update_bridge(changed),))
    if not (replica.named("Port", INTEGRATION_BRIDGE)
            or replica.named("Interface", INTEGRATION_BRIDGE)):
        yield Repair(RepairKind.LOCAL_PORT_MISSING,
                     f"port {INTEGRATION_BRIDGE} was missing",
                     (*_insert_port("local", INTEGRATION_BRIDGE, {"type": "internal"}),
                      _mutate_ports("insert", ["named-uuid", "local_port"])))


# The OpenFlow connection


def _controller_repairs(replica: Replica, desired: Desired, bridge: Row) -> Iterator[Repair]:
    wanted = dict(desired.controller)
    known = replica.tables["Controller"]
    rows = [(uuid, known[uuid]) for uuid in bridge["controller"] if uuid in known]
    if not rows:
        yield _set_controller(desired, "the controller was unset")
    elif len(rows) > 1 or rows[0][1]["target"] != wanted["target"]:
        targets = sorted(row["target"] for _, row in rows)
        yield _set_controller(desired, f"the controller was {_shown(', '.join(targets))}")
    else:
        uuid, row = rows[0]
        changed = {name: value for name, value in wanted.items() if row[name] != value}
        if changed:
            was = ", ".join(f"{name} was {_shown(row[name])}" for name in sorted(changed))
            yield Repair(RepairKind.CONTROLLER_CHANGED, f"the controller's {was}", (
                {"op": "update", "table": "Controller",
                 "where": [["_uuid", "==", ["uuid", uuid]]], "row": changed},))


def _set_controller(desired: Desired, reason: str) -> Repair:
    return Repair(RepairKind.CONTROLLER_CHANGED, reason, (
        {"op": "insert", "table": "Controller", "uuid-name": "controller",
         "row": dict(desired.controller)},
        _update_bridge({"controller": ["named-uuid", "controller"]})))


# Tunnel ports


def _tunnel_repairs(replica: Replica, tunnel: Tunnel) -> Iterator[Repair]:
    wanted: dict[str, Any] = {"type": tunnel.type, "options": dict(tunnel.options),
                              "ofport_request": tunnel.ofport}
    columns = {**wanted, "options": _map(wanted["options"])}
    interface = replica.named("Interface", tunnel.name)
    insert = (*_insert_port(tunnel.type, tunnel.name, columns),
              _mutate_ports("insert", ["named-uuid", f"{tunnel.type}_port"]))
    port = replica.named("Port", tunnel.name)
    if port is None:
        yield Repair(RepairKind.TUNNEL_MISSING, f"tunnel port {tunnel.name} was missing", insert)
    elif interface is None or port[1]["interfaces"] != {interface[0]}:
        yield Repair(RepairKind.TUNNEL_CHANGED,
                     f"tunnel port {tunnel.name} was another kind of port",
                     (_mutate_ports("delete", ["uuid", port[0]]), *insert))
    else:
        uuid, row = interface
        changed = [name for name in wanted if row[name] != wanted[name]]
        if changed:
            was = ", ".join(f"{name} was {_shown(row[name])}" for name in changed)
            yield Repair(RepairKind.TUNNEL_CHANGED, f"tunnel port {tunnel.name}: {was}", (
                {"op": "update", "table": "Interface",
                 "where": [["_uuid", "==", ["uuid", uuid]]],
                 "row": {name: columns[name] for name in changed}},))


def _unwanted_tunnels(
    replica: Replica, desired: Desired, ports: frozenset[str]
) -> Iterator[Repair]:
    """Tunnel ports of ours, by their names, of types that the chassis no longer announces."""
    for encap in sorted(TUNNEL_OFPORTS.keys() - {tunnel.type for tunnel in desired.tunnels}):
        port = replica.named("Port", PORT_PREFIX + encap)
        if port is not None and port[0] in ports:
            yield Repair(RepairKind.TUNNEL_UNWANTED,
                         f"tunnel port {PORT_PREFIX}{encap} is of a type no longer announced",
                         (_mutate_ports("delete", ["uuid", port[0]]),))


def _held_elsewhere(replica: Replica, name: str, ports: frozenset[str]) -> bool:
    """Whether that name is taken where we cannot have it: on another bridge, or in a bond.

    Names are unique in a database, so ours could not be made beside it.
    """
    port = replica.named("Port", name)
    if port is not None:
        return port[0] not in ports
    return replica.named("Interface", name) is not None


# OVSDB's notation


def _insert_port(prefix: str, name: str, interface: Mapping[str, Any]) -> tuple[Operation, ...]:
    return (
        {"op": "insert", "table": "Interface", "uuid-name": f"{prefix}_interface",
         "row": {"name": name, **interface}},
        {"op": "insert", "table": "Port", "uuid-name": f"{prefix}_port",
         "row": {"name": name, "interfaces": ["named-uuid", f"{prefix}_interface"]}},
    )


def _update_bridge(row: Mapping[str, Any]) -> Operation:
    return {"op": "update", "table": "Bridge",
            "where": [["name", "==", INTEGRATION_BRIDGE]], "row": row}


def _mutate_ports(mutator: str, port: list[str]) -> Operation:
    return {"op": "mutate", "table": "Bridge",
            "where": [["name", "==", INTEGRATION_BRIDGE]],
            "mutations": [["ports", mutator, port]]}


def _set(values: Any) -> list[Any]:
    return ["set", list(values)]


def _map(values: Mapping[str, str]) -> list[Any]:
    return ["map", [[key, value] for key, value in sorted(values.items())]]


def _shown(value: Any) -> str:
    """A peer's value for a log line."""
    text = "unset" if value is None else repr(dict(value) if isinstance(value, Mapping) else value)
    return text if len(text) <= 120 else text[:120] + "..."
