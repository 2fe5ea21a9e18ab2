"""Levels of a signal that comes in blocks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


class Levels:
    """Peak and RMS level over all channels, in dB of full scale: 0 dBFS is ±1, and the RMS of a square wave of ±1."""

    def __init__(self) -> None:
        self._peak = 0.0
        self._energy = 0.0
        self._samples = 0

    def add(self, block: NDArray[np.floating]) -> None:
        """Takes the next block, of any shape."""
        self._peak = max(self._peak, float(np.abs(block).max(initial=0)))
        self._energy += float(np.square(block, dtype=np.float64).sum())
        self._samples += block.size

    @property
    def peak_db(self) -> float:
        return _decibels(self._peak)

    @property
    def rms_db(self) -> float:
        return _decibels(math.sqrt(self._energy / max(1, self._samples)))

    def __str__(self) -> str:
        return f"peak {self.peak_db:6.1f} dBFS   RMS {self.rms_db:6.1f} dBFS"


def _decibels(amplitude: float) -> float:
    return 20 * math.log10(amplitude) if amplitude > 0 else -math.inf
