import json
from pathlib import Path

import pytest

from helpers.command import Command
from helpers.official import shuffled, write_cirr
from likebut.evaluation.benchmarks.cirr import load_cirr


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


def test_json_keys_are_metric_names(likebut: Command, recall_file: Path) -> None:
    result = likebut("score", "cirr", "val", "--root", recall_file.parent, "--predictions", recall_file, "--json")
    assert result.code == 0
    metrics = json.loads(result.out)
    assert metrics["Recall@1"] == 100.0
    assert metrics["Recall@1 interval"] == [100.0, 100.0]
    assert (metrics["queries"], metrics["gallery"], metrics["protocol"]) == (8, 26, "original")
    assert "Recall_subset@1" not in metrics


def test_table_shows_protocol_and_labels(likebut: Command, recall_file: Path) -> None:
    result = likebut("score", "cirr", "val", "--root", recall_file.parent, "--predictions", recall_file)
    assert result.code == 0
    assert "protocol original, labels hard" in result.out
    names = [name for name in ("Recall@1 ", "Recall@5 ", "Recall@10 ", "Recall@50 ") if name in result.out]
    assert len(names) == 4
    assert [result.out.index(name) for name in names] == sorted(result.out.index(name) for name in names)
    notes = [line for line in result.out.splitlines() if line.startswith("Note: ")]
    assert any("8" in note and "4181" in note for note in notes)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["cirr", "val"], ["--predictions"]),
        (["cir", "val", "--predictions", "x.json"], ["cir", "cirr"]),
        (["cirr", "val", "--predictions", "x.json"], ["x.json"]),
        (["cirr", "test", "--predictions", "x.json"], ["test", "test1"]),
    ],
)
def test_wrong_input(
    likebut: Command, recall_file: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], named: list[str]
) -> None:
    monkeypatch.chdir(recall_file.parent)
    likebut("score", *arguments, "--root", recall_file.parent).require_refused(*named)
