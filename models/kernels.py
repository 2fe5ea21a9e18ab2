"""A block of the TCN, one item of a batch, forward and backward: loops compiled by numba for `models.compiled`.

A signal is an array ``(channels, samples + SLACK)``, the samples of a channel side by side, as a network is given
them. A delay is then a shift, and all instructions work on neighbouring samples, however few the channels. Everything
is done in parts of `PART` samples, which stay in the fastest cache from one step to the next.

With y = x ∗ weight, c = y − mean, z = gain · c + shift and output = prelu(z) + residual · x, the functions are

- `convolve`: y and, on request, the moments of each channel;
- `forward`: the output of y, or of x at once, and the block's share in the output of the network;
- `measure`: of the gradient of both, those of all parameters but the kernel;
- `backward`: the same unless that is done, and the gradients of kernel and x.

A kernel comes packed, see `pack`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from models.vectors import BYTES, OUTPUTS, VECTORS, accumulate, correlate

PART = 480  # samples; a multiple of `VECTORS` vectors, for all types and machines
SLACK = 64  # numbers behind the samples of a signal, finite: `VECTORS` vectors are read and written at once

# Numba's cache on disk looks at this file alone. So that it changes with `models.vectors`, it holds that one's SHA-256.
VECTORS_DIGEST = "a47e261cc3eb8b50"

Array = np.ndarray[Any, Any]


def compiled(function: Callable[..., Any]) -> Any:
    """Compiled at the first call, and kept on disk where there is a folder to write to.

    Products may be added in one rounding, and sums in any order. Nothing else is assumed of the numbers.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc"}}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # numba finds neither the folder of this file nor one of the user to be writable
        return njit(**options)(function)


def pack(kernel: Array) -> Array:
    """``(taps, inputs, outputs)`` → ``(outputs / OUTPUTS, taps · inputs, OUTPUTS)``, both rounded up with zeros.

    The number of taps times inputs is rounded to a multiple of `VECTORS`.
    """
    taps, inputs, outputs = kernel.shape
    packed = np.zeros((_up(taps * inputs, VECTORS), _up(outputs, OUTPUTS)), kernel.dtype)
    packed[: taps * inputs, :outputs] = kernel.reshape(taps * inputs, outputs)
    return np.ascontiguousarray(packed.reshape(len(packed), -1, OUTPUTS).swapaxes(0, 1))


def unpack(total: Array, taps: int, inputs: int, outputs: int) -> Array:
    """The inverse of `pack`."""
    rows = total.swapaxes(0, 1).reshape(total.shape[1], -1)
    return rows[: taps * inputs, :outputs].reshape(taps, inputs, outputs)


def offsets(taps: int, inputs: int, row: int, delay: int, start: int = 0) -> Array:
    """Where in a signal with rows of so many numbers each tap of a packed kernel finds its input."""
    found = start + delay * np.arange(taps)[:, None] + row * np.arange(inputs)
    return np.pad(found.reshape(-1), (0, -found.size % VECTORS), mode="edge")


