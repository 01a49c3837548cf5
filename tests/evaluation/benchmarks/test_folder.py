from pathlib import Path

import pytest

from helpers.official import render
from likebut.errors import InputError
from likebut.evaluation.benchmarks.folder import load_folder
from likebut.files import write_jsonl


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate("abcdef"):
        render(tmp_path / "images" / f"{name}.png", number)
    write_jsonl(
        tmp_path / "triplets.jsonl",
        [
            {
                "split": "test",
                "reference": "a.png",
                "target": "b.png",
                "modification": "bluer",
                "targets": ["b.png", "c.png"],
                "subset": ["a.png", "b.png", "d.png"],
                "hard_negatives": ["d.png"],
            },
            {"split": "test", "id": "same", "reference": "e.png", "target": "e.png", "modification": "as it is"},
            {"split": "train", "reference": "f.png", "target": "a.png", "modification": "other"},
        ],
    )
    return tmp_path


def test_any_target_is_right_and_the_reference_is_no_candidate(folder: Path) -> None:
    [benchmark] = load_folder(folder, "test")
    first, second = benchmark.queries
    assert benchmark.credits_of(first) == {"b.png": 1.0, "c.png": 1.0}
    assert first.excluded == ("a.png",)
    assert first.subset == ("b.png", "d.png")
    assert len(benchmark.gallery) == 6
    # A reference that is itself a target stays a candidate.
    assert (second.excluded, benchmark.credits_of(second)) == ((), {"e.png": 1.0})


def test_says_which_metrics_are_over_fewer_queries(folder: Path) -> None:
    [benchmark] = load_folder(folder, "test")
    assert benchmark.notes == (
        "Recall_subset@K is over the 1 of 2 queries that have what it needs.",
        "The hard-negative rate is over the 1 of 2 queries that have what it needs.",
    )


def test_missing_image_files_are_listed(folder: Path) -> None:
    write_jsonl(folder / "gallery.jsonl", [{"image": f"{name}.png", "split": "test"} for name in "abcdefg"])
    [benchmark] = load_folder(folder, "test")
    assert [image.name for image in benchmark.missing_images()] == ["g.png"]


def test_a_target_outside_the_gallery_is_an_error(folder: Path) -> None:
    write_jsonl(folder / "gallery.jsonl", [{"image": f"{name}.png", "split": "test"} for name in "abde"])
    with pytest.raises(InputError, match=r'query 0 names "c\.png", which is not in the gallery'):
        load_folder(folder, "test")


def test_two_queries_may_not_share_an_id(folder: Path) -> None:
    row = {"split": "test", "id": "x", "reference": "a.png", "target": "b.png", "modification": "bluer"}
    write_jsonl(folder / "triplets.jsonl", [row, row])
    with pytest.raises(InputError, match='have the id "x"'):
        load_folder(folder, "test")


def test_a_split_without_queries_is_an_error(folder: Path) -> None:
    with pytest.raises(InputError, match="test, train"):
        load_folder(folder, "val")
