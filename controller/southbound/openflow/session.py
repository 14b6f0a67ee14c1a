"""A session with one switch, without sockets and without a clock of its own.

Owns one connection's state: bytes in become events, `to_send` says what goes out, and whoever
holds the socket tells the time. Refuses a peer that breaks the protocol, floods, never reads or
falls silent, by ending: `closed` then says why in one line, and nothing else is touched.

One talk (see `talks`) goes on at a time, others wait in line; meanwhile echoes are answered and
news is passed on. What is to be sent waits as iterators and is encoded when there is room.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from controller.pipeline.actions import Actions
from controller.pipeline.rule import Key
from controller.reconciliation.differ import Plan
from controller.southbound.openflow import items, talks, wire
from controller.southbound.openflow.carriers import Malformed
from controller.southbound.openflow.messages import (
    Echo, Experimenter, FlowRemoved, Framer, Hello, Message, PacketIn, PortStatus, Refusal, read,
)
from controller.southbound.openflow.talks import Greeting, Talk, Violation

_LAST_XID = 0xF0000000
_ECHO_XID = 0xFFFFFFFE
_PACKET_XID = 0xFFFFFFFD


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer may cost; times in seconds."""

    handshake: float = 10.0
    probe_after: float = 5.0
    silence: float = 20.0
    answer: float = 60.0
    """Longest time without progress in a talk."""
    dump_bytes: int = 64 << 20
    """Some 400,000 rules."""
    unread_bytes: int = 1 << 20
    """Replies and packet-outs that may wait for a peer that does not read."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The handshake is over."""

    greeting: Greeting


@dataclass(frozen=True, slots=True)
class Done:
    """A talk has ended with `outcome`."""

    ticket: int
    outcome: Any


