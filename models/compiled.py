"""A block of the TCN with few channels as one function, as `models.fused`, of loops compiled by numba.

The formulas are those of `models.fused`. What differs is the order of the memory: the samples of a channel lie side by
side, see `models.kernels`. Torch's own functions, of which `models.fused` consists, are made for many channels; with
eight, most of their time goes into what is not arithmetic.

The items of a batch are shared out among as many threads as torch may use. They wait without work, where those of torch
spin: nothing is lost if other processes use the machine as well.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models import kernels
from models.fused import Layout
from models.kernels import PART, SLACK, Array

CHANNELS = 32  # up to so many these loops are the faster ones (measured)


def suits(x: Tensor, channels: int) -> bool:
    """Whether this module is for a signal on the CPU and a network of so many channels."""
    return channels <= CHANNELS and x.dtype in (torch.float32, torch.float64)


class CompiledBlock(torch.autograd.Function):
    """See the module's text.

    Args:
        x: ``(B, I, samples + SLACK)``, finite behind the samples.
        weight: ``(O, I, taps)``.
        scale, shift: ``(B, O)``.
        slope: of the PReLU, ``(O,)``.
        residual: ``(O, J)``, the weight of a 1×1 convolution with I / J groups.
        mix: share of each channel in the network's output, ``(O, M)``.
        mean, variance: of the batch norm, ``(O,)``; None to take and return those of the batch.
        eps: of the batch norm.
        layout: where the samples lie; its rows are `SLACK` more than the samples.
        recompute: keep less, compute more.

    Returns:
        output ``(B, O, layout.rows)``, zero behind the samples; its share of the network's output, ``(B, M, samples of
        layout.skip)``; mean and variance.
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
        batch, outputs, samples = len(x), len(weight), layout.samples
        kernel, met = packed(weight), _met(x, weight, layout)
        y = x.new_empty(batch, outputs, samples + SLACK)
        of_batch = mean is None or variance is None
        if mean is None or variance is None:
            mean, variance = _convolved(x, kernel, met, y, samples)
        sigma = (variance + eps).sqrt()
        gain = scale / sigma
        out = x.new_empty(batch, outputs, layout.rows)
        share = x.new_empty(batch, mix.shape[1], layout.skip.stop - layout.skip.start)
        signals = arrays(x, y, out, share, gain, shift)
        means, slopes, residuals, mixes = arrays(mean, slope, residual, mix)

        def work(item: int) -> None:
            xs, ys, outs, shares, gains, shifts = (array[item] for array in signals)
            kernels.forward(
                xs, met, kernel, ys, of_batch, layout.start, samples, means, gains, shifts, slopes, residuals, mixes,
                layout.skip.start, outs, shares,
            )  # fmt: skip

        for_each_item(work, batch)
        kept = None if recompute else y
        ctx.save_for_backward(x, kept, weight, scale, shift, slope, residual, mix, mean, sigma, gain, out)
        ctx.layout, ctx.of_batch = layout, of_batch
        ctx.mark_non_differentiable(mean, variance)
        ctx.set_materialize_grads(False)
        return out, share, mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor | None, grad_share: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        x, y, weight, scale, shift, slope, residual, mix, mean, sigma, gain, out = ctx.saved_tensors
        layout: Layout = ctx.layout
        (batch, inputs, _), (outputs, _, taps), samples = x.shape, weight.shape, layout.samples
        kernel, met = packed(weight), _met(x, weight, layout)
        if y is None:
            y = x.new_empty(batch, outputs, samples + SLACK)
            _convolved(x, kernel, met, y, samples)
        # Nothing but the next block uses a block's output, and what that returns as gradient it keeps nowhere: it may
        # be changed in place (`tests/test_fused.py` walks the graph).
        grad = torch.zeros_like(out) if grad is None else grad.contiguous()
        if grad_share is None:
            grad_share = x.new_zeros(batch, mix.shape[1], layout.skip.stop - layout.skip.start)
        grad_x = torch.empty_like(x) if ctx.needs_input_grad[0] else x.new_empty(batch, 0, 0)
        grad_x[..., samples + layout.span :] = 0  # nobody reads it, but a search for NaN looks there
        signals = arrays(x, y, out, grad, grad_share, gain, shift, grad_x)
        means, slopes, residuals, mixes = arrays(mean, slope, residual, mix)
        of_z = np.zeros((batch, 2, outputs))
        sums = [of_z, *(np.zeros((batch, *array.shape)) for array in (slopes, residuals, mixes))]
        constants = slants = np.zeros_like(means)

        def measure(item: int) -> None:
            xs, ys, outs, grads, shares, gains, shifts, _ = (array[item] for array in signals)
            kernels.measure(
                xs, ys, outs, layout.start, samples, means, gains, shifts, slopes, residuals, mixes, layout.skip.start,
                grads, shares, *(array[item] for array in sums),
            )  # fmt: skip

        if ctx.of_batch:
            for_each_item(measure, batch)
            # Through mean and variance the gradient gets a constant, and a multiple of y − mean.
            through = -(scale[:, None] * torch.from_numpy(of_z)).sum(0) / (sigma * batch * samples)
            constants, slants = arrays(through[0].to(x.dtype), (through[1] / sigma**2).to(x.dtype))

        of_kernel = kernels.totals(kernel, batch)
        kernel_back = packed(weight.transpose(0, 1))
        row = kernels.padded(outputs, samples)
        met_back = kernels.offsets(taps, outputs, row[-1], -layout.dilation, PART)

        def work(item: int) -> None:
            xs, ys, outs, grads, shares, gains, shifts, of_x = (array[item] for array in signals)
            kernels.backward(
                xs, met, ys, outs, layout.start, samples, means, gains, shifts, slopes, residuals, mixes,
                layout.skip.start, grads, shares, *(array[item] for array in sums), ctx.of_batch, constants, slants,
                np.empty(row, ys.dtype), of_kernel[item], met_back, kernel_back, layout.dilation, of_x,
                samples + layout.span,
            )  # fmt: skip

        for_each_item(work, batch)
        of_taps = kernels.unpack(of_kernel.sum((0, -1)), taps, inputs, outputs)
        grad_weight = torch.from_numpy(of_taps).permute(2, 1, 0)
        grad_shift, of_gain = torch.from_numpy(of_z).unbind(1)
        of_parameters = (torch.from_numpy(array.sum(0)).to(x.dtype) for array in sums[1:])
        return (
            grad_x if ctx.needs_input_grad[0] else None,
            grad_weight,
            (of_gain / sigma).to(x.dtype),
            grad_shift.to(x.dtype),
            *of_parameters,
            *(None,) * 5,
        )


