"""What recordings of a device tell about it where it cannot be run: gain reduction over time, a level map, a response.

All from an input and the output that belongs to it, mono and aligned. Levels are in dBFS, see `data.levels`.

Gain reduction is the level of the input minus that of the output, in dB; make-up gain counts as negative. Two curves of
it differ by the mean of their distance (`mean_error`). The metric GR (`auraloss.level.GainReductionLoss`) measures the
same of an output and a target, and gives the same for a constant gain. For a gain that moves the two differ, because a
curve is made to be looked at, and GR to be trained on:

             curves here                                      the metric GR
    windows  20 ms, Hann, every 5 ms: a tone of 65 Hz         20 ms, rectangular, every 10 ms: a sum that is cheap,
             ripples by 0.2 dB, in rectangular ones by 1 dB   also backward
    counted  where the input is above −60 dBFS, as it is      where the target is: a loss is not given the input
             the input that is turned down                    of the device
    output   as quiet as it is, down to −200 dBFS             −60 dBFS at least: silence does not outweigh the rest
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.signal import csd, upfirdn, welch
from scipy.signal.windows import hann

from scripts.measure.devices import Array
from scripts.measure.steady import decibels

FLOOR_DB = -60.0  # an input below this says nothing about the gain


def gain_reduction_trace(
    input: ArrayLike,
    output: ArrayLike,
    sample_rate: int,
    window: float = 0.02,
    hop: float = 0.005,
    floor_db: float = FLOOR_DB,
) -> tuple[Array, Array]:
    """Gain reduction over time: level of the input minus that of the output, in dB.

    A level is that of a Hann-weighted mean square.

    Args:
        sample_rate: Hz.
        window: length of the mean, s; it resolves half of it, and longer ones ripple less at low frequencies.
        hop: from one mean to the next, s.
        floor_db: where the input is below this level (dBFS), the gain reduction is NaN.

    Shape:
        input and output ``(samples,)`` → the middle of each window in s, and the gain reduction, one for each window
        that fits.

    Raises:
        ValueError: for signals that are not mono, of different lengths, not finite, or shorter than a window.
    """
    times, before, after = levels(input, output, sample_rate, window, hop)
    return times, np.where(before >= floor_db, before - after, np.nan)


def mean_error(difference: Array) -> float:
    """Mean absolute difference of two curves in dB, where both are known; NaN if they nowhere are.

    >>> mean_error(np.array([1.0, -2.0, np.nan]))
    1.5
    """
    known = difference[np.isfinite(difference)]
    return float(np.abs(known).mean()) if len(known) else math.nan


@dataclass(frozen=True)
class LevelMap:
    """Output level in dBFS where the input has a level, from programme material; NaN where that is rare."""

    input_db: Array  # middle of the bins, dBFS
    lower_db: Array  # first quartile of the output's level, dBFS
    median_db: Array
    upper_db: Array  # third quartile
    count: NDArray[np.int_]  # windows in each bin


def level_map(
    input: ArrayLike,
    output: ArrayLike,
    sample_rate: int,
    window: float = 0.1,
    bin_db: float = 3.0,
    floor_db: float = FLOOR_DB,
    least: int = 5,
) -> LevelMap:
    """The static behaviour that shows in a recording: level of the output against that of the input, in short windows.

    A compressor whose gain follows slowly spreads the levels; the quartiles tell how much.

    Args:
        sample_rate: Hz.
        window: length of a window, s; half of it to the next one.
        bin_db: width of the bins of the input's level, from `floor_db` to 0 dBFS.
        least: bins of fewer windows are NaN.

    Raises:
        ValueError: as `gain_reduction_trace`.
    """
    _, before, after = levels(input, output, sample_rate, window, window / 2)
    edges = floor_db + bin_db * np.arange(math.ceil(-floor_db / bin_db) + 1, dtype=np.float64)
    number = np.digitize(before, edges) - 1
    count = np.array([np.count_nonzero(number == n) for n in range(len(edges) - 1)])
    quartiles = np.full((3, len(count)), np.nan)
    for n in np.flatnonzero(count >= least):
        quartiles[:, n] = np.quantile(after[number == n], (0.25, 0.5, 0.75))
    lower, median, upper = quartiles
    return LevelMap(edges[:-1] + bin_db / 2, lower, median, upper, count)


@dataclass(frozen=True)
class Transfer:
    """Frequency response estimated from a recording."""

    frequencies: Array  # Hz
    magnitude_db: Array
    coherence: Array  # 0 … 1: the share of the output's power that a linear filter explains


def transfer(input: ArrayLike, output: ArrayLike, sample_rate: int, window: float = 0.2) -> Transfer:
    """Magnitude of the response by the estimate H₁ = S_xy / S_xx, from spectra averaged by Welch's method.

    For a compressor it contains its mean gain. Where the coherence is low, the magnitude means little.

    Args:
        sample_rate: Hz.
        window: length of the Hann windows, s; frequencies are 1 / window apart. A delay between input and output has to
            be much shorter.

    Raises:
        ValueError: as `gain_reduction_trace`.

    Source: J. S. Bendat and A. G. Piersol, "Random Data", 4th ed. (2010), chapter 6. SciPy computes the spectra.
    """
    size = round(window * sample_rate)
    x, y = _pair(input, output, size)
    frequencies, own = welch(x, sample_rate, nperseg=size)
    cross = csd(x, y, sample_rate, nperseg=size)[1]
    heard = own > np.finfo(np.float64).eps ** 2 * own.max(initial=0.0)
    share = np.full(len(own), np.nan)
    magnitude = share.copy()
    magnitude[heard] = decibels(np.abs(cross[heard] / own[heard]))
    response = welch(y, sample_rate, nperseg=size)[1]
    explained = heard & (response > 0)
    share[explained] = np.abs(cross[explained]) ** 2 / (own[explained] * response[explained])
    return Transfer(frequencies, magnitude, share)


def levels(
    input: ArrayLike, output: ArrayLike, sample_rate: int, window: float, hop: float
) -> tuple[Array, Array, Array]:
    """Middle of each window in s, and the levels of input and output in dBFS; arguments as `gain_reduction_trace`."""
    step = max(round(hop * sample_rate), 1)
    overlap = max(round(window / hop), 1)
    size = overlap * step + 1  # whole hops: window m starts at sample m · step
    weights = hann(size + 2)[1:-1]
    pair = [
        decibels(np.sqrt(np.maximum(2 * upfirdn(weights / weights.sum(), signal**2, down=step), 0)))
        for signal in _pair(input, output, size)
    ]
    first, count = overlap, (np.size(input) - size) // step + 1  # the windows that lie in the signal
    before, after = (level[first : first + count] for level in pair)
    return (np.arange(count) * step + (size - 1) / 2) / sample_rate, before, after


def _pair(input: ArrayLike, output: ArrayLike, least: int) -> tuple[Array, Array]:
    x, y = (np.asarray(signal, dtype=np.float64) for signal in (input, output))
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"input and output must be mono and of one length, got shapes {x.shape} and {y.shape}")
    if len(x) < least:
        raise ValueError(f"{len(x)} samples are shorter than a window of {least}")
    for name, signal in (("input", x), ("output", y)):
        bad = np.flatnonzero(~np.isfinite(signal))
        if bad.size:
            raise ValueError(f"the {name} has {bad.size} samples that are not finite, the first at {bad[0]}")
    return x, y
