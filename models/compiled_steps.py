"""The way of `models.tcn_steps` for few channels: of each layer one function compiled by numba.

A block of 64 samples is 1.5 ms of sound. So few numbers torch's functions take less time to compute than to call.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models import kernels, step_kernels
from models.compiled import arrays, for_each_item, packed
from models.kernels import PART, SLACK, Array
from models.net import LONGEST_WAY
from models.tcn_steps import TCNSteps
from models.track import Track

LONG = 1024
"""Samples from which on the items of a batch are shared out among threads."""


class Layer(NamedTuple):
    """A block of the network: its numbers, and its past."""

    input: Track
    total: Track  # the mixed outputs of the layers before, which wait for this one's look-ahead
    kernel: Array  # packed
    met: Array
    span: int
    lookahead: int
    slope: Array
    residual: Array
    mix: Array


class CompiledSteps(TCNSteps):
    """See `TCNSteps`."""

    layers: list[Layer]

    def __init__(self, net: Any, controls: Tensor) -> None:
        super().__init__(net, controls)
        like = self.layers[0].mix
        items, (channels, mixed) = len(controls), like.shape
        self.scratch = np.zeros((items, channels, PART + SLACK), like.dtype)
        self.last = np.empty((items, channels, self.longest), like.dtype)  # output of the last layer
        self.total = np.empty((items, mixed, self.longest), like.dtype)

    def layer(self, block: Any, mix: Tensor, past: Tensor, total: Tensor) -> Layer:
        history = Track(past, block.span, self.longest)
        _, channels, row = history.samples.shape
        slope, residual = arrays(block.activation.weight, block.residual.weight[..., 0])
        weight = block.conv.weight
        return Layer(
            history,
            Track(total, block.lookahead, self.longest),
            packed(weight),
            kernels.offsets(weight.shape[-1], channels, row, block.dilation),
            block.span,
            block.lookahead,
            slope,
            residual,
            *arrays(mix),
        )

    def _films(self, controls: Tensor) -> Any:
        """Gain and shift of each layer and item, ``(B, 2, channels)``."""
        return arrays(*(film.unflatten(-1, (2, -1)) for film in self._folded(controls)))

    def _step(self, block: Tensor) -> Tensor:
        count = block.shape[-1]
        entry = self.layers[0]
        at, total_at = entry.input.slot(count), entry.total.slot(count)
        torch.from_numpy(entry.input.samples)[..., at : at + count] = self.features(block)
        entry.total.samples[..., total_at : total_at + count] = 0
        way = 0 if self.before is None else min(count, LONGEST_WAY)
        before = self.films if self.before is None else self.before
        self.before = None
        for layer, following, *films in zip(self.layers, [*self.layers[1:], None], before, self.films, strict=True):
            if following is None:
                after = self.last, 0, self.total, 0
            else:
                after = (
                    following.input.samples, following.input.slot(count),
                    following.total.samples, following.total.slot(count),
                )  # fmt: skip
            self._pass(layer, at, total_at, films, way, after, count)
            at, total_at = after[1], after[3]
        mixed = torch.from_numpy(self.total[..., :count]) + self.bias[:, None]
        return self.net.output(mixed, self.delayed(block))

    def _pass(
        self, layer: Layer, at: int, total_at: int, films: list[Array], way: int, after: tuple[Any, ...], count: int
    ) -> None:
        """All items through a layer; `after` is where its output and the sum go, and from which sample on."""
        out, out_at, total, sum_at = after
        before, now = films

        def work(item: int) -> None:
            step_kernels.advance(
                layer.input.samples[item], at, layer.met, layer.kernel, self.scratch[item], layer.span,
                layer.lookahead, before[item], now[item], way, layer.slope, layer.residual, layer.mix,
                layer.total.samples[item], total_at, out[item], out_at, total[item], sum_at, count,
            )  # fmt: skip

        for_each_item(work, len(self.scratch), alone=count < LONG)
