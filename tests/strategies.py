"""What random tests draw from: small pools, so that histories collide.

The same few names, MAC addresses and IP addresses are used in every network: isolation is tested
by every example, not by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address

from hypothesis import strategies as st

from controller.model.addresses import mac_of
from controller.model.resources import Mac, Port
from controller.testing.packets import (
    ANYWHERE, BROADCAST, ETHERTYPE_IPV6, REPLY, REQUEST, Frame, arp, arp_reply, arp_request, echo,
    ethernet, tagged, udp,
)
from controller.testing.site import CIDR

HOSTS = (1, 2, 3, 4)
STRANGER = 9
MULTICAST = Mac("01:00:5e:00:00:fb")
OVERLAYS = ("vxlan", "geneve", "gre")
CHASSIS = ("hv1", "hv2", "hv3")
NETWORKS = ("red", "blue", "green", "amber", "violet")
PORTS = ("web", "db", "mail", "log")


def mac(host: int) -> Mac:
    """The MAC address that belongs to a host number by habit."""
    return mac_of(0xFA163E000000 + host)


def ip(host: int) -> IPv4Address:
    """The IP address with a host number."""
    return CIDR[host]


overlay_types = st.lists(st.sampled_from(OVERLAYS), unique=True, max_size=3).map(tuple)
network_types = st.sampled_from(("vxlan", "vxlan", "geneve", "gre", "local"))
hosts = st.sampled_from((*HOSTS, STRANGER))
host_lists = st.lists(st.sampled_from(HOSTS), unique=True, max_size=2).map(tuple)
destinations = st.one_of(hosts.map(mac), st.just(BROADCAST), st.just(MULTICAST))


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    """Any frame that a machine with evil intentions would send."""
    src, dst = mac(draw(hosts)), draw(destinations)
    ips = st.one_of(hosts.map(ip), st.just(ANYWHERE))
    match draw(st.sampled_from(("udp", "echo", "arp", "ipv6"))):
        case "udp":
            frame = udp(src, dst, draw(ips), draw(ips))
        case "echo":
            frame = echo(src, dst, draw(ips), draw(ips))
        case "arp":
            frame = arp(draw(st.sampled_from((REQUEST, REPLY, 3))), src, dst,
                        (mac(draw(hosts)), draw(ips)), (0, draw(ips)))
        case _:
            frame = ethernet(src, dst, ETHERTYPE_IPV6)
    return draw(st.sampled_from((frame, frame, frame, tagged(frame, 0), tagged(frame, 7))))


def matrix(port: Port | None) -> Iterator[Frame]:
    """One frame of each kind, from whom a port is and from whom it is not."""
    own_mac = port.mac if port is not None else mac(STRANGER)
    own_ips = [fixed.ip_address for fixed in port.fixed_ips] if port is not None else []
    source = own_ips[0] if own_ips else ip(STRANGER)
    everyone = (*(mac(host) for host in (*HOSTS, STRANGER)), BROADCAST, MULTICAST)
    for dst in everyone:
        yield udp(own_mac, dst, source, ip(1))
        yield ethernet(own_mac, dst, ETHERTYPE_IPV6)
    for host in (*HOSTS, STRANGER):
        yield arp_request(own_mac, source, ip(host))
        yield arp_request(own_mac, ANYWHERE, ip(host))
        yield arp_reply(own_mac, source, mac(host), ip(host))
        yield arp_request(own_mac, ip(host), ip(1), dst=mac(2))
        yield udp(mac(host), BROADCAST, source, ip(1))
        yield udp(own_mac, BROADCAST, ip(host), ip(1))
        yield arp(REQUEST, own_mac, BROADCAST, (mac(host), source), (0, ip(1)))
    for address in own_ips:
        yield arp_request(own_mac, address, address)
        yield arp_reply(own_mac, address, BROADCAST, address)
    yield tagged(udp(own_mac, BROADCAST, source, ip(1)), 0)
    yield tagged(udp(own_mac, BROADCAST, source, ip(1)), 100)
