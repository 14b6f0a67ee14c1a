"""The whole system for tests: three hypervisors, the real controller, tenants with guests.

Owns how a test brings tenants up and what it looks at: rules, the log, the wire between
hypervisors. The lab is started once and shared; each test gets a `Cloud` of its own, and what that
leaves behind on any switch after everything was deleted is a failure of that test.
"""

from __future__ import annotations

import re
import secrets
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# The lab's modules are plain scripts' neighbours: they import each other by their own names.
sys.path.insert(0, str(ROOT / "mininet_topos"))

from api import Api, ApiError  # noqa: E402
from hypervisor import Hypervisor  # noqa: E402
from mininet.net import Mininet  # noqa: E402
from nodes import CommandFailed, VirtualMachine, ip, run  # noqa: E402
from tenet_controller import TenetController  # noqa: E402
from witness import (  # noqa: E402
    UDP_PORT, Eyewitness, Loss, Pair, Probe, answered, checksum, deliveries, drain,
    in_network_namespace, received,
)

CIDR = "10.0.0.0/24"
EVERYBODY, NOBODY = "10.0.0.255", "10.0.0.99"
FAILURES = re.compile(r"^.*(Traceback|internal error|an error of ours|round failed|compiling "
                      r"revision|\w+ failed$).*$", re.MULTILINE)
ETH_P_ALL = 0x0003
VXLAN, GENEVE = 4789, 6081


def eventually(what: Callable[[], Any], seconds: float = 10.0, why: str = "") -> float:
    """Wait until something is so; how long it took. What never comes fails the test."""
    begun = time.monotonic()
    while not what():
        assert time.monotonic() < begun + seconds, f"not within {seconds:g} s: {why or what}"
        time.sleep(0.02)
    return time.monotonic() - begun


def losers(results: Mapping[Pair, Loss], pairs: Collection[Pair] | None = None, spared: int = 0
           ) -> dict[Pair, int]:
    """The pairs (of these, or all) that lost more than the `spared` pings, and how many.

    Where interfaces come and go, Open vSwitch in user space reads the host's routes anew, and now
    and then drops a frame for a tunnel meanwhile: there, and only there, a few are spared.
    """
    return {pair: result.lost for pair, result in results.items()
            if (pairs is None or pair in pairs) and result.lost > spared}


def settled(line: str) -> str:
    """A rule without what counts and ages."""
    return re.sub(r"(duration|n_packets|n_bytes|idle_age|hard_age)=[^,]*, *", "", line).strip()


def rules(hypervisor: Hypervisor) -> frozenset[str]:
    """All rules and groups of br-int, without their counters."""
    groups = hypervisor.ofctl("dump-groups", "br-int").splitlines()[1:]
    return frozenset(map(settled, [*hypervisor.flows()[1:], *groups]))


@dataclass(slots=True)
class Machine:
    """A guest, its port and the hypervisor that it is plugged into (None: not yet)."""

    vm: VirtualMachine
    port: dict[str, Any]
    tenant: Tenant
    home: Hypervisor | None = None

    @property
    def address(self) -> str:
        return str(self.port["fixed_ips"][0]["ip_address"])

    @property
    def mac(self) -> str:
        return str(self.port["mac_address"])

    @property
    def status(self) -> str:
        return str(self.tenant.api.get("port", self.port["id"])["status"])

    def plug(self, home: Hypervisor) -> None:
        """Give the guest its interface; it is watched from now on."""
        home.plug(self.vm, self.port["id"], self.mac, f"{self.address}/24",
                  mtu=self.tenant.network["mtu"])
        self.home = home
        self.tenant.cloud.witnesses[self.vm] = Eyewitness.in_guest(self.vm)

    def unplug(self) -> None:
        assert self.home is not None
        self.tenant.cloud.witnesses.pop(self.vm).close()
        self.home.unplug(self.port["id"])
        self.home = None

    def move(self, destination: Hypervisor) -> None:
        assert self.home is not None
        self.home.move(self.port["id"], self.mac, destination)
        self.home = destination


