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

from bench.flows import Bridge
from bench.laboratory import Database, Laboratory, TenantNetwork, laboratory, wait_until
from bench.report import Section, Spread
from hypervisor import Hypervisor

NETWORKS, PORTS = 20, 50
LIMIT, RULES = 4, 5000
SMALL, LARGE = 100, 4000
ONE_MORE, RATIO = 60, 1.5
SAMPLES = 18
BARE = "br-bare"


def run(section: Section) -> None:
    section.note(
        f"{NETWORKS * PORTS} ports of {NETWORKS} networks, {PORTS} in a request, requests one "
        "after another; then a third of each network's ports is plugged into each hypervisor, "
        "all hypervisors at once, one `ovs-vsctl` each. The time runs from the first request to "
        "the moment when the API shows all ports ACTIVE. \"Without Tenet\" is the same "
        "`ovs-vsctl` on a bridge without a controller; it is part of the time above.")
    section.note(
        "One more port is measured twice. Its limit is on the call that switches on a port whose "
        "interface is plugged already, answered when all switches have confirmed the rules "
        "(`?wait=realised`): that is what Tenet does. Creating and plugging it until it is ACTIVE "
        "is shown with what ovs-vswitchd alone needs to open one more interface and confirm one "
        "rule. Beside both stands what Open vSwitch needs by itself: the userspace datapath looks "
        "at every interface whenever its main thread wakes, which Tenet can only wait for.")
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
    """Milliseconds: `enabled` for a port whose interface is there already, from the request that
    switches it on until its rules are confirmed; `created` from the request that creates a port,
    over plugging its interface, until it is ACTIVE. With which Tenet has nothing to do: `flows`
    until all hypervisors have confirmed ten rules each, in a bundle; `bare` until ovs-vswitchd
    has an interface and confirms one rule."""

    enabled: float
    created: float
    flows: float
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
    return samples[len(lab.hypervisors):]  # The first on each only warm caches.


def one_port(lab: Laboratory, tenant: TenantNetwork, home: Hypervisor, name: str) -> Sample:
    database = lab.databases[home.name]
    bare = plug_one_bare(database, home, f"{name}b")
    time.sleep(0.3)  # Whatever an interface leaves ovs-vswitchd to do is not part of the next.

    begin = time.monotonic()
    port = tenant.api.create("port", **tenant.request(9))
    database.add_interface(name, port["id"])
    path = f"/v2.0/ports/{port['id']}?fields=status"
    wait_until(lambda: tenant.api.call("GET", path)["port"]["status"] == "ACTIVE", 20,
               "one more port ACTIVE", 0.002)
    created = time.monotonic() - begin

    tenant.api.update("port", port["id"], admin_state_up=False, wait="realised")
    time.sleep(0.3)
    begin = time.monotonic()
    tenant.api.update("port", port["id"], admin_state_up=True, wait="realised")
    enabled = time.monotonic() - begin
    database.remove_interface(name)
    tenant.api.delete("port", port["id"], wait="realised")
    time.sleep(0.3)
    bridges = {one: Bridge(one, BARE) for one in lab.hypervisors}
    begin = time.monotonic()
    at_once(lab.hypervisors, lambda one: bridges[one].add(10))
    flows = time.monotonic() - begin
    for bridge in bridges.values():
        bridge.close()
    return Sample(1000 * enabled, 1000 * created, 1000 * flows, 1000 * bare)


def plug_one_bare(database: Database, home: Hypervisor, name: str) -> float:
    bridge = Bridge(home, BARE)
    begin = time.monotonic()
    database.add_interface(name, bridge=BARE)
    wait_until(lambda: database.opened(name), 10, "a bare interface", 0.001)
    bridge.add(1)
    took = time.monotonic() - begin
    bridge.close()
    database.remove_interface(name, BARE)
    return took


def tell_one_more(section: Section, count: int, samples: Sequence[Sample]) -> Spread:
    enabled = Spread(tuple(sample.enabled for sample in samples), "ms")
    section.at_most(f"one more at {count} ports: API call until its rules are confirmed", enabled,
                    ONE_MORE, "ms")
    section.tell(f"one more at {count} ports: ten rules on each hypervisor, without Tenet",
                 Spread(tuple(sample.flows for sample in samples), "ms"))
    section.tell(f"one more at {count} ports: created, plugged, ACTIVE",
                 Spread(tuple(sample.created for sample in samples), "ms"))
    section.tell(f"one more at {count} ports: interface and one rule without Tenet",
                 Spread(tuple(sample.bare for sample in samples), "ms"))
    return enabled
