import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from helpers.fakes import KnownModel, RandomModel, benchmark_of, query
from helpers.official import write_circo, write_cirr, write_fashioniq
from likebut.data.images import SkippedImage
from likebut.data.triplets import Query
from likebut.errors import InputError, LikebutError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.loading import load_benchmark
from likebut.evaluation.evaluator import evaluate, rank
from likebut.evaluation.ranking_files import ranking_content, subset_ranking_content
from likebut.evaluation.report import EvaluationReport
from likebut.evaluation.score import score

GALLERY = list("rabcdefg")


def report_of(benchmark: Benchmark, scores: dict[str, dict[str, float]], **more: Any) -> EvaluationReport:
    model = KnownModel(scores)
    return evaluate([benchmark], model.embed_gallery, model.embed_queries, **more)[0]


def test_worked_by_hand() -> None:
    queries = [
        # The reference scores highest and does not count: a is 1st.
        query(0, "a", subset=("a", "b", "c"), hard_negatives=("b",)),
        # c is found before the asked target d: both are right.
        query(1, "d", targets=("d", "c"), subset=("b", "d"), hard_negatives=("b", "e")),
        # g ties with two others: 4th at worst.
        query(2, "g"),
    ]
    scores: dict[str, dict[str, float]] = {
        "0": {"r": 9, "a": 5, "b": 4, "c": 3},
        "1": {"b": 5, "c": 4, "d": 3, "e": 2, "a": 1},
        "2": {"a": 5, "b": 4, "c": 4, "g": 4},
    }
    report = report_of(benchmark_of(GALLERY, queries), scores)
    figures = report.to_json()
    assert figures["Recall@1"] == pytest.approx(100 / 3)
    assert figures["Recall@5"] == pytest.approx(100)
    # Average precisions: 1; (1/2 + 2/3) / 2; 1/4.
    assert figures["mAP@5"] == pytest.approx(100 * (1 + (1 / 2 + 2 / 3) / 2 + 1 / 4) / 3)
    # Two queries have subsets: a is 1st of three, d is 2nd of two.
    assert figures["Recall_subset@1"] == pytest.approx(50)
    assert figures["Recall_subset@2"] == pytest.approx(100)
    # Two have hard negatives; b outranks both c and d.
    assert figures["Hard-negative rate"] == pytest.approx(50)
    assert (figures["queries"], figures["gallery"], figures["protocol"]) == (3, 8, "folder")
    low, high = figures["Recall@1 interval"]
    assert 0 <= low <= figures["Recall@1"] <= high <= 100
    json.dumps(figures)


def test_a_target_that_is_the_reference_stays_a_candidate() -> None:
    asked = query(0, "r", targets=("r",), excluded=())
    assert report_of(benchmark_of(GALLERY, [asked]), {"0": {"r": 2, "a": 1}}).metrics["Recall@1"] == 100


def test_a_hard_negative_that_is_the_reference_is_no_candidate() -> None:
    asked = query(0, "a", hard_negatives=("r", "b"))
    report = report_of(benchmark_of(GALLERY, [asked]), {"0": {"r": 9, "a": 2, "b": 1}})
    assert report.metrics["Hard-negative rate"] == 0


def test_a_constant_model_finds_nothing() -> None:
    gallery = [f"i{number}" for number in range(60)]
    queries = [query(number, f"i{number}", reference="i59") for number in range(9)]
    report = report_of(benchmark_of(gallery, queries), {each.id: dict.fromkeys(gallery, 1.0) for each in queries})
    assert report.metrics["Recall@50"] == 0
    assert report.metrics["mAP@50"] == 0


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7, 100])
def test_any_batch_size_gives_the_same(tmp_path: Path, batch_size: int) -> None:
    benchmarks = load_benchmark("cirr", write_cirr(tmp_path, splits=["val"]), "val")
    model = RandomModel()
    whole, ranked = evaluate(benchmarks, model.embed_gallery, model.embed_queries, batch_size=1000)
    report, again = evaluate(benchmarks, model.embed_gallery, model.embed_queries, batch_size=batch_size)
    assert report == whole
    assert [each.rankings for each in again] == [each.rankings for each in ranked]


def test_the_last_batch_may_be_one() -> None:
    benchmark = benchmark_of(GALLERY, [query(number, "a") for number in range(4)])
    model = KnownModel({str(number): {"a": 1.0, "r": 0.0} | dict.fromkeys("bcdefg", 0.5) for number in range(4)})
    report, _ = evaluate([benchmark], model.embed_gallery, model.embed_queries, batch_size=3)
    assert (model.gallery_batches, model.query_batches) == ([3, 3, 2], [3, 1])
    assert report.metrics["Recall@1"] == 100


def squeezed(embed: Callable[[list[Any]], npt.NDArray[Any]]) -> Callable[[list[Any]], npt.NDArray[Any]]:
    return lambda items: embed(items).squeeze()


