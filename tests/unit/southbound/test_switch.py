"""Switches and status: a scripted connection, the real engine, no sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import eventlet
import pytest

from controller.model.resources import Interface, Network, Port
from controller.model.snapshot import Delta, Snapshot
from controller.pipeline.actions import Actions, Output, load
from controller.pipeline.fields import TUNNEL_DESTINATION, TUNNEL_ID
from controller.pipeline.layout import CLASSIFY_PORT, DELIVER, L2_FORWARD
from controller.pipeline.rule import Installed, Key, Rule
from controller.reconciliation.differ import Plan
from controller.reconciliation.engine import Engine
from controller.reconciliation.feature import Feature
from controller.southbound import switch as switch_module
from controller.southbound.explain import explain
from controller.southbound.openflow.listener import Lost
from controller.southbound.openflow.talks import Applied, Refused
from controller.southbound.status import Status
from controller.southbound.switch import Switch
from controller.testing.site import Site


class ScriptedConnection:
    """A switch that holds items, and refuses or stops as it is told."""

    def __init__(self) -> None:
        self.held: dict[Key, Installed] = {}
        self.plans: list[Plan] = []
        self.frames: list[Actions] = []
        self.dumps = 0
        self.lost = False
        self.refuses: Callable[[Key], bool] = lambda key: False
        self.hold_replies = False

    def dump(self) -> dict[Key, Installed] | Lost:
        self.dumps += 1
        return Lost("gone") if self.lost else dict(self.held)

    def apply(self, changes: Plan) -> Applied | Refused | Lost:
        while self.hold_replies:
            eventlet.sleep(0.001)
        if self.lost:
            return Lost("gone")
        for item in changes.put:
            if self.refuses(item.key):
                return Refused(item.key, "OFPFMFC_TABLE_FULL", Plan())
        if changes:
            self.plans.append(changes)
        for item in changes.put:
            self.held[item.key] = item
        for key in changes.delete:
            del self.held[key]
        return Applied(changes)

    def packet_out(self, actions: Actions, data: bytes, in_port: int = 0) -> bool:
        self.frames.append(actions)
        return True


class World:
    """A site with an engine, a status, and switches that connect when told."""

    def __init__(self, features: tuple[Feature, ...]) -> None:
        self.site = Site()
        self.engine = Engine(features)
        self.status = Status(self.site.store, self.engine)
        self.site.store.watch(self._changed)
        self.switches: list[Switch] = []

    def _changed(self, snapshot: Snapshot, delta: Delta) -> None:
        self.engine.advance(snapshot, delta)
        touched = frozenset(self.engine.linker.touched)
        for id in touched:
            if id in self.status.connected:
                self.status.connected[id].wake()
        self.status.compiled(snapshot.revision, touched)

    def connect(self, chassis: str, connection: ScriptedConnection) -> Switch:
        made = Switch(chassis, connection, self.engine,  # type: ignore[arg-type]
                      self.status.progressed, 3600)
        self.status.joined(made)
        self.switches.append(made)
        return made

    def settle(self) -> None:
        with eventlet.Timeout(5):
            while not all(switch.idle for switch in self.switches):
                eventlet.sleep(0.005)


@pytest.fixture
def world(features: tuple[Feature, ...], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(switch_module, "PAUSE", 0.0)
    made = World(features)
    yield made
    for switch in made.switches:
        switch.end()
    eventlet.sleep(0)


def plugged(world: World) -> tuple[ScriptedConnection, Port, Network]:
    """hv1 connected, with one port on it, realised."""
    hv1 = world.site.chassis("hv1")
    connection = ScriptedConnection()
    world.connect("hv1", connection)
    red = world.site.network("red")
    port = world.site.port(red, "web", 5)
    world.site.plug(port, hv1)
    world.settle()
    return connection, port, red


def test_a_switch_gets_what_its_chassis_should_hold(world: World) -> None:
    connection, port, _ = plugged(world)
    assert connection.held == world.engine.linker.tables["hv1"]
    assert world.status.port_status(port.id) == ("ACTIVE", "")
    assert world.status.realised("hv1") == world.site.store.revision


def test_a_switch_that_returns_unchanged_is_sent_nothing(world: World) -> None:
    connection, port, _ = plugged(world)
    sent = len(connection.plans)
    old = world.status.connected["hv1"]
    world.status.left(old)
    old.end()
    new = world.connect("hv1", connection)
    world.settle()
    assert (len(connection.plans), new.sent, new.repaired) == (sent, 0, 0)
    assert world.status.port_status(port.id) == ("ACTIVE", "")


def test_a_refused_rule_makes_its_port_error_and_holds_nobody_up(world: World) -> None:
    connection, port, red = plugged(world)
    bad = world.site.port(red, "bad", 6)
    key = DELIVER.id, 300, ((("reg15", bad.key, 0xFFFFFFFF)),)
    connection.refuses = lambda asked: asked == key
    world.site.plug(bad, "hv1")
    world.settle()
    status, reason = world.status.port_status(bad.id)
    assert status == "ERROR" and "OFPFMFC_TABLE_FULL" in reason
    assert world.status.port_status(port.id) == ("ACTIVE", "")
    third = world.site.port(red, "third", 7)
    world.site.plug(third, "hv1")
    world.settle()
    assert world.status.port_status(third.id) == ("ACTIVE", "")
    assert any("refused" in problem for problem in world.status.switches()[0]["problems"])
    connection.refuses = lambda asked: False
    world.status.connected["hv1"].audit()
    world.settle()
    assert world.status.port_status(bad.id) == ("ACTIVE", "")


def test_many_refused_rules_hold_nobody_up_and_stay_refused_while_tried_again(world: World) -> None:
    connection, port, red = plugged(world)
    bad = [world.site.port(red, f"bad{number}", 10 + number) for number in range(40)]
    keys = {(DELIVER.id, 300, ((("reg15", one.key, 0xFFFFFFFF)),)) for one in bad}
    connection.refuses = lambda asked: asked in keys
    for one in bad:
        world.site.plug(one, "hv1")
    world.settle()
    assert {world.status.port_status(one.id)[0] for one in bad} == {"ERROR"}
    assert world.status.port_status(port.id) == ("ACTIVE", "")
    seen = set()

    def refuses(asked: object) -> bool:
        seen.update(world.status.port_status(one.id)[0] for one in bad)
        return asked in keys

    connection.refuses = refuses
    world.status.connected["hv1"].audit()
    world.settle()
    assert seen == {"ERROR"}


def test_a_refused_change_leaves_nothing_old_in_its_place(world: World) -> None:
    connection, port, _ = plugged(world)
    blue = world.site.port(world.site.network("blue"), "web", 5)
    tap = world.site.store.snapshot.where(Interface, "iface", port.id)[0]
    entry = next(key for key, item in connection.held.items()
                 if key[0] == CLASSIFY_PORT.id and ("in_port", tap.ofport, 0xFFFFFFFF) in key[2])
    connection.refuses = lambda asked: asked == entry
    world.site.update(tap, iface_id=blue.id)
    world.settle()
    assert entry not in connection.held, "blue's frames would enter red"
    assert world.status.port_status(blue.id)[0] == "ERROR"
    connection.refuses = lambda asked: False
    world.status.connected["hv1"].audit()
    world.settle()
    assert connection.held == world.engine.linker.tables["hv1"]
    assert world.status.port_status(blue.id) == ("ACTIVE", "")


def test_what_a_switch_refuses_to_delete_is_not_realised(world: World) -> None:
    connection, port, red = plugged(world)
    way_out = next(key for key in connection.held if key[0] == DELIVER.id)
    apply, kept = connection.apply, [True]

    def refuse(changes: Plan) -> Applied | Refused | Lost:
        if kept[0] and way_out in changes.delete:
            return Refused(way_out, "EPERM", Plan())
        return apply(changes)

    connection.apply = refuse  # type: ignore[method-assign]
    world.site.delete(port)
    revision = world.site.store.revision
    assert not world.status.wait(revision, red.id, 0.05)
    assert list(key for key in connection.held if key[0] == DELIVER.id) == [way_out]
    kept[0] = False
    assert world.status.wait(revision, red.id, 2.0)
    assert way_out not in connection.held


def test_damage_is_repaired_and_counted(world: World) -> None:
    connection, _, _ = plugged(world)
    wanted = dict(connection.held)
    lost = next(key for key in wanted if key[0] == L2_FORWARD.id)
    del connection.held[lost]
    stray = Rule(70, 9, (), (), 0)
    connection.held[stray.key] = stray
    switch = world.status.connected["hv1"]
    switch.audit()
    world.settle()
    assert connection.held == wanted
    assert switch.repaired == 2


def test_waiting_ends_when_the_switches_concerned_have_confirmed(world: World) -> None:
    connection, port, red = plugged(world)
    other = ScriptedConnection()
    world.connect("hv2", other)
    world.site.chassis("hv2")
    world.settle()
    connection.hold_replies = True
    db = world.site.port(red, "db", 6)
    world.site.plug(db, "hv1")
    revision = world.site.store.revision
    assert not world.status.wait(revision, red.id, 0.05)
    assert world.status.port_status(db.id)[0] == "BUILD"
    blue = world.site.network("blue")
    world.site.plug(world.site.port(blue, "web", 5), "hv2")
    assert world.status.wait(world.site.store.revision, blue.id, 1.0), "hv1 is not concerned"
    connection.hold_replies = False
    assert world.status.wait(revision, red.id, 1.0)
    assert world.status.port_status(db.id) == ("ACTIVE", "")
    assert world.status.port_status(port.id) == ("ACTIVE", "")


def test_a_chassis_that_is_away_is_pending_and_nobody_waits(world: World) -> None:
    _, port, red = plugged(world)
    hv2 = world.site.chassis("hv2")
    joined = world.site.store.revision
    db = world.site.port(red, "db", 6)
    world.site.plug(db, hv2)
    assert world.status.wait(world.site.store.revision, red.id, 1.0)
    assert world.status.port_status(db.id) == ("BUILD", "chassis hv2 is not connected")
    assert world.status.port_status(port.id) == ("ACTIVE", "")
    assert [(each["chassis"], each["connected"], each["pending"])
            for each in world.status.switches()] == [("hv1", True, False), ("hv2", False, True)]
    assert world.site.store.confirmed < joined, "hv2 has confirmed nothing"


def test_a_port_of_a_network_that_is_switched_off_is_down(world: World) -> None:
    connection, port, red = plugged(world)
    entry = [key for key in connection.held if key[0] == 0 and ("in_port", 1, 0xFFFFFFFF)
             in key[2]]  # type: ignore[misc]
    assert entry
    world.site.update(red, admin_state_up=False)
    world.settle()
    assert world.status.port_status(port.id) == ("DOWN", "the network is administratively down")
    assert entry[0] not in connection.held, "its way in is closed"


def test_a_port_tells_whom_it_cannot_reach(world: World) -> None:
    _, port, red = plugged(world)
    world.site.plug(world.site.port(red, "db", 6), world.site.chassis("hv2", types=("geneve",)))
    world.settle()
    status, reason = world.status.port_status(port.id)
    assert status == "ACTIVE"
    assert reason == "no common encapsulation: hv1 offers vxlan, hv2 offers geneve"


def test_a_tunnel_port_that_does_not_open_is_told_at_the_ports(world: World) -> None:
    _, port, red = plugged(world)
    hv2 = world.site.chassis("hv2", tunnel_ports=())
    world.site.plug(world.site.port(red, "db", 6), hv2)
    world.settle()
    assert world.status.port_status(port.id) == (
        "ACTIVE", "hv2 has no open tunnel port of a type that hv1 and hv2 share")
    world.site.chassis("hv2")
    assert world.status.port_status(port.id)[1] == ""


def test_a_port_whose_rules_cannot_even_be_made_is_in_error(world: World) -> None:
    _, port, red = plugged(world)
    bad = world.site.port(red, "bad", 6)
    tap = world.site.plug(bad, "hv1", 1 << 40)
    world.settle()
    status, reason = world.status.port_status(bad.id)
    assert status == "ERROR" and "does not fit" in reason
    assert world.status.port_status(port.id) == ("ACTIVE", "")
    world.site.update(tap, ofport=7)
    world.settle()
    assert world.status.port_status(bad.id) == ("ACTIVE", "")


def test_what_all_switches_hold_is_confirmed_and_no_more(world: World) -> None:
    connection, _, red = plugged(world)
    store = world.site.store
    assert store.confirmed == store.revision
    other = ScriptedConnection()
    hv2 = world.site.chassis("hv2")
    joined = store.revision
    world.site.port(red, "db", 6)
    assert store.confirmed < joined
    world.connect("hv2", other)
    world.settle()
    assert store.confirmed == store.revision
    connection.hold_replies = True
    before = store.revision
    world.site.plug(world.site.port(red, "log", 7), "hv1")
    world.site.plug(world.site.port(world.site.network("blue"), "web", 5), "hv2")
    eventlet.sleep(0.02)
    assert store.confirmed <= before + 1, "hv1 has not answered"
    connection.hold_replies = False
    world.settle()
    assert store.confirmed == store.revision
    world.status.left(world.status.connected["hv2"])
    world.site.plug(world.site.port(red, "nas", 8), "hv1")
    world.settle()
    assert store.confirmed < store.revision
    world.site.forget(hv2)
    world.settle()
    assert store.confirmed == store.revision


def test_a_new_peer_is_warmed_before_the_port_is_active(world: World) -> None:
    connection, _, red = plugged(world)
    assert connection.frames == []
    hv2 = world.site.chassis("hv2")
    world.site.plug(world.site.port(red, "db", 6), hv2)
    world.settle()
    assert hv2.encap_ip is not None
    assert connection.frames == [(load(TUNNEL_ID, 0),
                                  load(TUNNEL_DESTINATION, int(hv2.encap_ip)),
                                  Output(world.site.store.snapshot.where(
                                      type(hv2))[0].tunnel_ports[0][1]))]


def test_a_cookie_explains_itself(world: World, features: tuple[Feature, ...]) -> None:
    connection, port, _ = plugged(world)
    snapshot = world.site.store.snapshot
    told = {}
    for item in connection.held.values():
        if isinstance(item, Rule):
            found = explain(item.cookie, world.engine.features, snapshot)
            assert found is not None and found["source"], item
            told[found["purpose"]] = found
    known = told["a known MAC leads to its port"]
    assert (known["feature"], known["resource"]["id"]) == ("l2_forwarding", port.id)
    assert "apps/l2_forwarding.py:" in known["source"][0]
    gone = explain(0x5405000100000000 | 12345, features, snapshot)
    assert gone is not None and gone["resource"] is None
    for cookie in (0, 1 << 60, 0x54FF000100000001, 0x5405FFFF00000001):
        assert explain(cookie, features, snapshot) is None
