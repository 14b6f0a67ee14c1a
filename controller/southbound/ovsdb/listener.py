"""The sockets: every hypervisor's ovsdb-server connects to one `OvsdbListener`.

Owns accepting, reading and writing, the clock, and which connection speaks for a system-id.
Whatever a peer does ends at worst its own connection, with one line in the log.

The one idea: each connection has one green thread that reads in small turns and gives way after
each, and one that writes; all that they decide is decided in `ChassisSession`.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

import eventlet
from eventlet import event
from eventlet.green import socket

from controller.southbound.chassis_facts import ChassisFact
from controller.southbound.ovsdb.framing import FramingError
from controller.southbound.ovsdb.replica import ReplicaError
from controller.southbound.ovsdb.rpc import Limits, PeerError
from controller.southbound.ovsdb.session import ChassisSession

LOG = logging.getLogger(__name__)

TURN = 1 << 16  # Bytes read before others have their turn.
MAX_CONNECTIONS = 4096
MAX_UNKNOWN_PER_ADDRESS = 64  # Connections that have not yet said which chassis they are.
CONTEST = 2.0  # How long a connection may be silent when another claims its system-id.
CONTEST_TURN = 0.02
LINES_AT_ONCE = 20  # Log lines about peers, and
LINES_PER_SECOND = 2.0  # how many more of them each second.


class OvsdbListener:
    """Listens; tells of chassis by `on_fact`, and by `on_disconnect` when one has gone."""

    def __init__(
        self,
        host: str,
        port: int,
        openflow_target: Callable[[str], str],
        on_fact: Callable[[ChassisFact], None],
        on_disconnect: Callable[[str], None],
        limits: Limits = Limits(),
        contest: float = CONTEST,
    ) -> None:
        self.host = host
        self.port = port  # After `start`, the real one where 0 was asked for.
        self.openflow_target = openflow_target
        self.on_fact = on_fact
        self.on_disconnect = on_disconnect
        self.limits = limits
        self.contest = contest
        self.lines = LogQuota()
        self._socket: socket.socket | None = None
        self._acceptor: eventlet.greenthread.GreenThread | None = None
        self._connections: set[Connection] = set()
        self._speakers: dict[str, Connection] = {}

    def start(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._socket = eventlet.listen(
            (self.host, self.port), family, backlog=512, reuse_port=False)
        self.port = self._socket.getsockname()[1]
        self._acceptor = eventlet.spawn(self._accept)
        LOG.info("OVSDB: listening on %s port %d", self.host or "all addresses", self.port)

    def stop(self) -> None:
        if self._acceptor is not None:
            self._acceptor.kill()
        if self._socket is not None:
            self._socket.close()
        for connection in list(self._connections):
            connection.close("the controller stops")

    @property
    def connected(self) -> frozenset[str]:
        """The system-ids of the chassis that are connected now."""
        return frozenset(self._speakers)

    def _accept(self) -> None:
        assert self._socket is not None
        while True:
            try:
                accepted, address = self._socket.accept()
            except OSError as error:  # No file descriptors left: others may end meanwhile.
                self.lines.warning("OVSDB: cannot accept: %s", error)
                eventlet.sleep(0.5)
                continue
            self._accepted(accepted, plain_address(address[0]), address[1])

    def _accepted(self, accepted: socket.socket, address: str, port: int) -> None:
        unknown = Counter(connection.address for connection in self._connections
                          if connection.system_id is None)
        if (len(self._connections) >= MAX_CONNECTIONS
                or unknown[address] >= MAX_UNKNOWN_PER_ADDRESS):
            self.lines.warning("OVSDB: refused %s: too many connections", address)
            accepted.close()
            return
        connection = Connection(self, accepted, address, port)
        self._connections.add(connection)
        eventlet.spawn(connection.run)

    # Which connection speaks for a chassis

    def claim(self, system_id: str, claimant: Connection) -> bool:
        """Make the claimant the chassis' voice, unless another that lives is it already.

        Blocks for at most `contest` seconds, while the other one is asked for an echo.
        """
        other = self._speakers.get(system_id)
        if other is not None:
            asked = time.monotonic()
            other.probe()
            for _ in range(int(self.contest / CONTEST_TURN)):  # Turns: time passes in stalls, too.
                if other.closed or other.session.rpc.last_received > asked:
                    break
                eventlet.sleep(CONTEST_TURN)
            else:
                other.close(f"silent, and {claimant} claims its system-id")
            if claimant.closed or self._speakers.get(system_id) is not None:
                return False
        self._speakers[system_id] = claimant
        return True

    def release(self, connection: Connection) -> None:
        """Nobody speaks for the connection's chassis any more."""
        system_id, connection.system_id = connection.system_id, None
        if system_id is not None and self._speakers.get(system_id) is connection:
            del self._speakers[system_id]
            self.tell(self.on_disconnect, system_id)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self.release(connection)

    @staticmethod
    def tell(callback: Callable[..., None], *arguments: object) -> None:
        """An error of the consumer's is logged, and costs no peer its connection."""
        try:
            callback(*arguments)
        except Exception:
            LOG.exception("OVSDB: %s failed", getattr(callback, "__qualname__", callback))


