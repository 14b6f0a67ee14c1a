"""FakeSwitch against Open vSwitch: the same rules, the same packets, the same way through.

The rules of one chassis are installed with `ovs-ofctl` (as text: the codec has its own tests), and
`ofproto/trace` is asked about the frames that FakeSwitch traces. Compared are the rules that each
packet meets, in order, the ports it leaves by, what its tunnels carry, and its headers at the end.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from controller.model.resources import Binding
from controller.pipeline.actions import (
    Action, Actions, Goto, Load, Move, Output, Police, Return, Subroutine, ToGroup,
)
from controller.pipeline.describe import value_text
from controller.pipeline.fields import CARRIER_WIDTH, Match
from controller.pipeline.rule import Group, Item, Meter, Rule
from controller.reconciliation.feature import Feature
from controller.testing import oracle
from controller.testing.fake_fabric import FakeFabric
from controller.testing.fake_switch import FakeSwitch, Trace, Tunnel
from controller.testing.packets import CARRIERS, Frame
from controller.testing.site import Site
from tests import strategies as our

pytestmark = pytest.mark.root

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
OVS_NAME = {"ipv4_src": "nw_src", "ipv4_dst": "nw_dst", "ip_proto": "nw_proto"}
ENDS = ("172.31.0.1", "172.31.0.2", "172.31.0.3")


def action_as_text(action: Action) -> str:
    """An action as ovs-actions(7) spells it."""
    match action:
        case Load(carrier, offset, width, value):
            return f"load:{value:#x}->{ovs(carrier)}[{offset}..{offset + width - 1}]"
        case Move(source, at, target, to, width):
            return (f"move:{ovs(source)}[{at}..{at + width - 1}]->"
                    f"{ovs(target)}[{to}..{to + width - 1}]")
        case Output(port):
            return f"output:{port}"
        case Return():
            return "in_port"
        case ToGroup(group):
            return f"group:{group}"
        case Subroutine(table):
            return f"resubmit(,{table})"
        case Goto(table):
            return f"goto_table:{table}"
        case Police(meter):
            return f"meter:{meter}"


def ovs(carrier: str) -> str:
    """The name that Open vSwitch's tools give a carrier."""
    return OVS_NAME.get(carrier, carrier)


def actions_as_text(actions: Actions) -> str:
    return ",".join(map(action_as_text, actions)) or "drop"


def match_as_text(match: Match) -> str:
    """A match as ovs-fields(7) spells it. `vlan_tci` shows the tag bit where OXM's vlan_vid
    has it."""
    parts = []
    for carrier, value, mask in sorted(match, key=lambda test: test[0] != "eth_type"):
        if carrier == "vlan_vid":
            parts.append(f"vlan_tci={value:#x}/{mask:#x}")
        elif mask == (1 << CARRIER_WIDTH[carrier]) - 1:
            parts.append(f"{ovs(carrier)}={value_text(carrier, value)}")
        else:
            parts.append(f"{ovs(carrier)}={value_text(carrier, value)}/"
                         f"{value_text(carrier, mask)}")
    return "".join(part + "," for part in parts)


def item_as_text(item: Item) -> str:
    """One line of input for ovs-ofctl."""
    match item:
        case Rule():
            return (f"table={item.table},priority={item.priority},cookie={item.cookie:#x},"
                    f"{match_as_text(item.match)}actions={actions_as_text(item.actions)}")
        case Group():
            buckets = "".join(f",bucket=actions={actions_as_text(bucket.actions)}"
                              for bucket in item.buckets)
            return f"group_id={item.id},type={item.type}{buckets}"
        case Meter():
            return f"meter={item.id},pktps,band=type=drop,rate={item.rate}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What becomes comparable of a trace."""

    met: tuple[tuple[int, int], ...]
    sent: tuple[int, ...]
    tunnels: tuple[tuple[int, int], ...]
    final: tuple[tuple[str, int], ...]


