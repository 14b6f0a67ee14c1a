"""The fabric's order of things: who speaks for a chassis, whose news is lost, who is waited for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import eventlet
import pytest

from controller.model.resources import Chassis, Interface
from controller.model.snapshot import RowKey
from controller.pipeline.layout import DELIVER
from controller.reconciliation.differ import Plan
from controller.reconciliation.engine import Engine
from controller.reconciliation.feature import Feature
from controller.southbound import switch as switch_module
from controller.southbound.chassis_facts import ChassisFact, InterfaceChanges, InterfaceFact
from controller.southbound.manager import repair_eventlet
from controller.southbound.openflow.talks import Applied, Refused
from controller.southbound.ovsdb.desired import datapath_id_of
from controller.southbound.status import Status
from controller.store.journal import JournalError, MemoryJournal
from controller.store.store import Store
from controller.testing.site import Site
from tests.unit.southbound.test_switch import ScriptedConnection

repair_eventlet()  # Before Ryu, which the fabric imports.

from controller.southbound import fabric as fabric_module  # noqa: E402
from controller.southbound.fabric import Fabric  # noqa: E402


class Line(ScriptedConnection):
    """A scripted connection of a switch with a number, which answers `credit` plans."""

    def __init__(self, datapath_id: int, credit: int = 1 << 30) -> None:
        super().__init__()
        self.datapath_id, self.credit = datapath_id, credit
        self.closed: str | None = None

    def apply(self, changes: Plan) -> Any:
        while not self.credit and not self.lost:
            eventlet.sleep(0.001)
        self.credit -= bool(changes)
        outcome: Applied | Refused | Any = super().apply(changes)
        return outcome

    def close(self, reason: str) -> None:
        self.closed = reason


class FullDisk(MemoryJournal):
    """A journal that refuses while `full`."""

    full = False

    def write(self, revision: int, changed: Iterable[tuple[RowKey, Any]], *rest: Any) -> None:
        if self.full:
            raise JournalError("tenet.db: the disk is full")


@pytest.fixture
def journal() -> FullDisk:
    return FullDisk()


@pytest.fixture
def fabric(features: tuple[Feature, ...], journal: FullDisk,
           monkeypatch: pytest.MonkeyPatch) -> Iterator[Fabric]:
    """All but the sockets."""
    monkeypatch.setattr(switch_module, "PAUSE", 0.0)
    made = Fabric()
    made.features = list(features)
    made.store = Store(journal)
    made.engine = Engine(features)
    made.status = Status(made.store, made.engine)
    made.store.watch(made._changed)
    compiler = eventlet.spawn(made._compile)
    yield made
    compiler.kill()
    for switch in list(made.status.connected.values()):
        switch.connection.lost = True
        switch.end()
    eventlet.sleep(0.01)


def fact(name: str, datapath_id: int | None = None, *interfaces: InterfaceFact) -> ChassisFact:
    return ChassisFact(
        name, name, "", ("vxlan",), datapath_id_of(name) if datapath_id is None else datapath_id,
        (("vxlan", 65000),), (), "3.1.0", interfaces, ())


def settle(fabric: Fabric) -> None:
    with eventlet.Timeout(5):
        while (fabric.engine.revision < fabric.store.revision
               or not all(switch.idle for switch in fabric.status.connected.values())):
            eventlet.sleep(0.002)


def test_nobody_keeps_a_chassis_out_by_naming_its_number(fabric: Fabric) -> None:
    fabric._observed(fact("hv1"))
    fabric._observed(fact("evil", datapath_id_of("hv1")))
    fabric._connected(Line(datapath_id_of("hv1")))
    assert list(fabric.status.connected) == ["hv1"]


def test_a_number_that_no_chassis_may_have_connects_nobody(fabric: Fabric) -> None:
    fabric._observed(fact("hv1", 7))
    fabric._connected(Line(7))
    assert not fabric.status.connected
    fabric._connected(Line(datapath_id_of("hv1")))
    assert not fabric.status.connected, "its OVSDB has not confirmed it"
    fabric._observed(fact("hv1"))
    assert list(fabric.status.connected) == ["hv1"]


def test_strangers_that_no_database_names_are_bounded(fabric: Fabric) -> None:
    lines = [Line(number) for number in range(1, fabric_module.MOST_UNKNOWN + 3)]
    for line in lines:
        fabric._connected(line)
    assert [line.datapath_id for line in lines if line.closed] == [1, 2]


def test_who_makes_up_names_does_not_fill_the_disk(
        fabric: Fabric, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fabric_module, "MOST_CHASSIS", 3)
    for number in range(10):
        fabric._observed(fact(f"name{number}"))
    assert list(sorted(fabric.store.snapshot.ids(Chassis))) == ["name0", "name1", "name2"]
    fabric._observed(replace(fact("name1"), hostname="one"))
    row = fabric.store.snapshot.get(Chassis, "name1")
    assert row is not None and row.hostname == "one"


def test_news_that_could_not_be_stored_is_not_lost(
        fabric: Fabric, journal: FullDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fabric_module, "AGAIN", 0.01)
    fabric._observed(fact("hv1"))
    tap = InterfaceFact("tap0", 3, "p", "", "")
    news = replace(fact("hv1", None, tap), changes=InterfaceChanges((tap,), ()))
    journal.full = True
    fabric._observed(news)
    eventlet.sleep(0.03)
    assert not fabric.store.snapshot.where(Interface, "chassis", "hv1")
    other = InterfaceFact("tap1", 4, "q", "", "")
    fabric._observed(replace(fact("hv1", None, tap, other),
                             changes=InterfaceChanges((other,), ())))
    journal.full = False
    with eventlet.Timeout(5):
        while not fabric.store.snapshot.where(Interface, "chassis", "hv1"):
            eventlet.sleep(0.005)
    assert [row.name for row in fabric.store.snapshot.where(Interface, "chassis", "hv1")] \
        == ["tap0", "tap1"]


def test_a_switch_that_begins_before_the_compiler_ends_is_waited_for(
        fabric: Fabric, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(fabric.store)
    fabric._observed(fact("hv1"))
    fabric._observed(fact("hv2"))
    line = Line(datapath_id_of("hv1"))
    fabric._connected(line)
    red, blue, green = (site.network(name) for name in ("red", "blue", "green"))
    port = site.port(red, "web", 5)
    site.plug(port, "hv1")
    many = [site.port(blue, f"vm{number}", number) for number in range(10, 80)]
    for one in many:
        site.plug(one, "hv2")
    settle(fabric)
    assert any(key[0] == DELIVER.id for key in line.held)

    line.credit = 0
    site.plug(site.port(green, "last", 200), "hv1")
    eventlet.sleep(0.01)
    steps = fabric.engine.steps

    def slow(*given: Any) -> Iterator[None]:
        for number, pause in enumerate(steps(*given)):
            yield pause
            if not number:
                line.credit = 1
                eventlet.sleep(0.02)

    monkeypatch.setattr(fabric.engine, "steps", slow)

    def work(draft: Any) -> None:
        for one in many:
            draft.put(replace(one, admin_state_up=False))
        draft.delete(type(port), port.id)

    revision = fabric.store.transact(work).revision
    with eventlet.Timeout(5):
        while fabric.engine.revision < revision:
            eventlet.sleep(0.002)
    way_out = DELIVER.id, 300, (("reg15", port.key, 0xFFFFFFFF),)
    assert way_out in line.held
    assert not fabric.status.wait(revision, red.id, 0.02), "hv1 still delivers to it"
    line.credit = 1 << 30
    assert fabric.status.wait(revision, red.id, 1.0)
    assert way_out not in line.held
