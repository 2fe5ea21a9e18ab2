"""Whether more peak reduction ever gives less of it: steady tones while the knob goes up step by step.

    knob   0, 5, 10, … 100, 0.15 s at each (0.75 s at 0)

Each tone begins at rest, at its own level and position of the switch. The gain at a position is that of the last 50 ms
there. The knob only goes up, so that the memory of a photocell cannot look like a gain that turns back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from data import signaltrain
from scripts.measure.devices import Array, Moved, run
from scripts.measure.steady import FREQUENCY, decibels, level_steps

POSITIONS = tuple(range(0, 101, 5))  # of peak reduction
LEVELS_DB = (-30.0, -15.0, 0.0)  # dBFS, of the tones
STAY = 0.15  # s, at a position
START = 0.6  # s, before the first one counts: more than a network remembers
WINDOW = 0.05  # s


class Rise(NamedTuple):
    """The most by which a gain rises while peak reduction goes up."""

    gain_db: float  # 0 if it never does
    switch: int
    start: float  # peak reduction where the gain is lower …
    stop: float  # … than here, further up
    level_db: float  # dBFS, of the tone

    def __str__(self) -> str:
        where = f" ({self.where})" if self.gain_db else ""
        return f"gain up by {self.gain_db:.3f} dB at most while peak reduction goes up{where}"

    @property
    def where(self) -> str:
        """
        >>> Rise(0.25, 1, 20, 40, -15).where
        'Limit 20 → 40, −15 dBFS'
        """
        level = f"{self.level_db:g}".replace("-", "−")
        return f"{signaltrain.MODES[str(self.switch)]} {self.start:g} → {self.stop:g}, {level} dBFS"


def worst_rise(device_of: Callable[[int], Moved], sample_rate: int) -> Rise:
    """The largest rise of a device's gain over both positions of the switch and all levels.

    Args:
        device_of: gives the device for a switch (0 or 1).
        sample_rate: Hz.

    Raises:
        ValueError: see `devices.run`.
    """
    found = []
    for switch in (0, 1):
        device = device_of(switch)
        for level_db in LEVELS_DB:
            gain_db = gains_db(device, level_db, sample_rate)
            least = np.minimum.accumulate(gain_db)
            stop = int((gain_db - least).argmax())
            start = int(gain_db[: stop + 1].argmin())
            rise = float(gain_db[stop] - gain_db[start])
            found.append(Rise(rise, switch, POSITIONS[start], POSITIONS[stop], level_db))
    return max(found, key=lambda rise: rise.gain_db)


def gains_db(device: Moved, level_db: float, sample_rate: int) -> Array:
    """Gain of a device for a tone of about 1 kHz at each of `POSITIONS`, of its fundamental.

    Args:
        level_db: of the tone, dBFS.
        sample_rate: Hz.
    """
    stay, period = round(STAY * sample_rate), round(sample_rate / FREQUENCY)
    lengths = [stay] * len(POSITIONS)
    lengths[0] += round(START * sample_rate)
    knob = np.repeat(np.asarray(POSITIONS, dtype=np.float64), lengths)
    x = level_steps([level_db], [len(knob)], sample_rate) * np.sin(2 * np.pi / period * np.arange(len(knob)))
    y = run(lambda tone: device(tone, knob), x)
    window = round(WINDOW * sample_rate / period) * period
    wave = np.exp(-2j * np.pi / period * np.arange(window))
    ends = np.cumsum(lengths)
    before, after = (np.abs([z[end - window : end] @ wave for end in ends]) for z in (x, y))
    return decibels(after / before)
