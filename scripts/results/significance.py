"""What the scores of a model allow to say: 95 % intervals of a mean, and tests of two models on the same segments.

docs/statistics.md says what they mean, what they do not cover, and how often they were right in simulations.

Errors are compared as ratios: where all values are positive and smaller is better, intervals and tests are made on a
logarithmic scale. Other metrics (SI-SDR in dB) are compared as differences.

Sources: Owen, "The pigeonhole bootstrap" (Annals of Applied Statistics, 2007); Hesterberg, "What teachers should know
about the bootstrap" (The American Statistician, 2015) on the narrowness of intervals from few samples; Clark, "The
language-as-fixed-effect fallacy" (1973) and Berger, "Multiparameter hypothesis testing" (Technometrics, 1982) on
differences that have to hold over two factors; Holm, "A simple sequentially rejective multiple test procedure" (1979).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.95  # of an interval
ALPHA = 0.05  # a difference with a smaller p, corrected for the number of comparisons, is significant
RESAMPLES = 10_000
FEWEST_PAIRS = 6  # with fewer, Wilcoxon's test cannot reach p < 0.05: the least is 2 / 2^pairs

Array = NDArray[np.float64]
Pair = frozenset[str]  # two models
Key = TypeVar("Key", bound=Hashable)


class Interval(NamedTuple):
    """Of a mean; over what was resampled."""

    low: float
    high: float
    over: str  # "seeds and recordings", "recordings" or "seeds"


class Comparison(NamedTuple):
    """Of two models, two-sided; over what the difference was tested."""

    p: float
    over: str  # "segments and seeds", "segments" or "seeds"


def mean(values: Array, samples: Array) -> float:
    """Mean over the segments, each weighted by its samples, then over the runs.

    Shape:
        values ``(runs, segments)``, samples ``(segments,)``.
    """
    return float((values @ samples / samples.sum()).mean())


def interval(
    values: Array, samples: Array, units: NDArray[np.int64], *, ratio: bool, unit: str = "recordings"
) -> Interval | None:
    """95 % interval of the mean by a bootstrap over runs and recordings, or over the one of which there are several.

    Every run is scored on the same recordings, so runs and recordings are drawn independently of each other, with
    replacement (Owen's pigeonhole bootstrap). Few of them make a bootstrap too narrow: the deviations of the drawn
    means from the mean are stretched, to the standard error with n − 1 in place of n and from the normal to Student's
    distribution, with Satterthwaite's degrees of freedom. Recordings of unequal weights w count as ``(Σw)² / Σw²``.

    Args:
        values: scores of a model.
        samples: weights of the segments.
        units: number of the recording that a segment belongs to, from 0.
        ratio: the values are positive errors, to be compared as ratios: the interval is made on a logarithmic scale.
        unit: what the units are called.

    Shape:
        values ``(runs, segments)``, samples and units ``(segments,)``. Returns None where there is one run and one
        recording, or a value is no finite number.
    """
    if not np.isfinite(values).all():
        return None
    weights = np.bincount(units, samples).astype(np.float64)
    by_unit = np.stack([np.bincount(units, samples * row) for row in values]) / weights  # (runs, recordings)
    runs, recordings = by_unit.shape
    if runs == 1 and recordings == 1:
        return None
    centre = mean(values, samples)

    over = " and ".join(name for name, n in (("seeds", runs), (unit, recordings)) if n > 1)
    error, freedom = _standard_error(by_unit, weights)
    if error <= 1e-12 * abs(centre):  # rounding
        return Interval(centre, centre, over)
    of_runs, of_units = _draws(runs, recordings)
    drawn = of_units * weights
    means = np.einsum("br,rj,bj->b", of_runs, by_unit, drawn, optimize=True) / (runs * drawn.sum(1))
    deviations = np.log(means / centre) if ratio else means - centre
    spread = error / (centre if ratio else 1)
    stretch = spread / deviations.std() * stats.t.ppf((1 + LEVEL) / 2, freedom) / stats.norm.ppf((1 + LEVEL) / 2)
    low, high = stretch * np.quantile(deviations, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    if ratio:
        return Interval(centre * float(np.exp(low)), centre * float(np.exp(high)), over)
    return Interval(centre + float(low), centre + float(high), over)


def compare(
    models: Mapping[str, Array], seeds: Mapping[str, Sequence[str]], samples: Array, *, ratio: bool
) -> dict[Pair, Comparison]:
    """Whether the means of two models differ, for every pair: two-sided p of the harder of two tests.

    Over segments: Wilcoxon's signed-rank test of the segments' values, each the mean over the model's runs; exact where
    SciPy can. It takes part from 6 segments on. Segments that speak against the means (the model of the smaller mean is
    worse on most) give p = 1. Over seeds: a t test of the runs' means. Where all models have the same seeds, as the
    seed sets the initial weights and the order of the data for all of them, seeds are blocks: what is common to the
    runs of a seed cancels, and the error is the residual of the layout models × seeds with (models − 1)·(seeds − 1)
    degrees of freedom; for two models that is the paired t test. Otherwise Welch's test, of models that have several
    runs. The greater p counts, so that a difference has to hold over segments as well as over seeds.

    Args:
        models: scores of each model on the same segments.
        seeds: seed of each run.
        samples: weights of the segments in the means.
        ratio: the values are positive errors, to be compared as ratios: both tests use their logarithms.

    Shape:
        each of models ``(runs, segments)``, samples ``(segments,)``. A pair that neither test has enough values of, or
        of which a value is no finite number, is left out.
    """
    scale = np.log if ratio else np.asarray
    finite = {name: values for name, values in models.items() if np.isfinite(values).all()}
    of_runs = {name: scale(values @ samples / samples.sum()) for name, values in finite.items()}
    over_seeds = _blocks(of_runs, seeds) or _welch(of_runs)
    compared = {}
    for a, b in combinations(finite, 2):
        p = {}
        if samples.size >= FEWEST_PAIRS:
            differences = scale(finite[a].mean(0)) - scale(finite[b].mean(0))
            p["segments"] = _signed_rank(differences, mean(finite[a], samples) < mean(finite[b], samples))
        if (pair := frozenset((a, b))) in over_seeds:
            p["seeds"] = over_seeds[pair]
        if p:
            compared[pair] = Comparison(max(p.values()), " and ".join(p))
    return compared


def holm(p_values: Mapping[Key, float]) -> dict[Key, float]:
    """Holm's correction for the number of comparisons: the k-th smallest of n is multiplied by n − k + 1.

    A corrected p is never smaller than one before it, nor greater than 1.
    """
    corrected, least = {}, 0.0
    for rank, key in enumerate(sorted(p_values, key=lambda key: p_values[key])):
        least = max(least, min(1.0, p_values[key] * (len(p_values) - rank)))
        corrected[key] = least
    return corrected


def _standard_error(values: Array, weights: Array) -> tuple[float, float]:
    """Of the mean of values ``(runs, recordings)`` over both, and its degrees of freedom (Satterthwaite)."""
    runs, recordings = values.shape
    share = weights / weights.sum()
    squares, freedoms = [], []
    if runs > 1:
        squares.append(float((values @ share).var(ddof=1)) / runs)
        freedoms.append(runs - 1.0)
    if recordings > 1:
        of_recording = values.mean(0)
        equal = 1 / float((share**2).sum())  # as many recordings of equal weight (Kish)
        squares.append(float((share**2 * (of_recording - of_recording @ share) ** 2).sum()) * equal / (equal - 1))
        freedoms.append(max(equal - 1, 1.0))
    total = sum(squares)
    return total**0.5, total**2 / sum(s**2 / f for s, f in zip(squares, freedoms, strict=True)) if total else 1.0


def _signed_rank(differences: Array, lower: bool) -> float:
    """Two-sided p for differences in the direction of the means; 1 for the other direction, or if all are 0."""
    if not differences.any():
        return 1.0
    one_sided = stats.wilcoxon(differences, alternative="less" if lower else "greater").pvalue
    return min(1.0, 2 * float(one_sided))


def _blocks(of_runs: Mapping[str, Array], seeds: Mapping[str, Sequence[str]]) -> dict[Pair, float]:
    """p of every pair of models that have the same seeds, each once; empty if they have not."""
    names = sorted(set(seeds[next(iter(of_runs))])) if of_runs else []
    if len(names) < 2 or len(of_runs) < 2 or any(sorted(seeds[model]) != names for model in of_runs):
        return {}
    layout = np.array([values[np.argsort(seeds[model])] for model, values in of_runs.items()])  # (models, seeds)
    of_model, of_seed = layout.mean(1, keepdims=True), layout.mean(0, keepdims=True)
    freedom = (len(layout) - 1) * (len(names) - 1)
    variance = float(((layout - of_model - of_seed + layout.mean()) ** 2).sum()) / freedom
    error = (2 * variance / len(names)) ** 0.5
    centres = dict(zip(of_runs, of_model[:, 0], strict=True))
    return {
        frozenset(pair): _student(centres[pair[0]] - centres[pair[1]], error, freedom)
        for pair in combinations(of_runs, 2)
    }


def _welch(of_runs: Mapping[str, Array]) -> dict[Pair, float]:
    """p of every pair of models that have several runs each."""
    several = {model: values for model, values in of_runs.items() if len(values) > 1}
    p = {}
    for a, b in combinations(several, 2):
        squares = [float(several[model].var(ddof=1)) / len(several[model]) for model in (a, b)]
        total = sum(squares)
        freedom = (
            total**2 / sum(s**2 / (len(several[m]) - 1) for s, m in zip(squares, (a, b), strict=True)) if total else 1
        )
        p[frozenset((a, b))] = _student(several[a].mean() - several[b].mean(), total**0.5, freedom)
    return p


def _student(difference: float, error: float, freedom: float) -> float:
    """Two-sided p of a difference with its standard error; without any spread, equal means alone are equal."""
    if error == 0:
        return float(difference == 0)
    return float(2 * stats.t.sf(abs(difference) / error, freedom))


@lru_cache(maxsize=8)
def _draws(runs: int, recordings: int) -> tuple[Array, Array]:
    """How often each run and each recording is drawn, for every resample; the same for every model."""
    generator = np.random.default_rng(0)
    drawn = [generator.multinomial(n, np.full(n, 1 / n), RESAMPLES).astype(float) for n in (runs, recordings)]
    return drawn[0], drawn[1]
