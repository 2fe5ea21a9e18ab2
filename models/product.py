"""A TCN that multiplies: the signal times a gain over time, as a compressor does.

The paper's network can only add and clip. A product of signal and gain it has to build of many kinks; in a short
training it learns a gain for each setting instead of one that follows the level. Here the same stack of blocks decides
on two signals, and the output is

    y = x · exp(g) + α · tanh(d)        g = G · tanh(u / G)        u, d: what the blocks add up to, mixed

with x the input that belongs to the output sample. exp(g) is the gain, at most ±60 dB (G = 6.9); `gain_db` tells it.
tanh(d) is what a gain cannot do, such as distortion; α starts at 0, so that a new network is nearly the identity, and
as the gain is positive, no loss on magnitudes can invert it.

A compressor's gain is a function of the level in dB, and of how loud it was before. Each channel of the input enters
the stack as it is, as its level, and as the levels of its averages over the past (`models.levels`). What remains to be
learned is a knee and how to go from one level to the next, for which few kinks suffice. With levels no channel needs
batch statistics, which hide the level of a batch; normalisation is frozen, at mean 0 and variance 1 unless calibrated.

Source: the sum of a gated input and a bounded signal is used for small data sets of audio effects by others as well;
docs/learning.md has the measurements.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from models import compiled, levels
from models.compiled_levels import CompiledFeaturesInSteps
from models.tcn import TCN

LARGEST_GAIN_DB = 60.0
_DB = 20 / math.log(10)  # dB in a unit of the natural logarithm
_MIX = 0.01  # standard deviation of the mix at first: a gain of some dB around 0


class ProductTCN(TCN):
    """The network of this module's text; arguments, shapes and errors as for `TCN`.

    Args:
        norm: "frozen" or "batch", see `TCN`.
        averages: of the input's magnitude, over 64 · 4ⁿ samples each, whose levels the stack is given; 0 … 8.

    Raises:
        ValueError: also if there are not as many output channels as input channels, or for a number of averages out of
            range.

    Example:
        >>> net = ProductTCN(blocks=2, kernel_size=3, channels=4, averages=0)
        >>> x, controls = torch.rand(1, 1, 100), torch.zeros(1, 2)
        >>> gain = 10 ** (net.gain_db(x, controls) / 20)
        >>> torch.allclose(net(x, controls), net.align(x) * gain)  # a new one has α = 0
        True
    """

    mixed_per_channel = 2
    multiplies = True

    def __init__(
        self,
        blocks: int = 6,
        kernel_size: int = 7,
        channels: int = 8,
        dilation_growth: int = 4,
        controls: int = 2,
        in_channels: int = 1,
        out_channels: int = 1,
        causal: bool = True,
        norm: str = "frozen",
        averages: int = 5,
    ) -> None:
        if in_channels != out_channels:
            raise ValueError(
                f"ProductTCN: each output channel is an input channel times a gain; got {in_channels} input and "
                f"{out_channels} output channels"
            )
        if not 0 <= averages <= levels.LARGEST:
            raise ValueError(f"ProductTCN: averages must be 0 … {levels.LARGEST}, got {averages}")
        self.averages, self.features_per_channel, self.reach = averages, 2 + averages, levels.reach(averages)
        super().__init__(
            blocks, kernel_size, channels, dilation_growth, controls, in_channels, out_channels, causal, norm
        )
        self.alpha = nn.Parameter(torch.zeros(out_channels, 1))

    def features(self, x: Tensor) -> Tensor:
        """The input, its level, and the levels of its averages."""
        return levels.features(x, self.averages)

    def features_in_steps(self, silence: Tensor, longest: int) -> Callable[[Tensor], Tensor]:
        few = silence.device.type == "cpu" and compiled.suits(silence, self.mix.in_channels)
        return (CompiledFeaturesInSteps if few else levels.FeaturesInSteps)(silence, self.averages, longest)

    def output(self, mixed: Tensor, x: Tensor) -> Tensor:
        """The input times the gain, plus what a gain cannot do."""
        u, d = mixed.chunk(2, dim=1)
        return torch.addcmul(self.alpha * torch.tanh(d), x, torch.exp(_bounded(u)))

    def gain_db(self, x: Tensor, controls: Tensor) -> Tensor:
        """The gain over time in dB; a gain reduction is negative.

        Shape:
            x ``(B, in_channels, T)``, controls ``(B, controls)`` → ``(B, out_channels, T − receptive_field + 1)``.
        """
        u, _ = self.mixed(x, controls).chunk(2, dim=1)
        return _DB * _bounded(u)

    @torch.no_grad()
    def _initialise(self) -> None:
        """Nearly as the identity, with all blocks at work: their signals differ from the first step on."""
        super()._initialise()
        block: Any
        for block in self.blocks:
            block.film.start_at(1.0)
        nn.init.normal_(self.mix.weight, 0, _MIX)


def _bounded(u: Tensor) -> Tensor:
    """A natural logarithm of a gain, within that of ±60 dB."""
    largest = LARGEST_GAIN_DB / _DB
    return largest * torch.tanh(u / largest)
