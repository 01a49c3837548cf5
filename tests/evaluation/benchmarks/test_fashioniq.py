import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from helpers.official import write_fashioniq
from helpers.paths import BENCHMARKS
from likebut.data.triplets import Triplet
from likebut.errors import InputError
from likebut.evaluation.benchmarks.fashioniq import (
    join_captions,
    load_fashioniq,
    load_fashioniq_triplets,
    training_text,
)

OFFICIAL = BENCHMARKS / "fashioniq"
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official annotations are not here")


def test_one_benchmark_for_each_category(tmp_path: Path) -> None:
    benchmarks = load_fashioniq(write_fashioniq(tmp_path), "val")
    assert [benchmark.part for benchmark in benchmarks] == ["dress", "shirt", "toptee"]
    dress = benchmarks[0]
    assert (len(dress.gallery), len(dress.queries), dress.protocol) == (14, 5, "original")
    first = dress.queries[0]
    assert (first.id, first.reference, first.target, first.excluded) == ("0", "B0100000", "B0100001", ())


def test_protocols_differ_in_gallery_and_reference(tmp_path: Path) -> None:
    write_fashioniq(tmp_path)
    [without] = load_fashioniq(tmp_path, "val", "original-without-reference", ["dress"])
    assert (len(without.gallery), without.queries[0].excluded) == (14, ("B0100000",))
    [union] = load_fashioniq(tmp_path, "val", "val-split", ["dress"])
    # Five queries, each from image i to image i + 1, name six images.
    assert union.gallery == [f"B01{number:05d}" for number in range(6)]
    assert union.queries[0].excluded == ()


def test_images_of_either_suffix_are_found(tmp_path: Path) -> None:
    benchmarks = load_fashioniq(write_fashioniq(tmp_path), "val")
    assert [benchmark.missing_images() for benchmark in benchmarks] == [[], [], []]
    assert {image.path.suffix for image in benchmarks[0].images.values()} == {".jpg", ".png"}


def test_captions_are_stripped_and_joined() -> None:
    assert join_captions([" is shiny, and silver. ", "has a hand-made band?,"]) == (
        "is shiny, and silver and has a hand-made band"
    )


def test_training_text_is_one_of_four_with_equal_probability() -> None:
    triplet = Triplet("r", "t", "one and two", meta={"captions": ["one.", " two"]})
    generator = np.random.default_rng(0)
    counts = Counter(training_text(triplet, generator) for _ in range(4000))
    assert set(counts) == {"one and two", "two and one", "one", "two"}
    assert all(900 < count < 1100 for count in counts.values())


def test_a_triplet_without_captions_keeps_its_text() -> None:
    assert training_text(Triplet("r", "t", "back again"), np.random.default_rng(0)) == "back again"


def test_training_triplets(tmp_path: Path) -> None:
    triplets, images = load_fashioniq_triplets(write_fashioniq(tmp_path))
    assert len(triplets) == 15
    assert triplets[0].modification == "is red with a hand-made band and Has a circle on it"
    assert triplets[-1].meta["category"] == "toptee"
    assert len({triplet.id for triplet in triplets}) == 15
    assert all(images[name].path.is_file() for triplet in triplets for name in triplet.images())


def test_the_labels_of_test_are_hidden(tmp_path: Path) -> None:
    write_fashioniq(tmp_path)
    assert {benchmark.labels for benchmark in load_fashioniq(tmp_path, "test")} == {"hidden"}
    with pytest.raises(InputError) as error:
        load_fashioniq_triplets(tmp_path, "test")
    assert error.value.code == "hidden-labels"


@pytest.mark.parametrize(
    ("file", "content", "value"),
    [
        ("captions/cap.shirt.val.json", [{"candidate": "B1100000", "target": "B1100001"}], 'entry 0 has no "captions"'),
        (
            "captions/cap.shirt.val.json",
            [{"candidate": "B1100000", "target": "B1100001", "captions": ["one"]}],
            "entry 0",
        ),
        (
            "captions/cap.shirt.val.json",
            [{"candidate": "B1100000", "target": "B999", "captions": ["one", "two"]}],
            'query 0 names "B999"',
        ),
        ("image_splits/split.shirt.val.json", {"B1100000": 1}, "split.shirt.val.json"),
    ],
)
def test_invalid_annotations_are_named(tmp_path: Path, file: str, content: object, value: str) -> None:
    write_fashioniq(tmp_path)
    (tmp_path / file).write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        load_fashioniq(tmp_path, "val")
    assert error.value.code in ("invalid-annotations", "unknown-image-name")
    assert str(tmp_path / file) in error.value.problem
    assert value in error.value.problem


def test_unknown_choices_name_the_near_miss(tmp_path: Path) -> None:
    for split, protocol, value in (("val", "valsplit", '"val-split"'), ("dev", "original", "val")):
        with pytest.raises(InputError) as error:
            load_fashioniq(tmp_path, split, protocol)
        assert error.value.code == "unknown-choice"
        assert value in error.value.remedy


@needs_official
@pytest.mark.parametrize(
    ("protocol", "galleries"),
    [
        ("original", [3817, 6346, 5373]),
        ("original-without-reference", [3817, 6346, 5373]),
        ("val-split", [2628, 3089, 2902]),
    ],
)
def test_official_counts(protocol: str, galleries: list[int]) -> None:
    benchmarks = load_fashioniq(OFFICIAL, "val", protocol)
    assert [len(benchmark.queries) for benchmark in benchmarks] == [2017, 2038, 1961]
    assert [len(benchmark.gallery) for benchmark in benchmarks] == galleries
    assert [benchmark.notes for benchmark in benchmarks] == [(), (), ()]
