"""Hostile peers on all three ports of the running controller, while a tenant pings."""

from __future__ import annotations

import random
import socket
import statistics
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.integration.system import Cloud, Lab, eventually, losers
from tests.openflow_peer import Peer, framed

pytestmark = pytest.mark.root

OPENFLOW, OVSDB, API = 6653, 6640, 9696
SECONDS = 3.0
Attack = Callable[[socket.socket, threading.Event], None]


@pytest.fixture(scope="module")
def tenants(lab: Lab) -> Iterator[Cloud]:
    with Cloud.opened(lab) as cloud:
        cloud.tenant("red", {11: "hv1", 12: "hv2", 13: "hv3"})
        cloud.await_active()
        assert cloud.unanswered() == set()
        lab.await_realised()
        yield cloud


def talk(one: socket.socket, peer: Peer, over: threading.Event, after: bytes = b"") -> None:
    """Be a switch, then say something else for as long as anybody listens."""
    one.sendall(peer.hello())
    while not over.is_set() and 29 not in peer.seen and 18 not in peer.seen:
        one.sendall(peer.receive(one.recv(65536)))
    while after and not over.is_set():
        one.sendall(after)


def garbage(one: socket.socket, over: threading.Event) -> None:
    noise = random.Random(7)
    while not over.is_set():
        one.sendall(noise.randbytes(4096))


def silence(one: socket.socket, over: threading.Event) -> None:
    """A hundred connections that never say a word."""
    with ExitStack() as stack:
        for _ in range(100):
            more = socket.create_connection(one.getpeername(), 2)
            stack.enter_context(more)
        over.wait()


def drip(one: socket.socket, over: threading.Event) -> None:
    for octet in b"\x04\x00\x00\x08\x00\x00\x00\x00GET / HTTP/1.1\r\n" * 100:
        if over.wait(0.05):
            return
        one.send(bytes([octet]))


def zero_length(one: socket.socket, over: threading.Event) -> None:
    while not over.is_set():
        one.sendall(b"\x04\x00\x00\x00" + bytes(4))


def zero_length_after_hello(one: socket.socket, over: threading.Event) -> None:
    one.sendall(Peer().hello())
    zero_length(one, over)


def endless_replies(one: socket.socket, over: threading.Event) -> None:
    """Multipart replies with the flag that more will come, to each number in turn."""
    peer = Peer(dpid=0xBAD)
    one.sendall(peer.hello())
    xid = 0
    while not over.is_set():
        xid += 1
        body = struct.pack("!HHxxxx", 13, 1) + bytes(64 * 500)
        one.sendall(b"".join(framed(19, body, number) for number in range(1, 12)))


def flood_of_packets(one: socket.socket, over: threading.Event) -> None:
    packet = framed(10, struct.pack("!IHBBQ", 0xFFFFFFFF, 60, 0, 0, 0)
                    + b"\x00\x01\x00\x04\x00\x00\x00\x00" + bytes(2) + bytes(60))
    talk(one, Peer(dpid=0xBAD1), over, packet * 200)


def echoes_unread(one: socket.socket, over: threading.Event) -> None:
    """Ask for answers for ever, and read none of them."""
    talk(one, Peer(dpid=0xBAD2), over, framed(2, bytes(8000)) * 8)


def other_switchs_number(one: socket.socket, over: threading.Event) -> None:
    """Claim the datapath id of a switch that is connected and works."""
    talk(one, Peer(dpid=int(other_switchs_number.dpid, 16)), over)  # type: ignore[attr-defined]
    over.wait()


def deep_json(one: socket.socket, over: threading.Event) -> None:
    while not over.is_set():
        one.sendall(b'{"a":[' * 4096)


def endless_string(one: socket.socket, over: threading.Event) -> None:
    one.sendall(b'{"method":"')
    while not over.is_set():
        one.sendall(b"x" * 65536)


def database_echoes_unread(one: socket.socket, over: threading.Event) -> None:
    text = b'{"id":1,"method":"echo","params":["' + b"y" * 30000 + b'"]}'
    while not over.is_set():
        one.sendall(text)


def endless_header(one: socket.socket, over: threading.Event) -> None:
    one.sendall(b"GET /v2.0/networks HTTP/1.1\r\nHost: a\r\nX: ")
    while not over.is_set():
        one.sendall(b"z" * 65536)


