import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from likebut.evaluation.metrics import bootstrap_interval

VALUES = st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=1, max_size=30)


def test_the_interval_of_equal_values_is_a_point() -> None:
    assert bootstrap_interval([np.full(40, 0.25)]) == (0.25, 0.25)


def test_agrees_with_the_normal_approximation() -> None:
    values = np.array([1.0] * 300 + [0.0] * 700)
    margin = 1.96 * np.sqrt(0.3 * 0.7 / 1000)
    low, high = bootstrap_interval([values], resamples=4000)
    assert (low, high) == pytest.approx((0.3 - margin, 0.3 + margin), abs=0.004)


def test_the_mean_over_categories_keeps_its_categories() -> None:
    # Resampling all queries together would give a wide interval.
    low, high = bootstrap_interval([np.zeros(50), np.ones(20)])
    assert (low, high) == (0.5, 0.5)


def test_more_queries_narrow_the_interval() -> None:
    few, many = np.tile([0.0, 1.0], 20), np.tile([0.0, 1.0], 2000)
    widths = [high - low for low, high in (bootstrap_interval([values]) for values in (few, many))]
    assert widths[1] < widths[0] / 5


def test_the_interval_does_not_depend_on_the_chunk_size(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(100)
    whole = bootstrap_interval([values])
    monkeypatch.setattr("likebut.evaluation.metrics._VALUES_AT_ONCE", 1)
    assert bootstrap_interval([values]) == whole


@given(VALUES, st.integers(0, 5))
def test_the_interval_is_within_the_values_and_repeats_with_its_seed(values: list[float], seed: int) -> None:
    low, high = bootstrap_interval([np.array(values)], seed, resamples=50)
    assert min(values) <= low <= high <= max(values)
    assert bootstrap_interval([np.array(values)], seed, resamples=50) == (low, high)


@given(VALUES, st.sampled_from([0.25, 2.0, 100.0]))
def test_the_interval_scales_with_the_values(values: list[float], factor: float) -> None:
    low, high = bootstrap_interval([np.array(values)], resamples=50)
    scaled = bootstrap_interval([factor * np.array(values)], resamples=50)
    assert scaled == pytest.approx((factor * low, factor * high))
