import json
from dataclasses import replace
from pathlib import Path

import pytest

from helpers.report_samples import sample_contents, write_picture
from likebut.errors import InputError
from likebut.research.reports.contents import (
    contents_from_json,
    contents_to_json,
    read_contents,
    write_contents,
)


def test_round_trip(tmp_path: Path) -> None:
    contents = sample_contents(tmp_path)
    write_contents(contents, tmp_path / "demo.json")
    assert read_contents(tmp_path / "demo.json") == contents


def test_the_folder_can_be_moved(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "demo", tmp_path / "moved"
    contents = sample_contents(folder)
    write_contents(contents, folder / "demo.json")
    assert str(tmp_path) not in (folder / "demo.json").read_text()
    folder.rename(elsewhere)
    moved = read_contents(elsewhere / "demo.json")
    assert moved.panels[0].reference == elsewhere / "images" / "red.png"
    assert moved.rows[0].curves["training"].is_file()


def test_a_file_outside_the_folder(tmp_path: Path) -> None:
    contents = sample_contents(tmp_path / "demo")
    outside = write_picture(tmp_path / "pictures" / "a.png", "red")
    panel = replace(contents.panels[0], reference=outside)
    value = contents_to_json(replace(contents, panels=[panel]), tmp_path / "demo")
    assert value["panels"][0]["reference"] == "../pictures/a.png"
    assert contents_from_json(value, tmp_path / "demo").panels[0].reference.resolve() == outside


def test_a_missing_demo_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_contents(tmp_path / "demo.json")
    assert error.value.code == "missing-demo"
    assert str(tmp_path) in str(error.value)


def test_an_invalid_value_is_named(tmp_path: Path) -> None:
    contents = sample_contents(tmp_path)
    value = contents_to_json(contents, tmp_path)
    value["panels"][1]["hits"][0]["score"] = "high"
    (tmp_path / "demo.json").write_text(json.dumps(value))
    with pytest.raises(InputError) as error:
        read_contents(tmp_path / "demo.json")
    assert error.value.code == "invalid-demo"
    assert '"panels.1.hits.0.score"' in str(error.value)
    del value["rows"]
    with pytest.raises(InputError) as error:
        contents_from_json(value, tmp_path)
    assert error.value.code == "invalid-demo"
    assert '"rows"' in str(error.value)
    with pytest.raises(InputError) as error:
        contents_from_json([], tmp_path)
    assert error.value.code == "invalid-demo"


def test_contents_of_version_0_1_are_read(tmp_path: Path) -> None:
    contents = sample_contents(tmp_path)
    value = contents_to_json(contents, tmp_path)
    value["grounding"] = {key.replace("shuffled_", "blind_"): metric for key, metric in value["grounding"].items()}
    assert contents_from_json(value, tmp_path) == contents
