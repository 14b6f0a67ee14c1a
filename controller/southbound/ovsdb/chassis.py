"""From rows to a `ChassisFact`, at the cost of what changed.

Owns the interfaces of br-int as facts and the order in which they appeared. Sends nothing and
decides nothing: which of two claims to one iface-id counts is the store's matter.

The one idea: an interface is looked at again only when a change touches it, its port, or br-int's
set of ports; a thousand others cost nothing but the tuple that holds them.
"""

from __future__ import annotations

from collections.abc import Iterable

from controller.southbound.chassis_facts import ChassisFact, InterfaceChanges, InterfaceFact
from controller.southbound.ovsdb.desired import PORT_PREFIX
from controller.southbound.ovsdb.replica import Change, Replica, Row
from controller.southbound.ovsdb.settings import ENCAP_TYPES, INTEGRATION_BRIDGE, Settings

_NONE: frozenset[str] = frozenset()


class ChassisView:
    """The interfaces of one replica's br-int, kept up to date by its changes."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self._ports = _NONE
        self._port_of: dict[str, str] = {}
        self._interfaces: dict[str, InterfaceFact] = {}
        self._seen: dict[str, InterfaceFact] = {}
        self._gone: set[str] = set()
        self._first = True

    def apply(self, changes: Iterable[Change]) -> bool:
        """Follow the replica's changes; whether any interface of br-int differs now."""
        touched: dict[str, None] = {}  # A set that keeps its order.
        bridge_changed = False
        for change in changes:
            if change.table == "Interface":
                touched[change.uuid] = None
            elif change.table == "Port":
                self._follow_port(change, touched)
            elif change.table == "Bridge":
                bridge_changed = True
        if bridge_changed:
            self._follow_bridge(touched)
        return any([self._look_at(uuid) for uuid in touched])

    def waits_for_ofports(self) -> bool:
        """Whether all that is untold are interfaces that ovs-vswitchd has still to open."""
        return not self._gone and all(
            fact.ofport is None and not fact.error for fact in self._seen.values())

    def _follow_port(self, change: Change, touched: dict[str, None]) -> None:
        for uuid in change.old["interfaces"] if change.old else _NONE:
            touched[uuid] = None
            if self._port_of.get(uuid) == change.uuid:
                del self._port_of[uuid]
        for uuid in change.new["interfaces"] if change.new else _NONE:
            touched[uuid] = None
            self._port_of[uuid] = change.uuid

    def _follow_bridge(self, touched: dict[str, None]) -> None:
        bridge = self.replica.named("Bridge", INTEGRATION_BRIDGE)
        ports = bridge[1]["ports"] if bridge else _NONE
        for port in self._ports ^ ports:
            row = self.replica.tables["Port"].get(port)
            for uuid in row["interfaces"] if row else _NONE:
                touched[uuid] = None
        self._ports = ports

    def _look_at(self, uuid: str) -> bool:
        old = self._interfaces.get(uuid)
        new = None
        if self._port_of.get(uuid) in self._ports:
            new = _interface_fact(self.replica.tables["Interface"].get(uuid))
        if old == new:
            return False
        if old is not None and (new is None or new.name != old.name):
            self._gone.add(old.name)
            self._seen.pop(old.name, None)
        if new is None:
            del self._interfaces[uuid]
        else:
            if old is not None and old.iface_id != new.iface_id:
                del self._interfaces[uuid]  # A new claim goes to the end of the order.
            self._interfaces[uuid] = new
            self._seen[new.name] = new
            self._gone.discard(new.name)
        return True

    def fact(self, settings: Settings, problems: Iterable[str] = ()) -> ChassisFact:
        """The whole chassis as it is now; `changes` are those since this was last called."""
        changes = None if self._first else InterfaceChanges(
            tuple(self._seen.values()), tuple(sorted(self._gone)))
        self._first = False
        self._seen, self._gone = {}, set()
        datapath_id, tunnel_ofports, tunnel_problems = self.bridge_state()
        return ChassisFact(
            system_id=settings.system_id,
            hostname=settings.hostname,
            encap_ip=settings.encap_ip,
            encap_types=settings.encap_types,
            datapath_id=datapath_id,
            tunnel_ofports=tunnel_ofports,
            bridge_mappings=settings.bridge_mappings,
            ovs_version=settings.ovs_version,
            interfaces=tuple(self._interfaces.values()),
            problems=(*settings.problems, *problems, *tunnel_problems),
            changes=changes,
        )

    def bridge_state(self) -> tuple[int | None, tuple[tuple[str, int], ...], tuple[str, ...]]:
        """The datapath id, the tunnel ports that work, and what is wrong with the others."""
        return self._datapath_id(), *self._tunnels()

    def _datapath_id(self) -> int | None:
        """What ovs-vswitchd reports; None until it has made the bridge."""
        bridge = self.replica.named("Bridge", INTEGRATION_BRIDGE)
        try:
            return int(bridge[1]["datapath_id"] or "", 16) & (1 << 64) - 1 if bridge else None
        except ValueError:
            return None

    def _tunnels(self) -> tuple[tuple[tuple[str, int], ...], tuple[str, ...]]:
        """Port numbers of the tunnel ports on br-int, and what went wrong with the others."""
        opened, failed = [], []
        for encap in ENCAP_TYPES:
            found = self.replica.named("Interface", PORT_PREFIX + encap)
            if found is None or self._port_of.get(found[0]) not in self._ports:
                continue
            row = found[1]
            if row["ofport"] is not None and row["ofport"] > 0:
                opened.append((encap, row["ofport"]))
            elif row["error"]:
                failed.append(f"tunnel port {row['name']}: {row['error'][:200]!r}")
        return tuple(opened), tuple(failed)


def _interface_fact(row: Row | None) -> InterfaceFact | None:
    """The row as a fact, when it claims a port. A tunnel port of ours claims none."""
    iface_id = row["external_ids"].get("iface-id") if row else None
    if row is None or not iface_id or row["type"] in ENCAP_TYPES:
        return None
    return InterfaceFact(
        name=row["name"],
        ofport=row["ofport"],
        iface_id=iface_id,
        attached_mac=row["external_ids"].get("attached-mac", ""),
        error=row["error"] or "",
        type=row["type"],
        mtu=row["mtu"],
    )
