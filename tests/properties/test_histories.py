"""The two invariants, over random histories.

1. What the engine holds after any history is what an engine that starts now would compute, and what
   the switches hold.
2. Every frame goes where the oracle says, and nowhere else.

While switches are away or a plan was cut off, the second becomes: never into another network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine, initialize, invariant, precondition, rule,
)

from controller.model.resources import (
    Binding, Chassis, Interface, Network, Port, Presence,
)
from controller.model.snapshot import Snapshot
from controller.pipeline.actions import Output
from controller.pipeline.rule import Rule
from controller.reconciliation.engine import Engine
from controller.store import numbers
from controller.store.numbers import PoolExhausted
from controller.store.store import everything
from controller.testing import oracle
from controller.testing.fake_fabric import FakeFabric
from controller.testing.features import load_features
from controller.testing.packets import Frame
from controller.testing.site import Site, tunnel_ports, uuid_of
from tests import strategies as our

FEATURES = load_features()
SMALL_POOLS = {"network": 3, "port": 14, "chassis": 4, "segment": 3}
Data = st.DataObject
RARELY = st.sampled_from((False, False, False, False, True))
"""Else a history tears down more than it builds, and nobody is left to talk to."""


class History(RuleBasedStateMachine):
    """Tenants, hypervisors and accidents."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for pool, last in SMALL_POOLS.items():
            self.patch.setitem(numbers.POOLS, pool, last)
        self.site = Site()
        self.fabric = FakeFabric(FEATURES, self.site.store)
        self.last_ofport = 0

    @property
    def rows(self) -> Snapshot:
        return self.site.store.snapshot

    def draw(self, data: Data, kind: type[Any], label: str = "which") -> Any:
        found = [self.rows.rows[kind, id][0]
                 for found_kind, id in self.rows.rows if found_kind is kind]
        return data.draw(st.sampled_from(sorted(found, key=lambda row: row.id)), label)

    def has(self, kind: type[Any]) -> bool:
        return any(found is kind for found, _ in self.rows.rows)

    @initialize(types=st.lists(st.sampled_from((("vxlan",), ("geneve",), ("vxlan", "gre"),
                                                our.OVERLAYS)), min_size=1, max_size=3),
                kinds=st.lists(our.network_types, min_size=1, max_size=3), data=st.data())
    def a_site_at_work(self, types: list[tuple[str, ...]], kinds: list[str], data: Data) -> None:
        """The same ports with the same addresses in each network, most of them plugged."""
        for name, offered in zip(our.CHASSIS, types, strict=False):
            self.site.chassis(name, types=offered)
        for network_name, kind in zip(our.NETWORKS, kinds, strict=False):
            network = self.site.network(network_name, kind, secure=data.draw(st.booleans()))
            for host, name in enumerate(our.PORTS[:3], 1):
                secure = data.draw(st.sampled_from((True, True, False)))
                port = self.site.port(network, name, host, secure=secure)
                where = data.draw(st.sampled_from((*our.CHASSIS[:len(types)], "")))
                if where:
                    self.site.plug(port, where)

    # Tenants

    @rule(name=st.sampled_from(our.NETWORKS), kind=our.network_types, secure=st.booleans(),
          up=st.sampled_from((True, True, True, False)))
    def create_network(self, name: str, kind: str, secure: bool, up: bool) -> None:
        if self.rows.get(Network, uuid_of("network", name)) is None:
            try:
                self.site.network(name, kind, secure=secure, admin_state_up=up)
            except PoolExhausted:
                event("a pool was exhausted")

    @precondition(lambda self: self.has(Network))
    @rule(data=st.data(), switch_it_off=RARELY)
    def update_network(self, data: Data, switch_it_off: bool) -> None:
        network = self.draw(data, Network)
        down = switch_it_off or not network.admin_state_up
        name = "admin_state_up" if down else "port_security_enabled"
        self.site.update(network, **{name: not getattr(network, name)})

    @precondition(lambda self: self.has(Network))
    @rule(data=st.data(), really=RARELY)
    def delete_network(self, data: Data, really: bool) -> None:
        if not really:
            return
        network = self.draw(data, Network)
        self.site.delete(*self.rows.where(Port, "network", network.id), network)

    def free(self, network: Network, but: str = "") -> tuple[list[int], list[int]]:
        """Host numbers whose MAC, and whose address, no other port of the network has."""
        others = [port for port in self.rows.where(Port, "network", network.id)
                  if port.id != but]
        macs = {port.mac for port in others}
        held = {fixed.ip_address for port in others for fixed in port.fixed_ips}
        return ([host for host in our.HOSTS if our.mac(host) not in macs],
                [host for host in our.HOSTS if our.ip(host) not in held])

    @precondition(lambda self: self.has(Network))
    @rule(data=st.data(), secure=st.sampled_from((True, True, False)),
          up=st.sampled_from((True, True, True, False)),
          host=st.sampled_from(("", "", "", *our.CHASSIS)))
    def create_port(self, data: Data, secure: bool, up: bool, host: str) -> None:
        network = self.draw(data, Network)
        macs, free = self.free(network)
        name = data.draw(st.sampled_from(our.PORTS))
        if not macs or self.rows.get(Port, uuid_of("port", network.name, name)) is not None:
            return
        mac = data.draw(st.sampled_from(macs))
        chosen = [mac] if mac in free else free[:1]
        if data.draw(st.booleans(), "other addresses"):
            chosen = data.draw(st.lists(st.sampled_from(free), unique=True, max_size=2)
                               if free else st.just([]))
        try:
            self.site.port(network, name, *chosen, mac=0xFA163E000000 + mac, secure=secure,
                           admin_state_up=up, host=host)
        except PoolExhausted:
            event("a pool was exhausted")

    @precondition(lambda self: self.has(Port))
    @rule(data=st.data())
    def update_port(self, data: Data) -> None:
        port = self.draw(data, Port)
        network = self.rows.get(Network, port.network_id)
        assert network is not None
        macs, free = self.free(network, but=port.id)
        change: dict[str, Any] = {}
        kinds = ("mac", "addresses", "secure", "host") + ("up",) * (1 + (not port.admin_state_up))
        match data.draw(st.sampled_from(kinds)):
            case "mac":
                change["mac"] = our.mac(data.draw(st.sampled_from(macs)))
            case "addresses":
                chosen = data.draw(st.lists(st.sampled_from(free), unique=True, max_size=2))
                one = self.site.fixed_ip
                change["fixed_ips"] = tuple(one(network, host) for host in chosen)
            case "up":
                change["admin_state_up"] = not port.admin_state_up
            case "secure":
                change["port_security_enabled"] = not port.port_security_enabled
            case _:
                change["host"] = data.draw(st.sampled_from(("", *our.CHASSIS)))
        self.site.update(port, **change)

    @precondition(lambda self: self.has(Port))
    @rule(data=st.data(), really=RARELY)
    def delete_port(self, data: Data, really: bool) -> None:
        if really:
            self.site.delete(self.draw(data, Port))

    # Hypervisors

    @rule(name=st.sampled_from(our.CHASSIS), types=our.overlay_types,
          addressed=st.sampled_from((True, True, True, True, False)), data=st.data())
    def chassis_joins_or_changes(self, name: str, types: tuple[str, ...], addressed: bool,
                                 data: Data) -> None:
        known = self.rows.get(Chassis, name)
        change: dict[str, Any] = {} if addressed else {"encap_ip": None, "tunnel_ports": ()}
        if addressed and types and data.draw(st.sampled_from((False, False, False, True))):
            change["tunnel_ports"] = tunnel_ports(types[1:])
        if known is not None or len(self.rows.where(Chassis, "all")) < len(our.CHASSIS):
            try:
                self.site.chassis(name, types=types or ("vxlan",), **change)
            except PoolExhausted:
                event("a pool was exhausted")

    @precondition(lambda self: self.has(Chassis))
    @rule(data=st.data())
    def chassis_changes_its_name(self, data: Data) -> None:
        chassis = self.draw(data, Chassis)
        self.site.update(chassis, hostname=data.draw(st.sampled_from((*our.CHASSIS, ""))))

    @precondition(lambda self: self.has(Chassis))
    @rule(data=st.data(), really=RARELY)
    def chassis_is_forgotten(self, data: Data, really: bool) -> None:
        if really:
            self.site.forget(self.draw(data, Chassis))

    @precondition(lambda self: self.has(Chassis))
    @rule(data=st.data(), name=st.sampled_from(our.PORTS), network=st.sampled_from(our.NETWORKS),
          tap=st.sampled_from(("", "", "tap1")))
    def plug(self, data: Data, name: str, network: str, tap: str) -> None:
        chassis = self.draw(data, Chassis)
        port_id = uuid_of("port", network, name)
        self.last_ofport += 1
        if chassis.id in self.fabric.away:
            # Nobody can tell an absent switch that a number means another interface now.
            self.site.plug(port_id, chassis, 100 + self.last_ofport)
            return
        seen = self.rows.get(Interface, f"{chassis.id}/{tap}") if tap else None
        self.site.plug(port_id, chassis, seen.ofport if seen else None, name=tap or None)

    @precondition(lambda self: self.has(Port) and self.has(Chassis))
    @rule(data=st.data())
    def plug_an_existing_port(self, data: Data) -> None:
        port, chassis = self.draw(data, Port), self.draw(data, Chassis)
        self.last_ofport += 1
        self.site.plug(port, chassis, 100 + self.last_ofport)

    @precondition(lambda self: self.has(Interface))
    @rule(data=st.data(), really=RARELY)
    def unplug(self, data: Data, really: bool) -> None:
        if really:
            self.site.unplug(self.draw(data, Interface))

    @precondition(lambda self: self.has(Interface))
    @rule(data=st.data())
    def interface_gets_another_number(self, data: Data) -> None:
        seen = self.draw(data, Interface)
        self.last_ofport += 1
        fresh = 100 + self.last_ofport
        self.site.update(seen, ofport=data.draw(st.sampled_from((-1, fresh, fresh, fresh))))

    # Accidents

    @precondition(lambda self: self.connected())
    @rule(data=st.data(), after=st.integers(0, 6))
    def line_breaks_during_the_next_plan(self, data: Data, after: int) -> None:
        self.fabric.breaks[data.draw(st.sampled_from(self.connected()))] = after

    @rule()
    def ask_everything(self) -> None:
        senders = {(seen.chassis_id, seen.ofport) for seen, _ in self.rows.rows.values()
                   if isinstance(seen, Interface) and seen.ofport > 0}
        senders |= {(chassis, 999) for chassis in self.fabric.switches}
        for chassis, ofport in sorted(senders):
            for frame in our.matrix(oracle.port_at(self.rows, chassis, ofport)):
                self.judge(chassis, ofport, frame)

    @precondition(lambda self: self.connected())
    @rule(data=st.data())
    def line_breaks(self, data: Data) -> None:
        self.fabric.disconnect(data.draw(st.sampled_from(self.connected())))

    @precondition(lambda self: self.fabric.away)
    @rule(data=st.data(), emptied=st.booleans(), steps=st.sampled_from((None, None, 0, 2, 5)))
    def line_returns(self, data: Data, emptied: bool, steps: int | None) -> None:
        chassis = data.draw(st.sampled_from(sorted(self.fabric.away)))
        self.fabric.reconnect(chassis, emptied=emptied, steps=steps)
        event("a switch came back")

    @precondition(lambda self: self.connected())
    @rule(data=st.data())
    def somebody_damages_a_switch(self, data: Data) -> None:
        chassis = data.draw(st.sampled_from(self.connected()))
        switch = self.fabric.switches[chassis]
        if switch.items:
            key = data.draw(st.sampled_from(sorted(switch.items, key=repr)))
            item = switch.items[key]
            if isinstance(item, Rule) and data.draw(st.booleans(), "change, not delete"):
                switch.put(replace(item, actions=(Output(1),)), by_hand=True)
            else:
                switch.delete_by_hand(key)
        switch.put(Rule(0, 65535, (), (Output(2),), cookie=0xBAD), by_hand=True)
        assert self.fabric.audit(chassis), "the audit saw nothing"
        assert not self.fabric.audit(chassis), "the repair was not complete"

    def connected(self) -> list[str]:
        return sorted(set(self.fabric.switches) - self.fabric.away)

    # Questions

    @precondition(lambda self: self.has(Interface))
    @rule(data=st.data(), frame=our.frames())
    def ask(self, data: Data, frame: Frame) -> None:
        seen = self.draw(data, Interface, "sender")
        sender = oracle.port_at(self.rows, seen.chassis_id, seen.ofport)
        if data.draw(st.booleans(), "honest"):
            frame = data.draw(st.sampled_from(list(our.matrix(sender))))
        self.judge(seen.chassis_id, seen.ofport, frame)

    def judge(self, chassis: str, ofport: int, frame: Frame) -> None:
        sent = self.fabric.send_from(chassis, ofport, frame)
        if not self.fabric.away:
            expected = oracle.deliveries(self.rows, chassis, ofport, frame)
            assert list(sent.deliveries) == expected, f"{sent}\nexpected: {expected}"
            event(f"{min(len(expected), 3)} deliveries, {min(len(sent.tunnels), 2)} tunnels")
            return
        sender = oracle.port_at(self.rows, chassis, ofport)
        if sender is None:
            return  # a switch that is away goes on serving a port that was deleted meanwhile
        for delivery in sent.deliveries:
            port = self.rows.get(Port, delivery.port)
            assert port is None or port.network_id == sender.network_id, \
                f"into another network:\n{sent}"
            event("delivered while a switch is away")

    @invariant()
    def incremental_is_from_scratch_is_installed(self) -> None:
        fresh = Engine(FEATURES)
        fresh.advance(self.rows, everything(self.rows))
        assert self.fabric.tables == fresh.linker.tables
        for chassis in self.connected():
            assert self.fabric.switches[chassis].items == fresh.linker.tables[chassis]
            assert self.fabric.installed[chassis] == fresh.linker.tables[chassis]

    @invariant()
    def no_feature_breaks_a_contract(self) -> None:
        assert not self.fabric.engine.linker.objections
        assert not self.fabric.engine.linker.conflicts

    @invariant()
    def bindings_follow_from_ports_and_interfaces(self) -> None:
        bindings = {id: (row.chassis_id, row.ofport) for (kind, id), (row, _)
                    in self.rows.rows.items() if isinstance(row, Binding)}
        assert bindings == dict(expected_bindings(self.rows))
        present = {(row.network_id, row.chassis_id) for row, _ in self.rows.rows.values()
                   if isinstance(row, Presence)}
        assert present == {(row.network_id, row.chassis_id) for row, _
                           in self.rows.rows.values() if isinstance(row, Binding)}

    @invariant()
    def every_index_is_what_the_rows_say(self) -> None:
        expected: dict[tuple[object, ...], set[str]] = {}
        for (kind, id), (row, _) in self.rows.rows.items():
            for bucket in row.buckets():
                expected.setdefault((kind, *bucket), set()).add(id)
        assert {key: set(ids) for key, ids in self.rows.index.items()} == expected

    def teardown(self) -> None:
        try:
            self.finish()
        finally:
            self.patch.undo()

    def finish(self) -> None:
        """Everybody comes back, every question is asked; then all is deleted, one by one."""
        self.fabric.breaks.clear()
        for chassis in sorted(self.fabric.away):
            self.fabric.reconnect(chassis)
        self.ask_everything()
        for chassis in self.fabric.switches:
            assert not self.fabric.audit(chassis), "a plan for nothing"
        for kind in (Port, Interface, Network):
            for (found, _), (row, _) in sorted(self.rows.rows.items(), key=lambda kv: kv[0][1]):
                if found is kind:
                    assert isinstance(row, (Port, Interface, Network))
                    self.site.delete(row)
        bare = Site()
        for chassis in self.rows.where(Chassis, "all"):
            bare.store.transact(lambda draft: draft.put(chassis))
        untouched = FakeFabric(FEATURES, bare.store)
        for name, switch in self.fabric.switches.items():
            assert switch.items == untouched.switches[name].items


def expected_bindings(rows: Snapshot) -> Iterator[tuple[str, tuple[str, int]]]:
    """The rule of placement, by brute force."""
    interfaces = [row for row, _ in rows.rows.values() if isinstance(row, Interface)]
    for port in rows.where(Port, "all"):
        claims = []
        for seen in interfaces:
            chassis = rows.get(Chassis, seen.chassis_id)
            names = {seen.chassis_id} | ({chassis.hostname} if chassis is not None else set())
            if (seen.iface_id == port.id and seen.ofport > 0
                    and (not port.host or port.host in names)):
                claims.append(seen)
        if claims:
            newest = max(claims, key=lambda seen: seen.seen)
            yield port.id, (newest.chassis_id, newest.ofport)


TestHistory = History.TestCase
TestHistory.settings = settings()
