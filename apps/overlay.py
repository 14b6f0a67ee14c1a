"""Overlay: tunnels between the chassis that share a network.

A frame for this chassis is delivered; a frame for another goes through the tunnel that both can
speak, with the network's segment in it, unless it came by a tunnel itself (split horizon). Where
two chassis share several types, a network travels in its own type; else in the first they share.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.model.overlay import common_types, type_number
from controller.model.resources import Chassis, Network, Presence
from controller.pipeline.actions import Goto, Output, load
from controller.pipeline.cookie import Purpose
from controller.pipeline.fields import (
    ENCAPSULATION, FROM_TUNNEL, NETWORK, OUT_CHASSIS, TUNNEL_DESTINATION, TUNNEL_ID,
    TUNNEL_SOURCE, Test,
)
from controller.pipeline.layout import (
    DELIVER, L2_FORWARD, LOCATE, TUNNEL_NETWORK, TUNNEL_PEER,
)
from controller.pipeline.table import Priority
from controller.reconciliation.feature import (
    Each, Feature, Placed, across_network, on_chassis,
)
from controller.reconciliation.view import View
from controller.southbound.app import FeatureApp

HERE = Purpose(6, 1, "the destination is on this chassis", owner="chassis")
THERE = Purpose(6, 2, "the destination is on another chassis", owner="chassis")
PEER = Purpose(6, 3, "a chassis that shares a network may send", owner="chassis")
SEGMENT = Purpose(6, 4, "a segment means a network", owner="network")


def here(chassis: Chassis, view: View) -> Iterator[Placed]:
    """A chassis knows itself, however a frame came."""
    yield on_chassis(chassis.id, LOCATE.rule(
        HERE, chassis.key, Priority.GUARD, OUT_CHASSIS.equals(chassis.key),
        do=(Goto(DELIVER.id),)))


def peers(presence: Presence, view: View) -> Iterator[Placed]:
    """To and from each other chassis that holds this network."""
    chassis = view.get(Chassis, presence.chassis_id)
    network = view.get(Network, presence.network_id)
    if chassis is None or network is None or network.segmentation_id is None:
        return
    for other in view.where(Presence, "network", network.id):
        peer = view.get(Chassis, other.chassis_id)
        if peer is not None and peer.id != chassis.id:
            yield from between(chassis, peer)


def between(chassis: Chassis, peer: Chassis) -> Iterator[Placed]:
    """The rules on `chassis` for the tunnels to and from `peer`; none if no type is shared. A
    type counts when both bridges have its port: what a bridge merely offers leads nowhere."""
    ports, theirs = dict(chassis.tunnel_ports), dict(peer.tunnel_ports)
    types = [name for name in common_types(chassis, peer) if name in ports and name in theirs]
    if peer.encap_ip is None or not types:
        return
    address = int(peer.encap_ip)
    there = (OUT_CHASSIS.equals(peer.key), FROM_TUNNEL.equals(0))
    ways: list[tuple[Priority, tuple[Test, ...], str]] = [(Priority.DEFAULT, there, types[0])]
    ways += [(Priority.EXACT, (*there, ENCAPSULATION.equals(type_number(name))), name)
             for name in types[1:]]
    for priority, tests, name in ways:
        yield on_chassis(chassis.id, LOCATE.rule(
            THERE, peer.key, priority, *tests,
            do=(load(TUNNEL_DESTINATION, address), Output(ports[name]))))
    yield on_chassis(chassis.id, TUNNEL_PEER.rule(
        PEER, peer.key, Priority.EXACT, TUNNEL_SOURCE.equals(address),
        do=(Goto(TUNNEL_NETWORK.id),)))


def segment(network: Network, view: View) -> Iterator[Placed]:
    """What a network's segment means on arrival."""
    if network.segmentation_id is not None and network.admin_state_up:
        yield across_network(network.id, TUNNEL_NETWORK.rule(
            SEGMENT, network.key, Priority.EXACT, TUNNEL_ID.equals(network.segmentation_id),
            do=(load(NETWORK, network.key), Goto(L2_FORWARD.id))))


FEATURE = Feature(
    name="overlay", cookie=6,
    owns=(LOCATE, TUNNEL_PEER, TUNNEL_NETWORK),
    purposes=(HERE, THERE, PEER, SEGMENT),
    units=(Each(Chassis, here), Each(Presence, peers), Each(Network, segment)),
)


class Overlay(FeatureApp):
    """Loads the feature."""

    feature = FEATURE
