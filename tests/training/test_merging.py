from dataclasses import replace
from pathlib import Path

from helpers.errors import raises
from likebut.data.folder import Caption
from likebut.data.triplets import ImageRef, Triplet
from likebut.errors import InputError
from likebut.training.data import TrainingData, merge

TRIPLET = Triplet("a.png", "b.png", "bluer", subset=("b.png", "c.png"), hard_negatives=("c.png",), id="1")


def data(folder: str) -> TrainingData:
    images = {name: ImageRef(name, Path(folder) / name) for name in ("a.png", "b.png", "c.png")}
    return TrainingData([TRIPLET], images, captions=[Caption("a.png", (f"from {folder}",))])


def test_images_of_further_folders_get_a_prefix() -> None:
    merged = merge([data("one"), data("two"), data("three")])
    assert [triplet.reference for triplet in merged.triplets] == ["a.png", "also-1/a.png", "also-2/a.png"]
    assert merged.triplets[0] == TRIPLET
    assert merged.triplets[1].images() == {"also-1/a.png", "also-1/b.png", "also-1/c.png"}
    assert [triplet.id for triplet in merged.triplets] == ["1", "also-1/1", "also-2/1"]
    assert merged.images["a.png"].path == Path("one/a.png")
    assert merged.images["also-2/a.png"] == ImageRef("also-2/a.png", Path("three/a.png"))
    assert [caption.image for caption in merged.captions] == ["a.png", "also-1/a.png", "also-2/a.png"]
    assert len(merged.needed_images(with_hard_negatives=True)) == 9


def test_a_single_folder_is_unchanged() -> None:
    assert merge([data("one")]) == replace(data("one"), triplets=[TRIPLET], captions=list(data("one").captions))


def test_a_name_with_the_prefix_of_another_folder_is_refused() -> None:
    first = data("one")
    first.images["also-1/a.png"] = ImageRef("also-1/a.png", Path("one/also-1/a.png"))
    with raises(InputError, "reserved-name", "also-1/a.png"):
        merge([first, data("two")])
