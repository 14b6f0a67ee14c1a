#!/usr/bin/python3
"""Two tenants with the same addresses on three hypervisors: what is expected, and what is seen.

                               controller
             _______________________|_______________________  management
            |                       |                       |
           hv1                     hv2                     hv3
        red1   10.0.0.11        red2   10.0.0.12        red3   10.0.0.13
        red4   10.0.0.14        blue3  10.0.0.13        blue2  10.0.0.12
        blue1  10.0.0.11
        blue4  10.0.0.14
            |_______________________|_______________________|  underlay 172.31.0.0/24

red1 and blue1 (and so on) have the same IP *and* the same MAC address; red1 and blue1 even share
a hypervisor. Exit status 0 only if everything was as expected.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence

import lab
import sandbox
from api import Api, ApiError
from evidence import Table, print_matrix, wait
from mininet.log import setLogLevel
from mininet.net import Mininet
from nodes import CommandFailed, VirtualMachine, run
from tenants import CIDR, Guest, Tenant
from tenet_controller import NotReady, TenetController
from three_hypervisors import ThreeHypervisors
from witness import Eyewitness, Loss, Pair, Probe, answered, deliveries

NOBODY, EVERYBODY = "10.0.0.99", "10.0.0.255"
HOMES = {
    "red": {1: "hv1", 2: "hv2", 3: "hv3", 4: "hv1"},
    "blue": {1: "hv1", 2: "hv3", 3: "hv2", 4: "hv1"},
}
PACE = 0.1


class Unexpected(Exception):
    """The story cannot go on; what was seen so far is shown all the same."""


class Demonstration:
    """The story, one method a chapter."""

    def __init__(self, network: Mininet, controller: TenetController, table: Table) -> None:
        self.network = network
        self.controller = controller
        self.table = table
        self.hypervisors = {one.name: one for one in lab.hypervisors(network)}
        self.admin = Api.from_clouds(controller.clouds)
        self.tenants: list[Tenant] = []
        self.witnesses: dict[VirtualMachine, Eyewitness] = {}
        self.empty = self.rules()

    # What the switches hold

    def rules(self) -> dict[str, frozenset[str]]:
        """Each hypervisor's rules without their counters."""
        noise = r"(duration|n_packets|n_bytes|idle_age|hard_age)=[^,]*, *"
        return {
            name: frozenset(re.sub(noise, "", line).strip() for line in one.flows()[1:])
            for name, one in self.hypervisors.items()
        }

    def youngest_rule(self) -> float:
        """The age in seconds of the rule that was written last, on any hypervisor."""
        flows = "\n".join(line for one in self.hypervisors.values() for line in one.flows())
        return min(map(float, re.findall(r"duration=([\d.]+)s", flows)))

    # Chapters

    def create_tenants(self) -> None:
        for name in HOMES:
            self.tenants.append(Tenant.create(self.admin, name))
        red, blue = self.tenants
        vnis = f"VNI {red.vni} and {blue.vni}, MTU {red.network['mtu']}"
        print(f"    red and blue: one network {CIDR} each, {vnis}")
        try:
            blue.api.get("network", red.network["id"])
            seen = "200"
        except ApiError as error:
            seen = str(error.status)
        self.table.check("blue asks for red's network", 404, seen)

    def plug_guests(self) -> None:
        for tenant in self.tenants:
            homes = HOMES[tenant.name]
            ports = tenant.create_ports(homes)
            for (number, home), port in zip(homes.items(), ports, strict=True):
                vm = self.network.addHost(f"{tenant.name}{number}", cls=VirtualMachine)
                guest = Guest(vm, port, self.hypervisors[home])
                guest.home.plug(
                    vm,
                    port["id"],
                    port["mac_address"],
                    f"{guest.address}/24",
                    mtu=tenant.network["mtu"],
                )
                tenant.guests[number] = guest
                self.witnesses[vm] = Eyewitness.in_guest(vm)
        took = self.wait_active()
        self.table.check("ports that turned ACTIVE", 8, self.count_active())
        print(f"    the last one {took:.2f} s after it was plugged")
        self.realised("after plugging")

    def realised(self, when: str) -> None:
        """Ask the controller which revision the switches have confirmed."""
        seen = self.admin.status()["switches"]
        current = sum(one["connected"] and one["realised"] == one["desired"] for one in seen)
        self.table.check(f"hypervisors that confirmed the last revision, {when}", 3, current)

    def count_active(self) -> int:
        ports = [port for tenant in self.tenants for port in tenant.api.find("port")]
        return sum(port["status"] == "ACTIVE" for port in ports)

    def wait_active(self, timeout: float = 20) -> float:
        return wait(lambda: self.count_active() == 8, timeout)

    def ping_matrix(self, when: str = "") -> None:
        for tenant in self.tenants:
            seen = answered(self.witnesses, tenant.pairs)
            if not when:
                print_matrix([guest.vm for guest in tenant.guests.values()], seen)
            self.table.check(
                f"{tenant.name}: answered pings{when}",
                f"{len(tenant.pairs)} of {len(tenant.pairs)}",
                f"{len(seen)} of {len(tenant.pairs)}",
            )

    def isolation(self, when: str = "") -> None:
        """Every guest writes to every address; who received it, in whichever tenant?"""
        letters: dict[tuple[VirtualMachine, str], bytes] = {}
        expected: Counter[tuple[str, str]] = Counter()
        for tenant in self.tenants:
            for source, target in tenant.pairs:
                letters[source, target.IP()] = f"<{source}:{target.IP()}>".encode()
                expected[str(target), f"<{source}:{target.IP()}>"] += 1
                expected[str(target), f"<{source}:{EVERYBODY}>"] += 1
            for guest in tenant.guests.values():
                for address in (EVERYBODY, NOBODY):
                    letters[guest.vm, address] = f"<{guest.vm}:{address}>".encode()
        found = deliveries(self.witnesses, letters)
        seen = Counter((str(vm), mark.decode()) for vm, mark in found)
        foreign = sum(
            number
            for (vm, mark), number in seen.items()
            if vm.rstrip("1234") != mark[1:].split(":")[0].rstrip("1234")
        )
        right = sum((seen & expected).values())
        surplus = (seen - expected).total()
        self.table.check(f"letters at the right guest{when}", expected.total(), right)
        self.table.check(f"copies too many, or at another guest{when}", 0, surplus)
        self.table.check(f"letters that crossed between tenants{when}", 0, foreign)

    def capture(self) -> None:
        """Both tenants ping the same address from the same address; read the tunnel."""
        first = self.hypervisors["hv1"]
        file = f"{self.controller.directory}/underlay.pcap"
        sizes = {tenant.name: 100 * (1 + index) for index, tenant in enumerate(self.tenants)}
        # Frames are handed over at once: what tcpdump still buffers when it ends is lost.
        options = ["--immediate-mode", "-U", "-Z", "root", "-i", first.underlay_device]
        tcpdump = first.popen("tcpdump", *options, "-w", file, "udp")
        tcpdump.stderr.readline()  # It says that it listens.
        for tenant in self.tenants:
            source, target = tenant.guests[1].vm, tenant.guests[2]
            size = str(sizes[tenant.name])
            run(source, "ping", "-c5", "-i0.05", "-W2", "-s", size, target.address)
        time.sleep(0.2)
        tcpdump.terminate()
        tcpdump.communicate()
        fields = ["-e", "vxlan.vni", "-e", "ip.len", "-E", "occurrence=l"]
        read = ["tshark", "-r", file, "-Y", "vxlan && icmp", "-T", "fields", *fields]
        lines = run(None, *read).splitlines()
        seen: dict[str, set[str]] = {tenant.name: set() for tenant in self.tenants}
        for vni, length in (line.split("\t") for line in lines):
            for name, octets in sizes.items():
                if int(length) == octets + 28:
                    seen[name].add(str(int(vni)))
        for tenant in self.tenants:
            what = f"{tenant.name}: VNI of {tenant.guests[1].address} to .12 on the wire"
            self.table.check(what, tenant.vni, ", ".join(sorted(seen[tenant.name])) or "nothing")

    def move(self) -> None:
        """red2 goes from hv2 to hv3, running."""
        red, blue = self.tenants
        guest, destination = red.guests[2], self.hypervisors["hv3"]
        probe = Probe(self.witnesses, red.pairs + blue.pairs, PACE).start()
        time.sleep(0.5)
        guest.home.move(guest.port["id"], guest.port["mac_address"], destination)
        guest.home = destination
        others = [pair for pair in red.pairs + blue.pairs if guest.vm not in pair]
        mine = [pair for pair in red.pairs if guest.vm in pair]
        wait(lambda: self.host_of(guest) == "hv3" and self.count_active() == 8, 10)
        time.sleep(0.5)
        results = finished(probe)
        self.table.check("red2 moved: its port is bound on", "hv3", self.host_of(guest))
        # A userspace datapath may drop a frame or two of others as a port leaves it, whoever
        # wrote its rules; what must not happen is that others have to wait for the controller.
        quiet = max(results[pair].silence for pair in others)
        self.table.check_below("red2 moved: longest silence of all others", 0.5, quiet)
        gap = max(results[pair].silence for pair in mine)
        self.table.check_below("red2 moved: longest silence of red2", 2, gap)
        print(f"    others lost {lost(results, others)} pings, red2 {lost(results, mine)}")
        self.ping_matrix(", red2 moved")

    def host_of(self, guest: Guest) -> str:
        return str(self.admin.get("port", guest.port["id"])["binding:host_id"])

    def kill_controller(self) -> None:
        """Sudden death just after a write was acknowledged, two seconds without, a new start."""
        red = self.tenants[0]
        pairs = [pair for tenant in self.tenants for pair in tenant.pairs]
        probe = Probe(self.witnesses, pairs, PACE).start()
        time.sleep(0.5)
        late = red.api.create("port", network_id=red.network["id"], name="late", wait="realised")
        self.controller.kill()
        before, died = self.rules(), time.monotonic()
        time.sleep(2)
        self.controller.restart()
        print(f"    ready {time.monotonic() - died - 2:.1f} s after its new start", flush=True)
        not_back = lab.joining_failures(self.network)
        wait(lambda: self.count_active() == 8, 10)
        time.sleep(1)
        results = finished(probe)
        sent = sum(result.sent for result in results.values())
        self.table.check("controller killed: hypervisors that came back", 3, 3 - len(not_back))
        self.table.check(f"controller killed: lost of {sent} pings", 0, lost(results, pairs))
        self.table.check(
            "controller killed: the last acknowledged write",
            "there",
            "there" if red.api.find("port", id=late["id"]) else "lost",
        )
        sent = sum(one["sent"] for one in self.admin.status()["switches"])
        self.table.check("controller killed: changes sent at its return", 0, sent)
        changed = sum(len(before[name] ^ rules) for name, rules in self.rules().items())
        age, absent = self.youngest_rule(), time.monotonic() - died
        changed += age < absent
        self.table.check("controller killed: rules rewritten at its return", 0, changed)

    def kill_switch(self) -> None:
        """ovs-vswitchd dies with all its rules, and is filled again when it returns."""
        third = self.hypervisors["hv3"]
        before = self.rules()["hv3"]
        third.kill_vswitchd()
        third.restart_vswitchd()
        took = wait(lambda: self.rules()["hv3"] == before, 15)
        self.table.check(
            "hv3's switch killed: rules back", len(before), len(self.rules()["hv3"] & before)
        )
        print(f"    {took:.2f} s after it had started again")
        self.ping_matrix(", hv3's switch killed")

    def delete_all(self) -> None:
        for tenant in self.tenants:
            for guest in tenant.guests.values():
                self.witnesses.pop(guest.vm).close()
                guest.home.unplug(guest.port["id"])
            for port in tenant.api.find("port"):
                tenant.api.delete("port", port["id"])
            tenant.api.delete("network", tenant.network["id"])
        wait(lambda: self.rules() == self.empty, 10)
        left = sum(len(self.empty[name] ^ rules) for name, rules in self.rules().items())
        self.table.check("all deleted: rules left over or missing", 0, left)


