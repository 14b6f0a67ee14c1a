"""Switches: one green thread each, which makes a switch hold what its chassis should.

Owns what each connected switch is known to hold, and how far it is. In words: a switch that
connects is asked what it holds, and only the difference is sent; from then on each change is a
plan over the keys that changed. A plan that the switch refuses changes nothing there: the refused
item is set aside, its owners are told, and the rest is tried again, so that one bad rule holds
nobody else up. A report that somebody else changed the switch, or the passing of the audit
interval, is answered by asking again; what differs from what we put there is a repair, and logged.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable

import eventlet
import eventlet.event

from controller.pipeline.describe import actions_text, match_text, table_name
from controller.pipeline.rule import Installed, Item, Key, Rule
from controller.reconciliation.differ import Plan, plan
from controller.reconciliation.engine import Engine
from controller.southbound.openflow.listener import Lost, SwitchConnection
from controller.southbound.openflow.talks import Applied, Refused
from controller.southbound.warmth import FRAME, warming

LOG = logging.getLogger("tenet.switch")

RETRIES = 32
"""Refusals after which a round goes on in pieces, so that each refusal costs one small bundle
instead of one with all that is to be changed."""

PIECE = 64

PAUSE = 0.25
"""Seconds between two dumps at least, however often others change the switch."""

WARM_UP = 0.03
"""Seconds that a new peer is given to be resolved before ports count as realised."""


class Switch:
    """One chassis' switch while it is connected. `sent` counts items put and deleted, `repaired`
    what others had done to them."""

    def __init__(self, chassis: str, connection: SwitchConnection, engine: Engine,
                 on_progress: Callable[[], None], audit_interval: float) -> None:
        self.chassis, self.connection = chassis, connection
        self.installed: dict[Key, Installed] = {}
        self.refused: dict[Key, tuple[Item, str]] = {}
        self._aside: dict[Key, tuple[Item, str]] = {}
        self.realised = -1
        self.sent = 0
        self.repaired = 0
        self.lost = False
        self._engine, self._on_progress = engine, on_progress
        self._audit_interval = audit_interval
        self._audit = True
        self._all = True
        self._busy = True
        self._undeleted = False
        self._asked = 0.0
        self._woken: eventlet.event.Event | None = None
        self._thread = eventlet.spawn(self._run)
        self._timer = eventlet.spawn(self._tick)

    @property
    def idle(self) -> bool:
        """Whether the switch holds all that its chassis should."""
        return not (self._busy or self._audit or self._all
                    or self.chassis in self._engine.linker.touched)

    def wake(self) -> None:
        """Something may have changed for this chassis."""
        if self._woken is not None and not self._woken.ready():
            self._woken.send(None)

    def audit(self) -> None:
        """Ask the switch again what it holds."""
        self._audit = True
        self.wake()

    def end(self) -> None:
        """The connection is gone."""
        self.lost = True
        self._timer.kill()
        self.wake()

    def _tick(self) -> None:
        while not self.lost:
            eventlet.sleep(self._audit_interval)
            self.audit()
            self._warm(list(self.installed.values()))

    def _run(self) -> None:
        while not self.lost:
            self._busy = True
            try:
                self._round()
            except Exception:
                LOG.exception("%s: round failed", self.chassis)
                self._all = self._audit = True
                eventlet.sleep(1.0)
            self._busy = False
            if self.idle and not self.lost:
                self.realised = max(self.realised, self._engine.revision)
                self._on_progress()
                self._woken = eventlet.event.Event()
                self._woken.wait()
                self._woken = None

    def _round(self) -> None:
        """Ask if needed, then send what differs until nothing does."""
        if self._audit:
            self._audit = False
            eventlet.sleep(max(0.0, self._asked + PAUSE - time.monotonic()))
            self._asked = time.monotonic()
            held = self.connection.dump()
            if isinstance(held, Lost):
                self.lost = True
                return
            self._compare(held)
            self.installed = held
            # What was refused is tried again: the reason may be gone. Until that is known, it
            # counts as refused.
            self._aside = {}
            self._all = True
        self._undeleted = False
        revision = self._engine.revision
        keys: Iterable[Key] | None = self._engine.linker.collect(self.chassis)
        if self._all:
            keys, self._all = None, False
        desired = self._engine.linker.tables.get(self.chassis, {})
        for attempt in itertools.count():
            left = self._plan(desired, keys)
            changes = left if attempt < RETRIES else _piece(left)
            outcome = self.connection.apply(changes)
            match outcome:
                case Lost():
                    self.lost = True
                    return
                case Applied():
                    self._hold(changes)
                    if len(changes) < len(left):
                        continue
                    self.refused = dict(self._aside)
                    if not self._undeleted:
                        self.realised = max(self.realised, revision)
                    return
                case Refused():
                    self._set_aside(outcome, changes)
                    if outcome.key is None:
                        break
        # Refused as a whole: look at what it holds before the next try.
        self._audit = True
        eventlet.sleep(1.0)

    def _plan(self, desired: dict[Key, Item], keys: Iterable[Key] | None) -> Plan:
        changes = plan(self.installed, desired, keys)
        for known in (self._aside, self.refused):
            for key, (item, _) in list(known.items()):
                if desired.get(key) != item:
                    del known[key]
        if not self._aside:
            return changes
        put = tuple(item for item in changes.put if item.key not in self._aside)
        # What a refused rule was to replace must not stay in its place: that is somebody else's
        # way, or an older right. A group stays, since its end would be that of the rules to it.
        stale = tuple(key for key in self._aside if not isinstance(key[0], str)
                      and key in self.installed
                      and self.installed[key] != self._aside[key][0])
        return Plan(put, stale + changes.delete, changes.replaced)

    def _hold(self, changes: Plan) -> None:
        """The switch confirmed a plan."""
        for item in changes.put:
            self.installed[item.key] = item
        for key in changes.delete:
            self.installed.pop(key, None)
        self.sent += len(changes)
        if self._warm(changes.put):
            eventlet.sleep(WARM_UP)

    def _warm(self, items: Iterable[Installed]) -> bool:
        """Send one frame to each peer that the items lead to; whether there is any."""
        peers = list(warming(items))
        for actions in peers:
            self.connection.packet_out(actions, FRAME)
        return bool(peers)

    def _set_aside(self, refusal: Refused, changes: Plan) -> None:
        self._hold(refusal.took)
        if refusal.key is None:
            LOG.error("%s: the switch refuses a plan of %d: %s", self.chassis, len(changes),
                      refusal.reason)
            return
        item = next((item for item in changes.put if item.key == refusal.key), None)
        if item is None:
            # It refused to delete: go on with the rest, then look again at what it has.
            self.installed.pop(refusal.key, None)
            self._audit = self._undeleted = True
            LOG.warning("%s: the switch refuses to delete: %s", self.chassis, refusal.reason)
            return
        known = self.refused.get(refusal.key)
        self._aside[refusal.key] = self.refused[refusal.key] = (item, refusal.reason)
        if known == (item, refusal.reason):
            return
        LOG.error("%s: the switch refuses %s: %s", self.chassis, _said(item), refusal.reason)

    def _compare(self, held: dict[Key, Installed]) -> None:
        """Log what somebody else did to what we had put there."""
        if not self.installed:
            return
        lost = [key for key in self.installed if key not in held]
        changed = [key for key, item in held.items()
                   if key in self.installed and self.installed[key] != item]
        added = [key for key in held if key not in self.installed]
        if lost or changed or added:
            count = len(lost) + len(changed) + len(added)
            self.repaired += count
            LOG.warning("%s: repaired: somebody removed %d, changed %d and added %d rules or "
                        "groups", self.chassis, len(lost), len(changed), len(added))


def _piece(changes: Plan) -> Plan:
    """The first part of a plan; what is deleted goes with the last one."""
    if len(changes.put) <= PIECE:
        return changes
    return Plan(changes.put[:PIECE], (), changes.replaced)


def _said(item: Item) -> str:
    if isinstance(item, Rule):
        return (f"the rule {table_name(item.table)}: {match_text(item.match)} -> "
                f"{actions_text(item.actions)}")
    return f"{type(item).__name__.lower()} {item.id:#x}"
