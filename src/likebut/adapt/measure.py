"""What adapting brought, measured on images that were held out: queries composed from their own texts.

The templates are others than those that training reads, but the texts are of the same kind: these metrics compare
retrievers, and say less of how well a person's own queries will do.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from likebut.adapt.compose import MEASURING, Composer
from likebut.adapt.concepts import Concepts
from likebut.data.triplets import ImageRef, Query, Triplet
from likebut.evaluation.benchmark import Benchmark, MetricPlan
from likebut.evaluation.embedding import RetrieverAdapter
from likebut.evaluation.evaluator import rank
from likebut.evaluation.metrics import bootstrap_interval, compute_metrics
from likebut.features.token_source import TokenSource
from likebut.models.devices import ResolvedPrecision, autocast
from likebut.retriever.retriever import Retriever

LABEL = "queries composed from your own texts"
PSEUDO_LABEL = "queries composed from pseudo-captions, for want of texts"
MAIN_METRIC = "mAP@10"
QUERIES = 200
_PLAN = MetricPlan(recall_at=(1, 10), precision_at=(10,))


@dataclass(frozen=True)
class Measured:
    """A retriever's metrics on the held-out images.

    Attributes:
        values: Metric → its value in 0…1 for each query.
        rankings: For each query, the names of its best candidates.
    """

    values: Mapping[str, npt.NDArray[np.float64]]
    rankings: Sequence[Sequence[str]]

    @property
    def metrics(self) -> dict[str, float]:
        """Each metric's mean in percent."""
        return {name: 100 * float(column.mean()) for name, column in self.values.items()}

    def intervals(self) -> dict[str, tuple[float, float]]:
        """Return each metric's 95 % bootstrap interval over queries, in percent."""
        found = {name: bootstrap_interval([column]) for name, column in self.values.items()}
        return {name: (100 * low, 100 * high) for name, (low, high) in found.items()}

    def dump(self) -> dict[str, Any]:
        """Return everything as JSON holds it; :meth:`load` reads it."""
        values = {name: column.tolist() for name, column in self.values.items()}
        return {"values": values, "rankings": [list(ranking) for ranking in self.rankings]}

    @classmethod
    def load(cls, dumped: Mapping[str, Any]) -> "Measured":
        """Return what :meth:`dump` gave."""
        values = {name: np.array(column, dtype=np.float64) for name, column in dumped["values"].items()}
        return cls(values, dumped["rankings"])

    def to_json(self) -> dict[str, Any]:
        """Return the metrics with their intervals."""
        intervals = self.intervals()
        found: dict[str, Any] = {}
        for name, value in self.metrics.items():
            found |= {name: value, f"{name} interval": list(intervals[name])}
        return found


@dataclass(frozen=True)
class Ruler:
    """Measures retrievers on one set of held-out queries.

    Attributes:
        queries: As triplets.
        gallery: The held-out images' names.
        images: By name.
    """

    queries: Sequence[Triplet]
    gallery: Sequence[str]
    images: Mapping[str, ImageRef]

    def measure(self, retriever: Retriever, tokens: TokenSource, precision: ResolvedPrecision = "fp32") -> Measured:
        """Return the metrics of ``retriever`` on the queries, its matrix products computed in ``precision``."""
        queries = [Query.from_triplet(triplet, position) for position, triplet in enumerate(self.queries)]
        benchmark = Benchmark(
            name="folder",
            split="held out",
            protocol="folder",
            gallery=list(self.gallery),
            queries=queries,
            images=dict(self.images),
            plan=_PLAN,
            credits={query.id: dict.fromkeys(query.targets, 1.0) for query in queries},
        )
        adapter = RetrieverAdapter(retriever, tokens)
        with autocast(precision, retriever.device):
            ranked = rank(benchmark, adapter.embed_gallery, adapter.embed_queries, device=str(retriever.device))
        return Measured(compute_metrics(benchmark, ranked.outcomes), ranked.rankings.gallery)


def make_ruler(
    concepts: Concepts, gallery: Sequence[str], images: Mapping[str, ImageRef], seed: int = 0, queries: int = QUERIES
) -> Ruler | None:
    """Return what measures on held-out images, or None where their texts make no queries.

    Args:
        concepts: Of the held-out images alone.
        gallery: All held-out images, those without text included.
        images: By name.
        seed: Of the queries.
        queries: How many to compose.
    """
    composer = Composer(concepts, seed=seed, frames=MEASURING, split="held out")
    found = {(each.reference, each.modification): each for each in composer.write(queries)}
    return Ruler(list(found.values()), list(gallery), images) if found else None


def gain_interval(before: Measured, after: Measured, metric: str = MAIN_METRIC) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the paired difference of a metric, in percentage points."""
    low, high = bootstrap_interval([after.values[metric] - before.values[metric]])
    return 100 * low, 100 * high
