"""Expected against seen: what a demonstration notes, prints as it goes, and sums up.

The one idea: whoever checks says what it expects before it looks, in words that a person can
compare, and whether it was so is decided when it looks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from nodes import VirtualMachine


class Table:
    """Expected against seen."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str, bool]] = []

    def check(self, what: str, expected: object, seen: object) -> None:
        """Both must read the same."""
        self._note(what, str(expected), str(seen), str(expected) == str(seen))

    def check_below(self, what: str, limit: float, seen: float) -> None:
        """A time in seconds that must stay below a limit."""
        self._note(what, f"below {limit:g} s", f"{seen:.2f} s", seen < limit)

    def _note(self, what: str, expected: str, seen: str, good: bool) -> None:
        self.rows.append((what, expected, seen, good))
        mark = "as expected" if good else f"EXPECTED {expected}"
        print(f"    {what}: {seen} ({mark})", flush=True)

    def show(self) -> bool:
        """Print the table; whether all is as expected."""
        lines = [("check", "expected", "seen", "")]
        lines += [(*row[:3], "ok" if row[3] else "WRONG") for row in self.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        rule = "-" * (sum(widths) + 6)
        print(f"\n{rule}")
        for number, line in enumerate(lines):
            cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
            print("  ".join(cells).rstrip())
            if number == 0:
                print(rule)
        print(rule)
        return all(good for *_, good in self.rows)


def wait(reached: Callable[[], bool], timeout: float) -> float:
    """Wait until something is so, at most `timeout` seconds; how long it took."""
    begin = time.monotonic()
    while not reached() and time.monotonic() < begin + timeout:
        time.sleep(0.02)
    return time.monotonic() - begin


def print_matrix(guests: Sequence[VirtualMachine], seen: Collection[tuple[object, object]]) -> None:
    """Who was answered by whom."""
    print("    " + "".join(f"{name:>8}" for name in ["", *map(str, guests)]))
    for source in guests:
        cells = ["-" if g is source else "yes" if (source, g) in seen else "NO" for g in guests]
        print("    " + "".join(f"{cell:>8}" for cell in [str(source), *cells]))
