"""Filterbanks that sum the bins of a spectrum into bands."""

import math
from functools import lru_cache

import torch
from torch import Tensor


def _mel(hz: Tensor) -> Tensor:
    """Slaney's mel scale: linear (3 mel per 200 Hz) up to 1 kHz, above it 27 mel for a factor of 6.4."""
    above = 15 + 27 * (hz.clamp(min=1000) / 1000).log() / math.log(6.4)
    return torch.where(hz < 1000, hz * 3 / 200, above)


def _hz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((mel.clamp(min=15) - 15) / 27))


@lru_cache
def mel_filterbank(sample_rate: float, fft_size: int, n_mels: int) -> Tensor:
    """Triangular filters, equally spaced in mel from 0 Hz to half the sample rate, each of unit area.

    Bands so narrow that no bin of the FFT falls into them are left out: they are silent whatever the signal.

    Args:
        sample_rate: in Hz.
        fft_size: in samples.
        n_mels: number of bands.

    Shape:
        - output: `(bands, fft_size // 2 + 1)`, float32, `bands <= n_mels`.

    Source: Slaney, Auditory Toolbox, 1998.
    """
    # Cached for later calls, which may need gradients: a tensor made in inference mode would refuse.
    with torch.inference_mode(False):
        bins = torch.arange(fft_size // 2 + 1, dtype=torch.float64) * sample_rate / fft_size
        top = _mel(torch.tensor(sample_rate / 2, dtype=torch.float64))
        edges = _hz(torch.linspace(0, 1, n_mels + 2, dtype=torch.float64) * top)
        low, centre, high = (edges[i : i + n_mels, None] for i in range(3))
        triangles = torch.minimum((bins - low) / (centre - low), (high - bins) / (high - centre)).clamp(min=0)
        bands = (triangles * 2 / (high - low)).float()
        return bands[bands.any(-1)]
