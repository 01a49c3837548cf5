import json

import numpy as np
import pytest

from helpers.fakes import benchmark_of, query
from likebut.data.images import SkippedImage
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.fashioniq import CATEGORIES
from likebut.evaluation.report import build_report


def part(category: str, queries: int, note: str = "a note") -> Benchmark:
    asked = [query(number, "a") for number in range(queries)]
    parts = CATEGORIES if category else ()
    return benchmark_of(["a", "b"], asked, part=category, notes=(note,), parts=parts)


def values(*numbers: float) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    return {"Recall@10": np.array(numbers)}


def test_means_weight_categories_equally() -> None:
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
        "Recall@10": 50.0,  # the mean over queries would be 33
    }
    # Only toptee's mean varies, so the interval is a third of its own.
    low, high = report.intervals["Recall@10"]
    assert (low, high) == pytest.approx((100 / 3, 200 / 3))
    assert report.notes == ("a note",)


def test_json_contains_what_the_metrics_were_computed_on() -> None:
    report = build_report(
        [(part("", 2), values(1.0, 0.0))], [SkippedImage("c", "The file is empty.")], notes=["one more note"]
    )
    values_in_json = json.loads(json.dumps(report.to_json()))
    assert list(values_in_json)[:2] == ["Recall@10", "Recall@10 interval"]
    assert values_in_json["Recall@10 interval"] == [0.0, 100.0]
    assert {key: values_in_json[key] for key in ("queries", "gallery", "benchmark", "split", "protocol", "labels")} == {
        "queries": 2,
        "gallery": 2,
        "benchmark": "folder",
        "split": "test",
        "protocol": "folder",
        "labels": "hard",
    }
    assert values_in_json["notes"] == ["a note", "one more note"]
    assert values_in_json["skipped"] == [{"image": "c", "reason": "The file is empty."}]
    assert "parts" not in values_in_json
