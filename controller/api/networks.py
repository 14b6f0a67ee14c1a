"""Networks: the resource as it is asked for and shown.

Owns segments and MTUs: which a network gets, which are refused. Refuses types that need a physical
network: those are not carried.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from controller.api.attributes import (
    Actor, Attribute, Reader, Resource, Values, View, Write, constant, contains, field)
from controller.api.faults import fault, invalid, some
from controller.api.standard import HISTORY, IDENTITY, project_of
from controller.api.values import FLAG, MTU, NETWORK_TYPE, NOT_EXTERNAL, NULL, SEGMENT
from controller.model.overlay import largest_mtu
from controller.model.resources import Chassis, Network, Port, Subnet
from controller.model.snapshot import Snapshot
from controller.store.numbers import NumberQuarantined, PoolExhausted

SMALLEST_MTU = 68
"""What IPv4 needs (RFC 791, 3.2)."""


def create(write: Write, values: Values) -> Network:
    """Add a network: its numbers are taken in the same transaction."""
    draft = write.transaction
    network_type = values.get("provider:network_type", write.settings.network_type)
    try:
        row = Network(
            id=write.surroundings.new_id(), project_id=project_of(values, write.actor, "network"),
            key=draft.numbers.take("network"), network_type=network_type,
            segmentation_id=_segment(write, network_type,
                                     values.get("provider:segmentation_id")),
            mtu=_mtu(write, network_type, values["mtu"]), name=values["name"],
            description=values["description"], admin_state_up=values["admin_state_up"],
            shared=values["shared"], port_security_enabled=values["port_security_enabled"],
            revision_number=1, created_at=write.now, updated_at=write.now)
    except PoolExhausted as error:
        raise fault("NoNetworkAvailable", reason=error) from None
    draft.put(row)
    return row


def _segment(write: Write, network_type: str, wanted: int | None) -> int | None:
    draft = write.transaction
    if network_type == "local":
        if wanted is not None:
            raise fault("InvalidInput", reason="provider:segmentation_id prohibited for local "
                                               "provider network")
        return None
    if wanted is None:
        return draft.numbers.take("segment", lambda n: draft.count(Network, "segment", n) > 0)
    for holder in draft.ids(Network, "segment", wanted):
        raise fault("TunnelIdInUse", segment=wanted, why=f" by network {holder}")
    try:
        draft.numbers.claim("segment", wanted)
    except NumberQuarantined:
        raise fault("TunnelIdInUse", segment=wanted,
                    why=": it was released, and not every switch has confirmed that yet") from None
    return wanted


def _mtu(write: Write, network_type: str, wanted: int) -> int:
    types = {name for chassis in write.transaction.where(Chassis) for name in chassis.encap_types}
    largest = largest_mtu(write.settings.underlay_mtu, network_type, types)
    if wanted > largest:
        raise invalid("mtu", f"'{wanted}' is larger than the {largest} that a {network_type} "
                             f"network can have on this underlay ({write.settings.underlay_mtu})")
    if 0 < wanted < SMALLEST_MTU:
        raise invalid("mtu", f"'{wanted}' is smaller than {SMALLEST_MTU}")
    return wanted or largest


def update(write: Write, row: Network, values: Values) -> Network:
    """The network with new values."""
    values = {name: value for name, value in values.items() if name != "router:external"}
    if "mtu" in values:
        values = values | {"mtu": _mtu(write, row.network_type, values["mtu"])}
    if row.shared and not values.get("shared", True):
        _check_unshare(write, row)
    return replace(row, **values)


def _check_unshare(write: Write, row: Network) -> None:
    others = [port.id for port in write.transaction.where(Port, "network", row.id)
              if port.project_id != row.project_id]
    if others:
        raise fault("Conflict", reason=f"Unable to reconfigure sharing settings for network "
                                       f"{row.id}: other projects use it, with ports "
                                       f"{some(others)}.")


def delete(write: Write, row: Network) -> None:
    """Remove a network without ports, and its subnets."""
    draft = write.transaction
    ports = sorted(draft.ids(Port, "network", row.id))
    if ports:
        raise fault("NetworkInUse", id=row.id, ports=some(ports))
    for id in list(draft.ids(Subnet, "network", row.id)):
        draft.delete(Subnet, id)
        draft.cursors.pop(id, None)
    draft.delete(Network, row.id)
    draft.numbers.release("network", row.key, draft.revision)
    if row.segmentation_id is not None:
        draft.numbers.release("segment", row.segmentation_id, draft.revision)


def visible(state: Reader, row: Network, actor: Actor) -> bool:
    """One's own, and shared ones."""
    return row.shared or actor.owns(row)


def owned(state: Reader, row: Network, actor: Actor) -> bool:
    """One's own."""
    return actor.owns(row)


def mine(state: Snapshot, actor: Actor) -> Iterable[str]:
    """What a tenant sees."""
    return chain(state.ids(Network, "project", actor.project_id), state.ids(Network, "shared"))


def seen(state: Reader, id: str, actor: Actor) -> Network:
    """The network that a subnet or port names; the fault is the same whether it is absent or not
    the actor's to see."""
    row = state.get(Network, id)
    if row is None or not visible(state, row, actor):
        raise fault("NetworkNotFound", id=id)
    return row


def _status(row: Network, view: View) -> object:
    return view.realisation.network_status(row.id)[0] if row.admin_state_up else "DOWN"


def _subnets(row: Network, view: View) -> object:
    return sorted(view.state.ids(Subnet, "network", row.id))


NETWORKS: Resource[Network] = Resource(
    name="network", collection="networks", kind=Network, not_found="NetworkNotFound",
    create=create, update=update, delete=delete, visible=visible, owned=owned, mine=mine,
    network=lambda row: row.id,
    attributes=(
        *IDENTITY,
        Attribute(name="admin_state_up", type=FLAG, flags="CUFS", default=True,
                  show=field("admin_state_up")),
        Attribute(name="status", flags="FS", show=_status),
        Attribute(name="subnets", show=_subnets, flags="F", matches=contains),
        Attribute(name="shared", type=FLAG, flags="CUFS", default=False, show=field("shared"),
                  admin_writes=True),
        Attribute(name="mtu", type=MTU, flags="CUFS", default=0, show=field("mtu")),
        Attribute(name="port_security_enabled", type=FLAG, flags="CUFS", default=True,
                  show=field("port_security_enabled")),
        Attribute(name="router:external", type=NOT_EXTERNAL, flags="CUF", default=False,
                  show=constant(False)),
        Attribute(name="provider:network_type", type=NETWORK_TYPE, flags="CFS",
                  show=field("network_type"), admin_writes=True, admin_reads=True),
        Attribute(name="provider:physical_network", type=NULL, flags="CF", default=None,
                  show=constant(None), admin_writes=True, admin_reads=True),
        Attribute(name="provider:segmentation_id", type=SEGMENT, flags="CFS",
                  show=field("segmentation_id"), admin_writes=True, admin_reads=True),
        *HISTORY,
    ))
