"""What became of each query, whether a model ranked the gallery or a file lists the ranking, and the metrics of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from likebut.benchmarks.benchmark import Benchmark
from likebut.benchmarks.metrics import (
    Hit,
    average_precision_at,
    hard_negative_wins,
    hits_in_list,
    hits_within,
    recall_at,
    worst_case_hits,
)
from likebut.benchmarks.ranks import Placement
from likebut.triplets import Query

MetricValues = dict[str, npt.NDArray[np.float64]]
"""For each metric's name, its value in 0…1 for each query that has one."""

AVERAGE = "Avg"
HARD_NEGATIVE_RATE = "Hard-negative rate"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where one query's right images came out. None marks what was not measured.

    Attributes:
        hits: In the ranking of the gallery, the images that Recall@K asks for.
        target_hits: In the same ranking, every target; mAP@K asks for these.
        subset_hits: In the ranking of the query's subset.
        hard_negative_wins: 1 if a hard negative outranks or ties every target.
    """

    hits: list[Hit] | None = None
    target_hits: list[Hit] | None = None
    subset_hits: list[Hit] | None = None
    hard_negative_wins: float | None = None


def outcome_of_placement(
    benchmark: Benchmark, query: Query, placement: Placement, positions: Mapping[str, int]
) -> Outcome:
    """Return the outcome of a query whose named images were placed.

    Args:
        benchmark: The query's benchmark.
        query: The query.
        placement: Where its images came out.
        positions: The gallery position of each image that could be used; an image without one is never found.
    """
    scores = placement.scores

    def placed(credits: Mapping[str, float]) -> dict[int, float]:
        return {positions[name]: credit for name, credit in credits.items() if positions.get(name) in scores}

    credits, targets = placed(benchmark.credits_of(query)), placed(dict.fromkeys(query.targets, 1.0))
    subset, rivals = placed(dict.fromkeys(query.subset, 1.0)), placed(dict.fromkeys(query.hard_negatives, 1.0))
    wins = hard_negative_wins([scores[image] for image in targets], [scores[image] for image in rivals])
    return Outcome(
        hits=worst_case_hits(scores, placement.at_least, credits),
        target_hits=worst_case_hits(scores, placement.at_least, targets),
        subset_hits=hits_within(subset, scores, credits) if query.subset else None,
        hard_negative_wins=wins if query.hard_negatives else None,
    )


def missed(query: Query) -> Outcome:
    """Return the outcome of a query that could not be asked: it finds nothing."""
    return Outcome(
        hits=[],
        target_hits=[],
        subset_hits=[] if query.subset else None,
        hard_negative_wins=1.0 if query.hard_negatives else None,
    )


def outcome_of_lists(
    benchmark: Benchmark, query: Query, ranking: Sequence[str] | None, subset_ranking: Sequence[str] | None
) -> Outcome:
    """Return the outcome of a query whose ranking of the gallery, or of its subset, is written out."""
    credits = benchmark.credits_of(query)
    return Outcome(
        hits=None if ranking is None else hits_in_list(ranking, credits),
        target_hits=None if ranking is None else hits_in_list(ranking, dict.fromkeys(query.targets, 1.0)),
        subset_hits=None if subset_ranking is None else hits_in_list(subset_ranking, credits),
    )


def measure(benchmark: Benchmark, outcomes: Sequence[Outcome]) -> MetricValues:
    """Return the benchmark's metrics, in its plan's order; a metric that no query has is left out."""
    plan = benchmark.plan
    rows = list(zip(benchmark.queries, outcomes, strict=True))
    values: dict[str, list[float]] = {}
    for k in plan.precision_at:
        values[f"mAP@{k}"] = _precisions(rows, k)
    for k in plan.recall_at:
        values[f"Recall@{k}"] = [recall_at(outcome.hits, k) for outcome in outcomes if outcome.hits is not None]
    for k in plan.subset_recall_at:
        values[f"Recall_subset@{k}"] = [
            recall_at(outcome.subset_hits, k) for outcome in outcomes if outcome.subset_hits is not None
        ]
    if plan.average and values["Recall@5"] and values["Recall_subset@1"]:
        pairs = zip(values["Recall@5"], values["Recall_subset@1"], strict=True)
        values[AVERAGE] = [(recall + subset_recall) / 2 for recall, subset_recall in pairs]
    if plan.hard_negatives:
        values[HARD_NEGATIVE_RATE] = [
            outcome.hard_negative_wins for outcome in outcomes if outcome.hard_negative_wins is not None
        ]
    for aspect in plan.aspects:
        chosen = [row for row in rows if aspect in benchmark.aspects.get(row[0].id, ())]
        values[f"mAP@10 {aspect}"] = _precisions(chosen, 10)
    return {name: np.array(column, dtype=np.float64) for name, column in values.items() if column}


def _precisions(rows: Sequence[tuple[Query, Outcome]], k: int) -> list[float]:
    return [
        average_precision_at(outcome.target_hits, len(set(query.targets)), k)
        for query, outcome in rows
        if outcome.target_hits is not None
    ]