def finished(probe: Probe) -> dict[Pair, Loss]:
    results = probe.finish()
    if probe.stall > 0.3:
        print(f"    (a busy machine: even this program waited {probe.stall:.1f} s)")
    return results


def lost(results: dict[Pair, Loss], pairs: Sequence[Pair]) -> int:
    return sum(results[pair].lost for pair in pairs)


def tell(network: Mininet, controller: TenetController, table: Table) -> None:
    missing = lab.joining_failures(network)
    table.check("hypervisors joined by one ovs-vsctl command", 3, 3 - len(missing))
    if missing:
        raise Unexpected("; ".join(missing))
    story = Demonstration(network, controller, table)
    chapters: list[tuple[str, Callable[[], None]]] = [
        ("Two tenants, the same addresses", story.create_tenants),
        ("Eight guests are plugged in", story.plug_guests),
        ("Everyone pings everyone of the own tenant", story.ping_matrix),
        ("Everyone writes to everyone; who received it?", story.isolation),
        ("The wire between hypervisors", story.capture),
        ("A guest moves while it runs", story.move),
        ("Isolation after the move", lambda: story.isolation(", red2 moved")),
        ("The controller dies and returns", story.kill_controller),
        ("A switch dies and returns", story.kill_switch),
        ("Everything is deleted", story.delete_all),
    ]
    for title, chapter in chapters:
        print(f"\n{title}", flush=True)
        chapter()