@dataclass(slots=True)
class Tenant:
    """A project with one network of the same addresses as everybody's."""

    cloud: Cloud
    name: str
    password: str
    api: Api
    network: dict[str, Any]
    subnet: dict[str, Any]
    vni: int
    machines: dict[int, Machine] = field(default_factory=dict)

    @property
    def pairs(self) -> list[Pair]:
        vms = [machine.vm for machine in self.machines.values() if machine.home is not None]
        return [(source, target) for source in vms for target in vms if source is not target]

    def body(self, number: int, **more: Any) -> dict[str, Any]:
        """What a port is asked for: its number decides its address and its MAC."""
        fixed = [{"subnet_id": self.subnet["id"], "ip_address": f"10.0.0.{number}"}]
        return {"network_id": self.network["id"], "name": f"{self.name}-{number}",
                "mac_address": f"fa:16:3e:00:00:{number:02x}", "fixed_ips": fixed, **more}

    def machine(self, number: int, home: Hypervisor | None = None,
                port: dict[str, Any] | None = None, **more: Any) -> Machine:
        """A guest with its port, plugged if a home is given."""
        port = port or self.api.create("port", **self.body(number, **more))
        vm = self.cloud.guest()
        made = self.machines[number] = Machine(vm, port, self)
        if home is not None:
            made.plug(home)
        return made


