"""Steady-state measurements of a device: static curve, harmonic distortion, frequency response.

Levels are in dBFS, see `data.levels`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import fftconvolve
from scipy.signal.windows import hann

from scripts.measure.devices import Array, Device, run

LEVELS_DB = tuple(range(-60, 1, 5))
HARMONICS = 10  # the fundamental and the harmonics 2 … 10
FREQUENCY = 1000.0  # Hz
FLOOR_DB = -200.0  # the level of silence
EDGE = 1e-3  # s; a step of the level is smoothed by a Hann window of this length, so that it does not click
RESPONSE_DB = -50.0  # below the threshold of the LA-2A at every setting


@dataclass(frozen=True)
class Timing:
    """When a device counts as settled; all in seconds.

    Args:
        settle: from a step to the start of a measurement.
        window: length of a measurement.
        guard: from the end of a measurement to the next step, more than the look-ahead of the device.
    """

    settle: float = 0.3
    window: float = 0.1
    guard: float = 0.2

    @property
    def step(self) -> float:
        return self.settle + self.window + self.guard


TIMING = Timing()


def decibels(amplitude: ArrayLike) -> Array:
    """20·log10 of amplitudes, at least `FLOOR_DB`.

    >>> decibels([1.0, 0.1, 0.0]).tolist()
    [0.0, -20.0, -200.0]
    """
    return 20 * np.log10(np.maximum(amplitude, 10 ** (FLOOR_DB / 20)))


def harmonics(
    device: Device,
    sample_rate: int,
    levels_db: Sequence[float] = LEVELS_DB,
    frequency: float = FREQUENCY,
    timing: Timing = TIMING,
) -> Array:
    """Amplitudes of the fundamental and of the harmonics 2 … 10 of a steady sine, for each of its levels.

    One sine that goes through the levels in their order, from low to high as a rule. At each, whole periods are
    analysed, an odd number without a factor in common with the samples: no leakage, and what is aliased meets no
    harmonic. The frequency is the nearest one that makes this so (1010 Hz for 1000 at 44.1 kHz).

    Args:
        sample_rate: Hz.
        levels_db: of the sine, dBFS.
        frequency: Hz.

    Shape:
        result ``(levels, 10)``; NaN for harmonics above half the sample rate.

    Raises:
        ValueError: for a frequency that does not fit the window or the sample rate; see also `run`.
    """
    samples = round(timing.window * sample_rate)
    cycles = _cycles(frequency, samples, sample_rate)
    step, first = round(timing.step * sample_rate), round(timing.settle * sample_rate)
    y = run(device, _stepped_sine(tuple(levels_db), step, cycles, samples, sample_rate))
    windows = y.reshape(len(levels_db), step)[:, first : first + samples]
    bins = cycles * np.arange(1, HARMONICS + 1)
    present = 2 * bins < samples
    amplitudes = np.full((len(levels_db), HARMONICS), np.nan)
    amplitudes[:, present] = 2 / samples * np.abs(np.fft.rfft(windows))[:, bins[present]]
    return amplitudes


def static_curve(
    device: Device,
    sample_rate: int,
    levels_db: Sequence[float] = LEVELS_DB,
    frequency: float = FREQUENCY,
    timing: Timing = TIMING,
) -> Array:
    """Level of the output in dBFS for each level of a steady sine: its fundamental, without noise and harmonics.

    Arguments and errors as for `harmonics`.
    """
    return decibels(harmonics(device, sample_rate, levels_db, frequency, timing)[:, 0])


def distortion(amplitudes: Array) -> tuple[Array, Array]:
    """Total harmonic distortion, in %, and the harmonics 2 … 10 in dB relative to the fundamental (dBc).

        THD = 100 · sqrt(Σ aₖ²) / a₁ with k = 2 … 10

    Noise of the device counts too, as far as it falls on the harmonics: it is what faint tones show.

    Args:
        amplitudes: from `harmonics`.

    Shape:
        amplitudes ``(levels, 10)`` → ``(levels,)`` and ``(levels, 9)``; NaN where there is no fundamental.

    >>> thd, relative = distortion(np.array([[1.0, 0.03, 0.04, *[0.0] * 7]]))
    >>> thd.round(6).tolist(), relative[0, :2].round(2).tolist()
    ([5.0], [-30.46, -27.96])
    """
    fundamental = np.where(decibels(amplitudes[:, 0]) > FLOOR_DB, amplitudes[:, 0], np.nan)
    relative = amplitudes[:, 1:] / fundamental[:, None]
    return 100 * np.sqrt(np.nansum(relative**2, axis=1)) + 0 * fundamental, decibels(relative)


def frequency_response(
    device: Device, sample_rate: int, level_db: float = RESPONSE_DB, seed: int = 0, timing: Timing = TIMING
) -> tuple[Array, Array]:
    """Magnitude of the response in dB, from 20 Hz to 20 kHz or 0.46 of the sample rate, at 20 frequencies a decade.

    All frequencies sound at once, as sines of equal level and random phase with a common period of 1 s, so that any
    linear device is measured exactly once it has settled. Frequencies are odd numbers of Hz: even harmonics and the
    sums and differences of two sines fall between them.

    Args:
        sample_rate: Hz.
        level_db: of all sines together (√2 times their RMS), dBFS; below the threshold of a compressor.
        seed: of the phases.

    Returns:
        Frequencies in Hz and magnitudes in dB.
    """
    bins, spectrum, x = _multitone(sample_rate, level_db, seed, timing)
    first = round(timing.settle * sample_rate)
    y = run(device, x)[first : first + sample_rate]
    return bins.astype(np.float64), decibels(np.abs(np.fft.rfft(y)[bins] / spectrum[bins]))


@lru_cache(maxsize=4)
def _stepped_sine(levels_db: tuple[float, ...], step: int, cycles: int, samples: int, sample_rate: int) -> Array:
    """A sine of so many cycles in so many samples that stays at each level for `step`; the same for every device."""
    envelope = level_steps(levels_db, [step] * len(levels_db), sample_rate)
    return fixed(envelope * np.sin(2 * np.pi * cycles / samples * np.arange(len(envelope))))


@lru_cache(maxsize=4)
def _multitone(sample_rate: int, level_db: float, seed: int, timing: Timing) -> tuple[Array, Array, Array]:
    """The sines of `frequency_response`: their frequencies in Hz, spectrum, and signal."""
    decades = math.log10(min(20_000.0, 0.46 * sample_rate) / 20)
    centres = 20 * 10 ** (np.arange(math.floor(20 * decades + 1e-9) + 1) / 20)
    bins = np.unique(2 * np.round((centres - 1) / 2).astype(int) + 1)
    phases = np.exp(2j * np.pi * np.random.default_rng(seed).random(len(bins)))
    spectrum = np.zeros(sample_rate // 2 + 1, dtype=complex)
    spectrum[bins] = phases * 10 ** (level_db / 20) / math.sqrt(len(bins)) * sample_rate / 2
    first, after = round(timing.settle * sample_rate), round(timing.guard * sample_rate)
    return fixed(bins), fixed(spectrum), fixed(np.pad(np.fft.irfft(spectrum, sample_rate), (first, after), mode="wrap"))


def fixed(array: Array) -> Array:
    """The array, not to be written to any more."""
    array.flags.writeable = False
    return array


@lru_cache(maxsize=16)
def _cycles(frequency: float, samples: int, sample_rate: int) -> int:
    """The number of periods in `samples`, next to that of `frequency`, that has no factor in common with it."""
    wanted = frequency * samples / sample_rate
    if not 1 <= wanted < samples / 2:
        raise ValueError(f"a tone of {frequency} Hz does not fit {samples} samples at {sample_rate} Hz")
    candidates = sorted(range(1, (samples + 1) // 2), key=lambda cycles: abs(cycles - wanted))
    return next(cycles for cycles in candidates if math.gcd(cycles, samples) == 1)


def level_steps(levels_db: Sequence[float], lengths: Sequence[int], sample_rate: int) -> Array:
    """Amplitudes that stay at each level for a number of samples, with smooth edges whose middle is the step."""
    flat = np.repeat(10 ** (np.asarray(levels_db, dtype=np.float64) / 20), lengths)
    half = round(EDGE * sample_rate / 2)
    window = hann(2 * half + 3)[1:-1]
    return fftconvolve(np.pad(flat, half, mode="edge"), window / window.sum(), "valid")
