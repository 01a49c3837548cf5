import json
from pathlib import Path

import pytest

from helpers.command import Command

SMALL = ("--train-families", "1", "--val-families", "0", "--test-families", "1", "--pool-families", "1")


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


def test_sample_then_verify(command: Command, tmp_path: Path) -> None:
    made = command("data", "sample", tmp_path / "out", *SMALL, "--json")
    assert made.code == 0
    assert json.loads(made.out) == {"folder": str(tmp_path / "out"), "images": 18, "triplets": 12}
    checked = command("data", "verify", tmp_path / "out", "--json")
    assert checked.code == 0
    summary = json.loads(checked.out)
    assert (summary["images"], summary["triplets"], summary["faults"]) == (18, 12, 0)


def test_another_seed_is_refused(command: Command, tmp_path: Path) -> None:
    command("data", "sample", tmp_path / "out", *SMALL)
    refused = command("data", "sample", tmp_path / "out", *SMALL, "--seed", "1")
    assert refused.code == 2
    assert "seed = 0, not 1" in refused.err


def test_verify_lists_faults_and_exits_with_2(command: Command, tmp_path: Path) -> None:
    command("data", "sample", tmp_path / "out", *SMALL)
    (tmp_path / "out" / "images" / "test" / "0000-0.png").write_bytes(b"")
    with (tmp_path / "out" / "triplets.jsonl").open("a") as lines:
        lines.write('{"split": "test"}\n')
    result = command("data", "verify", tmp_path / "out")
    assert result.code == 2
    assert "fault: images/test/0000-0.png: The file is empty." in result.out
    assert 'fault: triplets.jsonl line 13: The line has no "reference".' in result.out
    assert "18 images, 12 triplets: 4 faults, 0 warnings." in result.out


DATA_SETS = ["sample", "folder", "cirr", "fashioniq", "circo", "icir", "pinpoint", "genecis", "clothing"]


def test_info_lists_every_data_set(command: Command) -> None:
    listed = json.loads(command("data", "info", "--json").out)
    assert [item["name"] for item in listed] == DATA_SETS
    assert all(item["licence"] and item["source"] and item["layout"] for item in listed)


def test_info_of_one_data_set_and_of_none(command: Command) -> None:
    assert "CC0-1.0" in command("data", "info", "clothing").out
    unknown = command("data", "info", "cirrr")
    assert unknown.code == 2
    assert 'knows no data set "cirrr". Did you mean cirr?' in unknown.err
