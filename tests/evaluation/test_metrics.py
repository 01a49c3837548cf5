import itertools
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from likebut.evaluation.metrics import (
    HARD_NEGATIVE_RATE,
    RankedTarget,
    average_precision_at,
    hard_negative_wins,
    higher_is_better,
    is_improvement,
    ranks_in_list,
    ranks_within,
    recall_at,
    worst_case_ranks,
)

SCORES = st.lists(st.integers(0, 3).map(float), min_size=1, max_size=6)
CREDITS = st.sampled_from([0.0, 0.2, 0.5, 1.0])


@st.composite
def graded(draw: st.DrawFn) -> tuple[list[float], dict[int, float]]:
    """Scores of a few candidates, many of them tied, and the credit of each."""
    scores = draw(SCORES)
    credits = draw(st.lists(CREDITS, min_size=len(scores), max_size=len(scores)))
    return scores, {image: credit for image, credit in enumerate(credits) if credit > 0}


def ranks_of(scores: list[float], credits: dict[int, float]) -> list[RankedTarget]:
    at_least = {image: sum(other >= scores[image] for other in scores) for image in credits}
    return worst_case_ranks(dict(enumerate(scores)), at_least, credits)


def possible_orders(scores: list[float]) -> Iterator[tuple[int, ...]]:
    """Every order of the candidates that their scores allow."""
    for order in itertools.permutations(range(len(scores))):
        if all(scores[one] >= scores[next_one] for one, next_one in itertools.pairwise(order)):
            yield order


def naive_recall(order: tuple[int, ...], credits: dict[int, float], k: int) -> float:
    return max([0.0, *(credits.get(image, 0.0) for image in order[:k])])


def naive_average_precision(order: tuple[int, ...], relevant: set[int], k: int) -> float:
    total = 0.0
    for place in range(1, min(k, len(order)) + 1):
        if order[place - 1] in relevant:
            total += len(relevant & set(order[:place])) / place
    return total / min(len(relevant), k)


@given(graded(), st.integers(1, 7))
@settings(deadline=None)
def test_recall_is_the_minimum_over_all_orders_of_the_ties(
    sample: tuple[list[float], dict[int, float]], k: int
) -> None:
    scores, credits = sample
    worst = min(naive_recall(order, credits, k) for order in possible_orders(scores))
    assert recall_at(ranks_of(scores, credits), k) == worst


@given(graded(), st.integers(1, 7))
@settings(deadline=None)
def test_average_precision_is_the_minimum_over_all_orders_of_the_ties(
    sample: tuple[list[float], dict[int, float]], k: int
) -> None:
    scores, credits = sample
    relevant = set(credits) or {0}
    worst = min(naive_average_precision(order, relevant, k) for order in possible_orders(scores))
    ranked = ranks_of(scores, dict.fromkeys(relevant, 1.0))
    assert average_precision_at(ranked, len(relevant), k) == pytest.approx(worst, abs=1e-12)


@given(graded(), st.randoms())
def test_metrics_do_not_depend_on_the_candidates_order(
    sample: tuple[list[float], dict[int, float]], random: Random
) -> None:
    scores, credits = sample
    order = list(range(len(scores)))
    random.shuffle(order)
    moved = {order.index(image): credit for image, credit in credits.items()}
    assert ranks_of([scores[image] for image in order], moved) == ranks_of(scores, credits)


@given(graded(), st.integers(1, 7))
def test_recall_does_not_decrease_with_k(sample: tuple[list[float], dict[int, float]], k: int) -> None:
    ranked = ranks_of(*sample)
    assert recall_at(ranked, k) <= recall_at(ranked, k + 1)


@given(graded())
def test_an_irrelevant_duplicate_never_raises_recall(sample: tuple[list[float], dict[int, float]]) -> None:
    scores, credits = sample
    with_copies = ranks_of([*scores, *scores], credits)
    for k in range(1, 8):
        assert recall_at(with_copies, k) <= recall_at(ranks_of(scores, credits), k)


@given(graded())
def test_ranking_within_all_candidates_is_ranking_the_gallery(sample: tuple[list[float], dict[int, float]]) -> None:
    scores, credits = sample
    assert ranks_within(range(len(scores)), dict(enumerate(scores)), credits) == ranks_of(scores, credits)


