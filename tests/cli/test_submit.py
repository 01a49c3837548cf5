import json
from pathlib import Path

import pytest

from helpers.command import Command
from helpers.official import write_circo, write_cirr
from likebut.retriever.retriever import Retriever


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    Retriever.from_preset("tiny").save(folder)
    return folder


def test_cirr(likebut: Command, model: Path) -> None:
    root, out = write_cirr(Path("cirr")), Path("out")
    printed = likebut("submit", "cirr", "--root", root, "--model", model, "--out", out, "--json").json()
    recall, subset = out / "cirr_test1_recall.json", out / "cirr_test1_recall_subset.json"
    assert printed == {"files": [str(recall), str(subset)], "unasked": 0, "skipped": []}
    content = json.loads(recall.read_text())
    assert (content.pop("version"), content.pop("metric")) == ("rc2", "recall")
    entries = {str(entry["pairid"]): entry for entry in json.loads((root / "captions/cap.rc2.test1.json").read_text())}
    assert content.keys() == entries.keys()
    gallery = json.loads((root / "image_splits/split.rc2.test1.json").read_text())
    for query, names in content.items():
        assert set(names) == gallery.keys() - {entries[query]["reference"]}  # the gallery has fewer than 50 images
    content = json.loads(subset.read_text())
    assert (content.pop("version"), content.pop("metric")) == ("rc2", "recall_subset")
    for query, names in content.items():
        assert len(set(names)) == 3 and set(names) <= set(entries[query]["img_set"]["members"])
    files = ("--predictions", recall, "--predictions", subset)
    checked = likebut("submit", "check", "cirr", "--root", root, *files, "--json").json()
    assert [each["queries"] for each in checked] == [8, 8]


def test_files_rank_as_the_model_does(likebut: Command, model: Path) -> None:
    """The files for val, scored, give the metrics of ``likebut evaluate`` with the same model."""
    root, out = write_cirr(Path("cirr")), Path("out")
    likebut("submit", "cirr", "--root", root, "--model", model, "--out", out, "--split", "val", "--json").json()
    files: list[str | Path] = ["--predictions", out / "cirr_val_recall.json"]
    files += ["--subset-predictions", out / "cirr_val_recall_subset.json"]
    scored = likebut("score", "cirr", "val", "--root", root, *files, "--json").json()
    measured = likebut("evaluate", "--benchmark", "cirr", "--root", root, "--model", model, "--json").json()
    names = [name for name in measured if f"{name} interval" in measured]
    assert {"Recall@1", "Recall_subset@1", "Avg"} <= set(names)
    assert {name: scored[name] for name in names} == pytest.approx({name: measured[name] for name in names})
    other = Path("other-model")
    Retriever.from_preset("tiny", seed=1).save(other)
    likebut("submit", "cirr", "--root", root, "--model", other, "--out", "other", "--split", "val", "--json").json()
    assert Path("other/cirr_val_recall.json").read_text() != (out / "cirr_val_recall.json").read_text()


def test_circo(likebut: Command, model: Path) -> None:
    root = write_circo(Path("circo"))
    likebut("submit", "circo", "--root", root, "--model", model, "--out", "out", "--no-cache", "--json").json()
    content = json.loads(Path("out/circo_test.json").read_text())
    assert {key: len(set(ids)) for key, ids in content.items()} == {"0": 50, "1": 50, "2": 50}


def test_file_that_breaks_a_limit(likebut: Command) -> None:
    root, path = write_cirr(Path("cirr")), Path("mine.json")
    path.write_text(json.dumps({"version": "rc2", "metric": "recall"}))
    likebut("submit", "check", "cirr", "--root", root, "--predictions", path).require_refused("mine.json", "8")


def test_benchmark_without_a_test_server(likebut: Command) -> None:
    refused = likebut("submit", "check", "fashioniq", "--root", "cirr", "--predictions", "x.json")
    refused.require_refused("fashioniq", "cirr", "circo")
