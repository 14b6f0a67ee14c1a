"""Each topology with the real controller, by itself and through `mn`, in a sandbox of its own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.integration.system import ROOT

pytestmark = pytest.mark.root

TOPOS = ROOT / "mininet_topos"
NAMES = ["one_hypervisor", "three_hypervisors", "leaf_spine"]
PINGS = """
import sys, time
sys.path.insert(0, {topos!r})
import lab
from api import Api
from leaf_spine import LeafSpine
from nodes import VirtualMachine
from tenants import Guest, Tenant
from tenet_controller import TenetController
from witness import Eyewitness, answered

controller = TenetController("c0")
with lab.started(LeafSpine(), controller) as network:
    assert lab.joining_failures(network) == []
    tenant = Tenant.create(Api.from_clouds(controller.clouds), "red")
    witnesses = {{}}
    for number, home in enumerate(lab.hypervisors(network), 1):
        port, = tenant.create_ports([number])
        vm = network.addHost(f"red{{number}}", cls=VirtualMachine)
        home.plug(vm, port["id"], port["mac_address"], f"10.0.0.1{{number}}/24")
        tenant.guests[number] = Guest(vm, port, home)
        witnesses[vm] = Eyewitness.in_guest(vm)
    deadline = time.monotonic() + 10
    while any(port["status"] != "ACTIVE" for port in tenant.api.find("port")):
        assert time.monotonic() < deadline
    print(f"answered: {{len(answered(witnesses, tenant.pairs))}} of {{len(tenant.pairs)}}")
"""


def start(*command: str) -> subprocess.Popen[str]:
    """Start it in namespaces of its own, whichever we are in; nothing of it stays."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("TENET_SANDBOX", "TENET_LAB_DIR")}
    return subprocess.Popen(
        ["/usr/bin/python3", str(TOPOS / "sandbox.py"), "run", "--", *command],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment)


def finish(process: subprocess.Popen[str]) -> str:
    """What it said; it must have ended well."""
    try:
        said = process.communicate(timeout=100)[0]
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    return said


def test_topologies_by_themselves() -> None:
    running = [start("/usr/bin/python3", str(TOPOS / f"{name}.py"), "--test") for name in NAMES]
    for said in map(finish, running):
        assert "The lab works." in said


def test_topologies_through_mn() -> None:
    running = [start("mn", "--custom", str(TOPOS / f"{name}.py"), "--topo", name,
                     "--controller", "tenet", "--test", "none") for name in NAMES]
    for name, said in zip(NAMES, map(finish, running), strict=True):
        assert "*** Starting controller" in said and "completed in" in said, name


def test_every_hypervisor_of_a_routed_fabric_reaches_every_other() -> None:
    said = finish(start(sys.executable, "-c", PINGS.format(topos=str(TOPOS))))
    assert "answered: 30 of 30" in said
