"""The whole method on small CIRR, FashionIQ and CIRCO in their official layouts, through the command line."""

from pathlib import Path
from typing import Any

import pytest

from helpers.command import Command
from helpers.official import write_circo, write_cirr, write_fashioniq
from likebut.models.vision import VisionEncoder

SMALL = ("--set", "preset=tiny", "--set", "training.batch_size=4", "--set", "training.epochs=2")
WINDOW = ("--preset", "tiny", "--min-similarity", "-1", "--max-similarity", "1", "--limit", "12")


def run(likebut: Command, *arguments: str | Path) -> Any:
    """Return the JSON that a command prints."""
    return likebut(*arguments, "--json").json()


def write_texts(likebut: Command, folder: Path, source: tuple[str, ...], *what: str) -> Any:
    """Write with the trained generator; sampling makes the texts of an untrained one differ."""
    return run(likebut, "synthesize", folder, *source, *what, "--generator", "writer", "--decoding", "nucleus")


def require_no_vision(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the vision encoder runs although every token is cached")

    monkeypatch.setattr(VisionEncoder, "forward", refuse)


@pytest.mark.parametrize("name", ["cirr", "fashioniq"])
def test_pretrain_fine_tune_evaluate_submit(
    likebut: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root = (write_cirr if name == "cirr" else write_fashioniq)(tmp_path / name)
    source = ("--benchmark", name)
    mined = run(likebut, "pairs", root, *source, "--out", "pairs.parquet", *WINDOW)
    assert mined["pairs"] == 12 and not mined["skipped"]
    with monkeypatch.context() as patch:
        require_no_vision(patch)
        writer = ("train", "generator", "--recipe", "tiny-generator", "--data", root, "--out", "writer")
        assert run(likebut, *writer, "--set", f"data.source={name}", "--set", "training.steps=2")["steps"] == 2
        shards = write_texts(likebut, root, source, "--pairs", "pairs.parquet", "--out", "shards")
        reverse = write_texts(likebut, root, source, "--reverse-for", "train", "--out", "reverse")
        assert shards["pairs"] == 12 and shards["triplets"] >= 8 and reverse["kept"] >= 4
        train = ("train", "retriever", "--data", root, *SMALL)
        pretrain = (*train, "--recipe", f"{name}-paper-pretrain", "--synthetic", "shards", "--out", "pretrained")
        assert run(likebut, *pretrain)["triplets"] == shards["kept"]  # forward texts only, as in the paper
    tune = (*train, "--recipe", f"{name}-paper", "--reverse-texts", "reverse", "--init", "pretrained", "--out", "tuned")
    tuned = run(likebut, *tune, "--set", "training.evaluate_every=1")
    assert tuned["triplets"] == reverse["kept"] and 1 <= tuned["best_step"] <= tuned["steps"]
    with monkeypatch.context() as patch:
        require_no_vision(patch)  # evaluation during training has cached the split
        metrics = run(likebut, "evaluate", *source, "--root", root, "--model", "tuned", "--rankings", "ranking.json")
    recalls = [value for key, value in metrics.items() if key.startswith("Recall") and "interval" not in key]
    assert sum(recalls) / len(recalls) == pytest.approx(tuned["best_value"])
    scored = run(likebut, "score", name, "val", "--root", root, "--predictions", "ranking.json")
    names = [name for name in scored if f"{name} interval" in scored]
    # A file cannot express ties, so that it may score higher than the model.
    assert names and all(scored[each] >= metrics[each] - 1e-9 for each in names)
    if name == "cirr":
        files = run(likebut, "submit", "cirr", "--root", root, "--model", "tuned", "--out", "upload")["files"]
        require_accepted(likebut, "cirr", root, files, queries=8)


def test_circo_zero_shot(likebut: Command, tmp_path: Path) -> None:
    root = write_circo(tmp_path / "circo")
    pictures = root / "COCO2017_unlabeled" / "unlabeled2017"
    data = write_cirr(tmp_path / "cirr", splits=["train"])
    writer = ("train", "generator", "--recipe", "tiny-generator", "--data", data, "--out", "writer")
    run(likebut, *writer, "--set", "data.source=cirr", "--set", "training.steps=2")
    assert run(likebut, "pairs", pictures, "--out", "pairs.parquet", *WINDOW)["images"] == 60
    shards = write_texts(likebut, pictures, (), "--pairs", "pairs.parquet", "--out", "shards")
    train = ("train", "retriever", "--recipe", "circo-zero-shot", "--data", pictures, "--synthetic", "shards")
    assert run(likebut, *train, *SMALL, "--out", "pretrained")["triplets"] == shards["kept"] >= 4
    measure = ("evaluate", "--benchmark", "circo", "--root", root, "--model", "pretrained")
    metrics = run(likebut, *measure, "--rankings", "ranking.json")
    assert (metrics["queries"], metrics["gallery"]) == (4, 60)
    scored = run(likebut, "score", "circo", "val", "--root", root, "--predictions", "ranking.json")
    # A file cannot express ties, so that it may score higher than the model.
    assert all(scored[f"mAP@{k}"] >= metrics[f"mAP@{k}"] - 1e-9 for k in (5, 10, 25, 50))
    files = run(likebut, "submit", "circo", "--root", root, "--model", "pretrained", "--out", "upload")["files"]
    require_accepted(likebut, "circo", root, files, queries=3)


def require_accepted(likebut: Command, name: str, root: Path, files: list[str], queries: int) -> None:
    """Check the upload files by the server's limits."""
    given = [argument for path in files for argument in ("--predictions", path)]
    checked = run(likebut, "submit", "check", name, "--root", root, *given)
    assert [each["queries"] for each in checked] == [queries] * len(files)
