"""The fabric: the context that all feature apps share, and the product's wiring.

Owns the order of things. Apps register their features; when all are loaded, `start` reads the
store, compiles every chassis' tables from what is known (hints included), and only then listens,
so that a switch that comes back finds its rules wanted. From then on: transactions are compiled in
the order in which they were made, several at a time when they come fast, and each switch whose
tables changed is woken.
"""

from __future__ import annotations

import gc
import logging
import sys
from dataclasses import replace
from typing import Any

import eventlet
import eventlet.event
from ryu import cfg
from ryu.base import app_manager

from controller.api.bootstrap import BootstrapError
from controller.model.resources import Chassis, Presence
from controller.model.snapshot import Delta, Snapshot
from controller.reconciliation.engine import Engine
from controller.reconciliation.feature import Feature
from controller.southbound import options
from controller.southbound.chassis_facts import ChassisFact
from controller.southbound.observations import observe
from controller.southbound.openflow.listener import Callbacks, Listener, SwitchConnection
from controller.southbound.openflow.session import Limits
from controller.southbound.ovsdb.desired import datapath_id_of
from controller.southbound.ovsdb.listener import OvsdbListener
from controller.southbound.server import ApiServer
from controller.southbound.status import Status
from controller.southbound.switch import Switch
from controller.store.journal import JournalError, SqliteJournal
from controller.store.store import Store, everything

LOG = logging.getLogger("tenet")
LIMITS = Limits(probe_after=3.0, silence=9.0)
"""A switch that vanishes without a word holds up those who wait for it no longer than this: about
what Open vSwitch itself allows a controller. A busy switch answers an echo within a second."""
MOST_UNKNOWN = 256
"""Connections that may wait for the OVSDB that names them; of more, the oldest has to go."""

MOST_CHASSIS = 4096
"""Chassis that are remembered. A name costs its inventor nothing: who has made up many must not
fill our disk."""

AGAIN = 1.0
"""Seconds until what a hypervisor said is stored again, when the disk refused it."""
options.register(cfg.CONF)


