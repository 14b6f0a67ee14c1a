"""The lab as the measurements use it: three hypervisors, the product, one tenant's view.

Owns the start of a lab and short verbs on it. Refuses to measure. The one idea: what stands
between a measurement and the thing measured is kept small, so the API is spoken to over one
connection that stays open, and a hypervisor's database over its socket, without starting
`ovs-vsctl`.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import lab
from api import Api, Resource
from hypervisor import INTEGRATION_BRIDGE, Hypervisor, interface_name
from mininet.log import setLogLevel
from mininet.net import Mininet
from nodes import LAB, VirtualMachine, ip, run
from tenet_controller import TenetController
from three_hypervisors import ThreeHypervisors

CIDR = "10.0.0.0/16"


class Broken(Exception):
    """The lab did not do what a measurement needs to begin or to end."""


def wait_until(reached: Callable[[], bool], timeout: float, what: str,
               pause: float = 0.02) -> None:
    """Wait until something is so; Broken if it takes too long."""
    deadline = time.monotonic() + timeout
    while not reached():
        if time.monotonic() > deadline:
            raise Broken(f"not after {timeout:g} s: {what}")
        time.sleep(pause)


class Database:
    """A hypervisor's OVSDB server, over its socket (RFC 7047)."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(hypervisor.path("/run/openvswitch/db.sock"))
        self._numbers = itertools.count(1)
        self._waiting = ""

    def transact(self, *operations: dict[str, Any]) -> list[Any]:
        """Do all operations or none; their results."""
        number = next(self._numbers)
        self._send({"method": "transact", "params": ["Open_vSwitch", *operations], "id": number})
        while (answer := self._receive()).get("id") != number:
            if answer.get("method") == "echo":
                self._send({"result": answer["params"], "error": None, "id": answer["id"]})
        results = answer["result"] or []
        if answer["error"] or any(isinstance(one, dict) and one.get("error") for one in results):
            raise Broken(f"OVSDB: {answer}")
        return list(results)

    def label(self, name: str, port_id: str | None) -> None:
        """Say which port an interface is; None: no port."""
        changes: list[Any] = [["external_ids", "delete", ["set", ["iface-id"]]]]
        if port_id is not None:
            changes.append(["external_ids", "insert", ["map", [["iface-id", port_id]]]])
        self.transact({"op": "mutate", "table": "Interface", "where": [["name", "==", name]],
                       "mutations": changes})

    def add_interface(self, name: str, port_id: str | None = None, type: str = "internal",
                      bridge: str = INTEGRATION_BRIDGE) -> None:
        """What `ovs-vsctl add-port` does, without waiting for ovs-vswitchd."""
        external = [["iface-id", port_id]] if port_id is not None else []
        self.transact(
            {"op": "insert", "table": "Interface", "uuid-name": "interface",
             "row": {"name": name, "type": type, "external_ids": ["map", external]}},
            {"op": "insert", "table": "Port", "uuid-name": "port",
             "row": {"name": name, "interfaces": ["named-uuid", "interface"]}},
            {"op": "mutate", "table": "Bridge", "where": [["name", "==", bridge]],
             "mutations": [["ports", "insert", ["named-uuid", "port"]]]},
            {"op": "mutate", "table": "Open_vSwitch", "where": [],
             "mutations": [["next_cfg", "+=", 1]]})

    def remove_interface(self, name: str, bridge: str = INTEGRATION_BRIDGE) -> None:
        """What `ovs-vsctl del-port` does, without waiting for ovs-vswitchd."""
        found = self.transact({"op": "select", "table": "Port", "where": [["name", "==", name]],
                               "columns": ["_uuid"]})
        self.transact(
            {"op": "mutate", "table": "Bridge", "where": [["name", "==", bridge]],
             "mutations": [["ports", "delete", found[0]["rows"][0]["_uuid"]]]},
            {"op": "mutate", "table": "Open_vSwitch", "where": [],
             "mutations": [["next_cfg", "+=", 1]]})

    def opened(self, name: str) -> bool:
        """Whether ovs-vswitchd has given the interface its OpenFlow port."""
        found = self.transact({"op": "select", "table": "Interface",
                               "where": [["name", "==", name]], "columns": ["ofport"]})
        return bool(found[0]["rows"]) and isinstance(found[0]["rows"][0]["ofport"], int)

    def _send(self, message: dict[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode())

    def _receive(self) -> dict[str, Any]:
        while True:
            with contextlib.suppress(json.JSONDecodeError):
                message, end = json.JSONDecoder().raw_decode(self._waiting)
                self._waiting = self._waiting[end:].lstrip()
                return dict(message)
            more = self._socket.recv(1 << 20)
            if not more:
                raise Broken("OVSDB: the server closed the connection")
            self._waiting += more.decode()


@dataclass(slots=True)
class TenantNetwork:
    """A network with its subnet, in a project of its own."""

    api: Api
    id: str
    subnet_id: str
    mtu: int

    def request(self, number: int) -> dict[str, Any]:
        """What to ask for to get the port of that number."""
        return {"network_id": self.id, "mac_address": mac(number),
                "fixed_ips": [{"subnet_id": self.subnet_id, "ip_address": address(number)}]}

    def create_ports(self, numbers: Sequence[int], **options: Any) -> list[Resource]:
        return self.api.create_many("port", [self.request(n) for n in numbers], **options)


def mac(number: int) -> str:
    return f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}"


