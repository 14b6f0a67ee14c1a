"""What guests really send and receive, seen from inside their namespaces.

Owns the raw sockets that the demonstration and the tests hold in every guest. The one idea: a
socket belongs for ever to the namespace in which it was made, so one process holds one end in
each guest and *knows* who received a frame. Guests with the same addresses cannot be confused,
which an answered ping alone would not show.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from nodes import VirtualMachine

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 0x0003
UDP_PORT = 4242
ECHO_REPLY, ECHO_REQUEST = 0, 8
PACKET_OUTGOING = 4
SOL_RAW, ICMP_FILTER, SO_RCVBUFFORCE = 255, 1, 33

_identifiers = itertools.count(os.getpid())  # one per probe: each hears only its own answers


@contextmanager
def in_network_namespace(pid: int) -> Iterator[None]:
    """Sockets made in this block, by this thread, live in the namespace of that process."""
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        yield
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(home)
        os.close(there)


@dataclass(frozen=True, slots=True)
class Eyewitness:
    """Our sockets in one guest."""

    guest: VirtualMachine
    echo: socket.socket
    datagrams: socket.socket
    frames: socket.socket

    @classmethod
    def in_guest(cls, guest: VirtualMachine) -> Eyewitness:
        with in_network_namespace(guest.pid):
            echo = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        echo.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("I", ~(1 << ECHO_REPLY) & 0xFFFFFFFF))
        for one in (echo, frames):
            # What waits here while this process waits for a processor is not lost.
            one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        datagrams.bind(("", UDP_PORT))
        for one in (echo, datagrams, frames):
            one.setblocking(False)
        return cls(guest, echo, datagrams, frames)

    def close(self) -> None:
        for one in (self.echo, self.datagrams, self.frames):
            one.close()


def received(one: socket.socket) -> Iterator[tuple[bytes, tuple[object, ...]]]:
    """All that waits in a socket."""
    while True:
        try:
            yield one.recvfrom(65535)
        except BlockingIOError:
            return


def drain(witnesses: Iterable[Eyewitness]) -> None:
    for witness in witnesses:
        for one in (witness.echo, witness.datagrams, witness.frames):
            for _ in received(one):
                pass


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def echo_request(identifier: int, sequence: int) -> bytes:
    head = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, identifier, sequence & 0xFFFF)
    data = struct.pack("!I", sequence)
    return head[:2] + struct.pack("!H", checksum(head + data)) + head[4:] + data


def echo_reply(packet: bytes, identifier: int) -> tuple[str, int] | None:
    """(source address, sequence) of an answer to us."""
    header = (packet[0] & 15) * 4
    body = packet[header:]
    if len(body) < 12 or body[0] != ECHO_REPLY:
        return None
    if struct.unpack_from("!H", body, 4)[0] != identifier:
        return None
    return socket.inet_ntoa(packet[12:16]), struct.unpack_from("!I", body, 8)[0]


Pair = tuple[VirtualMachine, VirtualMachine]


@dataclass(slots=True)
class Loss:
    """What became of a pair's pings."""

    sent: int = 0
    answered: int = 0
    silence: float = 0.0  # the longest time between two answers, or the probe's edges

    @property
    def lost(self) -> int:
        return self.sent - self.answered


