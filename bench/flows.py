"""Ten rules in an atomic bundle, by the shortest way there is: what a change costs without Tenet.

Owns just as much OpenFlow 1.3 as that takes, over a bridge's management socket (ovs-vswitchd(8)).
"""

from __future__ import annotations

import socket
import struct

from bench.laboratory import Broken
from hypervisor import Hypervisor

HELLO, EXPERIMENTER, FLOW_MOD = 0, 4, 14
ONF, CONTROL, ADD = 0x4F4E4600, 2300, 2301
OPEN, CLOSE, COMMIT, COMMITTED = 0, 2, 4, 5
ATOMIC_ORDERED = 3
ANY = 0xFFFFFFFF
REGISTER_0 = 0x00010004


class Bridge:
    """A connection to a bridge, greeted."""

    def __init__(self, home: Hypervisor, bridge: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(home.path(f"/run/openvswitch/{bridge}.mgmt"))
        self._socket.sendall(message(HELLO, b""))
        self._receive()

    def add(self, count: int) -> None:
        """Add so many rules that drop; return when the switch has confirmed them."""
        rules = [bundle(ADD, 0, rule(number)) for number in range(count)]
        self._socket.sendall(b"".join([
            bundle(CONTROL, OPEN), *rules, bundle(CONTROL, CLOSE), bundle(CONTROL, COMMIT)]))
        while True:
            kind, body = self._receive()
            if kind == 1:
                raise Broken(f"OpenFlow error {body.hex()}")
            if kind == EXPERIMENTER and struct.unpack_from("!4xI4xH", body) == (CONTROL, COMMITTED):
                return

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> tuple[int, bytes]:
        kind, length = struct.unpack("!xBH4x", self._exactly(8))
        return kind, self._exactly(length - 8)

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise Broken("the switch closed the connection")
            data += more
        return data


def message(kind: int, body: bytes) -> bytes:
    return struct.pack("!BBHI", 4, kind, 8 + len(body), 1) + body


def bundle(kind: int, control: int, inner: bytes = b"") -> bytes:
    head = struct.pack("!III", ONF, kind, 1)
    return message(EXPERIMENTER, head + struct.pack("!HH", control, ATOMIC_ORDERED) + inner)


def rule(number: int) -> bytes:
    """A rule for one value of register 0; without instructions it drops."""
    match = struct.pack("!HHII4x", 1, 12, REGISTER_0, number)
    return message(FLOW_MOD, struct.pack("!QQBBHHHIIIHxx", 0, 0, 0, 0, 0, 0, 2, ANY, ANY, ANY, 0)
                   + match)
