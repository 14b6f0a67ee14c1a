"""Ping an address at a fixed pace until the first answer; say when that came.

A process of its own inside the guest, so that nothing the measuring program does delays it.
Prints "ready", then the time of the first answer as `time.monotonic` tells it, which is one clock
for all processes of a machine.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
import time


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def request(identifier: int, sequence: int) -> bytes:
    """An ICMP echo request (RFC 792)."""
    head = struct.pack("!BBHHH", 8, 0, 0, identifier, sequence & 0xFFFF)
    return head[:2] + struct.pack("!H", checksum(head)) + head[4:]


def is_answer(packet: bytes, identifier: int) -> bool:
    body = packet[(packet[0] & 15) * 4:]
    return len(body) >= 8 and body[0] == 0 and struct.unpack_from("!H", body, 4)[0] == identifier


def probe(target: str, pace: float, patience: float) -> float | None:
    """When the first answer came, or None."""
    identifier, sequence = os.getpid() & 0xFFFF, 0
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as one:
        one.setblocking(False)
        print("ready", flush=True)
        end = following = time.monotonic()
        end += patience
        while time.monotonic() < end:
            one.sendto(request(identifier, sequence), (target, 0))
            sequence += 1
            following += pace
            while (left := following - time.monotonic()) > 0:
                if select.select([one], [], [], left)[0]:
                    now = time.monotonic()
                    if is_answer(one.recv(2048), identifier):
                        return now
    return None


if __name__ == "__main__":
    print(probe(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])), flush=True)
