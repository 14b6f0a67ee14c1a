"""bulk: 1,000 ports of 20 networks on three hypervisors, and what one more costs later.

The interfaces are internal ports of Open vSwitch: nobody needs 1,000 machines to count rules. What
ovs-vswitchd needs to make as many interfaces without Tenet is measured beside it, on a bridge
that has no controller, since nobody can be faster than that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.laboratory import Laboratory, TenantNetwork, laboratory, wait_until
from bench.report import Section, Spread
from hypervisor import Hypervisor

NETWORKS, PORTS = 20, 50
LIMIT, RULES = 4, 5000
SMALL, LARGE = 100, 4000
ONE_MORE, RATIO = 60, 1.5
SAMPLES = 21
BARE = "br-bare"


def run(section: Section) -> None:
    section.note(
        f"{NETWORKS * PORTS} ports of {NETWORKS} networks, {PORTS} in a request, requests one "
        "after another; then a third of each network's ports is plugged into each hypervisor, "
        "all hypervisors at once, one `ovs-vsctl` each. The time runs from the first request to "
        "the moment when the API shows all ports ACTIVE. \"Without Tenet\" is the same "
        "`ovs-vsctl` on a bridge without a controller; it is part of the time above.")
    with laboratory("bulk") as lab:
        tenants: list[TenantNetwork] = []
        grow(lab, tenants, SMALL)
        small = tell_one_more(section, SMALL, one_more(lab, tenants))
    with laboratory("bulk") as lab:
        bare = plug_bare(lab)
        tenants = all_at_once(section, lab, bare)
        section.progress(f"up to {LARGE} ports ...")
        grow(lab, tenants, LARGE)
        large = tell_one_more(section, LARGE, one_more(lab, tenants))
    section.at_most(f"one more at {LARGE} ports against {SMALL}", large.median / small.median,
                    RATIO, "times")


def at_once(hypervisors: Sequence[Hypervisor], work: Callable[[Hypervisor], object]) -> None:
    """Do the same on several hypervisors at the same time."""
    threads = [threading.Thread(target=work, args=(one,)) for one in hypervisors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def plug_bare(lab: Laboratory) -> float:
    """What the interfaces alone take: seconds."""
    count = NETWORKS * PORTS // len(lab.hypervisors) + 1

    def plug(one: Hypervisor) -> None:
        names = [f"bare{number}" for number in range(count)]
        command = [word for name in names
                   for word in ("--", "add-port", BARE, name, "--", "set", "interface", name,
                                "type=internal", f"external_ids:attached-mac={name}")]
        one.vsctl("--timeout=60", *command[1:])
    for one in lab.hypervisors:
        one.vsctl("add-br", BARE, "--", "set", "bridge", BARE, f"datapath_type={one.datapath}",
                  "fail_mode=secure")
    begin = time.monotonic()
    at_once(lab.hypervisors, plug)
    took = time.monotonic() - begin
    at_once(lab.hypervisors, lambda one: one.vsctl("del-br", BARE))
    return took


def create(tenants: Sequence[TenantNetwork]) -> list[list[tuple[str, str]]]:
    """A port request for each network: (port, MAC), by network."""
    return [[(port["id"], port["mac_address"])
             for port in tenant.create_ports(range(100, 100 + PORTS))] for tenant in tenants]


def plug(lab: Laboratory, ports: Sequence[Sequence[tuple[str, str]]]) -> None:
    """A third of each network's ports on each hypervisor."""
    count = len(lab.hypervisors)

    def mine(one: Hypervisor) -> None:
        index = lab.hypervisors.index(one)
        one.plug_many([port for number, network in enumerate(ports)
                       for port in network[(index + number) % count::count]])
    at_once(lab.hypervisors, mine)


