"""Attack and release of a device: its gain while a tone steps up and down again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal.windows import hann

from scripts.measure.devices import Array, Device, run
from scripts.measure.steady import FREQUENCY, TIMING, Timing, decibels, fixed, level_steps

STEP_DB = (-40.0, -5.0)  # low and high level
ATTACK_DB = 1.0  # an attack is over within this of the settled gain
LEAST_CHANGE_DB = 2.0  # where the gain falls less, attack and release are not defined


@dataclass(frozen=True)
class ToneStep:
    """Gain of a device over time, while a tone steps up at 0 s and down again at `down` seconds.

    Attack is the time until the gain stays within 1 dB of the one it settles to. Release is t50: the time from the step
    down until the gain, in dB, is half of the way back. Both are NaN if it falls less than 2 dB, and release if it is
    not back in the time measured. A device that looks ahead may have negative ones.
    """

    times: Array  # s
    gain_db: Array
    down: float  # s
    attack_ms: float
    release_ms: float


def tone_step(
    device: Device,
    sample_rate: int,
    low_db: float = STEP_DB[0],
    high_db: float = STEP_DB[1],
    frequency: float = FREQUENCY,
    high_seconds: float = 1.0,
    release_seconds: float = 1.0,
    timing: Timing = TIMING,
) -> ToneStep:
    """Gain in dB over time: level of the fundamental in the output over that in the input.

    The level is a Hann-weighted mean of two periods of the tone, which contains nothing of its harmonics; that resolves
    one period, 1 ms at 1 kHz. Times are the middle of the mean, every millisecond. The tone's period is a whole number
    of samples (1002 Hz for 1000 at 44.1 kHz).

    Args:
        sample_rate: Hz.
        low_db, high_db: levels of the tone, dBFS.
        frequency: Hz.
        high_seconds, release_seconds: how long the high level and the low one after it last.

    Raises:
        ValueError: if the levels do not rise, or the high one is too short to settle; see also `run`.
    """
    if not low_db < high_db:
        raise ValueError(f"the high level must be above the low one: {high_db} dBFS is not above {low_db}")
    if high_seconds < timing.step:
        raise ValueError(f"the high level lasts {high_seconds} s; it takes {timing.step:g} s to settle and be measured")
    seconds = (timing.step, high_seconds, release_seconds + timing.guard)
    period = round(sample_rate / frequency)
    x = _stepped_tone((low_db, high_db, low_db), tuple(round(s * sample_rate) for s in seconds), period, sample_rate)
    times, gain_db = gain_of_tone(x, run(device, x), period, sample_rate)
    times -= round(timing.step * sample_rate) / sample_rate
    shown = (times >= -timing.guard) & (times <= high_seconds + release_seconds)
    low, high = (_settled(times, gain_db, end - timing.guard, timing.window) for end in (0.0, high_seconds))
    times, gain_db = times[shown], gain_db[shown]
    attack, release = math.nan, math.nan
    if low - high >= LEAST_CHANGE_DB:
        settling = times <= high_seconds - timing.guard
        attack = _last_outside(times[settling], np.abs(gain_db[settling] - high) - ATTACK_DB)
        letting_go = ~settling
        release = _first_above(times[letting_go], gain_db[letting_go] - (low + high) / 2) - high_seconds
    return ToneStep(times, gain_db, high_seconds, 1000 * attack, 1000 * release)


def gain_of_tone(x: Array, y: Array, period: int, sample_rate: int) -> tuple[Array, Array]:
    """Gain in dB at every millisecond: level of the fundamental in `y` over that in `x`, each a Hann-weighted mean over
    two periods of the tone (2 ms at 1 kHz).

    Args:
        period: of the tone, samples.
        sample_rate: Hz.

    Shape:
        x and y ``(samples,)`` → times in s and the gain.
    """
    hop = round(sample_rate / 1000)
    heard = hann(2 * period + 1) / period * np.exp(-2j * np.pi / period * np.arange(2 * period + 1))  # Hann sums to 1
    before, after = (2 * np.abs(sliding_window_view(np.pad(z, period), len(heard))[::hop] @ heard) for z in (x, y))
    return np.arange(len(before)) * hop / sample_rate, decibels(after / before)


@lru_cache(maxsize=4)
def _stepped_tone(levels_db: tuple[float, ...], lengths: tuple[int, ...], period: int, sample_rate: int) -> Array:
    """A tone that stays at each level for so many samples; the same for every device."""
    envelope = level_steps(levels_db, lengths, sample_rate)
    return fixed(envelope * np.sin(2 * np.pi / period * np.arange(len(envelope))))


def _settled(times: Array, gain_db: Array, end: float, window: float) -> float:
    return float(np.median(gain_db[(times >= end - window) & (times <= end)]))


def _last_outside(times: Array, distance: Array) -> float:
    """When `distance` was positive for the last time; NaN if it never was, or still is at the end."""
    outside = np.flatnonzero(distance > 0)
    return _crossing(times, distance, int(outside[-1])) if outside.size and distance[-1] <= 0 else math.nan


def _first_above(times: Array, distance: Array) -> float:
    """When `distance` becomes positive for the first time; NaN if it never does, or is so from the start."""
    above = np.flatnonzero(distance > 0)
    return _crossing(times, distance, int(above[0]) - 1) if above.size and above[0] else math.nan


def _crossing(times: Array, values: Array, before: int) -> float:
    """Where the straight line from the sample `before` to the next one crosses zero."""
    a, b = values[before], values[before + 1]
    return float(times[before] + (times[before + 1] - times[before]) * a / (a - b))
