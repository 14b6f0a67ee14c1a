"""Commands in a node's namespaces, and the virtual machines of the lab.

Owns how the lab's Python reaches into a node, and what a guest is. The one idea: a node's shell
(Mininet's) is for people at the CLI; programs start their own process in the node's namespaces,
so that they get an exit status and may run several at once.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from ipaddress import ip_interface

from mininet.link import Intf
from mininet.node import Host, Node

LAB = "/run/tenet"
KEEP_NEIGHBOURS = (
    "net.ipv4.conf.eth0.arp_evict_nocarrier=0",
    "net.ipv6.conf.eth0.ndisc_evict_nocarrier=0",
)


class CommandFailed(Exception):
    """A command on a node ended badly; the message carries what it said."""


def run(node: Node | None, *command: str, timeout: float = 60, input: str | None = None) -> str:
    """Run a command in a node's namespaces (None: in our own) and return its output."""
    where = [] if node is None else ["mnexec", "-a", str(node.pid)]
    try:
        done = subprocess.run(
            [*where, *command], capture_output=True, text=True, timeout=timeout, input=input
        )
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{node or 'lab'}: no end after {timeout:g} s: {command}") from error
    if done.returncode != 0:
        shown = " ".join(command)
        said = (done.stderr or done.stdout).strip()
        raise CommandFailed(f"{node or 'lab'}: {shown[:300]}: status {done.returncode}: {said}")
    return done.stdout


def ip(node: Node | None, *commands: str) -> None:
    """Run several `ip` commands in one process."""
    run(node, "ip", "-batch", "-", input="\n".join(commands) + "\n")


class GuestInterface(Intf):
    """A guest's only interface, already where it belongs and configured by who made it."""

    def __init__(self, guest: Host, mac: str, address: str | None) -> None:
        super().__init__("eth0", node=guest, port=0, mac=mac, moveIntfFn=lambda name, node: None)
        if address is not None:
            self.ip, self.prefixLen = address.split("/")

    def config(self, **params: object) -> dict[str, object]:
        return {}


class VirtualMachine(Host):
    """A guest: a network namespace whose only way out is the port that it was plugged into.

    It has no interface until `Hypervisor.plug` gives it one.
    """

    def wire(self, mac: str, addresses: Iterable[str], gateway: str | None = None) -> None:
        """Take over the new eth0: addresses, up, route, checksums filled in by this kernel."""
        addresses = list(addresses)
        # The userspace datapath forwards frames as they are: a checksum left to the
        # transmitting card would never be filled in, and the receiver would drop all TCP.
        run(self, "ethtool", "-K", "eth0", "tx", "off")
        # A move takes away our veth's carrier for a moment, and with it the guest's neighbours;
        # a real guest's card keeps both through a live migration. (-e: older kernels cannot.)
        run(self, "sysctl", "-e", "-q", "-w", *KEEP_NEIGHBOURS)
        commands = [f"addr add {address} dev eth0 nodad" for address in addresses]
        commands += ["link set lo up", "link set eth0 up"]
        if gateway is not None:
            commands.append(f"route add default via {gateway} dev eth0")
        ip(self, *commands)
        first = next((a for a in addresses if ip_interface(a).version == 4), None)
        GuestInterface(self, mac, first)

    def unwire(self) -> None:
        """Forget eth0 after it has gone."""
        for interface in self.intfList():
            self.delIntf(interface)
