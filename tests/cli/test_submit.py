import json
from pathlib import Path

import pytest

from helpers.colour_retriever import colour_retriever
from helpers.command import Command
from helpers.official import write_circo, write_cirr
from likebut.retriever.retriever import Retriever


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Retriever, "from_pretrained", lambda name, device=None: colour_retriever())
    return Command(monkeypatch, capsys)


def test_cirr(command: Command, tmp_path: Path) -> None:
    root, out = write_cirr(tmp_path / "cirr"), tmp_path / "out"
    result = command("submit", "cirr", "--root", root, "--model", "m", "--out", out)
    assert result.code == 0
    recall, subset = out / "cirr_test1_recall.json", out / "cirr_test1_recall_subset.json"
    assert result.out == f"Wrote {recall}.\nWrote {subset}.\n"
    assert json.loads(recall.read_text())["metric"] == "recall"
    checked = command("submit", "check", "cirr", "--root", root, "--predictions", recall, "--predictions", subset)
    assert (checked.code, checked.out.count("is in order: 8 queries of cirr test1")) == (0, 2)


def test_circo(command: Command, tmp_path: Path) -> None:
    root, out = write_circo(tmp_path / "circo"), tmp_path / "out"
    result = command("submit", "circo", "--root", root, "--model", "m", "--out", out, "--no-cache")
    assert result.code == 0
    content = json.loads((out / "circo_test.json").read_text())
    assert {key: len(ids) for key, ids in content.items()} == {"0": 50, "1": 50, "2": 50}


def test_files_for_val_can_be_scored(command: Command, tmp_path: Path) -> None:
    root, out = write_cirr(tmp_path / "cirr"), tmp_path / "out"
    assert command("submit", "cirr", "--root", root, "--model", "m", "--out", out, "--split", "val").code == 0
    files: list[str | Path] = ["--predictions", out / "cirr_val_recall.json"]
    files += ["--subset-predictions", out / "cirr_val_recall_subset.json"]
    scored = command("score", "cirr", "val", "--root", root, *files, "--json")
    assert scored.code == 0
    assert "Avg" in json.loads(scored.out)


def test_a_file_that_breaks_a_limit_is_refused(command: Command, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "cirr")
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({"version": "rc2", "metric": "recall"}))
    result = command("submit", "check", "cirr", "--root", root, "--predictions", path)
    assert (result.code, result.out) == (2, "")
    assert "lacks 8 of the 8 queries" in result.err


def test_fashioniq_has_no_test_server(command: Command, tmp_path: Path) -> None:
    result = command("submit", "check", "fashioniq", "--root", tmp_path, "--predictions", tmp_path / "x.json")
    assert result.code == 2
    assert 'no benchmark with a test server "fashioniq"' in result.err
