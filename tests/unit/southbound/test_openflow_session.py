"""The session without sockets: greeting, plans, dumps, liveness, and what ends it."""

from __future__ import annotations

from struct import pack

import pytest

from controller.pipeline.actions import Goto, Output, Police
from controller.pipeline.rule import Group, Item, Key, Meter, Rule
from controller.reconciliation.differ import Plan, plan
from controller.southbound.openflow.messages import PortStatus, Refusal
from controller.southbound.openflow.session import (
    Altered, Done, Event, Limits, News, Ready, Session,
)
from controller.southbound.openflow.talks import Applied, Refused
from tests.openflow_peer import Peer, altered, framed
from tests.pipeline_items import acceptable_items


class Line:
    """A session and a switch, joined; time stands still unless moved."""

    def __init__(self, peer: Peer | None = None, limits: Limits = Limits(),
                 greeted: bool = True) -> None:
        self.peer = peer or Peer()
        self.now = 100.0
        self.session = Session(self.now, limits)
        self.events: list[Event] = []
        self.say(self.peer.hello())
        if greeted:
            self.settle()

    def say(self, data: bytes) -> None:
        """The switch says something."""
        self.session.feed(data, self.now)
        while (events := self.session.step()) is not None:
            self.events += events

    def settle(self) -> None:
        """Carry bytes both ways until nobody has more to say."""
        while data := self.session.to_send(4096, self.now):
            answer = self.peer.receive(data)
            if self.session.closed is None and answer:
                self.say(answer)

    def outcome(self, ticket: int) -> object:
        """How a talk ended."""
        self.settle()
        for event in self.events:
            if isinstance(event, Done) and event.ticket == ticket:
                return event.outcome
        return None


def by_key(items: list[Item]) -> dict[Key, Item]:
    """Items by their keys."""
    return {item.key: item for item in items}


def test_greeting_tells_who_the_switch_is() -> None:
    line = Line(Peer(dpid=77))
    ready = [event for event in line.events if isinstance(event, Ready)]
    assert len(ready) == 1
    assert ready[0].greeting.features.datapath_id == 77
    assert ready[0].greeting.watches


def test_a_switch_without_flow_monitor_is_served_all_the_same() -> None:
    line = Line(Peer(watches=False))
    assert line.session.greeting is not None and not line.session.greeting.watches


@pytest.mark.parametrize(("bitmap", "line"), [
    (0x02, "switch offers OpenFlow 1.0 only: set protocols=OpenFlow13"),
    (0x62, "switch offers OpenFlow 1.0, 1.4, 1.5 only: set protocols=OpenFlow13"),
])
def test_a_switch_without_1_3_is_refused_in_one_line(bitmap: int, line: str) -> None:
    joined = Line(Peer(bitmap=bitmap))
    assert joined.session.closed == line
    assert 0 in joined.peer.seen and 1 in joined.peer.seen  # our hello, and the error


def test_a_hello_without_bitmap_names_the_highest_version() -> None:
    for version, closed in ((1, True), (4, False), (6, False)):
        session = Session(0.0)
        session.feed(framed(0, version=version), 0.0)
        session.step()
        assert (session.closed is not None) == closed


def test_a_switch_without_nicira_is_refused_in_one_line() -> None:
    line = Line(Peer(nicira=False))
    assert line.session.closed == "switch has no Nicira extensions: Open vSwitch is needed"


def test_what_was_applied_is_what_is_dumped_and_the_next_plan_is_empty() -> None:
    line, desired = Line(), by_key(acceptable_items(800))
    applied = line.outcome(line.session.apply(plan({}, desired)))
    assert isinstance(applied, Applied)
    held = line.outcome(line.session.dump())
    assert held == desired
    assert isinstance(held, dict) and not plan(held, desired)
    assert isinstance(line.outcome(line.session.apply(plan(held, {}))), Applied)
    assert line.peer.held == {}


