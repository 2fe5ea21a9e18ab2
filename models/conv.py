"""Dilated convolution and its two gradients on rows of channels, at the cost on a CPU that the arithmetic says.

PyTorch's own backward of a dilated ``conv1d`` takes about nine times its forward on a CPU, where counting
multiplications says twice. Both gradients can be had from fast primitives:

- The gradient of the input is itself a dilated convolution, of the padded gradient with the kernel reversed and its
  channel axes swapped.
- The gradient of the weight is one matrix product for each tap. With the samples in rows of channels (channels last),
  the rows that a tap meets are a view of the signal, shifted by the dilation: the products of all taps are one batched
  product over overlapping views, without a copy. In parts of some hundred rows, all taps find theirs in the cache.

oneDNN, which convolves here, has fast kernels for channels last that need no conversion. For large dilations d they
are faster still on the signal seen as an image of d columns, in which a dilated kernel is a plain one, of taps × 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

IMAGE_DILATION = 16  # from here on the convolution of an image of `dilation` columns is the faster one (measured)
NARROW = 8  # input channels up to which a product with the unfolded signal is the faster one (measured)
PART = 2**16  # numbers in a part of a signal in the gradient of the weight, 256 KB


def fast_on(x: Tensor) -> bool:
    """Whether this module is for a signal: on the CPU, where neither autocast nor a compiler chooses the functions."""
    return x.device.type == "cpu" and not torch.is_autocast_enabled("cpu") and not torch.compiler.is_compiling()


def pad_rows(samples: int, dilation: int) -> int:
    """The least number of rows, `samples` or more, that `correlate` can see as an image."""
    return samples if dilation < IMAGE_DILATION else -(-samples // dilation) * dilation


def correlate(x: Tensor, weight: Tensor, dilation: int) -> Tensor:
    """``output[b, t, o] = Σ weight[o, i, k] · x[b, t + k · dilation, i]``.

    Shape:
        x ``(B, T, I)``, contiguous; weight ``(O, I, K)`` → ``(B, T − (K − 1) · dilation, O)``, contiguous.
    """
    batch, rows, channels = x.shape
    outputs, _, taps = weight.shape
    frames = rows - (taps - 1) * dilation
    if channels < NARROW:
        unfolded = _met(x, frames, taps, dilation).reshape(batch, frames, -1)
        return unfolded @ weight.permute(2, 1, 0).reshape(-1, outputs)
    if dilation >= IMAGE_DILATION and rows % dilation == 0:
        image, kernel, apart = x.view(batch, -1, dilation, channels), weight.unsqueeze(-1), (1, 1)
    else:
        image, kernel, apart = x.unsqueeze(1), weight.unsqueeze(-2), (1, dilation)
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    y = F.conv2d(image.permute(0, 3, 1, 2), kernel, dilation=apart)
    return y.permute(0, 2, 3, 1).reshape(batch, frames, outputs)


def reversed_kernel(weight: Tensor) -> Tensor:
    """The kernel with which `correlate` turns a gradient, padded by the span on both sides, into that of the input."""
    return weight.flip(-1).transpose(0, 1)


def weight_gradient(x: Tensor, grad: Tensor, taps: int, dilation: int) -> Tensor:
    """``Σ grad[b, t, o] · x[b, t + k · dilation, i]`` over b and t.

    Shape:
        x ``(B, ≥ T + (taps − 1) · dilation, I)`` and grad ``(B, T, O)``, rows contiguous → ``(O, I, taps)``.
    """
    (batch, frames, outputs), channels = grad.shape, x.shape[-1]
    total = x.new_zeros(outputs, taps * channels) if channels <= NARROW else x.new_zeros(taps, channels, outputs)
    length = max(PART // channels, 1)
    for item in range(batch):
        for start in range(0, frames, length):
            part = grad[item, start : start + length]
            met = _met(x[item, start:], len(part), taps, dilation)
            if channels <= NARROW:
                total.addmm_(part.T, met.reshape(len(part), -1))
            else:
                total.baddbmm_(met.permute(1, 2, 0), part.expand(taps, -1, -1))
    return total.view(outputs, taps, channels).transpose(1, 2) if channels <= NARROW else total.permute(2, 1, 0)


def _met(x: Tensor, frames: int, taps: int, dilation: int) -> Tensor:
    """What the taps meet, as a view of the signal: ``(…, T, I)`` → ``(…, frames, taps, I)``."""
    *batch, _, channels = x.shape
    strides = (*x.stride()[:-2], channels, dilation * channels, 1)
    return x.as_strided((*batch, frames, taps, channels), strides, x.storage_offset())
