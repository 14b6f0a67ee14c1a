"""JSON-RPC with one peer: requests, replies, echoes and what a peer may cost.

Owns the peer's bounds in time and in bytes waiting for it. Raises `PeerError` when one is passed;
the connection is then to be closed. Takes the time as a parameter, bytes in and gives bytes out:
there is neither clock nor socket here.

The one idea: every way in which a peer can keep us waiting (silence, half a message, no reply,
not reading) is one deadline or one size, and all of them stand in `Limits`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from controller.southbound.ovsdb.framing import MAX_DEPTH, MAX_MESSAGE, Framer, decode


class PeerError(Exception):
    """The peer does not keep to the protocol or to our limits."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes."""

    probe_after: float = 5.0  # Silence until it is asked for an echo,
    silence: float = 5.0  # and from then until it is given up.
    message_time: float = 20.0  # From a message's first byte to its last.
    reply_time: float = 20.0
    max_output: int = 1 << 20
    max_message: int = MAX_MESSAGE
    max_depth: int = MAX_DEPTH


@dataclass(frozen=True, slots=True)
class Reply:
    id: int
    result: Any
    error: Any


@dataclass(frozen=True, slots=True)
class Notification:
    method: str
    params: list[Any]


class JsonRpc:
    def __init__(self, now: float, limits: Limits) -> None:
        self.limits = limits
        self.last_received = now
        self._framer = Framer(limits.max_message, limits.max_depth)
        self._output = bytearray()
        self._partial_since: float | None = None
        self._probed: float | None = None
        self._next_id = 1
        self._waiting: dict[int, tuple[str, float]] = {}

    def receive(self, data: bytes, now: float) -> Iterator[Reply | Notification]:
        """The replies and notifications in these bytes; echo requests are answered here."""
        self.last_received = now
        self._probed = None
        messages = self._framer.receive(data)
        if not self._framer.partial:
            self._partial_since = None
        elif messages or self._partial_since is None:
            self._partial_since = now
        for raw in messages:
            message = decode(raw)
            if "method" in message:
                notification = self._called(message)
                if notification is not None:
                    yield notification
            else:
                reply = self._replied(message)
                if reply is not None:
                    yield reply

    def _called(self, message: dict[str, Any]) -> Notification | None:
        method, params, id = message["method"], message.get("params"), message.get("id")
        if not isinstance(method, str) or not isinstance(params, list):
            raise PeerError("a call without a method's name or without parameters")
        if id is None:
            return Notification(method, params)
        if method == "echo":
            self._send({"id": id, "result": params, "error": None})
        else:
            self._send({"id": id, "result": None, "error": "unknown method"})
        return None

    def _replied(self, message: dict[str, Any]) -> Reply | None:
        id = message.get("id")
        if id == "echo":
            return None
        if "result" not in message or type(id) is not int or id not in self._waiting:
            raise PeerError("a reply to nothing that was asked")
        del self._waiting[id]
        return Reply(id, message["result"], message.get("error"))

    def request(self, method: str, params: list[Any], now: float) -> int:
        id = self._next_id
        self._next_id += 1
        self._waiting[id] = (method, now)
        self._send({"id": id, "method": method, "params": params})
        return id

    def probe(self, now: float) -> None:
        """Ask the peer for a sign of life, if that has not been done since the last one."""
        if self._probed is None:
            self._probed = now
            self._send({"id": "echo", "method": "echo", "params": []})

    def _send(self, message: dict[str, Any]) -> None:
        self._output += json.dumps(message, separators=(",", ":")).encode()
        if len(self._output) > self.limits.max_output:
            raise PeerError("does not read what it is sent")

    @property
    def output(self) -> bytearray:
        """Bytes for the peer: the caller removes from the front what it has sent."""
        return self._output

    def _deadlines(self) -> Iterator[tuple[float, str]]:
        limits = self.limits
        if self._probed is not None:
            yield self._probed + limits.silence, "silent, even when asked for an echo"
        if self._partial_since is not None:
            yield self._partial_since + limits.message_time, "a message does not end"
        for method, since in self._waiting.values():
            yield since + limits.reply_time, f"no reply to {method}"

    def deadline(self) -> float:
        """When `tick` has to be called next."""
        probe = self.last_received + self.limits.probe_after
        return min([at for at, _ in self._deadlines()]
                   + ([probe] if self._probed is None else []))

    def tick(self, now: float) -> None:
        for at, reason in self._deadlines():
            if now >= at:
                raise PeerError(reason)
        if now >= self.last_received + self.limits.probe_after:
            self.probe(now)
