"""Metrics of composed image retrieval: per-query values, their directions, and bootstrap intervals of their means."""

import statistics
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from likebut.data.triplets import Query
from likebut.evaluation.benchmark import Benchmark
from likebut.evaluation.ranking import QueryRank

AVERAGE = "Avg"
MEAN = "Mean"
HARD_NEGATIVE_RATE = "Hard-negative rate"

MetricValues = dict[str, npt.NDArray[np.float64]]
"""Metric name → its value in [0, 1] for each query that has one; for a metric of groups, for each group."""

MACRO_MAP = "macro mAP"
MICRO_MAP = "micro mAP"
PARAPHRASE_RANGE = "Paraphrase range"

_LOWER_IS_BETTER = (HARD_NEGATIVE_RATE, "NegRecall@", "ΔmAP@", PARAPHRASE_RANGE)
_VALUES_AT_ONCE = 1 << 22


def higher_is_better(metric: str) -> bool:
    """Return the direction of a metric: False for what counts errors, True for every recall, precision, mAP and mean.

    Args:
        metric: The name as reported, with or without the benchmark part in front ("dress Recall@10").
    """
    return not any(name in metric for name in _LOWER_IS_BETTER)


def is_improvement(metric: str, value: float, best: float | None) -> bool:
    """Return whether ``value`` is strictly better than ``best`` in the metric's direction; True if ``best`` is None."""
    if best is None:
        return True
    return value > best if higher_is_better(metric) else value < best


def mean_recall(metrics: Mapping[str, float]) -> float | None:
    """Return the mean of every Recall@K and Recall_subset@K over all categories; None if there is none.

    Published code selects its checkpoint by this mean.
    """
    recalls = [value for name, value in metrics.items() if name.startswith("Recall")]
    return statistics.mean(recalls) if recalls else None


@dataclass(frozen=True, slots=True, order=True)
class RankedTarget:
    """The rank of one relevant image.

    Attributes:
        rank: From 1.
        credit: What retrieving the image earns in Recall@K: 1, unless the labels are graded.
    """

    rank: int
    credit: float = 1.0


@dataclass(frozen=True, slots=True)
class QueryOutcome:
    """The ranks of one query's relevant images; None marks what was not measured.

    Attributes:
        ranked: In the ranking of the gallery, the images that Recall@K counts.
        ranked_targets: In the same ranking, every target; mAP@K counts these.
        ranked_subset: In the ranking of the query's subset, the images that Recall_subset@K counts.
        hard_negative_wins: 1 if a hard negative outranks or ties every target.
        negative_ranks: In the ranking of the gallery, the ranks of the hard negatives, ascending.
        ranked_without_negatives: As ``ranked_targets``, in the ranking without the hard negatives.
    """

    ranked: list[RankedTarget] | None = None
    ranked_targets: list[RankedTarget] | None = None
    ranked_subset: list[RankedTarget] | None = None
    hard_negative_wins: float | None = None
    negative_ranks: list[int] | None = None
    ranked_without_negatives: list[RankedTarget] | None = None


def worst_case_ranks(
    scores: Mapping[int, float], at_least: Mapping[int, int], credits: Mapping[int, float]
) -> list[RankedTarget]:
    """Return the ranks of the relevant images in the worst order that ties allow, best rank first.

    Args:
        scores: The score of each relevant image.
        at_least: For each relevant image, the number of candidates that score at least as high, itself included.
        credits: The credit of each relevant image. All of them are candidates.
    """
    ranked = []
    for ordinal, image in enumerate(sorted(credits, key=lambda image: (-scores[image], credits[image])), start=1):
        relevant = sum(scores[other] >= scores[image] for other in credits)
        ranked.append(RankedTarget(at_least[image] - relevant + ordinal, credits[image]))
    return ranked


def ranks_within(
    candidates: Collection[int], scores: Mapping[int, float], credits: Mapping[int, float]
) -> list[RankedTarget]:
    """Return the worst-case ranks of the relevant images among a few candidates whose scores are all known."""
    relevant = {image: credit for image, credit in credits.items() if image in candidates}
    at_least = {image: sum(scores[other] >= scores[image] for other in candidates) for image in relevant}
    return worst_case_ranks(scores, at_least, relevant)


def ranks_in_list(ranking: Sequence[str], credits: Mapping[str, float]) -> list[RankedTarget]:
    """Return the ranks of the relevant images in a list of names; images that it lacks have no rank."""
    return [RankedTarget(rank, credits[name]) for rank, name in enumerate(ranking, start=1) if name in credits]


def recall_at(ranked: Sequence[RankedTarget], k: int) -> float:
    """Return Recall@K of one query: the highest credit among the relevant images of rank K or better, else 0."""
    return max((target.credit for target in ranked if target.rank <= k), default=0.0)