def test_meters_come_first_and_go_last() -> None:
    rule = Rule(1, 1, (), (Police(5), Goto(2)), 0)
    line, desired = Line(), by_key([Meter(5, 10), Group(1, "all", ()), rule])
    line.peer.seen.clear()
    line.outcome(line.session.apply(plan({}, desired)))
    assert line.peer.seen == [29, 20, 4, 4, 4, 4, 4]  # meter, barrier; open, 2, close, commit
    line.peer.seen.clear()
    line.outcome(line.session.apply(plan(desired, {})))
    assert line.peer.seen == [4, 4, 4, 4, 4, 29, 20]


@pytest.mark.parametrize("at_commit", [False, True])
def test_one_refused_rule_discards_everything(at_commit: bool) -> None:
    line, items = Line(), acceptable_items(60)
    line.peer.at_commit = at_commit
    line.peer.refuse = lambda kind, body: (4, 9) if kind == 14 and body[16] == 200 else None
    bad = Rule(200, 7, (), (), 0)
    items = [item for item in items if not isinstance(item, Rule) or item.table != 200]
    desired = by_key([*items[:50], bad, *items[50:]])
    refused = line.outcome(line.session.apply(plan({}, desired)))
    assert isinstance(refused, Refused)
    assert (refused.key, refused.reason) == (bad.key, "BAD_MATCH/BAD_PREREQ")
    assert set(refused.took.put) == {item for item in items if isinstance(item, Meter)}
    assert {place[0] for place in line.peer.held} == {10}
    del desired[bad.key]
    took = by_key(list(refused.took.put))
    assert isinstance(line.outcome(line.session.apply(plan(took, desired))), Applied)


def test_a_rule_that_cannot_be_said_is_refused_before_it_is_sent() -> None:
    line = Line()
    bad = Rule(1, 1, (("ip_proto", 1, 3),), (), 0)
    refused = line.outcome(line.session.apply(Plan((Rule(2, 1, (), (), 0), bad))))
    assert isinstance(refused, Refused) and refused.key == bad.key
    assert line.peer.held == {} and line.session.closed is None


def test_a_refused_meter_stops_the_plan() -> None:
    line = Line()
    line.peer.refuse = lambda kind, body: (12, 10) if kind == 29 and body[7] == 2 else None
    desired = Plan((Meter(1, 1), Meter(2, 1), Rule(1, 1, (), (), 0)))
    refused = line.outcome(line.session.apply(desired))
    assert refused == Refused(("meter", 2), "METER_MOD_FAILED/OUT_OF_METERS", Plan((Meter(1, 1),)))


def test_plans_and_dumps_wait_in_line() -> None:
    line = Line()
    rules = [Rule(1, number, (), (Output(1),), 0) for number in range(3)]
    first = line.session.apply(Plan((rules[0],)))
    second = line.session.dump()
    third = line.session.apply(Plan((rules[1], rules[2])))
    fourth = line.session.dump()
    line.settle()
    done = [event for event in line.events if isinstance(event, Done)]
    assert [event.ticket for event in done] == [first, second, third, fourth]
    assert done[1].outcome == by_key([rules[0]])
    assert done[3].outcome == by_key([*rules])


def test_a_large_plan_is_drawn_only_as_the_switch_takes_it() -> None:
    line = Line()
    many = [Rule(1, 1, (("reg1", number, 0xFFFFFFFF),), (Output(1),), 0)
            for number in range(30_000)]
    line.session.apply(Plan(tuple(many)))
    assert 4096 <= len(line.session.to_send(4096, line.now)) < 4096 + 300


def test_the_numbers_of_messages_wrap_between_talks() -> None:
    line = Line()
    line.session.reserve(0xF0000000)
    for number in range(3):
        done = line.outcome(line.session.apply(Plan((Rule(1, number, (), (), 0),))))
        assert isinstance(done, Applied)
    assert line.session.reserve(0) < 100


def test_changes_by_others_are_news_and_ours_are_not() -> None:
    line = Line()
    line.outcome(line.session.apply(Plan((Rule(1, 1, (), (), 0),))))
    assert not any(isinstance(event, Altered) for event in line.events)
    line.say(altered())
    assert line.events[-1] == Altered(((3, 9, ()),))
    line.say(framed(4, pack("!II", 0x4F4E4600, 1872)))
    assert line.events[-1] == Altered(())


