"""Classification: which port a frame comes from, and which switch port it leaves by.

The first and the last table. A frame with a VLAN tag, or from a switch port that no port of ours
is plugged into, matches nothing and is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.model.overlay import type_number
from controller.model.resources import Binding, Chassis, Network, Port
from controller.pipeline.actions import Action, Goto, Output, load
from controller.pipeline.cookie import Purpose
from controller.pipeline.fields import (
    ENCAPSULATION, FROM_TUNNEL, IN_PORT, NETWORK, OUT_PORT, SWITCH_PORT, TUNNEL_ID, VLAN,
)
from controller.pipeline.layout import CLASSIFY_PORT, DELIVER, PORT_SECURITY, TUNNEL_PEER
from controller.pipeline.table import Priority
from controller.reconciliation.feature import Each, Feature, Placed, on_chassis
from controller.reconciliation.view import View
from controller.southbound.app import FeatureApp

FROM_PORT = Purpose(2, 1, "frames of a port enter its network", owner="port")
TO_PORT = Purpose(2, 2, "frames to a port leave by its switch port", owner="port")
BY_TUNNEL = Purpose(2, 3, "frames of other chassis come by this tunnel port", owner="chassis")


def plugged(binding: Binding, view: View) -> Iterator[Placed]:
    """The way in and the way out of one port."""
    port, network = view.get(Port, binding.id), view.get(Network, binding.network_id)
    if port is None or network is None or not (port.admin_state_up and network.admin_state_up):
        return
    entry: list[Action] = [load(NETWORK, network.key), load(IN_PORT, port.key)]
    if network.segmentation_id is not None:
        entry += [load(TUNNEL_ID, network.segmentation_id),
                  load(ENCAPSULATION, type_number(network.network_type))]
    yield on_chassis(binding.chassis_id, CLASSIFY_PORT.rule(
        FROM_PORT, port.key, Priority.EXACT, SWITCH_PORT.equals(binding.ofport), VLAN.equals(0),
        do=(*entry, Goto(PORT_SECURITY.id))))
    yield on_chassis(binding.chassis_id, DELIVER.rule(
        TO_PORT, port.key, Priority.EXACT, OUT_PORT.equals(port.key),
        do=(Output(binding.ofport),)))


def tunnels(chassis: Chassis, view: View) -> Iterator[Placed]:
    """Each tunnel port of a chassis, whatever untagged frame comes by it."""
    for _, ofport in chassis.tunnel_ports:
        yield on_chassis(chassis.id, CLASSIFY_PORT.rule(
            BY_TUNNEL, chassis.key, Priority.EXACT, SWITCH_PORT.equals(ofport), VLAN.equals(0),
            do=(load(FROM_TUNNEL, 1), Goto(TUNNEL_PEER.id))))


FEATURE = Feature(
    name="classification", cookie=2,
    owns=(CLASSIFY_PORT, DELIVER),
    purposes=(FROM_PORT, TO_PORT, BY_TUNNEL),
    units=(Each(Binding, plugged), Each(Chassis, tunnels)),
)


class Classification(FeatureApp):
    """Loads the feature."""

    feature = FEATURE
