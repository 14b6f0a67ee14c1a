"""Ports: the resource as it is asked for and shown.

Owns what a port may ask for and who may ask it; addresses are chosen in `allocation`. Refuses
security groups and address pairs: they are not served yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from controller.api.allocation import RANDOM_FOR_MAC, fixed_ips, generated_mac
from controller.api.attributes import (
    Actor, Attribute, Reader, Resource, Values, View, Write, constant, contains, field)
from controller.api.faults import fault, forbidden
from controller.api.networks import seen
from controller.api.standard import HISTORY, IDENTITY, project_of
from controller.api.values import (
    FIXED_IPS, FLAG, MAC, NO_GROUPS, OR_NULL_TEXT, PROFILE, UUID, VNIC_TYPE)
from controller.model.resources import Binding, Chassis, Mac, Network, Port
from controller.model.snapshot import Snapshot

_FIELDS = {"binding:host_id": "host", "binding:vnic_type": "vnic_type", "mac_address": "mac"}
"""The row's name of an attribute, where it differs."""


def create(write: Write, values: Values) -> Port:
    """Add a port: its number, MAC and addresses are taken in the same transaction."""
    draft = write.transaction
    network = seen(draft, values["network_id"], write.actor)
    _check_network_owner(write.actor, network, values, "create")
    id = write.surroundings.new_id()
    mac = values.get("mac_address")
    if mac is None:
        mac = generated_mac(draft, network, write.surroundings.random_bytes(RANDOM_FOR_MAC))
    else:
        _check_mac(write, network.id, mac)
    row = Port(
        id=id, project_id=project_of(values, write.actor, "port"), network_id=network.id,
        key=draft.numbers.take("port"), mac=mac,
        fixed_ips=fixed_ips(draft, network, values.get("fixed_ips"), id),
        name=values["name"], description=values["description"],
        admin_state_up=values["admin_state_up"], device_id=values["device_id"],
        device_owner=values["device_owner"], host=values["binding:host_id"],
        vnic_type=values["binding:vnic_type"], profile=_profile(values["binding:profile"]),
        port_security_enabled=values.get("port_security_enabled", network.port_security_enabled),
        revision_number=1, created_at=write.now, updated_at=write.now)
    draft.put(row)
    return row


def _profile(value: Values) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def _check_mac(write: Write, network_id: str, mac: Mac) -> None:
    for holder in write.transaction.ids(Port, "mac", network_id, mac):
        raise fault("MacAddressInUse", network=network_id, mac=mac, port=holder)


def _check_network_owner(actor: Actor, network: Network, values: Values, verb: str) -> None:
    """On a network that others share with us, addresses are theirs to give: choosing them, or
    switching port security off, would let a guest pass for another."""
    if actor.owns(network):
        return
    for name in ("mac_address", "port_security_enabled"):
        if name in values:
            raise forbidden(f"{verb}_port:{name}")
    if any(request.ip_address is not None for request in values.get("fixed_ips", ())):
        raise forbidden(f"{verb}_port:fixed_ips:ip_address")
    if values.get("device_owner", "").startswith("network:"):
        raise forbidden(f"{verb}_port:device_owner")


def update(write: Write, row: Port, values: Values) -> Port:
    """The port with new values."""
    draft = write.transaction
    network = draft.get(Network, row.network_id)
    assert network is not None, "a port's network cannot be deleted"
    _check_network_owner(write.actor, network, values, "update")
    fields: Values = {_FIELDS.get(name, name): value for name, value in values.items()
                      if name != "security_groups"}
    if fields.get("mac", row.mac) != row.mac:
        if not write.actor.is_admin:
            raise forbidden("update_port:mac_address")
        _check_mac(write, row.network_id, fields["mac"])
    if "binding:profile" in fields:
        fields["profile"] = _profile(fields.pop("binding:profile"))
    if "fixed_ips" in fields:
        fields["fixed_ips"] = fixed_ips(draft, network, fields["fixed_ips"], row.id, row.fixed_ips)
    return replace(row, **fields)


def delete(write: Write, row: Port) -> None:
    """Remove a port."""
    write.transaction.delete(Port, row.id)
    write.transaction.numbers.release("port", row.key, write.transaction.revision)