def test_recall_worked_by_hand() -> None:
    # a and b tie at the top, so the target a may come second; c alone is third.
    ranked = ranks_of([2.0, 2.0, 1.0], {0: 1.0})
    assert ranked == [RankedTarget(2)]
    assert [recall_at(ranked, k) for k in (1, 2, 3)] == [0.0, 1.0, 1.0]


def test_graded_recall_worked_by_hand() -> None:
    # An image with credit 0.5 ranks first and one with credit 1 third.
    ranked = ranks_of([3.0, 2.0, 1.0, 0.0], {0: 0.5, 2: 1.0})
    assert [recall_at(ranked, k) for k in (1, 2, 3)] == [0.5, 0.5, 1.0]


def test_average_precision_worked_by_hand() -> None:
    # Three relevant images at ranks 1, 3 and 6: (1/1 + 2/3 + 3/6) / 3, and at K = 5 (1/1 + 2/3) / 3.
    ranked = [RankedTarget(1), RankedTarget(3), RankedTarget(6)]
    assert average_precision_at(ranked, 3, 10) == pytest.approx((1 + 2 / 3 + 1 / 2) / 3)
    assert average_precision_at(ranked, 3, 5) == pytest.approx((1 + 2 / 3) / 3)
    # Ten relevant images and K = 2: the denominator is min(|GT|, K) = 2.
    assert average_precision_at(ranked, 10, 2) == pytest.approx(1 / 2)


def test_two_relevant_images_that_tie_only_with_each_other_lose_nothing() -> None:
    ranked = ranks_of([5.0, 5.0, 1.0], {0: 1.0, 1: 1.0})
    assert ranked == [RankedTarget(1), RankedTarget(2)]
    assert recall_at(ranked, 1) == 1.0
    assert average_precision_at(ranked, 2, 5) == 1.0


def test_images_that_a_list_lacks_have_no_rank() -> None:
    ranked = ranks_in_list(["c", "a", "d"], {"a": 1.0, "b": 1.0})
    assert ranked == [RankedTarget(2)]
    assert average_precision_at(ranked, 2, 5) == pytest.approx((1 / 2) / 2)


def test_ranks_within_a_subset_ignore_the_rest_of_the_gallery() -> None:
    scores = {0: 1.0, 1: 3.0, 2: 2.0, 3: 1.0}
    assert ranks_within({0, 2, 3}, scores, {0: 1.0, 1: 1.0}) == [RankedTarget(3)]


@pytest.mark.parametrize(
    ("targets", "hard_negatives", "wins"),
    [
        ([0.5, 0.2], [0.4], 0.0),
        ([0.5, 0.2], [0.6], 1.0),
        ([0.5], [0.5], 1.0),  # a tie counts against the model
        ([], [0.1], 1.0),
        ([0.5], [], 0.0),
    ],
)
def test_hard_negative_wins(targets: list[float], hard_negatives: list[float], wins: float) -> None:
    assert hard_negative_wins(targets, hard_negatives) == wins


@given(st.lists(st.integers(0, 5).map(float), min_size=1), st.lists(st.integers(0, 5).map(float), min_size=1))
def test_a_hard_negative_wins_if_no_target_beats_them_all(targets: list[float], hard_negatives: list[float]) -> None:
    some_target_beats_all = any(all(target > rival for rival in hard_negatives) for target in targets)
    assert hard_negative_wins(targets, hard_negatives) == float(not some_target_beats_all)


def test_metric_directions() -> None:
    assert not higher_is_better(HARD_NEGATIVE_RATE)
    assert not higher_is_better(f"dress {HARD_NEGATIVE_RATE}")
    assert all(higher_is_better(name) for name in ("Recall@1", "Recall_subset@3", "mAP@10", "dress Recall@10", "Mean"))


@pytest.mark.parametrize(
    ("metric", "values", "best"),
    [(HARD_NEGATIVE_RATE, [40.0, 25.0, 30.0], 25.0), ("Recall@1", [10.0, 30.0, 20.0], 30.0)],
)
def test_the_best_value_of_a_metric_follows_its_direction(metric: str, values: list[float], best: float) -> None:
    kept: float | None = None
    for value in values:
        kept = value if is_improvement(metric, value, kept) else kept
    assert kept == best
    assert not is_improvement(metric, best, best)
