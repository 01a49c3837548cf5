import json
from pathlib import Path

import pytest

from helpers.command import Command
from helpers.official import shuffled, write_cirr
from likebut.evaluation.benchmarks.cirr import load_cirr


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def recall_file(tmp_path: Path) -> Path:
    [benchmark] = load_cirr(write_cirr(tmp_path, splits=["val", "test1"]), "val")
    content: dict[str, object] = {"version": "rc2", "metric": "recall"}
    for query in benchmark.queries:
        others = shuffled(benchmark.gallery, 0, query.reference)
        content[query.id] = [query.target, *(name for name in others if name != query.target)]
    path = tmp_path / "recall.json"
    path.write_text(json.dumps(content))
    return path


def test_json_has_the_metrics_names_as_keys(command: Command, recall_file: Path) -> None:
    result = command("score", "cirr", "val", "--root", recall_file.parent, "--predictions", recall_file, "--json")
    assert result.code == 0
    figures = json.loads(result.out)
    assert figures["Recall@1"] == 100.0
    assert figures["Recall@1 interval"] == [100.0, 100.0]
    assert (figures["queries"], figures["gallery"], figures["protocol"]) == (8, 26, "original")
    assert "Recall_subset@1" not in figures


def test_the_table_says_protocol_and_labels(command: Command, recall_file: Path) -> None:
    result = command("score", "cirr", "val", "--root", recall_file.parent, "--predictions", recall_file)
    assert result.code == 0
    assert "protocol original, labels hard" in result.out
    names = [name for name in ("Recall@1 ", "Recall@5 ", "Recall@10 ", "Recall@50 ") if name in result.out]
    assert len(names) == 4
    assert [result.out.index(name) for name in names] == sorted(result.out.index(name) for name in names)
    assert "Note: CIRR val has 8 queries here; the official one has 4181." in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cirr", "val"], "No ranking file was given. Give one with --predictions."),
        (["cir", "val", "--predictions", "x.json"], 'There is no benchmark "cir". Did you mean "cirr"?'),
        (["cirr", "val", "--predictions", "x.json"], "There is no file x.json. Check the path."),
        (["cirr", "test", "--predictions", "x.json"], 'There is no CIRR split "test". Did you mean "test1"?'),
    ],
)
def test_wrong_input_gives_one_sentence_and_code_2(
    command: Command, recall_file: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(recall_file.parent)
    result = command("score", *arguments, "--root", recall_file.parent)
    assert result.code == 2
    assert result.out == ""
    assert message in result.err
    assert result.err.startswith("likebut: ")
    assert result.err.count("\n") == 1
