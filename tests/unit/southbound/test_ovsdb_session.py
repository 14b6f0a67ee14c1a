"""One hypervisor's session without sockets: what it tells, what it repairs, when it gives up."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from controller.southbound.chassis_facts import ChassisFact
from controller.southbound.ovsdb.framing import FramingError
from controller.southbound.ovsdb.replica import ReplicaError
from controller.southbound.ovsdb.rpc import Limits, PeerError
from controller.southbound.ovsdb.session import ChassisSession
from tests.ovsdb_peer import IDS, SYSTEM_ID, Database, message, notification, sent

TARGET = "tcp:10.0.0.1:6653"


class Exchange:
    """A session and the database at its other end, on a clock that the test moves."""

    def __init__(self, database: Database | None = None, limits: Limits = Limits()) -> None:
        self.database = database or Database()
        self.now = 100.0
        self.session = ChassisSession(TARGET, self.now, limits)
        self.facts: list[ChassisFact] = []
        self.transactions: list[list[dict[str, Any]]] = []
        self.refuse = ""
        self.obey = True

    def join(self) -> Exchange:
        self.turn()
        self.session.admitted = True
        self.turn()
        self.wait(0.1)
        return self

    def turn(self) -> None:
        """What the listener does after each read, and what the database answers, until quiet."""
        for _ in range(20):
            self.session.tick(self.now)
            self.session.keep_order(self.now)
            fact = self.session.take_fact(self.now)
            if fact is not None:
                self.facts.append(fact)
            requests = sent(self.session.rpc.output)
            for request in requests:
                self.answer(request)
            if not requests:
                return

    def answer(self, request: dict[str, Any]) -> None:
        if request["method"] == "monitor_cond":
            assert request["params"][:2] == ["Open_vSwitch", "tenet"]
            self.say(message(id=request["id"], result=self.database.dump(), error=None))
        elif request["method"] == "transact":
            operations = request["params"][1:]
            self.transactions.append(operations)
            result: list[Any] = [{"error": self.refuse, "details": "no"}]
            if not self.refuse:
                result = self.database.transact(operations) if self.obey else [{}]
                self.say(notification(self.database.news()))
            self.say(message(id=request["id"], result=result, error=None))
        else:
            assert request["method"] == "echo"
            self.say(message(id=request["id"], result=request["params"], error=None))

    def say(self, data: bytes) -> None:
        self.session.receive(data, self.now)

    def tell(self) -> None:
        """The database tells what the test has changed in it."""
        self.say(notification(self.database.news()))
        self.turn()

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, max(self.session.deadline(), self.now + 0.001))
            self.turn()


def lines(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [record.getMessage().partition(words)[2] for record in caplog.records
            if words in record.getMessage()]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "controller.southbound.ovsdb")
    return caplog


def test_joining_is_one_transaction_and_one_line(log: pytest.LogCaptureFixture) -> None:
    exchange = Exchange().join()
    assert len(exchange.transactions) == 1
    assert lines(log, "set up ") == ["br-int, tenet-vxlan"] and not lines(log, "repaired")
    first = exchange.facts[0]
    assert (first.system_id, first.hostname, first.encap_ip) == (SYSTEM_ID, "hv1", "172.31.0.1")
    assert first.datapath_id is None and first.changes is None


def test_nothing_is_done_or_told_before_the_peer_is_admitted() -> None:
    exchange = Exchange()
    exchange.turn()
    assert exchange.session.settings is not None
    exchange.wait(3)
    assert exchange.facts == [] and exchange.transactions == []


def test_what_vswitchd_reports_becomes_a_fact() -> None:
    exchange = Exchange().join()
    database = exchange.database
    database.change("Bridge", database.named("Bridge", "br-int"), datapath_id="00000000000000a7")
    database.change("Interface", database.named("Interface", "tenet-vxlan"), ofport=65000)
    exchange.tell()
    exchange.wait(0.01)
    assert exchange.facts[-1].datapath_id == 0xA7
    assert exchange.facts[-1].tunnel_ofports == (("vxlan", 65000),)
    database.change("Interface", database.named("Interface", "tenet-vxlan"), ofport=-1,
                    error="File exists")
    exchange.tell()
    exchange.wait(0.01)
    assert exchange.facts[-1].tunnel_ofports == ()
    assert exchange.facts[-1].problems == ("tunnel port tenet-vxlan: 'File exists'",)


def test_a_new_interface_is_told_once_and_with_its_number() -> None:
    exchange = Exchange().join()
    told = len(exchange.facts)
    exchange.database.plug("tap0", external_ids={"iface-id": "p0", "attached-mac": "m"})
    exchange.tell()
    assert len(exchange.facts) == told
    exchange.database.change("Interface", exchange.database.named("Interface", "tap0"), ofport=5)
    exchange.tell()
    exchange.wait(0.01)
    assert len(exchange.facts) == told + 1
    [interface] = exchange.facts[-1].interfaces
    assert (interface.name, interface.ofport, interface.iface_id, interface.attached_mac) == (
        "tap0", 5, "p0", "m")
    assert exchange.facts[-1].changes is not None
    assert exchange.facts[-1].changes.seen == (interface,)


def test_a_new_interface_that_gets_no_number_is_told_all_the_same() -> None:
    exchange = Exchange().join()
    exchange.database.plug("tap0", external_ids={"iface-id": "p0"})
    exchange.tell()
    exchange.wait(0.06)
    assert [interface.ofport for interface in exchange.facts[-1].interfaces] == [None]


def test_an_update_that_says_nothing_new_is_not_told() -> None:
    exchange = Exchange().join()
    told = len(exchange.facts)
    exchange.database.plug("own0")  # No iface-id.
    exchange.tell()
    exchange.wait(1)
    assert len(exchange.facts) == told


def test_a_thousand_changes_a_second_are_two_hundred_facts_at_most() -> None:
    exchange = Exchange().join()
    exchange.database.plug("tap0", ofport=1, external_ids={"iface-id": "p0"})
    exchange.tell()
    told, start = len(exchange.facts), exchange.now
    uuid = exchange.database.named("Interface", "tap0")
    for number in range(1000):
        exchange.database.change("Interface", uuid, ofport=2 + number % 2)
        exchange.now += 0.001
        exchange.tell()
    assert len(exchange.facts) - told <= 200 * (exchange.now - start) + 1


def test_a_repair_is_one_line_with_its_reason(log: pytest.LogCaptureFixture) -> None:
    exchange = Exchange().join()
    exchange.database.unplug("tenet-vxlan")
    exchange.tell()
    assert lines(log, "repaired: ") == ["tunnel port tenet-vxlan was missing"]
    assert "tenet-vxlan" in exchange.database.names("Port")


def test_what_the_administrator_changes_is_no_repair(log: pytest.LogCaptureFixture) -> None:
    exchange = Exchange().join()
    exchange.database.change("Open_vSwitch", exchange.database.root,
                             external_ids={**IDS, "tenet-encap-type": "gre"})
    exchange.tell()
    assert sorted(lines(log, "configured anew: ")) == [
        "tunnel port tenet-gre was missing",
        "tunnel port tenet-vxlan is of a type no longer announced"]
    assert not lines(log, "repaired")
    assert exchange.facts[-1].encap_types == ("gre",)


def test_damage_found_when_a_chassis_comes_back_is_a_repair(
    log: pytest.LogCaptureFixture
) -> None:
    database = Exchange().join().database
    database.unplug("tenet-vxlan")
    Exchange(database).join()
    assert lines(log, "repaired: ") == ["tunnel port tenet-vxlan was missing"]


def test_a_refused_transaction_is_a_problem_and_is_tried_less_and_less(
    log: pytest.LogCaptureFixture
) -> None:
    exchange = Exchange()
    exchange.refuse = "constraint violation"
    exchange.join()
    assert "constraint violation" in exchange.facts[-1].problems[0]
    exchange.wait(60)
    assert 4 <= len(exchange.transactions) <= 8
    assert len(lines(log, "constraint violation")) == 1
    exchange.refuse = ""
    exchange.wait(31)
    assert exchange.facts[-1].problems == ()
    assert "br-int" in exchange.database.names("Bridge")


def test_a_database_that_only_pretends_is_asked_once_a_second(
    log: pytest.LogCaptureFixture
) -> None:
    exchange = Exchange()
    exchange.obey = False
    exchange.join()
    exchange.wait(60)
    assert 60 <= len(exchange.transactions) <= 72
    assert lines(log, "something keeps undoing")


def test_problems_are_logged_once_and_their_end_too(log: pytest.LogCaptureFixture) -> None:
    database = Database({**IDS, "tenet-encap-ip": "nowhere"})
    exchange = Exchange(database).join()
    problem = "tenet-encap-ip 'nowhere' is not an IPv4 address: no tunnels"
    assert exchange.facts[-1].problems == (problem,)
    database.plug("tap0", ofport=1, external_ids={"iface-id": "p0"})
    exchange.tell()
    exchange.wait(0.1)
    assert len(lines(log, problem)) == 1
    database.change("Open_vSwitch", database.root, external_ids=dict(IDS))
    exchange.tell()
    exchange.wait(0.1)
    assert lines(log, "no problems any more") == [""]
    assert exchange.facts[-1].problems == ()


# Peers that do not behave


def test_silence_is_probed_and_then_the_end() -> None:
    exchange = Exchange().join()
    exchange.wait(60)  # Echoes are answered: a quiet hypervisor stays.
    start = exchange.now
    with pytest.raises(PeerError, match="silent"):
        for _ in range(100):
            exchange.now += 0.2
            exchange.session.tick(exchange.now)
    assert [request["method"] for request in sent(exchange.session.rpc.output)] == ["echo"]
    assert 9 < exchange.now - start < 11


def test_a_dump_that_never_comes() -> None:
    exchange = Exchange()
    with pytest.raises(PeerError, match="no reply to monitor_cond"):
        for _ in range(100):
            exchange.now += 1
            exchange.say(b" ")
            exchange.session.tick(exchange.now)


def test_a_message_that_never_ends() -> None:
    exchange = Exchange().join()
    exchange.say(b'{"method":"')
    with pytest.raises(PeerError, match="does not end"):
        for _ in range(100):
            exchange.now += 1
            exchange.say(b"x")
            exchange.session.tick(exchange.now)


def test_a_peer_that_asks_and_never_reads() -> None:
    exchange = Exchange(limits=Limits(max_output=10_000)).join()
    with pytest.raises(PeerError, match="does not read"):
        for number in range(1000):
            exchange.say(message(id=number, method="echo", params=["x" * 100]))
    exchange = Exchange().join()
    with pytest.raises(PeerError, match="does not read"):
        exchange.say(message(id=1, method="echo", params=["x" * (2 << 20)]))


@pytest.mark.parametrize("data", [
    message(id=99, result={}, error=None), message(id=True, result={}, error=None),
    message(id=[1], result=1), message(id=1), message(), message(method=1, params=[]),
    message(method="update2", params={}), message(method="update2"),
    message(method="update2", params=[]), message(method="update2", params=["other", {}], id=None),
    message(method="update2", params=["tenet", 7], id=None), b"[]", b"{}x",
    message(method="update2", params=["tenet", {"Bridge": {"x": {}}}], id=None),
])
def test_messages_that_make_no_sense(data: bytes) -> None:
    exchange = Exchange().join()
    with pytest.raises((PeerError, FramingError, ReplicaError)):
        exchange.say(data)


@pytest.mark.parametrize("result", [None, [], 3, {}, {"Open_vSwitch": {}}, {"Bridge": None}])
def test_dumps_that_make_no_sense(result: Any) -> None:
    exchange = Exchange()
    with pytest.raises((PeerError, ReplicaError)):
        exchange.say(message(id=1, result=result, error=None))


def test_an_update_before_the_dump() -> None:
    with pytest.raises(PeerError, match="not asked for"):
        Exchange().say(notification({}))


def test_an_old_open_vswitch() -> None:
    with pytest.raises(PeerError, match="refuses monitor_cond: 'unknown method'"):
        Exchange().say(message(id=1, result=None, error="unknown method"))


@pytest.mark.parametrize("result", [7, "x", {"a": 1}])
def test_replies_to_transactions_that_make_no_sense(result: Any) -> None:
    exchange = Exchange()
    exchange.turn()
    exchange.session.admitted = True
    exchange.session.keep_order(exchange.now)
    [request] = sent(exchange.session.rpc.output)
    with pytest.raises(PeerError, match="not a list"):
        exchange.say(message(id=request["id"], result=result, error=None))


def test_requests_are_answered_and_strange_notifications_left() -> None:
    exchange = Exchange().join()
    exchange.say(message(id="a", method="echo", params=[1, "two"])
                 + message(id=7, method="steal", params=["x"])
                 + message(id=None, method="locked", params=["x"]))
    assert sent(exchange.session.rpc.output) == [
        {"id": "a", "result": [1, "two"], "error": None},
        {"id": 7, "result": None, "error": "unknown method"}]


def test_a_name_cannot_forge_a_log_line(log: pytest.LogCaptureFixture) -> None:
    database = Database({**IDS, "hostname": "hv1\nchassis hv2: repaired"})
    database.rows["Open_vSwitch"][database.root]["ovs_version"] = "3\n4"
    Exchange(database).join()
    assert log.records and all(record.getMessage().isprintable() for record in log.records)
