"""Bytes of a peer to JSON objects, within bounds.

Owns the cut of a byte stream into messages and the limits that hold before anything is decoded:
length, nesting, well-formed text. Refuses everything else with `FramingError`, after which the
stream is of no more use. Keeps no clock and no socket.

JSON-RPC over TCP has no frames: a message ends where its outermost brace closes. The one idea:
each byte is looked at once, by regular expressions that cannot backtrack, however the bytes are
cut; only then does the standard library's decoder see them.
"""

from __future__ import annotations

import json
import re
from typing import Any

MAX_MESSAGE = 8 << 20  # The first dump of 10,000 interfaces is about 4 MB.
MAX_DEPTH = 24  # OVSDB itself needs 11.

# What stands between two brackets, with up to 16 whole strings that have no escapes; and the rest
# of a string, with up to 64 escapes. Counted, since `re` keeps a state for each round of a group,
# and not possessive, since CPython 3.11 forgets to step back from a round that fails.
_BETWEEN = re.compile(rb'(?:[^"{}\[\]]*+"[^"\\]*+"){0,16}[^"{}\[\]]*+')
_IN_STRING = re.compile(rb'(?:[^"\\]*+\\.){0,64}[^"\\]*+', re.DOTALL)
_SPACE = re.compile(rb"[ \t\r\n]*+")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_QUOTE = ord('"')
_BACKSLASH = ord("\\")


class FramingError(Exception):
    """The peer's bytes are not messages, or not within bounds."""


def _no_constant(name: str) -> None:
    raise FramingError(f"{name} is not JSON")


def decode(raw: bytes) -> dict[str, Any]:
    """One message's bytes as a JSON object; every string in it can be written as UTF-8."""
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
        if _SURROGATE.search(raw):  # Half a pair decodes, and would break whoever stores it.
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as error:
        raise FramingError(f"not JSON: {error}") from None
    if not isinstance(value, dict):
        raise FramingError("a message is an object")
    return value


class Framer:
    """Collects bytes and gives out whole messages, still as bytes."""

    def __init__(self, max_message: int = MAX_MESSAGE, max_depth: int = MAX_DEPTH) -> None:
        self.max_message = max_message
        self.max_depth = max_depth
        self._buffer = bytearray()
        self._scanned = 0
        self._depth = 0
        self._in_string = False

    @property
    def partial(self) -> bool:
        """Whether a message has begun and not ended."""
        return self._depth > 0

    def receive(self, data: bytes) -> list[bytes]:
        """Add bytes and return the messages that they complete."""
        self._buffer += data
        messages = []
        begin = 0
        while (end := self._end_of_message()) is not None:
            messages.append(bytes(self._buffer[begin:end]))
            self._bound(end - begin)
            begin = end
        del self._buffer[:begin]
        self._scanned -= begin
        self._bound(len(self._buffer))
        return messages

    def _bound(self, length: int) -> None:
        if length > self.max_message:
            raise FramingError(f"a message is longer than {self.max_message} bytes")

    def _end_of_message(self) -> int | None:
        """Scan on from where the last scan ended: the offset behind a message, or None."""
        buffer, length = self._buffer, len(self._buffer)
        at = self._scanned
        if self._depth == 0:
            at = _end(_SPACE, buffer, at)
            if at < length and buffer[at] != ord("{"):
                raise FramingError("a message begins with an opening brace")
        while at < length:
            if self._in_string:
                at = _end(_IN_STRING, buffer, at)
                if at == length or (buffer[at] == _BACKSLASH and at + 1 == length):
                    break
                if buffer[at] == _BACKSLASH:
                    continue
                self._in_string = False
                at += 1
            at = _end(_BETWEEN, buffer, at)
            if at == length:
                break
            byte = buffer[at]
            at += 1
            if byte == _QUOTE:  # A string with escapes, or one that does not end here.
                self._in_string = True
            elif byte in b"{[":
                self._depth += 1
                if self._depth > self.max_depth:
                    raise FramingError(f"a message is nested deeper than {self.max_depth}")
            else:
                self._depth -= 1
                if self._depth == 0:
                    self._scanned = at
                    return at
        self._scanned = at
        return None


def _end(pattern: re.Pattern[bytes], buffer: bytearray, at: int) -> int:
    found = pattern.match(buffer, at)
    assert found is not None  # All patterns match nothing, too.
    return found.end()
