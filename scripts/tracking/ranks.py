"""Rank correlation of metrics with errors of the device, with intervals.

On each segment the models are ranked by a metric, and by an error; Spearman's correlation of the two is 1 where the
metric puts the models in the order of their errors, and 0 where it says nothing of it. The mean over the segments is
what counts: segments that are difficult for all models do not make a metric look good, as they would in one heap. The
interval resamples recordings, with their segments, and models (percentiles of a bootstrap over both).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

LEVEL = 0.95
RESAMPLES = 1000
FEWEST = 5  # models, for a rank to say anything

Array = NDArray[np.float64]


class Correlation(NamedTuple):
    """Mean over the segments, and its interval."""

    mean: float
    low: float
    high: float


def spearman(a: Array, b: Array) -> Array:
    """Of each column; NaN where one of the two is constant.

    Shape:
        ``(models, segments)`` twice → ``(segments,)``.

    >>> spearman(np.array([[1.0, 1], [2, 2], [3, 3]]), np.array([[10.0, 5], [20, 4], [np.inf, 3]])).tolist()
    [1.0, -1.0]
    """
    ranks = [rankdata(values, axis=0) for values in (a, b)]
    x, y = (rank - rank.mean(axis=0) for rank in ranks)
    with np.errstate(invalid="ignore"):
        return np.asarray((x * y).sum(axis=0) / np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0)))


def correlations(
    metrics: Mapping[str, Array], error: Array, recordings: NDArray[np.int64], seed: int = 0
) -> dict[str, Correlation]:
    """Of each metric with an error; all with the same resamples.

    Args:
        metrics: the larger the worse.
        error: the larger the worse; infinite is the worst.
        recordings: number of the recording to which each segment belongs.
        seed: of the resamples.

    Shape:
        metrics and error ``(models, segments)``, recordings ``(segments,)``.

    Raises:
        ValueError: for fewer than `FEWEST` models.
    """
    models = len(error)
    if models < FEWEST:
        raise ValueError(
            f"{models} models cannot be ranked: at least {FEWEST} are needed; train further losses or seeds"
        )
    rng = np.random.default_rng(seed)
    groups = [np.flatnonzero(recordings == number) for number in np.unique(recordings)]
    draws = [
        (
            rng.integers(models, size=models),
            np.concatenate([groups[k] for k in rng.integers(len(groups), size=len(groups))]),
        )
        for _ in range(RESAMPLES)
    ]
    found = {}
    for name, values in metrics.items():
        resampled = [mean(spearman(values[rows][:, columns], error[rows][:, columns])) for rows, columns in draws]
        low, high = np.nanpercentile(resampled, [50 - 50 * LEVEL, 50 + 50 * LEVEL])
        found[name] = Correlation(mean(spearman(values, error)), float(low), float(high))
    return found


def mean(values: Array) -> float:
    """Of those that are defined."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
