import json
import random
from pathlib import Path
from typing import Any

import pytest

from helpers.official import shuffled, write_circo, write_cirr, write_fashioniq
from helpers.paths import BENCHMARKS
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.circo import load_circo
from likebut.evaluation.benchmarks.cirr import load_cirr
from likebut.evaluation.benchmarks.fashioniq import load_fashioniq
from likebut.evaluation.score import score

OFFICIAL = BENCHMARKS
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official annotations are not here")


def put(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def cirr_files(benchmark: Benchmark, seed: int = 0) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two valid CIRR files with random rankings."""
    recall: dict[str, Any] = {"version": "rc2", "metric": "recall"}
    subset: dict[str, Any] = {"version": "rc2", "metric": "recall_subset"}
    for number, query in enumerate(benchmark.queries):
        recall[query.id] = shuffled(benchmark.gallery, seed + number, query.reference, 50)
        subset[query.id] = shuffled(query.subset, seed + number)[:3]
    return recall, subset


def with_target_at(names: list[str], target: str, place: int) -> list[str]:
    """Return the names with the target moved to a place, counted from 1."""
    rest = [name for name in names if name != target]
    return [*rest[: place - 1], target, *rest[place - 1 :]]


@pytest.fixture
def cirr(tmp_path: Path) -> Path:
    return write_cirr(tmp_path, splits=["val", "test1"])


def test_cirr_worked_by_hand(cirr: Path, tmp_path: Path) -> None:
    [benchmark] = load_cirr(cirr, "val")
    recall, subset = cirr_files(benchmark)
    # 8 queries; the targets come 1st, 1st, 2nd, 5th, 6th, 10th, 11th and 20th; in the subsets 1, 1, 1, 2, 3, and never.
    for query, place in zip(benchmark.queries, (1, 1, 2, 5, 6, 10, 11, 20), strict=True):
        recall[query.id] = with_target_at(recall[query.id], query.target, place)
    for query, place in zip(benchmark.queries, (1, 1, 1, 2, 3, 4, 4, 4), strict=True):
        subset[query.id] = with_target_at(list(query.subset), query.target, place)[:3]
    report = score("cirr", cirr, "val", put(tmp_path / "r.json", recall), put(tmp_path / "s.json", subset))
    assert report.metrics == {
        "Recall@1": 25.0,
        "Recall@5": 50.0,
        "Recall@10": 75.0,
        "Recall@50": 100.0,
        "Recall_subset@1": 37.5,
        "Recall_subset@2": 50.0,
        "Recall_subset@3": 62.5,
        "Avg": 43.75,  # (50 + 37.5) / 2
    }
    assert (report.protocol, report.labels, report.to_json()["queries"], report.to_json()["gallery"]) == (
        "original",
        "hard",
        8,
        26,
    )


def test_cirr_scores_either_file_alone(cirr: Path, tmp_path: Path) -> None:
    recall, subset = cirr_files(load_cirr(cirr, "val")[0])
    recall_file, subset_file = put(tmp_path / "r.json", recall), put(tmp_path / "s.json", subset)
    assert list(score("cirr", cirr, "val", recall_file).metrics) == ["Recall@1", "Recall@5", "Recall@10", "Recall@50"]
    assert list(score("cirr", cirr, "val", None, subset_file).metrics) == [
        "Recall_subset@1",
        "Recall_subset@2",
        "Recall_subset@3",
    ]


def change(key: str, value: Any) -> Any:
    return lambda content: content.__setitem__(key, value)


ERRORS = [
    (lambda content: content["100"].__setitem__(3, "dev-0-0-img0"), "reference-ranked", '"dev-0-0-img0"'),
    (lambda content: content["100"].__setitem__(3, content["100"][0]), "duplicate-image", "query 100"),
    (lambda content: content["100"].__setitem__(3, "dev-1"), "not-a-candidate", '"dev-1"'),
    (lambda content: content["100"].pop(), "too-few-images", "24"),
    (lambda content: content["100"].__setitem__(3, 7), "not-a-list", "query 100"),
    (change("100", "dev-1"), "not-a-list", "query 100"),
    (lambda content: content.pop("100"), "missing-queries", "1 of the 8"),
    (change("99", []), "unknown-query", '"99"'),
    (change("version", "rc1"), "wrong-version", "'rc1'"),
    (lambda content: content.pop("version"), "wrong-version", "None"),
    (change("metric", "recall_subset"), "wrong-metric", "'recall_subset'"),
    (lambda content: content.pop("metric"), "wrong-metric", "None"),
]


@pytest.mark.parametrize(("edit", "code", "value"), ERRORS)
def test_errors_in_a_cirr_file_are_named(cirr: Path, tmp_path: Path, edit: Any, code: str, value: str) -> None:
    recall, _ = cirr_files(load_cirr(cirr, "val")[0])
    edit(recall)
    with pytest.raises(InputError) as error:
        score("cirr", cirr, "val", put(tmp_path / "r.json", recall))
    assert error.value.code == code
    assert value in error.value.problem
    assert str(tmp_path / "r.json") in error.value.problem


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["dev-0-0-img0", "dev-0-1-img0", "dev-0-1-img1"], "reference-ranked"),
        (["dev-900-0-img0", "dev-0-1-img0", "dev-0-1-img1"], "not-a-candidate"),
        (["dev-0-1-img0", "dev-0-1-img0", "dev-0-1-img1"], "duplicate-image"),
        (["dev-0-1-img0", "dev-0-1-img1"], "too-few-images"),
    ],
)
def test_errors_in_a_cirr_subset_file_are_named(cirr: Path, tmp_path: Path, names: list[str], code: str) -> None:
    _, subset = cirr_files(load_cirr(cirr, "val")[0])
    subset["100"] = names
    with pytest.raises(InputError) as error:
        score("cirr", cirr, "val", None, put(tmp_path / "s.json", subset))
    assert error.value.code == code
    assert "query 100" in error.value.problem


def test_hidden_labels_cannot_be_scored(cirr: Path, tmp_path: Path) -> None:
    recall, _ = cirr_files(load_cirr(cirr, "test1")[0])
    with pytest.raises(InputError) as error:
        score("cirr", cirr, "test1", put(tmp_path / "r.json", recall))
    assert error.value.code == "hidden-labels"
    assert "cirr test1" in str(error.value)
    assert "likebut submit" in str(error.value)


def test_circo_worked_by_hand(tmp_path: Path) -> None:
    write_circo(tmp_path)
    [benchmark] = load_circo(tmp_path, "val")
    content = {}
    for query in benchmark.queries:
        others = [name for name in benchmark.gallery if name not in query.targets]
        content[query.id] = [int(name) for name in others[:50]]
    # Query 0 has one target, which comes 1st. Query 1 has two: the second of them 2nd, the asked one 6th.
    content["0"].insert(0, int(benchmark.queries[0].target))
    content["1"].insert(1, int(benchmark.queries[1].targets[1]))
    content["1"].insert(5, int(benchmark.queries[1].target))
    report = score("circo", tmp_path, "val", put(tmp_path / "p.json", content))
    # AP@5: 1 and (1/2) / 2. From 10 on: 1 and (1/2 + 2/6) / 2. Queries 2 and 3 find nothing.
    assert report.metrics["mAP@5"] == pytest.approx(100 * (1 + 0.25) / 4)
    assert report.metrics["mAP@10"] == pytest.approx(100 * (1 + (1 / 2 + 1 / 3) / 2) / 4)
    assert report.metrics["Recall@5"] == 25.0
    assert report.metrics["Recall@10"] == 50.0
    # Queries 1 and 3 alone have the aspect viewpoint.
    assert report.metrics["mAP@10 viewpoint"] == pytest.approx(100 * ((1 / 2 + 1 / 3) / 2) / 2)
    assert "mAP@10 negation" not in report.metrics
    assert list(report.metrics)[:4] == ["mAP@5", "mAP@10", "mAP@25", "mAP@50"]


@pytest.mark.parametrize(
    ("edit", "code", "value"),
    [
        (lambda content: content["1"].__setitem__(0, content["1"][1]), "duplicate-image", "query 1"),
        (lambda content: content["1"].__setitem__(0, 5), "not-a-candidate", '"5"'),
        (lambda content: content["1"].__setitem__(0, "1070"), "not-a-list", "query 1"),
        (lambda content: content["1"].__setitem__(0, True), "not-a-list", "query 1"),
        (lambda content: content["1"].pop(), "too-few-images", "49"),
        (lambda content: content.pop("1"), "missing-queries", "1 of the 4"),
    ],
)
def test_errors_in_a_circo_file_are_named(tmp_path: Path, edit: Any, code: str, value: str) -> None:
    [benchmark] = load_circo(write_circo(tmp_path), "val")
    content = {query.id: shuffled(map(int, benchmark.gallery), 0)[:50] for query in benchmark.queries}
    edit(content)
    with pytest.raises(InputError) as error:
        score("circo", tmp_path, "val", put(tmp_path / "p.json", content))
    assert error.value.code == code
    assert value in error.value.problem


def test_circo_is_scored_without_cocos_image_list(tmp_path: Path) -> None:
    [benchmark] = load_circo(write_circo(tmp_path, listing=False), "val")
    content = {query.id: [int(query.target), *range(1, 50)] for query in benchmark.queries}
    report = score("circo", tmp_path, "val", put(tmp_path / "p.json", content))
    assert report.metrics["Recall@5"] == 100.0
    assert report.to_json()["gallery"] == 0


def fashioniq_content(benchmarks: list[Benchmark], places: dict[str, list[int]]) -> dict[str, Any]:
    return {
        benchmark.part: {
            query.id: with_target_at(shuffled(benchmark.gallery, 1), query.target, place)
            for query, place in zip(benchmark.queries, places[benchmark.part], strict=True)
        }
        for benchmark in benchmarks
    }


def test_fashioniq_worked_by_hand(tmp_path: Path) -> None:
    benchmarks = load_fashioniq(write_fashioniq(tmp_path), "val")
    places = {"dress": [1, 2, 3, 11, 12], "shirt": [10, 11, 11, 11, 11], "toptee": [1, 1, 1, 1, 1]}
    report = score("fashioniq", tmp_path, "val", put(tmp_path / "p.json", fashioniq_content(benchmarks, places)))
    assert report.metrics["dress Recall@10"] == pytest.approx(60.0)
    assert report.metrics["shirt Recall@10"] == pytest.approx(20.0)
    assert report.metrics["toptee Recall@10"] == pytest.approx(100.0)
    assert report.metrics["Recall@10"] == pytest.approx(60.0)
    assert report.metrics["Recall@50"] == pytest.approx(100.0)
    assert list(report.metrics)[0] == "dress Recall@10"
    assert report.to_json()["parts"]["shirt"] == {"queries": 5, "gallery": 14}


def test_fashioniq_means_need_every_category(tmp_path: Path) -> None:
    [dress] = load_fashioniq(write_fashioniq(tmp_path), "val", categories=["dress"])
    content = fashioniq_content([dress], {"dress": [1, 1, 1, 1, 1]})
    report = score("fashioniq", tmp_path, "val", put(tmp_path / "p.json", content))
    assert list(report.metrics) == ["dress Recall@10", "dress Recall@50"]
    assert any("shirt, toptee" in note for note in report.notes)


def test_fashioniq_rankings_follow_the_protocol(tmp_path: Path) -> None:
    benchmarks = load_fashioniq(write_fashioniq(tmp_path), "val")
    places = dict.fromkeys(["dress", "shirt", "toptee"], [1, 1, 1, 1, 1])
    path = put(tmp_path / "p.json", fashioniq_content(benchmarks, places))
    with pytest.raises(InputError) as error:
        score("fashioniq", tmp_path, "val", path, protocol="original-without-reference")
    assert error.value.code == "reference-ranked"
    with pytest.raises(InputError) as error:
        score("fashioniq", tmp_path, "val", path, protocol="val-split")
    assert error.value.code == "not-a-candidate"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"dresses": {}}, "unknown-choice"),
        ({"dress": []}, "invalid-ranking-file"),
        ({}, "invalid-ranking-file"),
        ([], "invalid-ranking-file"),
        ({"dress": {"0": []}}, "missing-queries"),
    ],
)
def test_errors_in_a_fashioniq_file_are_named(tmp_path: Path, content: Any, code: str) -> None:
    write_fashioniq(tmp_path)
    with pytest.raises(InputError) as error:
        score("fashioniq", tmp_path, "val", put(tmp_path / "p.json", content))
    assert error.value.code == code
    assert str(tmp_path / "p.json") in error.value.problem


@pytest.mark.parametrize(
    ("arguments", "code", "value"),
    [
        ({"name": "cirrr"}, "unknown-choice", '"cirr"'),
        ({"predictions": None}, "no-predictions", "--predictions"),
        ({"name": "circo", "subset_predictions": Path("s.json")}, "no-subsets", "circo"),
        ({"name": "circo", "labels": "soft"}, "no-labels", '"soft"'),
        ({"labels": "softer"}, "unknown-choice", '"soft"'),
        ({"protocol": "val-split"}, "unknown-choice", '"val-split"'),
        ({"predictions": Path("nowhere.json")}, None, "nowhere.json"),
    ],
)
def test_invalid_arguments_are_named(
    cirr: Path, tmp_path: Path, arguments: dict[str, Any], code: str | None, value: str
) -> None:
    usual: dict[str, Any] = {"name": "cirr", "root": cirr, "split": "val", "predictions": put(tmp_path / "r.json", {})}
    if arguments.get("name") == "circo":
        write_circo(tmp_path)
    with pytest.raises(InputError) as error:
        score(**(usual | arguments))
    assert code is None or error.value.code == code
    assert value in str(error.value)


def soft_score_as_published(entries: list[dict[str, Any]], rankings: dict[str, list[str]], k: int) -> float:
    """The rule of the CIRR authors' validation code."""
    total = 0.0
    for entry in entries:
        best = 0.0
        for name, value in entry["target_soft"].items():
            if name in rankings[str(entry["pairid"])][:k]:
                best = max(best, value)
        total += best
    return 100 * total / len(entries)


@needs_official
def test_soft_and_hard_labels_on_the_official_validation_split(tmp_path: Path) -> None:
    root = OFFICIAL / "cirr"
    [benchmark] = load_cirr(root, "val")
    entries = json.loads((root / "captions" / "cap.rc2.val.json").read_text())
    recall, subset = cirr_files(benchmark)
    generator = random.Random(5)
    for entry in entries:
        # Graded images on the first ranks, so that every K has both hits and misses.
        graded = [name for name in entry["target_soft"] if name != entry["reference"]]
        for name in graded + [entry["target_hard"]]:
            place = generator.choice([1, 3, 8, 30, 49])
            recall[str(entry["pairid"])] = with_target_at(recall[str(entry["pairid"])], name, place)[:50]
    files = put(tmp_path / "r.json", recall), put(tmp_path / "s.json", subset)
    soft = score("cirr", root, "val", *files, labels="soft")
    hard = score("cirr", root, "val", *files)
    for k in (1, 5, 10, 50):
        assert soft.metrics[f"Recall@{k}"] == pytest.approx(soft_score_as_published(entries, recall, k), abs=1e-9)
        found = sum(entry["target_hard"] in recall[str(entry["pairid"])][:k] for entry in entries)
        assert hard.metrics[f"Recall@{k}"] == pytest.approx(100 * found / len(entries), abs=1e-9)
    for k in (1, 2, 3):
        expected = soft_score_as_published(entries, subset, k)
        assert soft.metrics[f"Recall_subset@{k}"] == pytest.approx(expected, abs=1e-9)
    assert (soft.labels, hard.labels) == ("soft", "hard")
    assert soft.metrics != hard.metrics


@needs_official
def test_official_circo_validation_split_scores_without_images(tmp_path: Path) -> None:
    entries = json.loads((OFFICIAL / "circo" / "annotations" / "val.json").read_text())
    content = {str(entry["id"]): [*entry["gt_img_ids"], *range(1, 51)][:50] for entry in entries}
    report = score("circo", OFFICIAL / "circo", "val", put(tmp_path / "p.json", content))
    assert {report.metrics[f"mAP@{k}"] for k in (5, 10, 25, 50)} == {100.0}
    assert report.metrics["Recall@5"] == 100.0
    assert sum(name.startswith("mAP@10 ") for name in report.metrics) == 9
