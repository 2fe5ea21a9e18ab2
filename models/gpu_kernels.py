"""Triton kernels for what follows the convolution in a block of the TCN; see `models.gpu`.

Samples are rows of channels, ``(B, rows, C)``, and contiguous. A program takes `ROWS` rows of one item at a time. Sums
are kept in float32 and written for each program by itself, so that they do not depend on the order of the programs.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def moments(y, sums, samples, C: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr, TILES: tl.constexpr):
    """Of each channel Σ y and Σ y², into ``(B, programs, 2, C)``."""
    item, part, parts = tl.program_id(1).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    c = tl.arange(0, WIDTH)
    total = tl.zeros((WIDTH,), tl.float32)
    squares = tl.zeros((WIDTH,), tl.float32)
    for tile in range(TILES):
        t = (part * TILES + tile) * ROWS + tl.arange(0, ROWS)
        inside = (t < samples)[:, None] & (c < C)[None, :]
        value = tl.load(y + (item * samples + t[:, None]) * C + c[None, :], mask=inside, other=0.0).to(tl.float32)
        total += tl.sum(value, 0)
        squares += tl.sum(value * value, 0)
    sums += (item * parts + part) * 2 * C
    tl.store(sums + c, total, mask=c < C)
    tl.store(sums + C + c, squares, mask=c < C)


@triton.jit
def apply(
    y, x, gain, offset, slope, residual, mix, out, share,
    samples, x_rows, start, skip_start, skip_stop,
    C: tl.constexpr, WIDTH: tl.constexpr, INPUTS: tl.constexpr, MIXED: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """The block's output prelu(gain · y + offset) + residual · x, and its share of the network's."""
    item = tl.program_id(1).to(tl.int64)
    t, c = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    channel = c < C
    inside = (t < samples)[:, None] & channel[None, :]
    at = (item * samples + t[:, None]) * C + c[None, :]
    z = tl.load(y + at, mask=inside, other=0.0).to(tl.float32)
    z = z * tl.load(gain + item * C + c, mask=channel, other=0.0)[None, :]
    z += tl.load(offset + item * C + c, mask=channel, other=0.0)[None, :]
    z = tl.where(z > 0, z, z * tl.load(slope + c, mask=channel, other=0.0)[None, :])
    if INPUTS == 0:  # of each channel its own
        kept = tl.load(x + (item * x_rows + start + t[:, None]) * C + c[None, :], mask=inside, other=0.0)
        z += kept.to(tl.float32) * tl.load(residual + c, mask=channel, other=0.0)[None, :]
    for i in tl.static_range(INPUTS):
        kept = tl.load(x + (item * x_rows + start + t) * INPUTS + i, mask=t < samples, other=0.0).to(tl.float32)
        z += kept[:, None] * tl.load(residual + i * C + c, mask=channel, other=0.0)[None, :]
    tl.store(out + at, z.to(out.dtype.element_ty), mask=inside)
    skipped = (t >= skip_start) & (t < skip_stop)
    z = z.to(out.dtype.element_ty).to(tl.float32)
    for m in tl.static_range(MIXED):
        mixed = tl.sum(z * tl.load(mix + c * MIXED + m, mask=channel, other=0.0)[None, :], 1)
        tl.store(share + (item * (skip_stop - skip_start) + t - skip_start) * MIXED + m, mixed, mask=skipped)


@triton.jit
def through(
    grad, grad_share, mix, item, t, c, samples, skip_start, skip_stop,
    C: tl.constexpr, MIXED: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr, HAS_GRAD: tl.constexpr,
):  # fmt: skip
    """The gradient of the block's output: of the next block, and of the network's output."""
    g = tl.zeros((ROWS, WIDTH), tl.float32)
    if HAS_GRAD:
        inside = (t < samples)[:, None] & (c < C)[None, :]
        g += tl.load(grad + (item * samples + t[:, None]) * C + c[None, :], mask=inside, other=0.0).to(tl.float32)
    skipped = (t >= skip_start) & (t < skip_stop)
    for m in tl.static_range(MIXED):
        own = tl.load(
            grad_share + (item * (skip_stop - skip_start) + t - skip_start) * MIXED + m, mask=skipped, other=0.0
        )
        g += own[:, None] * tl.load(mix + c * MIXED + m, mask=c < C, other=0.0)[None, :]
    return g


@triton.jit
def gradient_sums(
    grad, grad_share, y, x, gain, offset, slope, residual, mix, sums,
    samples, x_rows, start, skip_start, skip_stop,
    C: tl.constexpr, WIDTH: tl.constexpr, INPUTS: tl.constexpr, MIXED: tl.constexpr, ROWS: tl.constexpr,
    TILES: tl.constexpr, SUMS: tl.constexpr, HAS_GRAD: tl.constexpr,
):  # fmt: skip
    """Of each channel, with g the gradient of the output and dz that of z, into ``(B, programs, sums, C)``:

    Σ dz, Σ dz · y, Σ g · min(z, 0), Σ g · x for each input, and Σ grad_share · out for each output of the mix.
    """
    item, part, parts = tl.program_id(1).to(tl.int64), tl.program_id(0), tl.num_programs(0)
    c = tl.arange(0, WIDTH)
    channel = c < C
    of_gain = tl.load(gain + item * C + c, mask=channel, other=0.0)[None, :]
    of_offset = tl.load(offset + item * C + c, mask=channel, other=0.0)[None, :]
    of_slope = tl.load(slope + c, mask=channel, other=0.0)[None, :]
    KEPT: tl.constexpr = 1 if INPUTS == 0 else INPUTS
    row = tl.arange(0, SUMS)[:, None]
    total = tl.zeros((SUMS, WIDTH), tl.float32)
    for tile in range(TILES):
        t = (part * TILES + tile) * ROWS + tl.arange(0, ROWS)
        inside = (t < samples)[:, None] & channel[None, :]
        g = through(grad, grad_share, mix, item, t, c, samples, skip_start, skip_stop, C, MIXED, ROWS, WIDTH, HAS_GRAD)
        value = tl.load(y + (item * samples + t[:, None]) * C + c[None, :], mask=inside, other=0.0).to(tl.float32)
        z = value * of_gain + of_offset
        dz = tl.where(z > 0, g, g * of_slope)
        total += tl.where(row == 0, tl.sum(dz, 0)[None, :], 0.0)
        total += tl.where(row == 1, tl.sum(dz * value, 0)[None, :], 0.0)
        total += tl.where(row == 2, tl.sum(tl.where(z > 0, 0.0, g * z), 0)[None, :], 0.0)
        out = tl.where(z > 0, z, z * of_slope)
        if INPUTS == 0:
            kept = tl.load(x + (item * x_rows + start + t[:, None]) * C + c[None, :], mask=inside, other=0.0)
            kept = kept.to(tl.float32)
            out += kept * tl.load(residual + c, mask=channel, other=0.0)[None, :]
            total += tl.where(row == 3, tl.sum(g * kept, 0)[None, :], 0.0)
        for i in tl.static_range(INPUTS):
            one = tl.load(x + (item * x_rows + start + t) * INPUTS + i, mask=t < samples, other=0.0).to(tl.float32)
            out += one[:, None] * tl.load(residual + i * C + c, mask=channel, other=0.0)[None, :]
            total += tl.where(row == 3 + i, tl.sum(g * one[:, None], 0)[None, :], 0.0)
        skipped = (t >= skip_start) & (t < skip_stop)
        for m in tl.static_range(MIXED):
            own = tl.load(
                grad_share + (item * (skip_stop - skip_start) + t - skip_start) * MIXED + m, mask=skipped, other=0.0
            )
            total += tl.where(row == 3 + KEPT + m, tl.sum(own[:, None] * out, 0)[None, :], 0.0)
    at = ((item * parts + part) * (3 + KEPT + MIXED) + row) * C + c[None, :]
    tl.store(sums + at, total, mask=(row < 3 + KEPT + MIXED) & channel[None, :])


@triton.jit
def gradient_of_convolution(
    grad, grad_share, y, gain, offset, slope, mix, slant, constant, out,
    samples, skip_start, skip_stop,
    C: tl.constexpr, WIDTH: tl.constexpr, MIXED: tl.constexpr, ROWS: tl.constexpr, HAS_GRAD: tl.constexpr,
):  # fmt: skip
    """gain · dz + slant · y + constant; the last two are what comes through the statistics of the batch."""
    item = tl.program_id(1).to(tl.int64)
    t, c = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    channel = c < C
    inside = (t < samples)[:, None] & channel[None, :]
    g = through(grad, grad_share, mix, item, t, c, samples, skip_start, skip_stop, C, MIXED, ROWS, WIDTH, HAS_GRAD)
    at = (item * samples + t[:, None]) * C + c[None, :]
    value = tl.load(y + at, mask=inside, other=0.0).to(tl.float32)
    of_gain = tl.load(gain + item * C + c, mask=channel, other=0.0)[None, :]
    z = value * of_gain + tl.load(offset + item * C + c, mask=channel, other=0.0)[None, :]
    dz = tl.where(z > 0, g, g * tl.load(slope + c, mask=channel, other=0.0)[None, :])
    result = dz * of_gain + value * tl.load(slant + c, mask=channel, other=0.0)[None, :]
    result += tl.load(constant + c, mask=channel, other=0.0)[None, :]
    tl.store(out + at, result.to(out.dtype.element_ty), mask=inside)


@triton.jit
def add_gradient_of_residual(
    grad, grad_share, mix, residual, grad_x,
    samples, x_rows, start, skip_start, skip_stop,
    C: tl.constexpr, WIDTH: tl.constexpr, INPUTS: tl.constexpr, MIXED: tl.constexpr, ROWS: tl.constexpr,
    HAS_GRAD: tl.constexpr,
):  # fmt: skip
    """Adds residual · g to the gradient of the input."""
    item = tl.program_id(1).to(tl.int64)
    t, c = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    channel = c < C
    g = through(grad, grad_share, mix, item, t, c, samples, skip_start, skip_stop, C, MIXED, ROWS, WIDTH, HAS_GRAD)
    if INPUTS == 0:
        inside = (t < samples)[:, None] & channel[None, :]
        at = (item * x_rows + start + t[:, None]) * C + c[None, :]
        g = g * tl.load(residual + c, mask=channel, other=0.0)[None, :]
        g += tl.load(grad_x + at, mask=inside, other=0.0).to(tl.float32)
        tl.store(grad_x + at, g.to(grad_x.dtype.element_ty), mask=inside)
    for i in tl.static_range(INPUTS):
        at = (item * x_rows + start + t) * INPUTS + i
        one = tl.sum(g * tl.load(residual + i * C + c, mask=channel, other=0.0)[None, :], 1)
        one += tl.load(grad_x + at, mask=t < samples, other=0.0).to(tl.float32)
        tl.store(grad_x + at, one.to(grad_x.dtype.element_ty), mask=t < samples)
