"""What the spectral metrics make of spectra on a CPU, in loops compiled by numba: one pass over the bins, not twenty.

`distances` takes and returns what `auraloss.together.distances` does, and leaves to it what these loops do not know:
other precisions, other devices, and losses of other distances than the usual one or with a floor for bands.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from auraloss import together
from auraloss.stft import STFTLoss
from models.kernels import Array, compiled

USUAL = (False, 0.0, True, True, False)  # spectral convergence, and the absolute difference of logarithms

# Of the natural logarithm. A number is 2ᵉ·m, with √½ ≤ m < √2; log m by a polynomial, to 1e-7 (Moshier, Cephes, logf).
LOG2 = np.float32(np.log(2))
HALF, ONE = np.float32(0.5), np.float32(1)
BITS_OF_SQRT_HALF, MANTISSA_BITS = np.int32(0x3F3504F3), np.int32(23)
C3, C4, C5, C6, C7, C8, C9, C10, C11 = (
    np.float32(c)
    for c in (
        3.3333331174e-1, -2.4999993993e-1, 2.0000714765e-1, -1.6668057665e-1, 1.4249322787e-1, -1.2420140846e-1,
        1.1676998740e-1, -1.1514610310e-1, 7.0376836292e-2,
    )
)  # fmt: skip
PIECE = 2048  # bins that pass all steps at once, in the fastest cache; their sums are added in double precision
NOTHING, FAR_BELOW = np.float32(0), np.float32(-1e9)  # floors of bands, which are made of what has one


class Views(NamedTuple):
    """How some losses look at one spectrum: each has a floor, and sums magnitudes into bands or takes them as they are.

    Bands are numbered through all losses: ``bands[n] … bands[n + 1]`` are those of loss n. A band has the bins from
    `low` to `high` (excluded), and as many weights, which follow each other.
    """

    floors: Array  # of the magnitude
    logs: Array  # their logarithms
    bands: Array
    low: Array
    high: Array
    weights: Array


class Levels(NamedTuple):
    """Magnitudes and their logarithms, of each frame; of bins, above the lowest floor, and of bands."""

    bins: Array
    log_bins: Array
    bands: Array
    log_bands: Array


def distances(losses: Sequence[STFTLoss], spectra: Iterable[Tensor]) -> Tensor:
    """As `auraloss.together.distances`, to rounding."""
    rest = iter(spectra)
    target = next(rest)
    usual = all(loss.distance == USUAL and not loss.band_floor for loss in losses)
    if not (usual and target.is_cpu and target.dtype == torch.complex64):
        return together.distances(losses, chain([target], rest))
    views = _views(losses)
    widths = target.shape[1], len(views.low)
    levels = Levels(*(np.empty((len(target), width), np.float32) for width in widths for _ in range(2)))
    energies = np.zeros(len(losses))
    look(_numbers(target), views, levels, energies)
    found = []
    for spectrum in rest:
        sums = np.zeros((len(losses), 4))
        sums[:, 1] = energies
        compare(_numbers(spectrum), views, levels, sums)
        found.append(torch.from_numpy(sums))
    return torch.stack(found)


def _numbers(spectrum: Tensor) -> Array:
    """``(frames, bins)`` → ``(frames, 2 · bins)``, real and imaginary parts in turn."""
    return torch.view_as_real(spectrum).flatten(1).numpy()


def _views(losses: Sequence[STFTLoss]) -> Views:
    banks = [_bank(loss) for loss in losses]
    floors = np.sqrt([loss.eps for loss in losses])
    low, high, weights = (np.concatenate(parts) for parts in zip(*banks, strict=True))
    bands = np.cumsum([0, *(len(bank[0]) for bank in banks)])
    return Views(floors.astype(np.float32), np.log(floors).astype(np.float32), bands, low, high, weights)


@lru_cache(maxsize=16)
def _bank(loss: STFTLoss) -> tuple[Array, Array, Array]:
    """First bin of each band, the one after its last, and the weights of all."""
    if loss.filterbank is None:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    bank = loss.filterbank.numpy()
    bins = np.arange(bank.shape[1])
    low, high = (bank != 0).argmax(1), bank.shape[1] - (bank[:, ::-1] != 0).argmax(1)
    return low, high, bank[(low[:, None] <= bins) & (bins < high[:, None])]


@compiled
def _log(x: Any) -> Any:
    """Natural logarithm of a positive number that is not subnormal, in float32; loops over it become vectors."""
    bits = np.float32(x).view(np.int32)
    exponent = np.int32(np.int32(bits - BITS_OF_SQRT_HALF) >> MANTISSA_BITS)
    t = np.int32(bits - np.int32(exponent << MANTISSA_BITS)).view(np.float32) - ONE
    p = C3 + t * (C4 + t * (C5 + t * (C6 + t * (C7 + t * (C8 + t * (C9 + t * (C10 + t * C11)))))))
    return np.float32(exponent) * LOG2 + (t - HALF * (t * t) + t * t * t * p)


@compiled
def _look(spectrum: Array, lowest: Any, bins: Array, log_bins: Array) -> None:
    """Writes the magnitudes of some bins, above the lowest floor, and their logarithms."""
    least = lowest * lowest
    for b in range(len(bins)):
        power = spectrum[2 * b] * spectrum[2 * b] + spectrum[2 * b + 1] * spectrum[2 * b + 1]
        power = least if power < least else power  # which leaves NaN as it is
        bins[b] = np.sqrt(power)
        log_bins[b] = HALF * _log(power)


@compiled
def _sum_into_bands(bins: Array, views: Views, bands: Array, log_bands: Array) -> None:
    """Writes the bands of one frame, and their logarithms."""
    used = 0
    for n in range(len(views.floors)):
        floor = views.floors[n]
        for band in range(views.bands[n], views.bands[n + 1]):
            first, count = views.low[band], views.high[band] - views.low[band]
            total = NOTHING
            for b in range(count):
                x = bins[first + b]
                total += views.weights[used + b] * (floor if x < floor else x)
            bands[band] = total
            used += count
    for band in range(len(bands)):
        log_bands[band] = _log(bands[band])


@compiled
def _energy(x: Array, floor: Any) -> Any:
    """Of what is above a floor."""
    total = NOTHING
    for b in range(len(x)):
        own = floor if x[b] < floor else x[b]
        total += own * own
    return total


@compiled
def _difference(x: Array, log_x: Array, y: Array, log_y: Array, floor: Any, log_floor: Any) -> Any:
    """``Σ(x − y)²`` and ``Σ|log x − log y|`` of what is above a floor."""
    squares = of_log = NOTHING
    for b in range(len(x)):
        own, other = (floor if x[b] < floor else x[b]), (floor if y[b] < floor else y[b])
        squares += (own - other) * (own - other)
        own = log_floor if log_x[b] < log_floor else log_x[b]
        other = log_floor if log_y[b] < log_floor else log_y[b]
        of_log += abs(own - other)
    return squares, of_log


@compiled
def look(spectrum: Array, views: Views, levels: Levels, energies: Array) -> None:
    """Writes the levels of a spectrum's frames ``(frames, 2 · bins)``, and adds up their energies for each loss."""
    lowest = views.floors.min()
    piece = max(1, PIECE // levels.bins.shape[1])  # frames
    for first in range(0, len(spectrum), piece):
        some = slice(first, first + piece)
        bins = levels.bins[some].reshape(-1)
        _look(spectrum[some].reshape(-1), lowest, bins, levels.log_bins[some].reshape(-1))
        for n in range(len(energies)):
            if views.bands[n] == views.bands[n + 1]:
                energies[n] += _energy(bins, views.floors[n])
    if levels.bands.shape[1]:
        for frame in range(len(spectrum)):
            bands = levels.bands[frame]
            _sum_into_bands(levels.bins[frame], views, bands, levels.log_bands[frame])
            for n in range(len(energies)):
                energies[n] += _energy(bands[views.bands[n] : views.bands[n + 1]], NOTHING)


@compiled
def compare(spectrum: Array, views: Views, levels: Levels, sums: Array) -> None:
    """Adds what a spectrum and the target's levels differ by to the sums of each loss ``(losses, 4)``."""
    lowest = views.floors.min()
    width = levels.bins.shape[1]
    piece = max(1, PIECE // width)  # frames
    x, log_x = np.empty(piece * width, np.float32), np.empty(piece * width, np.float32)
    x_bands, log_x_bands = np.empty_like(levels.bands[0]), np.empty_like(levels.bands[0])
    for first in range(0, len(spectrum), piece):
        some = slice(first, first + piece)
        y, log_y = levels.bins[some].reshape(-1), levels.log_bins[some].reshape(-1)
        here, log_here = x[: len(y)], log_x[: len(y)]
        _look(spectrum[some].reshape(-1), lowest, here, log_here)
        for n in range(len(sums)):
            if views.bands[n] == views.bands[n + 1]:
                squares, of_log = _difference(here, log_here, y, log_y, views.floors[n], views.logs[n])
                sums[n, 0] += squares
                sums[n, 2] += of_log
        if len(x_bands):
            for frame in range(first, min(first + piece, len(spectrum))):
                _sum_into_bands(x[(frame - first) * width :], views, x_bands, log_x_bands)
                y_bands, log_y_bands = levels.bands[frame], levels.log_bands[frame]
                for n in range(len(sums)):
                    own = slice(views.bands[n], views.bands[n + 1])
                    squares, of_log = _difference(
                        x_bands[own], log_x_bands[own], y_bands[own], log_y_bands[own], NOTHING, FAR_BELOW
                    )
                    sums[n, 0] += squares
                    sums[n, 2] += of_log
