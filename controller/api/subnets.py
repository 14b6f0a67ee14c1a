"""Subnets: the resource as it is asked for and shown.

Owns what may be a subnet's addresses, gateway and pools. Refuses IPv6: it is not carried yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from itertools import chain

from controller.api.attributes import (
    Actor, Attribute, Reader, Resource, Values, View, Write, constant, field)
from controller.api.faults import fault, forbidden, some
from controller.api.networks import seen
from controller.api.standard import HISTORY, IDENTITY, project_of
from controller.api.values import (
    ADDRESS_OR_NULL, CIDR, FLAG, HOST_ROUTES, IP_VERSION, NAMESERVERS, POOLS, UUID, Pool)
from controller.model.addresses import Range, default_pools, hosts
from controller.model.resources import Network, Port, Subnet
from controller.model.snapshot import Snapshot


def create(write: Write, values: Values) -> Subnet:
    """Add a subnet to a network of one's own; the network's revision rises with it."""
    draft, cidr = write.transaction, values["cidr"]
    network = seen(draft, values["network_id"], write.actor)
    if not write.actor.owns(network):
        raise forbidden("create_subnet")
    for other in draft.where(Subnet, "network", network.id):
        if other.cidr.overlaps(cidr):
            raise fault("InvalidInput", reason=f"Requested subnet with cidr: {cidr} for network: "
                                               f"{network.id} overlaps with another subnet: "
                                               f"{other.cidr} ({other.id})")
    gateway = values.get("gateway_ip", _first(cidr))
    _check_gateway(cidr, gateway)
    pools = (_pools(cidr, gateway, values["allocation_pools"]) if "allocation_pools" in values
             else default_pools(cidr, gateway))
    row = Subnet(
        id=write.surroundings.new_id(), project_id=project_of(values, write.actor, "subnet"),
        network_id=network.id, cidr=cidr, gateway_ip=gateway, allocation_pools=pools,
        name=values["name"], description=values["description"], enable_dhcp=values["enable_dhcp"],
        revision_number=1, created_at=write.now, updated_at=write.now,
        **_lists(values))
    draft.put(row)
    _touch(write, network)
    return row


def _first(cidr: IPv4Network) -> IPv4Address | None:
    """The gateway when none is named; a subnet of one address has no room for it."""
    return None if cidr.prefixlen == 32 else hosts(cidr)[0]


def _check_gateway(cidr: IPv4Network, gateway: IPv4Address | None) -> None:
    if gateway is None:
        return
    first, last = hosts(cidr)
    if not first <= gateway <= last:
        raise fault("InvalidInput", reason=f"Gateway is not valid on subnet: gateway_ip {gateway} "
                                           f"is no address of a host in {cidr}")


def _pools(cidr: IPv4Network, gateway: IPv4Address | None, asked: Sequence[Pool]
           ) -> tuple[Range, ...]:
    first, last = hosts(cidr)
    pools = sorted((pool.start, pool.end) for pool in asked)
    for start, end in pools:
        shown = f"{start}-{end}"
        if start > end:
            raise fault("InvalidAllocationPool", pool=shown)
        if start < first or end > last:
            raise fault("OutOfBoundsAllocationPool", pool=shown, cidr=cidr)
        if gateway is not None and start <= gateway <= end:
            raise fault("GatewayConflictWithAllocationPools", ip=gateway, pool=shown)
    for (start, end), (after, far) in zip(pools, pools[1:]):
        if after <= end:
            raise fault("OverlappingAllocationPools", cidr=cidr,
                        pools=f"{start}-{end}, {after}-{far}")
    return tuple(pools)


def _lists(values: Values) -> Values:
    """The fields made from lists, of those that were given."""
    fields: Values = {}
    if "dns_nameservers" in values:
        fields["dns_nameservers"] = tuple(
            dict.fromkeys(str(server) for server in values["dns_nameservers"]))
    if "host_routes" in values:
        fields["host_routes"] = tuple(dict.fromkeys(
            (str(route.destination), str(route.nexthop)) for route in values["host_routes"]))
    return fields


def _touch(write: Write, network: Network) -> None:
    write.transaction.put(replace(network, revision_number=network.revision_number + 1,
                                  updated_at=write.now))


def update(write: Write, row: Subnet, values: Values) -> Subnet:
    """The subnet with new values; gateway and pools must still fit each other."""
    fields = values | _lists(values)
    gateway = values.get("gateway_ip", row.gateway_ip)
    _check_gateway(row.cidr, gateway)
    if "allocation_pools" in values:
        fields["allocation_pools"] = _pools(row.cidr, gateway, values["allocation_pools"])
    elif gateway != row.gateway_ip and gateway is not None:
        _pools(row.cidr, gateway, [Pool.model_construct(start=start, end=end)
                                   for start, end in row.allocation_pools])
    new = replace(row, **fields)
    network = write.transaction.get(Network, row.network_id)
    if new != row and network is not None:
        _touch(write, network)
    return new


def delete(write: Write, row: Subnet) -> None:
    """Remove a subnet of which no port has an address."""
    draft = write.transaction
    ports = sorted(draft.ids(Port, "subnet", row.id))
    if ports:
        raise fault("SubnetInUse", id=row.id, ports=some(ports))
    draft.delete(Subnet, row.id)
    draft.cursors.pop(row.id, None)
    network = draft.get(Network, row.network_id)
    if network is not None:
        _touch(write, network)


def visible(state: Reader, row: Subnet, actor: Actor) -> bool:
    """One's own, and those of networks that are one's own or shared."""
    if actor.owns(row):
        return True
    network = state.get(Network, row.network_id)
    return network is not None and (network.shared or actor.owns(network))


def owned(state: Reader, row: Subnet, actor: Actor) -> bool:
    """One's own, and those of one's own networks."""
    network = state.get(Network, row.network_id)
    return actor.owns(row) or (network is not None and actor.owns(network))


def mine(state: Snapshot, actor: Actor) -> Iterable[str]:
    """What a tenant sees."""
    networks = chain(state.ids(Network, "project", actor.project_id),
                     state.ids(Network, "shared"))
    return chain(state.ids(Subnet, "project", actor.project_id),
                 *(state.ids(Subnet, "network", id) for id in networks))


def _show_pools(row: Subnet, view: View) -> object:
    return [{"start": str(start), "end": str(end)} for start, end in row.allocation_pools]


def _show_routes(row: Subnet, view: View) -> object:
    return [{"destination": destination, "nexthop": nexthop}
            for destination, nexthop in row.host_routes]


def _show_gateway(row: Subnet, view: View) -> object:
    return None if row.gateway_ip is None else str(row.gateway_ip)


SUBNETS: Resource[Subnet] = Resource(
    name="subnet", collection="subnets", kind=Subnet, not_found="SubnetNotFound",
    create=create, update=update, delete=delete, visible=visible, owned=owned, mine=mine,
    network=lambda row: row.network_id,
    attributes=(
        *IDENTITY,
        Attribute(name="network_id", type=UUID, flags="C!FS", show=field("network_id"),
                  bucket="network"),
        Attribute(name="ip_version", type=IP_VERSION, flags="C!FS", show=constant(4)),
        Attribute(name="cidr", type=CIDR, flags="C!FS", show=lambda row, view: str(row.cidr)),
        Attribute(name="gateway_ip", type=ADDRESS_OR_NULL, flags="CUFS", show=_show_gateway),
        Attribute(name="allocation_pools", type=POOLS, flags="CU", show=_show_pools),
        Attribute(name="enable_dhcp", type=FLAG, flags="CUFS", default=True,
                  show=field("enable_dhcp")),
        Attribute(name="dns_nameservers", type=NAMESERVERS, flags="CU", default=(),
                  show=lambda row, view: list(row.dns_nameservers)),
        Attribute(name="host_routes", type=HOST_ROUTES, flags="CU", default=(),
                  show=_show_routes),
        *HISTORY,
    ))