def average_precision_at(ranked: Sequence[RankedTarget], relevant: int, k: int) -> float:
    """Return AP@K of one query, Σ_{i≤K} P(i)·rel(i) / min(|GT|, K), as CIRCO defines it (Baldrati et al., 2023).

    Args:
        ranked: The relevant images that were retrieved, best rank first.
        relevant: |GT|, the number of relevant images, retrieved or not.
        k: K.
    """
    if relevant == 0:
        return 0.0
    precisions = [found / target.rank for found, target in enumerate(ranked, start=1) if target.rank <= k]
    return sum(precisions) / min(relevant, k)


def trapezoidal_average_precision(ranked: Sequence[RankedTarget], relevant: int) -> float:
    """Return the AP of one complete ranking, the area under its precision–recall curve by the trapezoidal rule.

    The mean of the precision before and at each relevant image, over the number of relevant images: the definition of
    the Oxford buildings benchmark (Philbin et al., 2007), which i-CIR uses. A relevant image of rank 1 counts fully.

    Args:
        ranked: The relevant images that were retrieved, best rank first.
        relevant: The number of relevant images, retrieved or not.
    """
    if relevant == 0:
        return 0.0
    area = 0.0
    for found, target in enumerate(ranked, start=1):
        before = 1.0 if target.rank == 1 else (found - 1) / (target.rank - 1)
        area += (before + found / target.rank) / 2
    return area / relevant


def precision_at(ranked: Sequence[RankedTarget], k: int) -> float:
    """Return Precision@K of one query: the number of targets of rank K or better, over K."""
    return sum(target.rank <= k for target in ranked) / k


def negative_recall_at(ranks: Sequence[int], negatives: int, k: int) -> float:
    """Return NegRecall@K of one query, as PinPoint defines it: hard negatives of rank K or better, over min(n, K).

    Args:
        ranks: The ranks of the hard negatives that were retrieved.
        negatives: n, the number of hard negatives, retrieved or not; a query without any has the value 0.
        k: K.
    """
    return sum(rank <= k for rank in ranks) / min(negatives, k) if negatives else 0.0


def best_case_ranks(scores: Mapping[int, float], above: Mapping[int, int], images: Collection[int]) -> list[int]:
    """Return the ranks of images in the best order that ties allow, ascending.

    Ties count against the model where retrieving the images is an error.

    Args:
        scores: The score of each image.
        above: For each image, the number of candidates that score higher.
        images: The images; all of them are candidates.
    """
    ranks = []
    for ordinal, image in enumerate(sorted(images, key=lambda image: -scores[image]), start=1):
        ranks.append(above[image] - sum(scores[other] > scores[image] for other in images) + ordinal)
    return ranks


def hard_negative_wins(targets: Sequence[float], hard_negatives: Sequence[float]) -> float:
    """Return 1 if a hard negative outranks or ties every target, else 0.

    Args:
        targets: The targets' scores; empty if no target is a candidate.
        hard_negatives: The hard negatives' scores.
    """
    return float(max(hard_negatives, default=float("-inf")) >= max(targets, default=float("-inf")))


def outcome_from_scores(
    benchmark: Benchmark, query: Query, query_rank: QueryRank, positions: Mapping[str, int]
) -> QueryOutcome:
    """Return the outcome of a query from the scores of its images.

    Args:
        benchmark: The query's benchmark.
        query: The query.
        query_rank: The scores and ranks of its images.
        positions: The gallery position of each usable image; an image without one is never retrieved.
    """
    scores = query_rank.scores

    def scored(credits: Mapping[str, float]) -> dict[int, float]:
        return {positions[name]: credit for name, credit in credits.items() if positions.get(name) in scores}

    credits, targets = scored(benchmark.credits_of(query)), scored(dict.fromkeys(query.targets, 1.0))
    subset, negatives = scored(dict.fromkeys(query.subset, 1.0)), scored(dict.fromkeys(query.hard_negatives, 1.0))
    wins = hard_negative_wins([scores[image] for image in targets], [scores[image] for image in negatives])
    measures_negatives = bool(benchmark.plan.negatives_at)
    kept = {image: credit for image, credit in targets.items() if image not in negatives}
    at_least = {
        image: query_rank.at_least[image] - sum(scores[other] >= scores[image] for other in negatives) for image in kept
    }
    return QueryOutcome(
        ranked=worst_case_ranks(scores, query_rank.at_least, credits),
        ranked_targets=worst_case_ranks(scores, query_rank.at_least, targets),
        ranked_subset=ranks_within(subset, scores, credits) if query.subset else None,
        hard_negative_wins=wins if query.hard_negatives else None,
        negative_ranks=best_case_ranks(scores, query_rank.above, negatives) if measures_negatives else None,
        ranked_without_negatives=worst_case_ranks(scores, at_least, kept) if measures_negatives else None,
    )


def outcome_from_lists(
    benchmark: Benchmark, query: Query, ranking: Sequence[str] | None, subset_ranking: Sequence[str] | None
) -> QueryOutcome:
    """Return the outcome of a query from its ranking of the gallery, of its subset, or both, as names."""
    credits, targets = benchmark.credits_of(query), dict.fromkeys(query.targets, 1.0)
    negatives = frozenset(query.hard_negatives)
    without_negatives = [name for name in ranking or () if name not in negatives]
    return QueryOutcome(
        ranked=None if ranking is None else ranks_in_list(ranking, credits),
        ranked_targets=None if ranking is None else ranks_in_list(ranking, targets),
        negative_ranks=None if ranking is None else [at for at, name in enumerate(ranking, 1) if name in negatives],
        ranked_without_negatives=None if ranking is None else ranks_in_list(without_negatives, targets),
        ranked_subset=None if subset_ranking is None else ranks_in_list(subset_ranking, credits),
    )


