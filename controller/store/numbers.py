"""Numbers: the small integers that stand for resources inside and between switches.

Owns their pools. The one idea: a number means one thing at a time *on the switches*. It is given
out once, in rising order; a released one comes back only when the pool has run through, and only
after every switch has confirmed a revision in which it meant nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controller.model.overlay import LAST_SEGMENT

POOLS: dict[str, int] = {
    "network": (1 << 24) - 1,
    "port": (1 << 32) - 1,
    "chassis": (1 << 32) - 1,
    "segment": LAST_SEGMENT,
    "sighting": (1 << 62),
}
"""The last number of each pool; the first is 1."""


class PoolExhausted(Exception):
    """No number is free in the pool that the message names."""


class NumberQuarantined(Exception):
    """The number was released, but not every switch has confirmed that yet."""


class Numbers:
    """The numbers as one transaction sees them; `counters` and `released` are what it changed."""

    def __init__(self, counters: Mapping[str, int], released: Mapping[str, Mapping[int, int]],
                 confirmed: int) -> None:
        self._start_counters, self._start_released = counters, released
        self._confirmed = confirmed
        self.counters: dict[str, int] = {}
        self.released: dict[str, dict[int, int | None]] = {}

    def take(self, pool: str, in_use: Callable[[int], bool] = lambda number: False) -> int:
        """The next free number; PoolExhausted if there is none."""
        number = self.counters.get(pool, self._start_counters.get(pool, 0)) + 1
        while number <= POOLS[pool] and (in_use(number) or self._quarantined(pool, number)):
            number += 1
        if number <= POOLS[pool]:
            self.counters[pool] = number
            return number
        for number, revision in sorted(self._start_released.get(pool, {}).items()):
            back = self.released.get(pool, {}).get(number, revision) is not None
            if back and revision <= self._confirmed and not in_use(number):
                self.released.setdefault(pool, {})[number] = None
                return number
        raise PoolExhausted(f"no {pool} number is free")

    def claim(self, pool: str, number: int) -> None:
        """Take this very number, which the caller knows to be unused; NumberQuarantined if it was
        released and some switch has not confirmed that."""
        if self._quarantined(pool, number):
            raise NumberQuarantined(f"{pool} {number} was released, and not every switch has "
                                    "confirmed that yet")
        if number in self._start_released.get(pool, {}):
            self.released.setdefault(pool, {})[number] = None

    def release(self, pool: str, number: int, revision: int) -> None:
        """Give a number back as of `revision`."""
        self.released.setdefault(pool, {})[number] = revision

    def _quarantined(self, pool: str, number: int) -> bool:
        start = self._start_released.get(pool, {}).get(number)
        revision = self.released.get(pool, {}).get(number, start)
        return revision is not None and revision > self._confirmed
