"""How loud a signal has been: its level, and that of its averages over some lengths, for networks that follow levels.

    level(e) = log10(e + F) + 1.25      F = −50 dBFS: from −1.25 in silence to 1.25 at full scale
    average n of |x| at t:  the mean of |x| over the 64 · 4ⁿ samples that end at t

64 samples, 1.5 ms at 44.1 kHz, are about what a detector smooths; 64 · 4⁴ are 372 ms, a slow release. The averages look
back much farther than convolutions of the same cost can, and never ahead.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from models.line import Line

FLOOR_DB = -50.0  # dBFS; what is quieter hardly differs from silence. With −80, waveform losses learn to modulate noise
SHORTEST_POWER = 3  # of four: the shortest average is over 4³ = 64 samples
LARGEST = 8  # number of averages; the longest is then 1,048,576 samples


def level(magnitude: Tensor) -> Tensor:
    """
    >>> level(torch.tensor([0.0, 1.0])).round(decimals=3)
    tensor([-1.2500,  1.2510])
    """
    return torch.log10(magnitude + 10 ** (FLOOR_DB / 20)) - FLOOR_DB / 40


def reach(averages: int) -> int:
    """Samples of the past, besides the present one, that so many averages need.

    >>> reach(0), reach(1), reach(5)
    (0, 63, 16383)
    """
    return 4 ** (SHORTEST_POWER + averages - 1) - 1 if averages else 0


def lengths(averages: int) -> list[int]:
    """Of that whose levels are given: the present sample, and the averages.

    >>> lengths(2)
    [1, 64, 256]
    """
    return [1, *(4 ** (SHORTEST_POWER + n) for n in range(averages))]


def distances(averages: int) -> list[int]:
    """How far apart the four sums are of which each makes one of four times the length, from single samples on.

    >>> distances(1)
    [1, 4, 16]
    """
    return [4**power for power in range(SHORTEST_POWER + averages - 1 if averages else 0)]


def features(x: Tensor, averages: int) -> Tensor:
    """The signal, its level, and the levels of its averages.

    Shape:
        x ``(B, C, T)`` → ``(B, (2 + averages) · C, T − reach(averages))``.
    """
    samples = x.shape[-1] - reach(averages)
    magnitude = x.abs()
    means = [mean[..., -samples:] for mean in _means(magnitude, averages)]
    return torch.cat((x[..., -samples:], *(level(of_each) for of_each in (magnitude[..., -samples:], *means))), dim=1)


class FeaturesInSteps:
    """`features` of a signal that comes in blocks, after silence: ``(B, C, n)`` → ``(B, (2 + averages) · C, n)``.

    Args:
        silence: ``(B, C, 1)``.
        averages: their number.
        longest: samples of the longest block.
    """

    def __init__(self, silence: Tensor, averages: int, longest: int) -> None:
        self.sums = [Line(silence.squeeze(-1), 3 * apart, longest) for apart in distances(averages)]
        self.lengths = silence.new_tensor(lengths(averages)).unsqueeze(-1)

    def __call__(self, block: Tensor) -> Tensor:
        items, channels, count = block.shape
        rows = block.permute(2, 0, 1).reshape(count * items, channels)
        total = rows.abs()
        sums = [total]
        for number, line in enumerate(self.sums, 1):
            line.slot(count).copy_(total)
            total = line.side_by_side(count, 4, line.span // 3).sum(1)
            if number >= SHORTEST_POWER:
                sums.append(total)
        levels = level(torch.stack(sums, dim=1) / self.lengths).flatten(1)
        return torch.cat((rows, levels), dim=1).view(count, items, -1).permute(1, 2, 0)


def _means(magnitude: Tensor, averages: int) -> Iterator[Tensor]:
    """The averages, shortest first: four sums make one of four times the length."""
    total = magnitude
    for number, apart in enumerate(distances(averages), 1):
        total = _four(total, apart)
        if number >= SHORTEST_POWER:
            yield total / (4 * apart)


def _four(signal: Tensor, apart: int) -> Tensor:
    """Each sample and three before it, so many samples apart."""
    samples = signal.shape[-1] - 3 * apart
    first, second, third, fourth = (signal[..., n * apart : n * apart + samples] for n in range(4))
    return (first + second) + (third + fourth)
