"""Status: how far the switches are, as the API asks it.

Owns the answer to "is it done?". In words: a change is realised when every connected switch whose
rules it changed has confirmed them. A chassis that is away is pending, and nobody waits for it; it
is compared as a whole when it comes back. A port is ACTIVE when its own chassis and all connected
chassis of its network hold the rules that its last change led to.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence

import eventlet
import eventlet.event

from controller.model.overlay import obstacle
from controller.model.resources import Binding, Chassis, Interface, Network, Port, Presence, Row
from controller.reconciliation.engine import Engine
from controller.reconciliation.linker import Unit
from controller.southbound.explain import explain
from controller.southbound.switch import Switch
from controller.store.store import Store

REMEMBERED = 4096
"""Batches of compiled changes whose chassis are remembered for those who wait."""


class Status:
    """Implements the API's `Realisation`. `switches_by_chassis` are the connected ones."""

    def __init__(self, store: Store, engine: Engine) -> None:
        self._store, self._engine = store, engine
        self.connected: dict[str, Switch] = {}
        self._left: dict[str, int] = {}
        self._batches: deque[tuple[int, frozenset[str]]] = deque(maxlen=REMEMBERED)
        self._waiters: set[eventlet.event.Event] = set()
        self._slowest = ""

    def compiled(self, revision: int, chassis: frozenset[str]) -> None:
        """The engine reached `revision`; these chassis' tables changed on the way."""
        self._batches.append((revision, chassis))
        self.progressed()

    def joined(self, switch: Switch) -> None:
        """A switch connected."""
        self.connected[switch.chassis] = switch

    def left(self, switch: Switch) -> None:
        """A switch is gone; what it confirmed is remembered."""
        if self.connected.get(switch.chassis) is switch:
            self._left[switch.chassis] = switch.realised
            del self.connected[switch.chassis]
            self.progressed()

    def progressed(self) -> None:
        """Some switch is further than before: let those who wait look again."""
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            waiter.send(None)
        self._confirm()

    def _confirm(self) -> None:
        """Tell the store what all known switches hold. Who held the others up the last time mostly
        still does: as long as that is so, nobody else is asked."""
        known = self._store.snapshot.ids(Chassis)
        if self._slowest in known and self.realised(self._slowest) <= self._store.confirmed:
            return
        self._slowest = min(known, key=self.realised, default="")
        if self._slowest:
            self._store.confirm(self.realised(self._slowest))

    def realised(self, chassis: str) -> int:
        """The last revision that a chassis' switch has confirmed, 0 if none."""
        switch = self.connected.get(chassis)
        if switch is None:
            return max(0, self._left.get(chassis, 0))
        return self._engine.revision if switch.idle else max(0, switch.realised)

    def wait(self, revision: int, network_id: str | None, timeout: float) -> bool:
        """Wait until the connected switches that `revision` concerns hold it."""
        deadline = time.monotonic() + timeout
        while not self._reached(revision, network_id):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            waiter = eventlet.event.Event()
            self._waiters.add(waiter)
            with eventlet.Timeout(left, False):
                waiter.wait()
            self._waiters.discard(waiter)
        return True

    def _reached(self, revision: int, network_id: str | None) -> bool:
        if self._engine.revision < revision:
            return False
        concerned: frozenset[str] = frozenset()
        # Those who wait do so for a recent revision: look from the newest backwards.
        for at, chassis in reversed(self._batches):
            if at < revision:
                break
            concerned = chassis
        if network_id is not None:
            concerned |= self._holders(network_id)
        return all(self.realised(id) >= revision for id in concerned if id in self.connected)

    def _holders(self, network_id: str) -> frozenset[str]:
        presences = self._store.snapshot.where(Presence, "network", network_id)
        return frozenset(presence.chassis_id for presence in presences)

    def port_status(self, port_id: str) -> tuple[str, str]:
        """(DOWN, BUILD, ACTIVE or ERROR; why) of a port that is administratively up."""
        snapshot = self._store.snapshot
        binding = snapshot.get(Binding, port_id)
        if binding is None:
            return "DOWN", self._unplugged(port_id)
        network = snapshot.get(Network, binding.network_id)
        if network is not None and not network.admin_state_up:
            return "DOWN", "the network is administratively down"
        objection = self._objection(port_id, Port, Binding)
        if objection is not None:
            return "ERROR", objection
        holders = self._holders(binding.network_id)
        for id in sorted(holders):
            reason = self._refusal(id, Port, port_id)
            if reason is not None:
                return "ERROR", reason
        revision = max(snapshot.changed(Port, port_id), snapshot.changed(Binding, port_id))
        own = binding.chassis_id
        behind = sorted(id for id in holders if self.realised(id) < revision
                        and (id == own or id in self.connected))
        if behind:
            away = [id for id in behind if id not in self.connected]
            return "BUILD", (f"chassis {away[0]} is not connected" if away
                             else f"waiting for {', '.join(behind)}")
        return "ACTIVE", "; ".join(self.cut_off(binding.chassis_id, binding.network_id))

    def _unplugged(self, port_id: str) -> str:
        snapshot = self._store.snapshot
        port = snapshot.get(Port, port_id)
        claims = snapshot.where(Interface, "iface", port_id)
        if port is not None and port.host and claims:
            return (f"plugged into {claims[-1].chassis_id}, but binding:host_id asks for "
                    f"{port.host}")
        return "no interface with this iface-id is plugged in"

    def cut_off(self, chassis_id: str, network_id: str) -> list[str]:
        """Why a chassis cannot reach others that hold the network; empty when it can."""
        snapshot = self._store.snapshot
        network, here = snapshot.get(Network, network_id), snapshot.get(Chassis, chassis_id)
        if network is None or here is None or network.segmentation_id is None:
            return []
        others = (snapshot.get(Chassis, id) for id in sorted(self._holders(network_id)))
        reasons = [obstacle(here, other) for other in others
                   if other is not None and other.id != here.id]
        return [reason for reason in reasons if reason is not None]

    def _refusal(self, chassis: str, kind: type[Row], id: str) -> str | None:
        switch = self.connected.get(chassis)
        for key, (_, reason) in (switch.refused if switch is not None else {}).items():
            for unit in self._engine.linker.owners(chassis, key):
                if unit.id == id and (unit.kind is kind or unit.kind is Binding):
                    return f"switch of {chassis} refuses a rule: {reason}"
        return None

    def _objection(self, id: str, *kinds: type[Row]) -> str | None:
        """Why rules of a resource are not even sent."""
        objections = self._engine.linker.objections
        for feature in self._engine.features if objections else ():
            for kind in kinds:
                reason = objections.get(Unit(feature.name, kind, id))
                if reason is not None:
                    return f"{feature.name} cannot be realised: {reason}"
        return None

    def network_status(self, network_id: str) -> tuple[str, str]:
        """(ACTIVE or ERROR; why) of a network."""
        objection = self._objection(network_id, Network)
        if objection is not None:
            return "ERROR", objection
        for id in sorted(self._holders(network_id)):
            reason = (self._refusal(id, Network, network_id)
                      or self._refusal(id, Presence, f"{network_id}/{id}"))
            if reason is not None:
                return "ERROR", reason
        return "ACTIVE", ""

    def explain(self, cookie: int) -> Mapping[str, object] | None:
        """Which resource, feature and source line a rule's cookie stands for; None: not ours."""
        return explain(cookie, self._engine.features, self._store.snapshot)

    def problems(self, chassis: Chassis) -> list[str]:
        """What is wrong with a chassis: what it said, whom it cannot reach, what it refused."""
        found = list(chassis.problems)
        for presence in self._store.snapshot.where(Presence, "chassis", chassis.id):
            found += [reason for reason in self.cut_off(chassis.id, presence.network_id)
                      if reason not in found]
        switch = self.connected.get(chassis.id)
        if switch is not None:
            found += [f"refused: {reason}" for _, reason in switch.refused.values()]
        return found

    def switches(self) -> Sequence[Mapping[str, object]]:
        """Each known chassis, as an operator wants to see it."""
        return [self._report(chassis) for chassis in self._store.snapshot.where(Chassis, "all")]

    def _report(self, chassis: Chassis) -> Mapping[str, object]:
        switch = self.connected.get(chassis.id)
        realised = self.realised(chassis.id)
        return {
            "chassis": chassis.id, "hostname": chassis.hostname, "connected": switch is not None,
            "desired": self._store.revision, "realised": realised,
            "pending": realised < self._store.revision,
            "rules": len(switch.installed) if switch is not None else None,
            "sent": switch.sent if switch is not None else 0,
            "repaired": switch.repaired if switch is not None else 0,
            "encap_ip": str(chassis.encap_ip) if chassis.encap_ip else None,
            "encap_types": list(chassis.encap_types), "ovs_version": chassis.ovs_version,
            "problems": self.problems(chassis),
        }
