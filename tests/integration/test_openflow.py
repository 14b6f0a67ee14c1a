"""The OpenFlow listener with Open vSwitch: what was sent is what is dumped, all or nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import eventlet
import eventlet.tpool
import pytest

from controller.pipeline.actions import Goto, Load, Output, Police, Subroutine, ToGroup
from controller.pipeline.fields import CARRIER_WIDTH
from controller.pipeline.rule import Bucket, Foreign, Group, Installed, Item, Key, Meter, Rule
from controller.reconciliation.differ import Plan, plan
from controller.southbound.openflow.listener import (
    Callbacks, Listener, Lost, SwitchConnection,
)
from controller.southbound.openflow.talks import Applied, Refused
from tests.listening import wait_for
from tests.pipeline_items import acceptable_items

pytestmark = pytest.mark.root

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class Site:
    """One Open vSwitch in user space, and a listener to which its bridge connects."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {**os.environ, "OVS_RUNDIR": str(directory),
                            "OVS_LOGDIR": str(directory), "OVS_DBDIR": str(directory)}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.connections: list[SwitchConnection] = []
        self.lost: list[str] = []
        self.altered = 0
        self.listener = Listener("127.0.0.1", 0, Callbacks(
            self.connections.append, lambda connection, reason: self.lost.append(reason),
            self._altered))
        database = directory / "conf.db"
        self.run("ovsdb-tool", "create", str(database), SCHEMA)
        self._start("ovsdb-server", str(database), f"--remote=punix:{directory}/db.sock")
        self.wait_for((directory / "db.sock").exists)
        self.vsctl("--no-wait", "init")
        self.switch = self._start("ovs-vswitchd", f"unix:{directory}/db.sock")
        self.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev",
                   "fail_mode=secure", "protocols=OpenFlow13",
                   "other-config:datapath-id=00000000000000aa")
        self.join()

    def _altered(self, _connection: SwitchConnection) -> None:
        self.altered += 1

    def _start(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self.directory / f"{name}.out", "ab") as output:
            process = subprocess.Popen(
                [name, f"--unixctl={self.directory}/{name}.ctl", *arguments],
                env=self.environment, stdout=output, stderr=output)
        self.processes.append(process)
        return process

    def run(self, *command: str) -> str:
        """Run a command while the listener keeps turning."""
        done: Any = eventlet.tpool.execute(
            subprocess.run, command, env=self.environment, capture_output=True, text=True,
            timeout=30)
        assert done.returncode == 0, done.stderr
        return str(done.stdout)

    def vsctl(self, *arguments: str) -> str:
        """Change the database."""
        return self.run("ovs-vsctl", f"--db=unix:{self.directory}/db.sock", "--timeout=20",
                        *arguments)

    def ofctl(self, command: str, *arguments: str) -> str:
        """Change the bridge by hand."""
        bridge = f"unix:{self.directory}/br0.mgmt"
        return self.run("ovs-ofctl", "-O", "OpenFlow13", command, bridge, *arguments)

    def join(self) -> None:
        """Point the bridge at the listener."""
        self.vsctl("set-controller", "br0", f"tcp:127.0.0.1:{self.listener.address[1]}")

    def wait_for(self, condition: Callable[[], Any], within: float = 15.0) -> Any:
        """Let green threads run until something is true."""
        return wait_for(condition, within)

    @property
    def connection(self) -> SwitchConnection:
        """The bridge's present connection."""
        self.wait_for(lambda: self.connections and self.connections[-1].closed is None)
        return self.connections[-1]

    def dump(self) -> dict[Key, Installed]:
        """What the bridge holds."""
        held = self.connection.dump()
        assert not isinstance(held, Lost)
        return held

    def apply(self, wanted: dict[Key, Item]) -> Plan:
        """Lead the bridge to what is wanted; the plan that did it."""
        change = plan(self.dump(), wanted)
        outcome = self.connection.apply(change)
        assert isinstance(outcome, Applied), (getattr(outcome, "reason", None), outcome)
        return change

    def close(self) -> None:
        """End everything that was started."""
        self.listener.close()
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            process.wait(10)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A switch that is connected."""
    site = Site(tmp_path)
    yield site
    site.close()


def by_key(items: list[Item]) -> dict[Key, Item]:
    """Items by their keys."""
    return {item.key: item for item in items}


def differences(held: dict[Key, Installed], wanted: dict[Key, Item]) -> list[object]:
    """A few pairs of what is wanted and what is held instead."""
    return [(wanted.get(key), held.get(key)) for key in {**held, **wanted}
            if held.get(key) != wanted.get(key)][:3]


def test_five_thousand_rules_of_all_kinds(site: Site) -> None:
    wanted = by_key(acceptable_items(5000))
    carriers = {test[0] for key in wanted for test in (key[2] if len(key) == 3 else ())}
    assert carriers == set(CARRIER_WIDTH) - {f"reg{number}" for number in range(16)} | {
        "reg0", "reg5", "reg9", "reg10", "reg14", "reg15"}
    started = time.monotonic()
    outcome = site.connection.apply(plan({}, wanted))
    took = time.monotonic() - started
    assert isinstance(outcome, Applied), (getattr(outcome, "reason", None), outcome)
    started = time.monotonic()
    held = site.dump()
    print(f"\n{len(wanted)} items: applied in {took:.3f} s, "
          f"dumped in {time.monotonic() - started:.3f} s")
    assert not differences(held, wanted)
    assert not plan(held, wanted)
    assert site.altered == 0
    site.apply({})
    assert site.dump() == {}
    assert site.altered == 0


@pytest.mark.parametrize("name", [f"reg{number}" for number in range(16)])
def test_every_register(site: Site, name: str) -> None:
    rule = Rule(1, 1, ((name, 5, 0xFF),), (Load(name, 3, 9, 0x1FF), Load(name, 0, 32, 1)), 9)
    site.apply({rule.key: rule})
    assert site.dump() == {rule.key: rule}


def test_items_change_in_place(site: Site) -> None:
    first = by_key([Meter(1, 100), Group(1, "all", (Bucket((Output(1),)),)),
                    Rule(1, 1, (), (Police(1), ToGroup(1)), 1)])
    second = by_key([Meter(1, 50, 7), Group(1, "select", (Bucket((Output(2),), 3),)),
                     Rule(1, 1, (), (Police(1), ToGroup(1), Goto(2)), 2)])
    site.apply(first)
    assert site.dump() == first
    change = site.apply(second)
    assert len(change.replaced) == 3
    assert site.dump() == second


def test_a_refused_rule_discards_everything(site: Site) -> None:
    kept = by_key([Rule(9, 9, (), (Output(9),), 9)])
    site.apply(kept)
    for bad, reason in (
            (Rule(5, 5, (), (ToGroup(99),), 1), "BAD_ACTION/BAD_OUT_GROUP"),
            (Rule(5, 5, (("ip_proto", 6, 255),), (), 1), "BAD_MATCH/BAD_PREREQ"),
            (Rule(5, 5, (), (Load("eth_type", 0, 16, 5),), 1), "BAD_ACTION/BAD_SET_ARGUMENT"),
            (Group(7, "all", (Bucket((Load("eth_type", 0, 16, 5),)),)),
             "BAD_ACTION/BAD_SET_ARGUMENT"),
            (Rule(5, 5, (("reg0", 2, 1),), (), 1), "reg0=0x2/0x1 cannot be matched")):
        good = acceptable_items(300)
        good = [item for item in good if isinstance(item, Rule) and item.table not in (5, 9)
                and not any(isinstance(action, (Police, ToGroup)) for action in item.actions)]
        change = plan(kept, by_key([*good[:100], bad, *good[100:]]))
        outcome = site.connection.apply(change)
        assert isinstance(outcome, Refused), (bad, type(outcome))
        assert (outcome.key, outcome.reason) == (bad.key, reason)
        assert site.dump() == kept


def test_what_is_done_by_hand_is_reported_and_repaired(site: Site) -> None:
    rules: list[Item] = [Rule(70, 300, (("metadata", number, 0xFFFFFFFF),), (Output(1),), number)
                         for number in range(20)]
    wanted = by_key([Meter(1, 5), Group(1, "all", (Bucket((Output(1),)),)), *rules,
                     Rule(71, 1, (), (Police(1), ToGroup(1)), 1)])
    site.apply(wanted)
    for command, argument in (
            ("add-flow", "table=5,tcp,tp_dst=80,actions=drop"),
            ("add-flow", "table=5,idle_timeout=60,ip,actions=push_vlan:0x8100,output:1"),
            ("add-flow", "table=70,priority=300,metadata=1/0xffffffff,actions=drop"),
            ("mod-flows", "table=70,metadata=2/0xffffffff,actions=drop"),
            ("del-flows", "table=70,metadata=3/0xffffffff"),
            ("del-groups", "group_id=1"), ("del-meter", "meter=1"), ("del-flows", "")):
        before = site.altered
        site.ofctl(command, *([argument] if argument else []))
        site.wait_for(lambda: site.altered > before, 5)
        held = site.dump()
        assert held != wanted
        if argument.startswith("table=5"):
            assert sum(isinstance(item, Foreign) for item in held.values()) == 1
        site.altered = 0
        site.apply(wanted)
        assert site.dump() == wanted
        eventlet.sleep(0.05)
        assert site.altered == 0


def test_a_packet_goes_where_it_is_sent(site: Site) -> None:
    rule = Rule(3, 1, (("eth_dst", 0x02AABBCCDDEE, (1 << 48) - 1),), (), 0)
    site.apply({rule.key: rule})
    frame = bytes.fromhex("02aabbccddee 02aabbccddff 88b5") + bytes(46)
    assert site.connection.packet_out((Subroutine(3),), frame)
    site.wait_for(lambda: "n_packets=1, n_bytes=60" in site.ofctl("dump-flows", "table=3"))


def test_a_group_of_many_buckets(site: Site) -> None:
    buckets = tuple(Bucket((Load("tun_dst", 0, 32, number), Load("tun_id", 0, 64, 7), Output(1)))
                    for number in range(900))
    group = Group(1, "all", buckets)
    site.apply({group.key: group})
    assert site.dump() == {group.key: group}
    larger = Group(1, "all", buckets + buckets[:100])
    outcome = site.connection.apply(plan({}, {larger.key: larger}))
    assert isinstance(outcome, Refused) and "larger than a message" in outcome.reason
    assert site.dump() == {group.key: group}


def test_forty_thousand_rules_flow_as_the_switch_takes_them(site: Site) -> None:
    wanted = by_key([Rule(1, 1, (("eth_dst", number, (1 << 48) - 1),), (Output(1),), number)
                     for number in range(40_000)])
    turns: list[float] = []

    def count() -> None:
        while True:
            started = time.monotonic()
            eventlet.sleep(0.001)
            turns.append(time.monotonic() - started)

    counter = eventlet.spawn(count)
    site.apply(wanted)
    assert site.dump() == wanted
    counter.kill()
    print(f"\nothers waited {max(turns):.3f} s at most")
    assert max(turns) < 0.5


def test_a_switch_that_comes_back_is_filled_again(site: Site) -> None:
    wanted = by_key(acceptable_items(100))
    site.apply(wanted)
    site.processes.remove(site.switch)
    site.switch.kill()
    site.switch.wait(10)
    site.wait_for(lambda: site.lost)
    site.switch = site._start("ovs-vswitchd", f"unix:{site.directory}/db.sock")
    assert site.dump() == {}
    site.apply(wanted)
    assert site.dump() == wanted


def test_a_switch_without_openflow_1_3_is_refused(
        site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.wait_for(lambda: site.connections)
    site.vsctl("set", "bridge", "br0", "protocols=OpenFlow10")
    line = "switch offers OpenFlow 1.0 only: set protocols=OpenFlow13"
    site.wait_for(lambda: line in caplog.text)
    site.vsctl("set", "bridge", "br0", "protocols=OpenFlow13")
    assert site.dump() == {}
