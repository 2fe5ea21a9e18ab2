"""A block of the TCN as one function with the backward pass written out: for the CPU, where memory is slow.

For many channels; `models.compiled` does the same for few.

A block is a convolution, batch norm, FiLM, PReLU, a residual path and a share of the output. As plain modules each of
the last five reads and writes tensors of many megabytes, forward and backward, some of them several times. Here they
are done in parts of some hundred samples, one after the other while a part lies in the cache. Samples are rows of
channels (channels last), as `models.conv` likes them. With

    y = x ∗ weight,    ŷ = (y − mean) / σ,    z = scale · ŷ + shift,    output = prelu(z) + residual · x,

kept for the backward pass are x and y − mean alone (or x alone, if y is to be computed again). The gradient g of z
gives that of y, of N samples in a batch, as in Ioffe and Szegedy, "Batch normalization", ICML 2015:

    scale / σ · g − (Σ scale · g) / (σN) − ŷ · (Σ scale · g · ŷ) / (σN)

without the last two terms where mean and σ are given (evaluation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from models.conv import correlate, pad_rows, reversed_kernel, weight_gradient

PART = 2**19  # numbers in a part, 2 MB: small enough for the cache, large enough to hide the calls


@dataclass(frozen=True)
class Layout:
    """Where the samples of a block lie. Inputs and outputs may have more rows than samples, see `conv.pad_rows`."""

    dilation: int
    span: int  # samples by which the output is shorter than the input
    start: int  # input sample to which the first output sample belongs
    samples: int  # of the output
    rows: int  # of the output
    skip: slice  # samples of the output that the network's output takes


class FusedBlock(torch.autograd.Function):
    """See the module's text.

    Args:
        x: ``(B, rows, I)``; rows beyond the samples hold finite numbers.
        weight: ``(O, I, taps)``.
        scale, shift: ``(B, O)``.
        slope: of the PReLU, ``(O,)``.
        residual: a gain for each channel, ``(O,)``, or a matrix ``(I, O)``.
        mix: share of each channel in the network's output, ``(O, M)``.
        mean, variance: of the batch norm, ``(O,)``; None to take and return those of the batch.
        eps: of the batch norm.
        layout: where the samples lie.
        recompute: keep less, compute more.

    Returns:
        output ``(B, layout.rows, O)``, zero beyond the samples; its share of the network's output, ``(B, samples of
        layout.skip, M)``; mean and variance.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        scale: Tensor,
        shift: Tensor,
        slope: Tensor,
        residual: Tensor,
        mix: Tensor,
        mean: Tensor | None,
        variance: Tensor | None,
        eps: float,
        layout: Layout,
        recompute: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        batch, outputs = len(x), len(weight)
        y = correlate(x, weight, layout.dilation)
        ctx.of_batch = mean is None or variance is None
        if mean is None or variance is None:
            mean, variance = _centre(y[:, : layout.samples])
        sigma = (variance + eps).sqrt()
        gain = (scale / sigma)[:, None]
        offset = shift[:, None] if ctx.of_batch else shift[:, None] - mean * gain
        out = x.new_empty(batch, layout.rows, outputs)
        out[:, layout.samples :] = 0
        scratch = _Scratch(out)
        for part, part_y, part_x in _parts(
            out[:, : layout.samples], y, x[:, layout.start : layout.start + layout.samples]
        ):
            z = torch.addcmul(offset, part_y, gain, out=scratch(part))
            z = torch.prelu(z.view(-1, outputs), slope).view(z.shape)
            if residual.ndim == 1:
                torch.addcmul(z, part_x, residual, out=part)
            else:
                torch.add(z, part_x @ residual, out=part)
        kept = None if recompute else y
        ctx.save_for_backward(x, kept, weight, scale, slope, residual, mix, mean, sigma, gain, offset, out)
        ctx.layout = layout
        ctx.mark_non_differentiable(mean, variance)
        ctx.set_materialize_grads(False)
        skip = torch.stack([item @ mix for item in out[:, layout.skip]])  # twice as fast as all at once
        return out, skip, mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor | None, grad_skip: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        x, y, weight, scale, slope, residual, mix, mean, sigma, gain, offset, out = ctx.saved_tensors
        layout: Layout = ctx.layout
        batch, outputs, inputs = len(x), len(weight), x.shape[-1]
        if y is None:
            y = correlate(x, weight, layout.dilation)
            if ctx.of_batch:
                y.sub_(mean)
        # Nothing but the next block uses a block's output, and what that returns as gradient it keeps nowhere: it may
        # be changed in place (`tests/test_fused.py` walks the graph).
        grad = x.new_zeros(batch, layout.rows, outputs) if grad is None else grad
        grad_mix = None
        if grad_skip is not None:
            grad[:, layout.skip].baddbmm_(grad_skip, mix.T.expand(batch, -1, -1))
            grad_mix = torch.bmm(grad_skip.transpose(1, 2), out[:, layout.skip]).sum(0).T
        grad = grad[:, : layout.samples]

        computed = pad_rows(layout.samples, layout.dilation)  # rows of y
        padded = x.new_empty(batch, layout.span + computed + layout.span, outputs)
        padded[:, : layout.span] = 0
        padded[:, layout.span + layout.samples :] = 0
        grad_y = padded[:, layout.span : layout.span + layout.samples]
        kept = x[:, layout.start : layout.start + layout.samples]
        sums = x.new_zeros(2, batch, outputs)  # Σ g and Σ g · y
        of_slope = x.new_zeros(outputs)
        of_residual = torch.zeros_like(residual)
        scratches = _Scratch(grad), _Scratch(grad)
        for part, g, part_y, part_x in _parts(grad, grad_y, y, kept):
            z, negative = (scratch(part) for scratch in scratches)
            torch.addcmul(offset, part_y, gain, out=z)
            torch.le(z, 0, out=negative).mul_(part)
            torch.addcmul(part, negative, slope - 1, out=g)
            of_slope += negative.mul_(z).sum(1).sum(0)
            sums[0] += g.sum(1)
            sums[1] += torch.mul(g, part_y, out=z).sum(1)
            if residual.ndim == 1:
                of_residual += torch.mul(part, part_x, out=z).sum(1).sum(0)
            else:
                of_residual += part_x.reshape(-1, inputs).T @ part.reshape(-1, outputs)
        grad_shift, of_gain = sums
        if ctx.of_batch:
            grad_scale = of_gain / sigma
            # Through mean and variance the gradient gets a constant, and a multiple of y − mean.
            number = batch * layout.samples
            constant = -(scale * grad_shift).sum(0) / (sigma * number)
            slant = -(scale * grad_scale).sum(0) / (sigma**2 * number)
            for g, part_y in _parts(grad_y, y):
                z = scratches[0](g)
                torch.addcmul(torch.addcmul(constant, part_y, slant, out=z), g, gain, out=g)
        else:
            grad_scale = (of_gain - mean * grad_shift) / sigma
            grad_y.mul_(gain)

        grad_weight = weight_gradient(x, grad_y, weight.shape[-1], layout.dilation)
        grad_x = None
        if ctx.needs_input_grad[0]:
            grad_x = correlate(padded, reversed_kernel(weight), layout.dilation)
            through = grad_x[:, layout.start : layout.start + layout.samples]
            if residual.ndim == 1:
                through.addcmul_(grad, residual)
            else:
                through.baddbmm_(grad, residual.T.expand(batch, -1, -1))
        return grad_x, grad_weight, grad_scale, grad_shift, of_slope, of_residual, grad_mix, *(None,) * 5


