#!/usr/bin/env python3
"""`./run bench [NAME...]`: all measurements, or some; a table, and bench/RESULTS.md.

Exit status 0 only if every limit was kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# As a script we would find `bench.py` by the name of our package.
sys.path[0] = str(ROOT)
sys.path.insert(1, str(ROOT / "mininet_topos"))

from bench.report import Section, as_markdown, machine, table, write  # noqa: E402

BENCHMARKS = {
    "dataplane": ("bench.dataplane", "Packets: Tenet's rules, hand-written rules, NORMAL"),
    "port_latency": ("bench.latency", "From `port create` to the first answered ping"),
    "bulk": ("bench.bulk", "1,000 ports at once, and one more"),
    "incremental": ("bench.incremental", "One more port, inside the controller"),
    "restart": ("bench.restart", "The controller's sudden death"),
}
RESULTS = ROOT / "bench" / "RESULTS.md"


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run bench", description="Tenet's measurements.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--no-write", action="store_true", help=f"leave {RESULTS.name} as it is")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    print(machine(), flush=True)
    sections = []
    for name in chosen.names or BENCHMARKS:
        section, text = measured(name)
        sections.append(section)
        if not chosen.no_write:
            write(RESULTS, [(section, text)], list(BENCHMARKS))
    for section in sections:
        print(f"\n{section.title}\n{table(section.rows)}")
    short = [section.name for section in sections if not section.good]
    print(f"\n{'Falls short: ' + ', '.join(short) if short else 'Every limit is kept.'}")
    return 1 if short else 0


def measured(name: str) -> tuple[Section, str]:
    """Run one benchmark: its section, and that as a part of the page."""
    module, title = BENCHMARKS[name]
    section = Section(name, title)
    print(f"\n{title}", flush=True)
    begin = time.monotonic()
    import_module(module).run(section)
    seconds = time.monotonic() - begin
    print(f"  ({seconds:.0f} s)", flush=True)
    return section, as_markdown(section, f"./run bench {name}", seconds)


if __name__ == "__main__":
    sys.exit(main())