def all_at_once(section: Section, lab: Laboratory, bare: float
                ) -> list[TenantNetwork]:
    tenants = [lab.network_of(lab.admin) for _ in range(NETWORKS)]
    begin = time.monotonic()
    ports = create(tenants)
    created = time.monotonic()
    plug(lab, ports)
    plugged = time.monotonic()
    lab.await_active(lab.admin, NETWORKS * PORTS, pause=0.05)
    done = time.monotonic()
    section.at_most("1,000 ports: until all are ACTIVE", done - begin, LIMIT, "s")
    section.tell("of that, until the API had answered all", f"{created - begin:.2f} s")
    section.tell("then until the last ovs-vsctl had ended", f"{plugged - created:.2f} s")
    section.tell("then until the last port was ACTIVE", f"{done - plugged:.2f} s")
    section.tell("the same interfaces without Tenet", f"{bare:.2f} s")
    section.at_most("rules on the fullest hypervisor", max(lab.rules().values()), RULES)
    return tenants


@dataclass(frozen=True, slots=True)
class Sample:
    """Milliseconds from the request until the port was ACTIVE and until the API answered; `bare`
    is how long ovs-vswitchd takes for an interface with which Tenet has nothing to do."""

    active: float
    answered: float
    bare: float


def grow(lab: Laboratory, tenants: list[TenantNetwork], ports: int) -> None:
    """More networks of plugged ports, until there are so many."""
    more = [lab.network_of(lab.admin) for _ in range(ports // PORTS - len(tenants))]
    plug(lab, create(more))
    tenants += more
    lab.await_active(lab.admin, ports, timeout=120, pause=0.3)
    wait_until(lambda: not any(one["pending"] for one in lab.admin.status()["switches"]), 30,
               "all switches up to date")


def one_more(lab: Laboratory, tenants: Sequence[TenantNetwork]) -> list[Sample]:
    """Samples of one more port, in one network and on one hypervisor after another."""
    for one in lab.hypervisors:
        one.vsctl("--may-exist", "add-br", BARE, "--", "set", "bridge", BARE,
                  f"datapath_type={one.datapath}", "fail_mode=secure")
    samples = [one_port(lab, tenants[i % len(tenants)], lab.hypervisors[i % 3], f"one{i}")
               for i in range(SAMPLES)]
    return samples[len(lab.hypervisors):]  # The first on each only warms caches.


def one_port(lab: Laboratory, tenant: TenantNetwork, home: Hypervisor, name: str) -> Sample:
    database = lab.databases[home.name]
    begin = time.monotonic()
    database.add_interface(f"{name}b", bridge=BARE)
    wait_until(lambda: database.opened(f"{name}b"), 10, "a bare interface", 0.001)
    bare = time.monotonic() - begin
    database.remove_interface(f"{name}b", BARE)
    time.sleep(0.1)

    begin = time.monotonic()
    port = tenant.api.create("port", **tenant.request(9))
    answered = time.monotonic()
    database.add_interface(name, port["id"])
    path = f"/v2.0/ports/{port['id']}?fields=status"
    wait_until(lambda: tenant.api.call("GET", path)["port"]["status"] == "ACTIVE", 20,
               "one more port ACTIVE", 0.002)
    active = time.monotonic()
    database.remove_interface(name)
    tenant.api.delete("port", port["id"], wait="realised")
    time.sleep(0.1)
    return Sample(1000 * (active - begin), 1000 * (answered - begin), 1000 * bare)


def tell_one_more(section: Section, count: int, samples: Sequence[Sample]) -> Spread:
    active = Spread(tuple(sample.active for sample in samples), "ms")
    what = f"one more at {count} ports"
    if count == SMALL:
        section.tell(f"{what}: until it is ACTIVE", active)
    else:
        section.at_most(f"{what}: until it is ACTIVE", active, ONE_MORE, "ms")
    section.tell(f"{what}: of that, until the API answered",
                 Spread(tuple(sample.answered for sample in samples), "ms"))
    section.tell(f"{what}: an interface alone, without Tenet",
                 Spread(tuple(sample.bare for sample in samples), "ms"))
    return active
