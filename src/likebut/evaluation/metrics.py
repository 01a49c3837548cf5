"""How far a metric would move with other queries: bootstrap confidence intervals."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from likebut.data.triplets import Query
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.ranking import QueryRank

_VALUES_AT_ONCE = 1 << 22


def bootstrap_interval(
    groups: Sequence[npt.NDArray[np.float64]], seed: int = 0, resamples: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean over groups of each group's mean.

    Queries are drawn with replacement, each group from its own, so that a mean over categories keeps its categories.

    Args:
        groups: Values of a metric by query; one array, or one a category.
        seed: Of the draws.
        resamples: How many times queries are drawn.
        level: The share of resampled means inside the interval.
    """
    generator = np.random.default_rng(seed)
    means = np.mean([_resampled_means(values, generator, resamples) for values in groups], axis=0)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _resampled_means(
    values: npt.NDArray[np.float64], generator: np.random.Generator, resamples: int
) -> npt.NDArray[np.float64]:
    at_once = max(1, _VALUES_AT_ONCE // len(values))
    means = np.empty(resamples)
    for first in range(0, resamples, at_once):
        count = min(at_once, resamples - first)
        draws = generator.integers(len(values), size=(count, len(values)))
        means[first : first + count] = values[draws].mean(axis=1)
    return means


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """A right image's place in the ranking.

    Attributes:
        position: Its rank, from 1.
        credit: What finding it is worth to Recall@K: 1, unless the labels are graded.
    """

    position: int
    credit: float = 1.0


def worst_case_hits(
    scores: Mapping[int, float], at_least: Mapping[int, int], credits: Mapping[int, float]
) -> list[Hit]:
    """Return the places of the right images in the worst order that ties allow, best place first.

    Args:
        scores: The score of each right image.
        at_least: For each right image, how many candidates score at least as high, itself included.
        credits: What finding each right image is worth. All of them are candidates.
    """
    hits = []
    for ordinal, image in enumerate(sorted(credits, key=lambda image: (-scores[image], credits[image])), start=1):
        right_ones = sum(scores[other] >= scores[image] for other in credits)
        hits.append(Hit(at_least[image] - right_ones + ordinal, credits[image]))
    return hits


def hits_within(candidates: Collection[int], scores: Mapping[int, float], credits: Mapping[int, float]) -> list[Hit]:
    """Return the places of the right images in the ranking of a few candidates whose scores are all known."""
    right = {image: credit for image, credit in credits.items() if image in candidates}
    at_least = {image: sum(scores[other] >= scores[image] for other in candidates) for image in right}
    return worst_case_hits(scores, at_least, right)


def hits_in_list(ranking: Sequence[str], credits: Mapping[str, float]) -> list[Hit]:
    """Return the places of the right images in a ranking that is written out; one that is not in it has none."""
    return [Hit(position, credits[name]) for position, name in enumerate(ranking, start=1) if name in credits]


def recall_at(hits: Sequence[Hit], k: int) -> float:
    """Return Recall@K of one query: the best credit among the right images in the first ``k`` places, else 0."""
    return max((hit.credit for hit in hits if hit.position <= k), default=0.0)


def average_precision_at(hits: Sequence[Hit], right: int, k: int) -> float:
    """Return AP@K of one query, Σ_{i≤K} P(i)·rel(i) / min(|GT|, K), as CIRCO defines it (Baldrati et al., 2023).

    Args:
        hits: The places of the right images that were found, best place first.
        right: How many right images there are, found or not.
        k: How many places count.
    """
    precisions = [found / hit.position for found, hit in enumerate(hits, start=1) if hit.position <= k]
    return sum(precisions) / min(right, k)


def hard_negative_wins(targets: Sequence[float], hard_negatives: Sequence[float]) -> float:
    """Return 1 if a hard negative outranks or ties every target, else 0.

    Args:
        targets: The targets' scores; none if no target is a candidate.
        hard_negatives: The hard negatives' scores.
    """
    return float(max(hard_negatives, default=float("-inf")) >= max(targets, default=float("-inf")))


MetricValues = dict[str, npt.NDArray[np.float64]]
"""For each metric's name, its value in 0…1 for each query that has one."""

AVERAGE = "Avg"
HARD_NEGATIVE_RATE = "Hard-negative rate"

_LOWER_IS_BETTER = (HARD_NEGATIVE_RATE,)


def higher_is_better(metric: str) -> bool:
    """Return the direction of a metric: False for the hard-negative rate, True for every recall, mAP and mean.

    Args:
        metric: The name as reported, with or without the benchmark part in front ("dress Recall@10").
    """
    return not metric.endswith(_LOWER_IS_BETTER)


def is_improvement(metric: str, value: float, best: float | None) -> bool:
    """Return whether ``value`` is strictly better than ``best`` in the metric's direction; True if ``best`` is None."""
    if best is None:
        return True
    return value > best if higher_is_better(metric) else value < best


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


def outcome_of_rank(benchmark: Benchmark, query: Query, query_rank: QueryRank, positions: Mapping[str, int]) -> Outcome:
    """Return the outcome of a query whose named images were placed.

    Args:
        benchmark: The query's benchmark.
        query: The query.
        query_rank: Where its images came out.
        positions: The gallery position of each image that could be used; an image without one is never found.
    """
    scores = query_rank.scores

    def placed(credits: Mapping[str, float]) -> dict[int, float]:
        return {positions[name]: credit for name, credit in credits.items() if positions.get(name) in scores}

    credits, targets = placed(benchmark.credits_of(query)), placed(dict.fromkeys(query.targets, 1.0))
    subset, rivals = placed(dict.fromkeys(query.subset, 1.0)), placed(dict.fromkeys(query.hard_negatives, 1.0))
    wins = hard_negative_wins([scores[image] for image in targets], [scores[image] for image in rivals])
    return Outcome(
        hits=worst_case_hits(scores, query_rank.at_least, credits),
        target_hits=worst_case_hits(scores, query_rank.at_least, targets),
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
