"""The listener: sockets of switches, and nothing else.

Owns accepting, reading, writing, the clock, and who is connected. One green thread reads and one
writes per connection, each giving way after a few milliseconds, so that no peer keeps the others
waiting; a `Session` does the thinking. Refuses a second connection with the datapath id of one
that answers, and the oldest strangers when too many connections have not said who they are.

Calls on a `SwitchConnection` block the calling green thread alone. Callbacks run in green threads
of their own: they may take their time and call back.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from struct import pack
from typing import Any

import eventlet
import eventlet.event
import eventlet.green.socket

from controller.pipeline.actions import Actions
from controller.pipeline.rule import Installed, Key
from controller.reconciliation.differ import Plan
from controller.southbound.openflow import wire
from controller.southbound.openflow.messages import PacketIn, Port, PortStatus, Refusal
from controller.southbound.openflow.session import (
    Altered, Done, Event, Limits, News, Ready, Session,
)
from controller.southbound.openflow.talks import Applied, Greeting, Refused

LOG = logging.getLogger(__name__)

READ_SIZE = 64 * 1024
WRITE_SIZE = 32 * 1024
STALL = 0.5
"""Seconds by which a timer may be late before the lateness counts as our own absence."""

TURN = 0.005
"""Seconds of work for one peer before others get their turn."""
MOST_CALLS = 256
"""Callbacks about one peer that may be under way at once."""
MOST_PORTS = 1 << 16


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection ended first: what the switch holds is unknown."""

    reason: str


@dataclass(slots=True)
class Callbacks:
    """Who wants to know. `on_lost` follows each `on_ready`, possibly while that still runs."""

    on_ready: Callable[[SwitchConnection], None]
    on_lost: Callable[[SwitchConnection, str], None]
    on_altered: Callable[[SwitchConnection], None] = field(default=lambda connection: None)
    on_port_status: Callable[[SwitchConnection, PortStatus], None] = field(
        default=lambda connection, status: None)
    on_packet_in: Callable[[SwitchConnection, PacketIn], None] = field(
        default=lambda connection, packet: None)


