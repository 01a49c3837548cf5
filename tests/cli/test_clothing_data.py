import json
from pathlib import Path

from PIL import Image

from helpers.command import Command
from likebut.research.clothing.annotations import load_photographs


def test_photographs_become_a_data_folder_and_the_missing_are_counted(command: Command, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8), "navy").save(tmp_path / "one.jpg")
    names = list(load_photographs())
    for name in names[1:]:
        (root / "images" / name).hardlink_to(tmp_path / "one.jpg")
    settings = ("--derived-per-image", "0", "--captions-per-image", "0")
    done = command("data", "clothing", tmp_path / "out", "--root", root, *settings, "--json")
    assert done.code == 0, done.err
    about = json.loads(done.out)
    assert (about["images"], about["derived"]) == (4349, 0)
    assert [image["image"] for image in about["missing"]] == [names[0]]
    again = command("data", "clothing", tmp_path / "out", "--root", root, *settings)
    assert again.code == 0 and "1 image was set aside" in again.out and names[0] in again.out


def test_a_folder_without_the_photographs_is_refused(command: Command, tmp_path: Path) -> None:
    done = command("data", "clothing", tmp_path / "out", "--root", tmp_path)
    assert done.code == 2 and "holds 0 of the 3864 photographs" in done.err
    measured = command("evaluate", "--benchmark", "clothing", "--root", tmp_path, "--split", "val", "--list-missing")
    assert measured.code == 0 and len(json.loads(measured.out)) == 486


def test_info_says_where_the_photographs_are(command: Command) -> None:
    told = command("data", "info", "clothing").out
    assert "alexeygrigorev/clothing-dataset" in told and "--root FOLDER" in told