@dataclass(frozen=True, slots=True)
class Altered:
    """Somebody else changed these flows (none named: something may have changed)."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class News:
    """A message that nobody asked for; a refusal is one of a packet-out."""

    message: PortStatus | PacketIn | FlowRemoved | Refusal


Event = Ready | Done | Altered | News


class Session:
    """The controller's end of one connection."""

    def __init__(self, now: float, limits: Limits = Limits()) -> None:
        self.closed: str | None = None
        self.greeting: Greeting | None = None
        self.limits = limits
        self.last_heard = now
        self._started = self._progress = now
        self._probed = self._greeted = False
        self._framer = Framer()
        self._urgent = bytearray(talks.HELLO)
        self._streams: deque[Iterator[bytes]] = deque()
        self._next_xid = 1
        self._first_xid = 1
        self._tickets = 0
        self._line: deque[tuple[int, Talk]] = deque()
        self._talk: tuple[int, Talk] | None = None
        self._start(0, talks.greet(self))

    # What the holder of the socket calls.

    def feed(self, data: bytes, now: float) -> None:
        """Take bytes that the peer sent."""
        self.last_heard = now
        self._probed = False
        self._framer.feed(data)

    def step(self) -> list[Event] | None:
        """Handle one message that has come; None when there is no whole one, or all is over."""
        if self.closed is not None:
            return None
        try:
            data = self._framer.next()
            return None if data is None else self._handle(read(data))
        except Malformed as reason:
            self.close(f"malformed: {reason}")
        except Violation as reason:
            self.close(str(reason))
            self._urgent += reason.farewell
        return None

    def tick(self, now: float) -> None:
        """Notice the passing of time: probe a quiet peer, end with a silent or stuck one."""
        if self.closed is not None:
            return
        limits, quiet = self.limits, now - self.last_heard
        if self.greeting is None:
            if now - self._started > limits.handshake:
                self.close(f"handshake is not over after {limits.handshake:g} s")
        elif quiet > limits.silence:
            self.close(f"silent for {limits.silence:g} s")
        elif self._talk is not None and now - max(self._progress, self._started) > limits.answer:
            self.close(f"no answer for {limits.answer:g} s")
        elif quiet > limits.probe_after and not self._probed:
            self.probe()
        if self._talk is None:
            self._progress = now

    def to_send(self, most: int, now: float) -> bytes:
        """About `most` bytes that are to be sent next; empty when there are none."""
        out = bytes(self._urgent)
        self._urgent.clear()
        if self.closed is not None or not self._streams:
            return out
        self._progress = now
        parts, size = [out], len(out)
        while size < most and self._streams:
            chunk = next(self._streams[0], None)
            if chunk is None:
                self._streams.popleft()
            else:
                parts.append(chunk)
                size += len(chunk)
        return b"".join(parts)

    def close(self, reason: str) -> None:
        """End the session; the first reason stands."""
        if self.closed is None:
            self.closed = reason
            self._line.clear()
            self._streams.clear()
            self._talk = None

    # What the owner of the switch asks for.

    def dump(self) -> int:
        """Ask for everything that the switch holds; `Done` with this ticket brings it."""
        return self._enqueue(talks.dump(self, self.limits.dump_bytes))

    def apply(self, plan: Plan) -> int:
        """Ask for a plan to be realised; `Done` with this ticket brings Applied or Refused.

        ValueError when the plan is empty: there would be nothing to wait for.
        """
        if not plan:
            raise ValueError("an empty plan needs no switch")
        return self._enqueue(talks.apply(self, plan))

    def packet_out(self, actions: Actions, data: bytes, in_port: int) -> bool:
        """Send a frame through `actions`; False when too much is waiting already."""
        body = items.encode_packet_out(actions, data, in_port)
        if self.closed is not None or len(self._urgent) + len(data) > self.limits.unread_bytes:
            return False
        self._urgent += talks.message(body, _PACKET_XID)
        return True

    def probe(self) -> None:
        """Ask whether the peer lives; any bytes that come are an answer."""
        self._probed = True
        self._urgent += talks.simple(wire.ECHO_REQUEST, _ECHO_XID)

    # What a talk asks for (talks.Voice).

    def reserve(self, count: int) -> int:
        """The first of `count` message numbers."""
        first = self._next_xid
        self._next_xid += count
        return first

    def send(self, messages: Iterable[bytes]) -> None:
        """Queue messages, to be drawn when there is room."""
        self._streams.append(iter(messages))

    def _enqueue(self, talk: Talk) -> int:
        self._tickets += 1
        if self._talk is None and self.closed is None:
            self._start(self._tickets, talk)
        else:
            self._line.append((self._tickets, talk))
        return self._tickets

    def _start(self, ticket: int, talk: Talk) -> None:
        # Numbers wrap between talks only: a plan has at most some hundred thousand messages.
        if self._next_xid > _LAST_XID:
            self._next_xid = 1
        self._first_xid = self._next_xid
        self._talk = (ticket, talk)
        next(talk)

    def _resume(self, message: Message) -> list[Event]:
        assert self._talk is not None
        ticket, talk = self._talk
        try:
            talk.send(message)
        except StopIteration as end:
            return [self._ended(ticket, end.value)]
        return []

    def _ended(self, ticket: int, outcome: Any) -> Event:
        self._talk = None
        if self._line:
            self._start(*self._line.popleft())
        if ticket == 0:
            self.greeting = outcome
            return Ready(outcome)
        return Done(ticket, outcome)

    def _handle(self, message: Message) -> list[Event]:
        match message:
            case Hello():
                if self._greeted:
                    raise Violation("a second hello")
                self._greeted = True
                return self._resume(message)
            case Refusal() if not self._greeted:
                raise Violation(f"switch refuses to talk: {message.reason}")
            case _ if not self._greeted:
                raise Violation("the first message is not a hello")
            case Echo(type=wire.ECHO_REQUEST):
                self._answer(message)
            case Echo():
                pass
            case PortStatus() | PacketIn() | FlowRemoved():
                return [News(message)] if self.greeting else []
            case Experimenter(experimenter=wire.ONF) if message.exp_type in _MONITOR:
                return self._altered(message)
            case _ if self._talk and self._first_xid <= message.xid < self._next_xid:
                self._progress = self.last_heard
                return self._resume(message)
            case Refusal():
                return [News(message)]
        return []

    def _answer(self, echo: Echo) -> None:
        self._urgent += talks.simple(wire.ECHO_REPLY, echo.xid, echo.data)
        if len(self._urgent) > self.limits.unread_bytes:
            raise Violation("peer asks much and reads nothing")

    def _altered(self, message: Experimenter) -> list[Event]:
        if message.exp_type == wire.ONF_FLOW_MONITOR:
            keys = items.decode_updates(message.body)
            return [Altered(tuple(keys))] if keys else []
        # Open vSwitch stops reporting while we read too slowly; all may have changed meanwhile.
        return [Altered(())] if message.exp_type == wire.ONF_MONITOR_RESUMED else []


_MONITOR = {wire.ONF_FLOW_MONITOR, wire.ONF_MONITOR_PAUSED, wire.ONF_MONITOR_RESUMED}