def missed_outcome(query: Query) -> QueryOutcome:
    """Return the outcome of a query whose reference image cannot be used: it retrieves nothing."""
    return QueryOutcome(
        ranked=[],
        ranked_targets=[],
        ranked_subset=[] if query.subset else None,
        hard_negative_wins=1.0 if query.hard_negatives else None,
        negative_ranks=list(range(1, len(set(query.hard_negatives)) + 1)),
        ranked_without_negatives=[],
    )


def compute_metrics(benchmark: Benchmark, outcomes: Sequence[QueryOutcome]) -> MetricValues:
    """Return the benchmark's metrics by query, in its plan's order; a metric that no query has is left out."""
    plan = benchmark.plan
    rows = list(zip(benchmark.queries, outcomes, strict=True))
    values: dict[str, list[float]] = {}
    if plan.complete_ranking:
        values[MICRO_MAP] = [
            trapezoidal_average_precision(outcome.ranked_targets or [], len(set(query.targets)))
            for query, outcome in rows
        ]
        by_instance = _by_group(benchmark, values[MICRO_MAP])
        values = {MACRO_MAP: [statistics.fmean(group) for group in by_instance], **values}
    for k in plan.precision_at:
        values[f"mAP@{k}"] = _average_precisions(rows, k)
    for k in plan.hits_at:
        values[f"Precision@{k}"] = [precision_at(outcome.ranked_targets or [], k) for outcome in outcomes]
    for k in plan.negatives_at:
        values[f"NegRecall@{k}"] = [
            negative_recall_at(outcome.negative_ranks or [], len(set(query.hard_negatives)), k)
            for query, outcome in rows
        ]
        without = [
            average_precision_at(outcome.ranked_without_negatives or [], len(set(query.targets)), k)
            for query, outcome in rows
        ]
        values[f"mAP@{k} without negatives"] = without
        values[f"ΔmAP@{k}"] = [
            after - before for after, before in zip(without, _average_precisions(rows, k), strict=True)
        ]
    if plan.group_range_at is not None:
        k = plan.group_range_at
        groups = _by_group(benchmark, [precision_at(outcome.ranked_targets or [], k) for outcome in outcomes])
        values[PARAPHRASE_RANGE] = [max(group) - min(group) for group in groups if len(group) > 1]
    for k in plan.recall_at:
        values[f"Recall@{k}"] = [recall_at(outcome.ranked, k) for outcome in outcomes if outcome.ranked is not None]
    for k in plan.subset_recall_at:
        values[f"Recall_subset@{k}"] = [
            recall_at(outcome.ranked_subset, k) for outcome in outcomes if outcome.ranked_subset is not None
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
        values[f"mAP@10 {aspect}"] = _average_precisions(chosen, 10)
    return {name: np.array(column, dtype=np.float64) for name, column in values.items() if column}


def bootstrap_interval(
    groups: Sequence[npt.NDArray[np.float64]], seed: int = 0, resamples: int = 1000, level: float = 0.95
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the mean over groups of each group's mean.

    Queries are resampled with replacement within their group, so that a mean over categories keeps its categories.

    Args:
        groups: A metric's values by query; one array, or one for each category.
        seed: Seed of the resampling.
        resamples: Number of resamples.
        level: Confidence level.
    """
    generator = np.random.default_rng(seed)
    means = np.mean([_resampled_means(values, generator, resamples) for values in groups], axis=0)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _by_group(benchmark: Benchmark, values: Sequence[float]) -> list[list[float]]:
    """Return the values of the queries of each group, groups in the order of their first query."""
    groups: dict[str, list[float]] = {}
    for query, value in zip(benchmark.queries, values, strict=True):
        groups.setdefault(benchmark.groups[query.id], []).append(value)
    return list(groups.values())


def _average_precisions(rows: Sequence[tuple[Query, QueryOutcome]], k: int) -> list[float]:
    return [
        average_precision_at(outcome.ranked_targets, len(set(query.targets)), k)
        for query, outcome in rows
        if outcome.ranked_targets is not None
    ]


def _resampled_means(
    values: npt.NDArray[np.float64], generator: np.random.Generator, resamples: int
) -> npt.NDArray[np.float64]:
    # In chunks, so that memory stays bounded with many queries; the result does not depend on the chunk size.
    at_once = max(1, _VALUES_AT_ONCE // len(values))
    means = np.empty(resamples)
    for first in range(0, resamples, at_once):
        count = min(at_once, resamples - first)
        draws = generator.integers(len(values), size=(count, len(values)))
        means[first : first + count] = values[draws].mean(axis=1)
    return means
