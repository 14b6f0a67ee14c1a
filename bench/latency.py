"""port_latency: from asking for a port to the first answered ping of its machine.

The machine is plugged into br-int and up before; the other side has pinged it every 2 ms all the
time, with fixed neighbour entries on both sides. Since the API gives a port its id, the interface
is labelled with it as soon as the answer is there: that one OVSDB write is part of the time.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench.laboratory import Broken, Guest, Laboratory, TenantNetwork, laboratory, wait_until
from bench.report import Section, Spread
from hypervisor import Hypervisor

SAMPLES = 21
LIMIT = 20
PACE = 0.002
PROBER = Path(__file__).with_name("prober.py")
CROWD = 300


@dataclass(frozen=True, slots=True)
class Sample:
    """Milliseconds since the request was sent."""

    answered: float
    labelled: float
    pinged: float


class Meeting:
    """A guest that pings, and one that gets its port again and again."""

    def __init__(self, lab: Laboratory, tenant: TenantNetwork, source: Guest,
                 home: Hypervisor, number: int) -> None:
        self.lab, self.tenant, self.source = lab, tenant, source
        self.target = lab.machine(home, number, tenant.mtu)
        self.database = lab.databases[home.name]
        source.knows(self.target)
        self.target.knows(source)

    def sample(self, chance: random.Random) -> Sample:
        prober = self._start_prober()
        try:
            # Anywhere between two pings, and with the answer "no such MAC" well cached.
            time.sleep(0.05 + chance.random() * PACE)
            begin = time.monotonic()
            port = self.tenant.api.create("port", **self.tenant.request(self.target.number))
            answered = time.monotonic()
            self.database.label(self.target.interface, port["id"])
            labelled = time.monotonic()
            said, _ = prober.communicate(timeout=20)
        finally:
            prober.kill()
            prober.wait()
        if said.strip() == "None":
            raise Broken(f"no ping was answered:\n{self.lab.controller.last_words()}")
        self._take_away(port["id"])
        return Sample(1000 * (answered - begin), 1000 * (labelled - begin),
                      1000 * (float(said) - begin))

    def _start_prober(self) -> subprocess.Popen[str]:
        prober = subprocess.Popen(
            ["mnexec", "-a", str(self.source.vm.pid), sys.executable, "-IS", str(PROBER),
             self.target.address, str(PACE), "10"], stdout=subprocess.PIPE, text=True)
        assert prober.stdout is not None
        if prober.stdout.readline().strip() != "ready":
            raise Broken("the prober did not start")
        return prober

    def _take_away(self, port_id: str) -> None:
        """Back to the state before; it must not be answered any more."""
        self.tenant.api.delete("port", port_id, wait="realised")
        self.database.label(self.target.interface, None)


def run(section: Section) -> None:
    section.note(
        "The interface of the machine is in br-int and up before the request, without a port; the "
        "time includes the OVSDB write that labels it with the id from the API's answer. HTTP over "
        "one connection that stays open. Pings every 2 ms from a guest of the network.")
    chance = random.Random(2)
    with laboratory("latency") as lab:
        first, second, _ = lab.hypervisors
        tenant = lab.tenant("red")
        [source] = lab.guests(tenant, [first])
        meetings = {"same hypervisor": Meeting(lab, tenant, source, first, 12),
                    "across": Meeting(lab, tenant, source, second, 13)}
        measure(section, meetings, "empty network", chance)
        section.progress(f"{CROWD} more ports ...")
        crowd(lab, tenant)
        measure(section, meetings, f"{CROWD} ports in it", chance)


def measure(section: Section, meetings: dict[str, Meeting], when: str,
            chance: random.Random) -> None:
    """Samples of all meetings in turn."""
    samples: dict[str, list[Sample]] = {name: [] for name in meetings}
    for _ in range(SAMPLES):
        for name, meeting in meetings.items():
            samples[name].append(meeting.sample(chance))
    for name, seen in samples.items():
        what = f"{when}, {name}"
        section.at_most(f"{what}: first answered ping",
                        Spread(tuple(one.pinged for one in seen), "ms"), LIMIT, "ms")
        section.tell(f"{what}: of that, until the API answered",
                     Spread(tuple(one.answered for one in seen), "ms"))
        section.tell(f"{what}: then the label in OVSDB",
                     Spread(tuple(one.labelled - one.answered for one in seen), "ms"))
        section.tell(f"{what}: then rules on the switches, and the ping",
                     Spread(tuple(one.pinged - one.labelled for one in seen), "ms"))


def crowd(lab: Laboratory, tenant: TenantNetwork) -> None:
    """Ports of the same network, plugged in on all hypervisors."""
    ports = tenant.create_ports(range(1000, 1000 + CROWD))
    for index, hypervisor in enumerate(lab.hypervisors):
        part = ports[index::len(lab.hypervisors)]
        hypervisor.plug_many([(port["id"], port["mac_address"]) for port in part])
    lab.await_active(tenant.api, CROWD + 1, pause=0.2, network_id=tenant.id)
    wait_until(lambda: not any(one["pending"] for one in lab.admin.status()["switches"]), 20,
               "all switches up to date")
