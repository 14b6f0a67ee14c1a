"""A switch's end of an OpenFlow connection, without sockets: what it is sent, it holds.

It keeps messages as bytes, so that it shares nothing with the codec but the places of a few
numbers. `refuse` may be set to object to single messages, as a switch does when they are added to
a bundle or, with `at_commit`, when the bundle is committed.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import pack, unpack_from

Objection = tuple[int, int]
Place = tuple[object, ...]
ONF, NICIRA = 0x4F4E4600, 0x2320


def framed(kind: int, body: bytes = b"", xid: int = 0, version: int = 4) -> bytes:
    """A message with its header."""
    return pack("!BBHI", version, kind, 8 + len(body), xid) + body


class Peer:
    """A well-behaved switch, unless told otherwise."""

    def __init__(self, dpid: int = 0xAA, bitmap: int = 1 << 4, nicira: bool = True,
                 watches: bool = True) -> None:
        self.dpid, self.bitmap = dpid, bitmap
        self.nicira, self.watches = nicira, watches
        self.refuse: Callable[[int, bytes], Objection | None] = lambda kind, body: None
        self.at_commit = False
        self.held: dict[Place, bytes] = {}
        self.seen: list[int] = []
        self.echoes = 0
        self._bundle: list[tuple[int, int, bytes]] | None = None
        self._buffer = b""

    def hello(self) -> bytes:
        """What a switch says first."""
        return framed(0, pack("!HHI", 1, 8, self.bitmap), version=self.bitmap.bit_length() - 1)

    def receive(self, data: bytes) -> bytes:
        """The answers to what the controller sent."""
        self._buffer += data
        answers = []
        while len(self._buffer) >= 8:
            length = unpack_from("!H", self._buffer, 2)[0]
            if len(self._buffer) < length:
                break
            message, self._buffer = self._buffer[:length], self._buffer[length:]
            answers.append(self._answer(message[1], unpack_from("!I", message, 4)[0], message[8:]))
        return b"".join(answers)

    def _answer(self, kind: int, xid: int, body: bytes) -> bytes:
        self.seen.append(kind)
        match kind:
            case 2:
                return framed(3, body, xid)
            case 3:
                self.echoes += 1
            case 4:
                return self._experimenter(xid, body)
            case 5:
                return framed(6, pack("!QIBBxxII", self.dpid, 0, 254, 0, 0x4F, 0), xid)
            case 18:
                return self._multipart(xid, body)
            case 20:
                return framed(21, b"", xid)
            case 14 | 15 | 29:
                return self._hold(kind, xid, body)
        return b""

    def _experimenter(self, xid: int, body: bytes) -> bytes:
        who, what = unpack_from("!II", body)
        if who == NICIRA:
            if not self.nicira:
                return framed(1, pack("!HH", 1, 3) + body[:56], xid)
            return framed(4, pack("!IIIH10x", NICIRA, 26, 0, 0), xid)
        if what == 2301:
            message = body[16:]
            return self._add(message[1], unpack_from("!I", message, 4)[0], message[8:])
        return self._control(xid, unpack_from("!HH", body, 12)[0])

    def _add(self, kind: int, xid: int, body: bytes) -> bytes:
        objection = None if self.at_commit else self.refuse(kind, body)
        if objection is not None:
            return framed(1, pack("!HH", *objection), xid)
        assert self._bundle is not None
        self._bundle.append((kind, xid, body))
        return b""

    def _control(self, xid: int, kind: int) -> bytes:
        bundle = self._bundle or []
        if kind == 0:
            self._bundle = []
        elif kind in (4, 6):
            self._bundle = None
        if kind == 4:
            for inner, number, body in bundle if self.at_commit else ():
                objection = self.refuse(inner, body)
                if objection is not None:
                    return framed(1, pack("!HH", *objection), number) \
                        + framed(1, pack("!HHI", 0xFFFF, 2313, ONF), xid)
            for inner, _, body in bundle:
                self._put(inner, body)
        return framed(4, pack("!IIIHH", ONF, 2300, 1, kind + 1, 3), xid)

    def _hold(self, kind: int, xid: int, body: bytes) -> bytes:
        objection = self.refuse(kind, body)
        if objection is not None:
            return framed(1, pack("!HH", *objection), xid)
        self._put(kind, body)
        return b""

    def _put(self, kind: int, body: bytes) -> None:
        if kind == 14:
            cookie, _, table, command, _, _, priority = unpack_from("!QQBBHHH", body)
            match_end = 40 + (unpack_from("!H", body, 42)[0] + 7) // 8 * 8
            place: Place = (1, table, priority, body[40:match_end])
            entry = pack("!HBxIIHHHHxxxxQQQ", len(body) + 8, table, 0, 0, priority, 0, 0, 0,
                         cookie, 0, 0) + body[40:]
            gone = command == 4
        elif kind == 15:
            place = (7, *unpack_from("!I", body, 4))
            entry, gone = pack("!H", len(body)) + body[2:], body[:2] == b"\x00\x02"
        else:
            place = (10, *unpack_from("!I", body, 4))
            entry, gone = pack("!H", len(body)) + body[2:], body[:2] == b"\x00\x02"
        if gone:
            self.held.pop(place, None)
        else:
            self.held[place] = entry

    def _multipart(self, xid: int, body: bytes) -> bytes:
        kind = unpack_from("!H", body)[0]
        if kind == 0:
            return framed(19, pack("!HH4x", 0, 0) + bytes(1056), xid)
        if kind == 0xFFFF:
            if not self.watches:
                return framed(1, pack("!HH", 1, 3), xid)
            return framed(19, pack("!HH4xII", kind, 0, ONF, 1870), xid)
        parts, part = [], b""
        for place, entry in self.held.items():
            if place[0] == kind:
                if len(part) + len(entry) > 60_000:
                    parts.append(framed(19, pack("!HH4x", kind, 1) + part, xid))
                    part = b""
                part += entry
        return b"".join(parts) + framed(19, pack("!HH4x", kind, 0) + part, xid)


def altered(key_match: bytes = b"\x00\x01\x00\x04\x00\x00\x00\x00") -> bytes:
    """The news that somebody else added a flow to table 3 with priority 9."""
    update = pack("!HHHHHHHBxQ", 24 + len(key_match), 0, 0, 9, 0, 0, 4, 3, 0) + key_match
    return framed(19, pack("!HH4xII", 0xFFFF, 0, ONF, 1870) + update)
