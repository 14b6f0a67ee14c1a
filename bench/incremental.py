"""incremental: what one more port costs inside the controller, however many there are already.

Owns the site of the measurement: networks of 50 ports on 10 chassis each, made by transactions of
the real store and compiled by the real engine with all features; no switch, no disk. Each size
runs in a process of its own, so that its memory is its own.
"""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if __name__ == "__main__":
    sys.path[0] = str(ROOT)

from bench.report import Section, Spread, number  # noqa: E402
from controller.model.addresses import mac_of  # noqa: E402
from controller.model.resources import (  # noqa: E402
    Chassis, FixedIp, Interface, Network, Port,
)
from controller.reconciliation.engine import Engine  # noqa: E402
from controller.reconciliation.feature import Feature  # noqa: E402
from controller.store.store import Store, Transaction  # noqa: E402

PORTS, SPREAD = 50, 10
"""Ports of a network, and chassis that hold it."""

SIZES = (1_000, 10_000, 100_000)
SAMPLES = 40


class Site:
    """`ports` ports in networks of 50, each network on 10 of `ports / 100` chassis (at least 10).

    Chassis overlap: each holds the ports of several networks, as hypervisors do.
    """

    def __init__(self, features: Sequence[Feature], ports: int) -> None:
        self.networks = ports // PORTS
        self.chassis = max(SPREAD, ports // 100)
        self.store, self.engine = Store(), Engine(features)
        self._plugged: Counter[str] = Counter()
        self.store.watch(self.engine.advance)
        self.store.transact(self._add_chassis)
        self.store.transact(self._add_networks)

    def fill(self) -> None:
        """Add all ports, a network at a time, as bulk requests do."""
        for network in range(self.networks):
            self.store.transact(lambda draft: self._add_ports(draft, network))

    def _add_chassis(self, draft: Transaction) -> None:
        for number_ in range(self.chassis):
            key = draft.numbers.take("chassis")
            draft.put(Chassis(
                id=f"c{number_}", key=key, hostname=f"h{number_}",
                encap_ip=IPv4Address("172.16.0.0") + key, datapath_id=key,
                tunnel_ports=(("vxlan", 60001),)))

    def _add_networks(self, draft: Transaction) -> None:
        for number_ in range(self.networks):
            key = draft.numbers.take("network")
            draft.put(Network(id=f"n{number_}", project_id="p", key=key, network_type="vxlan",
                              segmentation_id=draft.numbers.take("segment"), mtu=1450))

    def _add_ports(self, draft: Transaction, network: int) -> None:
        for port in range(PORTS):
            self.add(draft, network, port)

    def chassis_of(self, network: int, port: int) -> int:
        return (network * SPREAD // 2 + port % SPREAD) % self.chassis

    def add(self, draft: Transaction, network: int, port: int) -> None:
        """One port, created and plugged."""
        key, id = draft.numbers.take("port"), f"p{network}-{port}"
        chassis = f"c{self.chassis_of(network, port)}"
        self._plugged[chassis] += 1  # Never twice the same OpenFlow port on one chassis.
        draft.put(Interface(id=f"{chassis}/{id}", chassis_id=chassis, name=id, iface_id=id,
                            ofport=self._plugged[chassis], seen=draft.numbers.take("sighting")))
        draft.put(Port(
            id=id, project_id="p", network_id=f"n{network}", key=key,
            mac=mac_of(0xFA163E000000 + port), port_security_enabled=True,
            fixed_ips=(FixedIp(f"s{network}", IPv4Address("10.0.0.2") + port),)))

    def remove(self, draft: Transaction, network: int, port: int) -> None:
        id = f"p{network}-{port}"
        draft.delete(Interface, f"c{self.chassis_of(network, port)}/{id}")
        draft.delete(Port, id)

    @property
    def counts(self) -> tuple[int, int]:
        """Units that were run, and rules that changed, since the beginning."""
        return self.engine.units_run, self.engine.linker.changes

    def one_more(self, network: int) -> tuple[tuple[int, int], float]:
        """Add a 51st port to a network: (units re-run, rules changed), seconds of this process."""
        units, changes = self.counts
        begin = time.process_time()
        self.store.transact(lambda draft: self.add(draft, network, PORTS))
        took = time.process_time() - begin
        return (self.counts[0] - units, self.counts[1] - changes), took

    def one_less(self, network: int) -> tuple[int, int]:
        """Take the 51st port away again."""
        units, changes = self.counts
        self.store.transact(lambda draft: self.remove(draft, network, PORTS))
        return self.counts[0] - units, self.counts[1] - changes


@dataclass(frozen=True, slots=True)
class Seen:
    """What one size showed. `added` and `removed` are all different (units, rules) pairs."""

    ports: int
    rules: int
    fill: float
    memory: int
    added: list[list[int]]
    removed: list[list[int]]
    times: list[float]
    faults: int


def measure(features: Sequence[Feature], ports: int, samples: int = SAMPLES) -> Seen:
    """Fill a site, then add a port and take it away again, in one network after another."""
    before = resident()
    site = Site(features, ports)
    gc.disable()
    begin = time.process_time()
    site.fill()
    fill = time.process_time() - begin
    gc.enable()
    memory = resident() - before
    added, removed, times = set(), set(), []
    for sample in range(samples):
        network = sample * site.networks // samples
        counts, took = site.one_more(network)
        added.add(counts)
        times.append(took)
        removed.add(site.one_less(network))
    linker = site.engine.linker
    return Seen(ports, sum(map(len, linker.tables.values())), fill, memory,
                sorted(map(list, added)), sorted(map(list, removed)), times,
                len(linker.objections) + len(linker.conflicts))


def resident() -> int:
    """This process' memory in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise OSError("the kernel does not say how much memory we use")


def run(section: Section) -> None:
    section.note(
        f"Networks of {PORTS} ports on {SPREAD} chassis each. Times are CPU time of the process, "
        "from the transaction to the new desired state of every chassis concerned. Python's "
        "garbage collector is off while the site is filled, and on for what is measured after.")
    results = []
    for ports in SIZES:
        section.progress(f"{ports} ports ...")
        done = subprocess.run([sys.executable, __file__, str(ports)], capture_output=True,
                              text=True, timeout=600)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip()[-2000:])
        seen = Seen(**json.loads(done.stdout))
        results.append(seen)
        section.tell(f"{ports} ports: compiled from nothing",
                     f"{seen.fill:.1f} s, {number(seen.ports / seen.fill)} ports/s, "
                     f"{seen.rules} rules")
        section.tell(f"{ports} ports: memory for each",
                     f"{seen.memory / seen.ports / 1024:.1f} KiB")
        section.tell(f"{ports} ports: one more", Spread(
            tuple(1000 * took for took in seen.times), "ms"))
        section.equal(f"{ports} ports: objections and conflicts", seen.faults, 0)
    small = results[0]
    for seen in results[1:]:
        for verb, here, there in (("more", seen.added, small.added),
                                  ("less", seen.removed, small.removed)):
            section.equal(f"{seen.ports} ports, one {verb}: units re-run, rules changed",
                          spoken(here), spoken(there), f"as at {small.ports}")
        ratio = Spread(tuple(seen.times), "").median / Spread(tuple(small.times), "").median
        section.tell(f"{seen.ports} ports, one more: time against {small.ports}",
                     f"{ratio:.2f} times")


def spoken(counts: Sequence[Sequence[int]]) -> str:
    return " or ".join(f"{units} and {rules}" for units, rules in counts)


if __name__ == "__main__":
    from controller.testing.features import load_features

    print(json.dumps(asdict(measure(load_features(), int(sys.argv[1])))))
