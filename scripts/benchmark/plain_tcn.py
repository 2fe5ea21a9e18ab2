"""The network of `models.tcn` in torch's own modules, as one would write it down: what ours is measured against."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor, nn

from models.film import CONDITIONING, conditioning
from models.tcn import TCN


class PlainFiLM(nn.Module):
    """Batch norm, scaled and shifted by the condition; if frozen, by the running moments in training as well."""

    def __init__(self, channels: int, frozen: bool) -> None:
        super().__init__()
        self.frozen = frozen
        self.norm = nn.BatchNorm1d(channels, affine=False)
        self.modulation = nn.Linear(CONDITIONING[-1], 2 * channels)
        self.train()

    def train(self, mode: bool = True) -> PlainFiLM:
        super().train(mode)
        self.norm.train(mode and not self.frozen)
        return self

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition).unsqueeze(-1).chunk(2, dim=1)
        return self.norm(x) * scale + shift


class PlainBlock(nn.Module):
    """Dilated convolution → FiLM → PReLU, plus the input through a 1×1 convolution."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, dilation: int, frozen: bool, causal: bool
    ) -> None:
        super().__init__()
        self.causal = causal
        groups = math.gcd(in_channels, out_channels)
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation, bias=False)
        self.film = PlainFiLM(out_channels, frozen)
        self.activation = nn.PReLU(out_channels)
        self.residual = nn.Conv1d(in_channels, out_channels, 1, groups=groups, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.activation(self.film(self.conv(x), condition))
        return y + self.residual(aligned(x, y.shape[-1], self.causal))


class PlainTCN(nn.Module):
    """A network with controls; it has the names of ours, whose weights it loads."""

    def __init__(self, ours: TCN) -> None:
        super().__init__()
        self.causal = ours.lookahead == 0
        self.conditioning = conditioning(ours.controls, CONDITIONING, nn.PReLU)
        blocks: list[Any] = list(ours.blocks)
        self.blocks = nn.ModuleList(
            PlainBlock(c.in_channels, c.out_channels, c.kernel_size[0], c.dilation[0], block.film.frozen, self.causal)
            for block in blocks
            for c in (block.conv,)
        )
        self.mix = nn.Conv1d(ours.mix.in_channels, ours.mix.out_channels, 1)
        # What is not in blocks is the same code: of the input, and of input and mixed sum to the output.
        self.features, self.output, self.align = ours.features, ours.output, ours.align
        for name, parameter in ours.named_parameters(recurse=False):
            self.register_parameter(name, parameter)
        self.to(ours.mix.weight).load_state_dict(ours.state_dict())

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        condition = self.conditioning(controls)
        signal, outputs = self.features(x), []
        for block in self.blocks:
            signal = block(signal, condition)
            outputs.append(signal)
        mixed = self.mix(sum(aligned(output, signal.shape[-1], self.causal) for output in outputs))
        return self.output(mixed, self.align(x))


def aligned(signal: Tensor, samples: int, causal: bool) -> Tensor:
    """The last samples, or those in the middle; of an odd rest the larger part goes from the start."""
    spare = signal.shape[-1] - samples
    start = spare if causal else (spare + 1) // 2
    return signal[..., start : start + samples]
