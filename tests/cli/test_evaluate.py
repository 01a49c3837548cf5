import json
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.colour_retriever import colour_retriever
from helpers.command import Command
from helpers.official import render, write_circo, write_cirr, write_fashioniq
from likebut.files import write_jsonl
from likebut.retriever.retriever import Retriever


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Retriever, "from_pretrained", lambda name, device=None: colour_retriever())
    return Command(monkeypatch, capsys)


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


def test_a_data_folder(command: Command, folder: Path, tmp_path: Path) -> None:
    rankings = tmp_path / "rankings.json"
    result = command("evaluate", "--data", folder, "--model", "m", "--json", "--rankings", rankings)
    assert result.code == 0
    figures = json.loads(result.out)
    for metric in ("Recall@1", "Recall@10", "Recall_subset@1", "mAP@10", "Hard-negative rate"):
        low, high = figures[f"{metric} interval"]
        assert 0 <= low <= figures[metric] <= high <= 100
    assert (figures["queries"], figures["gallery"], figures["protocol"]) == (20, 40, "folder")
    lists = json.loads(rankings.read_text())
    hits = sum(bool({f"{n + 1}.png", f"{n + 12}.png"} & set(lists[str(n)][:10])) for n in range(20))
    # Lists cannot say that images tie, and ties count against the model.
    assert figures["Recall@10"] <= 100 * hits / 20
    assert all(f"{number}.png" not in lists[str(number)] for number in range(20))


def test_the_cache_changes_no_figure(command: Command, folder: Path) -> None:
    cached, again, direct = (
        json.loads(command("evaluate", "--data", folder, "--model", "m", "--json", *options).out)
        for options in ([], ["--batch-size", "7"], ["--no-cache", "--batch-size", "3"])
    )
    assert cached == again
    assert {name: direct[name] for name in ("Recall@1", "Recall@10")} == {
        name: cached[name] for name in ("Recall@1", "Recall@10")
    }


def test_damaged_images_are_set_aside_and_listed(command: Command, folder: Path) -> None:
    (folder / "images" / "39.png").write_bytes(b"")
    figures = json.loads(command("evaluate", "--data", folder, "--model", "m", "--json").out)
    assert figures["skipped"] == [{"image": "39.png", "reason": "The file is empty."}]
    table = command("evaluate", "--data", folder, "--model", "m").out
    assert "1 image was set aside:\n  39.png: The file is empty." in table
    assert "not comparable" in table


def test_missing_images_are_listed_and_stop_it(command: Command, tmp_path: Path) -> None:
    root = write_cirr(tmp_path / "cirr", splits=["val"])
    (root / "img_raw" / "dev" / "dev-0-1-img0.png").unlink()
    common = ["evaluate", "--benchmark", "cirr", "--root", str(root), "--model", "m"]
    stopped = command(*common)
    assert (stopped.code, stopped.out) == (2, "")
    assert "1 of the 26 images of cirr val are missing" in stopped.err
    [listed] = json.loads(command(*common, "--list-missing").out)
    assert listed["image"] == "dev-0-1-img0"
    allowed = json.loads(command(*common, "--allow-missing", "--json").out)
    assert [image["image"] for image in allowed["skipped"]] == ["dev-0-1-img0"]
    assert allowed["queries"] == 8


WRITERS: dict[str, Callable[[Path], Path]] = {"cirr": write_cirr, "fashioniq": write_fashioniq, "circo": write_circo}


@pytest.mark.parametrize("name", ["cirr", "fashioniq", "circo"])
def test_official_benchmarks_and_the_files_they_leave(command: Command, tmp_path: Path, name: str) -> None:
    root = WRITERS[name](tmp_path / name)
    out = tmp_path / "rankings.json"
    result = command("evaluate", "--benchmark", name, "--root", root, "--model", "m", "--json", "--rankings", out)
    assert result.code == 0
    figures = json.loads(result.out)
    more: list[str | Path] = ["--subset-predictions", tmp_path / "rankings_subset.json"] if name == "cirr" else []
    scored = json.loads(command("score", name, "val", "--root", root, "--predictions", out, *more, "--json").out)
    first = {"cirr": "Recall@1", "fashioniq": "dress Recall@10", "circo": "mAP@5"}[name]
    assert next(iter(figures)) == first
    # A file cannot say that images tie, so that it may score higher than the model did.
    metrics = [metric for metric in figures if f"{metric} interval" in figures]
    assert all(figures[metric] <= scored[metric] + 1e-9 for metric in metrics)
    assert figures["labels"] == scored["labels"] == "hard"


def test_query_modes(command: Command, folder: Path) -> None:
    figures = [
        json.loads(command("evaluate", "--data", folder, "--model", "m", "--query-mode", mode, "--json").out)
        for mode in ("composed", "text", "image")
    ]
    assert len({figure["mAP@50"] for figure in figures}) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "one of --data and --benchmark"),
        (["--data", "x", "--benchmark", "cirr"], "one of --data and --benchmark"),
        (["--benchmark", "cirr"], "Where cirr lies was not said"),
        (["--data", "nowhere"], "There is no folder nowhere"),
        (["--data", "data", "--labels", "soft"], "no --root, --protocol, --labels or --query-template"),
        (["--data", "data", "--split", "val"], "Splits there: test."),
        (["--data", "data", "--device", "tpu"], 'There is no device "tpu"'),
        (["--data", "data", "--query-mode", "txt"], 'Did you mean "text"'),
        (["--benchmark", "circo", "--root", "circo"], "gallery is not known"),
        (["--benchmark", "circo", "--root", "circo", "--split", "test"], "labels of circo test are hidden"),
    ],
)
def test_wrong_input_gives_one_sentence_and_code_2(
    command: Command,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    write_circo(tmp_path / "circo", listing=False, images=False)
    monkeypatch.chdir(tmp_path)
    result = command("evaluate", *arguments, "--model", "m")
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert "Traceback" not in result.err


def test_with_the_real_parts_of_the_tiny_preset(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIKEBUT_HOME", str(tmp_path / "home"))
    Retriever.from_preset("tiny").save(tmp_path / "model")
    run = Command(monkeypatch, capsys)
    one, seven = (
        json.loads(run("evaluate", "--data", folder, "--model", tmp_path / "model", "--batch-size", size, "--json").out)
        for size in ("1", "7")
    )
    assert one == seven
    assert 0 <= one["Recall@10"] <= 100
