"""A block of the TCN as one function with the backward pass written out: for a GPU, where memory is the limit.

The convolutions are cuDNN's, which is nearly twice as fast on samples that are rows of channels (channels last) as on
torch's usual order. What follows them, batch norm, FiLM, PReLU, the residual path and the share of the output, is
done in two passes forward and three backward by kernels of `models.gpu_kernels`, where a compiler needs twice as many.
The arithmetic is that of `models.fused`, in float32 between signals of the input's precision.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from models.fused import Layout

try:
    import triton

    from models import gpu_kernels as kernels
except ImportError:  # torch for Windows, macOS or processors alone comes without
    triton = None

ROWS = 128  # of a program at a time
PARTS = 16  # programs that share the sums of an item
FEW_INPUTS = 16  # up to which the residual path may be a matrix


def fast_on(x: Tensor, channels: int) -> bool:
    """Whether this module is for an input of the network, and blocks of so many channels."""
    return (
        triton is not None
        and x.is_cuda
        and x.dtype is not torch.float64
        and (x.shape[1] <= FEW_INPUTS or x.shape[1] == channels)
        and not torch.compiler.is_compiling()
    )


def rows(x: Tensor) -> Tensor:
    """``(B, channels, T)`` as rows, in the precision of autocast."""
    if torch.is_autocast_enabled("cuda"):
        x = x.to(torch.get_autocast_dtype("cuda"))
    return x.transpose(1, 2).contiguous()


class GPUBlock(torch.autograd.Function):
    """See the module's text; arguments and results as of `models.fused.FusedBlock`, without spare rows."""

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
        y = _convolved(x, weight, layout.dilation)
        batch, samples, channels = y.shape
        ctx.of_batch = mean is None or variance is None
        if mean is None or variance is None:
            mean, variance = _moments(y)
        sigma = (variance + eps).sqrt()
        gain = (scale / sigma).contiguous()
        offset = (shift - mean * gain).contiguous()
        out = torch.empty_like(y)
        skip = layout.skip
        share = y.new_empty(batch, skip.stop - skip.start, mix.shape[1], dtype=torch.float32)
        slope, residual, mix = (values.float().contiguous() for values in (slope, residual, mix))
        kernels.apply[_grid(y)](
            y, x, gain, offset, slope, residual, mix, out, share,
            samples, x.shape[1], layout.start, skip.start, skip.stop,
            channels, _width(y), _inputs(residual), mix.shape[1], ROWS,
        )  # fmt: skip
        ctx.save_for_backward(
            x, None if recompute else y, weight, scale, slope, residual, mix, mean, sigma, gain, offset
        )
        ctx.layout = layout
        ctx.mark_non_differentiable(mean, variance)
        ctx.set_materialize_grads(False)
        return out, share, mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor | None, grad_share: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        x, y, weight, scale, slope, residual, mix, mean, sigma, gain, offset = ctx.saved_tensors
        layout: Layout = ctx.layout
        if y is None:
            y = _convolved(x, weight, layout.dilation)
        batch, samples, channels = y.shape
        skip, mixed, inputs, width = layout.skip, mix.shape[1], _inputs(residual), _width(y)
        has_grad = grad is not None
        grad = y if grad is None else grad.contiguous()
        if grad_share is None:
            grad_share = y.new_zeros(batch, skip.stop - skip.start, mixed, dtype=torch.float32)
        upstream = grad, grad_share.contiguous()
        where = samples, x.shape[1], layout.start, skip.start, skip.stop

        number = 3 + max(inputs, 1) + mixed
        sums = y.new_empty(batch, PARTS, number, channels, dtype=torch.float32)
        kernels.gradient_sums[(PARTS, batch)](
            *upstream, y, x, gain, offset, slope, residual, mix, sums, *where,
            channels, width, inputs, mixed, ROWS, _tiles(samples), triton.next_power_of_2(number), has_grad,
        )  # fmt: skip
        sums = sums.sum(1)
        grad_shift, of_gain = sums[:, 0], sums[:, 1]
        of_slope, of_residual, of_mix = sums[:, 2].sum(0), sums[:, 3 : number - mixed].sum(0), sums[:, -mixed:].sum(0)
        grad_scale = (of_gain - mean * grad_shift) / sigma
        constant = slant = torch.zeros_like(mean)
        if ctx.of_batch:
            slant = -(scale * grad_scale).sum(0) / (sigma**2 * batch * samples)
            constant = -(scale * grad_shift).sum(0) / (sigma * batch * samples) - mean * slant

        grad_y = torch.empty_like(y)
        kernels.gradient_of_convolution[_grid(y)](
            *upstream, y, gain, offset, slope, mix, slant, constant, grad_y, samples, skip.start, skip.stop,
            channels, width, mixed, ROWS, has_grad,
        )  # fmt: skip
        needed = ctx.needs_input_grad[0]
        grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
            _image(grad_y), _image(x), _kernel(weight, x.dtype), None,
            (1, 1), (0, 0), (layout.dilation, 1), False, (0, 0), 1, (needed, True, False),
        )  # fmt: skip
        if needed:
            grad_x = _rows(grad_x)
            kernels.add_gradient_of_residual[_grid(y)](
                *upstream, mix, residual, grad_x, *where, channels, width, inputs, mixed, ROWS, has_grad
            )
        grad_weight = grad_weight[..., 0].to(weight.dtype)
        return (
            grad_x,
            grad_weight,
            grad_scale,
            grad_shift,
            of_slope,
            of_residual.view_as(residual),
            of_mix.T,
            *(None,) * 5,
        )


def _image(rows: Tensor) -> Tensor:
    """Rows of channels as an image of one column, as torch orders one that is channels last."""
    return rows.unsqueeze(2).permute(0, 3, 1, 2)


def _rows(image: Tensor) -> Tensor:
    return image.permute(0, 2, 3, 1)[:, :, 0].contiguous()


def _kernel(weight: Tensor, dtype: torch.dtype) -> Tensor:
    return weight.to(dtype).unsqueeze(-1).contiguous(memory_format=torch.channels_last)


def _convolved(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    return _rows(F.conv2d(_image(x), _kernel(weight, x.dtype), dilation=(dilation, 1)))


def _moments(y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of each channel."""
    batch, samples, channels = y.shape
    sums = y.new_empty(batch, PARTS, 2, channels, dtype=torch.float32)
    kernels.moments[(PARTS, batch)](y, sums, samples, channels, _width(y), ROWS, _tiles(samples))
    mean, squares = sums.sum((0, 1), dtype=torch.float64) / (batch * samples)
    return mean.float(), (squares - mean**2).clamp_min(0).float()


def _grid(y: Tensor) -> tuple[int, int]:
    return triton.cdiv(y.shape[1], ROWS), len(y)


def _tiles(samples: int) -> int:
    return triton.cdiv(samples, ROWS * PARTS)


def _width(y: Tensor) -> int:
    return triton.next_power_of_2(y.shape[-1])


def _inputs(residual: Tensor) -> int:
    """Rows of the residual's matrix; 0 for a gain of each channel."""
    return 0 if residual.ndim == 1 else len(residual)