def address(number: int) -> str:
    return f"10.0.{number >> 8}.{number & 255}"


@dataclass(slots=True)
class Guest:
    """A machine that is plugged into br-int. Its interface may still be without a port."""

    vm: VirtualMachine
    home: Hypervisor
    number: int
    interface: str
    port: Resource | None = None

    @property
    def address(self) -> str:
        return address(self.number)

    @property
    def mac(self) -> str:
        return mac(self.number)

    def knows(self, *others: Guest) -> None:
        """Fixed neighbour entries, so that no ARP is in the way of a measurement."""
        ip(self.vm, *(f"neigh replace {other.address} lladdr {other.mac} dev eth0 nud permanent"
                      for other in others))


class Laboratory:
    """A running lab."""

    def __init__(self, network: Mininet, controller: TenetController) -> None:
        self.network, self.controller = network, controller
        self.hypervisors = lab.hypervisors(network)
        self.admin = Api.from_clouds(controller.clouds)
        self.databases = {one.name: Database(one) for one in self.hypervisors}
        self._names = itertools.count(1)

    def tenant(self, name: str) -> TenantNetwork:
        api = self.admin.create_tenant(name, f"password-of-{name}")
        return self.network_of(api)

    def network_of(self, api: Api) -> TenantNetwork:
        network = api.create("network", name="private")
        subnet = api.create("subnet", network_id=network["id"], ip_version=4, cidr=CIDR)
        return TenantNetwork(api, network["id"], subnet["id"], network["mtu"])

    def machine(self, home: Hypervisor, number: int, mtu: int = 1450) -> Guest:
        """A guest whose interface is in br-int and no port's yet."""
        vm = self.network.addHost(f"vm{next(self._names)}", cls=VirtualMachine)
        name = f"tap-{vm.name}"
        ip(None, f"link add {name} mtu {mtu} netns {home.pid} type veth"
                 f" peer name eth0 mtu {mtu} address {mac(number)} netns {vm.pid}")
        # What guests say on their own account would be counted as traffic.
        run(vm, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1",
            "net.ipv6.conf.default.disable_ipv6=1")
        vm.wire(mac(number), [f"{address(number)}/16"])
        ip(home, f"link set {name} up")
        home.vsctl("add-port", INTEGRATION_BRIDGE, name)
        return Guest(vm, home, number, name)

    def guests(self, tenant: TenantNetwork, homes: Sequence[Hypervisor],
               first: int = 11) -> list[Guest]:
        """Guests with ports, realised."""
        guests = [self.machine(home, first + i, tenant.mtu) for i, home in enumerate(homes)]
        ports = tenant.create_ports([guest.number for guest in guests])
        for guest, port in zip(guests, ports, strict=True):
            guest.port = port
            self.databases[guest.home.name].label(guest.interface, port["id"])
        self.await_active(tenant.api, len(guests), network_id=tenant.id)
        return guests

    def active(self, api: Api, **filters: Any) -> int:
        ports = api.find("port", fields="status", **filters)
        return sum(port["status"] == "ACTIVE" for port in ports)

    def await_active(self, api: Api, count: int, timeout: float = 60, pause: float = 0.02,
                     **filters: Any) -> None:
        wait_until(lambda: self.active(api, **filters) >= count, timeout,
                   f"{count} ports ACTIVE", pause)

    def rules(self) -> dict[str, int]:
        """What each hypervisor's br-int really holds."""
        return {one.name: len(one.flows()) - 1 for one in self.hypervisors}

    def sent(self) -> int:
        """Flow-mods and group-mods that the controller has sent since it started."""
        return sum(int(one["sent"]) for one in self.admin.status()["switches"])


@contextlib.contextmanager
def laboratory(name: str) -> Iterator[Laboratory]:
    """Three hypervisors that have joined a controller with an empty store."""
    setLogLevel("error")
    controller = TenetController("c0", directory=f"{LAB}/bench-{name}-{time.monotonic_ns()}")
    with lab.started(ThreeHypervisors(), controller) as network:
        missing = lab.joining_failures(network)
        if missing:
            raise Broken("; ".join([*missing, controller.last_words()]))
        yield Laboratory(network, controller)


__all__ = ["Broken", "Database", "Guest", "Laboratory", "TenantNetwork", "interface_name",
           "laboratory", "wait_until"]
