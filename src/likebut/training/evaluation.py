"""Evaluation of a retriever during training."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from likebut.data.images import SkippedImage
from likebut.errors import InputError
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.benchmarks.folder import load_folder
from likebut.evaluation.embedding import RetrieverAdapter, cached_tokens, needed_images, require_images
from likebut.evaluation.evaluator import evaluate, metric_names
from likebut.evaluation.metrics import higher_is_better
from likebut.files import fingerprint
from likebut.retriever.retriever import Retriever

MEAN = "Mean"


class Evaluator(Protocol):
    """Evaluates a retriever every ``evaluate_every`` steps of its training."""

    @property
    def primary_metric(self) -> str | None:
        """The metric that selects the best weights; None keeps the last."""

    @property
    def greater_is_better(self) -> bool:
        """The direction of the primary metric."""

    @property
    def identity(self) -> str:
        """Differs if the evaluation data differs: a resume must select the best weights on the same data."""

    def prepare(self, retriever: Retriever) -> list[SkippedImage]:
        """Check and encode the evaluation data before training begins; return the images that are skipped."""

    def __call__(self, retriever: Retriever) -> Mapping[str, float]:
        """Return metrics by name."""


class RetrievalEvaluator:
    """Measures a retriever on benchmarks, or on a split of a data folder.

    The metrics are those of ``likebut evaluate``, and "Mean": the mean of every Recall@K and Recall_subset@K over all
    categories, by which the published code selects its checkpoint.

    Args:
        benchmarks: One benchmark, or its categories.
        primary_metric: The metric that selects the best weights; None keeps the last.
        features: The cache of vision tokens; in the user's cache folder if None.

    Raises:
        InputError: Labels are hidden, images are missing, or ``primary_metric`` is not measured.
    """

    def __init__(
        self, benchmarks: Sequence[Benchmark], primary_metric: str | None = None, features: Path | str | None = None
    ) -> None:
        known = [*metric_names(benchmarks), MEAN]
        if primary_metric is not None and primary_metric not in known:
            raise InputError(
                f'training.best_metric is "{primary_metric}", which is not measured on {benchmarks[0].title}.',
                f"Set it to one of: {', '.join(known)}.",
                "unknown-metric",
            )
        require_images(benchmarks)
        self.primary_metric = primary_metric
        self.greater_is_better = primary_metric is None or higher_is_better(primary_metric)
        self._benchmarks, self._features = benchmarks, None if features is None else Path(features)
        self._prepared: tuple[Retriever, RetrieverAdapter] | None = None
        self._skipped: list[SkippedImage] = []

    @classmethod
    def from_folder(
        cls, root: Path | str, split: str = "val", primary_metric: str | None = None, features: Path | str | None = None
    ) -> "RetrievalEvaluator":
        """Return an evaluator on one split of the data folder ``root``."""
        return cls(load_folder(Path(root), split), primary_metric, features)

    @property
    def identity(self) -> str:
        """The split, and a fingerprint of its queries and candidates."""
        contents = [[each.gallery, [asdict(query) for query in each.queries]] for each in self._benchmarks]
        return f"{self._benchmarks[0].split} {fingerprint(contents)}"

    def prepare(self, retriever: Retriever) -> list[SkippedImage]:
        """Encode the images of the split, as far as they are not cached; return those that are skipped."""
        tokens, self._skipped = cached_tokens(retriever, needed_images(self._benchmarks), self._features)
        self._prepared = (retriever, RetrieverAdapter(retriever, tokens))
        return self._skipped

    def __call__(self, retriever: Retriever) -> dict[str, float]:
        """Return metrics by name, in percent."""
        if self._prepared is None or self._prepared[0] is not retriever:
            self.prepare(retriever)
        assert self._prepared is not None
        adapter = self._prepared[1]
        report, _ = evaluate(
            self._benchmarks, adapter.embed_gallery, adapter.embed_queries, self._skipped, device=str(retriever.device)
        )
        recalls = [value for name, value in report.metrics.items() if name.startswith("Recall")]
        return {**report.metrics, MEAN: statistics.mean(recalls)}
