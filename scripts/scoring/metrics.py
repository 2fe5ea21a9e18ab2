"""A metric that depends on the sample rate, made for that of the recordings, so that a configuration names none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class AtRate(nn.Module):
    """A metric made anew for the sample rate of the recordings.

    Args:
        make: returns the metric for a `sample_rate` in Hz; in a configuration with ``_partial_: true``.
    """

    def __init__(self, make: Callable[..., Any]) -> None:
        super().__init__()
        self.make = make
        self.made = nn.ModuleDict({"44100": make(sample_rate=44_100)})  # bad options fail here
        self.pool = self.made["44100"].pool
        self.score_sign = self.made["44100"].score_sign
        self.unit = self.made["44100"].unit

    def at(self, sample_rate: float) -> Any:
        """The metric for signals of this rate in Hz."""
        if str(sample_rate) not in self.made:
            buffer = next(self.buffers(), torch.empty(0))
            self.made[str(sample_rate)] = self.make(sample_rate=sample_rate).to(buffer.device)
        return self.made[str(sample_rate)]
