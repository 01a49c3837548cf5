"""The metrics of one query, from the places where its right images came out.

Ranks are pessimistic: among tied candidates, those that earn less come first. For a single target this is the rank
"1 + every image that scores strictly higher + every other image that ties"; for several right images it is the worst
order that the ties allow. A model that gives one score to everything thus gets no recall, and no precision.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


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
