"""Metrics that are no losses: the error of the loudness, and that of a compressor's gain reduction.

They have what `scripts.scoring.rows` needs of a metric: ``statistics``, sums for each item and channel that add up over
items; ``value``, the metric from its sums; ``pool``, what a row stands for; ``unit``. What depends on the sample rate
also has ``at(sample_rate)``, which scoring calls with the rate of the recordings, so that a configuration names none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyloudnorm
import torch
from torch import Tensor, nn

GATE_LUFS = -70.0
"""Quieter blocks do not count in BS.1770, so that nothing that it measures is quieter."""
BLOCK = 0.4  # seconds, over which BS.1770 takes the loudness that it gates
MAX_CHANNELS = 5  # for which BS.1770 has a weight


class LoudnessError(nn.Module):
    """Difference of integrated loudness, `|max(L(x), −70 LUFS) − max(L(y), −70 LUFS)|`, in LU.

    The loudness is that of an item, of all its channels together; each channel has the same value.

    Args:
        sample_rate: in Hz; `None` if `at` gives it.
        pool: ``"item"``, or ``"batch"`` for the mean over all items of a row.

    Shape:
        output, target ``(batch, channels, T)``, at least 0.4 s and at most 5 channels → statistics
        ``(batch, channels, 2)``, error and 1.

    Raises:
        ValueError: for other shapes, shorter signals, or without a sample rate.

    Source: ITU-R BS.1770-4, as in pyloudnorm (Steinmetz & Reiss, 2021).
    """

    size = 2
    score_sign = 1
    unit = "LU"

    def __init__(self, sample_rate: float | None = None, pool: str = "item") -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.pool = _checked_pool(pool)

    def at(self, sample_rate: float) -> LoudnessError:
        """The same metric for signals of this rate in Hz."""
        return LoudnessError(sample_rate, self.pool)

    def statistics(self, output: Tensor, target: Tensor) -> Tensor:
        rate = _check(self, output, target)
        if output.ndim != 3 or output.shape[1] > MAX_CHANNELS:
            raise ValueError(
                f"LoudnessError: needs (batch, 1 to {MAX_CHANNELS} channels, samples), got {tuple(output.shape)}."
            )
        if output.shape[-1] < BLOCK * rate:
            raise ValueError(
                f"LoudnessError: loudness is measured over {BLOCK} s, {BLOCK * rate:.0f} samples or more at {rate} Hz, "
                f"got {output.shape[-1]}."
            )
        meter = pyloudnorm.Meter(rate)
        error = _loudness(meter, output) - _loudness(meter, _one_target(target))
        return torch.stack([error.abs(), torch.ones_like(error)], -1)[:, None].expand(-1, output.shape[1], -1)

    def value(self, statistics: Tensor) -> Tensor:
        error, count = statistics.unbind(-1)
        return error / count

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean over the items."""
        return self.value(self.statistics(output, target)).mean()


def _loudness(meter: Any, signals: Tensor) -> Tensor:
    """Integrated loudness in LUFS of signals ``(batch, channels, T)`` → ``(batch)``, float64."""
    found = []
    for signal in signals.detach().to("cpu", torch.float64):
        if not signal.isfinite().all():  # whose blocks would all be gated
            found.append(torch.nan)
            continue
        found.append(max(float(meter.integrated_loudness(signal.T.numpy())), GATE_LUFS))
    return torch.tensor(found, dtype=torch.float64)


class GainReductionError(nn.Module):
    """Mean absolute difference of the gain curves of output and target, in dB: the compressor's own figure.

    The gain of a device is `g(t) = L(device's output, t) − L(input, t)`, with `L` the RMS level in dB of a frame around
    `t`. Output and target have the input in common, which cancels:

    `mean |g_x(t) − g_y(t)| = mean |max(L(x, t), floor) − L(y, t)|` over the frames with `L(y, t) ≥ floor`.

    Frames of 20 ms follow each other by 10 ms; what remains of the signal at its end is left out. In quieter frames
    than the floor the gain is not heard, and that of a device with noise not even defined; without any other frame the
    value is 0, and has no weight where items are pooled.

    Args:
        sample_rate: in Hz; `None` if `at` gives it.
        floor_db: dB re a mean square of 1.
        pool: ``"item"``, or ``"batch"`` for the mean over all frames of a row.

    Shape:
        output, target ``(*, T)``, at least 20 ms → statistics ``(*, 2)``, sum over frames and their number.

    Raises:
        ValueError: for unequal shapes, shorter signals, or without a sample rate.
    """

    size = 2
    score_sign = 1
    unit = "dB"
    hop = 0.01
    """Seconds; a frame has two of them."""

    def __init__(self, sample_rate: float | None = None, floor_db: float = -60.0, pool: str = "item") -> None:
        super().__init__()
        self.sample_rate = sample_rate
        self.floor_db = floor_db
        self.pool = _checked_pool(pool)

    def at(self, sample_rate: float) -> GainReductionError:
        """The same metric for signals of this rate in Hz."""
        return GainReductionError(sample_rate, self.floor_db, self.pool)

    def statistics(self, output: Tensor, target: Tensor) -> Tensor:
        hop = max(1, round(self.hop * _check(self, output, target)))
        if output.shape[-1] < 2 * hop:
            raise ValueError(
                f"GainReductionError: a frame has {2 * hop} samples at {self.sample_rate} Hz, got {output.shape[-1]}."
            )
        of_target = _levels(_one_target(target), hop)
        error = (_levels(output, hop).clamp(min=self.floor_db) - of_target).abs()
        counts = of_target >= self.floor_db
        total = torch.where(counts, error, torch.zeros_like(error)).sum(-1)
        return torch.stack([total, counts.sum(-1).to(total).expand_as(total)], -1)

    def value(self, statistics: Tensor) -> Tensor:
        total, count = statistics.unbind(-1)
        return total / count.clamp(min=1)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The mean over items and channels."""
        return self.value(self.statistics(output, target)).mean()


def _levels(signals: Tensor, hop: int) -> Tensor:
    """RMS level in dB of frames of two hops, ``(*, T)`` → ``(*, T // hop − 1)``."""
    signals = signals.to(torch.promote_types(signals.dtype, torch.float32))
    hops = signals.shape[-1] // hop
    energy = signals[..., : hops * hop].unflatten(-1, (hops, hop)).square().mean(-1)
    return 10 * ((energy[..., 1:] + energy[..., :-1]) / 2).log10()


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


def _checked_pool(pool: str) -> str:
    if pool not in ("item", "batch"):
        raise ValueError(f"pool={pool!r} is neither 'item' nor 'batch'.")
    return pool


def _check(metric: LoudnessError | GainReductionError, output: Tensor, target: Tensor) -> float:
    """The sample rate, if there is one and the shapes fit."""
    name = type(metric).__name__
    if output.shape != target.shape:
        raise ValueError(f"{name}: output {tuple(output.shape)} and target {tuple(target.shape)} must be of one shape.")
    if output.numel() == 0:
        raise ValueError(f"{name}: output and target of shape {tuple(output.shape)} hold no samples.")
    if metric.sample_rate is None:
        raise ValueError(f"{name}: needs the sample rate, {name}(sample_rate=…) or .at(…), in Hz.")
    return metric.sample_rate


def _one_target(target: Tensor) -> Tensor:
    """The first item of a target that was expanded to many items: it is measured once."""
    return target[:1] if target.ndim > 2 and target.stride(0) == 0 else target
