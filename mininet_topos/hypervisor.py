"""A hypervisor: stock Open vSwitch in a network namespace of its own.

Owns its daemons, its underlay address, its management link, the one command by which it joins,
and the interfaces of the guests plugged into it. Refuses to configure anything that is the
controller's work: br-int, tunnels, flows. The one idea: Mininet gives each node a mount namespace
as well, so every hypervisor has its own /run/openvswitch, and the stock commands, typed without
an option, talk to the right switch: `hv1 ovs-vsctl show`.
"""

from __future__ import annotations

import functools
import os
import signal
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from mininet.node import Node, Switch
from nodes import CommandFailed, VirtualMachine, ip, run

INTEGRATION_BRIDGE = "br-int"
UNDERLAY_BRIDGE = "br-phy"
# The controller's side of every management link.
CONTROLLER_ADDRESS = "10.254.255.254"
OVSDB_PORT = 6640
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
DATABASE = "/etc/openvswitch/conf.db"
IDENTITIES = uuid.UUID("6d7bd46c-7e0c-4a7c-9c61-6a9f2f0b6d3e")


def kernel_datapath() -> bool:
    """Whether this kernel switches packets itself (the module is loaded or built in)."""
    return os.path.isdir("/sys/module/openvswitch")


@functools.cache
def version() -> str:
    """Open vSwitch's, as it says itself."""
    return run(None, "ovs-vswitchd", "--version").splitlines()[0].split()[-1]


def interface_name(port_id: str) -> str:
    """What a port's interface is called on its hypervisor: the field's custom, cut to fit."""
    return "tap" + port_id[:11]


