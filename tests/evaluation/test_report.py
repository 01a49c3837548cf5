import json

import numpy as np
import pytest

from helpers.fakes import benchmark_of, query
from likebut.data.images import SkippedImage
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.report import build_report


def part(category: str, queries: int, note: str = "a note") -> Benchmark:
    asked = [query(number, "a") for number in range(queries)]
    return benchmark_of(["a", "b"], asked, part=category, notes=(note,))


def values(*numbers: float) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    return {"Recall@10": np.array(numbers)}


def test_means_are_of_categories_however_many_queries_each_has() -> None:
    report = build_report(
        [
            (part("dress", 1), values(1.0)),
            (part("shirt", 3), values(0.0, 0.0, 0.0)),
            (part("toptee", 2), values(1.0, 0.0)),
        ]
    )
    assert report.metrics == {
        "dress Recall@10": 100.0,
        "shirt Recall@10": 0.0,
        "toptee Recall@10": 50.0,
        "Recall@10": 50.0,  # over the queries it would be 33
    }
    # Only toptee's mean can move, by thirds of its own interval.
    low, high = report.intervals["Recall@10"]
    assert (low, high) == pytest.approx((100 / 3, 200 / 3))
    assert report.notes == ("a note",)


def test_json_says_what_the_figures_are_of() -> None:
    report = build_report(
        [(part("", 2), values(1.0, 0.0))], [SkippedImage("c", "The file is empty.")], notes=["one more note"]
    )
    figures = json.loads(json.dumps(report.to_json()))
    assert list(figures)[:2] == ["Recall@10", "Recall@10 interval"]
    assert figures["Recall@10 interval"] == [0.0, 100.0]
    assert {key: figures[key] for key in ("queries", "gallery", "benchmark", "split", "protocol", "labels")} == {
        "queries": 2,
        "gallery": 2,
        "benchmark": "folder",
        "split": "test",
        "protocol": "folder",
        "labels": "hard",
    }
    assert figures["notes"] == ["a note", "one more note"]
    assert figures["skipped"] == [{"image": "c", "reason": "The file is empty."}]
    assert "parts" not in figures
