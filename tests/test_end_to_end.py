"""Synthetic CIRR, FashionIQ and CIRCO in their official layouts, the whole way through the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from helpers.command import Command
from helpers.official import write_circo, write_cirr, write_fashioniq
from likebut.models.vision import VisionEncoder

SMALL = ("--set", "preset=tiny", "--set", "training.batch_size=4", "--set", "training.epochs=2")
WINDOW = ("--preset", "tiny", "--min-similarity", "-1", "--max-similarity", "1", "--limit", "12")


@pytest.fixture
def likebut(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    """The command with --json; a failure fails the test."""
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    command = Command(monkeypatch, capsys)

    def run(*arguments: str | Path) -> Any:
        result = command(*arguments, "--json")
        assert result.code == 0, result.err
        return json.loads(result.out)

    return run


def write_texts(likebut: Any, folder: Path, source: tuple[str, ...], *what: str) -> Any:
    """Write with the trained generator; its noise is varied where it is drawn by lot."""
    return likebut("synthesize", folder, *source, *what, "--generator", "writer", "--decoding", "nucleus")


def require_no_vision(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the vision encoder was run although every token is in the cache")

    monkeypatch.setattr(VisionEncoder, "forward", refuse)


@pytest.mark.parametrize("name", ["cirr", "fashioniq"])
def test_pretrain_fine_tune_evaluate_submit(
    likebut: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root = (write_cirr if name == "cirr" else write_fashioniq)(tmp_path / name)
    source = ("--benchmark", name)
    mined = likebut("pairs", root, *source, "--out", "pairs.parquet", *WINDOW)
    assert mined["pairs"] == 12 and not mined["skipped"]
    with monkeypatch.context() as patch:
        require_no_vision(patch)
        writer = ("train", "generator", "--recipe", "tiny-generator", "--data", root, "--out", "writer")
        assert likebut(*writer, "--set", f"data.source={name}", "--set", "training.steps=2")["steps"] == 2
        shards = write_texts(likebut, root, source, "--pairs", "pairs.parquet", "--out", "shards")
        reverse = write_texts(likebut, root, source, "--reverse-for", "train", "--out", "reverse")
        assert shards["pairs"] == 12 and shards["triplets"] >= 8 and reverse["kept"] >= 4
        train = ("train", "retriever", "--data", root, *SMALL)
        pretrain = (*train, "--recipe", f"{name}-paper-pretrain", "--synthetic", "shards", "--out", "pretrained")
        assert likebut(*pretrain)["triplets"] == shards["kept"]  # forwards alone, as in the paper
    tune = (*train, "--recipe", f"{name}-paper", "--reverse-texts", "reverse", "--init", "pretrained", "--out", "tuned")
    tuned = likebut(*tune, "--set", "training.evaluate_every=1")
    assert tuned["triplets"] == reverse["kept"] and 1 <= tuned["best_step"] <= tuned["steps"]
    with monkeypatch.context() as patch:
        require_no_vision(patch)  # evaluation while training has seen the split
        figures = likebut("evaluate", *source, "--root", root, "--model", "tuned", "--rankings", "ranking.json")
    recalls = [value for key, value in figures.items() if key.startswith("Recall") and "interval" not in key]
    assert sum(recalls) / len(recalls) == pytest.approx(tuned["best_value"])
    scored = likebut("score", name, "val", "--root", root, "--predictions", "ranking.json")
    metrics = [metric for metric in scored if f"{metric} interval" in scored]
    # A file cannot say that images tie, so that it may score higher than the model did.
    assert metrics and all(scored[metric] >= figures[metric] - 1e-9 for metric in metrics)
    if name == "cirr":
        files = likebut("submit", "cirr", "--root", root, "--model", "tuned", "--out", "upload")["files"]
        require_accepted(likebut, "cirr", root, files, queries=8)


def test_circo_zero_shot(likebut: Any, tmp_path: Path) -> None:
    root = write_circo(tmp_path / "circo")
    pictures = root / "COCO2017_unlabeled" / "unlabeled2017"
    data = write_cirr(tmp_path / "cirr", splits=["train"])
    writer = ("train", "generator", "--recipe", "tiny-generator", "--data", data, "--out", "writer")
    likebut(*writer, "--set", "data.source=cirr", "--set", "training.steps=2")
    assert likebut("pairs", pictures, "--out", "pairs.parquet", *WINDOW)["images"] == 60
    shards = write_texts(likebut, pictures, (), "--pairs", "pairs.parquet", "--out", "shards")
    train = ("train", "retriever", "--recipe", "circo-zero-shot", "--data", pictures, "--synthetic", "shards")
    assert likebut(*train, *SMALL, "--out", "pretrained")["triplets"] == shards["kept"] >= 4
    measure = ("evaluate", "--benchmark", "circo", "--root", root, "--model", "pretrained")
    figures = likebut(*measure, "--rankings", "ranking.json")
    assert (figures["queries"], figures["gallery"]) == (4, 60)
    scored = likebut("score", "circo", "val", "--root", root, "--predictions", "ranking.json")
    # A file cannot say that images tie, so that it may score higher than the model did.
    assert all(scored[f"mAP@{k}"] >= figures[f"mAP@{k}"] - 1e-9 for k in (5, 10, 25, 50))
    files = likebut("submit", "circo", "--root", root, "--model", "pretrained", "--out", "upload")["files"]
    require_accepted(likebut, "circo", root, files, queries=3)


def require_accepted(likebut: Any, name: str, root: Path, files: list[str], queries: int) -> None:
    """Check the upload files by the server's limits."""
    given = [argument for path in files for argument in ("--predictions", path)]
    checked = likebut("submit", "check", name, "--root", root, *given)
    assert [each["queries"] for each in checked] == [queries] * len(files)
