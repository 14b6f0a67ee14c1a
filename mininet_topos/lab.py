"""Bring up a topology: what every topology file does when it is run by itself.

    three_hypervisors.py            the lab with Mininet's CLI
    three_hypervisors.py --test     bring it up, check it, tear it down
    three_hypervisors.py --remote   use the controller that already runs at 127.0.0.1

Outside a sandbox it first moves into one.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import sandbox
from cli import LabCLI
from hypervisor import Hypervisor
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.topo import Topo
from nodes import CommandFailed
from tenet_controller import NotReady, SafeRemoteController, TenetController


HINTS = """
In a second terminal:  ./run shell        and there: openstack port create --network ... web
At this prompt:        plug vm1 hv1 web   (then: vm1 ping 10.0.0.2, move vm1 hv2, unplug vm1)
"""


def hypervisors(network: Mininet) -> list[Hypervisor]:
    return [switch for switch in network.switches if isinstance(switch, Hypervisor)]


@contextlib.contextmanager
def started(topo: Topo, controller: object = TenetController) -> Iterator[Mininet]:
    """A running lab, stopped at the end whatever happens."""
    # Mininet would raise limits of the whole machine; open files are the one that matters.
    Mininet.inited = True
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 16384)), hard))
    network = Mininet(topo=topo, controller=controller, build=False)
    try:
        network.build()
        network.start()
        yield network
    finally:
        network.stop()


def underlay_failures(network: Mininet) -> list[str]:
    """Pairs of hypervisors whose underlay addresses do not reach each other."""
    pings = {
        (source, target): source.popen("ping", "-c1", "-W3", target.underlay_address)
        for source in hypervisors(network)
        for target in hypervisors(network)
        if source is not target
    }
    for ping in pings.values():
        ping.communicate()
    return [f"{s} does not reach {t}" for (s, t), ping in pings.items() if ping.returncode]


def joining_failures(network: Mininet, timeout: float = 20) -> list[str]:
    """Hypervisors that have no br-int connected to the controller in time."""
    deadline = time.monotonic() + timeout
    waiting = hypervisors(network)
    while waiting and time.monotonic() < deadline:
        waiting = [hypervisor for hypervisor in waiting if not hypervisor.connected()]
        time.sleep(0.05)
    return [f"{hypervisor} has not joined after {timeout:g} s" for hypervisor in waiting]


def main(topo: Topo, drawing: str | None) -> int:
    parser = argparse.ArgumentParser(description=(drawing or "").split("\n")[0])
    parser.add_argument("--test", action="store_true", help="check the lab, then stop it")
    parser.add_argument("--remote", action="store_true", help="use a controller that runs here")
    chosen = parser.parse_args()
    if not sandbox.inside():
        command = [sys.executable, *map(str, [Path(sys.argv[0]).resolve(), *sys.argv[1:]])]
        return sandbox.main(["run", "--", *command])
    setLogLevel("info")
    print(drawing)
    controller = SafeRemoteController if chosen.remote else TenetController
    begin = time.monotonic()
    try:
        with started(topo, controller) as network:
            print(f"*** Up in {time.monotonic() - begin:.1f} s")
            if not chosen.test:
                print(HINTS)
                LabCLI(network)
                return 0
            failures = underlay_failures(network) + joining_failures(network)
            print(*failures, "The lab works." if not failures else "", sep="\n")
            return 1 if failures else 0
    except (CommandFailed, NotReady) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
