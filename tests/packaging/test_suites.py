"""What `./run test` counts as a pass."""
from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

from tests import suites
from tests.suites import SUITES, Suite, judge, main, run_within, table

SUITE = Suite("unit", 60, ("tests/unit",))


def report(*cases: str) -> bytes:
    body = "".join(f'<testcase classname="c" name="n{number}">{case}</testcase>'
                   for number, case in enumerate(cases))
    return f"<testsuites><testsuite>{body}</testsuite></testsuites>".encode()


def test_all_passed() -> None:
    result = judge(SUITE, 0, report("", ""), 1.0)
    assert (result.tests, result.passed, result.faults) == (2, 2, ())


def test_a_skip_with_a_reason_is_shown_as_not_run() -> None:
    result = judge(SUITE, 0, report("", '<skipped message="no Python 3.13 here"/>'), 1.0)
    assert result.faults == ()
    assert "not run: c::n1 (no Python 3.13 here)" in table([result])


@pytest.mark.parametrize("message", ["", "unconditional skip"])
def test_a_skip_without_a_reason_fails(message: str) -> None:
    result = judge(SUITE, 0, report(f'<skipped message="{message}"/>'), 1.0)
    assert result.faults == ("skipped without a reason: c::n0",)


@pytest.mark.parametrize("case", ["<failure/>", "<error/>"])
def test_a_failure_fails(case: str) -> None:
    result = judge(SUITE, 1, report("", case), 1.0)
    assert (result.passed, result.failed) == (1, 1)
    assert result.faults == ("exit status 1", "1 failed")


@pytest.mark.parametrize("status, says", [(None, "not done in 60 s"), (5, "no tests collected"),
                                          (-11, "ended by SIGSEGV")])
def test_endings_without_a_report(status: int | None, says: str) -> None:
    assert judge(SUITE, status, None, 1.0).faults == (says,)


def test_time_up_leaves_no_process_behind(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    child = f"import time\nwhile True:\n open({str(beat)!r}, 'a').write('.')\n time.sleep(0.02)"
    parent = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}])"
    begun = time.monotonic()
    assert run_within([sys.executable, "-c", parent], 1.0) is None
    assert time.monotonic() - begun < 15
    beats = len(beat.read_bytes())
    assert beats > 0
    time.sleep(0.2)
    assert len(beat.read_bytes()) == beats


def test_an_unknown_suite_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["unti"])
    assert ended.value.code == 2
    assert "no such suite: unti" in capsys.readouterr().err


def test_the_budgets_fit_into_the_time_that_ci_has() -> None:
    limit = re.search(r" (\d+)m \./run test", (suites.ROOT / ".ci" / "run").read_text())
    assert limit is not None
    assert sum(suite.budget for suite in SUITES) <= int(limit[1]) * 60 < 20 * 60


def test_a_missing_folder_fails_and_the_others_still_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "test_it.py").write_text("def test_it():\n    pass\n")
    monkeypatch.setattr(suites, "ROOT", tmp_path)
    result = suites.collect(Suite("both", 60, ("here", "gone")), ())
    assert (result.tests, result.passed, result.faults) == (1, 1, ("missing: gone",))
    assert suites.collect(Suite("none", 60, ("gone",)), ()).faults == ("missing: gone",)
