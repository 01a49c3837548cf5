from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
def test_triplets_come_back_from_both_kinds_of_file(
    triplets: list[Triplet], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp()
    write_triplets(folder / "triplets.jsonl", triplets)
    write_triplets_parquet(folder / "triplets.parquet", triplets)
    assert read_triplets(folder / "triplets.jsonl") == read_triplets_parquet(folder / "triplets.parquet") == triplets


def test_what_is_empty_is_left_out_and_meta_is_kept() -> None:
    assert Triplet("a", "b", "bluer").to_row() == {
        "split": "train",
        "reference": "a",
        "target": "b",
        "modification": "bluer",
    }
    row = Triplet("a", "b", "bluer", targets=("b", "c"), meta={"why": [1]}).to_row()
    assert (row["targets"], row["meta"]) == (["b", "c"], {"why": [1]})
    assert triplet_from_row(row, "here").meta == {"why": [1]}


def test_the_target_alone_is_right_unless_more_is_said() -> None:
    assert Triplet("a", "b", "bluer").targets == ("b",)
    triplet = Triplet("a", "b", "bluer", targets=("b", "c"), subset=("d",), hard_negatives=("e",))
    assert triplet.images() == {"a", "b", "c", "d", "e"}


def test_one_split_is_read(tmp_path: Path) -> None:
    triplets = [Triplet("a", "b", "bluer", split=split) for split in ("train", "test", "train")]
    write_triplets(tmp_path / "t.jsonl", triplets)
    assert read_triplets(tmp_path / "t.jsonl", "train") == [triplets[0], triplets[2]]
    assert read_triplets(tmp_path / "t.jsonl", "pool") == []


def test_a_query_does_not_count_its_reference() -> None:
    query = Query.from_triplet(Triplet("a", "b", "bluer", subset=("a", "b", "c"), hard_negatives=("d",)), 7)
    assert (query.id, query.excluded, query.subset, query.targets) == ("7", ("a",), ("b", "c"), ("b",))


def test_a_reference_that_is_a_target_counts() -> None:
    query = Query.from_triplet(Triplet("a", "b", "bluer", id="x", targets=("a", "b"), subset=("a", "b")), 7)
    assert (query.id, query.excluded, query.subset) == ("x", (), ("a", "b"))


GOOD = {"split": "train", "reference": "a", "target": "b", "modification": "bluer"}


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({}, []),
        ({"modification": None}, ['"modification" is None, not a text']),
        ({"modification": " \t"}, ["empty modification text"]),
        ({"target": 3, "subset": "b"}, ['"target" is 3', '"subset" is not a list of names']),
        ({"targets": ["b", 1]}, ['"targets" is not a list of names']),
        ({"meta": []}, ['"meta" is not an object']),
        ({"captoin": "x"}, ['unknown field "captoin"']),
        ({"reverse_modification": " "}, ["the reverse modification text is empty"]),
        ({"target": "b", "targets": ["c"]}, ['the target b is not among "targets"']),
        ({"target": "b", "targets": []}, []),
        ({"target": "b", "targets": ["c", "b"], "hard_negatives": ["c"]}, ["c is both a target and a hard negative"]),
    ],
)
def test_every_fault_of_a_line_is_found(change: dict[str, object], faults: list[str]) -> None:
    found = row_faults(GOOD | change, "file line 3")
    assert len(found) == len(faults)
    for error, expected in zip(found, faults, strict=True):
        assert error.problem.startswith("file line 3") and expected in error.problem and error.remedy


def test_missing_fields_are_each_named() -> None:
    assert [error.problem for error in row_faults({"split": "train"}, "line 1")] == [
        f'line 1 has no "{name}".' for name in ("reference", "target", "modification")
    ]
    with pytest.raises(InputError, match='line 1 has no "split"'):
        triplet_from_row({}, "line 1")
