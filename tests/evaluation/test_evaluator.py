import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from helpers.colour_retriever import colour_retriever
from helpers.fakes import KnownModel, RandomModel, benchmark_of, query
from helpers.official import write_circo, write_cirr, write_fashioniq
from likebut.data.images import SkippedImage
from likebut.data.triplets import Query
from likebut.errors import InputError, LikebutError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.loading import load_benchmark
from likebut.evaluation.evaluator import BenchmarkRanker, CIREvaluator, evaluate, rank
from likebut.evaluation.ranking_files import ranking_content, subset_ranking_content
from likebut.evaluation.report import EvaluationReport
from likebut.evaluation.score import score

GALLERY = list("rabcdefg")


def report_of(benchmark: Benchmark, scores: dict[str, dict[str, float]], **more: Any) -> EvaluationReport:
    model = KnownModel(scores)
    return evaluate([benchmark], model.embed_gallery, model.embed_queries, **more)[0]


def test_worked_by_hand() -> None:
    queries = [
        # The reference scores highest and is not a candidate: a is 1st.
        query(0, "a", subset=("a", "b", "c"), hard_negatives=("b",)),
        # c ranks above the target d: both are relevant.
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
    values = report.to_json()
    assert values["Recall@1"] == pytest.approx(100 / 3)
    assert values["Recall@5"] == pytest.approx(100)
    # Average precisions: 1; (1/2 + 2/3) / 2; 1/4.
    assert values["mAP@5"] == pytest.approx(100 * (1 + (1 / 2 + 2 / 3) / 2 + 1 / 4) / 3)
    # Two queries have subsets: a is 1st of three, d is 2nd of two.
    assert values["Recall_subset@1"] == pytest.approx(50)
    assert values["Recall_subset@2"] == pytest.approx(100)
    # Two have hard negatives; b outranks both c and d.
    assert values["Hard-negative rate"] == pytest.approx(50)
    assert (values["queries"], values["gallery"], values["protocol"]) == (3, 8, "folder")
    low, high = values["Recall@1 interval"]
    assert 0 <= low <= values["Recall@1"] <= high <= 100
    json.dumps(values)


def test_a_target_that_is_the_reference_stays_a_candidate() -> None:
    own = query(0, "r", targets=("r",), excluded=())
    assert report_of(benchmark_of(GALLERY, [own]), {"0": {"r": 2, "a": 1}}).metrics["Recall@1"] == 100


def test_a_hard_negative_that_is_the_reference_is_not_a_candidate() -> None:
    only = query(0, "a", hard_negatives=("r", "b"))
    report = report_of(benchmark_of(GALLERY, [only]), {"0": {"r": 9, "a": 2, "b": 1}})
    assert report.metrics["Hard-negative rate"] == 0


def test_a_constant_model_retrieves_nothing() -> None:
    gallery = [f"i{number}" for number in range(60)]
    queries = [query(number, f"i{number}", reference="i59") for number in range(9)]
    report = report_of(benchmark_of(gallery, queries), {each.id: dict.fromkeys(gallery, 1.0) for each in queries})
    assert report.metrics["Recall@50"] == 0
    assert report.metrics["mAP@50"] == 0


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 7, 100])
def test_metrics_do_not_depend_on_the_batch_size(tmp_path: Path, batch_size: int) -> None:
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


def test_a_model_that_squeezes_away_a_batch_of_one_is_refused() -> None:
    benchmark = benchmark_of(GALLERY, [query(number, "a") for number in range(4)])
    model = KnownModel({str(number): dict.fromkeys(GALLERY, 1.0) for number in range(4)})
    with pytest.raises(ValueError, match="1 embeddings .* 2 dimensions"):
        evaluate([benchmark], model.embed_gallery, squeezed(model.embed_queries), batch_size=3)
    with pytest.raises(ValueError, match="1 embeddings .* 3 dimensions"):
        evaluate([benchmark], squeezed(model.embed_gallery), model.embed_queries, batch_size=7)


def test_embeddings_with_nan_are_an_error() -> None:
    benchmark = benchmark_of(GALLERY, [query(0, "a")])
    model = KnownModel({"0": dict.fromkeys(GALLERY, 1.0)})
    with pytest.raises(LikebutError) as error:
        rank(benchmark, lambda images: model.embed_gallery(images) * np.nan, model.embed_queries)
    assert error.value.code == "non-finite"


def test_skipped_images_are_listed_and_their_queries_count_as_misses() -> None:
    queries = [
        query(0, "a"),
        query(1, "a", reference="d", subset=("a", "b"), hard_negatives=("b",)),
        query(2, "b", targets=("b", "c")),
    ]
    scores = {each.id: {"a": 1.0, "b": 3.0, "c": 2.0} | dict.fromkeys("defgr", 0.0) for each in queries}
    bad = [SkippedImage("b", "The file is empty."), SkippedImage("d", "The file is empty.")]
    report = report_of(benchmark_of(GALLERY, queries), scores, skipped=bad)
    # Without b: query 0 ranks c above a; query 1 has no reference; query 2 ranks c first.
    assert report.metrics["Recall@1"] == pytest.approx(100 / 3)
    assert report.metrics["Recall@5"] == pytest.approx(200 / 3)
    assert report.metrics["mAP@5"] == pytest.approx(100 * (1 / 2 + 0 + 1 / 2) / 3)
    assert report.metrics["Hard-negative rate"] == 100
    assert report.metrics["Recall_subset@1"] == 0
    values = report.to_json()
    assert values["queries"] == 3
    assert values["skipped"] == [{"image": name, "reason": "The file is empty."} for name in ("b", "d")]
    assert any("2 images" in note and "1 queries" in note for note in values["notes"])


