import json
from pathlib import Path

from PIL import Image

from helpers.errors import raises
from likebut.data.folder import find_images
from likebut.data.triplets import Triplet, write_triplets
from likebut.errors import InputError


def draw(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 4)).save(path)


def test_a_plain_folder_and_a_data_folder(tmp_path: Path) -> None:
    draw(tmp_path / "plain" / "sub" / "a.png")
    draw(tmp_path / "data" / "images" / "sub" / "a.png")
    assert [image.name for image in find_images(tmp_path / "plain")] == ["sub/a.png"]
    [found] = find_images(tmp_path / "data")
    assert (found.name, found.path) == ("sub/a.png", tmp_path / "data" / "images" / "sub" / "a.png")


def test_the_images_of_one_split(tmp_path: Path) -> None:
    for name in "abc":
        draw(tmp_path / "images" / f"{name}.png")
    lines = [
        {"image": "c.png", "split": "pool"},
        {"image": "a.png", "split": "test"},
        {"image": "b.png", "split": "pool"},
    ]
    (tmp_path / "gallery.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert [image.name for image in find_images(tmp_path, "pool")] == ["c.png", "b.png"]
    with raises(InputError, None, "pond"):
        find_images(tmp_path, "pond")


def test_without_gallery_file_images_of_other_splits_are_excluded(tmp_path: Path) -> None:
    for name in "abcd":
        draw(tmp_path / "images" / f"{name}.png")
    with raises(InputError, None, "train"):
        find_images(tmp_path, "train")
    write_triplets(
        tmp_path / "triplets.jsonl", [Triplet("a.png", "b.png", "x"), Triplet("b.png", "c.png", "x", split="val")]
    )
    assert [image.name for image in find_images(tmp_path, "train")] == ["a.png", "d.png"]
    with raises(InputError, None, "trian", "train, val"):
        find_images(tmp_path, "trian")


def test_wrong_folders_are_input_errors(tmp_path: Path) -> None:
    with raises(InputError, "no-such-folder"):
        find_images(tmp_path / "absent", "pool")
    with raises(InputError, "no-images"):
        find_images(tmp_path)
    draw(tmp_path / "a.png")
    with raises(InputError, None, "pool"):
        find_images(tmp_path, "pool")
