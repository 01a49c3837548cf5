"""Measuring a retriever while it is trained."""

import statistics
from pathlib import Path

from likebut.benchmarks.adapter import RetrieverAdapter
from likebut.benchmarks.evaluation import evaluate
from likebut.benchmarks.preparation import cached_tokens, needed_images
from likebut.cli.training_data import evaluation_benchmarks
from likebut.recipes.schema import RetrieverRecipe
from likebut.retriever.retriever import Retriever
from likebut.training.loop import Evaluation

MEAN = "Mean"


def evaluation_while_training(recipe: RetrieverRecipe, retriever: Retriever, features: Path | None) -> Evaluation:
    """Return what measures ``retriever`` on the recipe's evaluation split.

    Its figures are the benchmark's metrics and "Mean": the mean of every Recall@K and Recall_subset@K over all
    categories, by which the published code chooses its checkpoint.

    Raises:
        InputError: The split is missing, its labels are hidden, or images are missing.
    """
    benchmarks = evaluation_benchmarks(recipe.data)
    tokens, set_aside = cached_tokens(retriever, needed_images(benchmarks), features)
    adapter = RetrieverAdapter(retriever, tokens)

    def measure(step: int) -> dict[str, float]:
        report, _ = evaluate(
            benchmarks, adapter.embed_gallery, adapter.embed_queries, set_aside, device=str(retriever.device)
        )
        recalls = [value for name, value in report.metrics.items() if name.startswith("Recall")]
        return {**report.metrics, MEAN: statistics.mean(recalls)}

    return measure
