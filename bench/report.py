"""What was measured, beside what was asked for: rows, their table, and bench/RESULTS.md.

Owns how numbers are summed up and judged. The one idea: a row carries its limit, so a result that
falls short says so in the table and in the exit status; it is never left out.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PASS, SHORT, INFORMATION = "pass", "FALLS SHORT", ""
_BEGIN, _END = "<!-- {} -->", "<!-- end of {} -->"


@dataclass(frozen=True, slots=True)
class Spread:
    """Repeated measurements of one thing, in one unit."""

    values: tuple[float, ...]
    unit: str

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        """The median, and between which values the middle half of them lies."""
        ordered = sorted(self.values)
        low, high = ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]
        return (f"{number(self.median)} {self.unit} ({number(low)} to {number(high)}, "
                f"n={len(ordered)})")


def number(value: float) -> str:
    """Three digits that mean something."""
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `good` is None where the issue sets no limit."""

    what: str
    seen: str
    limit: str = ""
    good: bool | None = None

    @property
    def verdict(self) -> str:
        return INFORMATION if self.good is None else PASS if self.good else SHORT


@dataclass(slots=True)
class Section:
    """The results of one benchmark, printed as they come."""

    name: str
    title: str
    notes: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def tell(self, what: str, seen: object) -> None:
        """A result without a limit."""
        self._add(Row(what, str(seen)))

    def at_most(self, what: str, seen: float | Spread, limit: float, unit: str = "") -> None:
        """A result that must not be larger."""
        value = seen.median if isinstance(seen, Spread) else seen
        text = str(seen) if isinstance(seen, Spread) else f"{number(seen)} {unit}".strip()
        self._add(Row(what, text, f"at most {number(limit)} {unit}".strip(), value <= limit))

    def equal(self, what: str, seen: object, expected: object, why: str = "") -> None:
        """A count that must be exactly so."""
        limit = f"equal: {expected}" if not why else f"{expected} ({why})"
        self._add(Row(what, str(seen), limit, seen == expected))

    def note(self, text: str) -> None:
        self.notes.append(text)

    def progress(self, text: str) -> None:
        print(f"    {text}", flush=True)

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        limit = f"   [{row.limit}] {row.verdict}" if row.limit else ""
        print(f"  {row.what}: {row.seen}{limit}", flush=True)

    @property
    def good(self) -> bool:
        return bool(self.rows) and all(row.good is not False for row in self.rows)


def table(rows: Sequence[Row]) -> str:
    """Rows as aligned text that is a Markdown table as well."""
    cells = [("measured", "seen", "limit", "")]
    cells += [(row.what, row.seen, row.limit, row.verdict) for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(4)]
    lines = ["| " + " | ".join(text.ljust(width) for text, width in zip(line, widths)) + " |"
             for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def machine() -> str:
    """The machine, as far as numbers depend on it; no names, no addresses."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    said = subprocess.run(["ovs-vswitchd", "--version"], capture_output=True, text=True)
    version = re.search(r"\(Open vSwitch\) (\S+)", said.stdout)
    datapath = "kernel" if os.path.isdir("/sys/module/openvswitch") else "userspace (netdev)"
    return (f"{os.cpu_count()} cores ({model[1] if model else 'unknown'}), "
            f"{int(memory[1]) // 2**20 if memory else '?'} GiB, "
            f"Linux {platform.release().split('-')[0]}, "
            f"Open vSwitch {version[1] if version else '?'}, datapath: {datapath}, "
            f"Python {platform.python_version()}")


def as_markdown(section: Section, command: str, seconds: float) -> str:
    """One benchmark's part of the page."""
    load = f"{os.getloadavg()[0]:.1f}"
    head = [_BEGIN.format(section.name), f"## {section.title}", "",
            f"`{command}`, {time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, "
            f"{seconds:.0f} s, load at its end {load}", ""]
    notes = [line for note in section.notes for line in (note, "")]
    return "\n".join([*head, *notes, table(section.rows), _END.format(section.name), ""])


HEADER = """# Results

Written by `./run bench`; a benchmark run alone replaces its own part. Times are medians, in
brackets the range of the middle half and the number of repetitions. Where two sides are compared
they took turns in one run. All of it, hypervisors, guests, controller and measurements, shared
the cores of one machine.

Machine: {machine}
"""


def write(page: Path, parts: Iterable[tuple[Section, str]], order: Sequence[str]) -> None:
    """Replace the parts of the page that were measured; keep the others."""
    found: dict[str, str] = {}
    old = page.read_text() if page.exists() else ""
    for name in order:
        begin, end = _BEGIN.format(name), _END.format(name)
        if begin in old and end in old:
            found[name] = old[old.index(begin):old.index(end) + len(end)] + "\n"
    found |= {section.name: text for section, text in parts}
    body = "\n".join(found[name] for name in order if name in found)
    page.write_text(HEADER.format(machine=machine()) + "\n" + body)
