"""The OVSDB listener with Open vSwitch's own daemons: joining, watching, repairing."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.southbound.chassis_facts import ChassisFact
from controller.southbound.ovsdb.desired import datapath_id_of
from tests.listening import ListeningThread

pytestmark = pytest.mark.root

SYSTEM_ID = "9b3d1c0e-6a53-4b8e-8b0e-0d6c5f3f2a11"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


def wait_for(what: Callable[[], object], seconds: float = 10.0) -> float:
    """Seconds until it is true."""
    start = time.monotonic()
    while not what():
        assert time.monotonic() < start + seconds, "waited in vain"
        time.sleep(0.005)
    return time.monotonic() - start


class OpenVSwitch:
    """ovsdb-server and ovs-vswitchd of our own, in user space."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.environment = {**os.environ, "OVS_RUNDIR": str(directory),
                            "OVS_LOGDIR": str(directory), "OVS_DBDIR": str(directory)}
        database = str(directory / "conf.db")
        subprocess.run(["ovsdb-tool", "create", database, SCHEMA], check=True)
        self.socket = f"unix:{directory}/db.sock"
        self._start("ovsdb-server", database, f"--remote=p{self.socket}",
                    "--remote=db:Open_vSwitch,Open_vSwitch,manager_options")
        wait_for((directory / "db.sock").exists)
        self.vsctl("--no-wait", "init")
        self.vsctl("--no-wait", "set", "Open_vSwitch", ".", "ovs_version=3.1.0")
        self.start_vswitchd()

    def _start(self, name: str, *arguments: str) -> None:
        with open(self.directory / f"{name}.out", "ab") as output:
            self.processes[name] = subprocess.Popen(
                [name, f"--unixctl={self.directory}/{name}.ctl", *arguments],
                env=self.environment, stdout=output, stderr=output)

    def start_vswitchd(self) -> None:
        self._start("ovs-vswitchd", self.socket)

    def end(self, name: str, how: int = signal.SIGTERM) -> None:
        process = self.processes.pop(name)
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        process.wait(10)

    def vsctl(self, *arguments: str) -> str:
        return subprocess.run(
            ["ovs-vsctl", f"--db={self.socket}", "--timeout=20", *arguments], check=True,
            env=self.environment, capture_output=True, text=True, timeout=30).stdout.strip()

    def row(self, table: str, record: str, *columns: str) -> dict[str, object]:
        said = json.loads(self.vsctl("--format=json", f"--columns={','.join(columns)}", "list",
                                     table, record))
        return dict(zip(said["headings"], said["data"][0]))

    def join(self, port: int, *external_ids: str) -> None:
        ids = external_ids or ("tenet-encap-ip=127.0.0.1",)
        self.vsctl("--no-wait", "set-manager", f"tcp:127.0.0.1:{port}",
                   "--", "set", "Open_vSwitch", ".", f"external_ids:system-id={SYSTEM_ID}",
                   "external_ids:hostname=hv1", "external_ids:tenet-datapath-type=netdev",
                   *(f"external_ids:{pair}" for pair in ids))

    @staticmethod
    def plugging(name: str, port_id: str, *more: str) -> list[str]:
        return ["--", "add-port", "br-int", name, "--", "set", "interface", name, "type=internal",
                f"external_ids:iface-id={port_id}", *more]


class Controller(ListeningThread):
    """A listener in a thread of its own, what it told and what it logged."""

    def __init__(self) -> None:
        logging.getLogger("controller.southbound.ovsdb").setLevel(logging.INFO)
        self.cpu: list[float] = []
        super().__init__()

    def logged(self, words: str) -> list[str]:
        """What follows those words in the lines that have them."""
        return [line.partition(words)[2] for line in self.log if words in line]

    def repaired(self) -> list[str]:
        return self.logged("repaired: ")

    @property
    def last(self) -> ChassisFact:
        return self.facts[-1]

    def ready(self, *encap_types: str) -> bool:
        return bool(self.facts) and self.last.datapath_id is not None and (
            tuple(encap for encap, _ in self.last.tunnel_ofports) == encap_types)

    def ofports(self) -> dict[str, int | None]:
        return {interface.iface_id: interface.ofport for interface in self.last.interfaces}


