import json
from collections import Counter
from pathlib import Path

import pytest

from likebut.data.folder import DataFolder, read_captions
from likebut.errors import InputError, ResumeError
from likebut.research.clothing.annotations import load_photographs, load_triplets
from likebut.research.clothing.folder import ClothingSettings, make_clothing

SETTINGS = ClothingSettings(derived_per_image=1, captions_per_image=2)


@pytest.fixture(scope="module")
def made(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    counts = make_clothing(folder, photographs, SETTINGS)
    assert (counts.images, counts.human, counts.missing) == (4350, 2352, ())
    return folder


def test_the_folder_is_a_valid_data_folder(made: Path) -> None:
    folder = DataFolder.open(made)
    assert len(folder.images()) == 4350
    assert len(folder.gallery("val")) == 486
    assert len(folder.queries("val")) == 432
    assert set(folder.attributes()) == set(folder.images())


def test_val_contains_only_written_texts_and_training_none_of_its_photographs(made: Path) -> None:
    folder = DataFolder.open(made)
    assert {triplet.meta["source"] for triplet in folder.triplets("val")} == {"human"}
    val = {name for name, photograph in load_photographs().items() if photograph.split == "val"}
    assert not any(triplet.images() & val for triplet in folder.triplets("train"))
    assert not {caption.image for caption in read_captions(made, "train")} & val
    assert not read_captions(made, "val")


def test_training_has_both_kinds_with_reverse_texts(made: Path) -> None:
    triplets = DataFolder.open(made).triplets("train")
    counts = Counter(triplet.meta["source"] for triplet in triplets)
    assert counts["human"] == 1920 and counts["derived"] > 3500
    assert all(triplet.reverse_modification for triplet in triplets)


def test_captions_are_the_annotation_s_and_composed_ones(made: Path) -> None:
    for caption in read_captions(made, "train")[:200]:
        assert caption.texts[0] == load_photographs()[caption.image].caption
        assert len(set(caption.texts)) == len(caption.texts) >= 2


def test_a_second_run_gives_the_same_bytes_and_other_settings_are_refused(made: Path, photographs: Path) -> None:
    before = {path.name: path.read_bytes() for path in made.glob("*.jsonl")}
    (made / "triplets.jsonl").unlink()
    # As a version wrote it that did not have these settings yet.
    header = json.loads((made / "clothing.json").read_text())
    del header["settings"]["plain"], header["settings"]["most_changes"]
    (made / "clothing.json").write_text(json.dumps(header))
    (made / "images" / next(iter(load_photographs()))).unlink()
    make_clothing(made, photographs, SETTINGS)
    assert {path.name: path.read_bytes() for path in made.glob("*.jsonl")} == before
    assert len(DataFolder.open(made).images()) == 4350
    with pytest.raises(ResumeError, match="derived_per_image"):
        make_clothing(made, photographs, ClothingSettings(derived_per_image=2))


def test_missing_photographs_are_counted_and_listed(photographs: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "images").mkdir(parents=True)
    lacking = load_triplets()[0].target
    for path in (photographs / "images_original").iterdir():
        if path.name != lacking:
            (root / "images" / path.name.replace(".jpg", ".JPEG")).hardlink_to(path)
    counts = make_clothing(tmp_path / "out", root, ClothingSettings(derived_per_image=0, captions_per_image=0))
    assert [each.name for each in counts.missing] == [lacking]
    listed = [json.loads(line)["image"] for line in (tmp_path / "out" / "missing.jsonl").read_text().splitlines()]
    assert listed == [lacking]
    texts = (tmp_path / "out" / "triplets.jsonl").read_text()
    assert lacking not in texts and counts.human < 2352


def test_too_few_photographs_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with pytest.raises(InputError) as error:
        make_clothing(tmp_path / "out", tmp_path / "root", SETTINGS)
    assert error.value.code == "missing-photographs"
    assert "0 of the 3864" in error.value.problem
    assert not (tmp_path / "out").exists()


def test_a_folder_with_other_files_is_not_touched(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(InputError) as error:
        make_clothing(tmp_path, photographs, SETTINGS)
    assert error.value.code == "folder-in-use"
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_disallowed_texts_are_replaced(photographs: Path, tmp_path: Path) -> None:
    make_clothing(tmp_path / "out", photographs, SETTINGS, lambda text: "tee" not in text)
    folder = DataFolder.open(tmp_path / "out")
    derived = [triplet for triplet in folder.triplets("train") if triplet.meta["source"] == "derived"]
    assert not any("tee" in triplet.modification for triplet in derived)
    assert not any("tee" in text for caption in read_captions(folder.path, "train") for text in caption.texts)