class SwitchConnection:
    """One connection of a switch."""

    def __init__(self, sock: Any, peer: str, limits: Limits, callbacks: Callbacks,
                 admit: Callable[[SwitchConnection], None],
                 forget: Callable[[SwitchConnection], None]) -> None:
        self.peer = peer
        self.ports: dict[int, Port] = {}
        self.admitted = False
        self.ended = eventlet.event.Event()
        self._socket = sock
        self._callbacks = callbacks
        self._admit, self._forget = admit, forget
        self._stalled = 0.0
        self._session = Session(self._now(), limits)
        self._waiting: dict[int, eventlet.event.Event] = {}
        self._work: eventlet.event.Event | None = None
        self._altered = self._telling = False
        self._calls = 0
        self._writer = eventlet.spawn(self._write)
        self._timer = eventlet.spawn(self._tick)
        eventlet.spawn_n(self._read)

    def __str__(self) -> str:
        if self._session.greeting is None:
            return f"connection from {self.peer}"
        return f"switch {self.datapath_id:016x} at {self.peer}"

    def _now(self) -> float:
        """The time that peers are judged by: it stands still while this process does."""
        return time.monotonic() - self._stalled

    @property
    def greeting(self) -> Greeting:
        """What the switch said of itself."""
        assert self._session.greeting is not None
        return self._session.greeting

    @property
    def datapath_id(self) -> int:
        """The switch's number."""
        return self.greeting.features.datapath_id

    @property
    def closed(self) -> str | None:
        """Why the connection ended, or None."""
        return self._session.closed

    def dump(self) -> dict[Key, Installed] | Lost:
        """Everything that the switch holds, by key."""
        outcome: dict[Key, Installed] | Lost = self._wait(self._session.dump)
        return outcome

    def apply(self, plan: Plan) -> Applied | Refused | Lost:
        """Realise a plan; returns when the switch has confirmed or refused it."""
        if not plan:
            return Applied(plan)
        outcome: Applied | Refused | Lost = self._wait(lambda: self._session.apply(plan))
        return outcome

    def packet_out(self, actions: Actions, data: bytes,
                   in_port: int = wire.PORT_CONTROLLER) -> bool:
        """Send a frame through `actions`; False when the switch does not keep up."""
        taken = self._session.packet_out(actions, data, in_port)
        self._wake()
        return taken

    def answers(self, within: float) -> bool:
        """Whether the peer shows life within so many seconds after being asked for it."""
        asked = self._now()
        self._session.probe()
        self._wake()
        while self.closed is None and self._now() < asked + within:
            eventlet.sleep(0.02)
            if self._session.last_heard > asked:
                return self.closed is None
        return False

    def close(self, reason: str) -> None:
        """End the connection, saying why."""
        self._session.close(reason)
        self._hang_up()

    def _wait(self, ask: Callable[[], int]) -> Any:
        if self.closed is not None:
            return Lost(self.closed)
        done = eventlet.event.Event()
        self._waiting[ask()] = done
        self._wake()
        return done.wait()

    def _wake(self) -> None:
        if self._work is not None and not self._work.ready():
            self._work.send(None)

    def _hang_up(self) -> None:
        # Ends a recv and a sendall that may be waiting in the two green threads.
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def _read(self) -> None:
        session = self._session
        try:
            while session.closed is None:
                data = self._socket.recv(READ_SIZE)
                if not data:
                    session.close("closed by the switch")
                    break
                session.feed(data, self._now())
                self._handle_all()
        except OSError as reason:
            session.close(f"connection broke: {reason.strerror or reason}")
        except Exception:
            LOG.exception("%s: internal error", self)
            session.close("internal error")
        self._end()

    def _handle_all(self) -> None:
        turn_ends = time.monotonic() + TURN
        while (events := self._session.step()) is not None:
            for event in events:
                self._deliver(event)
            if time.monotonic() > turn_ends:
                self._wake()
                eventlet.sleep(0)
                turn_ends = time.monotonic() + TURN
        self._wake()

    def _deliver(self, event: Event) -> None:
        match event:
            case Ready(greeting):
                self.ports = {port.number: port for port in greeting.ports}
                eventlet.spawn_n(self._admit, self)
            case Done(ticket, outcome):
                self._waiting.pop(ticket).send(outcome)
            case Altered():
                self._altered = True
                if not self._telling:
                    self._telling = True
                    eventlet.spawn_n(self._tell_altered)
            case News(message):
                self._news(message)

    def _news(self, message: Any) -> None:
        match message:
            case PortStatus(reason=1):
                self.ports.pop(message.port.number, None)
            case PortStatus():
                self.ports[message.port.number] = message.port
            case PacketIn() if self._calls < MOST_CALLS:
                self._call(self._callbacks.on_packet_in, self, message)
            case Refusal():
                LOG.warning("%s: refuses a packet-out: %s", self, message.reason)
        if isinstance(message, PortStatus):
            if self._calls >= MOST_CALLS or len(self.ports) > MOST_PORTS:
                self._session.close("more news of ports than can be followed")
            self._call(self._callbacks.on_port_status, self, message)

    def _tell_altered(self) -> None:
        # One call at a time, and another one if more has happened meanwhile. Before the switch
        # is admitted there is nothing to tell: whoever takes it over dumps it first.
        while self._altered and self.closed is None:
            self._altered = False
            if self.admitted:
                run(self._callbacks.on_altered, self)
        self._telling = False

    def _call(self, callback: Callable[..., None], *arguments: Any) -> None:
        if self.admitted:
            self._calls += 1
            eventlet.spawn_n(self._run, callback, *arguments)

    def _run(self, callback: Callable[..., None], *arguments: Any) -> None:
        run(callback, *arguments)
        self._calls -= 1

    def _write(self) -> None:
        session = self._session
        try:
            while session.closed is None:
                data = session.to_send(WRITE_SIZE, self._now())
                if data:
                    self._socket.sendall(data)
                    eventlet.sleep(0)
                else:
                    self._work = eventlet.event.Event()
                    self._work.wait()
        except OSError as reason:
            self.close(f"connection broke: {reason.strerror or reason}")

    def _tick(self) -> None:
        while self.closed is None:
            pause, asleep = min(1.0, self._session.limits.probe_after / 2), self._now()
            eventlet.sleep(pause)
            overslept = self._now() - asleep - pause
            if overslept > STALL:
                self._stalled += overslept
            self._session.tick(self._now())
            self._wake()
        self._hang_up()

    def _end(self) -> None:
        reason = self.closed or ""
        self._say_farewell()
        if self._session.greeting is not None:
            # What a peer has not read must not stay in the kernel for minutes: reset.
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        self._writer.kill()
        self._timer.kill()
        self._socket.close()
        waiting, self._waiting = self._waiting, {}
        for done in waiting.values():
            done.send(Lost(reason))
        self._forget(self)
        LOG.log(logging.INFO if self.admitted else logging.WARNING, "%s: %s", self, reason)
        self._call(self._callbacks.on_lost, self, reason)
        self.ended.send(None)

    def _say_farewell(self) -> None:
        # A refused hello is answered with the reason, if the peer takes it without waiting.
        last = self._session.to_send(4096, self._now())[:4096]
        try:
            if last and self._session.greeting is None:
                self._socket.settimeout(0.2)
                self._socket.send(last)
        except OSError:
            pass