@pytest.fixture
def switch() -> Iterator[OpenVSwitch]:
    directory = Path("/run/tenet-ovs")  # A socket's path has to be short.
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    switch = OpenVSwitch(directory)
    try:
        yield switch
    finally:
        for name in reversed(list(switch.processes)):
            switch.end(name)
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def controller() -> Iterator[Controller]:
    controller = Controller()
    try:
        yield controller
    finally:
        controller.stop()


@pytest.fixture
def joined(switch: OpenVSwitch, controller: Controller) -> OpenVSwitch:
    switch.join(controller.listener.port)
    wait_for(lambda: controller.ready("vxlan"))
    return switch


def test_joining_makes_the_bridge(
    joined: OpenVSwitch, controller: Controller
) -> None:
    bridge = joined.row("bridge", "br-int", "fail_mode", "datapath_type", "datapath_id",
                        "other_config")
    assert bridge["fail_mode"] == "secure"
    assert bridge["datapath_type"] == "netdev"
    assert int(str(bridge["datapath_id"]), 16) == datapath_id_of(SYSTEM_ID)
    assert ["disable-in-band", "true"] in bridge["other_config"][1]
    assert joined.vsctl("get-controller", "br-int") == "tcp:127.0.0.1:6653"
    assert joined.vsctl("list-ports", "br-int") == "tenet-vxlan"
    assert joined.row("interface", "tenet-vxlan", "type", "options", "ofport", "error") == {
        "type": "vxlan", "ofport": 65000, "error": ["set", []],
        "options": ["map", [["csum", "false"], ["key", "flow"], ["local_ip", "127.0.0.1"],
                            ["remote_ip", "flow"]]]}
    fact = controller.last
    assert (fact.system_id, fact.hostname, fact.encap_ip, fact.encap_types) == (
        SYSTEM_ID, "hv1", "127.0.0.1", ("vxlan",))
    assert fact.datapath_id == datapath_id_of(SYSTEM_ID)
    assert fact.tunnel_ofports == (("vxlan", 65000),)
    assert fact.problems == () and fact.interfaces == ()
    assert controller.repaired() == []
    assert controller.logged("set up ") == ["br-int, tenet-vxlan"]


def test_all_encapsulations_at_once_and_later_fewer(
    switch: OpenVSwitch, controller: Controller
) -> None:
    switch.join(controller.listener.port, "tenet-encap-ip=127.0.0.1",
                'tenet-encap-type="geneve,gre,vxlan"', "tenet-bridge-mappings=public:br-ex")
    wait_for(lambda: controller.ready("vxlan", "geneve", "gre"))
    assert controller.last.encap_types == ("geneve", "gre", "vxlan")
    assert controller.last.bridge_mappings == (("public", "br-ex"),)
    switch.vsctl("set", "Open_vSwitch", ".", "external_ids:tenet-encap-type=geneve")
    wait_for(lambda: controller.ready("geneve"))
    assert switch.vsctl("list-ports", "br-int") == "tenet-geneve"


@pytest.mark.parametrize(("damage", "said"), [
    (["del-port", "tenet-vxlan"], "tunnel port tenet-vxlan was missing"),
    (["del-controller", "br-int"], "the controller was unset"),
    (["set-controller", "br-int", "tcp:127.0.0.9:6653"],
     "the controller was 'tcp:127.0.0.9:6653'"),
    (["set-fail-mode", "br-int", "standalone"], "bridge br-int: fail_mode was 'standalone'"),
    (["del-fail-mode", "br-int"], "bridge br-int: fail_mode was unset"),
    (["set", "bridge", "br-int", "protocols=OpenFlow10"],
     "bridge br-int: OpenFlow13 was not among its protocols"),
    (["clear", "bridge", "br-int", "other_config"],
     "bridge br-int: other_config lacked datapath-id, disable-in-band"),
    (["set", "interface", "tenet-vxlan", "options:remote_ip=10.0.0.1"],
     "tunnel port tenet-vxlan: options was"),
    (["set", "interface", "tenet-vxlan", "type=gre"], "tunnel port tenet-vxlan: type was 'gre'"),
    (["set", "controller", "br-int", "inactivity_probe=0"],
     "the controller's inactivity_probe was 0"),
    (["del-br", "br-int"], "bridge br-int was missing"),
])
def test_damage_is_repaired_within_a_second(
    joined: OpenVSwitch, controller: Controller,
    damage: list[str], said: str,
) -> None:
    def configuration() -> list[object]:
        return [
            joined.row("bridge", "br-int", "name", "fail_mode", "datapath_type", "protocols",
                       "other_config"),
            joined.vsctl("get-controller", "br-int"), joined.vsctl("list-ports", "br-int"),
            joined.row("interface", "tenet-vxlan", "type", "options", "ofport")]

    joined.vsctl("set", "bridge", "br-int", "protocols=OpenFlow10,OpenFlow13")
    before = configuration()
    joined.vsctl("add-br", "br-other", "--", "set", "bridge", "br-other", "datapath_type=netdev",
                 "--", "add-port", "br-other", "own0", "--", "set", "interface", "own0",
                 "type=internal")
    other = joined.vsctl("--format=json", "list", "bridge", "br-other")
    joined.vsctl("--no-wait", *damage)
    assert wait_for(lambda: controller.repaired()) < 1
    assert controller.repaired()[0].startswith(said)
    wait_for(lambda: controller.ready("vxlan"))
    joined.vsctl("set", "Open_vSwitch", ".", "external_ids:waited=yes")  # vswitchd has caught up.
    wait_for(lambda: configuration() == before)
    assert joined.vsctl("--format=json", "list", "bridge", "br-other") == other


