"""FakeFabric: the real engine, linker and differ, with fake switches joined by their tunnels.

Owns the role that southbound has in the product: it follows the store, keeps what each switch is
believed to hold, and applies plans. `send` puts a frame into an interface and follows it through
every switch until it comes out.

Questions read as sentences: `fabric.send(web1, to=db1).reaches(db1)`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from controller.model.resources import Binding, Chassis, Port
from controller.model.snapshot import Delta, Snapshot
from controller.pipeline.describe import Purposes, purposes_of
from controller.pipeline.rule import Item, Key
from controller.reconciliation.differ import Plan, plan
from controller.reconciliation.engine import Engine
from controller.reconciliation.feature import Feature
from controller.store.store import Store, everything
from controller.testing.fake_switch import FakeSwitch, Sent, Trace, Tunnel
from controller.testing.oracle import Delivery, in_order
from controller.testing.packets import BROADCAST, Frame, udp

MAX_HOPS = 32


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a frame: deliveries and the traces that explain them. A delivery to an
    interface without a port is named `chassis:ofport`."""

    sender: str
    frame: Frame
    deliveries: tuple[Delivery, ...]
    traces: tuple[Trace, ...]

    def reaches(self, *ports: Port) -> bool:
        """Whether the frame, unchanged, comes out at exactly these ports, once at each."""
        return (all(delivery.frame == self.frame for delivery in self.deliveries)
                and sorted(delivery.port for delivery in self.deliveries)
                == sorted(port.id for port in ports))

    @property
    def reaches_nobody(self) -> bool:
        """Whether the frame is dropped everywhere, and nothing answers."""
        return not self.deliveries

    @property
    def answer(self) -> Frame | None:
        """The reply that a switch gave to the sender, if that is all that happened."""
        if len(self.deliveries) != 1 or self.deliveries[0].port != self.sender:
            return None
        return self.deliveries[0].frame

    @property
    def tunnels(self) -> list[Tunnel]:
        """The tunnels that copies of the frame went through."""
        return [sent.tunnel for trace in self.traces for sent in trace.sent if sent.tunnel]

    def __str__(self) -> str:
        return "\n".join(map(str, self.traces))