def _parts(first: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Signals ``(B, samples, …)`` in parts that fit the cache. They end with the first; others may have more rows."""
    samples, length = first.shape[1], _part_samples(first)
    return zip(*(signal[:, :samples].split(length, dim=1) for signal in (first, *others)), strict=True)


def _part_samples(signal: Tensor) -> int:
    return max(PART // (signal.shape[0] * signal.shape[2]), 1)


class _Scratch:
    """Memory for one part at a time, so that it stays in the cache."""

    def __init__(self, signal: Tensor) -> None:
        self.memory = signal.new_empty(signal.shape[0] * _part_samples(signal) * signal.shape[2])

    def __call__(self, part: Tensor) -> Tensor:
        return self.memory[: part.numel()].view(part.shape)


def _centre(y: Tensor) -> tuple[Tensor, Tensor]:
    """Subtracts the mean of each channel in place; returns mean and (biased) variance."""
    number = y.shape[0] * y.shape[1]
    mean = y.sum(1).sum(0) / number  # one after the other: torch is slow at both where the items are apart
    squares = torch.zeros_like(mean)
    scratch = _Scratch(y)
    for (part,) in _parts(y):
        part.sub_(mean)
        squares += torch.mul(part, part, out=scratch(part)).sum(1).sum(0)
    return mean, squares / number
