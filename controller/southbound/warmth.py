"""Warmth: the first packet to a peer must not wait for the underlay's neighbour entry.

Owns the frame and the actions that make Open vSwitch resolve a tunnel's next hop before traffic
needs it (userspace tunnels drop what they send meanwhile). The frame carries segment 0, which is
no network: whoever receives it drops it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from controller.packets.ethernet import BROADCAST, Ethernet, build
from controller.pipeline.actions import Action, Actions, Load, Output, load
from controller.pipeline.fields import TUNNEL_DESTINATION, TUNNEL_ID
from controller.pipeline.layout import LOCATE
from controller.pipeline.rule import Installed, Rule

FRAME = build(Ethernet(BROADCAST, 0x020000000000, 0x88B5, bytes(46)))
"""Broadcast, local experimental ethertype 1 (IEEE 802), no content."""


def warming(items: Iterable[Installed]) -> Iterator[Actions]:
    """For each rule among `items` that leads into a tunnel, the actions that warm its peer."""
    told: set[tuple[Action, Action]] = set()
    for item in items:
        if not isinstance(item, Rule) or item.table != LOCATE.id:
            continue
        match item.actions:
            case (Load(carrier=TUNNEL_DESTINATION.carrier) as towards, Output() as out):
                if (towards, out) not in told:
                    told.add((towards, out))
                    yield (load(TUNNEL_ID, 0), towards, out)