class FakeFabric:
    """All switches of a store. `installed` is what each connected switch is believed to hold;
    `breaks` after how many messages of its next plan the line to a switch breaks."""

    def __init__(self, features: Iterable[Feature], store: Store) -> None:
        self.store = store
        self.engine = Engine(features)
        self.purposes: Purposes = purposes_of(
            purpose for feature in self.engine.features for purpose in feature.purposes)
        self.switches: dict[str, FakeSwitch] = {}
        self.installed: dict[str, dict[Key, Item]] = {}
        self.away: set[str] = set()
        self.breaks: dict[str, int] = {}
        self._follow(store.snapshot, everything(store.snapshot))
        store.watch(self._follow)

    @property
    def tables(self) -> Mapping[str, Mapping[Key, Item]]:
        """What every switch should hold."""
        return self.engine.linker.tables

    def _follow(self, snapshot: Snapshot, delta: Delta) -> None:
        self.engine.advance(snapshot, delta)
        for gone in [id for id in self.switches if snapshot.get(Chassis, id) is None]:
            del self.switches[gone]
            self.installed.pop(gone, None)
            self.away.discard(gone)
        joining = {id for id in snapshot.ids(Chassis) if id not in self.switches}
        for chassis in snapshot.where(Chassis, "all"):
            if chassis.id in joining:
                self.switches[chassis.id] = FakeSwitch(chassis.id, purposes=self.purposes)
                self.away.add(chassis.id)
            switch = self.switches[chassis.id]
            switch.tunnels = {ofport: name for name, ofport in chassis.tunnel_ports}
            breaks = self.breaks.pop(chassis.id, None)
            if chassis.id in joining:
                self.reconnect(chassis.id, steps=breaks)
            else:
                self.update(chassis.id, breaks)
        self._confirm()

    def _confirm(self) -> None:
        if not self.away:
            self.store.confirm(self.engine.revision)

    def update(self, chassis: str, steps: int | None = None) -> Plan:
        """Send a switch what changed for it. With `steps`, the line breaks after so many
        messages, and the switch is away until `reconnect`."""
        keys = self.engine.linker.collect(chassis)
        if chassis in self.away:
            return Plan()
        desired = self.tables.get(chassis, {})
        changes = plan(self.installed[chassis], desired, keys)
        self.switches[chassis].apply(changes, steps)
        if steps is not None:
            self.disconnect(chassis)
            return changes
        for item in changes.put:
            self.installed[chassis][item.key] = item
        for key in changes.delete:
            del self.installed[chassis][key]
        return changes

    def disconnect(self, chassis: str) -> None:
        """The controller loses a switch, which goes on with what it holds."""
        self.away.add(chassis)
        self.installed.pop(chassis, None)

    def reconnect(self, chassis: str, *, emptied: bool = False, steps: int | None = None) -> Plan:
        """The switch is back, with what it holds or, after a restart, with nothing."""
        if emptied:
            self.switches[chassis] = FakeSwitch(
                chassis, self.switches[chassis].tunnels, self.purposes)
        changes = self.audit(chassis, steps)
        if steps is None:
            self.away.discard(chassis)
            self._confirm()
        return changes

    def audit(self, chassis: str, steps: int | None = None) -> Plan:
        """Compare a switch with what it should hold, and repair it."""
        self.engine.linker.collect(chassis)
        held = dict(self.switches[chassis].items)
        changes = plan(held, self.tables.get(chassis, {}))
        self.switches[chassis].apply(changes, steps)
        if steps is None:
            self.installed[chassis] = dict(self.switches[chassis].items)
        return changes

    def send(self, sender: Port, frame: Frame | None = None, *, to: Port | None = None) -> Outcome:
        """Send from a port's interface: a frame, or a datagram to another port."""
        if frame is None:
            assert to is not None, "a frame or a destination"
            frame = udp(sender.mac, to.mac, sender.fixed_ips[0].ip_address,
                        to.fixed_ips[0].ip_address)
        binding = self.store.snapshot.get(Binding, sender.id)
        if binding is None:
            return Outcome(sender.id, frame, (), ())
        return self.send_from(binding.chassis_id, binding.ofport, frame, sender.id)

    def flood(self, sender: Port) -> Outcome:
        """Send a broadcast datagram from a port."""
        source = sender.fixed_ips[0].ip_address
        return self.send(sender, udp(sender.mac, BROADCAST, source, source))

    def send_from(self, chassis: str, ofport: int, frame: Frame, sender: str = "") -> Outcome:
        """Send from any interface of a hypervisor."""
        delivered: list[Delivery] = []
        traces: list[Trace] = []
        waiting: list[tuple[str, int, Frame, Tunnel | None]] = [(chassis, ofport, frame, None)]
        while waiting:
            assert len(traces) < MAX_HOPS, f"{frame} goes round for ever"
            here, in_port, now, tunnel = waiting.pop()
            switch = self.switches.get(here)
            if switch is None:
                continue
            trace = switch.trace(in_port, now, tunnel)
            traces.append(trace)
            for sent in trace.sent:
                if sent.tunnel is None:
                    delivered.append(Delivery(self._port_at(here, sent.port), sent.frame))
                else:
                    waiting += self._arrivals(here, switch.tunnels[sent.port], sent)
        return Outcome(sender, frame, tuple(in_order(delivered)), tuple(traces))

    def _arrivals(self, here: str, overlay_type: str, sent: Sent
                  ) -> Iterator[tuple[str, int, Frame, Tunnel]]:
        """Where an encapsulated frame comes out: at the holder of the address, by its port of the
        same type."""
        rows = self.store.snapshot
        source = rows.get(Chassis, here)
        assert sent.tunnel is not None
        assert source is not None and source.encap_ip is not None, "a tunnel without an address"
        for chassis in rows.where(Chassis, "all"):
            if chassis.encap_ip is None or int(chassis.encap_ip) != sent.tunnel.destination:
                continue
            for name, ofport in chassis.tunnel_ports:
                if name == overlay_type:
                    yield (chassis.id, ofport, sent.frame,
                           sent.tunnel._replace(source=int(source.encap_ip)))

    def _port_at(self, chassis: str, ofport: int) -> str:
        for binding in self.store.snapshot.where(Binding, "chassis", chassis):
            if binding.ofport == ofport:
                return binding.id
        return f"{chassis}:{ofport}"
