"""Port security: a port sends only from the MAC and the addresses that it owns.

IPv4 from one of its addresses, ARP that says the same (and probes, which come from 0.0.0.0,
RFC 5227), nothing else: no other protocol, no address of a neighbour. A port without port security
may send anything untagged.
"""

from __future__ import annotations

from collections.abc import Iterator

from controller.model.addresses import mac_number
from controller.model.resources import Binding, Port
from controller.pipeline.actions import Goto
from controller.pipeline.cookie import Purpose
from controller.pipeline.fields import (
    ARP_SENDER_IP, ARP_SENDER_MAC, ETH_SRC, IN_PORT, IPV4_SRC,
)
from controller.pipeline.layout import ARP_RESPONDER, L2_FORWARD, PORT_SECURITY
from controller.pipeline.table import Priority
from controller.reconciliation.feature import Each, Feature, Placed, on_chassis
from controller.reconciliation.view import View
from controller.southbound.app import FeatureApp

OWN_IP = Purpose(3, 1, "IPv4 from the port's own addresses", owner="port")
OWN_ARP = Purpose(3, 2, "ARP that speaks for the port's own addresses", owner="port")
ANYTHING = Purpose(3, 3, "port security is off", owner="port")


def guards(binding: Binding, view: View) -> Iterator[Placed]:
    """What one port may send."""
    port = view.get(Port, binding.id)
    if port is None:
        return
    here, key, mac = binding.chassis_id, port.key, mac_number(port.mac)
    own = (IN_PORT.equals(key), ETH_SRC.equals(mac))
    if not port.port_security_enabled:
        yield on_chassis(here, PORT_SECURITY.rule(
            ANYTHING, key, Priority.DEFAULT, own[0], do=(Goto(ARP_RESPONDER.id),)))
        return
    addresses = [int(fixed.ip_address) for fixed in port.fixed_ips]
    for address in addresses:
        yield on_chassis(here, PORT_SECURITY.rule(
            OWN_IP, key, Priority.EXACT, *own, IPV4_SRC.equals(address),
            requires=IPV4_SRC.requires, do=(Goto(L2_FORWARD.id),)))
    for sender in (*addresses, *([0] if addresses else [])):
        yield on_chassis(here, PORT_SECURITY.rule(
            OWN_ARP, key, Priority.EXACT, *own, ARP_SENDER_MAC.equals(mac),
            ARP_SENDER_IP.equals(sender), requires=ARP_SENDER_IP.requires,
            do=(Goto(ARP_RESPONDER.id),)))


FEATURE = Feature(
    name="port_security", cookie=3,
    owns=(PORT_SECURITY,),
    purposes=(OWN_IP, OWN_ARP, ANYTHING),
    units=(Each(Binding, guards),),
)


class PortSecurity(FeatureApp):
    """Loads the feature."""

    feature = FEATURE
