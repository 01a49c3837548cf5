from dataclasses import replace
from pathlib import Path

import pytest

from helpers.report_samples import make_row, sample_contents
from likebut.research.reports.contents import DemoContents, GroundingResult, RowResult
from likebut.research.reports.summary import summarise


@pytest.fixture
def contents(tmp_path: Path) -> DemoContents:
    return replace(sample_contents(tmp_path), grounding=None)


def summary_of(contents: DemoContents, *rows: RowResult) -> str:
    return summarise(replace(contents, rows=list(rows)))


def test_the_summary_compares_the_best_row_with_the_second(contents: DemoContents) -> None:
    text = summarise(contents)
    assert all(value in text for value in ("480", "1\N{NARROW NO-BREAK SPACE}504", "“Paper”", "60.0 %", "58.0 – 62.0"))
    assert all(value in text for value in ("20.0 points", "“Zero shot”", "40.0 %", "38.0 – 42.0", "do not overlap"))
    assert all(value in text for value in ("Recall@10", "90.0 %", "88.0 – 92.0"))


def test_overlapping_intervals_are_stated(contents: DemoContents) -> None:
    text = summary_of(contents, make_row("A", {"Recall@1": 50.0}), make_row("B", {"Recall@1": 53.0}))
    assert text.index("“B”") < text.index("53.0 %") < text.index("3.0 points") < text.index("“A”")
    assert "intervals overlap" in text


def test_the_paper_s_rank_is_stated_if_it_is_not_the_best(contents: DemoContents) -> None:
    rows = [make_row(name, {"Recall@1": value}) for name, value in [("A", 70.0), ("B", 60.0)]]
    text = summary_of(contents, *rows, make_row("Ours", {"Recall@1": 59.0}, is_paper=True))
    assert text.index("“A”") < text.index("“Ours” is third of three with 59.0 %") < text.index("11.0 points behind")
    near = summary_of(contents, make_row("A", {"Recall@1": 61.0}), make_row("P", {"Recall@1": 59.0}, is_paper=True))
    assert "2.0 points behind the best; the intervals overlap" in near


def test_a_tie_has_no_best_row(contents: DemoContents) -> None:
    rows = [make_row(name, {"Recall@1": value}) for name, value in [("A", 50.01), ("B", 49.99), ("C", 50.0)]]
    text = summary_of(contents, *rows)
    assert "“A”, “B” and “C” tie" in text and "50.0 %" in text
    assert "points" not in text and "overlap" not in text
    tied_paper = summary_of(contents, rows[0], make_row("P", {"Recall@1": 50.0}, is_paper=True))
    assert "“A” and “P” (the paper's method) tie" in tied_paper and "not the best" not in tied_paper


def test_several_seeds(contents: DemoContents) -> None:
    text = summary_of(contents, make_row("A", {"Recall@1": 50.0}, {"Recall@1": 54.0}, {"Recall@1": 58.0}))
    assert "54.0 % (Recall@1; mean of 3 seeds ± 4.0; 95 % interval" in text


def test_no_comparison(contents: DemoContents) -> None:
    assert "Recall@1" in summary_of(contents)
    assert "second" not in summary_of(contents, make_row("A", {"Recall@1": 50.0}))


def test_grounding_is_compared_with_the_control(contents: DemoContents) -> None:
    grounding = GroundingResult(80.0, 70.0, 75.0, 25.0, 25.0, 25.0, pairs=400)
    text = summarise(replace(contents, grounding=grounding))
    assert all(value in text for value in ("400 held-out pairs", "75.0 %", "3.0 times", "shuffled-image control"))
    without = summarise(replace(contents, grounding=replace(grounding, shuffled_f1=0.0)))
    assert without.endswith("75.0 %.")
