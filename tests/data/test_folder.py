from pathlib import Path

import pytest

from helpers.errors import raises
from likebut.data.folder import DataFolder
from likebut.data.triplets import Triplet, write_triplets
from likebut.errors import InputError
from likebut.files import write_jsonl


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.png", "deep/a.jpg", "c.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).write_bytes(b"x")
    return tmp_path


def test_images_are_named_by_their_path_below_images(folder: Path) -> None:
    images = DataFolder.open(folder).images()
    assert list(images) == ["b.png", "c.png", "deep/a.jpg"]
    assert images["deep/a.jpg"].path == folder / "images" / "deep" / "a.jpg"


def test_a_missing_folder_and_a_folder_without_images_are_refused(tmp_path: Path) -> None:
    with raises(InputError, None, tmp_path / "absent"):
        DataFolder.open(tmp_path / "absent")
    with raises(InputError, None, tmp_path / "images"):
        DataFolder.open(tmp_path)


def test_queries_of_a_split(folder: Path) -> None:
    triplets = [Triplet("b.png", "c.png", "one", split="test"), Triplet("c.png", "b.png", "two", split="val", id="x")]
    write_triplets(folder / "triplets.jsonl", triplets)
    data = DataFolder.open(folder)
    assert [(query.id, query.modification) for query in data.queries("val")] == [("x", "two")]
    with raises(InputError, None, "train", "test, val"):
        data.queries("train")


def test_without_gallery_file_every_image_is_in_every_gallery(folder: Path) -> None:
    assert DataFolder.open(folder).gallery("anything") == ["b.png", "c.png", "deep/a.jpg"]


def test_a_gallery_keeps_line_order_without_duplicates(folder: Path) -> None:
    rows = [("c.png", "test"), ("b.png", "val"), ("b.png", "test"), ("c.png", "test")]
    write_jsonl(folder / "gallery.jsonl", ({"image": image, "split": split} for image, split in rows))
    data = DataFolder.open(folder)
    assert (data.gallery("test"), data.gallery("val")) == (["c.png", "b.png"], ["b.png"])
    with raises(InputError, None, "gallery.jsonl", "pool"):
        data.gallery("pool")


def test_captions_of_an_image_are_merged(folder: Path) -> None:
    data = DataFolder.open(folder)
    assert data.captions("train") == {}
    rows = [{"image": "b.png", "split": split, "captions": [text]} for split, text in (("train", "x"), ("val", "y"))]
    write_jsonl(folder / "captions.jsonl", [*rows, rows[0] | {"captions": ["z"]}])
    assert data.captions("train") == {"b.png": ["x", "z"]}


def test_attributes_are_read_as_strings(folder: Path) -> None:
    write_jsonl(folder / "attributes.jsonl", [{"image": "b.png", "attributes": {"moons": 2}}])
    assert DataFolder.open(folder).attributes() == {"b.png": {"moons": "2"}}


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("gallery", {"image": "b.png"}),
        ("gallery", {"image": 3, "split": "test"}),
        ("captions", {"image": "b.png", "split": "train", "captions": "a text"}),
        ("captions", {"image": "b.png", "captions": []}),
        ("attributes", {"image": "b.png", "attributes": ["red"]}),
    ],
)
def test_an_invalid_line_is_reported_with_its_number(folder: Path, name: str, row: dict[str, object]) -> None:
    good = {"image": "b.png", "split": "train", "captions": ["a text"], "attributes": {}}
    write_jsonl(folder / f"{name}.jsonl", [good, row])
    data = DataFolder.open(folder)
    with raises(InputError, None, f"{name}.jsonl line 2"):
        {"gallery": data.gallery, "captions": data.captions, "attributes": lambda _: data.attributes()}[name]("train")


def test_required_images_keep_order_and_missing_ones_are_counted(folder: Path) -> None:
    data = DataFolder.open(folder)
    available = data.images()
    assert [image.name for image in data.require(["c.png", "b.png"], available)] == ["c.png", "b.png"]
    with raises(InputError, None, 2, "x.png"):
        data.require(["b.png", "x.png", "y.png"], available)