def demonstrate(verbose: bool) -> int:
    setLogLevel("info" if verbose else "warning")
    print(__doc__)
    begin = time.monotonic()
    table = Table()
    complete = False
    controller = TenetController("c0")
    try:
        print("Three hypervisors and the controller start", flush=True)
        with lab.started(ThreeHypervisors(), controller) as network:
            print(f"    up after {time.monotonic() - begin:.1f} s")
            tell(network, controller, table)
            complete = True
    except (Unexpected, ApiError, CommandFailed, NotReady, OSError, KeyError) as error:
        print(f"\ndemo: {type(error).__name__}: {error}", flush=True)
    good = table.show() and complete
    if good:
        print(f"All as expected, in {time.monotonic() - begin:.0f} s.")
        return 0
    print(f"NOT as expected. The controller's last words:\n{controller.last_words(40)}")
    return 1


def main() -> int:
    parser = argparse.ArgumentParser(description="Two tenants on three hypervisors.")
    parser.add_argument("--verbose", action="store_true", help="show Mininet's progress")
    chosen = parser.parse_args()
    if not sandbox.inside():
        return sandbox.main(["run", "--", sys.executable, *sys.argv])
    try:
        return demonstrate(chosen.verbose)
    except (KeyboardInterrupt, subprocess.TimeoutExpired) as error:
        print(f"demo: {type(error).__name__}", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
