"""One hypervisor's database: watched, told of, kept in order.

Owns the replica of a connection, the facts that follow from it, and the repairs of br-int:
one transaction at a time, logged when the database has accepted it. Does nothing for a peer
until `admitted` says that the chassis is really this peer. Neither clock nor socket here.

The one idea: every change of a row leads to the same question, what separates br-int from what
it must be; it is asked again after each answer, until the answer is nothing.
"""

from __future__ import annotations

import logging
from typing import Any

from controller.southbound.chassis_facts import ChassisFact
from controller.southbound.ovsdb.chassis import ChassisView
from controller.southbound.ovsdb.desired import (
    Desired, Repair, RepairKind, desired_configuration, repairs, transaction)
from controller.southbound.ovsdb.replica import Replica, monitor_requests
from controller.southbound.ovsdb.rpc import JsonRpc, Limits, Notification, PeerError, Reply
from controller.southbound.ovsdb.settings import Settings, read_settings

LOG = logging.getLogger(__name__)

DATABASE = "Open_vSwitch"
MONITOR = "tenet"
OFPORT_WAIT = 0.05  # ovs-vswitchd opens a new interface within milliseconds: one fact, not two.
FACT_INTERVAL = 0.005  # At most 200 facts a second, whatever a peer does to its interfaces.
REPAIRS_AT_ONCE = 10  # Transactions, before
REPAIR_INTERVAL = 1.0  # one at a time: someone or something keeps undoing them.
MAX_BACKOFF = 30.0
NEVER = float("inf")


