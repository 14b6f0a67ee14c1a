"""Allocation: which addresses a port gets.

Owns the choice among a network's subnets, and the refusal of what is taken. Everything happens in
the caller's transaction, so two callers never get the same address.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from ipaddress import IPv4Address

from controller.api.faults import fault
from controller.api.values import FixedIpRequest
from controller.model.addresses import first_free, hosts, mac_of
from controller.model.resources import FixedIp, Mac, Network, Port, Subnet
from controller.store.store import Transaction

MAC_PREFIX = 0xFA163E
"""The first half of generated addresses; locally administered, and the one that the field uses."""
_TRIES = 16


def fixed_ips(draft: Transaction, network: Network, asked: Sequence[FixedIpRequest] | None,
              port_id: str, held: Sequence[FixedIp] = ()) -> tuple[FixedIp, ...]:
    """The addresses of a port. None asks for one from any subnet, if there are subnets; `held` are
    those that it has already and keeps when the request leaves the choice open."""
    subnets = draft.where(Subnet, "network", network.id)
    if asked is None:
        return (_any(draft, network, subnets),) if subnets else ()
    named = [_named(draft, network, subnets, request, port_id) for request in asked
             if request.ip_address is not None]
    if len(set(named)) < len(named):
        raise fault("InvalidInput", reason=f"Duplicate IP address in fixed_ips of port {port_id}")
    given = set(named)
    found = iter(named)
    return tuple(next(found) if request.ip_address is not None
                 else _open(draft, network, subnets, request, held, given) for request in asked)


def _named(draft: Transaction, network: Network, subnets: Sequence[Subnet],
           request: FixedIpRequest, port_id: str) -> FixedIp:
    address = request.ip_address
    assert address is not None
    if request.subnet_id is not None:
        subnet = _subnet(network, subnets, request.subnet_id)
    else:
        holding = [each for each in subnets if address in each.cidr]
        if not holding:
            raise fault("InvalidIpForNetwork", ip=address, network=network.id)
        subnet = holding[0]
    first, last = hosts(subnet.cidr)
    if not first <= address <= last:
        raise fault("InvalidIpForSubnet", ip=address, subnet=subnet.id, cidr=subnet.cidr)
    for holder in draft.ids(Port, "address", subnet.id, address):
        if holder != port_id:
            raise fault("IpAddressAlreadyAllocated", ip=address, subnet=subnet.id, port=holder)
    return FixedIp(subnet.id, address)


def _subnet(network: Network, subnets: Sequence[Subnet], id: str) -> Subnet:
    for subnet in subnets:
        if subnet.id == id:
            return subnet
    raise fault("InvalidInput", reason=f"Failed to create port on network {network.id}, because "
                                       f"fixed_ips included invalid subnet {id}")


def _open(draft: Transaction, network: Network, subnets: Sequence[Subnet],
          request: FixedIpRequest, held: Sequence[FixedIp], given: set[FixedIp]) -> FixedIp:
    if request.subnet_id is None:
        fixed = _any(draft, network, subnets, given)
    else:
        subnet = _subnet(network, subnets, request.subnet_id)
        kept = (old for old in held if old.subnet_id == subnet.id and old not in given)
        fixed = next(kept, None) or _from(draft, network, subnet, given)
    given.add(fixed)
    return fixed


def _any(draft: Transaction, network: Network, subnets: Sequence[Subnet],
         given: Set[FixedIp] = frozenset()) -> FixedIp:
    for subnet in subnets:
        address = _next(draft, subnet, given)
        if address is not None:
            return FixedIp(subnet.id, address)
    raise fault("IpAddressGenerationFailure", network=network.id, where="")


def _from(draft: Transaction, network: Network, subnet: Subnet, given: set[FixedIp]) -> FixedIp:
    address = _next(draft, subnet, given)
    if address is None:
        raise fault("IpAddressGenerationFailure", network=network.id,
                    where=f" in subnet {subnet.id}")
    return FixedIp(subnet.id, address)


def _next(draft: Transaction, subnet: Subnet, given: Set[FixedIp]) -> IPv4Address | None:
    def taken(address: IPv4Address) -> bool:
        return (FixedIp(subnet.id, address) in given
                or draft.count(Port, "address", subnet.id, address) > 0)
    address = first_free(subnet.allocation_pools, taken, draft.cursors.get(subnet.id))
    if address is not None:
        draft.cursors[subnet.id] = address
    return address


def generated_mac(draft: Transaction, network: Network, random: bytes) -> Mac:
    """A MAC address that no port of the network has, from `_TRIES` random halves."""
    for at in range(0, len(random), 3):
        mac = mac_of(MAC_PREFIX << 24 | int.from_bytes(random[at:at + 3], "big"))
        if not draft.count(Port, "mac", network.id, mac):
            return mac
    raise fault("MacAddressGenerationFailure", network=network.id)


RANDOM_FOR_MAC = 3 * _TRIES
