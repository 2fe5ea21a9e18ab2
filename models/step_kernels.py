"""A block of the TCN on its way through a signal, one item of a batch.

Loops compiled by numba for `models.compiled_steps`. As in `models.kernels` the samples of a channel lie side by side,
and everything is done in parts that stay in the fastest cache. Here a signal is a history to which new samples have
been appended: what a layer leaves is written where the next one reads it.
"""

from __future__ import annotations

from models.kernels import PART, Array, add, compiled
from models.vectors import BYTES, OUTPUTS, VECTORS, correlate

# Numba's cache on disk looks at this file alone. So that it changes with `models.kernels`, it holds that one's SHA-256.
KERNELS_DIGEST = "3fffe412572940b1"


@compiled
def _convolve(x: Array, at: int, met: Array, kernel: Array, y: Array, samples: int) -> None:
    """y of so many samples, and of up to a step more; the oldest tap meets x from there on."""
    tiles, taps, _ = kernel.shape
    row = y.shape[1]
    for tile in range(tiles):
        done = tile * OUTPUTS
        for t in range(0, samples, VECTORS * BYTES // x.itemsize):
            correlate(y, done * row + t, row, len(y) - done, x, at + t, met, kernel, done * taps, 0, taps)


@compiled
def _bend(y: Array, gain: float, shift: float, slope: float, out: Array) -> None:
    """prelu(gain · y + shift)."""
    for t in range(len(y)):
        z = gain * y[t] + shift
        out[t] = z if z > 0 else slope * z


@compiled
def _bend_moving(
    y: Array, before: tuple[float, float], now: tuple[float, float], slope: float, done: int, way: int, out: Array
) -> None:
    """The same while gain and shift go from those before to those now, within `way` samples of which some are done."""
    one = y.dtype.type(1)
    for t in range(len(y)):
        share = min(one, y.dtype.type(done + t + 1) / y.dtype.type(way))
        gain = before[0] + share * (now[0] - before[0])
        z = gain * y[t] + before[1] + share * (now[1] - before[1])
        out[t] = z if z > 0 else slope * z


@compiled
def advance(
    x: Array, at: int, met: Array, kernel: Array, y: Array, span: int, lookahead: int, before: Array, now: Array,
    way: int, slope: Array, residual: Array, mix: Array, waiting: Array, waiting_at: int, out: Array, out_at: int,
    total: Array, total_at: int, samples: int,
) -> None:  # fmt: skip
    """The output of a block for the newest samples, and the sum of the mixed outputs up to it.

    Args:
        x: history of the input ``(I, …)``, whose newest samples begin `at`; finite behind them.
        met, kernel: the kernel's `offsets` in x from its oldest sample on, and its packed numbers.
        y: room for a part, ``(O, PART + SLACK)``.
        span, lookahead: samples before the newest that the kernel reaches, and by which input and sum are delayed.
        before, now: gain and shift of the channels, ``(2, O)``; the latter are reached in `way` samples, 0: at once.
        slope: of the PReLU, ``(O,)``.
        residual: ``(O, J)``; an output takes J inputs, the same ones within a group of outputs.
        mix: ``(O, M)``.
        waiting, waiting_at: history of the sum up to the layer before, ``(M, …)``, and where its newest samples begin.
        out, out_at, total, total_at: where output ``(O, …)`` and sum ``(M, …)`` are written.
        samples: how many.
    """
    outputs, of_each = residual.shape
    groups = len(x) // of_each
    for first in range(0, samples, PART):
        count = min(PART, samples - first)
        _convolve(x, at - span + first, met, kernel, y, count)
        for m in range(len(total)):
            total[m, total_at + first : total_at + first + count] = waiting[
                m, waiting_at - lookahead + first : waiting_at - lookahead + first + count
            ]
        for o in range(outputs):
            part = out[o, out_at + first : out_at + first + count]
            if way:
                _bend_moving(
                    y[o, :count], (before[0, o], before[1, o]), (now[0, o], now[1, o]), slope[o], first, way, part
                )
            else:
                _bend(y[o, :count], now[0, o], now[1, o], slope[o], part)
            for j in range(of_each):
                i = o * groups // outputs * of_each + j
                add(part, residual[o, j], x[i, at - lookahead + first : at - lookahead + first + count])
            for m in range(len(total)):
                add(total[m, total_at + first : total_at + first + count], mix[o, m], part)


@compiled
def sum_of_four(line: Array, at: int, apart: int, x: Array, total: Array) -> None:
    """Appends x ``(B, C, n)`` to a history ``(B, C, …)`` and writes the sums of each sample and three before it."""
    items, channels, samples = x.shape
    for b in range(items):
        for c in range(channels):
            row = line[b, c]
            for t in range(samples):
                row[at + t] = x[b, c, t]
            for t in range(samples):
                now = at + t
                total[b, c, t] = (row[now - 3 * apart] + row[now - 2 * apart]) + (row[now - apart] + row[now])