class Connection:
    """One accepted socket."""

    def __init__(
        self, listener: OvsdbListener, accepted: socket.socket, address: str, port: int
    ) -> None:
        self.listener = listener
        self.address = address
        self.port = port
        self.system_id: str | None = None
        self.closed = False
        self._socket = accepted
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._writable = event.Event()
        local = plain_address(accepted.getsockname()[0])
        self.session = ChassisSession(
            listener.openflow_target(local), time.monotonic(), listener.limits)

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else (
            f"{self.address}:{self.port}")

    def run(self) -> None:
        eventlet.spawn(self._write)
        try:
            self._read()
        except (PeerError, FramingError, ReplicaError) as error:
            self.close(str(error))
        except OSError as error:
            self.close(error.strerror or str(error))
        except Exception:
            LOG.exception("OVSDB: %s: an error of ours", self)
            self.close("an error of ours")

    def _read(self) -> None:
        while not self.closed:
            wait = self.session.deadline() - time.monotonic()
            data = None
            with eventlet.Timeout(max(wait, 0.001), False):
                data = self._socket.recv(TURN)
            if data is None:
                data = self._received_meanwhile()
            if self.closed:
                return
            if data == b"":
                self.close("closed by the peer")
                return
            now = time.monotonic()
            if data:
                self.session.receive(data, now)
            self.session.tick(now)
            self._work()
            if data and len(data) == TURN:
                eventlet.sleep(0)

    def _received_meanwhile(self) -> bytes | None:
        """What came while this process was busy elsewhere: no silence of the peer's."""
        try:
            data: bytes = self._socket.fd.recv(TURN)
            return data
        except BlockingIOError:
            return None

    def _work(self) -> None:
        """Everything that follows from what was received or from the time."""
        settings = self.session.settings
        if settings is not None and settings.system_id != self.system_id:
            self.session.admitted = False
            self.listener.release(self)
            if not self.listener.claim(settings.system_id, self):
                raise PeerError(f"another connection is chassis {self.session.label}")
            self.system_id = settings.system_id
            self.session.admitted = True
            LOG.info("chassis %s: connected from %s, Open vSwitch %s, encapsulation %s",
                     self.session.label, self, settings.ovs_version or "unknown",
                     f"{', '.join(settings.encap_types)} from {settings.encap_ip}"
                     if settings.encap_types else "none")
        self.session.keep_order(time.monotonic())
        self.flush()
        fact = self.session.take_fact(time.monotonic())
        if fact is not None:
            self.listener.tell(self.listener.on_fact, fact)

    def probe(self) -> None:
        try:
            self.session.rpc.probe(time.monotonic())
            self.flush()
        except PeerError as error:
            self.close(str(error))

    def flush(self) -> None:
        """Wake the writer, when there is something to write."""
        if self.session.rpc.output and not self._writable.ready():
            self._writable.send()

    def _write(self) -> None:
        output = self.session.rpc.output
        try:
            while not self.closed:
                if not output:
                    self._writable = event.Event()
                    self._writable.wait()
                    continue
                sent = self._socket.send(bytes(output[:TURN]))
                del output[:sent]
        except OSError as error:
            self.close(error.strerror or str(error))

    def close(self, reason: str) -> None:
        """End the connection, now; tells who waits for the chassis."""
        if self.closed:
            return
        self.closed = True
        if not self._writable.ready():
            self._writable.send()
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # The peer was faster.
        self._socket.close()
        if self.system_id is not None:
            LOG.warning("chassis %s: disconnected from %s: %s", self.session.label, self, reason)
        else:
            self.listener.lines.warning("OVSDB: dropped %s: %s", self, reason)
        self.listener.closed(self)


class LogQuota:
    """Warnings about strangers, so many and no more: else filling our disk costs them nothing."""

    def __init__(self) -> None:
        self._left = float(LINES_AT_ONCE)
        self._at = time.monotonic()
        self._dropped = 0

    def warning(self, line: str, *arguments: object) -> None:
        now = time.monotonic()
        self._left = min(float(LINES_AT_ONCE), self._left + (now - self._at) * LINES_PER_SECOND)
        self._at = now
        if self._left < 1:
            self._dropped += 1
            return
        self._left -= 1
        if self._dropped:
            LOG.warning("OVSDB: %d more lines like the next were left out", self._dropped)
            self._dropped = 0
        LOG.warning(line, *arguments)


def plain_address(address: str) -> str:
    """An IPv4 address as such, also where it came to an IPv6 socket."""
    return address.removeprefix("::ffff:") if "." in address else address
