"""How measurements are judged and written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.report import PASS, SHORT, Section, Spread, as_markdown, number, table, write


def test_a_spread_is_its_median_and_its_middle_half() -> None:
    assert str(Spread((5, 1, 2, 3, 100), "ms")) == "3 ms (2 to 5, n=5)"


@pytest.mark.parametrize(("value", "text"), [
    (3.0, "3"), (0.1234, "0.123"), (12.34, "12.3"), (1234.5, "1234"), (1000.0, "1000")])
def test_a_number_has_three_digits_that_mean_something(value: float, text: str) -> None:
    assert number(value) == text


def test_a_limit_is_judged_by_the_median(capsys: pytest.CaptureFixture[str]) -> None:
    section = Section("one", "One")
    section.at_most("just", Spread((1, 20, 90), "ms"), 20, "ms")
    section.at_most("over", Spread((1, 21, 22), "ms"), 20, "ms")
    section.tell("more", 5)
    assert [row.verdict for row in section.rows] == [PASS, SHORT, ""]
    assert not section.good
    assert "over: 21 ms (1 to 22, n=3)   [at most 20 ms] FALLS SHORT" in capsys.readouterr().out


def test_counts_must_be_equal() -> None:
    section = Section("one", "One")
    section.equal("megaflows", 63, 63, "hand-written")
    assert section.good
    section.equal("megaflows", 64, 63, "hand-written")
    assert not section.good


def test_nothing_measured_is_not_good() -> None:
    assert not Section("one", "One").good


def test_a_table_is_aligned() -> None:
    section = Section("one", "One")
    section.equal("lost", 0, 0)
    assert table(section.rows).splitlines() == [
        "| measured | seen | limit    |      |",
        "|----------|------|----------|------|",
        "| lost     | 0    | equal: 0 | pass |"]


def test_one_benchmark_replaces_its_part_of_the_page_and_keeps_the_others(tmp_path: Path) -> None:
    page, order = tmp_path / "RESULTS.md", ["first", "second"]

    def part(name: str, seen: int) -> tuple[Section, str]:
        section = Section(name, name.title())
        section.tell("seen", seen)
        return section, as_markdown(section, f"./run bench {name}", 1.0)
    write(page, [part("second", 1)], order)
    write(page, [part("first", 2)], order)
    write(page, [part("second", 3)], order)
    text = page.read_text()
    assert text.index("## First") < text.index("## Second")
    assert "| seen     | 2    |" in text
    assert "| seen     | 3    |" in text and "| seen     | 1    |" not in text
    assert text.count("# Results\n") == 1 and "`./run bench second`" in text
