"""How smoothly a device follows its knob: a steady tone while the peak reduction goes up and down again.

    knob   20 for 0.4 s, up to 100 within 1 s, there for 0.4 s, down to 20 within 1 s, there for 0.1 s

A host sets a control once a block; here it is set every 64 samples, for all devices. The LA-2A's photocell glides over
such steps. A network may let them through as noise (zipper noise), may jump between what it has learned at two
settings, or may let the gain go the wrong way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal.windows import blackmanharris

from data.la2a import control_hop
from scripts.measure.devices import Array, Moved, run, turning
from scripts.measure.steady import FREQUENCY, level_steps
from scripts.measure.tone_step import gain_of_tone

KNOB = (20.0, 100.0)  # peak reduction at both ends
LEVEL_DB = -10.0  # dBFS, of the tone
BLOCK = 64  # samples
HOLD = 0.4  # s, at each end: more than a network remembers
TAIL = 0.1  # s, after the knob is back
NOTCH = 50.0  # Hz, on each side of the tone, its harmonics, and 0 Hz: what a smooth gain does to them stays within
SETTLED = 0.005  # s, after the start of the signal, where the gain of the tone means nothing


@dataclass(frozen=True)
class KnobSweep:
    """What a device does while its knob moves."""

    times: Array  # s
    knob: Array  # peak reduction at each time
    gain_db: Array  # at each time, of the fundamental
    zipper_db: float  # energy outside the tone, its modulation and its harmonics, relative to that of the tone
    step_db: float  # largest jump of the gain from one millisecond to the next
    backwards_db: float  # how far the gain rises while peak reduction rises, or falls while it falls, at most

    def __str__(self) -> str:
        said = (
            f"zipper noise {self.zipper_db:.0f} dB; steps to {self.step_db:.3f} dB in a millisecond; "
            f"gain the wrong way by {self.backwards_db:.3f} dB"
        )
        return said.replace("-", "−")


def sweep_of(
    device: Moved,
    sample_rate: int,
    knob: tuple[float, float] = KNOB,
    level_db: float = LEVEL_DB,
    frequency: float = FREQUENCY,
    seconds: float = 1.0,
    block: int = BLOCK,
) -> KnobSweep:
    """Measures a device whose knob goes from the first of two positions to the other and back.

    The tone has a period of whole control steps of the LA-2A model (48 samples, 919 Hz, for 1000 at 44.1 kHz), thus all
    harmonics, what is aliased of them, and the ripple of the model's gain fall on multiples of it. Zipper noise is what
    lies more than 50 Hz from all of these:

        zipper = 10·log10(Σ |Y(f)|² outside / Σ |Y(f)|² around the tone)

    with Y the spectrum of the output, in a Blackman-Harris window (sidelobes −92 dB) while the knob rises, plus that
    while it falls. A gain that follows the steps at once, of J dB each, has the noise of a staircase:
    20·log10(J · ln(10)/20 / √12) dB, thus −62 dB for 16 dB within 1 s. A single jump of 1 dB is a step of 0.5 to
    0.8 dB, as the gain is a mean over two periods.

    Args:
        sample_rate: Hz.
        knob: peak reduction, the lower position first.
        level_db: of the tone, dBFS.
        frequency: Hz, about.
        seconds: that the knob takes from one end to the other.
        block: samples for which it stays the same.

    Raises:
        ValueError: for positions that do not rise; see also `devices.run`.
    """
    low, high = knob
    if not 0 <= low < high <= 100:
        raise ValueError(f"the knob goes from a lower to a higher peak reduction, 0 … 100, got {low} and {high}")
    corners = np.cumsum([0.0, HOLD, seconds, HOLD, seconds, TAIL])
    samples = round(corners[-1] * sample_rate)
    positions = turning(corners * sample_rate, [low, low, high, high, low, low], samples, block)
    hop = control_hop(sample_rate)
    period = hop * max(1, round(sample_rate / frequency / hop))
    x = level_steps([level_db], [samples], sample_rate) * np.sin(2 * np.pi / period * np.arange(samples))
    y = run(lambda tone: device(tone, positions), x)
    times, gain_db = gain_of_tone(x, y, period, sample_rate)
    up, down = ((times >= corners[n]) & (times <= corners[n + 1]) for n in (1, 3))
    inside = (times >= SETTLED) & (times <= times[-1] - SETTLED)
    phases = [y[round(corners[n] * sample_rate) :][: round(seconds * sample_rate)] for n in (1, 3)]
    return KnobSweep(
        times[inside],
        positions[np.round(times * sample_rate).astype(int)][inside],
        gain_db[inside],
        _zipper_db(phases, sample_rate / period, sample_rate),
        float(np.abs(np.diff(gain_db[inside])).max()),
        max(_rise(gain_db[up]), _rise(-gain_db[down])),
    )


def _zipper_db(phases: Sequence[Array], tone: float, sample_rate: int) -> float:
    """Energy outside the notches over that in the notch around the tone, of several signals together."""
    outside = around = 0.0
    for y in phases:
        energy = np.abs(np.fft.rfft(y * blackmanharris(len(y), sym=False))) ** 2
        multiples = np.arange(len(energy)) * sample_rate / len(y) / tone
        notched = np.abs(multiples - np.round(multiples)) <= NOTCH / tone
        outside += float(energy[~notched].sum())
        around += float(energy[notched & (np.round(multiples) == 1)].sum())
    return float(10 * np.log10(max(outside, 1e-30) / max(around, 1e-30)))


def _rise(values: Array) -> float:
    """How far a value lies above any before it, at most.

    >>> _rise(np.array([3.0, 1.0, 2.0, 0.0, 1.5]))
    1.5
    """
    return float((values - np.minimum.accumulate(values)).max())