def totals(packed: Array, batch: int) -> Array:
    """Zeros, in which `backward` adds up the gradient of a packed kernel; of each item, each lane by itself."""
    return np.zeros((batch, *packed.shape, BYTES // packed.itemsize), packed.dtype)


def padded(outputs: int, samples: int) -> tuple[int, int]:
    """The shape of the gradient of z, with zeros around."""
    return _up(outputs, OUTPUTS), PART + samples + PART


def _up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


@compiled
def add(y: Array, factor: float, x: Array) -> None:
    for t in range(len(y)):
        y[t] += factor * x[t]


@compiled
def _dot(x: Array, y: Array) -> float:
    total = x.dtype.type(0)
    for t in range(len(x)):
        total += x[t] * y[t]
    return total


@compiled
def _bend(y: Array, mean: float, gain: float, shift: float, slope: float, out: Array) -> None:
    """prelu(z)."""
    for t in range(len(y)):
        z = (y[t] - mean) * gain + shift
        out[t] = z if z > 0 else slope * z


@compiled
def _sums(y: Array, mean: float, gain: float, shift: float, slope: float, grad: Array) -> tuple[float, float, float]:
    """Of the gradient g of z, by that of prelu(z): Σ g, Σ g · c and the gradient of the slope."""
    nothing = y.dtype.type(0)
    sum_g, sum_gc, of_slope = nothing, nothing, nothing
    for t in range(len(y)):
        c = y[t] - mean
        z = c * gain + shift
        g = grad[t] if z > 0 else slope * grad[t]
        sum_g += g
        sum_gc += g * c
        of_slope += nothing if z > 0 else grad[t] * z
    return sum_g, sum_gc, of_slope


@compiled
def _of_y(
    y: Array, mean: float, gain: float, shift: float, slope: float, constant: float, slant: float, grad: Array, g: Array
) -> None:
    """The gradient of y, by that of prelu(z)."""
    for t in range(len(y)):
        c = y[t] - mean
        of_z = grad[t] if c * gain + shift > 0 else slope * grad[t]
        g[t] = of_z * gain + constant + slant * c


@compiled
def _moments(y: Array) -> tuple[float, float]:
    """Mean, and sum of squares around it."""
    total = y.dtype.type(0)
    for t in range(len(y)):
        total += y[t]
    mean = y.dtype.type(total / len(y))
    squares = y.dtype.type(0)
    for t in range(len(y)):
        squares += (y[t] - mean) * (y[t] - mean)
    return mean, squares


@compiled
def _correlate(
    x: Array, met: Array, kernel: Array, y: Array, first: int, last: int, first_tap: int, last_tap: int
) -> None:
    """Samples first ≤ t < last of y, and up to a step more, of the taps in question."""
    tiles, taps, _ = kernel.shape
    row = y.shape[1]
    for tile in range(tiles):
        done = tile * OUTPUTS
        for t in range(first, last, VECTORS * BYTES // x.itemsize):
            at = done * taps
            correlate(y, done * row + t, row, len(y) - done, x, t, met, kernel, at, first_tap, last_tap)


@compiled
def convolve(x: Array, met: Array, kernel: Array, y: Array, samples: int, moments: Array) -> None:
    """y and, if there is room for them, the mean and the sum of squares around it of each channel.

    Args:
        x: signal ``(I, …)``.
        met: the kernel's `offsets` in x.
        kernel: packed.
        y: ``(O, …)``, of so many samples; written.
        moments: ``(2, O)`` in double precision, zeros, written; or ``(2, 0)``.
    """
    for first in range(0, samples, PART):
        last = min(first + PART, samples)
        _correlate(x, met, kernel, y, first, last, 0, len(met))
        for o in range(moments.shape[1]):
            mean, squares = _moments(y[o, first:last])
            # Chan, Golub and LeVeque: the moments of two parts together, without cancellation.
            apart, share = mean - moments[0, o], (last - first) / last
            moments[0, o] += apart * share
            moments[1, o] += squares + apart * apart * first * share


@compiled
def forward(
    x: Array, met: Array, kernel: Array, y: Array, convolved: bool, start: int, samples: int, mean: Array, gain: Array,
    shift: Array, slope: Array, residual: Array, mix: Array, skip: int, out: Array, share: Array,
) -> None:  # fmt: skip
    """The output of a block, with zeros behind, and its share in that of the network.

    Args:
        x, met, kernel, y: as for `convolve`; y is written unless it is `convolved` already.
        start: sample of x to which the first sample of the output belongs.
        samples: of the output.
        mean, gain, shift, slope: ``(O,)``.
        residual: ``(O, J)``; an output takes J inputs, the same ones within a group of outputs.
        mix: ``(O, M)``.
        skip: sample of the output to which the first one of the share belongs.
        out: ``(O, …)``; written.
        share: ``(M, …)``; written.
    """
    outputs, of_each = residual.shape
    groups = len(x) // of_each
    share[:] = 0
    out[:, samples:] = 0
    for first in range(0, samples, PART):
        last = min(first + PART, samples)
        begin, end = max(first, skip), max(min(last, skip + share.shape[1]), first, skip)
        if not convolved:
            _correlate(x, met, kernel, y, first, last, 0, len(met))
        for o in range(outputs):
            part = out[o, first:last]
            _bend(y[o, first:last], mean[o], gain[o], shift[o], slope[o], part)
            for j in range(of_each):
                i = o * groups // outputs * of_each + j
                add(part, residual[o, j], x[i, start + first : start + last])
            for m in range(len(share)):
                add(share[m, begin - skip : end - skip], mix[o, m], out[o, begin:end])


@compiled
def _measure(
    x: Array, y: Array, out: Array, start: int, mean: Array, gain: Array, shift: Array, slope: Array, residual: Array,
    mix: Array, skip: int, grad: Array, grad_share: Array, of_z: Array, of_slope: Array, of_residual: Array,
    of_mix: Array, first: int, last: int,
) -> None:  # fmt: skip
    """`measure` of the samples first ≤ t < last."""
    outputs, of_each = residual.shape
    groups = len(x) // of_each
    begin, end = max(first, skip), max(min(last, skip + grad_share.shape[1]), first, skip)
    for o in range(outputs):
        part = grad[o, first:last]
        for m in range(len(grad_share)):
            of_share = grad_share[m, begin - skip : end - skip]
            of_mix[o, m] += _dot(of_share, out[o, begin:end])
            add(grad[o, begin:end], mix[o, m], of_share)
        sum_g, sum_gc, its_slope = _sums(y[o, first:last], mean[o], gain[o], shift[o], slope[o], part)
        of_z[0, o] += sum_g
        of_z[1, o] += sum_gc
        of_slope[o] += its_slope
        for j in range(of_each):
            i = o * groups // outputs * of_each + j
            of_residual[o, j] += _dot(part, x[i, start + first : start + last])


@compiled
def measure(
    x: Array, y: Array, out: Array, start: int, samples: int, mean: Array, gain: Array, shift: Array, slope: Array,
    residual: Array, mix: Array, skip: int, grad: Array, grad_share: Array, of_z: Array, of_slope: Array,
    of_residual: Array, of_mix: Array,
) -> None:  # fmt: skip
    """The gradients of a block's parameters but the kernel, which are sums over all samples.

    Args:
        x, …, skip: as for `forward`, which has written y and out.
        grad: of out ``(O, …)``; that through the share is added to it.
        grad_share: of the share ``(M, …)``.
        of_z: Σ g and Σ g · c, of the gradient g of z, ``(2, O)`` in double precision; added to.
        of_slope, of_residual, of_mix: gradients, shaped as what they are of, in double precision; added to.
    """
    for first in range(0, samples, PART):
        last = min(first + PART, samples)
        _measure(
            x, y, out, start, mean, gain, shift, slope, residual, mix, skip, grad, grad_share, of_z, of_slope,
            of_residual, of_mix, first, last,
        )  # fmt: skip


@compiled
def backward(
    x: Array, met: Array, y: Array, out: Array, start: int, samples: int, mean: Array, gain: Array, shift: Array,
    slope: Array, residual: Array, mix: Array, skip: int, grad: Array, grad_share: Array, of_z: Array, of_slope: Array,
    of_residual: Array, of_mix: Array, measured: bool, constant: Array, slant: Array, g: Array, of_kernel: Array,
    met_back: Array, kernel_back: Array, dilation: int, of_x: Array, entering: int,
) -> None:  # fmt: skip
    """The gradients of kernel and x; before, what `measure` does, unless it is `measured` already.

    Args:
        x, …, of_mix: as for `forward` and `measure`.
        constant, slant: ``(O,)``; the gradient of y is gain · g + constant + slant · c.
        g: room for it, of the shape `padded`.
        of_kernel: see `totals`; added to.
        met_back, kernel_back: of the kernel with inputs and outputs swapped, the offsets in g and the packed numbers.
        dilation: samples between two taps.
        of_x: ``(I, …)``, written; or ``(0, 0)``.
        entering: samples of x.
    """
    outputs, of_each = residual.shape
    groups = len(x) // of_each
    tiles, taps, _, width = of_kernel.shape
    row = g.shape[1]
    g[:, :PART] = 0
    g[:, PART + samples :] = 0
    g[outputs:] = 0
    for first in range(0, samples, PART):
        last = min(first + PART, samples)
        if not measured:
            _measure(
                x, y, out, start, mean, gain, shift, slope, residual, mix, skip, grad, grad_share, of_z, of_slope,
                of_residual, of_mix, first, last,
            )  # fmt: skip
        for o in range(outputs):
            _of_y(
                y[o, first:last], mean[o], gain[o], shift[o], slope[o], constant[o], slant[o], grad[o, first:last],
                g[o, PART + first : PART + last],
            )  # fmt: skip
        vectors = (last - first + width - 1) // width
        for tile in range(tiles):
            for p in range(0, taps, VECTORS):
                cell = (tile * taps + p) * OUTPUTS * width
                accumulate(of_kernel, cell, g, tile * OUTPUTS * row + PART + first, row, x, first, met, p, vectors)
    if len(of_x) == 0:
        return
    for first in range(0, entering, PART):
        last = min(first + PART, entering)
        # What the taps before and after these meet of g are the zeros around it.
        first_tap = max((first - samples) // dilation + 1, 0) * outputs
        last_tap = min(((last - 1) // dilation + 1) * outputs, len(met_back))
        _correlate(g, met_back, kernel_back, of_x, first, last, first_tap, last_tap)
        begin, end = max(first, start), max(min(last, start + samples), first, start)
        for o in range(outputs):
            for j in range(of_each):
                i = o * groups // outputs * of_each + j
                add(of_x[i, begin:end], residual[o, j], grad[o, begin - start : end - start])
