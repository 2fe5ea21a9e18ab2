"""Scores of many listeners, after the post-screening of ITU-R BS.1534-3.

Post-screening (4.1.2): a listener who rates the hidden reference below 90 in more than 15 % of the trials is left out,
and one who rates the anchor above 90 in more than 15 %. (The recommendation has the mid-range anchor there; the
report's test has the low-pass at 3.5 kHz alone.)

A listener's score of a system is the mean of the ratings over the passages; the mean over listeners has Student's 95 %
interval, median and quartiles are of all ratings. Systems are compared with the best model by Wilcoxon's signed-rank
test of the listeners' scores, corrected after Holm. ABX: the exact binomial test of all trials of a pair.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from scripts.listening.answers import ANCHOR, MODEL, REFERENCE

RATED = 90.0
OFTEN = 0.15
LEVEL = 0.95
ALPHA = 0.05
FEWEST = 6  # listeners, for Wilcoxon's test to reach p < 0.05


class System(NamedTuple):
    """What listeners say of a system."""

    name: str
    kind: str
    listeners: int
    mean: float
    half: float  # of the interval of the mean; NaN with one listener
    quartiles: tuple[float, float, float]  # lower, median, upper
    p: float  # of being as good as the best model, corrected; NaN for that, for what is no model, and for few listeners


class Pair(NamedTuple):
    """Whether two signals can be told apart."""

    a: str
    b: str
    listeners: int
    right: int
    trials: int
    p: float  # of at least as many right answers by guessing


def screened(ratings: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """The ratings of those who stay, and why each other listener is left out."""
    left_out: dict[str, str] = {}
    for kind, wrong, what in (
        (REFERENCE, lambda rating: rating < RATED, f"the hidden reference below {RATED:g}"),
        (ANCHOR, lambda rating: rating > RATED, f"the anchor above {RATED:g}"),
    ):
        for listener, rated in ratings[ratings["kind"] == kind].groupby("listener", sort=False):
            if (count := int(wrong(rated["rating"]).sum())) > OFTEN * len(rated):
                left_out.setdefault(str(listener), f"rated {what} in {count} of {len(rated)} trials")
    return ratings[~ratings["listener"].isin(left_out)], left_out


def systems(ratings: pd.DataFrame) -> list[System]:
    """Best first."""
    of_listener = ratings.pivot_table(index="listener", columns="system", values="rating", aggfunc="mean")
    kinds = ratings.drop_duplicates("system").set_index("system")["kind"]
    names = [str(name) for name in of_listener]
    models = [name for name in names if kinds[name] == MODEL]
    means = {name: float(of_listener[name].to_numpy(float)[of_listener[name].notna()].mean()) for name in names}
    best = max(models, key=lambda name: means[name], default="")
    p = _holm({name: _wilcoxon(of_listener, name, best) for name in models if name != best})
    found = []
    for name in names:
        scores = of_listener[name].dropna().to_numpy()
        n = len(scores)
        half = math.nan if n < 2 else float(stats.t.ppf(0.5 + LEVEL / 2, n - 1) * np.std(scores, ddof=1) / math.sqrt(n))
        low, middle, high = np.percentile(ratings["rating"][ratings["system"] == name], [25, 50, 75])
        found.append(
            System(
                name,
                str(kinds[name]),
                n,
                means[name],
                half,
                (float(low), float(middle), float(high)),
                p.get(name, math.nan),
            )
        )
    return sorted(found, key=lambda system: -system.mean)


def pairs(choices: pd.DataFrame) -> list[Pair]:
    """In the order of the files; A and B are a pair either way round."""
    names = choices[["A", "B"]].apply(lambda row: tuple(sorted(row)), axis=1)
    found = []
    for (a, b), chosen in choices.groupby(names, sort=False):
        right, trials = int(chosen["correct"].sum()), len(chosen)
        p = float(stats.binomtest(right, trials, alternative="greater").pvalue)
        found.append(Pair(a, b, chosen["listener"].nunique(), right, trials, p))
    return found


def _wilcoxon(of_listener: pd.DataFrame, name: str, best: str) -> float:
    both = of_listener[[name, best]].dropna()
    difference = (both[name] - both[best]).to_numpy()
    if len(difference) < FEWEST:
        return math.nan
    return float(stats.wilcoxon(difference).pvalue) if difference.any() else 1.0


def _holm(p: dict[str, float]) -> dict[str, float]:
    """
    >>> _holm({"a": 0.01, "b": 0.03, "c": 0.04})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    known = sorted((value, name) for name, value in p.items() if not math.isnan(value))
    corrected, largest = {}, 0.0
    for done, (value, name) in enumerate(known):
        largest = max(largest, min(1.0, value * (len(known) - done)))
        corrected[name] = largest
    return corrected