def endless_body(one: socket.socket, over: threading.Event) -> None:
    one.sendall(b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: a\r\n"
                b"Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n")
    while not over.is_set():
        one.sendall(b"[" * 65536)


def answers_unread(one: socket.socket, over: threading.Event) -> None:
    while not over.is_set():
        one.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n" * 50)


ATTACKS: dict[str, list[tuple[int, Attack, int]]] = {
    "openflow": [(OPENFLOW, attack, number) for attack, number in (
        (garbage, 2), (zero_length, 2), (zero_length_after_hello, 2), (endless_replies, 2),
        (flood_of_packets, 1), (echoes_unread, 2), (other_switchs_number, 2))],
    "ovsdb": [(OVSDB, attack, number) for attack, number in (
        (garbage, 2), (deep_json, 2), (endless_string, 2), (database_echoes_unread, 2),
        (zero_length, 1))],
    "api": [(API, attack, number) for attack, number in (
        (garbage, 2), (endless_header, 2), (endless_body, 2), (answers_unread, 2))],
    "silence": [(port, attack, 2) for port in (OPENFLOW, OVSDB, API) for attack in (silence, drip)],
}


def assail(port: int, attack: Attack, over: threading.Event, counted: list[str]) -> None:
    """Connect and attack, again whenever the connection is ended."""
    while not over.is_set():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 2) as one:
            one.settimeout(2)
            counted.append(attack.__name__)
            with suppress(OSError):
                attack(one, over)
        over.wait(0.05)


def memory(lab: Lab) -> int:
    """The controller's resident memory in MiB."""
    status = Path(f"/proc/{lab.controller.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) // 1024


def latency(cloud: Cloud, times: int = 15) -> list[float]:
    """Seconds that creating and deleting a port takes."""
    red, found = cloud.tenants[0], []
    for _ in range(times):
        begun = time.monotonic()
        port = red.api.create("port", network_id=red.network["id"])
        red.api.delete("port", port["id"])
        found.append((time.monotonic() - begun) / 2)
    return found


@pytest.mark.parametrize("kind", ATTACKS)
def test_hostile_peers_harm_only_themselves(lab: Lab, tenants: Cloud, kind: str) -> None:
    before, quiet, held = statistics.median(latency(tenants)), memory(lab), lab.rules()
    other_switchs_number.dpid = tenants.hv["hv1"].vsctl(  # type: ignore[attr-defined]
        "get", "bridge", "br-int", "datapath_id").strip().strip('"')
    over, counted = threading.Event(), []
    threads = [threading.Thread(target=assail, args=(port, attack, over, counted), daemon=True)
               for port, attack, number in ATTACKS[kind] for _ in range(number)]
    reconnected, written = lab.log(0).count(": connected ("), lab.written()
    with tenants.pinging() as results:
        for thread in threads:
            thread.start()
        meanwhile, ends = [], time.monotonic() + SECONDS
        while time.monotonic() < ends:
            meanwhile += latency(tenants, 1)
        machine = tenants.tenants[0].machine(20 + list(ATTACKS).index(kind), tenants.hv["hv2"])
        took = eventually(lambda: machine.status == "ACTIVE", 10, "ACTIVE under attack")
        grown = memory(lab) - quiet
        over.set()
        for thread in threads:
            thread.join(5)
        assert not any(thread.is_alive() for thread in threads)
    assert {attack.__name__ for _, attack, _ in ATTACKS[kind]} == set(counted)
    after = statistics.median(latency(tenants))
    print(f"{kind}: {len(counted)} connections; latency before {before * 1e3:.1f} ms, during "
          f"{statistics.median(meanwhile) * 1e3:.1f} (at most {max(meanwhile) * 1e3:.0f}), after "
          f"{after * 1e3:.1f}; plugged in {took:.2f} s; memory +{grown} MiB; log "
          f"+{lab.written() - written} octets")
    assert losers(results, spared=10) == {}
    assert max(meanwhile) < 2.0
    assert after < max(5 * before, 0.05)
    assert grown < 200
    assert lab.written() - written < 400_000
    machine.unplug()
    eventually(lambda: machine.status == "DOWN", 5)
    lab.await_realised()
    assert all(one["connected"] for one in lab.switches().values())
    assert lab.rules() == held
    # No switch of ours had to connect again.
    ours = [line for line in lab.log(written).splitlines()
            if ": connected (" in line and "127.0.0.1" not in line]
    assert ours == [] and reconnected
