"""Failures counted by kind of change, on rankings made by hand."""

from pathlib import Path

import pytest

from likebut.data.triplets import ImageRef, Query
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark, MetricPlan
from likebut.evaluation.evaluator import RankedBenchmark, Rankings
from likebut.evaluation.metrics import outcome_from_lists
from likebut.research.reports.failures import KindOfChange, by_kind_of_change, changed_kinds

SHIRT = {"type": "shirt", "colour": "red", "pattern": "plain", "sleeves": "long"}


def test_kinds_of_change() -> None:
    assert changed_kinds(SHIRT, SHIRT) == set()
    assert changed_kinds(SHIRT, SHIRT | {"colour": "blue"}) == {"colour"}
    assert changed_kinds(SHIRT, SHIRT | {"pattern": "striped", "sleeves": "short"}) == {"pattern", "cut"}
    assert changed_kinds(SHIRT, SHIRT | {"pattern": "graphic print", "type": "polo"}) == {"print", "type"}
    assert changed_kinds(SHIRT | {"second colour": "none"}, SHIRT | {"second colour": "blue"}) == {"further colours"}
    # An attribute that one of the two lacks is not a change.
    assert changed_kinds(SHIRT, {"type": "shirt", "neck": "v-neck"}) == set()


def ranked(rankings: list[list[str]], targets: list[str]) -> RankedBenchmark:
    names = ["r", "a", "b", "c"]
    queries = [Query(str(n), "r", "change it", target, (target,)) for n, target in enumerate(targets)]
    images = {name: ImageRef(name, Path(name)) for name in names}
    benchmark = Benchmark("folder", "val", "folder", names, queries, images, MetricPlan())
    outcomes = [outcome_from_lists(benchmark, *asked, None) for asked in zip(queries, rankings, strict=True)]
    return RankedBenchmark(benchmark, Rankings(rankings, [[] for _ in rankings]), outcomes)


ATTRIBUTES = {
    "r": SHIRT,
    "a": SHIRT | {"colour": "blue"},
    "b": SHIRT | {"colour": "blue", "type": "polo"},
    "c": SHIRT,
}


def test_each_query_counts_for_all_and_for_every_kind_that_changes() -> None:
    far = [f"x{n}" for n in range(10)]
    part = ranked([["a", "b"], ["a", "b"], [*far, "b"], ["a"]], ["a", "b", "b", "c"])
    rows = {row.name: row for row in by_kind_of_change([part], ATTRIBUTES)}
    assert rows["all"] == KindOfChange("all", 4, 25.0, 50.0)
    assert rows["colour"] == KindOfChange("colour", 3, pytest.approx(100 / 3), pytest.approx(200 / 3))
    assert rows["type"] == KindOfChange("type", 2, 0.0, 50.0)
    assert rows["one kind alone"] == KindOfChange("one kind alone", 1, 100.0, 100.0)
    assert rows["2 kinds at once"].queries == 2 and rows["0 kinds at once"].among_ten == 0.0
    assert next(iter(rows)) == "all"


def test_unknown_attributes_are_refused() -> None:
    with pytest.raises(InputError) as error:
        by_kind_of_change([ranked([["b"]], ["b"])], {"r": SHIRT})
    assert error.value.code == "missing-attributes"
    assert " b " in str(error.value)
