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


def test_the_paper_wins(contents: DemoContents) -> None:
    assert summarise(contents) == (
        "Asked 480 test queries over 1\N{NARROW NO-BREAK SPACE}504 images, “Paper” (the paper's method) puts the "
        "right image first for 60.0 % (Recall@1; 95 % interval 58.0 – 62.0), 20.0 points more than the next best, "
        "“Zero shot”: 40.0 % (95 % interval 38.0 – 42.0). Their intervals do not overlap. “Paper” has the right image "
        "among its first ten results for 90.0 % (Recall@10; 95 % interval 88.0 – 92.0)."
    )


def test_overlapping_intervals_are_said(contents: DemoContents) -> None:
    text = summary_of(contents, make_row("A", {"Recall@1": 50.0}), make_row("B", {"Recall@1": 53.0}))
    assert "“B” puts the right image first for 53.0 %" in text
    assert "3.0 points more than the next best, “A”" in text
    assert text.endswith("Their intervals overlap, so the order of the two could be chance.")


def test_a_paper_that_does_not_win_is_said_with_its_place(contents: DemoContents) -> None:
    rows = [make_row(name, {"Recall@1": value}) for name, value in [("A", 70.0), ("B", 60.0)]]
    text = summary_of(contents, *rows, make_row("Ours", {"Recall@1": 59.0}, is_paper=True))
    assert "“A” puts the right image first" in text
    assert (
        "The paper's row does not win: “Ours” comes third of three with 59.0 % (95 % interval 57.0 – 61.0), "
        "11.0 points behind the best."
    ) in text
    near = summary_of(contents, make_row("A", {"Recall@1": 61.0}), make_row("P", {"Recall@1": 59.0}, is_paper=True))
    assert "2.0 points behind the best; the intervals overlap." in near


def test_a_tie_has_no_winner(contents: DemoContents) -> None:
    rows = [make_row(name, {"Recall@1": value}) for name, value in [("A", 50.01), ("B", 49.99), ("C", 50.0)]]
    text = summary_of(contents, *rows)
    assert "“A”, “B” and “C” tie: each puts the right image first for 50.0 %" in text
    assert "points" not in text and "chance" not in text
    tied_paper = summary_of(contents, rows[0], make_row("P", {"Recall@1": 50.0}, is_paper=True))
    assert "“A” and “P” (the paper's method) tie" in tied_paper and "does not win" not in tied_paper


def test_several_seeds(contents: DemoContents) -> None:
    text = summary_of(contents, make_row("A", {"Recall@1": 50.0}, {"Recall@1": 54.0}, {"Recall@1": 58.0}))
    assert "“A” puts the right image first for 54.0 % (Recall@1; mean of 3 seeds ± 4.0; 95 % interval" in text


def test_nothing_to_compare(contents: DemoContents) -> None:
    assert summary_of(contents) == "No row has Recall@1, so nothing is compared."
    assert "next best" not in summary_of(contents, make_row("A", {"Recall@1": 50.0}))


def test_grounding_beside_the_blind_generator(contents: DemoContents) -> None:
    seeing = GroundingResult(80.0, 70.0, 75.0, 25.0, 25.0, 25.0, pairs=400)
    assert summarise(replace(contents, grounding=seeing)).endswith(
        "What the generator wrote about 400 held-out pairs names the true changes with an F1 of 75.0 %, "
        "3.0 times a blind generator's."
    )
    lucky = replace(seeing, blind_f1=0.0)
    assert summarise(replace(contents, grounding=lucky)).endswith("with an F1 of 75.0 %.")
