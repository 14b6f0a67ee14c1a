"""ARP responder: requests for known addresses are answered in the switch that they enter.

The request is turned into its reply (RFC 826) and sent back. A port that asks for its own address
looks for duplicates or announces itself (RFC 5227): that is not answered but goes to everybody.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.model.addresses import mac_number
from controller.model.resources import Binding, Network, Port
from controller.pipeline.actions import Actions, Goto, Return, load, move
from controller.pipeline.cookie import Purpose
from controller.pipeline.fields import (
    ARP_OPERATION, ARP_SENDER_IP, ARP_SENDER_MAC, ARP_TARGET_IP, ARP_TARGET_MAC, ETH_DST, ETH_SRC,
    IN_PORT, NETWORK,
)
from controller.pipeline.layout import ARP_RESPONDER, L2_FORWARD
from controller.pipeline.table import Priority
from controller.reconciliation.feature import (
    Each, Feature, Placed, across_network, on_chassis,
)
from controller.reconciliation.view import View
from controller.southbound.app import FeatureApp

REQUEST, REPLY = 1, 2
ANSWER = Purpose(4, 1, "answer requests for a port's address", owner="port")
OWN_ADDRESS = Purpose(4, 2, "a port asks for its own address: ask everybody", owner="port")


def answer(mac: int, address: int) -> Actions:
    """Turn a request into the reply that `address` is at `mac`, and send it back."""
    return (move(ETH_SRC, ETH_DST), load(ETH_SRC, mac), load(ARP_OPERATION, REPLY),
            move(ARP_SENDER_MAC, ARP_TARGET_MAC), load(ARP_SENDER_MAC, mac),
            move(ARP_SENDER_IP, ARP_TARGET_IP), load(ARP_SENDER_IP, address), Return())


def answers(binding: Binding, view: View) -> Iterator[Placed]:
    """Answers for one plugged port, wherever its network is."""
    port, network = view.get(Port, binding.id), view.get(Network, binding.network_id)
    if port is None or network is None or not port.admin_state_up:
        return
    for fixed in port.fixed_ips:
        address = int(fixed.ip_address)
        asked = (NETWORK.equals(network.key), ARP_OPERATION.equals(REQUEST),
                 ARP_TARGET_IP.equals(address))
        rule = ARP_RESPONDER.rule(
            ANSWER, port.key, Priority.EXACT, *asked, requires=ARP_OPERATION.requires,
            do=answer(mac_number(port.mac), address))
        if network.segmentation_id is None:
            yield on_chassis(binding.chassis_id, rule)
        else:
            yield across_network(network.id, rule)
        yield on_chassis(binding.chassis_id, ARP_RESPONDER.rule(
            OWN_ADDRESS, port.key, Priority.GUARD, *asked, IN_PORT.equals(port.key),
            requires=ARP_OPERATION.requires, do=(Goto(L2_FORWARD.id),)))


FEATURE = Feature(
    name="arp_responder", cookie=4,
    owns=(ARP_RESPONDER,),
    purposes=(ANSWER, OWN_ADDRESS),
    units=(Each(Binding, answers),),
)


class ArpResponder(FeatureApp):
    """Loads the feature."""

    feature = FEATURE
