"""Placement: which port is plugged into which chassis, derived from what was asked and observed.

Owns `Binding` and `Presence`. The rule, in words: an interface claims the port that its iface-id
names. A port that asks for a host takes claims from that chassis only (by hostname or system-id).
Of several claims the newest sighting wins. Whichever of port and interface comes first, the
binding is the same, for it is computed from both in the transaction that changes either.
"""

from __future__ import annotations

from controller.model.resources import Binding, Chassis, Interface, Port, Presence
from controller.model.snapshot import Draft


def claim(draft: Draft, port: Port) -> Interface | None:
    """The interface that holds the port, or None."""
    claims = [seen for seen in draft.where(Interface, "iface", port.id)
              if seen.ofport > 0 and (not port.host or is_on(draft, seen, port.host))]
    return max(claims, key=lambda seen: (seen.seen, seen.id), default=None)


def is_on(draft: Draft, seen: Interface, host: str) -> bool:
    """Whether the interface's chassis goes by the name `host`."""
    chassis = draft.get(Chassis, seen.chassis_id)
    return host == seen.chassis_id or (chassis is not None and host == chassis.hostname)


def derive(draft: Draft) -> None:
    """Bring bindings and presences up to date with what the draft changed."""
    ports: set[str] = set()
    for (kind, id), old, new in list(draft.changes()):
        if kind is Port:
            ports.add(id)
        elif kind is Interface:
            ports.update(row.iface_id for row in (old, new) if isinstance(row, Interface))
        elif kind is Chassis:
            names = {(row.hostname if row is not None else "") for row in (old, new)
                     if row is None or isinstance(row, Chassis)}
            if len(names) > 1:
                for name in (names | {id}) - {""}:
                    ports.update(draft.ids(Port, "host", name))
    pairs: set[tuple[str, str]] = set()
    for id in ports:
        before = draft.get(Binding, id)
        port = draft.get(Port, id)
        held = claim(draft, port) if port is not None else None
        if port is not None and held is not None:
            draft.put(Binding(id=id, network_id=port.network_id, chassis_id=held.chassis_id,
                              ofport=held.ofport))
        else:
            draft.delete(Binding, id)
        for binding in (before, draft.get(Binding, id)):
            if binding is not None:
                pairs.add((binding.network_id, binding.chassis_id))
    for network_id, chassis_id in pairs:
        id = f"{network_id}/{chassis_id}"
        if draft.count(Binding, "network chassis", network_id, chassis_id):
            draft.put(Presence(id=id, network_id=network_id, chassis_id=chassis_id))
        else:
            draft.delete(Presence, id)
