"""How far would a score move with other people?"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray


def interval(
    statistic: Callable[[NDArray[np.intp]], float], persons: ArrayLike, draws: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Percentile bootstrap interval of a score over persons (Efron and Tibshirani 1993, chapter 13; persons are the clusters).

    Pictures of one person are not independent, so persons are drawn with replacement, not pictures.

    Args:
        statistic: the score, from how often (N,) each row counts; NaN where it cannot be computed.
        persons: (N,) whose row it is.
        draws: number of resamples.
        level: share of the resampled scores inside the interval.
        seed: the same seed gives the same interval.

    Example:
        >>> low, high = interval(lambda times: np.average(scores, weights=times), persons)  # doctest: +SKIP
    """
    names, owner = np.unique(np.asarray(persons), return_inverse=True)
    rng = np.random.default_rng(seed)
    scores = [statistic(np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))[owner]) for _ in range(draws)]
    low, high = np.nanquantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
