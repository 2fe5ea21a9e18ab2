"""What a metric has to have, and a metric for the sample rate of the recordings, so that a configuration names none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from auraloss.base import Loss


@runtime_checkable
class Metric(Protocol):
    """A loss, as every `auraloss.base.Loss` is one; it may have a ``score_sign`` and a ``unit`` as well."""

    @property
    def pool(self) -> str:
        """What a row stands for: ``"item"`` or ``"batch"``."""

    def statistics(self, input: Tensor, target: Tensor, /) -> Tensor:
        """Sums over the samples of each item and channel, ``[*, T]`` → ``[*, size]``."""

    def value(self, statistics: Tensor, /) -> Tensor:
        """The loss from its sums, ``[*, size]`` → ``[*]``."""


@runtime_checkable
class RandomMetric(Protocol):
    """One that draws something at random."""

    def draw(self, source: int, samples: int, device: torch.device, /) -> Metric:
        """The same with all drawn by a seed, for signals of so many samples or more."""


@runtime_checkable
class MetricOfRate(Protocol):
    """What gives a metric for each sample rate."""

    @property
    def pool(self) -> str:
        """Of all of them."""

    def at(self, sample_rate: float, /) -> Metric:
        """The metric for signals of this rate in Hz."""


class AtRate(nn.Module):
    """A metric made anew for the sample rate of the recordings.

    Args:
        make: returns the metric for a `sample_rate` in Hz; in a configuration with ``_partial_: true``.
    """

    def __init__(self, make: Callable[..., Loss]) -> None:
        super().__init__()
        self.make = make
        made = make(sample_rate=44_100)  # bad options fail here
        self.made = nn.ModuleDict({"44100": made})
        self.pool, self.score_sign, self.unit = made.pool, made.score_sign, made.unit

    def at(self, sample_rate: float) -> Loss:
        """The metric for signals of this rate in Hz."""
        if str(sample_rate) not in self.made:
            buffer = next(self.buffers(), torch.empty(0))
            self.made[str(sample_rate)] = self.make(sample_rate=sample_rate).to(buffer.device)
        return cast(Loss, self.made[str(sample_rate)])