class Probe:
    """Pings each of some pairs of guests at a fixed pace, in the background, and counts exactly.

    `stall` is how late it was itself at worst: where this process had to wait, others had to.
    It stops sending first and then waits for the last answers, so none is lost by looking away.
    """

    def __init__(
        self, witnesses: Mapping[VirtualMachine, Eyewitness], pairs: Collection[Pair], pace: float
    ) -> None:
        self.echoes = {source: witnesses[source].echo for source, _ in pairs}
        self.pairs = list(pairs)
        self.pace = pace
        self.results = {pair: Loss() for pair in self.pairs}
        self.stall = 0.0
        self.identifier = next(_identifiers) & 0xFFFF
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        # Who asked and which address answers name the pair: a guest asks an address once.
        self._asked = {(source, target.IP()): (source, target) for source, target in self.pairs}
        self._seen: set[tuple[Pair, int]] = set()
        self._last = dict.fromkeys(self.pairs, time.monotonic())

    def start(self) -> Probe:
        self._last = dict.fromkeys(self.pairs, time.monotonic())
        self._thread.start()
        return self

    def finish(self, patience: float = 1.0) -> dict[Pair, Loss]:
        self._stop.set()
        self._thread.join()
        ended = time.monotonic()
        self.await_answers(patience)
        for pair, result in self.results.items():
            result.silence = max(result.silence, ended - self._last[pair])
        return self.results

    def _work(self) -> None:
        """Spread the pairs over the pace: some ping is under way at every moment."""
        gap = self.pace / len(self.pairs)
        due = time.monotonic()
        for number in itertools.count():
            sequence, turn = divmod(number, len(self.pairs))
            self.send(sequence, [self.pairs[turn]])
            due += gap
            while (left := due - time.monotonic()) > 0:
                self._listen(left)
            self.stall = max(self.stall, -left)
            if self._stop.is_set():
                return

    def send(self, sequence: int, pairs: Iterable[Pair]) -> None:
        """One ping for each of these pairs."""
        packet = echo_request(self.identifier, sequence)
        for source, target in pairs:
            self.results[source, target].sent += 1
            # No neighbour or no interface: sent in vain, hence lost.
            with suppress(OSError):
                self.echoes[source].sendto(packet, (target.IP(), 0))

    def await_answers(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and any(r.lost for r in self.results.values()):
            self._listen(0.02)

    def _listen(self, patience: float) -> None:
        asked_by = {echo: source for source, echo in self.echoes.items()}
        ready, _, _ = select.select(list(asked_by), [], [], patience)
        for one in ready:
            for packet, _ in received(one):
                answer = echo_reply(packet, self.identifier)
                pair = answer and self._asked.get((asked_by[one], answer[0]))
                if answer and pair:
                    self._count(pair, answer[1])

    def _count(self, pair: Pair, sequence: int) -> None:
        if (pair, sequence) in self._seen:
            return
        self._seen.add((pair, sequence))
        now, result = time.monotonic(), self.results[pair]
        result.answered += 1
        result.silence = max(result.silence, now - self._last[pair])
        self._last[pair] = now


def answered(
    witnesses: Mapping[VirtualMachine, Eyewitness], pairs: Collection[Pair], patience: float = 3
) -> set[Pair]:
    """The pairs of which one ping is answered, each tried once."""
    probe = Probe(witnesses, pairs, pace=0)
    probe.send(0, probe.pairs)
    probe.await_answers(patience)
    return {pair for pair, result in probe.results.items() if not result.lost}


def deliveries(
    witnesses: Mapping[VirtualMachine, Eyewitness],
    letters: Mapping[tuple[VirtualMachine, str], bytes],
    patience: float = 0.5,
) -> list[tuple[VirtualMachine, bytes]]:
    """Send a marked datagram from each guest to each address; who received which mark.

    Looks at every frame that reaches a guest, so a copy that the guest's own stack would have
    thrown away counts as well.
    """
    drain(witnesses.values())
    for (source, address), mark in letters.items():
        witnesses[source].datagrams.sendto(mark, (address, UDP_PORT))
    found = []
    deadline = time.monotonic() + patience
    sockets = {witness.frames: witness.guest for witness in witnesses.values()}
    while (left := deadline - time.monotonic()) > 0:
        ready, _, _ = select.select(list(sockets), [], [], left)
        for one in ready:
            for frame, where in received(one):
                marks = [mark for mark in letters.values() if mark in frame]
                if where[2] != PACKET_OUTGOING:
                    found += [(sockets[one], mark) for mark in marks]
    return found