def _convolved(x: Tensor, kernel: Array, met: Array, y: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """Writes y, and returns mean and variance of its channels over the batch."""
    moments = np.zeros((len(x), 2, y.shape[1]))
    xs, ys = arrays(x, y)
    for_each_item(lambda item: kernels.convolve(xs[item], met, kernel, ys[item], samples, moments[item]), len(x))
    means, squares = torch.from_numpy(moments).unbind(1)
    mean = means.mean(0)
    variance = squares.mean(0) / samples + (means - mean).square().mean(0)
    return mean.to(x.dtype), variance.to(x.dtype)


def packed(weight: Tensor) -> Array:
    """A kernel ``(O, I, taps)`` as `models.kernels` takes it."""
    (array,) = arrays(weight.permute(2, 1, 0))
    return kernels.pack(array)


def _met(x: Tensor, weight: Tensor, layout: Layout) -> Array:
    return kernels.offsets(weight.shape[-1], x.shape[1], x.shape[-1], layout.dilation)


def arrays(*tensors: Tensor) -> list[Array]:
    """On the same memory, if it is contiguous."""
    return [tensor.detach().contiguous().numpy() for tensor in tensors]


def for_each_item(work: Callable[[int], None], batch: int, alone: bool = False) -> None:
    """Shared out among threads, unless it is to be done by this one alone."""
    threads = 1 if alone else min(torch.get_num_threads(), batch)
    if threads > 1:
        list(_pool(torch.get_num_threads()).map(work, range(batch)))
    else:
        for item in range(batch):
            work(item)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "compiled-block")
