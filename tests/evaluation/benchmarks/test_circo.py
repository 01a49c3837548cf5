import json
from pathlib import Path

import pytest

from helpers.official import write_circo
from helpers.paths import BENCHMARKS
from likebut.errors import InputError
from likebut.evaluation.benchmarks.circo import ASPECTS, load_circo
from likebut.evaluation.benchmarks.loading import require_galleries

OFFICIAL = BENCHMARKS / "circo"
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official annotations are not here")


def test_reads_the_official_layout(tmp_path: Path) -> None:
    [benchmark] = load_circo(write_circo(tmp_path), "val")
    assert (len(benchmark.gallery), len(benchmark.queries)) == (60, 4)
    assert benchmark.missing_images() == []
    second = benchmark.queries[1]
    assert (second.id, second.reference, second.target, second.excluded) == ("1", "1007", "1105", ())
    assert second.targets == ("1105", "1112")
    assert second.modification == "shows something orange instead"
    assert benchmark.aspects["1"] == ("addition", "viewpoint")


def test_coco_may_be_stored_next_to_the_annotations(tmp_path: Path) -> None:
    write_circo(tmp_path)
    coco = tmp_path / "COCO2017_unlabeled"
    (coco / "unlabeled2017").rename(tmp_path / "unlabeled2017")
    (coco / "annotations" / "image_info_unlabeled2017.json").rename(tmp_path / "image_info_unlabeled2017.json")
    [benchmark] = load_circo(tmp_path, "val")
    assert len(benchmark.gallery) == 60
    assert benchmark.missing_images() == []


def test_recall_counts_the_single_target(tmp_path: Path) -> None:
    [benchmark] = load_circo(write_circo(tmp_path), "val")
    assert benchmark.credits_of(benchmark.queries[1]) == {"1105": 1.0}


def test_the_reference_can_be_excluded(tmp_path: Path) -> None:
    [benchmark] = load_circo(write_circo(tmp_path), "val", "original-without-reference")
    assert benchmark.queries[1].excluded == ("1007",)


def test_without_cocos_list_there_is_no_gallery_to_rank(tmp_path: Path) -> None:
    [benchmark] = load_circo(write_circo(tmp_path, listing=False), "val")
    assert benchmark.gallery == []
    with pytest.raises(InputError) as error:
        require_galleries([benchmark])
    assert error.value.code == "unknown-gallery"
    assert "image_info_unlabeled2017.json" in str(error.value)


def test_the_labels_of_test_are_hidden(tmp_path: Path) -> None:
    [benchmark] = load_circo(write_circo(tmp_path), "test")
    assert (benchmark.labels, len(benchmark.queries)) == ("hidden", 3)


def test_invalid_files_are_named(tmp_path: Path) -> None:
    write_circo(tmp_path)
    listing = tmp_path / "COCO2017_unlabeled" / "annotations" / "image_info_unlabeled2017.json"
    listing.write_text(json.dumps({"images": [{"id": 1000, "file_name": "000000001000.jpg"}]}))
    with pytest.raises(InputError) as error:
        load_circo(tmp_path, "val")
    assert error.value.code == "unknown-image-name"
    assert 'query 0 names "1070"' in str(error.value)
    listing.write_text(json.dumps([1]))
    with pytest.raises(InputError) as error:
        load_circo(tmp_path, "val")
    assert error.value.code == "invalid-annotations"
    assert str(listing) in str(error.value)
    (tmp_path / "annotations" / "val.json").write_text(json.dumps({"0": {}}))
    with pytest.raises(InputError) as error:
        load_circo(tmp_path, "val")
    assert error.value.code == "invalid-annotations"
    assert "val.json" in str(error.value)


@needs_official
@pytest.mark.parametrize(("split", "queries"), [("val", 220), ("test", 800)])
def test_official_counts(split: str, queries: int) -> None:
    [benchmark] = load_circo(OFFICIAL, split)
    assert len(benchmark.queries) == queries
    assert len(benchmark.notes) <= 1  # the missing image list, not a wrong count
    if split == "val":
        assert {aspect for aspects in benchmark.aspects.values() for aspect in aspects} == set(ASPECTS)