class ChassisSession:
    def __init__(self, openflow_target: str, now: float, limits: Limits = Limits()) -> None:
        self.rpc = JsonRpc(now, limits)
        self.settings: Settings | None = None
        self.admitted = False
        self.label = "?"
        self._openflow_target = openflow_target
        self._replica = Replica()
        self._view = ChassisView(self._replica)
        self._impossible: tuple[str, ...] = ()
        self._told: Any = None
        self._told_at = -NEVER
        self._tell_by = NEVER
        self._check_at = NEVER
        self._settled: Desired | None = None
        self._transaction: tuple[int, Desired, tuple[Repair, ...]] | None = None
        self._failure = ""
        self._backoff = REPAIR_INTERVAL
        self._credit = float(REPAIRS_AT_ONCE)
        self._credit_at = now
        self._monitor = self.rpc.request(
            "monitor_cond", [DATABASE, MONITOR, monitor_requests()], now)

    # Messages

    def receive(self, data: bytes, now: float) -> None:
        for message in self.rpc.receive(data, now):
            if isinstance(message, Reply):
                self._replied(message, now)
            elif message.method == "update2":
                self._updated(message, now)

    def _replied(self, reply: Reply, now: float) -> None:
        if reply.id == self._monitor:
            if reply.error is not None:
                raise PeerError(f"refuses monitor_cond: {_shown(reply.error)}")
            self._apply(reply.result, now)
            if self.settings is None:
                raise PeerError("its database has no row in Open_vSwitch")
        elif self._transaction is not None and reply.id == self._transaction[0]:
            self._transacted(reply, now)

    def _updated(self, message: Notification, now: float) -> None:
        if len(message.params) != 2 or message.params[0] != MONITOR or self.settings is None:
            raise PeerError("an update that was not asked for")
        self._apply(message.params[1], now)

    def _apply(self, updates: Any, now: float) -> None:
        changes = self._replica.apply(updates)
        interfaces = self._view.apply(changes)
        if any(change.table == "Open_vSwitch" for change in changes):
            self._read_settings()
        self._check_at = min(self._check_at, now)
        self._schedule_fact(interfaces, now)

    def _read_settings(self) -> None:
        root = self._replica.root()
        if root is None:
            return  # Between two databases; what was known stays.
        settings = read_settings(*root)
        self.label = (f"{settings.hostname!r} ({settings.system_id!r})"
                      if settings.hostname else repr(settings.system_id))
        self.settings = settings

    # Facts

    @property
    def _problems(self) -> tuple[str, ...]:
        return (*self._impossible, *((self._failure,) if self._failure else ()))

    def _brief(self) -> Any:
        """All that a fact says, but for the interfaces."""
        return self.settings, self._problems, self._view.bridge_state()

    def _schedule_fact(self, interfaces: bool, now: float) -> None:
        if self._told != self._brief():
            at = now
        elif interfaces:
            at = now + (OFPORT_WAIT if self._view.waits_for_ofports() else 0.0)
        else:
            return
        self._tell_by = min(self._tell_by, max(at, self._told_at + FACT_INTERVAL))

    def take_fact(self, now: float) -> ChassisFact | None:
        """The chassis as it is, if that has not been told and is due."""
        if not self.admitted or self.settings is None or now < self._tell_by:
            return None
        self._log_problems()
        self._told, self._told_at, self._tell_by = self._brief(), now, NEVER
        return self._view.fact(self.settings, self._problems)

    def _log_problems(self) -> None:
        def listed(brief: Any) -> tuple[str, ...]:
            settings, problems, (_, _, failed) = brief
            return (*settings.problems, *problems, *failed)

        before = listed(self._told) if self._told else ()
        after = listed(self._brief())
        for problem in after:
            if problem not in before:
                LOG.warning("chassis %s: %s", self.label, problem)
        if before and not after:
            LOG.info("chassis %s: no problems any more", self.label)

    # Repairs

    def keep_order(self, now: float) -> None:
        """Send the transaction that br-int needs, if it needs one and it is time for it."""
        if (not self.admitted or self.settings is None or now < self._check_at
                or self._transaction is not None):
            return
        self._check_at = NEVER
        desired = desired_configuration(self.settings, self._openflow_target)
        diagnosis = repairs(self._replica, desired)
        self._impossible = diagnosis.problems
        if not diagnosis.repairs:
            self._settled, self._backoff, self._failure = desired, REPAIR_INTERVAL, ""
        self._schedule_fact(False, now)
        if not diagnosis.repairs:
            return
        if not self._has_credit(now):
            self._check_at = now + REPAIR_INTERVAL
            return
        id = self.rpc.request("transact", transaction(diagnosis.repairs, DATABASE), now)
        self._transaction = (id, desired, diagnosis.repairs)

    def _has_credit(self, now: float) -> bool:
        earned = (now - self._credit_at) / REPAIR_INTERVAL
        self._credit = min(float(REPAIRS_AT_ONCE), self._credit + earned)
        self._credit_at = now
        if self._credit < 1:
            return False
        self._credit -= 1
        if self._credit < 1:
            LOG.warning("chassis %s: something keeps undoing repairs of br-int: now one a second",
                        self.label)
        return True

    def _transacted(self, reply: Reply, now: float) -> None:
        assert self._transaction is not None
        _, desired, done = self._transaction
        self._transaction = None
        failure = _failure(reply)
        if failure:
            self._check_at = now + self._backoff
            self._backoff = min(2 * self._backoff, MAX_BACKOFF)
            reasons = "; ".join(repair.reason for repair in done)
            self._failure = f"cannot repair br-int ({reasons}): {failure}"
        else:
            self._check_at = now
            self._failure = ""
            self._log_repairs(desired, done)
        self._schedule_fact(False, now)

    def _log_repairs(self, desired: Desired, done: tuple[Repair, ...]) -> None:
        if self._settled is None and done[0].kind is RepairKind.BRIDGE_MISSING:
            names = ", ".join(["br-int", *(tunnel.name for tunnel in desired.tunnels)])
            LOG.info("chassis %s: set up %s", self.label, names)
            return
        again = self._settled is None or self._settled == desired
        for repair in done:
            LOG.log(logging.WARNING if again else logging.INFO, "chassis %s: %s: %s",
                    self.label, "repaired" if again else "configured anew", repair.reason)

    # Time

    def deadline(self) -> float:
        """When `tick`, `keep_order` or `take_fact` have something to do without a message."""
        at = self.rpc.deadline()
        if self.admitted:
            at = min(at, self._tell_by)
            if self._transaction is None:
                at = min(at, self._check_at)
        return at

    def tick(self, now: float) -> None:
        self.rpc.tick(now)


def _failure(reply: Reply) -> str:
    """The first error in the reply to a transaction, or an empty string."""
    if reply.error is not None:
        return _shown(reply.error)
    if not isinstance(reply.result, list):
        raise PeerError("the reply to a transaction is not a list")
    for result in reply.result:
        if isinstance(result, dict) and result.get("error") is not None:
            return _shown([result.get("error"), result.get("details")])
    return ""


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:200] + "..."
