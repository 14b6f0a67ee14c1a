"""The network between hypervisors: a switch, or routers for a leaf-spine fabric.

Owns nothing that knows of tenants. The one idea: the underlay is ordinary Linux, each device in
a namespace of its own; where the kernel cannot bridge, Open vSwitch in standalone mode does.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from mininet.node import Node, Switch
from nodes import CommandFailed, ip, run

BRIDGE = "br0"


def kernel_bridges(node: Node) -> bool:
    """Whether this kernel can bridge: tried, since a module may load on first use."""
    try:
        ip(node, f"link add {BRIDGE} type bridge")
    except CommandFailed:
        return False
    return True


class UnderlaySwitch(Switch):
    """An Ethernet switch that learns, as one buys it."""

    controlIntf = None

    def __init__(self, name: str, **params: object) -> None:
        params["inNamespace"] = True
        params["privateDirs"] = ["/run/openvswitch", "/etc/openvswitch", "/var/log/openvswitch"]
        super().__init__(name, **params)
        self.daemons: list[int] = []

    def start(self, controllers: Sequence[Node]) -> None:
        if kernel_bridges(self):
            commands = [f"link set {interface} master {BRIDGE}" for interface in self.intfList()]
        else:
            self.start_userspace_bridge()
            commands = []
        commands += [f"link set {interface} up" for interface in self.intfList()]
        ip(self, *commands, f"link set {BRIDGE} up")

    def start_userspace_bridge(self) -> None:
        database = "/etc/openvswitch/conf.db"
        run(self, "ovsdb-tool", "create", database, "/usr/share/openvswitch/vswitch.ovsschema")
        socket = "--remote=punix:/run/openvswitch/db.sock"
        run(self, "ovsdb-server", database, socket, "--pidfile", "--detach", "--log-file")
        run(self, "ovs-vsctl", "--no-wait", "init")
        run(self, "ovs-vswitchd", "--pidfile", "--detach", "--log-file")
        command = ["ovs-vsctl", "--timeout=30", "add-br", BRIDGE, "--", "set", "bridge", BRIDGE]
        command += ["datapath_type=netdev", "fail_mode=standalone"]
        for interface in self.intfList():
            command += ["--", "add-port", BRIDGE, str(interface)]
        run(self, *command)
        pid_files = Path(f"/proc/{self.pid}/root/run/openvswitch").glob("*.pid")
        self.daemons = [int(file.read_text()) for file in pid_files]

    def stop(self, deleteIntfs: bool = True) -> None:
        for pid in self.daemons:
            os.kill(pid, signal.SIGTERM)
        super().stop(deleteIntfs)


class UnderlayRouter(Switch):
    """A router of the fabric.

    addresses: one per link, in the order of the links
    routes: destination to next hops; with several, flows are spread over them
    """

    controlIntf = None

    def __init__(
        self,
        name: str,
        addresses: Sequence[str] = (),
        routes: Mapping[str, Sequence[str]] | None = None,
        **params: object,
    ) -> None:
        params["inNamespace"] = True
        super().__init__(name, **params)
        self.addresses = addresses
        self.routes = routes or {}

    def start(self, controllers: Sequence[Node]) -> None:
        # Ports too, not only addresses: a tunnel's source port tells its inner flows apart.
        settings = ["net.ipv4.ip_forward=1", "net.ipv4.fib_multipath_hash_policy=1"]
        run(self, "sysctl", "-q", "-w", *settings)
        commands = ["link set lo up"]
        for interface, address in zip(self.intfList(), self.addresses, strict=True):
            commands += [f"addr add {address} dev {interface}", f"link set {interface} up"]
        for destination, next_hops in self.routes.items():
            hops = " ".join(f"nexthop via {hop}" for hop in next_hops)
            commands.append(f"route add {destination} {hops}")
        ip(self, *commands)
