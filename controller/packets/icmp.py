"""ICMP echo (RFC 792), and its responder."""

from __future__ import annotations

from dataclasses import dataclass

from controller.packets.ipv4 import checksum

ECHO_REPLY, ECHO_REQUEST = 0, 8


@dataclass(frozen=True, slots=True)
class Icmp:
    """A message; `rest` is the header's second half, for an echo its identifier and number."""

    type: int
    code: int
    rest: int
    payload: bytes


def parse(data: bytes) -> Icmp | None:
    """The message; None when it is cut short or its checksum is wrong."""
    if len(data) < 8 or checksum(data):
        return None
    return Icmp(data[0], data[1], int.from_bytes(data[4:8], "big"), data[8:])


def build(message: Icmp) -> bytes:
    """The message's bytes."""
    octets = (bytes([message.type, message.code, 0, 0]) + message.rest.to_bytes(4, "big")
              + message.payload)
    return octets[:2] + checksum(octets).to_bytes(2, "big") + octets[4:]


def answer(request: Icmp) -> Icmp | None:
    """The echo reply to an echo request; None to anything else."""
    if (request.type, request.code) != (ECHO_REQUEST, 0):
        return None
    return Icmp(ECHO_REPLY, 0, request.rest, request.payload)
