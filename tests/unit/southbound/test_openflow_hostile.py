"""Hostile peers over real sockets: each harms its own connection, and others are served meanwhile.

The listener runs in green threads of this process; the peers are plain sockets in threads of the
operating system, so that a listener that stops turning is seen as one.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from struct import pack
from typing import Any

import eventlet
import pytest

from controller.pipeline.actions import Output
from controller.pipeline.rule import Rule
from controller.reconciliation.differ import Plan
from controller.southbound.openflow.listener import Callbacks, Listener, Lost, SwitchConnection
from controller.southbound.openflow.session import Limits
from controller.southbound.openflow.talks import Applied
from tests.listening import wait_for
from tests.openflow_peer import Peer, altered, framed

threads: Any = eventlet.patcher.original("threading")
sockets: Any = eventlet.patcher.original("socket")
selects: Any = eventlet.patcher.original("select")
sleep: Any = eventlet.patcher.original("time").sleep

LIMITS = Limits(handshake=0.8, probe_after=0.3, silence=2.5, answer=3.0, dump_bytes=500_000,
                unread_bytes=200_000)


class Site:
    """A listener, who is connected, and what was reported."""

    def __init__(self) -> None:
        self.ready: dict[int, SwitchConnection] = {}
        self.lost: list[tuple[int, str]] = []
        self.altered: list[int] = []
        self.listener = Listener("127.0.0.1", 0, Callbacks(
            self._ready, lambda one, reason: self.lost.append((one.datapath_id, reason)),
            lambda one: self.altered.append(one.datapath_id)), LIMITS, most_strangers=5, probe=0.3)
        self.sockets: list[Any] = []
        self.served: list[Any] = []

    def _ready(self, connection: SwitchConnection) -> None:
        self.ready[connection.datapath_id] = connection

    def connect(self) -> Any:
        """A socket that has said nothing yet."""
        peer = sockets.create_connection(self.listener.address, timeout=20)
        self.sockets.append(peer)
        return peer

    def serve(self, peer: Peer, sock: Any | None = None,
              until: Callable[[], bool] = lambda: False) -> Any:
        """A switch that behaves, in a thread of its own, until told to fall silent."""
        sock = sock or self.connect()

        def run() -> None:
            try:
                sock.sendall(peer.hello())
                while not until():
                    data = sock.recv(65536)
                    if not data:
                        return
                    if not until():
                        sock.sendall(peer.receive(data))
            except OSError:
                pass

        self.served.append(threads.Thread(target=run, daemon=True))
        self.served[-1].start()
        return sock

    def wait_for(self, condition: Callable[[], Any], within: float = 5.0) -> Any:
        """Let green threads run until something is true."""
        return wait_for(condition, within)

    def switch(self, peer: Peer, **how: Any) -> SwitchConnection:
        """A switch that behaves, and its connection."""
        self.serve(peer, **how)
        connection: SwitchConnection = self.wait_for(lambda: self.ready.get(peer.dpid))
        return connection

    def close(self) -> None:
        """End everything."""
        self.listener.close()
        for sock in self.sockets:
            sock.close()
        eventlet.sleep(0.05)


@pytest.fixture
def site() -> Iterator[Site]:
    """A listener with short limits."""
    site = Site()
    yield site
    site.close()


def slowest_apply(connection: SwitchConnection, seconds: float) -> float:
    """Change one rule again and again, six times at least; how long the slowest change took."""
    slowest, number, ends = 0.0, 0, time.monotonic() + seconds
    while number < 6 or time.monotonic() < ends:
        number += 1
        started = time.monotonic()
        outcome = connection.apply(Plan((Rule(1, 1, (), (Output(number % 100 + 1),), number),)))
        assert isinstance(outcome, Applied)
        slowest = max(slowest, time.monotonic() - started)
        eventlet.sleep(0.005)
    return slowest


def greeted(site: Site, dpid: int) -> tuple[Any, Peer]:
    """A socket whose handshake is over and which nobody serves now."""
    sock, peer = site.connect(), Peer(dpid)
    done = threads.Event()
    site.serve(peer, sock, until=done.is_set)
    site.wait_for(lambda: site.ready.get(dpid))
    done.set()
    sock.sendall(framed(2, b"over"))
    eventlet.sleep(0.05)
    return sock, peer


def repeat(sock: Any, data: bytes, pause: float = 0.0) -> None:
    """Send the same for ever, in a thread, without ever reading."""
    def run() -> None:
        try:
            while True:
                sock.sendall(data)
                if pause:
                    sleep(pause)
        except OSError:
            pass
    threads.Thread(target=run, daemon=True).start()


def ended(sock: Any) -> bool:
    """Whether the controller has closed its end; reads nothing."""
    poll = selects.poll()
    poll.register(sock, selects.POLLRDHUP)
    return bool(poll.poll(0))


FLOW = pack("!HBxIIHHHHxxxxQQQ", 56, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"\0\1\0\4\0\0\0\0"


def garbage(site: Site) -> Any:
    """Bytes that are no OpenFlow."""
    sock = site.connect()
    repeat(sock, bytes(range(256)) * 64)
    return sock


def zero_lengths(site: Site) -> Any:
    """Messages that say they have no bytes."""
    sock = site.connect()
    repeat(sock, bytes(4096))
    return sock


def half_open(site: Site) -> Any:
    """Nothing, not even a hello."""
    return site.connect()


def half_a_hello(site: Site) -> Any:
    """One byte at a time, for ever."""
    sock = site.connect()
    repeat(sock, b"\x04", 0.2)
    return sock


def silence(site: Site) -> Any:
    """A good start, then nothing."""
    return greeted(site, 66)[0]


def endless_dump(site: Site) -> Any:
    """An answer to a dump of which there is always more."""
    sock, _ = greeted(site, 66)
    dumping = site.ready[66]
    eventlet.spawn(dumping.dump)
    eventlet.sleep(0.05)
    number = dumping._session.reserve(0) - 1
    repeat(sock, framed(19, pack("!HH4x", 1, 1) + FLOW * 500, number))
    return sock


def flood_of_echoes(site: Site) -> Any:
    """Questions without end, whose answers nobody reads."""
    sock, _ = greeted(site, 66)
    repeat(sock, framed(2, bytes(30_000)) * 4)
    return sock


def never_reading(site: Site) -> Any:
    """It lives, and a plan of many megabytes is waiting for it to read."""
    sock, _ = greeted(site, 66)
    rules = tuple(Rule(1, 1, (("reg1", number, 0xFFFFFFFF),), (Output(1),), 0)
                  for number in range(60_000))
    eventlet.spawn(site.ready[66].apply, Plan(rules))
    repeat(sock, framed(3, b"x"), 0.1)
    return sock


def malformed_news(site: Site) -> Any:
    """A packet-in whose match reaches beyond its end."""
    sock, _ = greeted(site, 66)
    sock.sendall(framed(10, bytes(16) + pack("!HH", 1, 0xFFFF)))
    return sock


@pytest.mark.timeout(60)
@pytest.mark.parametrize("attack", [
    garbage, zero_lengths, half_open, half_a_hello, silence, endless_dump, flood_of_echoes,
    never_reading, malformed_news])
def test_a_hostile_peer_harms_its_own_connection_only(
        site: Site, attack: Callable[[Site], Any]) -> None:
    good = site.switch(Peer(1))
    sock = attack(site)
    assert slowest_apply(good, 0.5) < 2.0
    site.wait_for(lambda: ended(sock), 8)
    assert slowest_apply(good, 0.1) < 2.0
    assert good.closed is None
    assert all(dpid == 66 for dpid, _ in site.lost)
    assert set(site.listener.connections) == {1}


@pytest.mark.timeout(60)
def test_a_flood_of_news_leaves_others_their_turn(site: Site) -> None:
    good = site.switch(Peer(1))
    sock, _ = greeted(site, 66)
    repeat(sock, altered() * 1000)
    assert slowest_apply(good, 1.5) < 2.0
    assert good.closed is None and 66 in site.altered and 1 not in site.altered


@pytest.mark.timeout(60)
def test_news_that_nobody_can_follow_end_their_connection(site: Site) -> None:
    site.listener._callbacks.on_port_status = lambda *_: eventlet.sleep(30)
    good = site.switch(Peer(1))
    sock, _ = greeted(site, 66)
    port = pack("!I4x6s2x16sII24x", 3, bytes(6), b"p3", 0, 0)
    repeat(sock, framed(12, pack("!B7x", 2) + port))
    site.wait_for(lambda: site.lost == [(66, "more news of ports than can be followed")])
    assert slowest_apply(good, 0.2) < 2.0


@pytest.mark.timeout(60)
def test_more_packets_than_can_be_handled_are_dropped(site: Site) -> None:
    seen: list[bytes] = []

    def slowly(_connection: SwitchConnection, packet: Any) -> None:
        seen.append(packet.data)
        eventlet.sleep(0.05)
    site.listener._callbacks.on_packet_in = slowly
    good = site.switch(Peer(1))
    sock, _ = greeted(site, 66)
    repeat(sock, framed(10, bytes(16) + b"\0\1\0\4\0\0\0\0" + b"\0\0" + b"frame"))
    assert slowest_apply(good, 1.0) < 2.0
    assert 0 < len(seen) < 256 * 40 and set(seen) == {b"frame"}
    assert site.ready[66]._calls <= 256 and good.closed is None


def test_many_half_open_connections_leave_room_for_a_switch(site: Site) -> None:
    strangers = [site.connect() for _ in range(40)]
    good = site.switch(Peer(1))
    assert slowest_apply(good, 0.1) < 2.0
    assert sum(ended(sock) for sock in strangers) >= 35


def test_a_second_connection_with_the_number_of_a_living_switch_is_refused(
        site: Site, caplog: pytest.LogCaptureFixture) -> None:
    good = site.switch(Peer(7))
    site.serve(Peer(7))
    site.wait_for(lambda: not site.served[1].is_alive())
    assert "refused, switch 0000000000000007" in caplog.text
    assert good.closed is None and site.ready[7] is good and not site.lost
    assert isinstance(good.apply(Plan((Rule(1, 1, (), (), 0),))), Applied)


def test_a_new_connection_replaces_a_silent_one(site: Site) -> None:
    greeted(site, 7)
    old = site.ready.pop(7)
    new = site.switch(Peer(7))
    assert new is not old
    assert old.closed == "silent, replaced by a new connection"
    assert site.lost == [(7, "silent, replaced by a new connection")]
    assert isinstance(new.apply(Plan((Rule(1, 1, (), (), 0),))), Applied)


def test_who_waits_for_a_lost_switch_is_told(site: Site) -> None:
    sock, _ = greeted(site, 7)
    waiting = eventlet.spawn(site.ready[7].dump)
    eventlet.sleep(0.05)
    sock.shutdown(socket.SHUT_RDWR)
    outcome = waiting.wait()
    assert outcome == Lost("closed by the switch")
    assert site.ready[7].apply(Plan((Rule(1, 1, (), (), 0),))) == outcome
    site.wait_for(lambda: site.lost == [(7, "closed by the switch")])


def test_a_refused_hello_is_answered_with_the_reason(site: Site) -> None:
    sock = site.connect()
    sock.sendall(framed(0, pack("!HHI", 1, 8, 2), version=1))
    received = b""
    for _ in range(100):
        eventlet.sleep(0.02)
        sock.settimeout(0)
        try:
            part = sock.recv(4096)
        except BlockingIOError:
            continue
        received += part
        if not part:
            break
    assert b"set protocols=OpenFlow13" in received


def test_a_callback_that_fails_ends_nothing(site: Site) -> None:
    def fails(connection: SwitchConnection) -> None:
        site.ready[connection.datapath_id] = connection
        raise RuntimeError("a bug elsewhere")
    site.listener._callbacks.on_ready = fails
    good = site.switch(Peer(1))
    assert slowest_apply(good, 0.1) < 2.0
