from helpers.report_samples import make_row
from likebut.data.synthetic_triplets import KEPT
from likebut.evaluation.metrics import HARD_NEGATIVE_RATE
from likebut.research.reports.contents import SynthesisResult
from likebut.research.reports.summary import METRICS
from likebut.research.reports.tables import (
    METRIC_MEANINGS,
    REASON_MEANINGS,
    result_table,
    settings_lines,
    synthesis_directions,
    time_fractions,
)
from likebut.synthesis.filters import REASONS


def test_cells_and_best_values() -> None:
    rows = [
        make_row("a", {"Recall@1": 61.25, HARD_NEGATIVE_RATE: 10.0}),
        make_row("b", {"Recall@1": 40.0, HARD_NEGATIVE_RATE: 30.0}),
        make_row("c", {"Recall@1": 61.24}),
    ]
    table = result_table(rows)
    assert [(column.name, column.lower_is_better) for column in table.columns] == [
        ("Recall@1", False),
        (HARD_NEGATIVE_RATE, True),
    ]
    first = table.lines[0].cells[0]
    assert first is not None
    assert (first.value, first.spread, first.interval) == ("61.2", "", "59.2 – 63.2")
    # Values that are equal in the table are a tie.
    assert [[cell and cell.is_best for cell in line.cells] for line in table.lines] == [
        [True, True],
        [False, False],
        [True, None],
    ]


def test_several_seeds_have_a_standard_deviation() -> None:
    table = result_table([make_row("a", {"Recall@1": 50.0}, {"Recall@1": 52.0})])
    cell = table.lines[0].cells[0]
    assert cell is not None and (cell.value, cell.spread, table.seeds) == ("51.0", "± 1.4", 2)


def test_no_rows() -> None:
    table = result_table([])
    assert (table.columns, table.lines, table.seeds) == ([], [], 0)


def test_every_metric_and_every_reason_is_explained() -> None:
    assert set(METRIC_MEANINGS) == set(METRICS)
    assert set(REASON_MEANINGS) == {KEPT, *REASONS}


def test_synthesis_shares() -> None:
    result = SynthesisResult(1600, 1200, {"kept": 1200, "empty": 400, "unheard of": 0})
    ((caption, shares),) = synthesis_directions(result)
    assert caption == "From reference to target"
    assert [(share.name, share.amount, share.percent) for share in shares] == [
        ("kept", "1\N{NARROW NO-BREAK SPACE}200", 75.0),
        ("empty", "400", 25.0),
        ("unheard of", "0", 0.0),
    ]
    assert [bool(share.meaning) for share in shares] == [True, True, False]


def test_time_shares() -> None:
    shares = time_fractions({"a": 30.0, "b": 90.0})
    assert [(share.amount, share.percent) for share in shares] == [("30 s", 25.0), ("1 min 30 s", 75.0)]
    assert time_fractions({"a": 0.0})[0].percent == 0.0


def test_nested_settings_become_dotted_lines() -> None:
    settings = {"preset": "small", "rate": 3e-4, "decoding": {"beams": None, "early": True}, "betas": [0.9, 0.98]}
    assert settings_lines(settings) == [
        ("preset", "small"),
        ("rate", "0.0003"),
        ("decoding.beams", "none"),
        ("decoding.early", "yes"),
        ("betas", "0.9, 0.98"),
    ]