class Cloud:
    """The tenants of one test on the running lab."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.hv = lab.hypervisors
        self.tenants: list[Tenant] = []
        self.witnesses: dict[VirtualMachine, Eyewitness] = {}
        self.before = lab.rules()
        self.begun = lab.written()
        self._guests: list[VirtualMachine] = []

    def guest(self) -> VirtualMachine:
        vm = self.lab.network.addHost(f"g{next(self.lab.numbers)}", cls=VirtualMachine)
        self._guests.append(vm)
        return vm

    def tenant(self, name: str, homes: Mapping[int, str] | None = None,
               **network: Any) -> Tenant:
        """A new project with its network, and a machine for each number on its hypervisor."""
        name, password = f"{name}{next(self.lab.numbers)}", secrets.token_urlsafe(12)
        api = self.lab.admin.create_tenant(name, password)
        return self.furnish(name, password, api, homes or {}, **network)

    def furnish(self, name: str, password: str, api: Api, homes: Mapping[int, str],
                **network: Any) -> Tenant:
        made = (self.lab.admin if network else api).create(
            "network", name=name, **network, **({"project_id": api.project_id} if network else {}))
        subnet = api.create("subnet", network_id=made["id"], ip_version=4, cidr=CIDR,
                            enable_dhcp=False)
        vni = self.lab.admin.get("network", made["id"])["provider:segmentation_id"]
        tenant = Tenant(self, name, password, api, made, subnet, vni)
        self.tenants.append(tenant)
        if homes:
            ports = api.create_many("port", [tenant.body(number) for number in homes])
            for (number, home), port in zip(homes.items(), ports, strict=True):
                tenant.machine(number, self.hv[home], port)
        return tenant

    @property
    def pairs(self) -> list[Pair]:
        return [pair for tenant in self.tenants for pair in tenant.pairs]

    def await_active(self, seconds: float = 10.0) -> float:
        """Until every plugged port is ACTIVE."""
        def waiting() -> list[str]:
            found = []
            for tenant in self.tenants:
                status = {port["id"]: port["status"] for port in tenant.api.find("port")}
                found += [f"{machine.vm}: {status.get(machine.port['id'])}"
                          for machine in tenant.machines.values()
                          if machine.home is not None
                          and status.get(machine.port["id"]) != "ACTIVE"]
            return found
        return eventually(lambda: not waiting(), seconds, "ports ACTIVE")

    def unanswered(self, pairs: Collection[Pair] | None = None) -> set[Pair]:
        """Pairs (all, by default) of which one ping stays without an answer."""
        pairs = self.pairs if pairs is None else pairs
        drain(self.witnesses.values())  # A full socket hears no answer.
        return set(pairs) - answered(self.witnesses, pairs)

    @contextmanager
    def pinging(self, pairs: Collection[Pair] | None = None, pace: float = 0.02
                ) -> Iterator[dict[Pair, Loss]]:
        """Ping while the block runs; the result is complete after it."""
        pairs = self.pairs if pairs is None else pairs
        self.unanswered(pairs)  # Neighbours are known from here on, as in any running tenant.
        own = {vm: echoing(witness) for vm, witness in self.witnesses.items()}
        probe = Probe(own, pairs, pace).start()
        try:
            yield probe.results
        finally:
            probe.finish()
            for witness in own.values():
                witness.echo.close()

    def letters(self, patience: float = 0.5) -> tuple[Counter[tuple[str, str]],
                                                      Counter[tuple[str, str]]]:
        """Every machine writes to each address of its network, to all and to nobody: which
        (machine, mark) should arrive, and which did, in whichever tenant."""
        marks: dict[tuple[VirtualMachine, str], bytes] = {}
        expected: Counter[tuple[str, str]] = Counter()
        for tenant in self.tenants:
            for source, target in tenant.pairs:
                marks[source, target.IP()] = f"<{source}:{target.IP()}>".encode()
                expected[str(target), f"<{source}:{target.IP()}>"] += 1
                expected[str(target), f"<{source}:{EVERYBODY}>"] += 1
            for machine in tenant.machines.values():
                if machine.home is not None:
                    for address in (EVERYBODY, NOBODY):
                        marks[machine.vm, address] = f"<{machine.vm}:{address}>".encode()
        found = deliveries(self.witnesses, marks, patience)
        return expected, Counter((str(vm), mark.decode()) for vm, mark in found)

    def clear(self) -> None:
        """Delete whatever the test left, as an operator would."""
        for witness in self.witnesses.values():
            witness.close()
        for tenant in self.tenants:
            for machine in tenant.machines.values():
                if machine.home is not None:
                    machine.home.unplug(machine.port["id"])
        for vm in self._guests:
            self.lab.network.delHost(vm)
        for tenant in self.tenants:
            for kind in ("port", "subnet", "network"):
                for row in self.lab.admin.find(kind, project_id=tenant.network["project_id"]):
                    self.lab.admin.delete(kind, row["id"])

    @classmethod
    @contextmanager
    def opened(cls, lab: Lab) -> Iterator[Cloud]:
        """No tenants at first; afterwards nothing of them may be left on any switch."""
        cloud = cls(lab)
        yield cloud
        cloud.clear()
        lab.await_realised()
        left = {name: sorted(held ^ cloud.before[name]) for name, held in lab.rules().items()}
        assert left == {name: [] for name in lab.hypervisors}
        assert lab.failures(cloud.begun) == []


class Lab:
    """Three hypervisors and the controller, running."""

    def __init__(self, network: Mininet, controller: TenetController,
                 hypervisors: Mapping[str, Hypervisor]) -> None:
        self.network, self.controller = network, controller
        self.hypervisors = dict(hypervisors)
        self.numbers = iter(range(1, 10**6))
        self.admin = Api.from_clouds(controller.clouds)

    def rules(self) -> dict[str, frozenset[str]]:
        return {name: rules(one) for name, one in self.hypervisors.items()}

    def switches(self) -> dict[str, dict[str, Any]]:
        """The status of each chassis, by host name."""
        return {str(one["hostname"]): one for one in self.admin.status()["switches"]}

    def realised(self) -> bool:
        """Whether every switch is connected and holds the newest revision."""
        found = self.switches().values()
        return len(found) >= len(self.hypervisors) and all(
            one["connected"] and not one["pending"] for one in found)

    def await_realised(self, seconds: float = 15.0) -> float:
        return eventually(self.realised, seconds, "all switches realised")

    def written(self) -> int:
        """How long the log is now."""
        return self.controller.log.stat().st_size

    def log(self, since: int = 0) -> str:
        """What the controller has said since `written` was asked."""
        return self.controller.log.read_bytes()[since:].decode(errors="replace")

    def failures(self, since: int = 0) -> list[str]:
        return [found.group() for found in FAILURES.finditer(self.log(since))]


def echoing(witness: Eyewitness) -> Eyewitness:
    """The witness with a socket of its own for pings: answers go to every such socket."""
    with in_network_namespace(witness.guest.pid):
        echo = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    echo.setblocking(False)
    return replace(witness, echo=echo)


@dataclass(frozen=True, slots=True)
class Tunnelled:
    """A frame on the underlay: which tunnel, between whom, of which segment, with what inside."""

    type: str
    source: str
    target: str
    vni: int
    inner: bytes


class Wire:
    """Everything that one hypervisor's underlay interface sends and receives."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        with in_network_namespace(hypervisor.pid):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind((hypervisor.underlay_device, ETH_P_ALL))
        self.socket.setblocking(False)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    def frames(self) -> list[bytes]:
        found = []
        with suppress(BlockingIOError):
            while True:
                found.append(self.socket.recv(65535))
        return found

    def tunnelled(self) -> list[Tunnelled]:
        return [one for frame in self.frames() if (one := unwrap(frame)) is not None]


