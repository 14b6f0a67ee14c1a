"""The rules that somebody would write by hand for the same networks, as few as do the job.

Four tables. 0: which port, its MAC and its address (else drop), or which tunnel peer and network.
1: ARP answered. 2: known MAC to its port, or through the tunnel; broadcast to all. 3: from the
tunnel, only to ports here. Register 0 holds the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

from bench.laboratory import Guest
from hypervisor import Hypervisor

Networks = Sequence[tuple[int, Sequence[Guest]]]


def rules(here: Hypervisor, networks: Networks, homes: Sequence[Hypervisor]) -> str:
    """The text of all rules of one hypervisor, for `ovs-ofctl`."""
    tunnel = tunnel_port(here)
    lines: list[str] = ["table=1,priority=0,actions=goto_table:2"]
    for network, (vni, guests) in enumerate(networks, 1):
        lines += entry(here, network, guests)
        lines += arrival(here, homes, tunnel, network, vni)
        lines += [responder(network, guest) for guest in guests]
        lines += forwarding(here, homes, tunnel, network, vni, guests)
    return "\n".join(lines) + "\n"


def normal(here: Hypervisor, networks: Networks) -> str:
    """A learning switch for the first network. It knows no tenants: the others may not send, and
    nothing is learned from the tunnel port that it cannot use."""
    others = [ofport(here, guest.interface)
              for _, guests in networks[1:] for guest in guests if guest.home is here]
    kept_out = [f"priority=10,in_port={port},actions=drop"
                for port in [*others, tunnel_port(here)]]
    return "\n".join(["priority=0,actions=NORMAL", *kept_out, ""])


def ofport(home: Hypervisor, interface: str) -> int:
    return int(home.vsctl("get", "interface", interface, "ofport"))


def tunnel_port(here: Hypervisor) -> int:
    """The flow-based vxlan port that is there already."""
    found = here.vsctl("--bare", "--columns=ofport", "find", "interface", "type=vxlan",
                       "options:remote_ip=flow")
    return int(found.split()[0])


def entry(here: Hypervisor, network: int, guests: Sequence[Guest]) -> Iterator[str]:
    for guest in guests:
        if guest.home is here:
            own = f"in_port={ofport(here, guest.interface)},vlan_tci=0,dl_src={guest.mac}"
            into = f"load:{network}->NXM_NX_REG0[]"
            yield (f"table=0,priority=10,{own},ip,nw_src={guest.address},"
                   f"actions={into},goto_table:2")
            for sender in (guest.address, "0.0.0.0"):
                yield (f"table=0,priority=10,{own},arp,arp_sha={guest.mac},arp_spa={sender},"
                       f"actions={into},goto_table:1")


def arrival(here: Hypervisor, homes: Sequence[Hypervisor], tunnel: int, network: int,
            vni: int) -> Iterator[str]:
    for peer in homes:
        if peer is not here:
            yield (f"table=0,priority=10,in_port={tunnel},vlan_tci=0,tun_id={vni},"
                   f"tun_src={peer.underlay_address},"
                   f"actions=load:{network}->NXM_NX_REG0[],goto_table:3")


def responder(network: int, guest: Guest) -> str:
    mac = "0x" + guest.mac.replace(":", "")
    return (f"table=1,priority=10,reg0={network},arp,arp_op=1,arp_tpa={guest.address},"
            "actions=move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[],"
            f"load:{mac}->NXM_OF_ETH_SRC[],load:2->NXM_OF_ARP_OP[],"
            f"move:NXM_NX_ARP_SHA[]->NXM_NX_ARP_THA[],load:{mac}->NXM_NX_ARP_SHA[],"
            "move:NXM_OF_ARP_SPA[]->NXM_OF_ARP_TPA[],"
            f"load:{int(IPv4Address(guest.address)):#x}->NXM_OF_ARP_SPA[],IN_PORT")


def forwarding(here: Hypervisor, homes: Sequence[Hypervisor], tunnel: int, network: int,
               vni: int, guests: Sequence[Guest]) -> Iterator[str]:
    local, copies = [], []
    for guest in guests:
        known = f"priority=10,reg0={network},dl_dst={guest.mac}"
        if guest.home is here:
            port = ofport(here, guest.interface)
            local.append(f"output:{port}")
            yield f"table=2,{known},actions=output:{port}"
            yield f"table=3,{known},actions=output:{port}"
        else:
            yield f"table=2,{known},actions={towards(guest.home, tunnel, vni)}"
    for peer in homes:
        if peer is not here:
            copies.append(towards(peer, tunnel, vni))
    broadcast = f"priority=5,reg0={network},dl_dst=01:00:00:00:00:00/01:00:00:00:00:00"
    yield f"table=2,{broadcast},actions={','.join([*local, *copies])}"
    yield f"table=3,{broadcast},actions={','.join(local)}"


def towards(peer: Hypervisor, tunnel: int, vni: int) -> str:
    address = int(IPv4Address(peer.underlay_address))
    return (f"load:{vni}->NXM_NX_TUN_ID[],load:{address:#x}->NXM_NX_TUN_IPV4_DST[],"
            f"output:{tunnel}")
