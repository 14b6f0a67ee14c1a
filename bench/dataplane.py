"""dataplane: Tenet's rules against hand-written ones that do the same, and against NORMAL.

Owns the alternation. The one idea: nothing but the rules differs. The controller is stopped, and
on one and the same br-int, with the same guests, interfaces, tunnel port and daemon, the rules that
Tenet had written and the others replace each other in turn.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench import handwritten
from bench.datapath import Megaflow, megaflows, trace
from bench.laboratory import Broken, Guest, Laboratory, TenantNetwork, laboratory, wait_until
from bench.report import Section, Spread
from hypervisor import INTEGRATION_BRIDGE, Hypervisor
from nodes import run as command
from witness import (
    UDP_PORT, Eyewitness, answered, in_network_namespace, received,
)

TENET, HAND, NORMAL = "Tenet", "hand-written", "NORMAL"
TURNS = (TENET, HAND, NORMAL, NORMAL, HAND, TENET) * 2
IPERF_SECONDS = 1
PINGS = 400
PLAIN = "vxlan-plain"
PLAIN_KEY = 4_000_000
EVERYBODY = "10.0.255.255"


@dataclass(slots=True)
class Measured:
    """What the turns of one set of rules showed, by path."""

    throughput: dict[str, list[float]] = field(default_factory=dict)
    round_trip: dict[str, list[float]] = field(default_factory=dict)


def run(section: Section) -> None:
    section.note(
        "Two tenants with the same addresses on two hypervisors (a third one for first pings). "
        "The hand-written rules (bench/handwritten.py, four tables) check source MAC and IP, "
        "answer ARP, keep networks apart, and send a known MAC to its port or through the tunnel; "
        "NORMAL is a learning switch with a plain vxlan port to the peer; it checks nothing, so "
        "the second tenant is kept out of its turns. All three take turns on the same br-int and "
        "guests, with the controller stopped.")
    with laboratory("dataplane") as lab:
        for one in lab.hypervisors:
            # A megaflow stays until it has been counted.
            one.vsctl("set", "Open_vSwitch", ".", "other_config:max-idle=120000")
        first_pings(section, lab)
        compare(section, lab)


# First pings


def first_pings(section: Section, lab: Laboratory) -> None:
    """Every pair of a fresh tenant pings once, ARP included, over hypervisors that never met."""
    tenant = lab.tenant("first")
    guests = lab.guests(tenant, [*lab.hypervisors] * 3)
    witnesses = {guest.vm: Eyewitness.in_guest(guest.vm) for guest in guests}
    pairs = [(one.vm, other.vm) for one in guests for other in guests if one is not other]
    seen = answered(witnesses, pairs)
    met: set[tuple[Hypervisor, Hypervisor]] = {
        (one.home, other.home) for one in guests for other in guests if one.home is not other.home}
    section.equal(f"lost first pings of {len(pairs)} never-used pairs "
                  f"({len(met)} pairs of hypervisors that had never met)",
                  len(pairs) - len(seen), 0)
    for witness in witnesses.values():
        witness.close()
    leave(lab, tenant, guests)


def leave(lab: Laboratory, tenant: TenantNetwork, guests: Sequence[Guest]) -> None:
    """Take a tenant's guests away, so that only the compared ones are left."""
    for guest in guests:
        guest.home.vsctl("del-port", guest.interface)
        assert guest.port is not None
        tenant.api.delete("port", guest.port["id"])
    tenant.api.call("DELETE", f"/v2.0/networks/{tenant.id}?wait=realised")


# The comparison


class Rules:
    """The sets of rules that take turns on the two hypervisors."""

    def __init__(self, lab: Laboratory, networks: Sequence[tuple[int, Sequence[Guest]]]) -> None:
        self.homes = lab.hypervisors[:2]
        self.files: dict[tuple[str, str], str] = {}
        for one, peer in zip(self.homes, reversed(self.homes), strict=True):
            self._add_plain_tunnel(one, peer)
            self.files[TENET, one.name] = one.ofctl("dump-flows", "--no-stats", INTEGRATION_BRIDGE)
            self.files[HAND, one.name] = handwritten.rules(one, networks, self.homes)
            self.files[NORMAL, one.name] = handwritten.normal(one, networks)

    @staticmethod
    def _add_plain_tunnel(one: Hypervisor, peer: Hypervisor) -> None:
        """The tunnel that NORMAL needs; it is there all the time, with a key of its own."""
        one.vsctl("add-port", INTEGRATION_BRIDGE, PLAIN, "--", "set", "interface", PLAIN,
                  "type=vxlan", f"options:remote_ip={peer.underlay_address}",
                  f"options:local_ip={one.underlay_address}", f"options:key={PLAIN_KEY}")

    def use(self, name: str) -> None:
        for one in self.homes:
            text = "\n".join(line.strip() for line in self.files[name, one.name].splitlines()
                             if "actions=" in line)
            command(one, "ovs-ofctl", "-O", "OpenFlow13", "--bundle", "replace-flows",
                    INTEGRATION_BRIDGE, "-", input=text + "\n")
            # Not dpctl/del-flows: ovs-vswitchd would think for a while that they are still there.
            one.appctl("revalidator/purge")
            one.appctl("fdb/flush", INTEGRATION_BRIDGE)

    def count(self, name: str) -> dict[str, int]:
        return {one.name: sum("actions=" in line
                              for line in self.files[name, one.name].splitlines())
                for one in self.homes}