class Fabric(app_manager.RyuApp):  # type: ignore[misc]
    """Ryu builds it before the first app that names it in `_CONTEXTS`, and starts it last."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.features: list[Feature] = []
        self.ready = False
        self._pending: tuple[Snapshot, Delta] | None = None
        self._woken: eventlet.event.Event | None = None
        self._unknown: dict[int, SwitchConnection] = {}
        self._said: dict[str, set[str]] = {}
        self._unheard: dict[str, ChassisFact] = {}

    def register(self, feature: Feature) -> None:
        """Take part with a feature; before `start`."""
        self.features.append(feature)

    def start(self) -> Any:
        """Open the store, compile, listen. What prevents that ends the process with one line.

        Returns the green thread for whose end `ryu-manager` waits.
        """
        super().start()
        settings = cfg.CONF[options.GROUP]
        folder = options.state_dir(settings.state_dir)
        try:
            self.store = Store(SqliteJournal(folder / "tenet.db"))
            self.engine = Engine(self.features)
            self.status = Status(self.store, self.engine)
            self.engine.advance(self.store.snapshot, everything(self.store.snapshot))
            self.status.compiled(self.engine.revision, frozenset())
            self.engine.linker.touched.clear()
            self.store.watch(self._changed)
            self._compiler = eventlet.spawn(self._compile)
            self.api = ApiServer(self, settings, folder)
            self._listen(settings)
        except (BootstrapError, JournalError, ValueError, OSError) as error:
            LOG.critical("cannot start: %s", error)
            sys.exit(f"ryu-manager: cannot start: {error}")
        # Rows and rules live long and form no cycles: looking through them again and again for
        # garbage takes up to half the time of a large change.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        self.ready = True
        LOG.info("%d features, %d chassis known, revision %d", len(self.features),
                 len(self.store.snapshot.ids(Chassis)), self.store.revision)
        return self._compiler

    def _listen(self, settings: Any) -> None:
        self.openflow = Listener(
            settings.openflow_listen_host, settings.openflow_port,
            Callbacks(on_ready=self._connected, on_lost=self._lost, on_altered=self._altered),
            LIMITS)
        self.ovsdb = OvsdbListener(
            settings.ovsdb_listen_host, settings.ovsdb_port,
            openflow_target=lambda local: f"tcp:{settings.openflow_host or local}:"
                                          f"{settings.openflow_port}",
            on_fact=self._observed, on_disconnect=self._fell_silent)
        self.ovsdb.start()
        self.api.start()

    def _observed(self, fact: ChassisFact) -> None:
        known = self.store.snapshot.ids(Chassis)
        if fact.system_id not in known and len(known) >= MOST_CHASSIS:
            self._say_once("fabric", f"{MOST_CHASSIS} chassis are known: new ones are ignored "
                                     "until some are deleted")
            return
        if self._unheard.pop(fact.system_id, None) is not None:
            fact = replace(fact, changes=None)  # What had changed before that was not heard either.
        try:
            self.store.transact(lambda transaction: observe(fact, transaction))
        except JournalError as error:
            LOG.error("%s: what it says cannot be stored: %s", fact.system_id, error)
            self._unheard[fact.system_id] = fact
            eventlet.spawn_after(AGAIN, self._observe_again, fact)
            return
        if self._unknown:
            for connection in list(self._unknown.values()):
                self._connected(connection)

    def _observe_again(self, fact: ChassisFact) -> None:
        if self._unheard.get(fact.system_id) is fact:
            self._observed(fact)

    def _fell_silent(self, chassis: str) -> None:
        LOG.warning("%s: OVSDB connection lost; what is known of it stays", chassis)

    def _say_once(self, whose: str, problem: str) -> None:
        said = self._said.setdefault(whose, set())
        if problem not in said:
            said.add(problem)
            LOG.warning("%s: %s", whose, problem)

    def _changed(self, snapshot: Snapshot, delta: Delta) -> None:
        if self._pending is not None:
            delta = self._pending[1].then(delta)
        self._pending = (snapshot, delta)
        if self._woken is not None and not self._woken.ready():
            self._woken.send(None)

    def _compile(self) -> None:
        while True:
            if self._pending is None:
                self._woken = eventlet.event.Event()
                self._woken.wait()
                continue
            (snapshot, delta), self._pending = self._pending, None
            touched: set[str] = set()
            try:
                for _ in self.engine.steps(snapshot, delta):
                    # In the pause a busy switch may take over what it finds so far.
                    touched.update(self.engine.linker.touched)
                    eventlet.sleep(0)
            except Exception:
                LOG.exception("compiling revision %d failed; compiling everything anew",
                              snapshot.revision)
                self._start_over(snapshot)
            self._tell(snapshot, delta, touched)

    def _start_over(self, snapshot: Snapshot) -> None:
        """A feature failed: a fresh engine forgets whatever was half done."""
        fresh = Engine(self.features)
        fresh.advance(snapshot, everything(snapshot))
        self.engine.__dict__.update(fresh.__dict__)
        for switch in self.status.connected.values():
            switch.audit()

    def _tell(self, snapshot: Snapshot, delta: Delta, before: set[str]) -> None:
        linker = self.engine.linker
        touched = before.union(linker.touched)
        for id in touched:
            switch = self.status.connected.get(id)
            if switch is not None:
                switch.wake()
            else:
                linker.collect(id)
        self.status.compiled(snapshot.revision, frozenset(touched))
        for unit, objection in linker.objections.items():
            self._say_once(unit.feature, f"{unit.kind.__name__} {unit.id}: {objection}")
        for conflict in linker.conflicts.values():
            self._say_once("linker", f"conflict: {conflict.held} and {conflict.other}")
        for (kind, id), (old, _) in delta.rows.items():
            if kind is Chassis and (chassis := snapshot.get(Chassis, id)) is not None:
                if old is None or _offer(old) != _offer(chassis):
                    # What was said of what it offered before may be news again.
                    self._said.pop(id, None)
                for problem in self.status.problems(chassis):
                    self._say_once(id, problem)
            elif kind is Presence and (presence := snapshot.get(Presence, id)) is not None:
                for problem in self.status.cut_off(presence.chassis_id, presence.network_id):
                    self._say_once(presence.chassis_id, problem)

    def _connected(self, connection: SwitchConnection) -> None:
        number = connection.datapath_id
        # A chassis' number follows from its id, so nobody can take or spoil another's by naming it.
        owner = next((id for id in self.store.snapshot.ids(Chassis, "datapath", number)
                      if datapath_id_of(id) == number), None)
        if connection.closed is not None:
            self._unknown.pop(number, None)
            return
        if owner is None:
            if number not in self._unknown:
                LOG.info("%s: waiting for the OVSDB that names its datapath id", connection)
            self._unknown[number] = connection
            if len(self._unknown) > MOST_UNKNOWN:
                self._unknown.pop(next(iter(self._unknown))).close("no OVSDB names its datapath id")
            return
        self._unknown.pop(number, None)
        old = self.status.connected.get(owner)
        if old is not None:
            if old.connection is connection:
                return
            self.status.left(old)
            old.end()
        self.status.joined(Switch(owner, connection, self.engine, self.status.progressed,
                                  cfg.CONF[options.GROUP].audit_interval))

    def _lost(self, connection: SwitchConnection, reason: str) -> None:
        if self._unknown.get(connection.datapath_id) is connection:
            del self._unknown[connection.datapath_id]
        for switch in list(self.status.connected.values()):
            if switch.connection is connection:
                switch.end()
                self.status.left(switch)

    def _altered(self, connection: SwitchConnection) -> None:
        for switch in self.status.connected.values():
            if switch.connection is connection:
                switch.audit()


def _offer(chassis: Chassis) -> object:
    """What a chassis says of its tunnels, and what is wrong with that."""
    return chassis.encap_ip, chassis.encap_types, chassis.problems
