"""L2 forwarding: inside one network, by known MAC addresses.

A known MAC leads to its port and the chassis that holds it: the same rule on every chassis of the
network, so that a move is one changed rule. Broadcast and multicast go to a group with a bucket
for each local member and one for each other chassis; what came by a tunnel passes the same group,
and LOCATE ends its way at the local members. Unknown unicast is dropped, unless the network has
no port security: then somebody unknown may live there, and it goes to everybody.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.model.addresses import mac_number
from controller.model.resources import Binding, Chassis, Network, Port, Presence
from controller.pipeline.actions import Goto, Subroutine, ToGroup, load
from controller.pipeline.cookie import Purpose, group_id
from controller.pipeline.fields import ETH_DST, NETWORK, OUT_CHASSIS, OUT_PORT
from controller.pipeline.layout import DELIVER, FLOOD, L2_FORWARD, LOCATE
from controller.pipeline.rule import Bucket, Group
from controller.pipeline.table import Priority
from controller.reconciliation.feature import (
    Each, Feature, Placed, across_network, on_chassis,
)
from controller.reconciliation.view import View
from controller.southbound.app import FeatureApp

COOKIE = 5
MULTICAST_BIT = 1 << 40
KNOWN = Purpose(COOKIE, 1, "a known MAC leads to its port", owner="port")
COPY = Purpose(COOKIE, 2, "broadcast and multicast go to every member", owner="network")
COPY_UNKNOWN = Purpose(COOKIE, 3, "without port security, unknown unicast too", owner="network")


def known_mac(binding: Binding, view: View) -> Iterator[Placed]:
    """Where one plugged port's MAC leads."""
    port, network = view.get(Port, binding.id), view.get(Network, binding.network_id)
    chassis = view.get(Chassis, binding.chassis_id)
    if port is None or network is None or chassis is None or not port.admin_state_up:
        return
    rule = L2_FORWARD.rule(
        KNOWN, port.key, Priority.EXACT, NETWORK.equals(network.key),
        ETH_DST.equals(mac_number(port.mac)),
        do=(load(OUT_PORT, port.key), load(OUT_CHASSIS, chassis.key), Goto(LOCATE.id)))
    if network.segmentation_id is None:
        yield on_chassis(binding.chassis_id, rule)
    else:
        yield across_network(network.id, rule)


def copies(network: Network, view: View) -> Iterator[Placed]:
    """What of a network's traffic is copied to all members."""
    group = ToGroup(group_id(COOKIE, network.key))
    here = NETWORK.equals(network.key)
    yield across_network(network.id, FLOOD.rule(
        COPY, network.key, Priority.EXACT, here, ETH_DST.masked(MULTICAST_BIT, MULTICAST_BIT),
        do=(group,)))
    if not network.port_security_enabled:
        yield across_network(network.id, FLOOD.rule(
            COPY_UNKNOWN, network.key, Priority.DEFAULT, here, do=(group,)))


def members(presence: Presence, view: View) -> Iterator[Placed]:
    """The group of one network on one chassis: a bucket a local member, a bucket a chassis."""
    network = view.get(Network, presence.network_id)
    if network is None:
        return
    buckets = []
    for binding in view.where(Binding, "network chassis", network.id, presence.chassis_id):
        port = view.get(Port, binding.id)
        if port is not None and port.admin_state_up:
            buckets.append(Bucket((load(OUT_PORT, port.key), Subroutine(DELIVER.id))))
    if network.segmentation_id is not None:
        for other in view.where(Presence, "network", network.id):
            chassis = view.get(Chassis, other.chassis_id)
            if chassis is not None and chassis.id != presence.chassis_id:
                buckets.append(Bucket((load(OUT_CHASSIS, chassis.key), Subroutine(LOCATE.id))))
    yield on_chassis(presence.chassis_id,
                     Group(group_id(COOKIE, network.key), "all", tuple(buckets)))


FEATURE = Feature(
    name="l2_forwarding", cookie=COOKIE,
    owns=(L2_FORWARD, FLOOD),
    purposes=(KNOWN, COPY, COPY_UNKNOWN),
    units=(Each(Binding, known_mac), Each(Network, copies), Each(Presence, members)),
)


class L2Forwarding(FeatureApp):
    """Loads the feature."""

    feature = FEATURE