def test_nothing_usable_is_an_error() -> None:
    benchmark = benchmark_of(["a"], [query(0, "a")])
    model = KnownModel({"0": {"a": 1.0, "r": 1.0}})
    for skipped, code in (("a", "no-usable-images"), ("r", "no-usable-queries")):
        with pytest.raises(InputError) as error:
            rank(benchmark, model.embed_gallery, model.embed_queries, {skipped})
        assert error.value.code == code


def test_hidden_labels_can_be_ranked_but_not_evaluated(tmp_path: Path) -> None:
    benchmarks = load_benchmark("cirr", write_cirr(tmp_path, splits=["test1"]), "test1")
    model = RandomModel()
    with pytest.raises(InputError) as error:
        evaluate(benchmarks, model.embed_gallery, model.embed_queries)
    assert error.value.code == "hidden-labels"
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
def test_scoring_the_written_rankings_gives_the_same_metrics(tmp_path: Path, name: str, protocol: str | None) -> None:
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


def test_each_query_is_embedded_with_its_own_reference() -> None:
    references: list[str] = []

    def embed_queries(queries: list[Query]) -> npt.NDArray[np.float32]:
        references.extend(each.reference for each in queries)
        return np.ones((len(queries), 1), dtype=np.float32)

    benchmark = benchmark_of(list("abc"), [query(0, "a", reference="b"), query(1, "b", reference="c")])
    rank(benchmark, lambda images: np.ones((len(images), 1, 1), dtype=np.float32), embed_queries)
    assert references == ["b", "c"]


@pytest.mark.parametrize("cache", [True, False])
def test_an_evaluator_returns_the_report_s_metrics_and_the_mean_of_the_recalls(tmp_path: Path, cache: bool) -> None:
    benchmarks = load_benchmark("cirr", write_cirr(tmp_path, splits=["val"]), "val")
    evaluator = CIREvaluator(benchmarks, cache=cache, feature_folder=tmp_path / "features")
    retriever = colour_retriever()
    metrics = evaluator(retriever)
    report, [ranked] = evaluator.evaluate(retriever)
    recalls = [value for name, value in metrics.items() if name.startswith("Recall")]
    assert len(recalls) == 7
    assert metrics == {**report.metrics, "Mean": pytest.approx(np.mean(recalls))}
    assert list(metrics) == evaluator.metric_names
    assert (evaluator.primary_metric, evaluator.greater_is_better) == ("Mean", True)
    assert len(ranked.outcomes) == 8


def test_the_primary_metric_carries_its_direction() -> None:
    benchmark = benchmark_of(GALLERY, [query(0, "a", hard_negatives=("b",))])
    evaluator = CIREvaluator([benchmark], "Hard-negative rate", allow_missing=True)
    assert not evaluator.greater_is_better
    with pytest.raises(InputError) as error:
        CIREvaluator([benchmark], "Recal@1", allow_missing=True)
    assert error.value.code == "unknown-choice"
    assert '"Recall@1"' in error.value.remedy


def test_an_evaluator_checks_its_benchmark_before_any_model_is_loaded(tmp_path: Path) -> None:
    hidden = load_benchmark("cirr", write_cirr(tmp_path, splits=["test1"]), "test1")
    with pytest.raises(InputError) as error:
        CIREvaluator(hidden)
    assert error.value.code == "hidden-labels"
    hidden[0].images["test1-0-0-img0"].path.unlink()
    with pytest.raises(InputError) as error:
        BenchmarkRanker(hidden)
    assert error.value.code == "missing-images"


def test_a_ranker_ranks_a_split_with_hidden_labels(tmp_path: Path) -> None:
    benchmarks = load_benchmark("cirr", write_cirr(tmp_path, splits=["test1"]), "test1")
    ranker = BenchmarkRanker(benchmarks, feature_folder=tmp_path / "features")
    retriever = colour_retriever()
    assert ranker.prepare(retriever) == []
    [ranked] = ranker.rank(retriever)
    assert {len(names) for names in ranked.rankings.gallery} == {25}
    assert {len(names) for names in ranked.rankings.subset} == {5}


def test_an_evaluator_s_fingerprint_follows_queries_and_gallery() -> None:
    def of(gallery: list[str], target: str) -> str:
        return CIREvaluator([benchmark_of(gallery, [query(0, target)])], allow_missing=True).fingerprint()

    assert of(GALLERY, "a") == of(GALLERY, "a")
    assert len({of(GALLERY, "a"), of(GALLERY, "b"), of(GALLERY[:-1], "a")}) == 3
