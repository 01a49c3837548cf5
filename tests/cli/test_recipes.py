import json
from pathlib import Path

from helpers.command import Command
from likebut.recipes.loading import load_recipe


def test_ls_describes_each_recipe(likebut: Command) -> None:
    listed = likebut("recipes", "ls")
    assert listed.code == 0 and any(line.startswith("cirr-paper ") for line in listed.out.splitlines())
    rows = {row["name"]: row for row in json.loads(likebut("recipes", "ls", "--json").out)}
    assert rows["generator-small"]["job"] == "train-generator" and rows["cirr-paper"]["description"]


def test_cp_copy_loads_as_a_recipe(likebut: Command, tmp_path: Path) -> None:
    copy = tmp_path / "mine.yaml"
    copied = likebut("recipes", "cp", "retriever-small", copy)
    assert copied.code == 0 and str(copy) in copied.out
    copy.write_text(copy.read_text().replace("batch_size: 64", "batch_size: 32"))
    assert load_recipe(str(copy)).training.batch_size == 32


def test_cp_overwrites_nothing_and_refuses_unknown_names(likebut: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("precious")
    assert likebut("recipes", "cp", "retriever-small", tmp_path / "mine.yaml").code == 2
    assert (tmp_path / "mine.yaml").read_text() == "precious"
    refused = likebut("recipes", "cp", "retriever-smal", tmp_path / "other.yaml")
    refused.require_refused("retriever-smal", "retriever-small")