def run(callback: Callable[..., None], *arguments: Any) -> None:
    """Call back; what goes wrong there is logged and ends nothing."""
    try:
        callback(*arguments)
    except Exception:
        LOG.exception("callback %s failed", getattr(callback, "__name__", callback))


class Listener:
    """Accepts switches on (host, port) and keeps one connection per datapath id."""

    def __init__(self, host: str, port: int, callbacks: Callbacks, limits: Limits = Limits(),
                 most_strangers: int = 256, probe: float = 2.0) -> None:
        self.connections: dict[int, SwitchConnection] = {}
        self._strangers: dict[SwitchConnection, None] = {}
        self._callbacks, self._limits = callbacks, limits
        self._most_strangers, self._probe = most_strangers, probe
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = eventlet.listen((host, port), family=family, backlog=512)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._acceptor = eventlet.spawn(self._accept)
        LOG.info("listening for switches on %s port %d", *self.address)

    def close(self) -> None:
        """Stop listening and end every connection."""
        self._acceptor.kill()
        self._socket.close()
        for connection in [*self.connections.values(), *self._strangers]:
            connection.close("controller ends")

    def _accept(self) -> None:
        while True:
            try:
                sock, address = self._socket.accept()
                self._welcome(sock, address)
                eventlet.sleep(0)
            except OSError as reason:
                LOG.warning("cannot accept a switch: %s", reason)
                eventlet.sleep(0.1)

    def _welcome(self, sock: Any, address: Any) -> None:
        if len(self._strangers) >= self._most_strangers:
            oldest = next(iter(self._strangers))
            del self._strangers[oldest]
            oldest.close("too many connections without a handshake")
        connection = SwitchConnection(self._wrap(sock), f"{address[0]}:{address[1]}",
                                      self._limits, self._callbacks, self._admit, self._forget)
        self._strangers[connection] = None

    @staticmethod
    def _wrap(sock: Any) -> Any:
        """Everything that stands between a switch and its bytes is set up here."""
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def _forget(self, connection: SwitchConnection) -> None:
        self._strangers.pop(connection, None)
        if connection.admitted and self.connections.get(connection.datapath_id) is connection:
            del self.connections[connection.datapath_id]

    def _admit(self, connection: SwitchConnection) -> None:
        number = connection.datapath_id
        while (old := self.connections.get(number)) is not None:
            if old.closed is None and old.answers(self._probe):
                LOG.warning("%s: refused, %s is connected and answers", connection, old)
                connection.close("its datapath id is connected already")
                return
            LOG.warning("%s: replaced by %s", old, connection)
            old.close("silent, replaced by a new connection")
            old.ended.wait()
        if connection.closed is not None:
            return
        self._strangers.pop(connection, None)
        self.connections[number] = connection
        connection.admitted = True
        LOG.info("%s: connected (%s)", connection, connection.greeting.description.software)
        if not connection.greeting.watches:
            LOG.warning("%s: does not report changes made by others", connection)
        run(self._callbacks.on_ready, connection)
