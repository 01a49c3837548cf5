from pathlib import Path
from xml.etree import ElementTree

import pytest

from helpers.report_samples import make_row, sample_contents, write_log
from likebut.errors import InputError
from likebut.files import write_jsonl
from likebut.research.reports.curves import curve_charts, read_stages, smoothed


def test_smoothing_averages_over_a_tenth_of_the_values() -> None:
    values = [0.0] * 20
    values[10] = 3.0
    assert smoothed(values) == [0.0] * 9 + [1.0] * 3 + [0.0] * 8
    ramp = [float(value) for value in range(20)]
    assert smoothed(ramp)[:2] == [0.5, 1.0] and smoothed(ramp)[-1] == 18.5
    assert smoothed([5.0, 1.0]) == [5.0, 1.0]


def test_rows_share_a_training_and_a_chart(tmp_path: Path) -> None:
    training, pretraining = read_stages(sample_contents(tmp_path).rows)
    assert (training.title, training.loss) == ("Training", "query_loss")
    assert [curve.names for curve in training.curves] == [("Sum",), ("Paper",)]
    assert [curve.names for curve in pretraining.curves] == [("Zero shot", "Paper")]
    assert pretraining.curves[0].steps == [10, 20, 30]
    assert pretraining.curves[0].losses["query_loss"] == [3.9, 2.9, 1.9]
    # The last row has the solid line in every chart.
    assert training.curves[1].style == pretraining.curves[0].style
    assert training.curves[1].style.dashes == "" != training.curves[0].style.dashes


def test_without_a_common_loss_the_total_is_drawn(tmp_path: Path) -> None:
    one = write_log(tmp_path / "one.jsonl", [2.0, 1.0], query_loss=[1.9, 0.9])
    other = write_log(tmp_path / "other.jsonl", [3.0, 2.0])
    rows = [make_row("a", curves={"training": one}), make_row("b", curves={"training": other})]
    assert read_stages(rows)[0].loss == "loss"


def test_log_lines_of_an_evaluation_are_skipped(tmp_path: Path) -> None:
    log = tmp_path / "metrics.jsonl"
    write_jsonl(log, [{"step": 5, "loss": 2.0}, {"step": 5, "evaluation/Recall@1": 50.0}, {"step": 10, "loss": 1.0}])
    assert read_stages([make_row("a", curves={"training": log})])[0].curves[0].steps == [5, 10]
    write_jsonl(log, [{"step": 5, "evaluation/Recall@1": 50.0}])
    with pytest.raises(InputError) as error:
        read_stages([make_row("a", curves={"training": log})])
    assert error.value.code == "no-loss"
    assert str(log) in str(error.value)


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_stages([make_row("a", curves={"training": tmp_path / "gone.jsonl"})])
    assert "gone.jsonl" in str(error.value)


def test_charts_have_an_alternative_text(tmp_path: Path) -> None:
    drawn = curve_charts(sample_contents(tmp_path).rows)
    assert drawn is not None
    for svg in drawn.charts:
        element = ElementTree.fromstring(svg)
        texts = {text.text for text in element.iter("{http://www.w3.org/2000/svg}text")}
        assert {"Training: query_loss", "Pretraining: query_loss", "step"} <= texts
        assert element.attrib["aria-label"] == (
            "Line charts of loss against step. Training, smoothed query_loss: Sum from 3.0 to 2.0; "
            "Paper from 2.0 to 1.0. Pretraining, smoothed query_loss: Zero shot and Paper from 3.9 to 1.9."
        )
        assert "var(--series-0)" in svg and "var(--series-2)" in svg


def test_rows_that_were_not_trained_have_no_curves() -> None:
    assert curve_charts([make_row("a", {"Recall@1": 1.0})]) is None
