"""What a userspace or kernel datapath really holds: megaflows, their actions, recirculations.

Owns reading what `ovs-appctl` prints. Refuses to judge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.laboratory import Guest
    from hypervisor import Hypervisor


GUEST = "=fa:16:3e:"
"""How the MAC address of a guest stands in a match."""


@dataclass(frozen=True, slots=True)
class Megaflow:
    """One entry of a datapath's cache: how many actions it has, and how many recirculate."""

    match: str
    text: str

    @property
    def actions(self) -> int:
        return count_actions(self.text)

    @property
    def effect(self) -> tuple[str, tuple[str, ...]]:
        """What it does to which packets, whatever the order of copies."""
        return self.match, tuple(sorted(split(self.text)))

    @property
    def recirculations(self) -> int:
        return len(re.findall(r"\brecirc\(", self.text))


def count_actions(text: str) -> int:
    """How many actions a datapath runs, those nested in others included."""
    if text.strip() in ("", "drop"):
        return 0
    return sum(1 for part in split(text) if part)


def split(text: str) -> list[str]:
    """A list of actions at the commas that stand outside all brackets."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append(text[start:index].strip())
            start = index + 1
    return [*parts, text[start:].strip()]


def megaflows(hypervisor: Hypervisor) -> list[Megaflow]:
    """The cache's entries for what guests send and receive: from their interfaces, from tunnels,
    and those that take a tunnel's header off. What the underlay says for itself is left out."""
    found = []
    for line in hypervisor.appctl("dpctl/dump-flows").splitlines():
        match, mark, actions = line.partition("actions:")
        if mark and (GUEST in match or match.startswith("tunnel(") or "tnl_pop" in actions):
            found.append(Megaflow(re.sub(r"packets:.*", "", match).strip(", "), actions.strip()))
    return found


def trace(source: Guest, target: Guest) -> int:
    """Datapath actions of a TCP segment from one guest to another on the source's hypervisor."""
    home = source.home
    port = home.vsctl("get", "interface", source.interface, "ofport").strip()
    packet = (f"in_port={port},tcp,dl_src={source.mac},dl_dst={target.mac},"
              f"nw_src={source.address},nw_dst={target.address},nw_ttl=64,tcp_src=4000,"
              "tcp_dst=5001")
    said = home.appctl("ofproto/trace", "br-int", packet)
    actions = re.findall(r"^Datapath actions: (.*)$", said, re.MULTILINE)
    return sum(count_actions(one) for one in actions)
