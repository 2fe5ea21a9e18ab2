"""Losses of level over time: a compressor's gain reduction, loudness, and how energy accumulates."""

import math
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from auraloss.base import Loss
from auraloss.filterbank import raised
from auraloss.recursive import Section, recursive_filter
from auraloss.stft import audible
from auraloss.time import SILENCE_DB

LUFS_OF_UNIT_POWER = -0.691
"""Loudness of a K-weighted mean square of 1."""
GATE_LUFS = -70.0
"""Quieter blocks do not count in BS.1770, so that nothing that it measures is quieter."""
SURROUND = 1.41
"""Weight of the fourth and fifth channel, left and right surround."""


def _rate(loss: Loss, sample_rate: float, above: float = 0.0) -> float:
    if not above < sample_rate < math.inf:
        raise ValueError(f"{type(loss).__name__}: sample_rate={sample_rate} must be a number of Hz above {above:.0f}.")
    return sample_rate


class GainReductionLoss(Loss):
    """Mean absolute difference of two gain curves, in dB: a compressor's own figure.

    The gain of a device is the level of its output over that of its input, which two models of it have in common:

    `mean |max(L(x, t), floor_db) − L(y, t)|` over the frames with `L(y, t) ≥ floor_db`,
    `L = 10·lg(2·mean square of a frame around t)`, in dBFS: a sine of amplitude 1 has 0.

    Frames of two hops follow each other by one; what remains of the signal at its end belongs to the last one. Where
    the target is quieter than the floor, the gain is not heard, and that of a device with noise not even defined. A
    target without any other frame has the value 0, and with `pool="batch"` no weight. Below the floor the gradient
    falls in proportion to the input.

    Args:
        sample_rate: in Hz.
        floor_db: dBFS.
        hop: in seconds.
        reduction, pool: see `auraloss.base.Loss`.

    Shape:
        - input, target: `[*, T]`, two hops or more.
        - output: a scalar, or `[*]` for `reduction="none"`; in dB.

    Raises:
        ValueError: for a sample rate or hop that is not positive, or shorter signals.

    >>> noise = torch.randn(1, 1, 8000)
    >>> round(GainReductionLoss(8000)(0.5 * noise, noise).item(), 2)
    6.02
    """

    size = 2
    unit = "dB"

    def __init__(
        self,
        sample_rate: float,
        floor_db: float = -60.0,
        hop: float = 0.01,
        reduction: str = "mean",
        pool: str = "item",
    ) -> None:
        super().__init__(reduction, pool)
        self.sample_rate = _rate(self, sample_rate)
        if not hop > 0:
            raise ValueError(f"GainReductionLoss: hop={hop} must be a positive number of seconds.")
        self.floor_db = floor_db
        self.hop = hop

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return self._against(input, (target, self._levels(target)))

    def _prepared(self, target: Tensor) -> Any:
        return target, self._levels(target)

    def _against(self, input: Tensor, prepared: Any) -> tuple[Tensor, ...]:
        target, of_target = prepared
        counted = of_target > self.floor_db
        error = (self._levels(audible(input, target)) - of_target).abs() * counted
        return error.sum(-1), counted.sum(-1).to(error)

    def _levels(self, signal: Tensor) -> Tensor:
        """Level of each frame in dB, `[*, T]` → `[*, frames]`."""
        samples, hop = signal.shape[-1], max(1, round(self.hop * self.sample_rate))
        hops = samples // hop
        if hops < 2:
            raise ValueError(f"GainReductionLoss: a frame has {2 * hop} samples, got {samples}.")
        squares = signal.square()
        energy = squares[..., : hops * hop].unflatten(-1, (hops, hop)).sum(-1)
        frames = energy[..., 1:] + energy[..., :-1]
        rest = squares[..., hops * hop :].sum(-1, keepdim=True)
        counts = torch.full((hops - 1,), 2.0 * hop).to(signal)
        counts[-1] += samples - hops * hop
        frames = torch.cat([frames[..., :-1], frames[..., -1:] + rest], -1)
        return 10 * raised(2 * frames / counts, 10 ** (self.floor_db / 10)).log10()

    def _value(self, total: Tensor, count: Tensor) -> Tensor:
        return total / count.clamp(min=1)