def owned(state: Reader, row: Port, actor: Actor) -> bool:
    """One's own, and those on one's own networks."""
    if actor.owns(row):
        return True
    network = state.get(Network, row.network_id)
    return network is not None and actor.owns(network)


def mine(state: Snapshot, actor: Actor) -> Iterable[str]:
    """What a tenant sees."""
    return chain(state.ids(Port, "project", actor.project_id),
                 *(state.ids(Port, "network", id)
                   for id in state.ids(Network, "project", actor.project_id)))


def _status(row: Port, view: View) -> object:
    return view.realisation.port_status(row.id)[0] if row.admin_state_up else "DOWN"


def _reason(row: Port, view: View) -> object:
    return view.realisation.port_status(row.id)[1] if row.admin_state_up else ""


def _fixed_ips(row: Port, view: View) -> object:
    return [{"subnet_id": fixed.subnet_id, "ip_address": str(fixed.ip_address)}
            for fixed in row.fixed_ips]


def _match_fixed_ips(value: Any, texts: Sequence[str]) -> bool:
    """`subnet_id=X` and `ip_address=Y`: any of one name, each of several names, in one address."""
    wanted: dict[str, set[str]] = {}
    for text in texts:
        name, _, asked = text.partition("=")
        wanted.setdefault(name, set()).add(asked)
    return any(all(fixed.get(name) in asked for name, asked in wanted.items()) for fixed in value)


def _host(row: Port, view: View) -> object:
    if row.host:
        return row.host
    binding = view.state.get(Binding, row.id)
    if binding is None:
        return ""
    chassis = view.state.get(Chassis, binding.chassis_id)
    return chassis.hostname or chassis.id if chassis is not None else binding.chassis_id


def _vif_type(row: Port, view: View) -> object:
    return "ovs" if view.state.get(Binding, row.id) is not None else "unbound"


def _vif_details(row: Port, view: View) -> object:
    if view.state.get(Binding, row.id) is None:
        return {}
    return {"port_filter": row.port_security_enabled, "connectivity": "l2",
            "bridge_name": "br-int"}


PORTS: Resource[Port] = Resource(
    name="port", collection="ports", kind=Port, not_found="PortNotFound",
    create=create, update=update, delete=delete, visible=owned, owned=owned, mine=mine,
    network=lambda row: row.network_id,
    attributes=(
        *IDENTITY,
        Attribute(name="network_id", type=UUID, flags="C!FS", show=field("network_id"),
                  bucket="network"),
        Attribute(name="admin_state_up", type=FLAG, flags="CUFS", default=True,
                  show=field("admin_state_up")),
        Attribute(name="status", flags="FS", show=_status),
        Attribute(name="tenet:status_reason", show=_reason),
        Attribute(name="mac_address", type=MAC, flags="CUFS", show=field("mac")),
        Attribute(name="fixed_ips", type=FIXED_IPS, flags="CUF", show=_fixed_ips,
                  matches=_match_fixed_ips),
        Attribute(name="device_id", type=OR_NULL_TEXT, flags="CUFS", default="",
                  show=field("device_id"), bucket="device"),
        Attribute(name="device_owner", type=OR_NULL_TEXT, flags="CUFS", default="",
                  show=field("device_owner")),
        Attribute(name="security_groups", type=NO_GROUPS, flags="CUF", default=(),
                  show=constant([]), matches=contains),
        Attribute(name="port_security_enabled", type=FLAG, flags="CUFS",
                  show=field("port_security_enabled")),
        Attribute(name="binding:host_id", type=OR_NULL_TEXT, flags="CUFS", default="", show=_host,
                  admin_writes=True, admin_reads=True),
        Attribute(name="binding:profile", type=PROFILE, flags="CU", default={},
                  show=lambda row, view: json.loads(row.profile), admin_writes=True,
                  admin_reads=True),
        Attribute(name="binding:vnic_type", type=VNIC_TYPE, flags="CUFS", default="normal",
                  show=field("vnic_type"), admin_writes=True, admin_reads=True),
        Attribute(name="binding:vif_type", flags="FS", show=_vif_type, admin_reads=True),
        Attribute(name="binding:vif_details", show=_vif_details, admin_reads=True),
        *HISTORY,
    ))
