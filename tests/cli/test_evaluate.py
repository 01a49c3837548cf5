import json
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.colour_retriever import colour_retriever
from helpers.command import Command
from helpers.official import render, write_circo, write_cirr, write_fashioniq
from likebut.files import write_jsonl
from likebut.retriever.retriever import Retriever


@pytest.fixture(autouse=True)
def _colour_model(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model is the colour retriever, except in the test of the tiny preset."""
    if request.node.name != "test_tiny_preset":
        monkeypatch.setattr(Retriever, "from_pretrained", lambda name, device=None: colour_retriever())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    for number in range(40):
        render(data / "images" / f"{number}.png", 3 * number)
    write_jsonl(
        data / "triplets.jsonl",
        [
            {
                "split": "test",
                "reference": f"{number}.png",
                "target": f"{number + 1}.png",
                "modification": "make it blue",
                "targets": [f"{number + 1}.png", f"{number + 12}.png"],
                "subset": [f"{number + step}.png" for step in range(5)],
                "hard_negatives": [f"{number + 2}.png"],
            }
            for number in range(20)
        ],
    )
    return data


def test_a_data_folder(likebut: Command, folder: Path, tmp_path: Path) -> None:
    rankings = tmp_path / "rankings.json"
    result = likebut("evaluate", "--data", folder, "--model", "m", "--json", "--rankings", rankings)
    assert result.code == 0
    metrics = json.loads(result.out)
    for metric in ("Recall@1", "Recall@10", "Recall_subset@1", "mAP@10", "Hard-negative rate"):
        low, high = metrics[f"{metric} interval"]
        assert 0 <= low <= metrics[metric] <= high <= 100
    assert (metrics["queries"], metrics["gallery"], metrics["protocol"]) == (20, 40, "folder")
    lists = json.loads(rankings.read_text())
    hits = sum(bool({f"{n + 1}.png", f"{n + 12}.png"} & set(lists[str(n)][:10])) for n in range(20))
    # Lists cannot say that images tie, and ties count against the model.
    assert metrics["Recall@10"] <= 100 * hits / 20
    assert all(f"{number}.png" not in lists[str(number)] for number in range(20))


def test_cache_and_batch_size_change_no_metric(likebut: Command, folder: Path) -> None:
    cached, again, direct = (
        json.loads(likebut("evaluate", "--data", folder, "--model", "m", "--json", *options).out)
        for options in ([], ["--batch-size", "7"], ["--no-cache", "--batch-size", "3"])
    )
    assert cached == again
    assert {name: direct[name] for name in ("Recall@1", "Recall@10")} == {
        name: cached[name] for name in ("Recall@1", "Recall@10")
    }


def test_damaged_images_are_skipped_and_listed(likebut: Command, folder: Path) -> None:
    (folder / "images" / "39.png").write_bytes(b"")
    metrics = json.loads(likebut("evaluate", "--data", folder, "--model", "m", "--json").out)
    [skipped] = metrics["skipped"]
    assert skipped["image"] == "39.png" and skipped["reason"]
    table = likebut("evaluate", "--data", folder, "--model", "m").out
    assert f"1 image skipped:\n  39.png: {skipped['reason']}" in table
    assert any(line.startswith("Note: ") for line in table.splitlines())


def test_missing_images(likebut: Command, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "cirr", splits=["val"])
    (root / "img_raw" / "dev" / "dev-0-1-img0.png").unlink()
    common = ["evaluate", "--benchmark", "cirr", "--root", str(root), "--model", "m"]
    stopped = likebut(*common)
    stopped.require_refused("1", "26", "--list-missing")
    [listed] = json.loads(likebut(*common, "--list-missing").out)
    assert listed["image"] == "dev-0-1-img0"
    allowed = json.loads(likebut(*common, "--allow-missing", "--json").out)
    assert [image["image"] for image in allowed["skipped"]] == ["dev-0-1-img0"]
    assert allowed["queries"] == 8


WRITERS: dict[str, Callable[[Path], Path]] = {"cirr": write_cirr, "fashioniq": write_fashioniq, "circo": write_circo}


@pytest.mark.parametrize("name", ["cirr", "fashioniq", "circo"])
def test_benchmarks_and_their_ranking_files(likebut: Command, tmp_path: Path, name: str) -> None:
    root = WRITERS[name](tmp_path / name)
    out = tmp_path / "rankings.json"
    result = likebut("evaluate", "--benchmark", name, "--root", root, "--model", "m", "--json", "--rankings", out)
    assert result.code == 0
    metrics = json.loads(result.out)
    more: list[str | Path] = ["--subset-predictions", tmp_path / "rankings_subset.json"] if name == "cirr" else []
    scored = json.loads(likebut("score", name, "val", "--root", root, "--predictions", out, *more, "--json").out)
    first = {"cirr": "Recall@1", "fashioniq": "dress Recall@10", "circo": "mAP@5"}[name]
    assert next(iter(metrics)) == first
    # A file cannot say that images tie, so that it may score higher than the model did.
    measured = [name for name in metrics if f"{name} interval" in metrics]
    assert measured and all(metrics[name] <= scored[name] + 1e-9 for name in measured)
    assert metrics["labels"] == scored["labels"] == "hard"


def test_query_modes(likebut: Command, folder: Path) -> None:
    metrics = [
        json.loads(likebut("evaluate", "--data", folder, "--model", "m", "--query-mode", mode, "--json").out)
        for mode in ("composed", "text", "image")
    ]
    assert len({figure["mAP@50"] for figure in metrics}) == 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], ["--data", "--benchmark"]),
        (["--data", "x", "--benchmark", "cirr"], ["--data", "--benchmark"]),
        (["--benchmark", "cirr"], ["cirr", "--root"]),
        (["--data", "nowhere"], ["nowhere"]),
        (["--data", "data", "--labels", "soft"], ["--labels"]),
        (["--data", "data", "--split", "val"], ["val", "test"]),
        (["--data", "data", "--device", "tpu"], ["tpu"]),
        (["--data", "data", "--query-mode", "txt"], ["txt", "text"]),
        (["--benchmark", "circo", "--root", "circo"], ["circo"]),
        (["--benchmark", "circo", "--root", "circo", "--split", "test"], ["circo", "test"]),
    ],
)
def test_wrong_input(
    likebut: Command,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    named: list[str],
) -> None:
    write_circo(tmp_path / "circo", listing=False, images=False)
    monkeypatch.chdir(tmp_path)
    likebut("evaluate", *arguments, "--model", "m").require_refused(*named)


def test_tiny_preset(likebut: Command, folder: Path, tmp_path: Path) -> None:
    Retriever.from_preset("tiny").save(tmp_path / "model")
    one, seven = (
        json.loads(
            likebut("evaluate", "--data", folder, "--model", tmp_path / "model", "--batch-size", size, "--json").out
        )
        for size in ("1", "7")
    )
    assert one == seven
    assert 0 <= one["Recall@10"] <= 100
