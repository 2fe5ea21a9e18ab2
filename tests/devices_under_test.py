"""Devices whose measurements are known on paper."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import hilbert

from scripts.measure.devices import Device

Array = NDArray[np.float64]


def level_db(x: Array) -> Array:
    """Level of a tone at each sample, from its analytic signal; zeros keep its end from its start."""
    return 20 * np.log10(np.abs(hilbert(x, 2 * len(x))[: len(x)]) + 1e-9)


def reduction_db(level: Array, threshold_db: float, ratio: float) -> Array:
    """Gain reduction of a compressor with a hard knee."""
    return np.maximum(level - threshold_db, 0) * (1 - 1 / ratio)


def static_compressor(threshold_db: float, ratio: float) -> Device:
    """A compressor whose gain follows the level at once."""
    return lambda x: x * 10 ** (-reduction_db(level_db(x), threshold_db, ratio) / 20)


def slow_compressor(
    sample_rate: int, threshold_db: float, ratio: float, attack: float, release: float, lookahead: float = 0.0
) -> Device:
    """A compressor whose gain reduction in dB follows with time constants; all times in seconds."""
    up, down = (1 - math.exp(-1 / (time * sample_rate)) for time in (attack, release))

    def device(x: Array) -> Array:
        state, reduction = 0.0, []
        for aim in reduction_db(level_db(x), threshold_db, ratio).tolist():
            state += (up if aim > state else down) * (aim - state)
            reduction.append(state)
        early = round(lookahead * sample_rate)
        gain = 10 ** (-np.array(reduction) / 20)
        return x * np.concatenate([gain[early:], np.full(early, gain[-1])])

    return device


def delay(samples: int) -> Device:
    return lambda x: np.concatenate([np.zeros(samples), x[: len(x) - samples]])


def identity(x: Array) -> Array:
    return x


def silent(x: Array) -> Array:
    return np.zeros_like(x)
