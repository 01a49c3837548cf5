"""Measuring a retriever while it is trained."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from likebut.data.images import SkippedImage
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.embedding import RetrieverAdapter, cached_tokens, needed_images, require_images
from likebut.evaluation.evaluator import evaluate, metric_names
from likebut.files import fingerprint
from likebut.recipes.schema import RetrieverRecipe
from likebut.retriever.retriever import Retriever
from likebut.training.datasets import evaluation_benchmarks
from likebut.training.loop import Evaluation

MEAN = "Mean"


@dataclass(frozen=True, slots=True)
class Watch:
    """What measures a retriever while it is trained.

    Attributes:
        measured_on: The split and a fingerprint of its queries and candidates.
        skipped: The split's images that cannot be used.
    """

    measure: Evaluation
    measured_on: str
    skipped: list[SkippedImage]


def evaluation_while_training(recipe: RetrieverRecipe, retriever: Retriever, features: Path | None) -> Watch:
    """Return what measures ``retriever`` on the recipe's evaluation split.

    Its figures are the benchmark's metrics and "Mean": the mean of every Recall@K and Recall_subset@K over all
    categories, by which the published code chooses its checkpoint.

    Raises:
        InputError: The split is missing, its labels are hidden, images are missing, or the recipe chooses the best
            weights by a figure that is not measured there.
    """
    benchmarks = evaluation_benchmarks(recipe.data)
    for benchmark in benchmarks:
        benchmark.require_labels()
    _require_metric(recipe.training.best_metric, benchmarks)
    require_images(benchmarks)
    tokens, skipped = cached_tokens(retriever, needed_images(benchmarks), features)
    adapter = RetrieverAdapter(retriever, tokens)

    def measure(step: int) -> dict[str, float]:
        report, _ = evaluate(
            benchmarks, adapter.embed_gallery, adapter.embed_queries, skipped, device=str(retriever.device)
        )
        return _with_mean(report.metrics)

    return Watch(measure, f"{recipe.data.evaluation_split} {_fingerprint(benchmarks)}", skipped)


def _with_mean(metrics: Mapping[str, float]) -> dict[str, float]:
    return {**metrics, MEAN: statistics.mean(value for name, value in metrics.items() if name.startswith("Recall"))}


def _require_metric(wanted: str | None, benchmarks: Sequence[Benchmark]) -> None:
    if wanted is None:
        return
    known = [*metric_names(benchmarks), MEAN]
    if wanted not in known:
        raise InputError(
            f'training.best_metric is "{wanted}", which is not measured on {benchmarks[0].title}.',
            f"Set it to one of: {', '.join(known)}.",
        )


def _fingerprint(benchmarks: Sequence[Benchmark]) -> str:
    return fingerprint([[each.gallery, [asdict(query) for query in each.queries]] for each in benchmarks])