def test_news_of_ports_and_refused_packets_are_passed_on() -> None:
    line = Line()
    line.say(framed(12, pack("!B7x", 0) + pack("!I4x6s2x16sII24x", 3, bytes(6), b"p3", 0, 0)))
    news = line.events[-1]
    assert isinstance(news, News) and isinstance(news.message, PortStatus)
    assert line.session.packet_out((Output(3),), b"frame", 0xFFFFFFFD)
    line.say(framed(1, pack("!HH", 2, 4), 0xFFFFFFFD))
    news = line.events[-1]
    assert isinstance(news, News) and isinstance(news.message, Refusal)


def test_echoes_are_answered() -> None:
    line = Line()
    line.say(framed(2, b"are you there", 9))
    assert line.session.to_send(100, line.now) == framed(3, b"are you there", 9)


def test_a_quiet_switch_is_probed_and_a_silent_one_dropped() -> None:
    line = Line(limits=Limits(probe_after=5, silence=20))
    line.now += 6
    line.session.tick(line.now)
    line.settle()
    assert line.session.closed is None and 2 in line.peer.seen
    line.now += 6
    line.session.tick(line.now)
    assert line.session.to_send(100, line.now)[1] == 2
    line.now += 15
    line.session.tick(line.now)
    assert line.session.closed == "silent for 20 s"


def test_a_handshake_that_does_not_end_is_ended() -> None:
    line = Line(greeted=False)
    line.now += 10.5
    line.session.tick(line.now)
    assert line.session.closed == "handshake is not over after 10 s"


def test_a_switch_that_lives_but_never_answers_is_dropped() -> None:
    line = Line(limits=Limits(answer=60))
    line.session.apply(Plan((Rule(1, 1, (), (), 0),)))
    line.session.to_send(10_000, line.now)
    for _ in range(62):
        line.now += 1
        line.say(framed(2, b""))
        line.session.to_send(10_000, line.now)
        line.session.tick(line.now)
    assert line.session.closed == "no answer for 60 s"


def test_a_dump_that_never_ends_is_ended() -> None:
    line = Line(limits=Limits(dump_bytes=10_000))
    line.session.dump()
    number = line.session.reserve(0) - 1
    flow = pack("!HBxIIHHHHxxxxQQQ", 56, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"\0\1\0\4\0\0\0\0"
    for _ in range(1000):
        line.say(framed(19, pack("!HH4x", 1, 1) + flow, number))
    assert line.session.closed == "dump is larger than 10000 bytes"


def test_a_dump_of_nothing_without_end_is_ended_too() -> None:
    line = Line(limits=Limits(dump_bytes=10_000))
    line.session.dump()
    number = line.session.reserve(0) - 1
    for _ in range(1000):
        line.say(framed(19, pack("!HH4x", 1, 1), number))
    assert line.session.closed == "dump is larger than 10000 bytes"


def test_who_asks_without_reading_is_dropped() -> None:
    line = Line(limits=Limits(unread_bytes=100_000))
    for _ in range(100):
        line.say(framed(2, bytes(5000)))
    assert line.session.closed == "peer asks much and reads nothing"


@pytest.mark.parametrize(("data", "reason"), [
    (b"GET / HTTP/1.1\r\n\r\n" * 2000, "malformed: a message of version 0x47"),
    (framed(2, b""), "the first message is not a hello"),
    (framed(1, pack("!HH", 0, 0)), "switch refuses to talk: HELLO_FAILED/INCOMPATIBLE"),
    (pack("!BBHI", 4, 0, 3, 0), "malformed: a message says that it has 3 bytes"),
    (framed(0, pack("!HH", 1, 0) + bytes(4)),
     "malformed: an element of the hello has a wrong length"),
    (framed(0) + framed(0), "a second hello"),
])
def test_garbage_ends_the_session_in_one_line(data: bytes, reason: str) -> None:
    session = Session(0.0)
    session.feed(data, 0.0)
    while session.step() is not None:
        pass
    assert session.closed == reason


def test_a_malformed_dump_ends_the_session() -> None:
    line = Line()
    line.session.dump()
    line.say(framed(19, pack("!HH4x", 1, 0) + bytes(56), line.session.reserve(0) - 1))
    assert line.session.closed == "malformed: an entry has a wrong length"
