"""Levels in dBFS, as AES17 has them: 0 dBFS is a sine of amplitude 1. The whole framework means that by dBFS."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def dbfs(rms: float) -> float:
    """The level of a signal of this RMS.

    >>> round(dbfs(math.sqrt(0.5)), 9), dbfs(0.0)
    (0.0, -inf)
    """
    return 10 * math.log10(2 * rms**2) if rms else -math.inf


class Levels:
    """Peak and RMS level over all channels of a signal that comes in blocks, both 0 dBFS for a sine of amplitude 1."""

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
        return 20 * math.log10(self._peak) if self._peak else -math.inf

    @property
    def rms_db(self) -> float:
        return dbfs(math.sqrt(self._energy / max(1, self._samples)))

    def __str__(self) -> str:
        return f"peak {self.peak_db:6.1f} dBFS   RMS {self.rms_db:6.1f} dBFS"
