import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from helpers.official import write_cirr
from helpers.paths import BENCHMARKS
from likebut.errors import InputError
from likebut.evaluation.benchmarks.cirr import cirr_images, load_cirr, load_cirr_triplets

OFFICIAL = BENCHMARKS / "cirr"
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official annotations are not here")


def edit(path: Path, change: Callable[[Any], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("layout", ["repository", "clip4cir"])
def test_reads_both_layouts(tmp_path: Path, layout: str) -> None:
    [benchmark] = load_cirr(write_cirr(tmp_path, layout), "val")
    assert benchmark.missing_images() == []
    assert len(benchmark.gallery) == 4 * 6 + 2
    first = benchmark.queries[0]
    assert (first.id, first.reference, first.target) == ("100", "dev-0-0-img0", "dev-0-0-img1")
    assert first.subset == ("dev-0-0-img1", "dev-0-1-img0", "dev-0-1-img1", "dev-0-2-img0", "dev-0-2-img1")
    assert first.excluded == ("dev-0-0-img0",)


def test_images_with_another_suffix_are_found(tmp_path: Path) -> None:
    [benchmark] = load_cirr(write_cirr(tmp_path, suffix=".jpg"), "val")
    assert benchmark.missing_images() == []
    assert {image.path.suffix for image in benchmark.images.values()} == {".jpg"}


def test_missing_images_are_listed_by_name(tmp_path: Path) -> None:
    write_cirr(tmp_path)
    gone = tmp_path / "img_raw" / "dev" / "dev-0-1-img0.png"
    gone.unlink()
    [missing] = load_cirr(tmp_path, "val")[0].missing_images()
    assert (missing.name, missing.reason) == ("dev-0-1-img0", f"There is no file {gone}.")


def test_the_labels_of_test1_are_hidden(tmp_path: Path) -> None:
    [benchmark] = load_cirr(write_cirr(tmp_path), "test1")
    assert benchmark.labels == "hidden"
    assert {query.targets for query in benchmark.queries} == {()}
    with pytest.raises(InputError) as error:
        benchmark.require_labels()
    assert error.value.code == "hidden-labels"


def test_soft_labels_credit_every_positive_except_the_reference(tmp_path: Path) -> None:
    write_cirr(tmp_path)

    def grade(entries: list[dict[str, object]]) -> None:
        entries[0]["target_soft"] = {
            "dev-0-0-img0": 1.0,  # the reference
            "dev-0-0-img1": 1.0,
            "dev-900-0-img0": 0.5,
            "dev-0-2-img0": -1.0,
        }
        entries[1]["target_soft"] = {"dev-0-2-img0": -1.0}

    edit(tmp_path / "captions" / "cap.rc2.val.json", grade)
    [benchmark] = load_cirr(tmp_path, "val", labels="soft")
    assert benchmark.credits_of(benchmark.queries[0]) == {"dev-0-0-img1": 1.0, "dev-900-0-img0": 0.5}
    assert benchmark.credits_of(benchmark.queries[1]) == {}
    assert any("1 of 8" in note for note in benchmark.notes)
    [hard] = load_cirr(tmp_path, "val")
    assert hard.credits_of(hard.queries[0]) == {"dev-0-0-img1": 1.0}


def test_training_triplets(tmp_path: Path) -> None:
    write_cirr(tmp_path)
    triplets, images = load_cirr_triplets(tmp_path)
    assert len(triplets) == 8
    first = triplets[0]
    assert (first.reference, first.target, first.split) == ("train-0-0-img0", "train-0-0-img1", "train")
    assert first.modification == "make it red"
    assert all(name in images for triplet in triplets for name in triplet.images())
    assert images[first.reference].path == tmp_path / "img_raw" / "train" / "0" / "train-0-0-img0.png"


def test_soft_training_triplets_contain_every_positive(tmp_path: Path) -> None:
    write_cirr(tmp_path)
    scores = {"train-0-0-img0": 1.0, "train-0-2-img1": 0.5}
    edit(tmp_path / "captions" / "cap.rc2.train.json", lambda entries: entries[0].update(target_soft=scores))
    assert load_cirr_triplets(tmp_path, labels="soft")[0][0].targets == ("train-0-0-img1", "train-0-2-img1")
    assert load_cirr_triplets(tmp_path, labels="hard")[0][0].targets == ("train-0-0-img1",)


def test_unofficial_counts_are_noted(tmp_path: Path) -> None:
    [benchmark] = load_cirr(write_cirr(tmp_path), "val")
    for note, counts in zip(benchmark.notes, (("8", "4181"), ("26", "2297")), strict=True):
        assert all(count in note for count in counts)


@pytest.mark.parametrize(
    ("file", "change", "value"),
    [
        ("captions/cap.rc2.val.json", lambda entries: entries[2].pop("caption"), 'entry 2 has no "caption"'),
        ("captions/cap.rc2.val.json", lambda entries: entries[2].pop("target_hard"), "7 of 8"),
        ("captions/cap.rc2.val.json", lambda entries: entries[2].update(pairid="102"), '"pairid"'),
        (
            "captions/cap.rc2.val.json",
            lambda entries: entries[2]["img_set"].pop("members"),
            'pair 102 has no "members"',
        ),
        ("captions/cap.rc2.val.json", lambda entries: entries[2].update(reference="x"), 'pair 102 names "x"'),
        ("captions/cap.rc2.val.json", lambda entries: entries.__setitem__(0, 5), "entry 0"),
        ("image_splits/split.rc2.val.json", lambda places: places.update(x=3), "split.rc2.val.json"),
    ],
)
def test_invalid_annotations_are_named(tmp_path: Path, file: str, change: Callable[[Any], object], value: str) -> None:
    write_cirr(tmp_path)
    edit(tmp_path / file, change)
    with pytest.raises(InputError) as error:
        load_cirr(tmp_path, "val")
    assert error.value.code in ("invalid-annotations", "unknown-image-name")
    assert str(tmp_path / file) in error.value.problem
    assert value in error.value.problem


def test_missing_files_are_named(tmp_path: Path) -> None:
    def error_of(root: Path, split: str) -> InputError:
        with pytest.raises(InputError) as error:
            load_cirr(root, split)
        return error.value

    assert error_of(tmp_path / "nowhere", "val").code == "missing-folder"
    assert error_of(tmp_path, "val").code == "missing-annotations"
    write_cirr(tmp_path, splits=["val"])
    assert "split.rc2.test1.json" in error_of(tmp_path, "test1").problem
    assert error_of(tmp_path, "test").code == "unknown-choice"


@needs_official
@pytest.mark.parametrize(("split", "queries", "gallery"), [("val", 4181, 2297), ("test1", 4148, 2315)])
def test_official_counts(split: str, queries: int, gallery: int) -> None:
    [benchmark] = load_cirr(OFFICIAL, split)
    assert (len(benchmark.queries), len(benchmark.gallery)) == (queries, gallery)
    assert benchmark.notes == ()
    assert {len(query.subset) for query in benchmark.queries} == {5}


@needs_official
def test_official_training_images() -> None:
    assert len(cirr_images(OFFICIAL, "train")) == 16939


@needs_official
def test_official_soft_labels() -> None:
    [benchmark] = load_cirr(OFFICIAL, "val", labels="soft")
    entries = json.loads((OFFICIAL / "captions" / "cap.rc2.val.json").read_text())
    with_another = sum(
        any(score > 0 and name != entry["target_hard"] for name, score in entry["target_soft"].items())
        for entry in entries
    )
    assert with_another == 96
    assert sum(not benchmark.credits_of(query) for query in benchmark.queries) == 3