def test_interfaces_before_and_after_joining(
    switch: OpenVSwitch, controller: Controller
) -> None:
    """br-int may be there, with interfaces in it, before the controller first hears of it."""
    switch.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev",
                 *switch.plugging("tap0", "port-0",
                                  'external_ids:attached-mac="02:00:00:00:00:01"'))
    switch.join(controller.listener.port)
    wait_for(lambda: controller.ready("vxlan"))
    assert controller.ofports() == {"port-0": 1}
    assert controller.last.interfaces[0].attached_mac == "02:00:00:00:00:01"
    assert controller.facts[0].changes is None
    switch.vsctl(*switch.plugging("tap1", "port-1")[1:])
    wait_for(lambda: controller.ofports().get("port-1"))
    changes = controller.last.changes
    assert changes is not None and [seen.name for seen in changes.seen] == ["tap1"]
    switch.vsctl("del-port", "tap0")
    wait_for(lambda: "port-0" not in controller.ofports())
    assert controller.last.changes is not None and controller.last.changes.gone == ("tap0",)


def test_only_br_int_counts_and_only_with_an_iface_id(
    joined: OpenVSwitch, controller: Controller
) -> None:
    joined.vsctl("add-br", "br-ex", "--", "set", "bridge", "br-ex", "datapath_type=netdev",
                 "--", "add-port", "br-ex", "up0", "--", "set", "interface", "up0",
                 "type=internal", "external_ids:iface-id=elsewhere",
                 "--", "add-port", "br-int", "plain0", "--", "set", "interface", "plain0",
                 "type=internal", *joined.plugging("tap0", "port-0"))
    wait_for(lambda: controller.ofports().get("port-0"))
    assert list(controller.ofports()) == ["port-0"]
    joined.vsctl("set", "interface", "plain0", "external_ids:iface-id=late")
    wait_for(lambda: controller.ofports().get("late"))
    joined.vsctl("remove", "interface", "tap0", "external_ids", "iface-id")
    wait_for(lambda: list(controller.ofports()) == ["late"])


def test_one_iface_id_twice_is_told_twice_the_newer_one_last(
    joined: OpenVSwitch, controller: Controller
) -> None:
    for name in ("tap9", "tap1"):
        joined.vsctl(*joined.plugging(name, "port-0")[1:])
        wait_for(lambda: any(interface.name == name and interface.ofport
                             for interface in controller.last.interfaces))
    assert [interface.name for interface in controller.last.interfaces] == ["tap9", "tap1"]


def test_many_interfaces_at_once(joined: OpenVSwitch, controller: Controller) -> None:
    """333 in one transaction: a few facts, not hundreds."""
    told = len(controller.facts)
    command = [word for number in range(333)
               for word in joined.plugging(f"tap{number}", f"port-{number}")]
    joined.vsctl(*command[1:])
    wait_for(lambda: len([port for port in controller.ofports().values() if port]) == 333, 60)
    assert len(controller.facts) - told <= 10
    assert len(set(controller.ofports().values())) == 333


