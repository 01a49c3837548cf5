"""What a row scored in one metric, over its seeds, and which row is best."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from likebut.benchmarks.outcomes import HARD_NEGATIVE_RATE
from likebut.reports.contents import RowResult

METRICS = ("Recall@1", "Recall@5", "Recall@10", "Recall_subset@1", "mAP@10", HARD_NEGATIVE_RATE)
_LOWER_IS_BETTER = frozenset({HARD_NEGATIVE_RATE})


@dataclass(frozen=True)
class Score:
    """A metric's figures, in percent.

    Attributes:
        seeds: The value of each seed.
        low: Lower end of the 95 % bootstrap interval over queries, the mean over seeds.
        high: Its upper end.
    """

    seeds: tuple[float, ...]
    low: float
    high: float

    @property
    def value(self) -> float:
        """The mean over seeds."""
        return fmean(self.seeds)

    @property
    def spread(self) -> float | None:
        """The sample standard deviation over seeds; None with one seed."""
        return stdev(self.seeds) if len(self.seeds) > 1 else None

    @property
    def shown(self) -> float:
        """The mean as the page shows it: what looks equal there is a tie."""
        return round(self.value, 1)

    def overlaps(self, other: "Score") -> bool:
        """Return whether the two intervals have a point in common."""
        return self.low <= other.high and other.low <= self.high


def score_of(row: RowResult, metric: str) -> Score | None:
    """Return what ``row`` scored, or None if a seed lacks the metric."""
    if not row.metrics or any(metric not in figures for figures in row.metrics):
        return None
    return Score(
        seeds=tuple(figures[metric] for figures in row.metrics),
        low=fmean(intervals[metric][0] for intervals in row.intervals),
        high=fmean(intervals[metric][1] for intervals in row.intervals),
    )


def lower_is_better(metric: str) -> bool:
    """Return whether the lowest figure of ``metric`` wins."""
    return metric in _LOWER_IS_BETTER


def shown_metrics(rows: Sequence[RowResult]) -> list[str]:
    """Return those of :data:`METRICS` that at least one row has."""
    return [metric for metric in METRICS if any(score_of(row, metric) is not None for row in rows)]


def ranking(rows: Sequence[RowResult], metric: str) -> list[tuple[RowResult, Score]]:
    """Return the rows that have ``metric`` with their scores, best first; ties keep the table's order."""
    scored = [(row, score) for row in rows if (score := score_of(row, metric)) is not None]
    return sorted(scored, key=lambda pair: pair[1].shown, reverse=not lower_is_better(metric))
