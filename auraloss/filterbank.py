"""Filterbanks that sum the bins of a spectrum into bands: mel, and the twelve pitch classes (chroma)."""

import math
from typing import Any

import torch
from torch import Tensor

from auraloss.base import computed_once


def _check(sample_rate: float, fft_size: int, **bands: int) -> None:
    if not 0 < sample_rate < math.inf:
        raise ValueError(f"sample_rate={sample_rate} must be a positive number of Hz.")
    if fft_size < 3:
        raise ValueError(
            f"fft_size={fft_size} must be at least 3, to have a bin between 0 Hz and half the sample rate."
        )
    for name, count in bands.items():
        if count < 1:
            raise ValueError(f"{name}={count} must be at least 1.")


def _mel(hz: Tensor) -> Tensor:
    """Slaney's mel scale: linear (3 mel per 200 Hz) up to 1 kHz, above it 27 mel for a factor of 6.4."""
    above = 15 + 27 * (hz.clamp(min=1000) / 1000).log() / math.log(6.4)
    return torch.where(hz < 1000, hz * 3 / 200, above)


def _hz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel.clamp(min=15) - 15) / 27))


@computed_once
def mel_filterbank(
    sample_rate: float, fft_size: int, n_mels: int, f_min: float = 0.0, f_max: float | None = None
) -> Tensor:
    """Triangular filters, equally spaced in mel from `f_min` to `f_max`, each of unit area.

    `2/(high − low) · max(0, min((f − low)/(centre − low), (high − f)/(high − centre)))`

    for the bin at `f` Hz, and `low`, `centre`, `high` three neighbours of `n_mels + 2` frequencies. Bands so narrow
    that no bin of the FFT falls into them are left out: they are silent whatever the signal.

    Args:
        sample_rate: in Hz.
        fft_size: in samples.
        n_mels: number of bands.
        f_min: where the lowest band begins, in Hz.
        f_max: where the highest band ends, in Hz; half the sample rate if left out.

    Shape:
        - output: `(bands, fft_size // 2 + 1)`, float32, `1 <= bands <= n_mels`; in 1/Hz.

    Raises:
        ValueError: if `sample_rate` or `n_mels` is not positive, `fft_size` is below 3, `f_min` and `f_max` do not rise
            from 0 or more to half the sample rate or less, or no bin of the FFT is between them.

    Source: Slaney, Auditory Toolbox, 1998. The same as `librosa.filters.mel` without its rows of zeros.

    >>> mel_filterbank(sample_rate=2000, fft_size=8, n_mels=1)
    tensor([[0.0000, 0.0010, 0.0020, 0.0010, 0.0000]])
    """
    _check(sample_rate, fft_size, n_mels=n_mels)
    highest = sample_rate / 2 if f_max is None else f_max
    if not 0 <= f_min < highest <= sample_rate / 2:
        raise ValueError(
            f"needs 0 <= f_min < f_max <= {sample_rate / 2} Hz, half the sample rate, got f_min={f_min} and "
            f"f_max={f_max}."
        )
    bins = torch.arange(fft_size // 2 + 1, dtype=torch.float64) * sample_rate / fft_size
    bottom, top = _mel(torch.tensor([f_min, highest], dtype=torch.float64))
    edges = _hz(bottom + torch.linspace(0, 1, n_mels + 2, dtype=torch.float64) * (top - bottom))
    low, centre, high = (edges[i : i + n_mels, None] for i in range(3))
    triangles = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp(min=0)
    # A bin on an edge, such as half the sample rate, is in no band, even where rounding leaves it a height of 1e-16.
    hit = triangles.amax(-1) > 1e-9
    if not hit.any():
        raise ValueError(
            f"fft_size={fft_size} has a bin every {sample_rate / fft_size:.1f} Hz at {sample_rate} Hz, and none in the "
            f"bands from f_min={f_min} to f_max={highest} Hz."
        )
    return (triangles * 2 / (high - low))[hit].float()


@computed_once
def chroma_filterbank(sample_rate: float, fft_size: int, n_chroma: int = 12) -> Tensor:
    """Filters that sum all octaves of a pitch class: C, C♯, D … B for `n_chroma=12`, A4 = 440 Hz.

    `exp(−(2d/w)²/2) / norm · exp(−((o − 5)/2)²/2)`

    for the bin `k` at `o = log₂(f / 27.5 Hz)` octaves above A0: `d` is its distance from the pitch class, up or down
    to the nearest octave, and `w = max(1, n_chroma·log₂((k + 1)/k))` the bin's own width, both in chroma; `norm` is the
    Euclidean norm of the first factor over the pitch classes. The last factor favours the octaves around 880 Hz.
    The bin at 0 Hz, which has no pitch, counts as 1.5 octaves below the next one and as wide as that.

    No row is empty: the first bins are an octave and more wide, so that they belong to every pitch class.

    Args:
        sample_rate: in Hz.
        fft_size: in samples. Semitones are told apart from where they are as wide as a bin: from
            `17 · sample_rate / fft_size` Hz.
        n_chroma: pitch classes in an octave. The first one is C for a multiple of 12, A for less than 12; for
            others it lies `3 · (n_chroma // 12)` classes above A.

    Shape:
        - output: `(n_chroma, fft_size // 2 + 1)`, float32, without unit.

    Raises:
        ValueError: if `sample_rate` or `n_chroma` is not positive, or `fft_size` is below 3.

    Source: Ellis, Chroma feature analysis and synthesis, 2007. The same as `librosa.filters.chroma`.

    >>> chroma_filterbank(sample_rate=3520, fft_size=8, n_chroma=2)  # bins at 0, 440, 880, 1320, 1760 Hz
    tensor([[0.2862, 0.7546, 0.9741, 0.2472, 0.8745],
            [0.3574, 0.4577, 0.2260, 0.9257, 0.1184]])
    """
    _check(sample_rate, fft_size, n_chroma=n_chroma)
    k = torch.arange(1, fft_size // 2 + 1, dtype=torch.float64)
    octave = torch.log2(k * sample_rate / fft_size / 27.5)
    octave = torch.cat([octave[:1] - 1.5, octave])
    width = n_chroma * torch.cat([torch.full_like(k[:1], 1.5), torch.log2(1 + 1 / k)])
    above_a = torch.arange(n_chroma, dtype=torch.float64)[:, None] + 3 * (n_chroma // 12)
    # Rounded as in the source: with an odd number of classes the farthest ones wrap half a class off the middle.
    half = round(n_chroma / 2)
    distance = torch.remainder(n_chroma * octave - above_a + half, n_chroma) - half
    bumps = torch.exp(-((2 * distance / width.clamp(min=1)) ** 2) / 2)
    return (bumps / bumps.norm(dim=0) * torch.exp(-(((octave - 5) / 2) ** 2) / 2)).float()


Block = tuple[int, int, int, int]
"""First and last band (excluded), first and last bin (excluded)."""


def band_blocks(bank: Tensor, count: int = 4) -> list[Block]:
    """A filterbank in `count` groups of neighbouring bands, each with the bins that it needs.

    Mel bands are narrow: four blocks hold a quarter of the filterbank, and multiply in a third of its time.

    >>> band_blocks(torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1]]), 2)
    [(0, 2, 0, 3), (2, 3, 3, 4)]
    """
    blocks = []
    for bands in torch.arange(len(bank)).chunk(count):
        first, last = int(bands[0]), int(bands[-1]) + 1
        bins = bank[first:last].any(0).nonzero()
        blocks.append((first, last, int(bins[0]), int(bins[-1]) + 1))
    return blocks


class _Bands(torch.autograd.Function):
    """Product with the blocks of a filterbank; the backward pass adds them up in one tensor."""

    generate_vmap_rule = True

    @staticmethod
    def forward(spectrum: Tensor, bank: Tensor, blocks: list[Block]) -> Tensor:
        parts = [spectrum[..., low:high] @ bank[first:last, low:high].mT for first, last, low, high in blocks]
        return torch.cat(parts, -1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, list[Block]], output: Tensor) -> None:
        spectrum, bank, ctx.blocks = inputs
        ctx.save_for_backward(bank)
        ctx.bins = spectrum.shape[-1]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (bank,) = ctx.saved_tensors
        of_bands = gradients[0]
        of_bins = of_bands.new_zeros(*of_bands.shape[:-1], ctx.bins)
        for first, last, low, high in ctx.blocks:
            of_bins[..., low:high] += of_bands[..., first:last] @ bank[first:last, low:high]
        return of_bins, None, None


class _Raised(torch.autograd.Function):
    """`max(bands, floor)`; the gradient does not stop at the floor, so that a faint prediction learns."""

    generate_vmap_rule = True

    @staticmethod
    def forward(bands: Tensor, floor: float) -> Tensor:
        return bands.clamp(min=floor)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, float], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None


def raised(bands: Tensor, floor: float) -> Tensor:
    """`max(bands, floor)` with the gradient of `bands`.

    >>> raised(torch.tensor([0.5, 2.0]), 1.0)
    tensor([1., 2.])
    """
    result: Tensor = _Raised.apply(bands, floor)
    return result


def sum_into_bands(spectrum: Tensor, bank: Tensor, blocks: list[Block]) -> Tensor:
    """`spectrum @ bankᵀ`, `[*, bins]` → `[*, bands]`, for the blocks of `band_blocks(bank)`."""
    bands: Tensor = _Bands.apply(spectrum, bank, blocks)
    return bands
