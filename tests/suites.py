"""`./run test`: every suite in order, each within its budget of time, and one table at the end.

Owns what counts as passed. A suite fails when a test fails, when one is skipped without saying why,
when nothing was collected, when its folder is missing, and when its time is up. What was skipped
for a reason (an interpreter that this machine lacks) is listed as not run.

Imports the standard library only, and nothing of the project.
"""
from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SANDBOX = ("/usr/bin/python3", "mininet_topos/sandbox.py", "run", "--")
# What pytest says for a skip that gives no reason.
NO_REASON = {"", "unconditional skip", "Skipped"}


@dataclass(frozen=True, slots=True)
class Suite:
    """Folders of tests that run in one go, or (without folders) the commands of a check."""
    name: str
    budget: int
    folders: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    sandboxed: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table; `faults` says in words why it is not a pass."""
    suite: Suite
    tests: int
    failed: int
    skipped: tuple[tuple[str, str], ...]
    seconds: float
    faults: tuple[str, ...]

    @property
    def passed(self) -> int:
        return self.tests - self.failed - len(self.skipped)


# Together no more than CI's nineteen minutes; what they take in fact is about half of that.
SUITES = (
    Suite("lint", 75, commands=(("mypy",), ("flake8",))),
    Suite("unit", 240, ("tests/unit", "tests/features", "tests/golden", "tests/contract")),
    Suite("properties", 165, ("tests/properties",)),
    Suite("packaging", 270, ("tests/packaging",)),
    Suite("integration", 390, ("tests/integration",), sandboxed=True),
)


def run_within(command: Sequence[str], seconds: float) -> int | None:
    """The exit status, or None when the time was up; nothing of the command is left behind."""
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        return process.wait(timeout=max(seconds, 0))
    except subprocess.TimeoutExpired:
        return None
    finally:
        end_session(process)


def end_session(process: subprocess.Popen[bytes]) -> None:
    """Ask, then end, whatever the command started in its own session and left there."""
    for number, patience in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline and group_exists(process):
            time.sleep(0.05)
    process.wait()


def group_exists(process: subprocess.Popen[bytes]) -> bool:
    process.poll()  # a zombie would count as a member
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True


def check(suite: Suite) -> Result:
    """Run a suite made of commands: each is one test."""
    begun = time.monotonic()
    faults = []
    for command in suite.commands:
        print(f"$ {' '.join(command)}", flush=True)
        left = suite.budget - (time.monotonic() - begun)
        status = run_within((sys.executable, "-m", *command), left)
        if status != 0:
            faults.append(f"{' '.join(command)}: {ending(status, suite.budget)}")
    return Result(suite, len(suite.commands), len(faults), (), time.monotonic() - begun,
                  tuple(faults))


def collect(suite: Suite, arguments: Sequence[str]) -> Result:
    """Run a suite made of pytest's folders."""
    present = [folder for folder in suite.folders if holds_tests(ROOT / folder)]
    missing = [f"missing: {folder}" for folder in suite.folders if folder not in present]
    if not present:
        return Result(suite, 0, 0, (), 0.0, tuple(missing))
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(dir=ROOT / ".venv", prefix="report-") as folder:
        report = Path(folder, "report.xml")
        status = run_within(
            (*(SANDBOX if suite.sandboxed else ()), sys.executable, "-m", "pytest",
             f"--junitxml={report}", *present, *arguments),
            suite.budget,
        )
        seconds = time.monotonic() - begun
        result = judge(suite, status, report.read_bytes() if report.exists() else None, seconds)
        return replace(result, faults=(*missing, *result.faults))


def holds_tests(folder: Path) -> bool:
    return next(folder.rglob("test_*.py"), None) is not None


def judge(suite: Suite, status: int | None, report: bytes | None, seconds: float) -> Result:
    """What pytest's exit status and report amount to."""
    faults = [] if status == 0 else [ending(status, suite.budget)]
    if report is None:
        return Result(suite, 0, 0, (), seconds, tuple(faults or ["pytest wrote no report"]))
    tests = failed = 0
    skipped = []
    for case in ElementTree.fromstring(report).iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        skip = case.find("skipped")
        tests += 1
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif skip is not None:
            reason = skip.get("message", "").strip()
            skipped.append((name, reason))
            if reason in NO_REASON:
                faults.append(f"skipped without a reason: {name}")
    if failed:
        faults.append(f"{failed} failed")
    return Result(suite, tests, failed, tuple(skipped), seconds, tuple(faults))


def ending(status: int | None, budget: int) -> str:
    """An exit status in words."""
    if status is None:
        return f"not done in {budget} s"
    if status == 5:
        return "no tests collected"
    return f"ended by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def table(results: Sequence[Result]) -> str:
    lines = [f"{'suite':<12} {'tests':>6} {'passed':>6} {'failed':>6} {'skipped':>7} "
             f"{'seconds':>8} {'budget':>6}  result"]
    for result in results:
        verdict = "; ".join(result.faults) or "pass"
        lines.append(
            f"{result.suite.name:<12} {result.tests:>6} {result.passed:>6} {result.failed:>6} "
            f"{len(result.skipped):>7} {result.seconds:>8.1f} {result.suite.budget:>6}  {verdict}")
    not_run = [f"not run: {name} ({reason or 'no reason given'})"
               for result in results for name, reason in result.skipped]
    return "\n".join([*lines, *not_run])


def main(words: Sequence[str]) -> int:
    own, arguments = partition(words)
    parser = argparse.ArgumentParser(
        prog="./run test", usage="%(prog)s [SUITE...] [-- PYTEST ARGUMENT...]",
        description="Suites: " + ", ".join(suite.name for suite in SUITES))
    parser.add_argument("suites", nargs="*", metavar="SUITE")
    wanted = parser.parse_args(own).suites
    unknown = set(wanted) - {suite.name for suite in SUITES}
    if unknown:
        parser.error(f"no such suite: {', '.join(sorted(unknown))}")
    # A signal must still end what was started: turn it into an exception.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    results = []
    for suite in SUITES:
        if wanted and suite.name not in wanted:
            continue
        print(f"\n===== {suite.name} (at most {suite.budget} s) =====", flush=True)
        results.append(check(suite) if suite.commands else collect(suite, arguments))
    print("\n" + table(results), flush=True)
    return 1 if any(result.faults for result in results) else 0


def partition(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The words before the first `--`, and those after it."""
    at = words.index("--") if "--" in words else len(words)
    return list(words[:at]), list(words[at + 1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
