"""Expected against seen: what a demonstration notes, prints as it goes, and sums up.

The one idea: whoever checks says what it expects before it looks, in words that a person can
compare; being as expected is their being the same words.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence

from nodes import VirtualMachine


class Table:
    """Expected against seen."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str]] = []

    def check(self, what: str, expected: object, seen: object) -> None:
        self.rows.append((what, str(expected), str(seen)))
        mark = "as expected" if str(expected) == str(seen) else f"EXPECTED {expected}"
        print(f"    {what}: {seen} ({mark})", flush=True)

    def show(self) -> bool:
        """Print the table; whether all is as expected."""
        head = ("check", "expected", "seen")
        widths = [max(len(row[i]) for row in [head, *self.rows]) for i in range(3)]
        rule = "-" * (sum(widths) + 11)
        print(f"\n{rule}")
        for row in [head, *self.rows]:
            verdict = "" if row is head else "ok" if row[1] == row[2] else "WRONG"
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            print("  ".join([*cells, verdict]).rstrip())
            if row is head:
                print(rule)
        print(rule)
        return all(expected == seen for _, expected, seen in self.rows)


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
