"""How controls reach a network: a small network that they pass, and FiLM, which scales and shifts channels by them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

# Width of the layers through which the controls pass, as in the paper's released model.
CONDITIONING = (32, 64, 128)


def conditioning(controls: int, widths: tuple[int, ...], bends: type[nn.Module]) -> nn.Sequential:
    """A small network through which the controls pass: a linear layer of each width, each followed by a bend."""
    layers: list[nn.Module] = []
    for width_in, width_out in zip((controls, *widths), widths, strict=False):
        layers += [nn.Linear(width_in, width_out), bends()]
    return nn.Sequential(*layers)


class FiLM(nn.Module):
    """Feature-wise linear modulation: normalised channels, scaled and shifted by the condition.

    Without a condition (``condition == 0``) scale and shift are parameters of their own. Both start at zero.

    Args:
        channels: of the signal.
        condition: numbers in the condition.
        frozen: normalise by the running mean and variance in training as well, which then stay as they are; at first
            these are 0 and 1. See `TCN.calibrate`.

    Shape:
        x ``(B, channels, T)``, condition ``(B, condition)`` → ``(B, channels, T)``.

    Source: Perez et al., "FiLM: Visual reasoning with a general conditioning layer", AAAI 2018.
    """

    def __init__(self, channels: int, condition: int, frozen: bool = False) -> None:
        super().__init__()
        self.frozen = frozen
        self.norm = nn.BatchNorm1d(channels, affine=condition == 0)
        self.modulation = nn.Linear(condition, 2 * channels) if condition else None
        for parameter in (self.modulation or self.norm).parameters():
            nn.init.zeros_(parameter)
        self.train()

    def train(self, mode: bool = True) -> FiLM:
        super().train(mode)
        self.norm.train(mode and not self.frozen)
        return self

    @torch.no_grad()
    def start_at(self, scale: float) -> None:
        """A scale for all channels and conditions, from which training starts."""
        if self.modulation is None:
            self.norm.weight.fill_(scale)
        else:
            self.modulation.bias[: self.norm.num_features] = scale

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = self.norm(x)
        if self.modulation is None:
            return x
        scale, shift = self.modulation(condition).unsqueeze(-1).chunk(2, dim=1)
        return torch.addcmul(shift, x, scale)

    def scale_and_shift(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Of each item and channel, ``(B, channels)`` each."""
        if self.modulation is None:
            return self.norm.weight.expand(len(condition), -1), self.norm.bias.expand(len(condition), -1)
        scale, shift = self.modulation(condition).chunk(2, dim=1)
        return scale, shift

    def folded(self) -> tuple[Tensor, Tensor]:
        """What batch norm and modulation do in evaluation, ``gain · x + shift``; both are affine in the condition.

        Returns:
            weight ``(2 · channels, condition)`` and bias ``(2 · channels,)`` of gain and shift, one after the other.
        """
        norm: Any = self.norm
        gain = torch.rsqrt(norm.running_var + norm.eps)
        if self.modulation is None:
            scales, shifts = norm.weight[:, None], norm.bias[:, None]  # the bias alone, as there is no condition
        else:
            both = torch.cat((self.modulation.weight, self.modulation.bias[:, None]), dim=1)
            scales, shifts = both.chunk(2)
        gains = gain[:, None] * scales
        folded = torch.cat((gains, shifts - norm.running_mean[:, None] * gains))
        return folded[:, :-1].contiguous(), folded[:, -1].contiguous()

    @torch.no_grad()
    def observe(self, mean: Tensor, variance: Tensor, number: int) -> None:
        """Takes the moments of a batch into the running ones, as batch norm does: the variance as an unbiased one."""
        norm: Any = self.norm
        norm.num_batches_tracked += 1
        share = 1 / norm.num_batches_tracked if norm.momentum is None else norm.momentum
        norm.running_mean.lerp_(mean, share)
        norm.running_var.lerp_(variance * (number / max(number - 1, 1)), share)
