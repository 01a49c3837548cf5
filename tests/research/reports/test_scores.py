import pytest

from helpers.report_samples import make_row
from likebut.evaluation.metrics import HARD_NEGATIVE_RATE
from likebut.research.reports.summary import METRICS, Score, ranking, score_of, shown_metrics


def test_mean_spread_and_interval_over_seeds() -> None:
    row = make_row("a", {"Recall@1": 50.0}, {"Recall@1": 54.0}, {"Recall@1": 58.0}, margin=3.0)
    score = score_of(row, "Recall@1")
    assert score is not None
    # Deviations -4, 0, 4: the sample variance is 32 / 2.
    assert (score.value, score.spread) == (54.0, 4.0)
    assert (score.low, score.high) == pytest.approx((51.0, 57.0))


def test_one_seed_has_no_spread() -> None:
    score = score_of(make_row("a", {"Recall@1": 50.0}), "Recall@1")
    assert score is not None and score.spread is None


def test_a_metric_that_one_seed_lacks_is_no_score() -> None:
    assert score_of(make_row("a", {"Recall@1": 50.0}, {"Recall@5": 50.0}), "Recall@1") is None
    assert score_of(make_row("a"), "Recall@1") is None


@pytest.mark.parametrize(
    ("low", "high", "overlaps"), [(0.0, 9.9, False), (0.0, 10.0, True), (12.0, 13.0, True), (20.1, 30.0, False)]
)
def test_overlap(low: float, high: float, overlaps: bool) -> None:
    one, other = Score((15.0,), 10.0, 20.0), Score((low,), low, high)
    assert one.overlaps(other) is overlaps and other.overlaps(one) is overlaps


def test_ranking_is_best_first_and_ties_keep_the_order() -> None:
    rows = [make_row(name, {"Recall@1": value}) for name, value in [("a", 10.0), ("b", 20.04), ("c", 19.96)]]
    assert [row.name for row, _ in ranking(rows, "Recall@1")] == ["b", "c", "a"]


def test_the_lowest_hard_negative_rate_wins() -> None:
    rows = [make_row(name, {HARD_NEGATIVE_RATE: value}) for name, value in [("a", 30.0), ("b", 10.0)]]
    assert [row.name for row, _ in ranking(rows, HARD_NEGATIVE_RATE)] == ["b", "a"]


def test_shown_metrics_are_in_the_tables_order() -> None:
    rows = [make_row("a", {"mAP@10": 1.0, "Recall@50": 2.0}), make_row("b", {"Recall@1": 1.0})]
    assert shown_metrics(rows) == ["Recall@1", "mAP@10"]
    assert METRICS[:3] == ("Recall@1", "Recall@5", "Recall@10")
