"""restart: the controller is killed under traffic and started again; nobody may notice.

One pair of guests on different hypervisors and one pair on the same in every tenant, each with
100 pings a second. The new process compares what the switches hold with what they should, and
since nothing changed it must not send a single rule.
"""

from __future__ import annotations

import time

from bench.laboratory import Guest, Laboratory, laboratory, wait_until
from bench.report import Section, Spread
from witness import Eyewitness, Loss, Pair, Probe

TENANTS, PACE, AWAY, ROUNDS = 3, 0.01, 1.0, 3
AFTERWARDS = 1.5
"""Seconds of pings after the controller has come back."""


def run(section: Section) -> None:
    section.note(
        f"{TENANTS} tenants with the same addresses; in each, guests on three hypervisors, of "
        f"which two pairs ping 100 times a second. `kill -9`, {AWAY:g} s without a controller, "
        f"start; {ROUNDS} times.")
    with laboratory("restart") as lab:
        pairs: list[tuple[Guest, Guest]] = []
        first, second, third = lab.hypervisors
        for number in range(TENANTS):
            tenant = lab.tenant(f"tenant{number}")
            guests = lab.guests(tenant, [first, first, second, third])
            pairs += [(guests[0], guests[1]), (guests[2], guests[3])]
        for one, other in pairs:
            one.knows(other)
            other.knows(one)
        witnesses = {guest.vm: Eyewitness.in_guest(guest.vm) for pair in pairs for guest in pair}
        addressed: list[Pair] = [(one.vm, other.vm) for one, other in pairs]
        rules = lab.rules()
        ready, sent, losses = [], [], []
        for _ in range(ROUNDS):
            probe = Probe(witnesses, addressed, PACE).start()
            time.sleep(0.5)
            ready.append(die_and_return(lab))
            time.sleep(AFTERWARDS)
            losses += list(probe.finish().values())
            sent.append(lab.sent())
        tell(section, ready, sent, losses)
        section.equal("rules on the hypervisors afterwards", lab.rules(), rules, "as before")


def die_and_return(lab: Laboratory) -> tuple[float, float]:
    """Seconds from the start until the API is ready, and until all switches are up to date."""
    lab.controller.kill()
    time.sleep(AWAY)
    begin = time.monotonic()
    lab.controller.restart()
    ready = time.monotonic() - begin
    wait_until(lambda: all_back(lab), 20, "all switches back", 0.05)
    return ready, time.monotonic() - begin


def all_back(lab: Laboratory) -> bool:
    switches = lab.admin.status()["switches"]
    return len(switches) == len(lab.hypervisors) and all(
        one["connected"] and not one["pending"] for one in switches)


def tell(section: Section, ready: list[tuple[float, float]], sent: list[int],
         losses: list[Loss]) -> None:
    asked = sum(loss.sent for loss in losses)
    section.equal(f"lost of {asked} pings", sum(loss.lost for loss in losses), 0)
    section.equal("flow-mods and group-mods sent after the start", sum(sent), 0)
    section.tell("longest time between two answers of a pair",
                 f"{1000 * max(loss.silence for loss in losses):.0f} ms")
    section.tell("from the start until the API is ready",
                 Spread(tuple(first for first, _ in ready), "s"))
    section.tell("until all switches are connected and up to date",
                 Spread(tuple(second for _, second in ready), "s"))
