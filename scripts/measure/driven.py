"""What an audio engineer measures of a compressor, of any device that can be run.

All devices get the same test signals, each from rest:

- a sine whose level rises in steps: static curve and harmonic distortion (`steady`);
- many sines at once at a low level: frequency response (`steady`);
- a tone that steps up and down again: gain over time, attack and release (`tone_step`).

A network sees a fraction of a second before and after each sample, an optical compressor remembers seconds. Therefore a
steady state is taken 0.3 s after a step, for 0.1 s, and 0.2 s before the next one (`steady.Timing`). What needs
longer than that, such as the memory of a photocell, is not in these numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from scripts.measure.devices import Array, Device
from scripts.measure.steady import LEVELS_DB, TIMING, Timing, decibels, distortion, frequency_response, harmonics
from scripts.measure.tone_step import STEP_DB, tone_step


@dataclass(frozen=True)
class Setting:
    """The numbers of a device at one setting; the axes are in `Measurement`."""

    switch: int
    peak_reduction: float
    output_db: Array  # for each input level
    thd_percent: Array  # for each input level
    harmonics_dbc: Array  # (input levels, 9)
    gain_db: Array  # for each time
    attack_ms: float
    release_ms: float
    response_db: Array  # for each frequency


@dataclass(frozen=True)
class Measurement:
    """The numbers of a device at several settings."""

    sample_rate: int  # Hz
    input_db: Array  # dBFS, of the stepped sine
    times: Array  # s, of the gain; the tone steps up at 0
    step_down: float  # s
    step_db: tuple[float, float]  # dBFS, low and high level of the tone step
    frequencies: Array  # Hz, of the response
    settings: list[Setting]


def measure(
    device_at: Callable[[int, float], Device],
    settings: Iterable[tuple[int, float]],
    sample_rate: int,
    levels_db: Sequence[float] = LEVELS_DB,
    timing: Timing = TIMING,
) -> Measurement:
    """All numbers of a device at several settings; the device processes 12 s of audio for each.

    Args:
        device_at: gives the device for a switch (0 or 1) and a peak reduction (0 … 100).
        settings: switch and peak reduction of each.
        sample_rate: Hz.
        levels_db: of the stepped sine, dBFS.

    Raises:
        ValueError: without settings; see also `run`.
    """
    measured = []
    for switch, peak_reduction in settings:
        device = device_at(switch, peak_reduction)
        amplitudes = harmonics(device, sample_rate, levels_db, timing=timing)
        step = tone_step(device, sample_rate, timing=timing)
        frequencies, response_db = frequency_response(device, sample_rate, timing=timing)
        thd_percent, harmonics_dbc = distortion(amplitudes)
        measured.append(
            Setting(
                switch,
                peak_reduction,
                decibels(amplitudes[:, 0]),
                thd_percent,
                harmonics_dbc,
                step.gain_db,
                step.attack_ms,
                step.release_ms,
                response_db,
            )
        )
    if not measured:
        raise ValueError("name at least one setting to measure the device at, such as (0, 75)")
    levels = np.asarray(levels_db, dtype=np.float64)
    return Measurement(sample_rate, levels, step.times, step.down, STEP_DB, frequencies, measured)
