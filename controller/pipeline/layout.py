"""THE page: every table of the pipeline, in the order in which a packet meets them.

Owns the order, the numbers and the contracts. `docs/pipeline.md` is generated from this file.

A packet of a local port:  CLASSIFY_PORT, PORT_SECURITY, (ARP_RESPONDER,) L2_FORWARD, then either
LOCATE and DELIVER, LOCATE and a tunnel, or FLOOD.  A packet from a tunnel:  CLASSIFY_PORT,
TUNNEL_PEER, TUNNEL_NETWORK, L2_FORWARD, then LOCATE and DELIVER, or FLOOD; LOCATE lets it go no
further than here.
"""

from __future__ import annotations

from controller.pipeline.fields import (
    ARP_OPERATION, ARP_SENDER_IP, ARP_SENDER_MAC, ARP_TARGET_IP, ARP_TARGET_MAC, ENCAPSULATION,
    ETH_DST, ETH_SRC, ETH_TYPE, FROM_TUNNEL, IN_PORT, IPV4_SRC, NETWORK, OUT_CHASSIS, OUT_PORT,
    REGISTERS, SWITCH_PORT, TUNNEL_DESTINATION, TUNNEL_ID, TUNNEL_SOURCE, VLAN, Stage,
    check_registers,
)
from controller.pipeline.table import Table

CLASSIFY_PORT = Table(
    "classify_port", Stage.CLASSIFY, 0, owner="classification",
    purpose="Say which port and network an untagged frame comes from, or that it came by a tunnel.",
    matches=(SWITCH_PORT, VLAN),
    loads=(NETWORK, IN_PORT, TUNNEL_ID, ENCAPSULATION, FROM_TUNNEL),
    enters=("port_security", "tunnel_peer"),
)
TUNNEL_PEER = Table(
    "tunnel_peer", Stage.CLASSIFY, 1, owner="overlay",
    purpose="Let pass what comes from a chassis that shares a network with this one.",
    matches=(TUNNEL_SOURCE,), tenancy=TUNNEL_SOURCE, enters=("tunnel_network",),
)
TUNNEL_NETWORK = Table(
    "tunnel_network", Stage.CLASSIFY, 2, owner="overlay",
    purpose="Turn the segment of a tunnelled frame into its network.",
    matches=(TUNNEL_ID,), tenancy=TUNNEL_ID, loads=(NETWORK,), enters=("l2_forward",),
)
PORT_SECURITY = Table(
    "port_security", Stage.GUARD, 0, owner="port_security",
    purpose="Let pass what the port owns: its MAC with its addresses; nothing else.",
    matches=(IN_PORT, ETH_SRC, ETH_TYPE, IPV4_SRC, ARP_SENDER_IP, ARP_SENDER_MAC),
    tenancy=IN_PORT, enters=("arp_responder", "l2_forward"),
)
ARP_RESPONDER = Table(
    "arp_responder", Stage.SERVICE, 0, owner="arp_responder",
    purpose="Answer ARP requests for the network's known addresses out of the port they came by.",
    matches=(NETWORK, IN_PORT, ARP_OPERATION, ARP_TARGET_IP), tenancy=NETWORK,
    loads=(ETH_SRC, ETH_DST, ARP_OPERATION, ARP_SENDER_IP, ARP_TARGET_IP, ARP_SENDER_MAC,
           ARP_TARGET_MAC),
    enters=("l2_forward",), miss="l2_forward", outputs=True,
)
L2_FORWARD = Table(
    "l2_forward", Stage.SWITCH, 0, owner="l2_forwarding",
    purpose="Find the port, and its chassis, behind a known destination MAC.",
    matches=(NETWORK, ETH_DST), tenancy=NETWORK,
    loads=(OUT_PORT, OUT_CHASSIS), enters=("locate",), miss="flood",
)
FLOOD = Table(
    "flood", Stage.SWITCH, 1, owner="l2_forwarding",
    purpose="Copy broadcast and multicast once to each local member and once to each chassis; "
            "unknown unicast only where the network has no port security.",
    matches=(NETWORK, ETH_DST), tenancy=NETWORK, outputs=True,
)
LOCATE = Table(
    "locate", Stage.SWITCH, 2, owner="overlay",
    purpose="Here: deliver. On another chassis: through the tunnel, unless it came by one.",
    matches=(OUT_CHASSIS, FROM_TUNNEL, ENCAPSULATION), tenancy=OUT_CHASSIS,
    loads=(TUNNEL_DESTINATION,), enters=("deliver",), outputs=True,
)
DELIVER = Table(
    "deliver", Stage.DELIVER, 0, owner="classification",
    purpose="Put the frame out of the switch port that its destination is plugged into.",
    matches=(OUT_PORT,), tenancy=OUT_PORT, outputs=True,
)

TABLES: tuple[Table, ...] = (
    CLASSIFY_PORT, TUNNEL_PEER, TUNNEL_NETWORK, PORT_SECURITY, ARP_RESPONDER, L2_FORWARD, FLOOD,
    LOCATE, DELIVER,
)
BY_ID: dict[int, Table] = {table.id: table for table in TABLES}
BY_NAME: dict[str, Table] = {table.name: table for table in TABLES}


def check_layout(tables: tuple[Table, ...]) -> None:
    """ValueError when numbers or names repeat, or a table can enter one that lies behind it."""
    by_name = {table.name: table for table in tables}
    if len(by_name) != len(tables) or len({table.id for table in tables}) != len(tables):
        raise ValueError("two tables share a name or a number")
    if list(tables) != sorted(tables, key=lambda table: table.id):
        raise ValueError("the page does not show the tables in their order")
    for table in tables:
        for name in {*table.enters, *([table.miss] if table.miss else [])}:
            if name not in by_name or by_name[name].id <= table.id:
                raise ValueError(f"{table.name}: {name} is unknown or lies behind")
        if table.tenancy is not None and table.tenancy not in table.matches:
            raise ValueError(f"{table.name}: cannot match its tenancy field")


check_registers(REGISTERS)
check_layout(TABLES)
