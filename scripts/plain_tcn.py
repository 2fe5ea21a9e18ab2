"""The network of `models.tcn` in torch's own modules, as one would write it down: what ours is measured against."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from models.tcn import CONDITIONING, TCN


class PlainFiLM(nn.Module):
    """Batch norm, scaled and shifted by the condition."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels, affine=False)
        self.modulation = nn.Linear(CONDITIONING[-1], 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulation(condition).unsqueeze(-1).chunk(2, dim=1)
        return self.norm(x) * scale + shift


class PlainBlock(nn.Module):
    """Dilated convolution → FiLM → PReLU, plus the input through a 1×1 convolution."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        groups = math.gcd(in_channels, out_channels)
        self.conv = nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation, bias=False)
        self.film = PlainFiLM(out_channels)
        self.activation = nn.PReLU(out_channels)
        self.residual = nn.Conv1d(in_channels, out_channels, 1, groups=groups, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.activation(self.film(self.conv(x), condition))
        return y + self.residual(centre(x, y.shape[-1]))


class PlainTCN(nn.Module):
    """A centred network with controls; it has the names of ours, whose weights it loads."""

    def __init__(self, ours: TCN) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width_in, width_out in zip((ours.controls, *CONDITIONING), CONDITIONING, strict=False):
            layers += [nn.Linear(width_in, width_out), nn.PReLU()]
        self.conditioning = nn.Sequential(*layers)
        convolutions: list[Any] = [block.conv for block in ours.blocks]
        self.blocks = nn.ModuleList(
            PlainBlock(c.in_channels, c.out_channels, c.kernel_size[0], c.dilation[0]) for c in convolutions
        )
        self.mix = nn.Conv1d(ours.mix.in_channels, ours.mix.out_channels, 1)
        self.to(ours.mix.weight).load_state_dict(ours.state_dict())

    def forward(self, x: Tensor, controls: Tensor) -> Tensor:
        condition = self.conditioning(controls)
        outputs = []
        for block in self.blocks:
            x = block(x, condition)
            outputs.append(x)
        return torch.tanh(self.mix(sum(centre(output, x.shape[-1]) for output in outputs)))


def centre(signal: Tensor, samples: int) -> Tensor:
    """The samples in the middle; of an odd rest the larger part goes from the start."""
    start = (signal.shape[-1] - samples + 1) // 2
    return signal[..., start : start + samples]
