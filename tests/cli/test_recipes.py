import json
from pathlib import Path

import pytest

from helpers.command import Command
from likebut.recipes.loading import load_recipe


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def test_the_list_describes_each_recipe(command: Command) -> None:
    listed = command("recipes", "ls")
    assert listed.code == 0 and any(line.startswith("cirr-paper ") for line in listed.out.splitlines())
    rows = {row["name"]: row for row in json.loads(command("recipes", "ls", "--json").out)}
    assert rows["generator-small"]["job"] == "train-generator" and rows["cirr-paper"]["description"]


def test_a_copy_can_be_edited_and_trained_by(command: Command, tmp_path: Path) -> None:
    copy = tmp_path / "mine.yaml"
    copied = command("recipes", "cp", "retriever-small", copy)
    assert copied.code == 0 and str(copy) in copied.out
    copy.write_text(copy.read_text().replace("batch_size: 64", "batch_size: 32"))
    assert load_recipe(str(copy)).training.batch_size == 32


def test_nothing_is_overwritten_and_unknown_names_are_refused(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("precious")
    assert command("recipes", "cp", "retriever-small", tmp_path / "mine.yaml").code == 2
    assert (tmp_path / "mine.yaml").read_text() == "precious"
    refused = command("recipes", "cp", "retriever-smal", tmp_path / "other.yaml")
    assert refused.code == 2 and 'Did you mean "retriever-small"?' in refused.err
