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


def test_every_target_is_relevant_and_the_reference_is_not_a_candidate(folder: Path) -> None:
    [benchmark] = load_folder(folder, "test")
    first, second = benchmark.queries
    assert benchmark.credits_of(first) == {"b.png": 1.0, "c.png": 1.0}
    assert first.excluded == ("a.png",)
    assert first.subset == ("b.png", "d.png")
    assert len(benchmark.gallery) == 6
    # A reference that is itself a target stays a candidate.
    assert (second.excluded, benchmark.credits_of(second)) == ((), {"e.png": 1.0})


def test_metrics_over_fewer_queries_are_noted(folder: Path) -> None:
    [benchmark] = load_folder(folder, "test")
    for note, metric in zip(benchmark.notes, ("Recall_subset@K", "hard-negative rate"), strict=True):
        assert metric in note
        assert "1 of 2" in note


def test_missing_image_files_are_listed(folder: Path) -> None:
    write_jsonl(folder / "gallery.jsonl", [{"image": f"{name}.png", "split": "test"} for name in "abcdefg"])
    [benchmark] = load_folder(folder, "test")
    assert [image.name for image in benchmark.missing_images()] == ["g.png"]


def test_a_target_outside_the_gallery_is_an_error(folder: Path) -> None:
    write_jsonl(folder / "gallery.jsonl", [{"image": f"{name}.png", "split": "test"} for name in "abde"])
    with pytest.raises(InputError) as error:
        load_folder(folder, "test")
    assert error.value.code == "target-outside-gallery"
    assert 'query 0 names "c.png"' in str(error.value)


def test_two_queries_may_not_share_an_id(folder: Path) -> None:
    row = {"split": "test", "id": "x", "reference": "a.png", "target": "b.png", "modification": "bluer"}
    write_jsonl(folder / "triplets.jsonl", [row, row])
    with pytest.raises(InputError) as error:
        load_folder(folder, "test")
    assert error.value.code == "duplicate-query-id"
    assert '"x"' in str(error.value)


def test_a_split_without_queries_is_an_error(folder: Path) -> None:
    with pytest.raises(InputError) as error:
        load_folder(folder, "val")
    assert "test, train" in str(error.value)
