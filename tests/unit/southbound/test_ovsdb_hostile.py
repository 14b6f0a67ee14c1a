"""Hostile peers on real sockets: each harms its own connection, and a good one never notices."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from controller.southbound.chassis_facts import ChassisFact
from controller.southbound.ovsdb import Limits
from tests.listening import ListeningThread
from tests.ovsdb_peer import IDS, SYSTEM_ID, Database, message, notification

LIMITS = Limits(probe_after=0.3, silence=0.3, message_time=0.5, reply_time=0.8,
                max_output=1 << 17, max_message=1 << 20)


def wait_for(what: Callable[[], object], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


class Listening(ListeningThread):
    """A listener in its own thread that has little patience."""

    def __init__(self) -> None:
        super().__init__(limits=LIMITS, contest=0.5)

    def connect(self, buffer: int = 0) -> socket.socket:
        peer = socket.socket()
        if buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        peer.settimeout(10)
        peer.connect(("127.0.0.1", self.listener.port))
        return peer

    def logged(self, words: str) -> bool:
        return any(words in line for line in self.log)


class GoodPeer:
    """A well-behaved hypervisor in a thread: answers everything, and measures its echoes."""

    def __init__(self, listening: Listening, external_ids: dict[str, str]) -> None:
        self.database = Database(external_ids)
        self.socket = listening.connect()
        self.mute = False
        self.closed = False
        self.slowest = 0.0
        self._asked = 0.0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        decoder, text = json.JSONDecoder(), ""
        with contextlib.suppress(OSError):
            while data := self.socket.recv(1 << 16):
                text += data.decode()
                while text and not self.mute:
                    try:
                        request, end = decoder.raw_decode(text)
                    except ValueError:
                        break
                    text = text[end:]
                    self._answer(request)
        self.closed = True

    def _answer(self, request: dict[str, object]) -> None:
        if "method" not in request:
            self.slowest = max(self.slowest, time.monotonic() - self._asked)
            return
        result: object = request["params"]
        if request["method"] == "monitor_cond":
            result = self.database.dump()
        elif request["method"] == "transact":
            result = self.database.transact(request["params"][1:])  # type: ignore[index]
            self.socket.sendall(notification(self.database.news()))
        self.socket.sendall(message(id=request["id"], result=result, error=None))

    def ask(self) -> None:
        self._asked = time.monotonic()
        self.socket.sendall(message(id="mine", method="echo", params=[]))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join(5)


@pytest.fixture
def listening() -> Iterator[Listening]:
    listening = Listening()
    try:
        yield listening
    finally:
        listening.stop()


@pytest.fixture
def good(listening: Listening) -> Iterator[GoodPeer]:
    peer = GoodPeer(listening, IDS)
    try:
        wait_for(lambda: "tenet-vxlan" in peer.database.names("Port"))
        yield peer
        peer.slowest = 0.0
        peer.ask()
        wait_for(lambda: peer.slowest > 0)
        assert not peer.closed and peer.slowest < 1 and listening.gone == []
    finally:
        peer.close()


def is_closed(peer: socket.socket, seconds: float = 5.0) -> bool:
    """Whether the other side has ended the connection (what it sent before does not matter)."""
    peer.settimeout(seconds)
    try:
        while peer.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def pour(peer: socket.socket, data: bytes, most: int = 64 << 20) -> None:
    """Send it again and again until the connection is closed."""
    sent = 0
    with contextlib.suppress(OSError):
        while sent < most:
            peer.sendall(data)
            sent += len(data)
    assert sent < most, "nobody stopped it"


@pytest.mark.parametrize(("data", "why"), [
    (b"\x00" * 100, "opening brace"),
    (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "opening brace"),
    (b'{"id":' + b"[" * 200_000, "nested deeper"),
    (b'{"id":1,"result":{"a":NaN},"error":null}', "NaN"),
    (b'{"id":1,"result":{"Bridge":7},"error":null}', "not an object"),
    (b'{"id":1,"result":{"Bridge":{"x":{}}},"error":null}', "UUID"),
    (b'{"id":12345,"result":[],"error":null}', "nothing that was asked"),
    (b'{"method":"update2","params":["tenet",{}],"id":null}', "not asked for"),
    (b'{"id":1,"result":{},"error":{"\\u001b[2J":"x"}}', "refuses monitor_cond"),
])
def test_nonsense_ends_its_own_connection(
    listening: Listening, good: GoodPeer, data: bytes, why: str
) -> None:
    peer = listening.connect()
    peer.sendall(data)
    assert is_closed(peer)
    wait_for(lambda: listening.logged(why))
    assert all(line.isprintable() for line in listening.log)


def test_a_message_without_an_end(listening: Listening, good: GoodPeer) -> None:
    peer = listening.connect()
    peer.sendall(b'{"a":"')
    pour(peer, b"x" * 65536)
    wait_for(lambda: listening.logged("longer than"))


def test_nested_arrays_without_an_end(listening: Listening, good: GoodPeer) -> None:
    peer = listening.connect()
    peer.sendall(b'{"a":')
    pour(peer, b"[" * 65536)


def test_silence(listening: Listening, good: GoodPeer) -> None:
    """A peer that says nothing, and one that is gone without a word, look the same."""
    start = time.monotonic()
    assert is_closed(listening.connect())
    assert time.monotonic() - start < 2
    wait_for(lambda: listening.logged("silent") or listening.logged("no reply"))


def test_a_trickle_without_a_dump(listening: Listening, good: GoodPeer) -> None:
    peer = listening.connect()
    with pytest.raises(OSError):
        for _ in range(200):
            peer.sendall(b" ")
            time.sleep(0.05)


def test_never_reading(listening: Listening, good: GoodPeer) -> None:
    peer = listening.connect(buffer=4096)
    pour(peer, message(id=1, method="echo", params=["x" * 10_000]))
    wait_for(lambda: listening.logged("does not read") or listening.logged("no reply"))


def test_endless_updates(listening: Listening, good: GoodPeer) -> None:
    """A database that grows for ever is cut off; until then others have their turns."""
    peer = GoodPeer(listening, {**IDS, "system-id": "grower"})
    wait_for(lambda: "grower" in listening.listener.connected)
    with contextlib.suppress(OSError):
        for number in range(1000):
            rows = {f"{number:08x}-0000-4000-8000-{index:012x}":
                    {"insert": {"name": f"{number}-{index}"}} for index in range(1000)}
            peer.socket.sendall(notification({"Port": rows}))
            if number % 10 == 0:
                good.ask()
    wait_for(lambda: listening.logged("larger than a hypervisor's"), 30)
    wait_for(lambda: listening.gone == ["grower"])
    listening.gone.clear()
    assert 0 < good.slowest < 0.5
    peer.close()


def test_flapping_interfaces_leave_time_for_others(listening: Listening, good: GoodPeer) -> None:
    peer = GoodPeer(listening, {**IDS, "system-id": "flapper"})
    wait_for(lambda: "tenet-vxlan" in peer.database.names("Port"))
    peer.database.plug("tap0", ofport=1, external_ids={"iface-id": "p"})
    peer.socket.sendall(notification(peer.database.news()))
    uuid = peer.database.named("Interface", "tap0")
    told = len(listening.facts)
    start = time.monotonic()
    for number in range(5000):
        update = {"Interface": {uuid: {"modify": {"ofport": 2 + number % 2}}}}
        peer.socket.sendall(notification(update))
        if number % 500 == 0:
            good.ask()
    wait_for(lambda: good.slowest > 0)
    assert good.slowest < 2.0
    assert len(listening.facts) - told <= 200 * (time.monotonic() - start) + 5
    peer.close()
    wait_for(lambda: listening.gone == ["flapper"])
    listening.gone.clear()


def test_resets_and_half_closes(listening: Listening, good: GoodPeer) -> None:
    for _ in range(50):
        peer = listening.connect()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    peer = listening.connect()
    peer.shutdown(socket.SHUT_WR)
    assert is_closed(peer)
    wait_for(lambda: len(listening.listener._connections) == 1)


def test_too_many_unknown_connections(listening: Listening, good: GoodPeer) -> None:
    peers = [listening.connect() for _ in range(100)]
    wait_for(lambda: listening.logged("too many connections"))
    assert len(listening.listener._connections) <= 65
    for peer in peers:
        peer.close()
    assert len(listening.log) < 60  # The log is no target either.


def test_a_second_voice_for_a_chassis_that_lives_is_refused(
    listening: Listening, good: GoodPeer
) -> None:
    second = GoodPeer(listening, IDS)
    wait_for(lambda: second.closed)
    assert listening.logged("another connection is chassis")
    assert "br-int" not in second.database.names("Bridge")
    second.close()


def test_a_second_voice_replaces_a_silent_one(listening: Listening) -> None:
    first = GoodPeer(listening, IDS)
    wait_for(lambda: "tenet-vxlan" in first.database.names("Port"))
    time.sleep(0.1)  # It has said all that it had to say.
    first.mute = True
    second = GoodPeer(listening, IDS)
    wait_for(lambda: "tenet-vxlan" in second.database.names("Port"))
    wait_for(lambda: first.closed)
    assert listening.gone == [SYSTEM_ID] and listening.listener.connected == {SYSTEM_ID}
    first.close()
    second.close()


def test_a_chassis_that_changes_its_system_id(listening: Listening) -> None:
    peer = GoodPeer(listening, IDS)
    wait_for(lambda: "tenet-vxlan" in peer.database.names("Port"))
    peer.database.change("Open_vSwitch", peer.database.root,
                         external_ids={**IDS, "system-id": "renamed"})
    peer.socket.sendall(notification(peer.database.news()))
    wait_for(lambda: listening.facts and listening.facts[-1].system_id == "renamed")
    assert listening.gone == [SYSTEM_ID] and listening.listener.connected == {"renamed"}
    peer.close()
    wait_for(lambda: listening.gone == [SYSTEM_ID, "renamed"])


def test_a_stall_of_ours_is_no_silence_of_the_peer(listening: Listening, good: GoodPeer) -> None:
    """A probe is out, then this process is busy beyond the time limit; the answer has come."""
    second = GoodPeer(listening, {**IDS, "system-id": "second"})
    wait_for(lambda: "tenet-vxlan" in second.database.names("Port"))
    good.mute = True
    rpc = listening.listener._speakers[SYSTEM_ID].session.rpc
    wait_for(lambda: rpc._probed is not None)
    stalled = threading.Event()

    def stall(fact: ChassisFact) -> None:
        stalled.set()
        time.sleep(1)

    listening.consumer = stall
    second.database.plug("tap0", ofport=3, external_ids={"iface-id": "p"})
    second.socket.sendall(notification(second.database.news()))
    assert stalled.wait(5)
    listening.consumer = listening.facts.append
    good.mute = False
    good.ask()
    time.sleep(1.2)
    assert listening.listener.connected == {SYSTEM_ID, "second"}
    second.close()
    wait_for(lambda: listening.gone)
    listening.gone.clear()


def test_a_consumer_that_fails_costs_no_connection(listening: Listening) -> None:
    def fails(fact: ChassisFact) -> None:
        raise ValueError("not today")

    listening.consumer = fails
    peer = GoodPeer(listening, IDS)
    wait_for(lambda: "tenet-vxlan" in peer.database.names("Port"))
    listening.consumer = listening.facts.append
    peer.database.plug("tap0", ofport=3, external_ids={"iface-id": "p"})
    peer.socket.sendall(notification(peer.database.news()))
    wait_for(lambda: listening.facts and listening.facts[-1].interfaces)
    peer.close()