def compare(section: Section, lab: Laboratory) -> None:
    first, second, _ = lab.hypervisors
    tenants = [lab.tenant("red"), lab.tenant("blue")]
    networks = []
    for tenant in tenants:
        guests = lab.guests(tenant, [first, first, first, second, second])
        vni = lab.admin.get("network", tenant.id)["provider:segmentation_id"]
        networks.append((int(vni), guests))
    wait_until(lambda: not any(one["pending"] for one in lab.admin.status()["switches"]), 20,
               "all switches up to date")
    lab.controller.kill()
    rules = Rules(lab, networks)
    for name in (TENET, HAND):
        section.tell(f"rules on each of the two hypervisors, {name}", rules.count(name))
    count_exactly(section, rules, networks)
    take_turns(section, rules, networks[0][1])


def count_exactly(section: Section, rules: Rules,
                  networks: Sequence[tuple[int, Sequence[Guest]]]) -> None:
    """The same traffic over both sets: what the datapaths hold afterwards."""
    found: dict[str, dict[str, list[Megaflow]]] = {}
    traces = {}
    for name in (TENET, HAND):
        rules.use(name)
        mix(networks)
        found[name] = {one.name: megaflows(one) for one in rules.homes}
        traces[name] = directions(networks[0][1])
    rules.use(NORMAL)
    for target in networks[0][1][1], networks[0][1][3]:
        warm_up(networks[0][1][0], target)
    normal = directions(networks[0][1])
    for home in rules.homes:
        tenet, hand = found[TENET][home.name], found[HAND][home.name]
        section.equal(f"{home.name}: megaflows after the same traffic", len(tenet), len(hand),
                      HAND)
        section.equal(f"{home.name}: recirculations in them", sum(f.recirculations for f in tenet),
                      sum(f.recirculations for f in hand), HAND)
        section.equal(f"{home.name}: datapath actions of each megaflow",
                      spoken(f.actions for f in tenet), spoken(f.actions for f in hand), HAND)
        section.equal(f"{home.name}: megaflows that only one of the two sets made",
                      len({f.effect for f in tenet} ^ {f.effect for f in hand}), 0)
    for direction, seen in traces[TENET].items():
        section.equal(f"{direction}: datapath actions", seen, traces[HAND][direction], HAND)
        section.tell(f"{direction}: datapath actions, {NORMAL}",
                     normal[direction])


def spoken(counts: object) -> str:
    numbers = Counter(counts)  # type: ignore[call-overload]
    return ", ".join(f"{count} with {actions}" for actions, count in sorted(numbers.items()))


def directions(guests: Sequence[Guest]) -> dict[str, str]:
    """Datapath actions of a TCP segment, each way, on the same hypervisor and across."""
    near, far = (guests[0], guests[1]), (guests[0], guests[3])
    return {what: str(trace(source, target)) for what, (source, target) in {
        "same hypervisor, there": near, "same hypervisor, back": near[::-1],
        "across, there": far, "across, back": far[::-1]}.items()}


def mix(networks: Sequence[tuple[int, Sequence[Guest]]]) -> None:
    """An ARP request, a ping and a TCP connection for each pair of each tenant, in order; then a
    broadcast of each guest."""
    for _, guests in networks:
        for guest in guests:
            # ARP is asked on purpose below, and at no other time.
            guest.knows(*(other for other in guests if other is not guest))
        witnesses = {guest.vm: Eyewitness.in_guest(guest.vm) for guest in guests}
        pairs = [(one, other) for one in guests for other in guests if one is not other]
        for source, target in pairs:
            ask(witnesses[source.vm], source, target)
            transfer(source, target)
        machines = [(source.vm, target.vm) for source, target in pairs]
        lost = set(machines) - answered(witnesses, machines)
        for witness in witnesses.values():
            witness.datagrams.sendto(b"everybody", (EVERYBODY, UDP_PORT))
        time.sleep(0.2)
        for witness in witnesses.values():
            witness.close()
        if lost:
            raise Broken(f"pings without an answer: {lost}")
    time.sleep(1)  # Entries are made by other threads than forwarded the first packet.