@lru_cache
def k_weighting(sample_rate: float) -> tuple[Section, Section]:
    """The two filters before the loudness of BS.1770: a shelf of +4 dB from about 1.7 kHz, and a high-pass at 38 Hz.

    The standard gives them for 48 kHz; at other rates these are the same analog filters, by the bilinear transform.

    >>> [round(b, 6) for b in k_weighting(48_000)[0][0]]  # 1.53512485958697 … in the standard
    [1.535125, -2.691696, 1.198393]
    """
    k, q, gain = math.tan(math.pi * 1681.974450955533 / sample_rate), 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    middle, norm = gain**0.4996667741545416, 1 + k / q + k * k
    shelf = (
        ((gain + middle * k / q + k * k) / norm, 2 * (k * k - gain) / norm, (gain - middle * k / q + k * k) / norm),
        (1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm),
    )
    k, q = math.tan(math.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    norm = 1 + k / q + k * k
    return shelf, ((1.0, -2.0, 1.0), (1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm))


class LoudnessLoss(Loss):
    """Difference of integrated loudness, `|max(L(x), −70 LUFS) − max(L(y), −70 LUFS)|`, in LU.

    `L = −0.691 + 10·lg(mean over blocks of Σ_channels G·mean square of the K-weighted signal)`, blocks of 0.4 s every
    0.1 s. A block counts if it is louder than −70 LUFS and than the mean of those that are, less 10 LU. A signal
    shorter than a block is one block.

    Args:
        sample_rate: in Hz, above 3,364.
        reduction, pool: see `auraloss.base.Loss`; with `pool="batch"` the mean over the items.

    Shape:
        - input, target: `[*, channels, T]`, 1 to 5 channels, or `[T]`.
        - output: a scalar, or `[*, 1]` for `reduction="none"`: an item has one value; in LU.

    Raises:
        ValueError: for a lower sample rate, or more channels.

    Source: ITU-R BS.1770-4, 2015.

    >>> noise = torch.randn(1, 2, 44_100)
    >>> round(LoudnessLoss(44_100)(0.5 * noise, noise).item(), 2)
    6.02
    """

    size = 2
    unit = "LU"

    def __init__(self, sample_rate: float, reduction: str = "mean", pool: str = "item") -> None:
        super().__init__(reduction, pool)
        self.sample_rate = _rate(self, sample_rate, above=3364.0)

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return self._against(input, (target, self.loudness(target)))

    def _prepared(self, target: Tensor) -> Any:
        return target, self.loudness(target)

    def _against(self, input: Tensor, prepared: Any) -> tuple[Tensor, ...]:
        target, of_target = prepared
        error = (self.loudness(audible(input, target)) - of_target).abs()
        return error, torch.ones_like(error)

    def loudness(self, signal: Tensor) -> Tensor:
        """Integrated loudness in LUFS, −70 or more, `[*, channels, T]` → `[*, 1]`."""
        signal = signal if signal.ndim > 1 else signal[None]
        channels, samples = signal.shape[-2:]
        if channels > 5:
            raise ValueError(f"LoudnessLoss: needs [*, 1 to 5 channels, samples], got {tuple(signal.shape)}.")
        squares = recursive_filter(signal, k_weighting(self.sample_rate)).square()
        hop = round(0.1 * self.sample_rate)
        if samples < 4 * hop:
            powers = squares.mean(-1, keepdim=True)
        else:
            hops = samples // hop
            energy = squares[..., : hops * hop].unflatten(-1, (hops, hop)).sum(-1)
            powers = energy.unfold(-1, 4, 1).sum(-1) / (4 * hop)
        gains = torch.tensor([1.0, 1.0, 1.0, SURROUND, SURROUND][:channels]).to(signal)
        of_blocks = (powers * gains[:, None]).sum(-2)
        gate = 10 ** ((GATE_LUFS - LUFS_OF_UNIT_POWER) / 10)
        loud = of_blocks > gate
        counted = loud & (of_blocks > 0.1 * _mean_of(of_blocks, loud))
        mean = _mean_of(of_blocks, counted | ~counted.any(-1, keepdim=True))
        return LUFS_OF_UNIT_POWER + 10 * raised(mean, gate).log10()

    def _value(self, total: Tensor, count: Tensor) -> Tensor:
        return total / count


def _mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """The mean of those that are chosen, `[*, N]` → `[*, 1]`; 0 for none."""
    return (values * chosen).sum(-1, keepdim=True) / chosen.sum(-1, keepdim=True).clamp(min=1)


class CumulativeEnergyLoss(Loss):
    """Distance of two curves of cumulative energy, `mean_t |Σ_{s≤t} x(s)² − y(s)²| / Σ y²`.

    It hears when the energy comes, and how much in all. Unlike a level in frames it has a slope towards a sound that
    comes at another time, however far away.

    Args:
        reduction, pool: see `auraloss.base.Loss`.
        floor_db: a quieter target counts as this loud (dB re a mean square of 1).

    Source: Engel et al., DDSP, 2020, and Uzrad et al., DiffMoog, 2024, who accumulate spectrograms over frequency and
    over time.

    >>> early, late = torch.eye(4)[0], torch.eye(4)[3]
    >>> CumulativeEnergyLoss()(early, late).item()
    0.75
    """

    size = 3

    def __init__(self, reduction: str = "mean", pool: str = "item", floor_db: float = SILENCE_DB) -> None:
        super().__init__(reduction, pool)
        self.floor_db = floor_db

    def _statistics(self, input: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        energy = target.square()
        ahead = (audible(input, target).square() - energy).cumsum(-1)
        return ahead.abs().mean(-1), energy.sum(-1), torch.full_like(energy[..., 0], energy.shape[-1])

    def _value(self, ahead: Tensor, energy: Tensor, count: Tensor) -> Tensor:
        return ahead / torch.maximum(energy, count * 10 ** (self.floor_db / 10))