class OpenVSwitch:
    """One switch in user space, with daemons of its own, as chassis hv1."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "OVS_RUNDIR": str(directory),
                            "OVS_LOGDIR": str(directory), "OVS_DBDIR": str(directory)}
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        database = self.directory / "conf.db"
        self.run("ovsdb-tool", "create", str(database), SCHEMA)
        self._daemon("ovsdb-server", str(database), f"--remote=punix:{self.directory}/db.sock")
        self._wait_for(self.directory / "db.sock")
        self.vsctl("--no-wait", "init")
        self._daemon("ovs-vswitchd", f"unix:{self.directory}/db.sock")
        self._wait_for(self.directory / "ovs-vswitchd.ctl")
        self.run("ip", "link", "set", "lo", "up")
        self.vsctl("add-br", "br-phy", "--", "set", "bridge", "br-phy", "datapath_type=netdev",
                   "--", "add-port", "br-phy", "uplink", "--", "set", "interface", "uplink",
                   "type=internal")
        self.run("ip", "link", "set", "uplink", "up")
        self.run("ip", "address", "add", f"{ENDS[0]}/24", "dev", "br-phy")
        self.run("ip", "link", "set", "br-phy", "up")
        self.vsctl("add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev",
                   "fail_mode=secure", "protocols=OpenFlow13")
        for number, end in enumerate(ENDS[1:], 2):
            self.appctl("tnl/arp/set", "br-phy", end, f"02:00:00:00:00:{number:02x}")

    def _daemon(self, name: str, *arguments: str) -> None:
        with open(self.directory / f"{name}.out", "ab") as output:
            self.processes.append(subprocess.Popen(
                [name, f"--unixctl={self.directory}/{name}.ctl", *arguments],
                env=self.environment, stdout=output, stderr=output))

    def _wait_for(self, path: Path) -> None:
        deadline = time.monotonic() + 10
        while not path.exists():
            assert time.monotonic() < deadline, f"{path.name} did not appear"
            time.sleep(0.02)

    def run(self, *command: str, text: str | None = None) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True,
                              timeout=30, input=text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def vsctl(self, *arguments: str) -> str:
        return self.run("ovs-vsctl", f"--db=unix:{self.directory}/db.sock", "--timeout=20",
                        *arguments)

    def appctl(self, *arguments: str) -> str:
        return self.run("ovs-appctl", f"--target={self.directory}/ovs-vswitchd.ctl", *arguments)

    def install(self, switch: FakeSwitch, ofports: list[int]) -> None:
        """Make the switch hold what the fake one holds, with the same ports."""
        for ofport in ofports:
            self.vsctl("add-port", "br-int", f"p{ofport}", "--", "set", "interface",
                       f"p{ofport}", "type=internal", f"ofport_request={ofport}")
        for ofport, name in switch.tunnels.items():
            self.vsctl("add-port", "br-int", f"t-{name}", "--", "set", "interface", f"t-{name}",
                       f"type={name}", f"ofport_request={ofport}", "options:remote_ip=flow",
                       "options:key=flow", f"options:local_ip={ENDS[0]}")
        for kind, verb in ((Meter, "add-meter"), (Group, "add-groups"), (Rule, "add-flows")):
            lines = [item_as_text(item) for item in switch.items.values()
                     if isinstance(item, kind)]
            if lines:
                self.run("ovs-ofctl", "-O", "OpenFlow13", verb,
                         f"unix:{self.directory}/br-int.mgmt", "-", text="\n".join(lines))

    def trace(self, in_port: int, frame: Frame, tunnel: Tunnel | None) -> str:
        flow = f"in_port={in_port}"
        if tunnel is not None:
            flow += (f",tun_id={tunnel.id},tun_src={IPv4Address(tunnel.source)}"
                     f",tun_dst={IPv4Address(tunnel.destination)}")
        return self.appctl("ofproto/trace", "br-int", flow, frame.to_bytes().hex())

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(timeout=10)


MET = re.compile(r"^\s*(\d+)\. .*, cookie (0x[0-9a-f]+)$")
SENT = re.compile(r"^\s*(?:output:(\d+)|(IN_PORT))\s*$")
PUSH = re.compile(r"tnl_push\(.*?dst=([0-9.]+),proto.*?(?:vni=|key=)(0x[0-9a-f]+)")


def heard(text: str, in_port: int) -> Seen:
    """What ofproto/trace said. It follows a packet into br-phy as well, where rules carry no
    cookie: that is left out."""
    ours = text.split("Final flow:")[0]
    met, sent = [], []
    for line in ours.splitlines():
        found = MET.match(line)
        if found:
            met.append((int(found[1]), int(found[2], 16)))
        out = SENT.match(line)
        if out:
            sent.append(int(out[1]) if out[1] else in_port)
    sent = [port for port, skipped in zip(sent, skips(ours), strict=True) if not skipped]
    first, last = (re.search(rf"^{name}: (.*)$", text, re.MULTILINE)
                   for name in ("Flow", "Final flow"))
    assert first and last
    final = dict(re.findall(r"(\w+)=([0-9a-fx.:]+)",
                            (first if last[1] == "unchanged" else last)[1]))
    return Seen(tuple(met), tuple(sent),
                tuple((int(IPv4Address(dst)), int(key, 16)) for dst, key in PUSH.findall(text)),
                tuple(sorted((name, final[name]) for name in final  # type: ignore[misc]
                             if name in ("dl_src", "dl_dst", "arp_op", "arp_spa", "arp_tpa",
                                         "arp_sha", "arp_tha"))))


def skips(text: str) -> list[bool]:
    """For each output, whether the switch said that it skips it."""
    lines = text.splitlines()
    return [number + 1 < len(lines) and "skipping output to input port" in lines[number + 1]
            for number, line in enumerate(lines) if SENT.match(line)]


def expected(trace: Trace) -> Seen:
    """The same of a FakeSwitch's trace."""
    met = tuple((step.table, step.rule.cookie) for step in trace.steps if step.rule is not None)
    last = trace.sent[-1].frame if trace.sent else trace.frame
    final = []
    for carrier, name in (("eth_src", "dl_src"), ("eth_dst", "dl_dst"), ("arp_op", "arp_op"),
                          ("arp_spa", "arp_spa"), ("arp_tpa", "arp_tpa"), ("arp_sha", "arp_sha"),
                          ("arp_tha", "arp_tha")):
        if carrier in CARRIERS and carrier in last.headers:
            final.append((name, value_text(carrier, last.headers[carrier])))
    return Seen(met, tuple(sent.port for sent in trace.sent),
                tuple((sent.tunnel.destination, sent.tunnel.id) for sent in trace.sent
                      if sent.tunnel),
                tuple(sorted(final)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def scene(features: tuple[Feature, ...]) -> FakeFabric:
    """Secure, insecure, local and differently encapsulated networks around hv1."""
    site = Site()
    fabric = FakeFabric(features, site.store)
    hypervisors = [site.chassis("hv1", ENDS[0], our.OVERLAYS),
                   site.chassis("hv2", ENDS[1], our.OVERLAYS),
                   site.chassis("hv3", ENDS[2], ("gre",))]
    for name, kind, secure in (("red", "vxlan", True), ("blue", "geneve", True),
                               ("lax", "gre", False), ("isle", "local", False)):
        network = site.network(name, kind, secure=secure)
        for host, port_name in enumerate(our.PORTS, 1):
            port = site.port(network, port_name, host, secure=secure)
            site.plug(port, hypervisors[(host - 1) % 3])
    return fabric


@pytest.fixture(scope="module")
def switch(scene: FakeFabric, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenVSwitch]:
    """Open vSwitch in the place of hv1."""
    real = OpenVSwitch(tmp_path_factory.mktemp("ovs"))
    try:
        real.start()
        bindings = scene.store.snapshot.where(Binding, "chassis", "hv1")
        real.install(scene.switches["hv1"], [*(row.ofport for row in bindings), 999])
        yield real
    finally:
        real.stop()


def agree(scene: FakeFabric, switch: OpenVSwitch, in_port: int, frame: Frame,
          tunnel: Tunnel | None = None) -> Trace:
    fake = scene.switches["hv1"].trace(in_port, frame, tunnel)
    said = switch.trace(in_port, frame, tunnel)
    assert heard(said, in_port) == expected(fake), f"{said}\n{fake}"
    return fake


def test_frames_of_every_port_take_the_same_way(scene: FakeFabric, switch: OpenVSwitch) -> None:
    rows = scene.store.snapshot
    sent = tunnelled = answered = 0
    for ofport in [*(row.ofport for row in rows.where(Binding, "chassis", "hv1")), 999]:
        for frame in our.matrix(oracle.port_at(rows, "hv1", ofport)):
            trace = agree(scene, switch, ofport, frame)
            sent += bool(trace.sent)
            tunnelled += any(one.tunnel for one in trace.sent)
            answered += any(one.port == ofport for one in trace.sent)
    assert sent > 100 and tunnelled > 50 and answered > 20, "too little was compared"


def test_frames_from_tunnels_take_the_same_way(scene: FakeFabric, switch: OpenVSwitch) -> None:
    here, *others = (int(IPv4Address(end)) for end in ENDS)
    delivered = 0
    for segment in (1, 2, 3, 77):
        for source in (*others, here + 50):
            for in_port in scene.switches["hv1"].tunnels:
                for frame in list(our.matrix(None))[::4]:
                    trace = agree(scene, switch, in_port, frame, Tunnel(segment, here, source))
                    delivered += bool(trace.sent)
    assert delivered > 20, "too little was compared"
