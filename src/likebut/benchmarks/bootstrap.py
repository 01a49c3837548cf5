"""How far a metric would move with other queries: bootstrap confidence intervals."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

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
