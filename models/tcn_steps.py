"""A TCN's way through a signal in blocks, at little more than the cost of its multiplications.

`TCN.step` joins every block of samples with the whole history of every layer, 1.8 MB for the paper's network, and its
convolutions rearrange all of it again. Here a history is a `Line`, to which new samples are appended, and from which a
convolution reads them where they lie. For that time is the first axis: the rows of a matrix are samples (of all items
of the batch, item by item), its columns channels.

Batch norm and FiLM together are a gain and a shift of each channel, computed when the controls change. They move to
their new values over the next block, or its first 1,024 samples: a step in the gain would be heard.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from models.line import Line
from models.net import LONGEST_WAY, Steps, way

ROWS = 4096
"""Rows that pass all layers at once: what one layer leaves is still in the cache when the next one needs it."""

FEW_ROWS = 1024
"""Up to here, a copy of all taps side by side and one matrix product take less time than a convolution."""


class Layer(NamedTuple):
    """A block of the network: its kernel, and its past."""

    block: Any  # the `TCNBlock` itself
    input: Line
    total: Line  # the mixed outputs of the layers before, which wait for this one's look-ahead
    kernel: Tensor  # (taps, in_channels, out_channels), oldest first
    slope: Tensor  # (out_channels,), of the PReLU
    residual: Tensor  # (out_channels,) where each channel passes on its own, else (in_channels, out_channels)
    mix: Tensor  # (out_channels, mixed)


class TCNSteps(Steps):
    """See `Steps`. What the weights amount to is computed here, what the controls amount to when they change.

    Args:
        net: a `TCN` in evaluation mode.
        controls: ``(B, controls)``.
    """

    def __init__(self, net: Any, controls: Tensor) -> None:
        self.net: Any = net
        rows = ROWS if controls.device.type == "cpu" else 8 * ROWS  # there, few and large products are faster
        self.longest = max(LONGEST_WAY, rows // len(controls))  # so that moved controls arrive in one part
        self.bias: Any = net.mix.bias
        self.layers: list[Any] = []
        # The state after endless silence has, of each layer, one sample that is the same at all times.
        silence = controls.new_zeros(len(controls), net.in_channels, 1)
        self.dry = Line(silence.squeeze(-1), net.lookahead, self.longest)  # the input that the output takes
        self.features = net.features_in_steps(silence, self.longest)
        past = self.features(silence).squeeze(-1)
        total = controls.new_zeros(len(controls), net.mix.out_channels)
        condition = self._condition(controls)
        block: Any
        for block, weights in zip(net.blocks, net.mixes(), strict=True):
            mix = weights.squeeze(-1).t().contiguous()
            self.layers.append(self.layer(block, mix, past, total))
            past = block(past.unsqueeze(-1).expand(-1, -1, block.span + 1), condition).squeeze(-1)
            total = total + past @ mix
        weights, biases = zip(*(block.film.folded() for block in net.blocks), strict=True)
        self.film_weight, self.film_bias = torch.cat(weights), torch.cat(biases)
        self.film_sizes = [len(bias) for bias in biases]
        self.films = self._films(controls)
        self.before: Any = None  # the films from which the next samples come to `films`

    def layer(self, block: Any, mix: Tensor, past: Tensor, total: Tensor) -> Any:
        """A block of the network, its weights in the mix, and what it remembers after endless silence: past input and
        sum, ``(B, …)``."""
        identity = torch.eye(past.shape[1], dtype=past.dtype, device=past.device)
        residual = block.residual(identity.unsqueeze(-1)).squeeze(-1)
        return Layer(
            block,
            Line(past, block.span, self.longest),
            Line(total, block.lookahead, self.longest),
            block.conv.weight.permute(2, 1, 0).contiguous(),
            block.activation.weight,
            residual.diagonal().contiguous() if block.residual.groups == residual.shape[1] else residual,
            mix,
        )

    def delayed(self, block: Tensor) -> Tensor:
        """Of the input, what belongs to the output of a block."""
        if not self.net.lookahead:
            return block
        items, _, count = block.shape
        self.dry.slot(count).view(count, items, -1).copy_(block.permute(2, 0, 1))
        return self.dry.delayed(count, self.net.lookahead).view(count, items, -1).permute(1, 2, 0)

    def set(self, controls: Tensor) -> None:
        self.before = self.films if self.before is None else self.before
        self.films = self._films(controls)

    def _films(self, controls: Tensor) -> Any:
        """Gain and shift of each layer, ``(B, channels)`` each."""
        return [film.chunk(2, dim=-1) for film in self._folded(controls)]

    def _folded(self, controls: Tensor) -> tuple[Tensor, ...]:
        """Gain and shift of each layer, one after the other, from one product: ``(B, 2 · channels)``."""
        films = F.linear(self._condition(controls), self.film_weight, self.film_bias)
        return films.split(self.film_sizes, dim=-1)

    def _condition(self, controls: Tensor) -> Tensor:
        return controls if self.net.conditioning is None else self.net.conditioning(controls)

    def _step(self, block: Tensor) -> Tensor:
        items, _, count = block.shape
        rows = count * items
        first = self.layers[0]
        first.input.slot(count).view(count, items, -1).copy_(self.features(block).permute(2, 0, 1))
        first.total.slot(count).zero_()
        films = self._moving(count) if self.before else self.films
        for layer, (gain, shift), after in zip(self.layers, films, [*self.layers[1:], None], strict=True):
            taps, _, channels = layer.kernel.shape
            dilation = layer.block.dilation
            if rows <= FEW_ROWS:
                y = layer.input.side_by_side(count, taps, dilation).flatten(1) @ layer.kernel.flatten(0, 1)
            else:
                # As an image of one line whose channels come last, which is how the samples lie: nothing is copied.
                image, kernel = layer.input.past(count).t()[None, :, None], layer.kernel.permute(2, 1, 0).unsqueeze(2)
                y = F.conv2d(image, kernel, dilation=(1, dilation * items))[0, :, 0].t().contiguous()
            film = y.view(count, items, channels)
            torch.addcmul(shift, film, gain, out=film)
            y = torch.prelu(y, layer.slope)
            kept = layer.input.delayed(count, layer.block.lookahead)
            waiting = layer.total.delayed(count, layer.block.lookahead)
            output = after.input.slot(count) if after else y
            if layer.residual.ndim == 1:
                torch.addcmul(y, kept, layer.residual, out=output)
            else:
                torch.addmm(y, kept, layer.residual, out=output)
            total = torch.addmm(waiting, output, layer.mix)
            if after:
                after.total.slot(count).copy_(total)
        mixed = (total + self.bias).view(count, items, -1).permute(1, 2, 0)
        return self.net.output(mixed, self.delayed(block))

    def _moving(self, count: int) -> list[tuple[Tensor, Tensor]]:
        """On the way from the films before to those of the controls now, of each sample: ``(count, B, channels)``."""
        assert self.before is not None
        share = way(count, self.bias)[:, None, None]
        moving = [
            (torch.lerp(old_gain, gain, share), torch.lerp(old_shift, shift, share))
            for (old_gain, old_shift), (gain, shift) in zip(self.before, self.films, strict=True)
        ]
        self.before = None
        return moving