def test_vswitchd_restarts(joined: OpenVSwitch, controller: Controller) -> None:
    """The same bridge, the same tunnel port; interfaces are told again if their numbers differ."""
    joined.vsctl(*joined.plugging("tap0", "port-0")[1:])
    wait_for(lambda: controller.ofports().get("port-0"))
    for how in (signal.SIGTERM, signal.SIGKILL):
        joined.end("ovs-vswitchd", how)
        joined.start_vswitchd()
        joined.vsctl(*joined.plugging(f"tap{int(how)}", f"port-{int(how)}")[1:])
        wait_for(lambda: controller.ofports().get(f"port-{int(how)}"))
        assert controller.ready("vxlan") and controller.last.tunnel_ofports[0][1] == 65000
        assert controller.last.datapath_id == datapath_id_of(SYSTEM_ID)
        assert controller.ofports()["port-0"] == joined.row("interface", "tap0", "ofport")["ofport"]
    assert controller.gone == []


def test_leaving_and_coming_back(
    joined: OpenVSwitch, controller: Controller
) -> None:
    joined.vsctl("--no-wait", "del-manager")
    wait_for(lambda: controller.gone == [SYSTEM_ID])
    joined.vsctl("--no-wait", "del-port", "tenet-vxlan")
    joined.join(controller.listener.port)
    assert wait_for(lambda: controller.repaired()) < 5
    wait_for(lambda: controller.ready("vxlan"))
    assert controller.repaired() == ["tunnel port tenet-vxlan was missing"]


def test_a_killed_database_server_comes_back(joined: OpenVSwitch, controller: Controller) -> None:
    joined.end("ovsdb-server", signal.SIGKILL)
    wait_for(lambda: controller.gone == [SYSTEM_ID])
    told = len(controller.facts)
    joined._start("ovsdb-server", str(joined.directory / "conf.db"), f"--remote=p{joined.socket}",
                  "--remote=db:Open_vSwitch,Open_vSwitch,manager_options")
    wait_for(lambda: len(controller.facts) > told and controller.ready("vxlan"))


def test_a_stopped_hypervisor_is_replaced_by_one_that_lives(
    joined: OpenVSwitch, controller: Controller
) -> None:
    """The second database announces the same system-id: refused first, then taken."""
    directory = joined.directory / "second"
    directory.mkdir()
    second = OpenVSwitch(directory)
    try:
        second.join(controller.listener.port)
        wait_for(lambda: controller.logged("another connection is chassis"))
        assert controller.gone == []
        assert "br-int" not in second.vsctl("list-br")
        joined.processes["ovsdb-server"].send_signal(signal.SIGSTOP)
        wait_for(lambda: controller.gone == [SYSTEM_ID], 20)
        wait_for(lambda: "br-int" in second.vsctl("list-br"), 20)
    finally:
        for name in reversed(list(second.processes)):
            second.end(name)


@pytest.mark.parametrize(("pairs", "problem"), [
    (("tenet-encap-ip=here",), "tenet-encap-ip 'here' is not an IPv4 address: no tunnels"),
    (("tenet-encap-ip=127.0.0.1", "tenet-encap-type=stt"), "no usable tenet-encap-type"),
    (("hostname=hv1",), "no tenet-encap-ip: reaches no other chassis"),
])
def test_nonsense_is_told_and_the_rest_works(
    switch: OpenVSwitch, controller: Controller,
    pairs: tuple[str, ...], problem: str,
) -> None:
    switch.join(controller.listener.port, *pairs)
    wait_for(lambda: controller.ready())
    assert any(said.startswith(problem) for said in controller.last.problems)
    assert len(controller.logged(problem)) == 1
    assert switch.vsctl("list-ports", "br-int") == ""


def test_a_name_that_another_bridge_holds_is_a_problem_and_no_war(
    switch: OpenVSwitch, controller: Controller
) -> None:
    switch.vsctl("add-br", "br-ex", "--", "set", "bridge", "br-ex", "datapath_type=netdev",
                 "--", "add-port", "br-ex", "tenet-vxlan", "--", "set", "interface",
                 "tenet-vxlan", "type=internal")
    switch.join(controller.listener.port)
    wait_for(lambda: controller.ready() and controller.last.problems)
    assert "tenet-vxlan" in controller.last.problems[0]
    assert switch.vsctl("list-ports", "br-ex") == "tenet-vxlan"
    switch.vsctl("del-port", "br-ex", "tenet-vxlan")
    wait_for(lambda: controller.ready("vxlan") and not controller.last.problems)