def ask(witness: Eyewitness, source: Guest, target: Guest) -> None:
    """An ARP request (RFC 826) and its answer."""
    mac = bytes.fromhex(source.mac.replace(":", ""))
    wanted = socket.inet_aton(target.address)
    frame = (b"\xff" * 6 + mac + bytes.fromhex("0806 0001 0800 0604 0001") + mac
             + socket.inet_aton(source.address) + bytes(6) + wanted)
    for _ in received(witness.frames):
        pass
    witness.frames.sendto(frame, ("eth0", 0x0806))
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        select.select([witness.frames], [], [], 0.1)
        for heard, _ in received(witness.frames):
            if heard[12:22] == bytes.fromhex("0806 0001 0800 0604 0002") and heard[28:32] == wanted:
                return
    raise Broken(f"{source.vm}: nobody says who has {target.address}")


def transfer(source: Guest, target: Guest) -> None:
    """A short TCP connection: 64 KiB, which fit into the buffers of both ends."""
    with in_network_namespace(target.vm.pid):
        server = socket.create_server((target.address, 5001))
    with in_network_namespace(source.vm.pid):
        client = socket.socket()
    with server, client:
        client.settimeout(5)
        client.connect((target.address, 5001))
        client.sendall(bytes(65536))
        client.shutdown(socket.SHUT_WR)
        with server.accept()[0] as heard:
            heard.settimeout(5)
            while heard.recv(65536):
                pass


def take_turns(section: Section, rules: Rules, guests: Sequence[Guest]) -> None:
    paths = {"same hypervisor": (guests[0], guests[1]), "across": (guests[0], guests[3])}
    measured = {name: Measured() for name in (TENET, HAND, NORMAL)}
    for turn in TURNS:
        rules.use(turn)
        for path, (source, target) in paths.items():
            warm_up(source, target)
            seen = measured[turn]
            seen.throughput.setdefault(path, []).append(throughput(source, target))
            seen.round_trip.setdefault(path, []).append(round_trip(source, target))
    for path in paths:
        tell_ratio(section, f"{path}: TCP throughput", "Gbit/s",
                   lambda name: measured[name].throughput[path])
        tell_ratio(section, f"{path}: round trip of a ping", "us",
                   lambda name: measured[name].round_trip[path])


def started(guest: Guest, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(["mnexec", "-a", str(guest.vm.pid), *words], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def warm_up(source: Guest, target: Guest) -> None:
    """Until megaflows are there and NORMAL has learned."""
    for _ in range(10):
        said, _ = started(source, "ping", "-c10", "-i0.01", "-W1", target.address).communicate()
        if " 0% packet loss" in said:
            return
    raise Broken(f"{source.vm} does not reach {target.vm}: {said}")


def tell_ratio(section: Section, what: str, unit: str,
               values: Callable[[str], list[float]]) -> None:
    for name in (TENET, HAND, NORMAL):
        section.tell(f"{what}, {name}", Spread(tuple(values(name)), unit))
    for name in (HAND, NORMAL):
        # Turns are compared with the neighbouring turn of the other, so that drift cancels out.
        ratios = tuple(mine / other for mine, other in zip(values(TENET), values(name)))
        section.tell(f"{what}, Tenet against {name}", Spread(ratios, "times"))


def throughput(source: Guest, target: Guest) -> float:
    """Gbit/s of one TCP connection."""
    server = started(target, "iperf3", "-s", "-1", "-4", "--forceflush")
    try:
        assert server.stdout is not None
        while "listening" not in (line := server.stdout.readline()):
            if not line:
                raise Broken("iperf3 did not start")
        said = command(source.vm, "iperf3", "-c", target.address, "-t", str(IPERF_SECONDS), "-J")
    finally:
        server.kill()
        server.communicate()
    end = json.loads(said)["end"]
    if "sum_received" not in end:
        raise Broken(f"iperf3: {said[-2000:]}")
    return float(end["sum_received"]["bits_per_second"]) / 1e9


def round_trip(source: Guest, target: Guest) -> float:
    """Microseconds: the median of many pings."""
    said = command(source.vm, "ping", "-n", f"-c{PINGS}", "-i0.001", target.address)
    times = sorted(float(line.rsplit("time=", 1)[1].split()[0]) for line in said.splitlines()
                   if "time=" in line)
    return 1000 * times[len(times) // 2]
