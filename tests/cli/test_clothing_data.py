import json
from pathlib import Path

from PIL import Image

from helpers.command import Command
from likebut.research.clothing.annotations import load_photographs


def test_data_folder_of_photographs_lists_missing_ones(likebut: Command, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8), "navy").save(tmp_path / "one.jpg")
    names = list(load_photographs())
    for name in names[1:]:
        (root / "images" / name).hardlink_to(tmp_path / "one.jpg")
    settings = ("--derived-per-image", "0", "--captions-per-image", "0")
    done = likebut("data", "clothing", tmp_path / "out", "--root", root, *settings, "--json")
    assert done.code == 0, done.err
    summary = json.loads(done.out)
    assert (summary["images"], summary["derived"]) == (4349, 0)
    assert [image["image"] for image in summary["missing"]] == [names[0]]
    again = likebut("data", "clothing", tmp_path / "out", "--root", root, *settings)
    assert again.code == 0 and "1 image skipped" in again.out and names[0] in again.out


def test_folder_without_photographs(likebut: Command, tmp_path: Path) -> None:
    done = likebut("data", "clothing", tmp_path / "out", "--root", tmp_path)
    done.require_refused(str(tmp_path), "0", "3864")
    measured = likebut("evaluate", "--benchmark", "clothing", "--root", tmp_path, "--split", "val", "--list-missing")
    assert measured.code == 0 and len(json.loads(measured.out)) == 486


def test_info_names_the_source(likebut: Command) -> None:
    shown = likebut("data", "info", "clothing").out
    assert "alexeygrigorev/clothing-dataset" in shown and "--root FOLDER" in shown