def unwrap(frame: bytes) -> Tunnelled | None:
    """What a frame of the underlay carries, if it is a tunnel's."""
    if frame[12:14] != b"\x08\x00":
        return None
    ip = frame[14:]
    length = (ip[0] & 15) * 4
    source, target = socket.inet_ntoa(ip[12:16]), socket.inet_ntoa(ip[16:20])
    payload = ip[length:]
    if ip[9] == socket.IPPROTO_GRE and payload[2:4] == b"\x65\x58":
        flags = payload[0]
        assert flags & 0x20, "GRE without a key"
        at = 4 + (4 if flags & 0x80 else 0)
        key = int.from_bytes(payload[at:at + 4], "big")
        return Tunnelled("gre", source, target, key, payload[at + 4:])
    if ip[9] != socket.IPPROTO_UDP:
        return None
    port, body = int.from_bytes(payload[2:4], "big"), payload[8:]
    if port == VXLAN:
        return Tunnelled("vxlan", source, target, int.from_bytes(body[4:7], "big"), body[8:])
    if port == GENEVE:
        options = (body[0] & 0x3F) * 4
        vni = int.from_bytes(body[4:7], "big")
        return Tunnelled("geneve", source, target, vni, body[8 + options:])
    return None


def is_arp(frame: bytes) -> bool:
    return frame[12:14] == b"\x08\x06"


def octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def ethernet(source: str, target: str, kind: int, payload: bytes) -> bytes:
    return (octets(target) + octets(source) + kind.to_bytes(2, "big") + payload).ljust(60, b"\0")


def udp(source: str, target: str, mark: bytes, port: int = UDP_PORT) -> bytes:
    """A datagram with its IPv4 header, to a port on which guests listen: else they would complain
    by ICMP, quoting the mark."""
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(mark), 1, 0, 64, 17, 0,
                         socket.inet_aton(source), socket.inet_aton(target))
    header = header[:10] + checksum(header).to_bytes(2, "big") + header[12:]
    return header + struct.pack("!HHHH", port, port, 8 + len(mark), 0) + mark


def arp(operation: int, sender: str, sender_mac: str, target: str, mark: bytes = b"") -> bytes:
    return (struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + octets(sender_mac)
            + socket.inet_aton(sender) + bytes(6) + socket.inet_aton(target) + mark)


def send(witness: Eyewitness, frame: bytes) -> None:
    """A frame out of a guest's eth0, as it is."""
    witness.frames.sendto(frame, ("eth0", 0))


def receivers(cloud: Cloud, mark: bytes) -> list[str]:
    """Which guests received a frame with this mark, once for each copy."""
    found = []
    for vm, witness in cloud.witnesses.items():
        for frame, where in received(witness.frames):
            if mark in frame and where[2] != socket.PACKET_OUTGOING:
                found.append(str(vm))
    return sorted(found)


__all__ = [
    "EVERYBODY", "NOBODY", "ROOT", "Api", "ApiError", "Cloud", "CommandFailed", "Eyewitness",
    "Hypervisor", "Lab", "Loss", "Machine", "Pair", "Tenant", "Tunnelled", "Wire", "arp", "drain",
    "ethernet", "eventually", "in_network_namespace", "ip", "is_arp", "losers", "octets",
    "received", "receivers", "rules", "run", "send", "settled", "udp",
]