class Hypervisor(Switch):
    """A chassis. As a Mininet switch it is started with the controllers and joins the first.

    underlay: its address in the underlay, with the prefix length, on its first link
    gateway: where other hypervisors are reached when they are not on that link
    encap_type: vxlan (the controller's default), geneve or gre
    datapath: system or netdev; by default what the kernel can do
    """

    controlIntf = None  # Mininet asks; the management link is none of its interfaces.

    def __init__(
        self,
        name: str,
        underlay: str = "",
        gateway: str | None = None,
        encap_type: str | None = None,
        datapath: str | None = None,
        **params: object,
    ) -> None:
        params["inNamespace"] = True
        params["privateDirs"] = ["/run/openvswitch", "/etc/openvswitch", "/var/log/openvswitch"]
        super().__init__(name, **params)
        self.number = int(self.dpid, 16)
        self.underlay = underlay or f"172.31.0.{self.number}/24"
        self.gateway = gateway
        self.encap_type = encap_type
        self.datapath = datapath or ("system" if kernel_datapath() else "netdev")
        self.system_id = str(uuid.uuid5(IDENTITIES, name))
        self.plugged: dict[str, VirtualMachine | None] = {}
        self.joined = False

    # Mininet's life cycle

    def start(self, controllers: Sequence[Node]) -> None:
        self.start_management()
        self.start_database()
        self.start_vswitchd()
        self.provide_underlay()
        if controllers:
            self.join(*self.manager_of(controllers[0]))

    def stop(self, deleteIntfs: bool = True) -> None:
        for daemon in ("ovs-vswitchd", "ovsdb-server"):
            self.end(daemon, signal.SIGTERM)
        super().stop(deleteIntfs)

    def connected(self) -> bool:
        """Whether br-int is connected to the controller (Mininet waits for nobody else)."""
        if not self.joined:
            return True
        try:
            uuids = self.vsctl("get", "bridge", INTEGRATION_BRIDGE, "controller").strip("[]\n")
            return all(
                self.vsctl("get", "controller", one, "is_connected").strip() == "true"
                for one in uuids.split(", ")
            )
        except CommandFailed:
            return False  # Not there yet.

    # The daemons

    def start_database(self) -> None:
        """Start ovsdb-server. It connects to what set-manager names only if told so here."""
        if not os.path.exists(self.path(DATABASE)):
            run(self, "ovsdb-tool", "create", DATABASE, SCHEMA)
        run(
            self,
            "ovsdb-server",
            DATABASE,
            "--remote=punix:/run/openvswitch/db.sock",
            "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
            "--pidfile",
            "--detach",
            "--log-file",
        )
        # The one thing that Open vSwitch's own boot script notes and the daemons do not.
        note = ["--", "set", "Open_vSwitch", ".", f"ovs_version={version()}"]
        self.vsctl("--no-wait", "init", *note)

    def start_vswitchd(self) -> None:
        run(self, "ovs-vswitchd", "--pidfile", "--detach", "--log-file")

    def restart_vswitchd(self) -> None:
        """Start ovs-vswitchd again, and the host's network as its boot scripts would."""
        self.start_vswitchd()
        self.provide_underlay()

    def restart_database(self) -> None:
        self.start_database()

    def kill_vswitchd(self) -> None:
        self.end("ovs-vswitchd", signal.SIGKILL)

    def kill_database(self) -> None:
        self.end("ovsdb-server", signal.SIGKILL)

    def daemon_pid(self, daemon: str) -> int | None:
        try:
            pid = int(Path(self.path(f"/run/openvswitch/{daemon}.pid")).read_text())
            return pid if daemon in Path(f"/proc/{pid}/cmdline").read_text() else None
        except (OSError, ValueError):
            return None

    def end(self, daemon: str, how: signal.Signals, timeout: float = 5) -> None:
        """End one of our daemons by its pid, and wait until it has gone."""
        pid = self.daemon_pid(daemon)
        if pid is None:
            return
        os.kill(pid, how)
        deadline = time.monotonic() + timeout
        while self.daemon_pid(daemon) == pid:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                deadline += timeout
            time.sleep(0.01)

    def path(self, inside: str) -> str:
        """A file of this node, as seen from outside its mount namespace."""
        return f"/proc/{self.pid}/root{inside}"

    # Networks

    @property
    def management(self) -> str:
        return f"10.254.{self.number >> 8}.{self.number & 255}"

    @property
    def underlay_address(self) -> str:
        return self.underlay.split("/")[0]

    @property
    def underlay_device(self) -> str:
        """The interface that carries tunnels and on which a capture sees them."""
        return str(self.intfList()[0])

    def start_management(self) -> None:
        """A cable of its own between this hypervisor and the controller's namespace."""
        ip(
            None,
            f"link add {self.name}-mgmt type veth peer name mgmt0 netns {self.pid}",
            f"addr add {CONTROLLER_ADDRESS}/32 peer {self.management}/32 dev {self.name}-mgmt",
            f"link set {self.name}-mgmt up",
        )
        ip(
            self,
            "link set lo up",
            f"addr add {self.management}/32 peer {CONTROLLER_ADDRESS}/32 dev mgmt0",
            "link set mgmt0 up",
        )

    def set_management(self, up: bool) -> None:
        """Cut the controller off, or let it back."""
        ip(None, f"link set {self.name}-mgmt {'up' if up else 'down'}")

    def set_underlay(self, up: bool) -> None:
        """Cut the hypervisor off the underlay, or let it back."""
        ip(self, f"link set {self.underlay_device} {'up' if up else 'down'}")

    def provide_underlay(self) -> None:
        """Give the underlay address to the interface, or to the bridge that userspace needs.

        Userspace tunnels leave through a bridge of the same datapath; the address is on that
        bridge, and goes with it when ovs-vswitchd ends.
        """
        device = self.underlay_device
        holder = device
        run(self, "ethtool", "-K", device, "tx", "off")
        if self.datapath == "netdev":
            holder = UNDERLAY_BRIDGE
            mac = run(self, "cat", f"/sys/class/net/{device}/address").strip()
            self.vsctl(
                *("--may-exist", "add-br", holder),
                *("--", "set", "bridge", holder, "datapath_type=netdev"),
                *("fail_mode=standalone",),
                f'other_config:hwaddr="{mac}"',
                *("--", "--may-exist", "add-port", holder, device),
            )
        commands = [f"addr replace {self.underlay} dev {holder}"]
        commands += [f"link set {device} up", f"link set {holder} up"]
        if self.gateway:
            commands.append(f"route replace default via {self.gateway}")
        ip(self, *commands)

    # Joining

    @staticmethod
    def manager_of(controller: Node) -> tuple[str, int]:
        """Where a hypervisor reaches a Mininet controller: through its management link."""
        address = controller.IP()
        if address.startswith("127."):
            address = CONTROLLER_ADDRESS
        return address, getattr(controller, "ovsdb_port", OVSDB_PORT)

    def join(self, address: str = CONTROLLER_ADDRESS, port: int = OVSDB_PORT) -> None:
        """The one command that makes stock Open vSwitch a chassis."""
        encapsulation = []
        if self.encap_type:
            encapsulation.append(f"external_ids:tenet-encap-type={self.encap_type}")
        self.vsctl(
            *("set-manager", f"tcp:{address}:{port}"),
            *("--", "set", "Open_vSwitch", "."),
            f"external_ids:tenet-encap-ip={self.underlay_address}",
            f"external_ids:tenet-datapath-type={self.datapath}",
            f"external_ids:hostname={self.name}",
            f"external_ids:system-id={self.system_id}",
            *encapsulation,
        )
        self.joined = True

    def leave(self) -> None:
        self.vsctl("del-manager")
        self.joined = False

    # Guests

    def plug(
        self,
        guest: VirtualMachine,
        port_id: str,
        mac: str,
        *addresses: str,
        mtu: int = 1450,
        gateway: str | None = None,
        timeout: int = 30,
    ) -> str:
        """Give a guest its interface and bind it to a port; return the interface's name.

        br-int appears some time after joining: waiting for it is part of the one command.
        """
        name = interface_name(port_id)
        ip(
            None,
            f"link add {name} mtu {mtu} netns {self.pid} type veth"
            f" peer name eth0 mtu {mtu} address {mac} netns {guest.pid}",
        )
        guest.wire(mac, addresses, gateway)
        self.bind(name, port_id, mac, timeout)
        self.plugged[port_id] = guest
        return name

    def bind(self, name: str, port_id: str, mac: str, timeout: int = 30) -> None:
        ip(self, f"link set {name} up")
        self.vsctl(
            f"--timeout={timeout}",
            *("wait-until", "bridge", INTEGRATION_BRIDGE),
            *self.addition(name, port_id, mac),
        )

    @staticmethod
    def addition(name: str, port_id: str, mac: str, *columns: str) -> list[str]:
        """The part of an ovs-vsctl command that adds one bound interface."""
        return [
            *("--", "add-port", INTEGRATION_BRIDGE, name, "--", "set", "interface", name),
            f"external_ids:iface-id={port_id}",
            f'external_ids:attached-mac="{mac}"',
            *columns,
        ]

    def plug_many(self, ports: Sequence[tuple[str, str]], timeout: int = 120) -> list[str]:
        """Bind many (port id, MAC) at once, in one transaction, with no guests behind them.

        Internal ports: ovs-vswitchd makes these interfaces itself, a millisecond each.
        """
        command = [f"--timeout={timeout}", "wait-until", "bridge", INTEGRATION_BRIDGE]
        for port_id, mac in ports:
            command += self.addition(interface_name(port_id), port_id, mac, "type=internal")
            self.plugged[port_id] = None
        self.vsctl(*command)
        return [interface_name(port_id) for port_id, _ in ports]

    def unplug(self, *port_ids: str) -> None:
        """Take interfaces away; the guest's end goes with them."""
        command: list[str] = []
        for port_id in port_ids:
            command += ["--", "--if-exists", "del-port", interface_name(port_id)]
        self.vsctl(*command[1:])
        for port_id in port_ids:
            guest = self.plugged.pop(port_id, None)
            if guest is not None:
                ip(self, f"link del {interface_name(port_id)}")
                guest.unwire()

    def move(self, port_id: str, mac: str, destination: Hypervisor) -> None:
        """Move a running guest's interface to another hypervisor: the guest notices nothing."""
        name = interface_name(port_id)
        self.vsctl("del-port", name)
        ip(self, f"link set {name} netns {destination.pid}")
        destination.bind(name, port_id, mac)
        destination.plugged[port_id] = self.plugged.pop(port_id)

    # Open vSwitch's own commands

    def vsctl(self, *arguments: str) -> str:
        options = () if arguments[0].startswith("--timeout") else ("--timeout=30",)
        return run(self, "ovs-vsctl", *options, *arguments, timeout=150)

    def ofctl(self, *arguments: str) -> str:
        return run(self, "ovs-ofctl", "-O", "OpenFlow13", *arguments)

    def appctl(self, *arguments: str) -> str:
        return run(self, "ovs-appctl", *arguments)

    def flows(self, bridge: str = INTEGRATION_BRIDGE) -> list[str]:
        """The rules of a bridge as ovs-ofctl prints them, counters included."""
        return self.ofctl("dump-flows", bridge).splitlines()
