from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.errors import raises
from likebut.data.triplets import (
    Query,
    Triplet,
    read_triplets,
    read_triplets_parquet,
    row_faults,
    triplet_from_row,
    write_triplets,
    write_triplets_parquet,
)
from likebut.errors import InputError

NAMES = st.text(min_size=1, max_size=8)
MODIFICATIONS = NAMES.filter(str.strip)
LISTS = st.lists(NAMES, max_size=3).map(tuple)


def consistent(triplet: Triplet) -> Triplet:
    targets = tuple(dict.fromkeys((triplet.target, *triplet.targets)))
    return replace(triplet, targets=targets, hard_negatives=tuple(set(triplet.hard_negatives) - set(targets)))


TRIPLETS = st.builds(
    Triplet,
    reference=NAMES,
    target=NAMES,
    modification=MODIFICATIONS,
    split=st.sampled_from(["train", "val", "test"]),
    id=st.just("") | NAMES,
    reverse_modification=st.none() | MODIFICATIONS,
    targets=LISTS,
    subset=LISTS,
    hard_negatives=LISTS,
).map(consistent)


@given(triplets=st.lists(TRIPLETS, max_size=5))
def test_triplets_round_trip_through_jsonl_and_parquet(
    triplets: list[Triplet], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_triplets(folder / "triplets.jsonl", triplets)
    write_triplets_parquet(folder / "triplets.parquet", triplets)
    assert read_triplets(folder / "triplets.jsonl") == read_triplets_parquet(folder / "triplets.parquet") == triplets


def test_empty_fields_are_omitted_and_meta_is_kept() -> None:
    assert Triplet("a", "b", "bluer").to_row() == {
        "split": "train",
        "reference": "a",
        "target": "b",
        "modification": "bluer",
    }
    row = Triplet("a", "b", "bluer", targets=("b", "c"), meta={"why": [1]}).to_row()
    assert (row["targets"], row["meta"]) == (["b", "c"], {"why": [1]})
    assert triplet_from_row(row, "here").meta == {"why": [1]}


def test_targets_default_to_the_target() -> None:
    assert Triplet("a", "b", "bluer").targets == ("b",)
    triplet = Triplet("a", "b", "bluer", targets=("b", "c"), subset=("d",), hard_negatives=("e",))
    assert triplet.images() == {"a", "b", "c", "d", "e"}


def test_one_split_is_read(tmp_path: Path) -> None:
    triplets = [Triplet("a", "b", "bluer", split=split) for split in ("train", "test", "train")]
    write_triplets(tmp_path / "t.jsonl", triplets)
    assert read_triplets(tmp_path / "t.jsonl", "train") == [triplets[0], triplets[2]]
    assert read_triplets(tmp_path / "t.jsonl", "pool") == []


def test_a_query_excludes_its_reference() -> None:
    query = Query.from_triplet(Triplet("a", "b", "bluer", subset=("a", "b", "c"), hard_negatives=("d",)), 7)
    assert (query.id, query.excluded, query.subset, query.targets) == ("7", ("a",), ("b", "c"), ("b",))


def test_a_reference_that_is_a_target_is_a_candidate() -> None:
    query = Query.from_triplet(Triplet("a", "b", "bluer", id="x", targets=("a", "b"), subset=("a", "b")), 7)
    assert (query.id, query.excluded, query.subset) == ("x", (), ("a", "b"))


GOOD = {"split": "train", "reference": "a", "target": "b", "modification": "bluer"}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, []),
        ({"modification": None}, [("modification", None)]),
        ({"modification": " \t"}, [("modification",)]),
        ({"target": 3, "subset": "b"}, [("target", 3), ("subset",)]),
        ({"targets": ["b", 1]}, [("targets",)]),
        ({"meta": []}, [("meta",)]),
        ({"captoin": "x"}, [("captoin",)]),
        ({"reverse_modification": " "}, [("reverse modification",)]),
        ({"target": "b", "targets": ["c"]}, [("target b", "targets")]),
        ({"target": "b", "targets": []}, []),
        ({"target": "b", "targets": ["c", "b"], "hard_negatives": ["c"]}, [("c", "hard negative")]),
    ],
)
def test_every_fault_of_a_line_is_reported(change: dict[str, object], named: list[tuple[object, ...]]) -> None:
    found = row_faults(GOOD | change, "file line 3")
    assert len(found) == len(named)
    for error, values in zip(found, named, strict=True):
        assert "file line 3" in error.problem and error.remedy
        assert all(str(value) in error.problem for value in values)


def test_missing_fields_are_each_named() -> None:
    faults = row_faults({"split": "train"}, "line 1")
    for fault, name in zip(faults, ("reference", "target", "modification"), strict=True):
        assert "line 1" in fault.problem and f'"{name}"' in fault.problem
    with raises(InputError, None, "line 1", "split"):
        triplet_from_row({}, "line 1")