def test_a_model_that_squeezes_a_batch_of_one_away_is_caught() -> None:
    benchmark = benchmark_of(GALLERY, [query(number, "a") for number in range(4)])
    model = KnownModel({str(number): dict.fromkeys(GALLERY, 1.0) for number in range(4)})
    with pytest.raises(ValueError, match="1 embeddings of 1 dimensions were due"):
        evaluate([benchmark], model.embed_gallery, squeezed(model.embed_queries), batch_size=3)
    with pytest.raises(ValueError, match="1 embeddings of 2 dimensions were due"):
        evaluate([benchmark], squeezed(model.embed_gallery), model.embed_queries, batch_size=7)


def test_embeddings_that_are_not_numbers_are_an_error() -> None:
    benchmark = benchmark_of(GALLERY, [query(0, "a")])
    model = KnownModel({"0": dict.fromkeys(GALLERY, 1.0)})
    with pytest.raises(LikebutError, match="not finite numbers"):
        rank(benchmark, lambda images: model.embed_gallery(images) * np.nan, model.embed_queries)


def test_images_set_aside_are_listed_and_their_queries_are_misses() -> None:
    queries = [
        query(0, "a"),
        query(1, "a", reference="d", subset=("a", "b"), hard_negatives=("b",)),
        query(2, "b", targets=("b", "c")),
    ]
    scores = {each.id: {"a": 1.0, "b": 3.0, "c": 2.0} | dict.fromkeys("defgr", 0.0) for each in queries}
    bad = [SkippedImage("b", "The file is empty."), SkippedImage("d", "The file is empty.")]
    report = report_of(benchmark_of(GALLERY, queries), scores, skipped=bad)
    # Without b: query 0 finds c first and then a; query 1 cannot be asked; query 2 finds c first.
    assert report.metrics["Recall@1"] == pytest.approx(100 / 3)
    assert report.metrics["Recall@5"] == pytest.approx(200 / 3)
    assert report.metrics["mAP@5"] == pytest.approx(100 * (1 / 2 + 0 + 1 / 2) / 3)
    assert report.metrics["Hard-negative rate"] == 100
    assert report.metrics["Recall_subset@1"] == 0
    figures = report.to_json()
    assert figures["queries"] == 3
    assert figures["skipped"] == [{"image": name, "reason": "The file is empty."} for name in ("b", "d")]
    assert any("2 images could not be used, and the 1 queries" in note for note in figures["notes"])


def test_nothing_usable_is_an_error() -> None:
    benchmark = benchmark_of(["a"], [query(0, "a")])
    model = KnownModel({"0": {"a": 1.0, "r": 1.0}})
    with pytest.raises(InputError, match="no images in the gallery"):
        rank(benchmark, model.embed_gallery, model.embed_queries, {"a"})
    with pytest.raises(InputError, match="no queries"):
        rank(benchmark, model.embed_gallery, model.embed_queries, {"r"})


def test_hidden_labels_can_be_ranked_but_not_evaluated(tmp_path: Path) -> None:
    benchmarks = load_benchmark("cirr", write_cirr(tmp_path, splits=["test1"]), "test1")
    model = RandomModel()
    with pytest.raises(InputError, match="hidden"):
        evaluate(benchmarks, model.embed_gallery, model.embed_queries)
    ranked = rank(benchmarks[0], model.embed_gallery, model.embed_queries)
    assert {len(names) for names in ranked.rankings.gallery} == {25}


WRITERS: dict[str, Callable[[Path], Path]] = {"cirr": write_cirr, "fashioniq": write_fashioniq, "circo": write_circo}


@pytest.mark.parametrize(
    ("name", "protocol"),
    [
        ("cirr", None),
        ("fashioniq", "original"),
        ("fashioniq", "original-without-reference"),
        ("fashioniq", "val-split"),
        ("circo", "original"),
        ("circo", "original-without-reference"),
    ],
)
def test_the_rankings_that_were_evaluated_score_the_same(tmp_path: Path, name: str, protocol: str | None) -> None:
    root = WRITERS[name](tmp_path)
    benchmarks = load_benchmark(name, root, "val", protocol)
    model = RandomModel()
    report, ranked = evaluate(benchmarks, model.embed_gallery, model.embed_queries)
    path, second = tmp_path / "rankings.json", None
    path.write_text(json.dumps(ranking_content(benchmarks, [each.rankings.gallery for each in ranked])))
    if name == "cirr":
        second = tmp_path / "subset.json"
        second.write_text(json.dumps(subset_ranking_content(benchmarks[0], ranked[0].rankings.subset)))
    scored = score(name, root, "val", path, second, protocol)
    assert scored.metrics == pytest.approx(report.metrics, abs=1e-12)
    assert list(scored.metrics) == list(report.metrics)
    for metric, interval in report.intervals.items():
        assert scored.intervals[metric] == pytest.approx(interval, abs=1e-9)


def test_queries_see_their_own_reference_only() -> None:
    asked: list[str] = []

    def embed_queries(queries: list[Query]) -> npt.NDArray[np.float32]:
        asked.extend(each.reference for each in queries)
        return np.ones((len(queries), 1), dtype=np.float32)

    benchmark = benchmark_of(list("abc"), [query(0, "a", reference="b"), query(1, "b", reference="c")])
    rank(benchmark, lambda images: np.ones((len(images), 1, 1), dtype=np.float32), embed_queries)
    assert asked == ["b", "c"]
