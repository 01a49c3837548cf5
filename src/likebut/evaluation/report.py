"""The report of an evaluation: metrics in percent, confidence intervals, and what they were computed on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from likebut.data.images import SkippedImage
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.metrics import MetricValues, bootstrap_interval


@dataclass(frozen=True)
class EvaluationReport:
    """The metrics of one benchmark.

    Attributes:
        metrics: Metric name → value in percent, in the order of the published tables.
        intervals: Metric name → 95 % bootstrap interval over queries, in percent.
        queries: Part (a category; "" for the main or only part) → number of queries.
        gallery: Part → number of candidates; 0 if the gallery is unknown.
        skipped: Images that could not be used.
        notes: Caveats that apply to the metrics.
        query_template: The template of the modification texts; None for rankings from a file, which does not tell.
    """

    benchmark: str
    split: str
    protocol: str
    labels: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    queries: Mapping[str, int]
    gallery: Mapping[str, int]
    skipped: tuple[SkippedImage, ...] = ()
    notes: tuple[str, ...] = ()
    query_template: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the report as one JSON object, each metric followed by its interval.

        ``queries`` and ``gallery`` are the main part's where there is one, else sums over the categories.
        """
        metrics: dict[str, Any] = {}
        for name, value in self.metrics.items():
            metrics |= {name: value, f"{name} interval": list(self.intervals[name])}
        about: dict[str, Any] = {
            "queries": self.queries.get("", sum(self.queries.values())),
            "gallery": self.gallery.get("", sum(self.gallery.values())),
            "benchmark": self.benchmark,
            "split": self.split,
            "protocol": self.protocol,
            "labels": self.labels,
            "query_template": self.query_template,
        }
        if len(self.queries) > 1 or "" not in self.queries:
            about["parts"] = {
                part: {"queries": self.queries[part], "gallery": self.gallery[part]} for part in self.queries
            }
        about["notes"] = list(self.notes)
        about["skipped"] = [image.to_json() for image in self.skipped]
        return metrics | about


def build_report(
    parts: Sequence[tuple[Benchmark, MetricValues]],
    skipped: Sequence[SkippedImage] = (),
    notes: Sequence[str] = (),
    seed: int = 0,
    query_template: str | None = None,
) -> EvaluationReport:
    """Return the report of a benchmark's parts, followed by means over the parts if every part is present.

    Args:
        parts: Each part with its metrics by query.
        skipped: Images that could not be used.
        notes: Further notes.
        seed: Seed of the bootstrap.
        query_template: The template of the modification texts, if it is known.
    """
    first = parts[0][0]
    columns: dict[str, list[npt.NDArray[np.float64]]] = {}
    for benchmark, values in parts:
        prefix = f"{benchmark.part} " if benchmark.part else ""
        columns |= {prefix + name: [column] for name, column in values.items()}
    names = [benchmark.part for benchmark, _ in parts]
    notes = [*dict.fromkeys(note for benchmark, _ in parts for note in benchmark.notes), *notes]
    for benchmark, _ in parts:
        if benchmark.candidates:
            mean = np.mean([len(benchmark.candidates_of(query)) for query in benchmark.queries])
            notes.append(f"Each query of {benchmark.title} ranks its own candidates, {mean:.1f} on average.")
    absent = [part for part in first.parts if part not in names]
    if first.parts and not absent:
        columns |= {name: [values[name] for _, values in parts] for name in parts[0][1]}
    elif first.parts:
        notes.append(f"Means over the parts are omitted: {', '.join(absent)} is missing.")
    return EvaluationReport(
        benchmark=first.name,
        split=first.split,
        protocol=first.protocol,
        labels=first.labels,
        metrics={name: 100 * _mean_of_means(groups) for name, groups in columns.items()},
        intervals={name: _interval_in_percent(groups, seed) for name, groups in columns.items()},
        queries={benchmark.part: len(benchmark.queries) for benchmark, _ in parts},
        gallery={benchmark.part: len(benchmark.gallery) for benchmark, _ in parts},
        skipped=tuple(skipped),
        notes=tuple(notes),
        query_template=query_template,
    )


def _mean_of_means(groups: Sequence[npt.NDArray[np.float64]]) -> float:
    return float(np.mean([values.mean() for values in groups]))


def _interval_in_percent(groups: Sequence[npt.NDArray[np.float64]], seed: int) -> tuple[float, float]:
    low, high = bootstrap_interval(groups, seed)
    return 100 * low, 100 * high
